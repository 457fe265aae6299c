"""Every report over the sample captures, byte for byte: by both engines, and by one process and two.

PCAPLINT_UPDATE_GOLDENS=1 writes the goldens anew, to be read before they are committed.
"""

from __future__ import annotations

import os
import re
import shutil
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

import analyzer
from analyzer import report as formats
from analyzer.report import CSV_TABLES, Layout

if TYPE_CHECKING:
    from analyzer.model import Report
    from analyzer.options import Engine

ROOT = Path(__file__).resolve().parents[2]
GOLDENS = Path(__file__).with_name("goldens")
ENGINES: Final[tuple[Engine, ...]] = ("native", "pyshark")
FILES: Final = {
    "report.json": ("json", Layout()),
    "report.sarif": ("sarif", Layout()),
    "report.txt": ("text", Layout(limit=None)),
    **{f"{table}.csv": ("csv", Layout(table=table)) for table in CSV_TABLES},
}

pytestmark = [
    pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed"),
    pytest.mark.xdist_group("goldens"),
]


@cache
def judged(engine: Engine, jobs: int) -> Report:
    before = Path.cwd()
    os.chdir(ROOT)
    try:
        return analyzer.analyze("sample_pcaps", engine=engine, jobs=jobs)
    finally:
        os.chdir(before)


def rendered(name: str, engine: Engine, jobs: int) -> str:
    format_, layout = FILES[name]
    text = "".join(formats.render(judged(engine, jobs), format_, layout))
    # Which engine read how many frames is the one thing that may differ.
    return re.sub(r'"engines": \{[^}]*\}', '"engines": {}', text)


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", FILES)
def test_a_report_over_the_samples_is_what_it_was(name: str, engine: Engine, jobs: int) -> None:
    text = rendered(name, engine, jobs)
    golden = GOLDENS / name
    if os.environ.get("PCAPLINT_UPDATE_GOLDENS") and engine == "native" and jobs == 1:
        golden.parent.mkdir(exist_ok=True)
        golden.write_bytes(text.encode())
    assert text.encode() == golden.read_bytes()
