"""README and docs/ say what the program does: their sessions are run, and the exit statuses are all there.

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

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
SESSION = re.compile(r"<!-- status (\d+) -->\n```console\n\$ pcaplint (.*)\n((?:(?!```).*\n)*)```")


PAGES = (README, *sorted((ROOT / "docs").rglob("*.md")))


def sessions() -> Iterator[tuple[Path, int, str, str]]:
    for page in PAGES:
        for status, command, output in SESSION.findall(page.read_text(encoding="utf-8")):
            yield page, int(status), command, output


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
@pytest.mark.xdist_group("readme")
@pytest.mark.parametrize("session", list(sessions()), ids=lambda session: f"{session[0].name}: {session[2]}")
def test_a_session_is_what_the_command_prints(
    session: tuple[Path, int, str, str], monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    page, status, command, output = session
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("COLUMNS", "80")
    ended = run(shlex.split(command))
    printed = capfdbinary.readouterr().out.decode()
    if os.environ.get("PCAPLINT_UPDATE_GOLDENS"):
        text = page.read_text(encoding="utf-8")
        page.write_text(text.replace(f"$ pcaplint {command}\n{output}", f"$ pcaplint {command}\n{printed}"), encoding="utf-8")
        output = printed
    assert ended == status
    assert printed == output


def test_there_are_sessions() -> None:
    assert {page.name for page, *_ in sessions()} >= {"README.md", "tutorial.md", "dialogues.md"}


def test_the_readme_is_short_and_its_links_lead_somewhere() -> None:
    text = README.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 150
    links = re.findall(r"\]\(([^)#]+)", text)
    assert links
    assert [link for link in links if not (ROOT / link).is_file()] == []


def test_every_exit_status_is_told() -> None:
    section = README.read_text(encoding="utf-8").partition("## Exit status")[2].partition("## ")[0]
    told = {int(number) for cell in re.findall(r"^\| ([\d, ]+) \|", section, re.MULTILINE) for number in cell.split(",")}
    assert told == set(Exit)
