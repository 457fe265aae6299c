"""TCP payload rewritten by its place in the stream, so that every copy of a byte is rewritten alike.

A stream is one direction of one connection; offsets count from its first sequence number that was captured. An edit replaces a range
of offsets; where it changes the length, what follows moves, and sequence numbers, acknowledgments and SACK edges (RFC 2018) with it.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from analyzer.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

Direction = tuple[int, bool]
"""Connection, and whether the client sends."""
Edit = tuple[int, int, bytes]
"""First offset, offset behind the last, and what stands there now."""
_MODULUS: Final = 1 << 32
_HALF: Final = 1 << 31
_MIN_HEADER: Final = 20
_ACK: Final = 0x10
_SACK: Final = 5
_MPTCP: Final = 30
_ADD_ADDRESS: Final = 3


@dataclass(frozen=True, slots=True)
class Segments:
    """Which stream each frame's TCP segment belongs to."""

    sent: Mapping[int, Direction]
    """By frame number: the stream of the segment that a frame carries."""
    quoted: Mapping[int, Direction]
    """By frame number: the stream of the segment that an ICMP error quotes."""

    def find(self, frame: int, *, quoted: bool) -> Direction:
        """Return the stream. Raises `UsageError` for a frame that is none of the connections'."""
        found = (self.quoted if quoted else self.sent).get(frame)
        if found is None:
            message = f"frame {frame} belongs to no connection that was read, and cannot be anonymized"
            raise UsageError(message)
        return found


class StreamEdits:
    """The edits of one stream."""

    def __init__(self, base: int, edits: Sequence[Edit] = ()) -> None:
        self._base = base
        self._edits = sorted(edits)
        self._ends = [end for _, end, _ in self._edits]
        self._shifts = [0, *accumulate(len(new) - (end - start) for start, end, new in self._edits)]

    def offset(self, sequence: int) -> int:
        """Return the offset of a sequence number within 2 GiB of the first one."""
        return (sequence - self._base + _HALF) % _MODULUS - _HALF

    def move(self, offset: int) -> int:
        """Return where an offset is now; inside an edit, as far from its beginning as the edit allows."""
        place = bisect_right(self._ends, offset)
        moved = offset + self._shifts[place]
        if place < len(self._edits):
            start, _, new = self._edits[place]
            if offset > start:
                return start + self._shifts[place] + min(offset - start, len(new))
        return moved

    def sequence(self, number: int) -> int:
        """Return what a sequence number is now."""
        return (self._base + self.move(self.offset(number))) % _MODULUS

    def payload(self, sequence: int, data: bytes) -> bytes:
        """Return the bytes that stand from `sequence` on, rewritten."""
        first = self.offset(sequence)
        last, parts, at = first + len(data), list[bytes](), first
        for start, end, new in self._edits[bisect_right(self._ends, first) :]:
            if start >= last:
                break
            parts.append(data[at - first : max(start, first) - first])
            stop = len(new) if end <= last else min(last - start, len(new))
            parts.append(new[min(max(first - start, 0), len(new)) : stop])
            at = min(end, last)
        return b"".join((*parts, data[at - first :]))


