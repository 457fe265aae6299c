"""The pcap format ─► frames: both byte orders, micro- and nanoseconds, and Kuznetzov's modified records.

As `frames`. What Wireshark recognises by guessing (old versions, swapped lengths, vendors' record headers) is foreign.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

import numpy as np

from analyzer.capture.formats import magic, resync
from analyzer.capture.formats.model import MAX_CAPTURED_BYTES, Frames, Interface, UnsupportedFormatError, cut_short
from analyzer.capture.formats.resync import cut
from analyzer.capture.formats.scan import ResumePoint, ScanState
from analyzer.capture.formats.window import gather_rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from analyzer._typing import Array, BoolArray, Int64Array
    from analyzer.capture.formats.model import Store
    from analyzer.capture.formats.window import FileWindow


_HEADER_BYTES: Final = 24
_MAGICS: Final = {
    magic.PCAP_MICROSECONDS: (16, 1000),
    magic.PCAP_NANOSECONDS: (16, 1),
    magic.PCAP_MODIFIED: (24, 1000),
}
"""Magic number ─► bytes of a record's header, nanoseconds a tick."""
_VERSION: Final = (2, 4)
_LINK_BITS: Final = 0xFFFF
_RESERVED_BITS: Final = 0x03FF0000
_FCS_PRESENT: Final = 0x04000000
_SECOND: Final = 10**9
_MAX_LENGTH_BYTES: Final = 128 << 20
"""Above this original length Wireshark doubts that it reads the right variant of the format."""
_SURE_RECORDS: Final = 4
"""Records that Wireshark reads to distinguish the variants."""


@dataclass(frozen=True, slots=True)
class Records:
    """A kind of pcap record; see `resync.RecordFormat`."""

    order: str
    """struct's and numpy's letter of the byte order."""
    header: int
    tick: int
    """Nanoseconds."""

    def next_records(self, data: Array, at: Int64Array, size: int) -> Int64Array:
        """Return where the next records begin, -1 where there is none."""
        # The buffer's padding is longer than a record header.
        length = gather_rows(data, at + 8, 4).view(f"{self.order}u4").astype(np.int64)
        after: Int64Array = at + self.header + length
        bad = (length > MAX_CAPTURED_BYTES) | (after > size)
        if bad.any():
            after[bad] = -1
        return after

    def next_record(self, store: Store, at: int, size: int) -> int:
        """Return where the next record begins, -1 when there is none."""
        if at + self.header > size:
            return -1
        (length,) = struct.unpack_from(self.order + "I", store, at + 8)
        after: int = at + self.header + length
        return after if length <= MAX_CAPTURED_BYTES and after <= size else -1

    def signature(self, like: bytes) -> tuple[bytes, int]:
        """Return the upper half of the seconds, which change by the day."""
        offset = 2 if self.order == "<" else 0
        return like[offset : offset + 2], offset

    def is_plausible(self, data: Array, at: Int64Array, like: bytes) -> BoolArray:
        """Return whether the fields at each of `at` have values a record near one that begins with `like` might have."""
        fields = gather_rows(data, np.minimum(at, len(data) - 16), 16).view(f"{self.order}u4").reshape(len(at), 4)
        (near,) = struct.unpack_from(self.order + "I", like)
        captured = fields[:, 2]
        fits: BoolArray = (captured <= fields[:, 3]) & (captured <= MAX_CAPTURED_BYTES) & (fields[:, 1] < _SECOND // self.tick)
        fits &= (fields[:, 0] >> 16 == near >> 16) & (at <= len(data) - 16)
        return fits


def read(buffer: FileWindow, scan_state: ScanState, begin: ResumePoint | None = None, stop: int | None = None) -> Iterator[Frames]:
    """Give the frames of the capture in `buffer`; see `formats.read`."""
    if begin is not None:
        records, place = cast("Records", begin.kind), 0
    elif buffer.size < _HEADER_BYTES:
        scan_state.damage = cut_short(0, 0)
        return
    else:
        records, place = _read_header(buffer.store, scan_state), _HEADER_BYTES
    # Only the records that the file begins with are doubtful.
    first, doubtful = 1, begin is None
    while True:
        at, end = cut(resync.walk(records, buffer.store, place, buffer.size), buffer.base, stop)
        if len(at):
            yield _locate(records, buffer, at, first, doubtful=doubtful and first <= _SURE_RECORDS)
            first += len(at)
        if stop is not None and buffer.base + end >= stop:
            scan_state.place = ResumePoint(buffer.base + end, records, tuple(scan_state.interfaces))
            return
        if not buffer.ended and not _is_bad(records, buffer, end):
            buffer.advance(end)
            place = 0
            continue
        if end < buffer.size:
            scan_state.damage = _explain(records, buffer, end)
            if doubtful and first <= _SURE_RECORDS:
                message = "a pcap file whose first records are none of the usual kind"
                raise UnsupportedFormatError(message)
        return


def _read_header(store: Store, scan_state: ScanState) -> Records:
    """Return the kind of records the file header states."""
    for order in "<>":
        number, major, minor, _, _, _, link = struct.unpack_from(order + "IHHiIII", store)
        if number in _MAGICS:
            break
    else:
        message = "a pcap file of a vendor's kind"
        raise UnsupportedFormatError(message)
    if (major, minor) != _VERSION or link & _RESERVED_BITS:
        message = f"a pcap file of version {major}.{minor}"
        raise UnsupportedFormatError(message)
    scan_state.interfaces.append(Interface(link & _LINK_BITS, fcs=link >> 28 if link & _FCS_PRESENT else 0))
    return Records(order, *_MAGICS[number])


def _is_bad(records: Records, buffer: FileWindow, at: int) -> bool:
    """Return whether the record at `at` is certainly bad, whatever follows."""
    if at + records.header > buffer.size:
        return False
    (length,) = struct.unpack_from(records.order + "I", buffer.store, at + 8)
    return bool(length > MAX_CAPTURED_BYTES)


def _explain(records: Records, buffer: FileWindow, at: int) -> str:
    """Return why the record at `at` could not be read."""
    if _is_bad(records, buffer, at):
        (length,) = struct.unpack_from(records.order + "I", buffer.store, at + 8)
        return f"the record at byte {buffer.base + at} states {length} bytes, more than any frame has"
    return cut_short(buffer.base, at)


def _locate(records: Records, buffer: FileWindow, at: Int64Array, first: int, *, doubtful: bool) -> Frames:
    """Return the frames of the records that begin at `at`."""
    data = buffer.data
    fields = gather_rows(data, at, 16).view(f"{records.order}u4").reshape(len(at), 4)
    part, length = fields[:, 1], fields[:, 3]
    if int(part.max()) * records.tick >= _SECOND:
        message = "a pcap file with impossible fractions of seconds"
        raise UnsupportedFormatError(message)
    if doubtful and (length[:_SURE_RECORDS] > _MAX_LENGTH_BYTES).any():
        message = "a pcap file whose first records are none of the usual kind"
        raise UnsupportedFormatError(message)
    return Frames(
        data=data,
        first=first,
        base=buffer.base,
        start=at + records.header,
        captured=fields[:, 2].astype(np.int64),
        length=length.astype(np.int64),
        time=fields[:, 0].astype(np.int64) * _SECOND + part.astype(np.int64) * records.tick,
        interface=np.zeros(len(at), dtype=np.int64),
    )
