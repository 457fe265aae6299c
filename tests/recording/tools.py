"""The programs a recording needs: found once by absolute path, run with a time limit.

Promises: a missing program or a failing command ends the recording in one line that names it.
Must not know: what is recorded.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PROGRAMS: Final = {
    "ethtool": "ethtool",
    "ip": "iproute2",
    "nft": "nftables",
    "nginx": "nginx",
    "nmap": "nmap",
    "openssl": "openssl",
    "postfix": "postfix",
    "tcpdump": "tcpdump",
    "tshark": "tshark",
    "unshare": "util-linux",
    "vsftpd": "vsftpd",
}
"""Program name to the Debian package that has it."""

SEARCH: Final = os.pathsep.join(("/usr/sbin", "/usr/bin", "/sbin", "/bin"))
LIMIT_S: Final = 60


class RecordingError(Exception):
    """The recording cannot go on; its text is one line for a person."""


def find(program: str) -> str:
    """Return the absolute path of `program`; raises `RecordingError` naming its Debian package."""
    path = shutil.which(program, path=SEARCH)
    if path is None:
        message = f"{program} is not installed: apt-get install {PROGRAMS.get(program, program)}"
        raise RecordingError(message)
    return path


def require() -> None:
    """Raise `RecordingError` unless this is root, pcaplint can be imported and every program is installed."""
    if os.geteuid() != 0:
        message = "recording needs root: it makes network namespaces and starts servers on their own ports"
        raise RecordingError(message)
    if importlib.util.find_spec("analyzer") is None:
        message = "pcaplint is not installed beside this script: scripts/run installs it"
        raise RecordingError(message)
    for program in PROGRAMS:
        find(program)


def run(program: str, *arguments: str, text: str | None = None) -> str:
    """Run `program` to its end in the calling thread's network namespace and return what it printed."""
    command = [find(program), *arguments]
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    if done.returncode != 0:
        message = f"{program} {' '.join(arguments)}: {(done.stderr or done.stdout).strip().splitlines()[-1:]}"
        raise RecordingError(message)
    return done.stdout


def wait_until(holds: Callable[[], bool], what: str, limit_s: float = 15) -> None:
    """Return when `holds()` is true; raises `RecordingError` naming `what` after `limit_s` seconds."""
    end = time.monotonic() + limit_s
    while not holds():
        if time.monotonic() > end:
            message = f"gave up after {limit_s:g} s: {what}"
            raise RecordingError(message)
        time.sleep(0.05)


def end(process: subprocess.Popen[bytes] | subprocess.Popen[str]) -> None:
    """Stop `process` and wait for it, politely first."""
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def write(path: Path, text: str, mode: int = 0o644) -> Path:
    """Write `text` to `path`, its folders made on the way, and return the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path
