"""Faults of the system: each ends with a status of the contract and a line that says what is wrong, whichever command meets it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    Make = Callable[[Path], None]
    Run = Callable[..., tuple[int, str, str]]

pytestmark = pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")

ON_A_FOLDER = (
    ["check"],
    ["check", "-f", "json"],
    ["flows"],
    ["report", "-o", "out"],
    ["expect", "write"],
    ["baseline", "write", "-o", "out.toml"],
)
"""Commands that take a folder of captures."""


@pytest.fixture
def folder(captures: Path) -> Path:
    """A folder of one good capture, one that is empty, a dangling link, and two other files."""
    folder = captures / "folder"
    folder.mkdir()
    shutil.copy(captures / "good.pcap", folder)
    (folder / "empty.pcap").write_bytes(b"")
    (folder / "dangling.pcap").symlink_to("nowhere")
    for name in ("README", "notes.txt"):
        (folder / name).write_text("no capture")
    return folder


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("command", ON_A_FOLDER, ids=" ".join)
def test_broken_captures_of_a_folder_are_told_and_other_files_counted(pcaplint: Run, command: list[str]) -> None:
    status, out, err = pcaplint(*command, "folder")
    told = " ".join((out + err).split())
    assert status == 3
    assert "the file is empty" in told
    assert "it is a link to a file that is not there" in told
    assert "2 other files passed over" in told
    assert "internal error" not in err


@pytest.mark.usefixtures("folder", "unprivileged")
@pytest.mark.parametrize("command", ON_A_FOLDER, ids=" ".join)
def test_what_may_not_be_read_is_told_and_the_others_are_judged(captures: Path, pcaplint: Run, command: list[str]) -> None:
    (captures / "closed").mkdir(mode=0)
    shutil.copy("wrong.pcap", "denied.pcap")
    Path("denied.pcap").chmod(0)
    status, out, err = pcaplint(*command, "closed", "closed/x.pcap", "denied.pcap", "n" * 300, "good.pcap")
    told = " ".join((out + err).split())
    assert status == 3
    for reason in ("the folder cannot be read: Permission denied", "it cannot be read: Permission denied", "File name too long"):
        assert reason in told
    assert "internal error" not in err
    if command == ["check"]:
        assert "1 connection checked in 5 files: 1 ok. 4 files could not be read." in told


def _link_to_nothing(path: Path) -> None:
    path.symlink_to("nowhere")


def _loop(path: Path) -> None:
    path.symlink_to(path.name)


def _device(path: Path) -> None:
    path.symlink_to("/dev/zero")


NO_FILES: dict[str, tuple[Make, str]] = {
    "pipe": (os.mkfifo, "it is a pipe, not a file"),
    "folder": (Path.mkdir, "it is a folder, not a file"),
    "device": (_device, "it is a device, not a file"),
    "link to nothing": (_link_to_nothing, "it is a link that leads to no file"),
    "loop": (_loop, "it is a link that leads to no file"),
}
"""What may have the name of a file that is read, and what is said of it. Reading a pipe nobody writes to never ends."""


READERS: dict[str, tuple[int, list[list[str]]]] = {
    "expect.toml": (6, [["check"], ["report", "-o", "out"], ["show", "good.pcap", "f1"], ["baseline", "write"]]),
    "pyproject.toml": (
        2,
        [["check"], ["flows"], ["show", "good.pcap", "f1"], ["config", "show"], ["extract", "good.pcap", "f1", "-o", "x"]],
    ),
    "pcaplint.toml": (2, [["check"], ["config", "show"]]),
}
"""Files that are read without being named, the status when one is refused, and commands that read it."""


@pytest.mark.parametrize("kind", NO_FILES)
@pytest.mark.parametrize("name", READERS)
def test_a_name_we_read_that_is_no_file_is_told(captures: Path, pcaplint: Run, kind: str, name: str) -> None:
    make, reason = NO_FILES[kind]
    status, commands = READERS[name]
    make(captures / name)
    for command in commands:
        inputs = [] if {"good.pcap", "config"} & set(command) else ["good.pcap"]
        ended, out, err = pcaplint(*command, *inputs)
        assert (ended, out) == (status, "")
        assert err.startswith("pcaplint: error: ")
        assert err.endswith(f"{name}: {reason}\n")
        assert err.count("\n") == 1


@pytest.mark.parametrize("kind", [kind for kind in NO_FILES if kind != "folder"])
def test_a_rule_file_that_is_no_file_is_told(captures: Path, pcaplint: Run, kind: str) -> None:
    make, _ = NO_FILES[kind]
    (captures / "own").mkdir()
    make(captures / "own" / "x.toml")
    for arguments in (["check", "--rules", "own", "good.pcap"], ["rules", "list", "--rules", "own"], ["rules", "check", "own"]):
        status, out, err = pcaplint(*arguments)
        assert (status, out) == (6, "")
        assert err.startswith("pcaplint: error: own/x.toml: ")
        assert err.count("\n") == 1


@pytest.mark.usefixtures("unprivileged")
@pytest.mark.parametrize("folder", ["closed", "closed/inside", "n" * 300, "loop", "/".join(["d" * 200] * 25), "above"])
def test_a_folder_of_rules_that_cannot_be_read_is_told(captures: Path, pcaplint: Run, folder: str) -> None:
    _loop(captures / "loop")
    (captures / "closed").mkdir(mode=0)
    (captures / "above" / "closed").mkdir(parents=True, mode=0)
    (captures / "above" / "x.toml").touch()
    (captures / "above" / "closed").chmod(0)
    for arguments in (["check", "--rules", folder, "good.pcap"], ["rules", "list", "--rules", folder], ["rules", "check", folder]):
        status, out, err = pcaplint(*arguments)
        assert (status, out) == (6, "")
        assert err.startswith(f"pcaplint: error: {folder}")
        assert err.count("\n") == 1


@pytest.mark.usefixtures("unprivileged")
@pytest.mark.parametrize("kind", [*NO_FILES, "denied", "behind a closed folder", "long", "missing"])
def test_a_baseline_that_cannot_be_read_is_told(captures: Path, pcaplint: Run, kind: str) -> None:
    (captures / "closed").mkdir(mode=0)
    name = {"behind a closed folder": "closed/x", "long": "n" * 300}.get(kind, "x.toml")
    if kind in NO_FILES:
        NO_FILES[kind][0](captures / name)
    elif kind == "denied":
        Path(name).touch(mode=0)
    status, out, err = pcaplint("check", "--baseline", name, "good.pcap")
    assert (status, out) == (6, "")
    assert err.startswith(f"pcaplint: error: {name}: ")
    assert err.count("\n") == 1


def test_a_configuration_that_names_what_no_file_can_be_called_is_refused(captures: Path, pcaplint: Run) -> None:
    for setting in ('baseline = "a\\u0000b"', 'rules = ["a\\u0000b"]'):
        (captures / "pcaplint.toml").write_text(setting)
        status, out, err = pcaplint("check", "good.pcap")
        assert (status, out) == (2, "")
        # Python 3.11 says "null byte", later versions "null character".
        assert "null " in err
        assert err.count("\n") == 1


EXPECTED = '[[capture.expect]]\nverdict = "invalid"\ncount = 1\nreason = "for this test"\n'


def test_an_expectation_may_name_what_no_file_can_be_called(captures: Path, pcaplint: Run) -> None:
    for name in ("n" * 300, "a\\u0000b"):
        (captures / "expect.toml").write_text(f'schema = 1\n[[capture]]\nfile = "{name}"\n' + EXPECTED)
        status, out, err = pcaplint("check", "good.pcap")
        assert (status, out) == (6, "")
        assert err.startswith("pcaplint: error: expect.toml:3:1: capture 1, file: ")


@pytest.mark.usefixtures("unprivileged")
def test_an_expect_toml_in_a_folder_that_cannot_be_listed_is_told(captures: Path, pcaplint: Run) -> None:
    (captures / "expect.toml").write_text('schema = 1\n[[capture]]\nfile = "*.pcap"\n' + EXPECTED)
    captures.chmod(0o311)
    status, out, err = pcaplint("check", "good.pcap")
    assert (status, out) == (6, "")
    assert err == "pcaplint: error: expect.toml: its folder cannot be read: Permission denied\n"


@pytest.mark.usefixtures("unprivileged")
def test_a_pyproject_toml_that_may_not_be_read_is_told(captures: Path, pcaplint: Run) -> None:
    (captures / "pyproject.toml").touch(mode=0)
    status, out, err = pcaplint("check", "good.pcap")
    assert (status, out) == (2, "")
    assert err.endswith("/pyproject.toml: Permission denied\n")


@pytest.mark.usefixtures("unprivileged")
@pytest.mark.parametrize("place", ["closed/x", "n" * 300, "loop/x", "missing/x", "readonly/x", "good.pcap/x", "/dev/full", "/dev/null"])
@pytest.mark.parametrize(
    "command", [["check", "-o"], ["report", "-o"], ["expect", "write", "-o"], ["baseline", "write", "-o"], ["build", "-o"]], ids=" ".join
)
def test_a_place_that_cannot_be_written_is_told(captures: Path, pcaplint: Run, place: str, command: list[str]) -> None:
    _loop(captures / "loop")
    (captures / "closed").mkdir(mode=0)
    (captures / "readonly").mkdir(mode=0o555)
    (captures / "script").write_text("> S  100:100(0) win 64240\n")
    status, out, err = pcaplint(*command, place, "script" if command[0] == "build" else "good.pcap")
    assert status in {2, 7}
    assert out == ""
    assert err.startswith(f"pcaplint: error: --output {place}")
    assert err.count("\n") == 1
    assert not list((captures / "readonly").iterdir())


def test_what_cannot_be_run_as_tshark_is_told(captures: Path, pcaplint: Run) -> None:
    assert captures.is_dir()
    for name in ("/" + "n" * 300, "./good.pcap", ".", "good.pcap/x"):
        status, out, err = pcaplint("check", "--tshark", name, "good.pcap")
        assert (status, out) == (7, "")
        assert err.startswith("pcaplint: error: ")
        assert err.count("\n") == 1


def test_a_script_is_a_file(captures: Path, pcaplint: Run) -> None:
    os.mkfifo(captures / "script")
    assert pcaplint("build", "script", "-o", "x.pcap") == (3, "", "pcaplint: error: script: it is a pipe, not a file\n")
