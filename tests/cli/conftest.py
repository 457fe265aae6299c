"""Captures built from segment notation, and the command run as users run it."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from analyzer import notation
from analyzer.cli import run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SEGMENTS = {
    "good": """
        > S  100:100(0) win 64240 <mss 1460>
        < S. 300:300(0) ack 101 win 65535 <mss 1460>
        > .  101:101(0) ack 301 win 64240
        > P. 101:111(10) ack 301 win 64240
        < .  301:301(0) ack 111 win 65535
    """,
    "wrong": """
        > S  100:100(0) win 64240 <mss 1460>
        < S. 300:300(0) ack 102 win 65535 <mss 1460>
        > R  102:102(0) win 0
    """,
    "unanswered": """
        > S  100:100(0) win 64240 <mss 1460>
        +1 > S  100:100(0) win 64240 <mss 1460>
    """,
}


@pytest.fixture
def captures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with good.pcap, wrong.pcap, unanswered.pcap, a capture cut inside its last packet, and text that is none."""
    folder = tmp_path / "work"
    folder.mkdir()
    for name, segments in SEGMENTS.items():
        lines = "\n".join(line.strip() for line in segments.strip().splitlines())
        (folder / f"{name}.pcap").write_bytes(notation.build(notation.parse(lines)))
    (folder / "cut").mkdir()
    (folder / "cut" / "cut.pcap").write_bytes((folder / "good.pcap").read_bytes()[:-5])
    (folder / "text").mkdir()
    (folder / "text" / "text.pcap").write_text("no capture")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def pcaplint(capfdbinary: pytest.CaptureFixture[bytes]) -> Callable[..., tuple[int, str, str]]:
    """Run the command in this process; give its status, standard output and standard error."""

    def call(*arguments: str | Path) -> tuple[int, str, str]:
        status = run([str(argument) for argument in arguments])
        out, err = capfdbinary.readouterr()
        return status, out.decode(), err.decode()

    return call


@pytest.fixture
def start() -> Callable[..., subprocess.Popen[bytes]]:
    """Start the command in a process of its own, with both outputs piped unless told otherwise."""

    def call(*arguments: str | Path, environment: dict[str, str] | None = None, stdout: int = subprocess.PIPE) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "analyzer", *map(str, arguments)]
        return subprocess.Popen(command, stdout=stdout, stderr=subprocess.PIPE, env=os.environ | (environment or {}))

    return call
