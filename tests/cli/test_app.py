from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import analyzer
from analyzer.errors import EnvironmentFaultError

if TYPE_CHECKING:
    from collections.abc import Callable

    Run = Callable[..., tuple[int, str, str]]
    Start = Callable[..., subprocess.Popen[bytes]]

needs_tshark = pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")

COMMANDS = (["check"], ["flows"], ["show"], ["doctor"], ["rules"], ["rules", "list"], ["rules", "explain"], ["rules", "check"])


def test_what_finds_and_reads_captures_waits_with_pandas_until_tshark_starts() -> None:
    script = "import sys; import analyzer.api; assert not {'pandas', 'numpy', 'pyshark'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_asking_for_help_imports_nothing_heavy() -> None:
    script = "import sys; from analyzer.cli import run; run(['check', '--help']); print(sorted(sys.modules), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    modules = done.stderr
    assert "'analyzer.cli.commands.check'" in modules
    for name in ("pandas", "numpy", "pyshark", "jsonschema", "asyncio"):
        assert f"'{name}'" not in modules


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help_that_fits_80_columns(pcaplint: Run, monkeypatch: pytest.MonkeyPatch, command: list[str]) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    status, out, err = pcaplint(*command, "--help")
    assert (status, err) == (0, "")
    assert out.startswith("Usage: pcaplint " + " ".join(command))
    assert max(map(len, out.splitlines())) <= 80


def test_version(pcaplint: Run) -> None:
    assert pcaplint("--version") == (0, f"pcaplint {analyzer.__version__}\n", "")


@pytest.mark.parametrize("arguments", [[], ["rules"]])
def test_no_command_is_a_usage_error_answered_with_help(pcaplint: Run, arguments: list[str]) -> None:
    status, out, err = pcaplint(*arguments)
    assert (status, out) == (2, "")
    assert err.startswith("Usage: pcaplint")


@pytest.mark.parametrize(
    "arguments", [["chek"], ["--no-such"], ["check"], ["show", "x"], ["check", "--top", "3", "x"], ["check", "\x1b[2J"]]
)
def test_wrong_usage_is_one_line(pcaplint: Run, arguments: list[str]) -> None:
    status, out, err = pcaplint(*arguments)
    assert status in {2, 3}
    assert "\x1b" not in out + err
    if status == 2:
        assert out == ""
        assert err.startswith("pcaplint: error: ")
        assert err.count("\n") == 1


def test_an_internal_error_is_one_line_and_a_traceback_only_on_request(pcaplint: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        message = "deep\x1b[2J"
        raise ZeroDivisionError(message)

    monkeypatch.setattr("analyzer.rules.load", fail)
    status, out, err = pcaplint("rules", "list")
    assert (status, out) == (70, "")
    assert err == r"pcaplint: error: internal error: ZeroDivisionError: deep\x1b[2J; please report it (--debug shows the traceback)" + "\n"
    assert "Traceback" in pcaplint("--debug", "rules", "list")[2]


def test_errors_carry_their_status_through(pcaplint: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        message = "no tshark"
        raise EnvironmentFaultError(message)

    monkeypatch.setattr("analyzer.rules.load", fail)
    assert pcaplint("rules", "list") == (7, "", "pcaplint: error: no tshark\n")


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_end_it_quietly_with_their_status(
    start: Start, captures: Path, tmp_path: Path, number: signal.Signals, status: int
) -> None:
    fake = tmp_path / "tshark"
    fake.write_text(f"#!/bin/sh\ntouch {tmp_path}/began\nexec sleep 60\n")
    fake.chmod(0o755)
    process = start("check", "--tshark", fake, captures / "good.pcap")
    deadline = time.monotonic() + 60
    while not (tmp_path / "began").exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == status
    assert out == b""
    assert b"Traceback" not in err


@needs_tshark
def test_a_closed_pipe_is_no_error(start: Start) -> None:
    read, write = os.pipe()
    os.close(read)
    process = start("rules", "list", stdout=write)
    os.close(write)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 141
    assert err == b""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_full_disk_is_one_line(start: Start) -> None:
    with Path("/dev/full").open("wb") as full:
        process = start("rules", "list", stdout=full.fileno())
        _, err = process.communicate(timeout=60)
    assert process.returncode == 7
    assert err == b"pcaplint: error: cannot write: No space left on device\n"


def test_standard_streams_may_be_missing(captures: Path) -> None:
    script = f"exec {sys.executable} -m analyzer rules list <&- 2>&-"
    done = subprocess.run(["/bin/sh", "-c", script], stdout=subprocess.PIPE, check=False, cwd=captures)
    assert done.returncode == 0
    assert b"synack-ack-wrong" in done.stdout