class Rewriter:
    """Rewrites TCP segments by the edits of their streams."""

    def __init__(self, segments: Segments, edits: Mapping[Direction, StreamEdits], *, blank: bool = False) -> None:
        self._segments, self._edits, self._blank = segments, edits, blank

    def __call__(self, frame: int, data: bytes, stated: int, *, quoted: bool) -> tuple[bytes, int]:
        """Return a segment rewritten, and its length on the wire."""
        connection, by_client = self._segments.find(frame, quoted=quoted)
        size = max(data[12] >> 4, 5) * 4 if len(data) > 12 else _MIN_HEADER  # noqa: PLR2004 - offset of the header length
        head, payload = data[:size], data[size:]
        options = list(_options(head[_MIN_HEADER:]))
        if any(code == _MPTCP and value[:1] and value[0] >> 4 == _ADD_ADDRESS for code, _, value in options):
            message = f"frame {frame} has a TCP option with an address, which cannot be anonymized"
            raise UsageError(message)
        if self._blank:
            return head + bytes(len(payload)), stated
        ours, theirs = self._edits.get((connection, by_client)), self._edits.get((connection, not by_client))
        if ours is not None and len(head) >= 8:  # noqa: PLR2004 - behind the sequence number
            first = int.from_bytes(head[4:8])
            # A SYN takes the number before the first byte.
            begin = (first + (head[13] >> 1 & 1 if len(head) > 13 else 0)) % _MODULUS  # noqa: PLR2004 - the flags
            place = ours.offset(begin)
            payload = ours.payload(begin, payload)
            stated += ours.move(place + max(stated - size, 0)) - ours.move(place) - max(stated - size, 0)
            head = head[:4] + ours.sequence(first).to_bytes(4) + head[8:]
        return (head if theirs is None else _acknowledge(head, options, theirs)) + payload, stated


def _acknowledge(head: bytes, options: Sequence[tuple[int, int, bytes]], theirs: StreamEdits) -> bytes:
    """Return a header with its numbers of the other stream moved."""
    if len(head) > 13 and head[13] & _ACK:  # noqa: PLR2004 - the flags
        head = head[:8] + theirs.sequence(int.from_bytes(head[8:12])).to_bytes(4) + head[12:]
    for code, at, value in options:
        if code == _SACK:
            edges = [theirs.sequence(int.from_bytes(value[place : place + 4])) for place in range(0, len(value) - 3, 4)]
            begin = _MIN_HEADER + at
            head = head[:begin] + b"".join(edge.to_bytes(4) for edge in edges) + head[begin + 4 * len(edges) :]
    return head


def _options(options: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yield code, place of the value and value of each TCP option (RFC 9293 3.2)."""
    at = 0
    while at < len(options) and options[at]:
        if options[at] == 1 or at + 1 >= len(options):
            at += 1
            continue
        size = max(options[at + 1], 2)
        yield options[at], at + 2, options[at + 2 : at + size]
        at += size


class Collector:
    """A rewriter that changes nothing and keeps the payload of each stream."""

    def __init__(self, segments: Segments) -> None:
        self._segments = segments
        self.parts: dict[Direction, list[tuple[int, bytes]]] = {}
        """Per stream, sequence number and bytes of each segment with payload, in capture order."""

    def __call__(self, frame: int, data: bytes, stated: int, *, quoted: bool) -> tuple[bytes, int]:
        """Keep a segment's payload; one of a SYN or a quote has other ways to be kept."""
        direction = self._segments.find(frame, quoted=quoted)
        if len(data) > 13:  # noqa: PLR2004 - the flags
            size = max(data[12] >> 4, 5) * 4
            first = (int.from_bytes(data[4:8]) + (data[13] >> 1 & 1)) % _MODULUS
            self.parts.setdefault(direction, []).append((first, data[size:]))
        return data, stated


def find_edits(parts: Sequence[tuple[int, bytes]], search: Callable[[bytes], Sequence[Edit]]) -> StreamEdits:
    """Return the edits of a stream: what `search` finds in each run of bytes without a gap, as (start, end, new bytes) in the run.

    Where bytes were captured more than once, the first copy is searched.
    """
    base = parts[0][0]
    plain = StreamEdits(base)
    edits = list[Edit]()
    for start, run in _runs([(plain.offset(first), data) for first, data in parts if data]):
        edits += [(start + begin, start + end, new) for begin, end, new in search(run)]
    return StreamEdits(base, edits)


def _runs(parts: Sequence[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
    """Yield offset and bytes of each run without a gap."""
    begin, run = 0, bytearray()
    # Sorted by offset alone: of equal ones the first captured stays first.
    for first, data in sorted(parts, key=lambda part: part[0]):
        if run and first <= begin + len(run):
            run += data[begin + len(run) - first :]
        else:
            if run:
                yield begin, bytes(run)
            begin, run = first, bytearray(data)
    if run:
        yield begin, bytes(run)
