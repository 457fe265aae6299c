from __future__ import annotations

import io
import os
import stat
from typing import TYPE_CHECKING

import pytest

from analyzer.cli import output
from analyzer.errors import EnvironmentFaultError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("choice", "variables", "terminal", "colored"),
    [
        ("auto", {}, True, True),
        ("auto", {}, False, False),
        ("auto", {"NO_COLOR": "1"}, True, False),
        ("auto", {"NO_COLOR": ""}, True, True),
        ("auto", {"NO_COLOR": "1", "FORCE_COLOR": "1"}, True, False),
        ("auto", {"FORCE_COLOR": "1"}, False, True),
        ("auto", {"TERM": "dumb"}, True, False),
        ("always", {"NO_COLOR": "1"}, False, True),
        ("never", {"FORCE_COLOR": "1"}, True, False),
    ],
)
def test_colour(monkeypatch: pytest.MonkeyPatch, choice: str, variables: dict[str, str], *, terminal: bool, colored: bool) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert output.colored(choice, Terminal() if terminal else io.StringIO()) is colored


def test_a_file_is_replaced_and_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "report"
    path.write_text("old")
    path.chmod(0o640)
    output.write(["new", " text"], path)
    assert path.read_text() == "new text"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert [entry.name for entry in tmp_path.iterdir()] == ["report"]


def test_a_new_file_has_the_mode_the_umask_asks_for(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        output.write(["x"], tmp_path / "report")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "report").stat().st_mode) == 0o640


def test_a_failure_midway_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "report"
    path.write_text("old")

    def broken() -> Iterator[str]:
        yield "new"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        output.write(broken(), path)
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["report"]


def test_links_devices_and_missing_folders_are_refused(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("kept")
    link, pipe = tmp_path / "link", tmp_path / "pipe"
    link.symlink_to(target)
    os.mkfifo(pipe)
    for path in (link, pipe, tmp_path, tmp_path / "none" / "report", tmp_path / "target" / "report"):
        with pytest.raises(UsageError):
            output.write(["x"], path)
    assert target.read_text() == "kept"


def test_a_name_too_long_is_the_machines_fault_in_one_line(tmp_path: Path) -> None:
    with pytest.raises((UsageError, EnvironmentFaultError), match="--output"):
        output.write(["x"], tmp_path / ("n" * 300))
    assert list(tmp_path.iterdir()) == []


def test_marks_have_a_plain_form_where_the_terminal_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(raw, encoding="ascii"))
    output.write(["a → b ─▶ ✗ größe\n"], None)
    assert raw.getvalue() == b"a -> b -> x gr\\xf6\\xdfe\n"
