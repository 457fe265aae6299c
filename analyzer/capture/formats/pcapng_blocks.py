"""pcapng blocks ─► where each lies, what the interfaces are, and the time of a tick.

As Wireshark reads them, damage included: a block that it refuses is a `DamageError`.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from analyzer.capture.formats import magic
from analyzer.capture.formats.clocks import BINARY, is_fine
from analyzer.capture.formats.model import UnsupportedFormatError
from analyzer.capture.formats.window import gather_rows
from analyzer.errors import PcaplintError

if TYPE_CHECKING:
    from analyzer._typing import Array, BoolArray, Int64Array
    from analyzer.capture.formats.model import Store


INTERFACE, PACKET, SIMPLE, ENHANCED = 1, 2, 3, 6
CUSTOM: Final = (0x0BAD, 0x40000BAD)
MIN_BLOCK_BYTES: Final = 12
MAX_BLOCK_BYTES: Final = 16 << 20
_SECTION_BYTES: Final = 28
_INTERFACE_BYTES: Final = 20
_VERSIONS: Final = ((1, 0), (1, 2))
_OPTION_BYTES: Final = 4
_RESOLUTION, _FCS_LENGTH, _TIME_OFFSET = 9, 13, 14
_OPTION_LENGTHS: Final = {_RESOLUTION: 1, _FCS_LENGTH: 1, _TIME_OFFSET: 8}
_SECOND: Final = 10**9


class DamageError(PcaplintError):
    """A block that ends what can be read of the file."""


@dataclass(frozen=True, slots=True)
class Blocks:
    """The blocks of a section of one byte order, its header left out; see `resync.RecordFormat`."""

    order: str

    def next_records(self, data: Array, at: Int64Array, size: int) -> Int64Array:
        """Return where the next blocks begin by the first of their two lengths, -1 where there is none; check with `sound`."""
        # The buffer's padding is longer than the head of a block.
        length = gather_rows(data, at + 4, 4).view(f"{self.order}u4").astype(np.int64)
        after = at + (length + 3 & ~3)
        return np.where((length >= MIN_BLOCK_BYTES) & (length <= MAX_BLOCK_BYTES) & (after <= size), after, -1)

    def sound(self, data: Array, at: Int64Array, end: int) -> int:
        """Return how many of the blocks at `at`, up to the first that is wrong, are right; each ends at the next, the last at `end`."""
        head = gather_rows(data, at, 8).view(f"{self.order}u4").reshape(len(at), 2)
        trailer = gather_rows(data, np.append(at[1:], end) - 4, 4).view(f"{self.order}u4")
        wrong = (head[:, 0] == magic.PCAPNG_SECTION) | (head[:, 1] + np.uint32(3) & ~np.uint32(3) != trailer + np.uint32(3) & ~np.uint32(3))
        return int(wrong.argmax()) if wrong.any() else len(at)

    def next_record(self, store: Store, at: int, size: int) -> int:
        """Return where the next block begins, -1 when there is none."""
        if at + MIN_BLOCK_BYTES > size:
            return -1
        kind, stated = struct.unpack_from(self.order + "II", store, at)
        length = stated + 3 & ~3
        after: int = at + length
        if kind == magic.PCAPNG_SECTION or not MIN_BLOCK_BYTES <= length <= MAX_BLOCK_BYTES or after > size:
            return -1
        return after if self.length(store, after - 8) == length else -1

    def length(self, store: Store, at: int) -> int:
        """Return the length the block at `at` states, as Wireshark rounds it."""
        (length,) = struct.unpack_from(self.order + "I", store, at + 4)
        return int(length) + 3 & ~3

    def signature(self, like: bytes) -> tuple[bytes, int]:
        """Return the type of an enhanced packet block, which most blocks are, or that of `like` if it holds a packet."""
        (own,) = struct.unpack_from(self.order + "I", like)
        return struct.pack(self.order + "I", own if own in (PACKET, SIMPLE) else ENHANCED), 0

    def is_plausible(self, data: Array, at: Int64Array, like: bytes) -> BoolArray:
        """Return at which of `at` a block might be: one at an even place, whose two lengths are the same."""
        del like
        after = self.next_records(data, at, len(data))
        found: BoolArray = (at % 4 == 0) & (after >= 0)
        head = gather_rows(data, at[found] + 4, 4).view(f"{self.order}u4")
        tail = gather_rows(data, after[found] - 4, 4).view(f"{self.order}u4")
        found[found] = head + np.uint32(3) & ~np.uint32(3) == tail + np.uint32(3) & ~np.uint32(3)
        return found


@dataclass(frozen=True, slots=True)
class Description:
    """The content of an interface description block."""

    link: int
    snap: int
    """Longest captured length, 0 for no limit."""
    resolution: int
    """The if_tsresol byte."""
    offset: int
    """Seconds to add."""
    fcs: int


def read_section(store: Store, at: int, size: int) -> tuple[Blocks, int]:
    """Return the kind of the blocks after the section header at `at`, and where they begin; -1 when it is not whole."""
    if at + _SECTION_BYTES > size:
        return Blocks("<"), -1
    for order in "<>":
        number, major, minor = struct.unpack_from(order + "IHH", store, at + 8)
        if number == magic.PCAPNG_BYTE_ORDER:
            break
    else:
        message = "a section header without the byte-order magic"
        raise DamageError(message)
    if (major, minor) not in _VERSIONS:
        message = f"a section of version {major}.{minor}"
        raise DamageError(message)
    kind = Blocks(order)
    length = kind.length(store, at)
    if not _SECTION_BYTES <= length <= MAX_BLOCK_BYTES:
        message = f"a section header states a length of {length} bytes"
        raise DamageError(message)
    if at + length > size:
        return kind, -1
    if kind.length(store, at + length - 8) != length:
        message = "a section header's two lengths differ"
        raise DamageError(message)
    read_options(store, at + 24, at + length - 4, order)
    return kind, at + length


def read_interface(store: Store, at: int, after: int, order: str) -> Description:
    """Return the content of the interface description block from `at` to `after`."""
    if after - at < _INTERFACE_BYTES:
        message = "an interface description of too few bytes"
        raise DamageError(message)
    link, _, snap = struct.unpack_from(order + "HHI", store, at + 8)
    found = read_options(store, at + 16, after - 4, order)
    for code, length in _OPTION_LENGTHS.items():
        if len(found.get(code, bytes(length))) != length:
            message = "an interface description with an option of the wrong length"
            raise DamageError(message)
    (offset,) = struct.unpack(order + "q", found.get(_TIME_OFFSET, bytes(8)))
    return Description(link, snap, found.get(_RESOLUTION, b"\6")[0], offset, found.get(_FCS_LENGTH, b"\0")[0])


def read_options(store: Store, at: int, stop: int, order: str) -> dict[int, bytes]:
    """Return the last value of each option between `at` and `stop`."""
    found: dict[int, bytes] = {}
    while at + _OPTION_BYTES <= stop:
        code, length = struct.unpack_from(order + "HH", store, at)
        if code == 0:
            break
        at += _OPTION_BYTES
        if at + length > stop:
            message = "an option longer than its block"
            raise DamageError(message)
        found[code] = bytes(store[at : at + length])
        at += length + 3 & ~3
    return found


def read_times(ticks: Array, described: Description) -> Int64Array:
    """Return uint64 ticks as int64 nanoseconds since the epoch.

    Parts of a nanosecond are dropped. Raises `UnsupportedFormatError` for times before 1970 or that 64 bits do not hold.
    """
    if not len(ticks):
        return np.zeros(0, dtype=np.int64)
    power = described.resolution & ~BINARY
    a_second = (2 if described.resolution & BINARY else 10) ** power
    if is_fine(described.resolution):
        return _read_fine_times(ticks, a_second, described.offset)
    unit = np.uint64(a_second)
    seconds = ticks // unit
    part = ticks - seconds * unit
    nanoseconds: Int64Array = (part * np.uint64(_SECOND) // unit).astype(np.int64)
    least, most = int(seconds.min()) + described.offset, int(seconds.max()) + described.offset
    if least < 0 or most >= (1 << 63) // _SECOND:
        message = "a pcapng file with times out of the ordinary"
        raise UnsupportedFormatError(message)
    nanoseconds += (seconds.astype(np.int64) + described.offset) * _SECOND
    return nanoseconds


def _read_fine_times(ticks: Array, a_second: int, offset: int) -> Int64Array:
    """Return the times of a clock of `a_second` ticks, more than 64 bits of nanoseconds may count: one at a time."""
    times = [(tick * _SECOND) // a_second + offset * _SECOND for tick in ticks.tolist()]
    if min(times) < 0 or max(times) >= 1 << 63:
        message = "a pcapng file with times out of the ordinary"
        raise UnsupportedFormatError(message)
    return np.array(times, dtype=np.int64)
