"""The README says what the program does: its sessions are run, its tables are held against the rules and the exit statuses.

PCAPLINT_UPDATE_GOLDENS=1 writes the sessions anew, to be read before they are committed.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from analyzer.cli import run
from analyzer.errors import Exit
from analyzer.rules import load

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
SESSION = re.compile(r"<!-- status (\d+) -->\n```console\n\$ pcaplint (.*)\n([^`]*)```")


def sessions() -> Iterator[tuple[int, str, str]]:
    for status, command, output in SESSION.findall(README.read_text(encoding="utf-8")):
        yield int(status), command, output


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
@pytest.mark.xdist_group("readme")
@pytest.mark.parametrize("session", list(sessions()), ids=lambda session: session[1])
def test_a_session_is_what_the_command_prints(
    session: tuple[int, str, str], monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    status, command, output = session
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("COLUMNS", "80")
    ended = run(shlex.split(command))
    printed = capfdbinary.readouterr().out.decode()
    if os.environ.get("PCAPLINT_UPDATE_GOLDENS"):
        text = README.read_text(encoding="utf-8")
        README.write_text(text.replace(f"$ pcaplint {command}\n{output}", f"$ pcaplint {command}\n{printed}"), encoding="utf-8")
        output = printed
    assert ended == status
    assert printed == output


def test_there_are_sessions() -> None:
    assert len(list(sessions())) == 4


def test_the_verdicts_are_those_of_the_rules() -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \| ([a-z-]+) \| (\w+) \| (.*) \|$", README.read_text(encoding="utf-8"), re.MULTILINE)
    counts = {"nothing": "neither"}
    assert rows == [
        (verdict.name, verdict.outcome, counts.get(verdict.counts_as, verdict.counts_as), verdict.meaning) for verdict in load().verdicts
    ]


def test_every_exit_status_is_told() -> None:
    section = README.read_text(encoding="utf-8").partition("## Exit status")[2].partition("## ")[0]
    told = {int(number) for cell in re.findall(r"^\| ([\d, ]+) \|", section, re.MULTILINE) for number in cell.split(",")}
    assert told == set(Exit)
