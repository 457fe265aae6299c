"""Some frames of a capture as a pcapng file, unchanged: bytes, times, lengths, interfaces and comments are tshark's copy.

Promises: frames in capture order, each once; tshark runs isolated, dissects nothing it need not, and writes no file itself. Very many
frames come as several sections of one pcapng file, which is what the format has sections for.
Must not know: connections, where the bytes go.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from analyzer.capture import isolation, tshark
from analyzer.errors import MachineError

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator, Sequence

T = TypeVar("T")

_FILTER: Final = 30_000
"""Characters of one display filter: an argument has its limit, and so has tshark's patience."""
_SECONDS: Final = 600.0


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

    Raises `MachineError` when tshark is missing or does not end well; of a damaged capture, which no tshark ends well on, too.
    """
    found = tshark.probe(program)
    # What lies above TCP matters to no frame number, and costs much.
    with isolation.private_home(found.forbidden) as home:
        for chosen in filters(frames):
            arguments = [found.path, "-n", "-r", str(Path(path).absolute()), "-Y", chosen, "-F", "pcapng", "-w", "-"]
            yield from _copy(arguments, home, timeout_s or _SECONDS)


def _copy(arguments: list[str], home: str, seconds: float) -> Iterator[bytes]:
    child = isolation.start(arguments, home, time.monotonic() + seconds, threading.Event())
    try:
        while batch := _result(child.read()):
            yield batch
        if _result(child.wait()) or child.overdue:
            said = child.error_text.decode(errors="replace").strip().splitlines()
            message = f"tshark did not copy the frames: {said[-1] if said else f'it ended with {child.process.returncode}'}"
            raise MachineError(message)
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
