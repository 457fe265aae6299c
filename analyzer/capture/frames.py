"""Capture files ─► where each frame lies, when it was captured, how long it was; window by window.

Promises: the same frames in the same order with the same numbers as tshark gives; damage ends the frames where it is met
and says where and what; a file of a kind that is not read here is refused before or while it is read, never half understood.
Must not know: what a frame holds.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from analyzer.errors import PcaplintError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[Any]
    Ints = npt.NDArray[np.int64]

MOST_CAPTURED_BYTES: Final = 262144
"""The longest frame Wireshark reads, for all link types but a few that are not read here."""


class ForeignError(PcaplintError):
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


@dataclass(slots=True)
class Outline:
    """What is known of a file so far."""

    interfaces: list[Interface] = field(default_factory=list)
    """In the order tshark numbers them."""
    damage: str = ""
    """What ended the frames before the end of the file, in one line."""


@dataclass(frozen=True, slots=True)
class Frames:
    """Consecutive frames whose bytes are in memory. All arrays have shape (n,)."""

    data: Array
    """uint8: the window; valid until the next one is asked for."""
    first: int
    """Number of the first frame, from 1."""
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
    base: int = -1
    """Where in the file `data` begins; -1 when the file is compressed, and holds no such bytes."""

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.start)


def read(path: Path, outline: Outline, window: int | None = None) -> Iterator[Frames]:
    """Give the frames of the capture at `path`, some thousands at a time; `outline` is filled in as they come.

    Raises `ForeignError` when the file is of a kind, or has a record, that is left to tshark; `OSError`.
    """
    from analyzer.capture import pcap, pcapng
    from analyzer.capture.buffers import Buffer

    with Buffer(path, window) as buffer:
        reader = pcapng.read if pcapng.recognise(buffer.store) else pcap.read
        for frames in reader(buffer, outline):
            yield frames if buffer.compressed else replace(frames, base=buffer.base)
        if buffer.damage and not outline.damage:
            outline.damage = f"{buffer.damage} after {buffer.base + buffer.size} bytes of what it holds"


def cut_short(base: int, place: int) -> str:
    """Return the reason of a capture that ends within a record."""
    return f"the capture ends in the middle of the record at byte {base + place}"
