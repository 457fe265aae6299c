"""Capture files ─► where each frame lies, when it was captured, how long it was; window by window.

Promises: the same frames in the same order with the same numbers as tshark gives; damage ends the frames where it is met
and says where and what; a file of a kind that is not read here is refused before or while it is read, never half understood.
Must not know: what a frame holds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from analyzer.errors import PcaplintError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from mmap import mmap
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from analyzer.capture.formats.pcapng_blocks import Description
    from analyzer.capture.formats.resync import RecordFormat

    Store = bytearray | mmap
    Array = npt.NDArray[Any]
    Ints = npt.NDArray[np.int64]

MAX_CAPTURED_BYTES: Final = 262144
"""The longest frame Wireshark reads, for all link types but a few that are not read here."""


class UnsupportedFormatError(PcaplintError):
    """The file is, or turns out to be, of a kind that only tshark reads."""


@dataclass(frozen=True, slots=True)
class Interface:
    """What a frame was captured on."""

    link: int
    """Link type: a LINKTYPE_ number."""
    number: int = -1
    """The number tshark gives it, which counts within a section; -1 when the format knows no interfaces."""
    fcs: int = 0
    """Bytes of frame check sequence that each frame is said to end with."""


@dataclass(frozen=True, slots=True)
class ResumePoint:
    """A place between two records, and all that must be known there to read on: reading on from equal places gives the same."""

    byte: int
    kind: RecordFormat
    interfaces: tuple[Interface, ...]
    """All of the file so far."""
    described: tuple[Description, ...] = ()
    """What a pcapng section says of its own."""


@dataclass(slots=True)
class ScanState:
    """What is known of a file so far."""

    interfaces: list[Interface] = field(default_factory=list)
    """In the order tshark numbers them."""
    damage: str = ""
    """What ended the frames before the end of the file, in one line."""
    place: ResumePoint | None = None
    """Where reading stopped because it was told to."""
    lost: list[str] = field(default_factory=list)
    """How processes ended that were to read a part of the file and did not."""


@dataclass(frozen=True, slots=True)
class Frames:
    """Consecutive frames whose bytes are in memory. All arrays have shape (n,)."""

    data: Array
    """uint8: the window; valid until the next one is asked for."""
    first: int
    """Number of the first frame, from 1 where reading began."""
    base: int
    """The byte of what the file holds that `data` begins with."""
    start: Ints
    """Where each frame begins in `data`."""
    captured: Ints
    """Bytes there are of it."""
    length: Ints
    """Bytes it had."""
    time: Ints
    """Nanoseconds since the epoch, NO_TIME where the record has none."""
    interface: Ints
    """Place in `Outline.interfaces`, -1 for a record that counts as a frame and holds no packet."""

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.start)

    def look_up(self, interfaces: Sequence[Interface], name: str, absent: int) -> Ints:
        """Return an attribute of each frame's interface, `absent` for a record that has none.

        Only the interfaces between the first and the last of these frames are looked at: a file may have very many.
        """
        import numpy as np

        if not len(self):
            return np.zeros(0, dtype=np.int64)
        low, high = max(int(self.interface.min()), 0), int(self.interface.max())
        values = np.array([*(getattr(one, name) for one in interfaces[low : high + 1]), absent], dtype=np.int64)
        # The last of the values is that of -1.
        found: Ints = values[np.maximum(self.interface - low, -1) if low else self.interface]
        return found

    def copy(self, rows: Ints) -> Frames:
        """Return some of the frames with a copy of their bytes alone; `first` and `base` lose their meaning."""
        import numpy as np

        captured = self.captured[rows]
        bounds = zip(self.start[rows].tolist(), captured.tolist(), strict=True)
        data = np.concatenate([np.zeros(0, dtype=np.uint8), *(self.data[start : start + size] for start, size in bounds)])
        start = np.cumsum(captured) - captured
        return Frames(data, 1, 0, start, captured, self.length[rows], self.time[rows], self.interface[rows])


def read(
    path: Path, outline: ScanState, window: int | None = None, *, begin: ResumePoint | None = None, stop: int | None = None
) -> Iterator[Frames]:
    """Give the frames of the capture at `path`, some thousands at a time; `outline` is filled in as they come.

    From `begin` on, which must be no place in a gzip file, and those whose records begin before byte `stop`.

    Raises `ForeignError` when the file is of a kind, or has a record, that is left to tshark; `OSError`.
    """
    from analyzer.capture.formats import pcap, pcapng, pcapng_blocks
    from analyzer.capture.formats.window import FileWindow

    with FileWindow(path, window, 0 if begin is None else begin.byte, stop) as buffer:
        if begin is not None:
            outline.interfaces[:] = begin.interfaces
        ng = pcapng.recognise(buffer.store) if begin is None else isinstance(begin.kind, pcapng_blocks.Blocks)
        yield from (pcapng.read if ng else pcap.read)(buffer, outline, begin, stop)
        if buffer.damage and not outline.damage:
            outline.damage = f"{buffer.damage} after {buffer.base + buffer.size} bytes of what it holds"


def cut_short(base: int, place: int) -> str:
    """Return the reason of a capture that ends within a record."""
    return f"the capture ends in the middle of the record at byte {base + place}"
