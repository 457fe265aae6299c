"""Frames as the readers of capture formats give them: where each lies in a window, when it was captured, how long it was."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from analyzer.errors import PcaplintError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from mmap import mmap

    from analyzer._typing import Array, Int64Array

    Store = bytearray | mmap

MAX_CAPTURED_BYTES: Final = 262144
"""The longest frame Wireshark reads, for all link types but a few that are not read here."""


class UnsupportedFormatError(PcaplintError):
    """The file is of a kind that only tshark reads."""


@dataclass(frozen=True, slots=True)
class Interface:
    """What a frame was captured on."""

    link: int
    """Link type: a LINKTYPE_ number."""
    number: int = -1
    """The number tshark gives it, which counts within a section; -1 when the format knows no interfaces."""
    fcs: int = 0
    """Bytes of frame check sequence at the end of each frame, as the file states."""


@dataclass(frozen=True, slots=True)
class Frames:
    """Consecutive frames whose bytes are in memory. All arrays have shape (n,)."""

    data: Array
    """uint8: the window; valid until the next one is read."""
    first: int
    """Number of the first frame, from 1 where reading began."""
    base: int
    """The byte of what the file holds that `data` begins with."""
    start: Int64Array
    """Where each frame begins in `data`."""
    captured: Int64Array
    """Bytes there are of it."""
    length: Int64Array
    """Bytes it had."""
    time: Int64Array
    """Nanoseconds since the epoch, NO_TIME where the record has none."""
    interface: Int64Array
    """Place in `ScanState.interfaces`, -1 for a record that counts as a frame and holds no packet."""

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.start)

    def look_up(self, interfaces: Sequence[Interface], name: str, absent: int) -> Int64Array:
        """Return an attribute of each frame's interface, `absent` for a record that has none.

        Only the interfaces between the first and the last of these frames are looked at: a file may have very many.
        """
        import numpy as np

        if not len(self):
            return np.zeros(0, dtype=np.int64)
        low, high = max(int(self.interface.min()), 0), int(self.interface.max())
        values = np.array([*(getattr(one, name) for one in interfaces[low : high + 1]), absent], dtype=np.int64)
        # The last of the values is that of -1.
        found: Int64Array = values[np.maximum(self.interface - low, -1) if low else self.interface]
        return found

    def copy(self, rows: Int64Array) -> Frames:
        """Return some of the frames with a copy of their bytes alone; `first` and `base` lose their meaning."""
        import numpy as np

        captured = self.captured[rows]
        bounds = zip(self.start[rows].tolist(), captured.tolist(), strict=True)
        data = np.concatenate([np.zeros(0, dtype=np.uint8), *(self.data[start : start + size] for start, size in bounds)])
        start = np.cumsum(captured) - captured
        return Frames(data, 1, 0, start, captured, self.length[rows], self.time[rows], self.interface[rows])


def cut_short(base: int, place: int) -> str:
    """Return the reason of a capture that ends within a record."""
    return f"the capture ends in the middle of the record at byte {base + place}"
