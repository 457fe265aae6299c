"""The frames that only tshark understands, as a capture of their own, and what it makes of them.

Each frame keeps its bytes, lengths, link type and time, and all keep their order, so that fragments meet; rows come
back under the numbers and interfaces the frames had.
"""

from __future__ import annotations

import contextlib
import struct
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import numpy as np

from analyzer.capture import temporary
from analyzer.capture.count import Count
from analyzer.capture.formats import magic
from analyzer.schema import NO_TIME

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import BinaryIO

    from analyzer._typing import Int64Array
    from analyzer.capture.formats.model import Frames, Interface
    from analyzer.capture.payloads import Spool
    from analyzer.capture.tshark.decode import Counts
    from analyzer.capture.tshark.probe import Tshark
    from analyzer.model import Capture


_SECTION: Final = struct.pack("<IIIHHqI", magic.PCAPNG_SECTION, 28, magic.PCAPNG_BYTE_ORDER, 1, 0, -1, 28)
_SNAP_BYTES: Final = 262144
_NANOSECONDS: Final = 9
"""The if_tsresol of all interfaces."""
_SLICE: Final = 4096


@dataclass(frozen=True, slots=True)
class DelegateReader:
    """How tshark is to read what is handed over."""

    shown: str
    """The capture's path as reports call it."""
    tshark: Tshark
    seconds: float
    """How long it may take."""
    spool: Spool
    """Takes the payloads."""


@dataclass(slots=True)
class DelegatedFrames:
    """A temporary capture, written while frames are in memory and read once; a context manager that removes it."""

    frames: list[Int64Array] = field(default_factory=list)
    """The numbers of the frames, in parts."""
    interfaces: list[Int64Array] = field(default_factory=list)
    """The interface numbers of these, as tshark would give them."""
    times: list[Int64Array] = field(default_factory=list)
    _known: dict[tuple[int, int], int] = field(default_factory=dict)
    _folder: tempfile.TemporaryDirectory[str] | None = None
    _file: BinaryIO | None = None

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Remove the file."""
        if self._file is not None:
            # What could not be written, for want of room, cannot be now either, and is of no use any more.
            with contextlib.suppress(OSError):
                self._file.close()
        if self._folder is not None:
            self._folder.cleanup()

    def __len__(self) -> int:
        """Return the number of frames."""
        return sum(len(part) for part in self.frames)

    def add(self, frames: Frames, interfaces: Sequence[Interface], numbers: Int64Array) -> None:
        """Take `frames` over, which have `numbers` in the whole capture. Raises `EnvironmentFaultError` when there is no room for them."""
        if not len(frames):
            return
        self.frames.append(numbers)
        self.interfaces.append(frames.look_up(interfaces, "number", -1))
        self.times.append(frames.time)
        with temporary.blame_folder():
            file = self._open()
            for first in range(0, len(frames), _SLICE):
                file.write(self._pack(frames, interfaces, slice(first, first + _SLICE)))

    def _open(self) -> BinaryIO:
        """Return the file, made in a folder that only this user may enter."""
        if self._file is None:
            self._folder = tempfile.TemporaryDirectory(prefix="pcaplint-", ignore_cleanup_errors=True)
            self._file = (Path(self._folder.name) / "rest.pcapng").open("wb")
            self._file.write(_SECTION)
        return self._file

    def _pack(self, frames: Frames, interfaces: Sequence[Interface], rows: slice) -> bytes:
        """Return the blocks of some frames, and of the interfaces not described so far."""
        found = bytearray()
        columns = (frames.start, frames.captured, frames.length, frames.time, frames.interface)
        for start, captured, length, time, place in zip(*(column[rows].tolist() for column in columns), strict=True):
            interface = interfaces[place]
            key = interface.link, interface.fcs
            if key not in self._known:
                self._known[key] = len(self._known)
                found += _describe(*key)
            ticks = 0 if time == NO_TIME else time
            size = 32 + (captured + 3 & ~3)
            found += struct.pack("<7I", 6, size, self._known[key], ticks >> 32, ticks & 0xFFFFFFFF, captured, length)
            found += frames.data[start : start + captured].tobytes()
            found += bytes(-captured % 4) + struct.pack("<I", size)
        return bytes(found)

    def read(self, reader: DelegateReader, compared: Sequence[Int64Array]) -> tuple[Capture, Counts]:
        """Return what tshark makes of the frames, and its counts; `frame`, `time` and `interface` are those of the whole capture.

        Those of the frames numbered `compared`, in parts, are in no count.
        """
        from analyzer.capture.tshark import engine as tshark_engine

        if self._file is None or self._folder is None:
            message = "nothing was handed over"
            raise ValueError(message)
        with temporary.blame_folder():
            self._file.close()
        numbers, interfaces, times = (np.concatenate(parts) for parts in (self.frames, self.interfaces, self.times))
        uncounted = 1 + np.flatnonzero(np.isin(numbers, np.concatenate([np.zeros(0, dtype=np.int64), *compared])))
        path = Path(self._folder.name) / "rest.pcapng"
        found, counts = tshark_engine.read_counted(
            tshark_engine.TsharkRequest(
                path,
                reader.shown,
                reader.tshark,
                reader.seconds,
                spool=reader.spool,
                uncounted=tuple(uncounted.tolist()),
                count=Count(len(self)),
            )
        )
        for table in (found.segments, found.quotes):
            place = table["frame"].to_numpy().astype(np.int64) - 1
            table["frame"], table["time"] = numbers[place].astype(np.uint32), times[place]
            if "interface" in table:
                table["interface"] = interfaces[place].astype(np.int32)
        return found, counts


def _describe(link: int, fcs: int) -> bytes:
    """Return the description of an interface with nanosecond times."""
    options = struct.pack("<HHB3x", 9, 1, _NANOSECONDS)
    if fcs:
        options += struct.pack("<HHB3x", 13, 1, fcs)
    options += struct.pack("<HH", 0, 0)
    size = 20 + len(options)
    return struct.pack("<IIHHI", 1, size, link, 0, _SNAP_BYTES) + options + struct.pack("<I", size)
