"""What runs in a process that reads parts of a file for another: orders come in, pieces go out.

Promises: the bytes of arrays are neither copied into a pickle nor out of one; the process ends when its input does, or when
nobody takes its output.
Must not know: who asks, which part comes first.
"""

from __future__ import annotations

import contextlib
import mmap
import pickle
import struct
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from analyzer.capture import pieces
from analyzer.capture.frames import ForeignError

if TYPE_CHECKING:
    from analyzer.capture.frames import Outline


READY: Final = "ready"
"""What is said first: all modules are there."""
_ALIGNED: Final = 8
_MAGIC: Final = b"pcaplint"


@dataclass(frozen=True, slots=True)
class End:
    """What is said after the pieces of a stretch."""

    outline: Outline
    foreign: str
    """Why it cannot be read here, empty when it can."""


def serve() -> None:
    """Read the stretches that standard input names, one after another."""
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    with contextlib.suppress(EOFError, BrokenPipeError):
        send(sink, READY)
        while True:
            stretch, foreign = pickle.load(source), ""  # noqa: S301 - from the process that started this one
            try:
                for piece in pieces.read(stretch):
                    send(sink, piece)
            except ForeignError as error:
                foreign = str(error)
            send(sink, End(stretch.outline, foreign))


def send(sink: BinaryIO, item: object) -> None:
    """Write `item`, its arrays behind it as they are (pickle's out-of-band buffers, PEP 574)."""
    buffers: list[pickle.PickleBuffer] = []
    head = pickle.dumps(item, protocol=5, buffer_callback=buffers.append)
    raw = [buffer.raw() for buffer in buffers]
    sink.write(_MAGIC + struct.pack("<II", len(head), len(raw)) + struct.pack(f"<{len(raw)}Q", *map(len, raw)) + head)
    sink.writelines(raw)
    sink.flush()


def receive(source: BinaryIO) -> Any:  # noqa: ANN401 - whatever was sent
    """Return the next item; raises `EOFError` when there is none, or not all of it."""
    if _take(source, len(_MAGIC)) != _MAGIC:
        # Whatever is imported when an interpreter starts may print.
        message = "something else was printed"
        raise EOFError(message)
    length, count = struct.unpack("<II", _take(source, 8))
    sizes = struct.unpack(f"<{count}Q", _take(source, 8 * count))
    head = _take(source, length)
    # Memory of its own, which goes back to the system as a whole: the allocator would keep holes.
    data = memoryview(mmap.mmap(-1, sum(size + -size % _ALIGNED for size in sizes) or 1))
    buffers, at = [], 0
    for size in sizes:
        buffers.append(data[at : at + size])
        _fill(source, buffers[-1])
        at += size + -size % _ALIGNED
    return pickle.loads(head, buffers=buffers)  # noqa: S301 - from a process started here


def _take(source: BinaryIO, size: int) -> bytearray:
    """Return the next `size` bytes."""
    data = bytearray(size)
    _fill(source, memoryview(data))
    return data


def _fill(source: BinaryIO, target: memoryview) -> None:
    """Read as many bytes as `target` has; raises `EOFError` when there are fewer."""
    filled = 0
    while filled < len(target):
        found = source.readinto(target[filled:])  # type: ignore[attr-defined] # all raw and buffered files have it
        if not found:
            raise EOFError
        filled += found
