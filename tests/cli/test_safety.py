"""What reaches the outside stays the same everywhere, and whole whatever happens."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from analyzer.report import FORMATS

if TYPE_CHECKING:
    from collections.abc import Callable

    Start = Callable[..., subprocess.Popen[bytes]]

ROOT = Path(__file__).parents[2]
tshark = pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")

CHECKOUT = {"PYTHONPATH": str(ROOT)}

WRITER = """
import itertools, sys
from pathlib import Path
from analyzer.cli import output
for number in itertools.count():
    letter = "ab"[number % 2]
    output.write((letter * 10_000 for _ in range(100)), Path(sys.argv[1]))
    print(flush=True)
"""


@pytest.mark.parametrize("seed", range(4))
def test_a_file_is_whole_at_any_time_also_when_its_writer_is_killed(tmp_path: Path, seed: int) -> None:
    target = tmp_path / "report"
    chance = random.Random(seed)  # noqa: S311 - moments, not secrets
    environment = os.environ | CHECKOUT
    with subprocess.Popen([sys.executable, "-c", WRITER, target], stdout=subprocess.PIPE, env=environment) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline()
        for _ in range(25):
            time.sleep(chance.random() / 200)
            text = target.read_text()
            assert text in {"a" * 1_000_000, "b" * 1_000_000}
        writer.send_signal(signal.SIGKILL)
        writer.wait()
    assert target.read_text() in {"a" * 1_000_000, "b" * 1_000_000}


@tshark
def test_reports_are_whole_when_standard_output_is_closed(captures: Path, start: Start) -> None:
    read, write = os.pipe()
    os.close(read)
    with start("check", "--report", "json=x.json", "--report", "junit=x.xml", "wrong.pcap", environment=CHECKOUT, stdout=write) as process:
        os.close(write)
        _, err = process.communicate()
    assert process.returncode == 141
    assert b"Traceback" not in err
    assert json.loads((captures / "x.json").read_text())["flows"]
    assert (captures / "x.xml").read_text().endswith("</testsuites>\n")


@tshark
def test_locale_home_time_zone_folder_and_hash_seed_change_no_byte(captures: Path, tmp_path: Path, start: Start) -> None:
    surroundings = [
        {"LC_ALL": "C", "TZ": "UTC", "PYTHONHASHSEED": "0"},
        {"LC_ALL": "tr_TR.UTF-8", "TZ": "Asia/Kolkata", "PYTHONHASHSEED": "1", "COLUMNS": "80"},
        {"LC_ALL": "de_DE.UTF-8", "LANG": "de_DE", "TZ": "America/New_York", "PYTHONHASHSEED": "2", "COLUMNS": "80"},
    ]
    seen = []
    for number, surrounding in enumerate(surroundings):
        folder = tmp_path / f"place {number}"
        shutil.copytree(captures, folder)
        home = tmp_path / f"home {number}"
        home.mkdir()
        reports = [part for kind in FORMATS for part in ("--report", f"{kind}=report-{kind}")]
        environment = {"HOME": str(home), **CHECKOUT, **surrounding}
        os.chdir(folder)
        with start("check", *reports, "-f", "json", "good.pcap", "wrong.pcap", "cut", environment=environment) as process:
            out, err = process.communicate()
        assert process.returncode == 4, err
        seen.append({"stdout": out, **{kind: (folder / f"report-{kind}").read_bytes() for kind in FORMATS}})
    assert seen[0] == seen[1] == seen[2]


def test_the_shell_completes_the_ids_of_rules(start: Start) -> None:
    asked = {"_PCAPLINT_COMPLETE": "complete_bash", **CHECKOUT}
    for words in ("pcaplint rules explain synack-a", "pcaplint check --select synack-a", "pcaplint check --ignore synack-a"):
        environment = asked | {"COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1)}
        with start(environment=environment) as process:
            out, err = process.communicate()
        assert set(out.decode().split()) >= {"synack-ack-wrong", "synack-after-rst"}, err
        assert all(word.startswith("synack-a") for word in out.decode().split())
