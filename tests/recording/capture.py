"""Recording one capture with tcpdump, and reading with tshark what it shows.

Promises: a capture holds whole frames with nanosecond times, begins when `film` is entered and has lost no frame.
Must not know: what a sample is about; it is told the expected openings as a regular expression.
"""

from __future__ import annotations

import re
import signal
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from tests.recording.network import CLIENT4, CLIENT6, Network
from tests.recording.tools import RecordingError, end, find, run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WANTED: Final = "tcp or icmp or (icmp6 and ip6[40] < 128)"
"""TCP and ICMP errors; address resolution comes whenever the kernel likes and would make no two recordings alike."""
SETTLE_S: Final = 0.3
LETTERS: Final = "FSRPAUEC"


@contextmanager
def film(network: Network, role: str, path: Path, direction: str = "inout") -> Iterator[None]:
    """Capture into `path` on the interface of `role` while the block runs; raises `RecordingError` if tcpdump lost frames."""
    command = [find("tcpdump"), "-i", "eth0", "-n", "-s", "0", "-U", "--immediate-mode", "--time-stamp-precision=nano"]
    command += ["-Z", "root", "-Q", direction, "-w", str(path), WANTED]
    with network.inside(role):
        tcpdump = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        _await_start(tcpdump)
        yield
        # The last frames pass through the kernel's ring before tcpdump writes them.
        time.sleep(SETTLE_S)
        tcpdump.send_signal(signal.SIGINT)
        said = tcpdump.communicate(timeout=10)[1]
    finally:
        end(tcpdump)
    if not re.search(r"^0 packets dropped by kernel", said, re.MULTILINE):
        message = f"tcpdump lost frames of {path.name}"
        raise RecordingError(message)
    path.chmod(0o644)


def _await_start(tcpdump: subprocess.Popen[str]) -> None:
    line = tcpdump.stderr.readline() if tcpdump.stderr else ""
    if "listening on" not in line:
        message = f"tcpdump did not start: {line.strip()}"
        raise RecordingError(message)


def story(path: Path) -> tuple[str, int]:
    """Return what the capture shows, a word a frame, and how many connections tshark counts in it.

    A word is `>` (from the client) or `<`, the flag letters with S and A first as one says them, and `+` where there is payload:
    `>S <SA >A >PA+ <A`. An ICMP error is `<icmp`.
    """
    fields = ("ip.src", "ipv6.src", "icmp.type", "icmpv6.type", "tcp.flags", "tcp.len", "tcp.stream")
    names = [word for field in fields for word in ("-e", field)]
    rows = run("tshark", "-n", "-r", str(path), "-T", "fields", "-E", "occurrence=f", *names).splitlines()
    words, streams = [], set()
    for row in rows:
        source4, source6, icmp, icmp6, flags, length, stream = row.split("\t")
        way = ">" if (source4 or source6) in {CLIENT4, CLIENT6} else "<"
        if icmp or icmp6:
            words.append(f"{way}icmp")
        else:
            words.append(f"{way}{_letters(int(flags, 16))}{'+' if int(length) else ''}")
            streams.add(stream)
    return " ".join(words), len(streams)


def _letters(flags: int) -> str:
    present = [letter for bit, letter in enumerate(LETTERS) if flags & (1 << bit)]
    return "".join(sorted(present, key="SFRPAUEC".index))
