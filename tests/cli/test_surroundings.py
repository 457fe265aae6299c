"""Runs with too little of what a program usually has: streams, memory, open files, disk space, a home, a working folder."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from analyzer.errors import MEMORY_HINT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Run = Callable[..., tuple[int, str, str]]
    Shell = Callable[[str], tuple[int, str, str]]

pytestmark = [
    pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed"),
    pytest.mark.skipif(sys.platform != "linux", reason="limits and mounts as Linux has them"),
]

ROOT = Path(__file__).parents[2]
MEMORY_KIB = 200_000
"""Address space in which Python starts, but not what reads captures."""


@pytest.fixture
def shell(captures: Path) -> Shell:
    """Run a line of shell, in which `pcaplint` is the command; give its status, standard output and standard error."""
    begin = f'pcaplint() {{ {shlex.quote(sys.executable)} -m analyzer "$@"; }}\n'

    def call(line: str) -> tuple[int, str, str]:
        environment = os.environ | {"PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(captures.parent)}
        done = subprocess.run(
            ["/bin/sh", "-c", begin + line],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env=environment,
            stdin=subprocess.DEVNULL,
        )
        assert "Traceback" not in done.stderr
        assert "internal error" not in done.stderr
        return done.returncode, done.stdout, done.stderr

    return call


@contextlib.contextmanager
def small_file_system(folder: Path, size: str) -> Iterator[None]:
    """Let there be a file system of `size` at `folder`; skip the test where that is not allowed."""
    folder.mkdir()
    mount, unmount = (shutil.which(name) for name in ("mount", "umount"))
    argv = [mount or "", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if not mount or not unmount or subprocess.run(argv, capture_output=True, check=False).returncode:
        pytest.skip("a small file system cannot be mounted here")
    try:
        yield
    finally:
        subprocess.run([unmount, str(folder)], check=True)


CLOSED = "pcaplint: error: cannot write: standard output is closed\n"


@pytest.mark.parametrize(
    "arguments", ["--version", "check --help", "rules list", "config show", "check wrong.pcap", "flows good.pcap -f json"]
)
def test_a_report_for_a_closed_standard_output_is_status_7(shell: Shell, arguments: str) -> None:
    assert shell(f"pcaplint {arguments} >&-") == (7, "", CLOSED)
    assert shell(f"pcaplint {arguments} <&- >&- 2>&-") == (7, "", "")


def test_with_closed_streams_reports_go_to_files_all_the_same(shell: Shell, captures: Path) -> None:
    for streams in (">&-", "2>&-", "<&- >&- 2>&-", "<&-"):
        status, out, err = shell(f"pcaplint check wrong.pcap -f csv -o x.csv {streams}")
        assert (status, out) == (1, "")
        assert ("1 connection checked" in err) == ("2>&-" not in streams)
        assert (captures / "x.csv").read_text().startswith("flow_id,")
        (captures / "x.csv").unlink()


@pytest.mark.parametrize(
    ("arguments", "status"), [("check good.pcap", 0), ("check wrong.pcap -f json", 1), ("check missing", 3), ("chek", 2)]
)
def test_a_closed_or_full_standard_error_changes_neither_status_nor_report(shell: Shell, arguments: str, status: int) -> None:
    expected = shell(f"pcaplint {arguments}")
    assert expected[0] == status
    for target in ("&-", "/dev/full"):
        assert shell(f"pcaplint {arguments} 2>{target}") == (status, expected[1], "")


@pytest.mark.parametrize("arguments", ["--version", "check good.pcap", "flows good.pcap -f json", "extract good.pcap f1 -o -"])
def test_a_full_standard_output_is_status_7(shell: Shell, arguments: str) -> None:
    assert shell(f"pcaplint {arguments} >/dev/full") == (7, "", "pcaplint: error: cannot write: No space left on device\n")


def test_a_script_from_a_closed_standard_input_is_status_3(shell: Shell) -> None:
    status, out, err = shell("pcaplint build - -o x.pcap <&-")
    assert (status, out) == (3, "")
    assert err == "pcaplint: error: -: Bad file descriptor\n"


@pytest.mark.parametrize("arguments", ["check good.pcap", "extract good.pcap f1 -o x"])
def test_too_little_memory_is_status_7_with_a_hint(shell: Shell, arguments: str) -> None:
    # What tshark knows is asked of it, and kept, while there is memory.
    status, out, err = shell(f"pcaplint doctor >/dev/null; ulimit -v {MEMORY_KIB}; pcaplint {arguments}")
    assert (status, out) == (7, "")
    assert err == f"pcaplint: error: {MEMORY_HINT}\n"


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (MemoryError(), MEMORY_HINT),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), MEMORY_HINT),
        (ImportError("libx.so: failed to map segment from shared object"), MEMORY_HINT),
        (SystemError("<function f at 0x7f> returned NULL without setting an exception"), MEMORY_HINT),
        (OSError(errno.EMFILE, "Too many open files", "x"), "too many files are open: raise the limit (ulimit -n), or give --jobs 1"),
        (RuntimeError("can't start new thread"), "no more threads can be started: raise the limit (ulimit -u), or give --jobs 1"),
        (OSError(errno.EIO, "Input/output error", "a\x1b"), r"a\x1b: Input/output error"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_the_machine_lacks_is_told_wherever_it_is_noticed(
    pcaplint: Run, monkeypatch: pytest.MonkeyPatch, error: Exception, message: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("analyzer.rules.load", fail)
    assert pcaplint("rules", "list") == (7, "", f"pcaplint: error: {message}\n")


@pytest.mark.parametrize(("cause", "status"), [(MemoryError(), 7), (FileNotFoundError(errno.ENOENT, "No such file or directory", "x"), 70)])
def test_an_internal_error_stays_one_whatever_file_was_missing_before(
    pcaplint: Run, monkeypatch: pytest.MonkeyPatch, cause: Exception, status: int
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError from cause

    monkeypatch.setattr("analyzer.rules.load", fail)
    assert pcaplint("rules", "list")[0] == status


@pytest.mark.parametrize("limit", [5, 8, 12])
def test_too_few_open_files_are_status_7(shell: Shell, limit: int) -> None:
    status, out, err = shell(f"ulimit -n {limit}; pcaplint check --engine pyshark good.pcap")
    assert (status, out) == (7, "")
    assert "oo many" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("arguments", ["check good.pcap wrong.pcap", "show good.pcap f1", "extract good.pcap f1 -o x.pcapng"])
def test_no_room_for_temporary_files_is_status_7_and_no_fault_of_the_capture(shell: Shell, captures: Path, arguments: str) -> None:
    # A file may have no byte: a full disk, to whoever writes.
    (captures / "temporary").mkdir()
    status, out, err = shell(f"export TMPDIR=$PWD/temporary; python3 -c 0; ulimit -f 1; pcaplint {arguments}")
    assert (status, out) == (7, "")
    assert err == (
        f"pcaplint: error: the folder for temporary files, {captures}/temporary: File too large; "
        "make room there, or name another folder by TMPDIR\n"
    )
    assert not list((captures / "temporary").iterdir())


def test_a_full_folder_for_temporary_files_is_status_7(shell: Shell, captures: Path) -> None:
    with small_file_system(captures / "small", "8k"):
        status, out, err = shell("TMPDIR=$PWD/small pcaplint check good.pcap; ended=$?; ls small; exit $ended")
    assert (status, out) == (7, "")
    assert f"{captures}/small: No space left on device" in err


def test_a_report_on_a_full_disk_is_status_7_and_leaves_nothing(shell: Shell, captures: Path) -> None:
    with small_file_system(captures / "small", "4k"):
        status, out, err = shell("pcaplint rules draw -f svg -o small/x.svg; ended=$?; ls -A small; exit $ended")
    assert (status, out, err) == (7, "", "pcaplint: error: --output small/x.svg: No space left on device\n")


@pytest.mark.parametrize(
    "surroundings",
    [
        "unset HOME",
        "HOME=/nonexistent",
        "HOME=",
        "export TMPDIR=/nonexistent",
        "unset LANG LC_ALL LC_CTYPE; export PYTHONUTF8=0 PYTHONCOERCECLOCALE=0",
        "export LC_ALL=nonsense",
        "unset PATH",
        "export COLUMNS=nonsense LINES=-1 TERM=nonsense",
    ],
)
def test_what_else_may_be_missing_changes_no_status(shell: Shell, captures: Path, surroundings: str) -> None:
    status, out, err = shell(f"{surroundings}; unset XDG_CACHE_HOME; pcaplint check wrong.pcap")
    assert status == 1, err
    assert "synack-ack-wrong" in out
    assert err == ""
    assert not (captures / "~").exists()


REMOVED = "mkdir gone; file=$PWD/good.pcap; cd gone; rmdir ../gone; "


def test_a_removed_working_folder_is_no_fault_of_a_capture(shell: Shell, captures: Path) -> None:
    status, out, err = shell(f'{REMOVED} pcaplint check "$file"')
    assert (status, err) == (0, "")
    assert "1 connection checked in 1 file: 1 ok." in out
    (captures / "x.toml").write_text("schema = 1\n")
    assert shell(f'{REMOVED} pcaplint check --baseline "${{file%/*}}/x.toml" "$file"')[0] == 0


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        ("check good.pcap", 3, ""),
        ('check "$file" -o x', 2, "the working folder is not there any more"),
        ('check "$file" --report json=x', 2, "the working folder is not there any more"),
        ('report "$file" -o x', 2, "No such file"),
        ('baseline write "$file"', 2, "the working folder is not there any more"),
        ('check --rules x "$file"', 6, "not a folder of rule files"),
        ('check --baseline x "$file"', 6, "No such file"),
        ('check --tshark ./x "$file"', 7, "is not a program"),
        ("config show", 0, ""),
    ],
)
def test_a_removed_working_folder_is_told_where_it_is_needed(shell: Shell, arguments: str, status: int, words: str) -> None:
    ended, _, err = shell(f"{REMOVED} pcaplint {arguments}")
    assert ended == status, err
    assert words in err


@pytest.mark.parametrize(
    "arguments",
    [
        ["check", "wrong.pcap", "--rules", "own", "--baseline", "x.toml", "-o", "old"],
        ["show", "good.pcap", "f1"],
        ["extract", "good.pcap", "f1", "-o", "old"],
        ["report", "good.pcap", "-o", "own"],
        ["rules", "check", "own"],
        ["rules", "draw", "-o", "old"],
        ["build", "script", "-o", "old"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_no_path_is_refused_before_it_is_looked_at(
    captures: Path, pcaplint: Run, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    """Typer refuses a whole call as wrong usage for one path that may not be read, unless told not to ask."""
    (captures / "own").mkdir()
    for name, text in {"own/x.toml": "", "x.toml": "schema = 1", "old": "", "script": "> S 1:1(0)"}.items():
        (captures / name).write_text(text)
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode, **how: mode != os.R_OK and access(path, mode, **how))
    status, _, err = pcaplint(*arguments)
    assert status != 2, err
    assert "not readable" not in err


_PR_CAPBSET_DROP = 24
_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH = 1, 2


def test_what_may_not_be_read_is_status_3_and_the_others_are_judged(captures: Path) -> None:
    libc = ctypes.CDLL(None)
    if os.geteuid() == 0 and libc.prctl(23, _CAP_DAC_OVERRIDE, 0, 0, 0) < 0:
        pytest.skip("root may read everything here")

    def be_like_others() -> None:
        for capability in (_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH):
            libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)

    shutil.copy("wrong.pcap", "denied.pcap")
    Path("denied.pcap").chmod(0)
    (captures / "closed").mkdir(mode=0)
    done = subprocess.run(
        [sys.executable, "-m", "analyzer", "check", "denied.pcap", "closed", "wrong.pcap"],
        preexec_fn=be_like_others,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 3, done.stderr
    assert done.stdout.count("Permission denied") == 2
    assert "1 connection checked in 3 files: 1 failed. 2 files could not be read." in " ".join(done.stdout.split())
