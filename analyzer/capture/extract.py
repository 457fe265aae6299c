"""Some frames of a capture as a pcapng file, unchanged: bytes, times, lengths, interfaces and comments are tshark's copy.

Frames in capture order, each once; tshark runs isolated, dissects nothing it need not, and writes no file itself. Very many
frames come as several sections of one pcapng file, which is what the format has sections for.
"""

from __future__ import annotations

import struct
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from analyzer.capture.formats import magic
from analyzer.capture.tshark import probe, sandbox
from analyzer.errors import EnvironmentFaultError

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator, Sequence

T = TypeVar("T")

_FILTER: Final = 30_000
"""Characters of one display filter: an argument has its limit, and so has tshark's patience."""
_SECONDS: Final = 600.0
_HEAD_BYTES: Final = 8
"""A block's type and length."""
_WITHOUT_PACKET: Final = frozenset({magic.PCAPNG_SECTION, 1, 4, 5, 10})
"""Types of pcapng blocks: section, interface, names, statistics, secrets."""


def runs(frames: Sequence[int]) -> list[str]:
    """Return rising frame numbers as what a display filter takes: `3`, `5..9`."""
    found: list[list[int]] = []
    for frame in frames:
        if found and frame == found[-1][1] + 1:
            found[-1][1] = frame
        else:
            found.append([frame, frame])
    return [str(first) if first == last else f"{first}..{last}" for first, last in found]


def filters(frames: Sequence[int]) -> Iterator[str]:
    """Yield display filters of bounded length that together select `frames`, in order."""
    part: list[str] = []
    length = 0
    for run in runs(frames):
        if length + len(run) > _FILTER:
            yield f"frame.number in {{{', '.join(part)}}}"
            part, length = [], 0
        part.append(run)
        length += len(run) + 2
    yield f"frame.number in {{{', '.join(part)}}}"


def extract(path: str | Path, frames: Sequence[int], *, program: str | None = None, timeout_s: float | None = None) -> Iterator[bytes]:
    """Yield the pcapng bytes of the frames numbered `frames` (rising, not empty) in the capture at `path`.

    Raises `EnvironmentFaultError` when tshark is missing, does not end well or copies fewer frames; also for a damaged
    capture, on which no tshark ends well.
    """
    found = probe.probe(program)
    # What lies above TCP matters to no frame number, and costs much.
    with sandbox.private_home(found.forbidden) as home:
        copied = _Packets()
        for chosen in filters(frames):
            arguments = [found.path, "-n", "-r", str(Path(path).absolute()), "-Y", chosen, "-F", "pcapng", "-w", "-"]
            for batch in _copy(arguments, home, timeout_s or _SECONDS):
                copied.add(batch)
                yield batch
    if copied.count < len(frames):
        message = f"tshark copied {copied.count} of {len(frames)} frames"
        raise EnvironmentFaultError(message)


class _Packets:
    """Counts the packets of a pcapng file that comes in parts."""

    def __init__(self) -> None:
        self.count = 0
        self._head = bytearray()
        self._skip = 0
        """Bytes that are left of the block whose head has been seen."""

    def add(self, data: bytes) -> None:
        """Take the next part."""
        place = 0
        while place < len(data):
            step = min(self._skip, len(data) - place)
            if not step:
                step = min(_HEAD_BYTES - len(self._head), len(data) - place)
                self._head += data[place : place + step]
                if len(self._head) == _HEAD_BYTES:
                    kind, length = struct.unpack("=II", self._head)
                    self.count += kind not in _WITHOUT_PACKET
                    self._skip, self._head = max(length - _HEAD_BYTES, 0), bytearray()
            else:
                self._skip -= step
            place += step


def _copy(arguments: list[str], home: str, seconds: float) -> Iterator[bytes]:
    child = sandbox.start(arguments, home, time.monotonic() + seconds, threading.Event())
    try:
        while batch := _result(child.read()):
            yield batch
        if _result(child.wait()) or child.timed_out:
            stderr_lines = child.error_text.decode(errors="replace").strip().splitlines()
            message = f"tshark did not copy the frames: {stderr_lines[-1] if stderr_lines else f'it ended with {child.process.returncode}'}"
            raise EnvironmentFaultError(message)
    finally:
        child.close()


def _result(coroutine: Coroutine[Any, Any, T]) -> T:
    """Return what a coroutine that never waits for an event loop returns: a child's are coroutines only because pyshark expects that."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    message = "a child's coroutine waited"
    raise RuntimeError(message)
