"""The fixture `pcap_recorder`: loopback traffic recorded by dumpcap or tcpdump while a test runs.

The capture is complete: a datagram that the recorder itself sends is waited for in the file, at the start and at the end, and packets
come in order. Datagrams are no TCP, so no report counts them.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

LOOPBACK: Final = "lo" if sys.platform == "linux" else "lo0"
_PROGRAMS: Final = ("dumpcap", "tcpdump")
"""What can record, in the order of preference: dumpcap may often be run without being root."""
_MAX_WAIT_S: Final = 20.0
"""How long to wait for a datagram in the file."""
_RETRY_S: Final = 0.1
"""After which a datagram is sent again: the first ones are sent before anything is recorded."""


class RecordedCapture:
    """One capture that a test recorded; as a path, it is that of its file."""

    def __init__(self, path: Path) -> None:
        """Name the file."""
        self.path = path

    def __fspath__(self) -> str:
        """Return the path of the file."""
        return str(self.path)


@dataclass(frozen=True, slots=True)
class _Running:
    """A program that records, and the socket that its datagrams are sent to."""

    process: subprocess.Popen[bytes]
    mark: socket.socket
    errors: Path


class Recorder:
    """The value of the fixture: called with ports, it records their TCP traffic for the length of a `with` block."""

    def __init__(self, folder: Path) -> None:
        """Record into `folder`."""
        self._folder = folder
        self._running: list[_Running] = []
        self.paths: list[Path] = []

    @contextmanager
    def __call__(self, *, port: int | tuple[int, ...] | list[int], interface: str = LOOPBACK) -> Iterator[RecordedCapture]:
        """Record TCP traffic from and to `port`, or several, on `interface`; the file is complete when the block is left.

        Skips the test, with the reason, where no program can record.
        """
        ports = (port,) if isinstance(port, int) else tuple(port)
        path = self._folder / f"capture-{len(self.paths) + 1}.pcapng"
        running = self._start(path, ports, interface)
        try:
            yield RecordedCapture(path)
            _await_mark(running, path)
        finally:
            self.stop()

    def stop(self) -> None:
        """End what still runs."""
        while self._running:
            _end(self._running.pop())

    def remove(self) -> None:
        """Remove the captures."""
        for path in self.paths:
            path.unlink(missing_ok=True)

    def _start(self, path: Path, ports: tuple[int, ...], interface: str) -> _Running:
        found = [program for name in _PROGRAMS if (program := shutil.which(name))]
        reasons = [] if found else [f"neither {' nor '.join(_PROGRAMS)} is installed"]
        for program in found:
            running = _launch(program, path, ports, interface)
            self._running.append(running)
            try:
                _await_mark(running, path)
            except _EndedError as error:
                self.stop()
                path.unlink(missing_ok=True)
                reasons.append(f"{Path(program).name}: {error}")
            else:
                self.paths.append(path)
                return running
        pytest.skip(f"pcap_recorder cannot record on {interface}: {'; '.join(reasons)}")


class _EndedError(Exception):
    """The program ended, or records nothing; the text is why."""


def _launch(program: str, path: Path, ports: tuple[int, ...], interface: str) -> _Running:
    mark = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    mark.bind(("127.0.0.1", 0))
    tcp = " or ".join(f"tcp port {port}" for port in ports)
    chosen = f"{tcp} or (udp dst port {mark.getsockname()[1]} and dst host 127.0.0.1)"
    if Path(program).name == "dumpcap":
        command = [program, "-q", "-i", interface, "-f", chosen, "-w", str(path)]
    else:
        # Without -Z tcpdump that root starts writes as a user who may not enter the folder of a test.
        user = ["-Z", "root"] if os.geteuid() == 0 else []
        command = [program, *user, "-U", "--immediate-mode", "-n", "-i", interface, "-w", str(path), chosen]
    errors = path.with_suffix(".log")
    with errors.open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log)
    return _Running(process, mark, errors)


def _await_mark(running: _Running, path: Path) -> None:
    """Send a datagram until its text is in the file at `path`: all packets before it are there then, too."""
    text = secrets.token_hex(16).encode()
    deadline = time.monotonic() + _MAX_WAIT_S
    position = 0
    while True:
        if running.process.poll() is not None:
            raise _EndedError(_last_line(running))
        if time.monotonic() > deadline:
            message = f"nothing was recorded in {_MAX_WAIT_S:g} seconds"
            raise _EndedError(message)
        running.mark.sendto(text, running.mark.getsockname())
        time.sleep(_RETRY_S)
        with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
            file.seek(max(position - len(text), 0))
            added = file.read()
            position = file.tell()
            if text in added:
                return


def _last_line(running: _Running) -> str:
    """Return what the program printed last that is no progress."""
    lines = running.errors.read_text(encoding="utf-8", errors="replace").split("\n")
    wanted = [line.strip() for line in lines if "permission" in line.lower() or "permitted" in line.lower()] or [
        line.strip() for line in lines if line.strip()
    ]
    return wanted[0] if wanted else f"it ended with status {running.process.returncode}"


def _end(running: _Running) -> None:
    if running.process.poll() is None:
        running.process.send_signal(signal.SIGINT)
        try:
            running.process.wait(timeout=_MAX_WAIT_S)
        except subprocess.TimeoutExpired:
            running.process.kill()
            running.process.wait()
    running.mark.close()
    running.errors.unlink(missing_ok=True)
