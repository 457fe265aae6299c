"""Every connection that another analyzer's own test suite expects something of: agreed on, or explained by name.

The suites' captures are judged once, by `table.py` in a process of its own; it ends with 1 when a difference has no
explanation or an explanation no difference. Skipped where the captures are not at hand.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.reference.public import CAPTURES, WITHOUT_CAPTURES

HERE = Path(__file__).resolve().parent
SUITES = ("zeek", "arkime", "suricata", "tcptrace")

pytestmark = pytest.mark.xdist_group("suites")


@pytest.fixture(scope="session")
def summaries() -> dict[str, Any]:
    if not (CAPTURES / "expect").is_dir():
        pytest.skip(WITHOUT_CAPTURES)
    command = [sys.executable, "-W", "error", "-m", "tests.suites.table", "--captures", str(CAPTURES), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=1200, cwd=HERE.parents[1])
    assert done.returncode in {0, 1}, done.stderr
    return {summary["suite"]: summary for summary in json.loads(done.stdout)}


@pytest.mark.parametrize("suite", SUITES)
def test_every_difference_is_explained(summaries: dict[str, Any], suite: str) -> None:
    found = [" | ".join(one) for one in summaries[suite]["unexplained_differences"]]
    assert not found, "\n".join(["differences nobody explains:", *found])


@pytest.mark.parametrize("suite", SUITES)
def test_every_explanation_explains_something(summaries: dict[str, Any], suite: str) -> None:
    stale = [" | ".join(one) for one in summaries[suite]["stale_explanations"]]
    assert not stale, "\n".join(["differences that are no more:", *stale])


@pytest.mark.parametrize("suite", SUITES)
def test_most_rows_need_no_explanation(summaries: dict[str, Any], suite: str) -> None:
    assert summaries[suite]["agreed"] > summaries[suite]["rows"] * 3 // 4


@pytest.mark.parametrize("suite", SUITES)
def test_reasons_say_why(suite: str) -> None:
    reasons = tomllib.loads((HERE / f"{suite}.toml").read_text(encoding="utf-8"))["reason"]
    for name, reason in reasons.items():
        assert reason["why"].strip().endswith("."), name
        assert {"capture", "connection", "aspect", "peer", "ours"} == set().union(*reason["differences"]), name
