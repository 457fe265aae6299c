"""One direction of a connection as a stream of bytes: in order, each byte once, gaps known.

A `Reader` gets the places of its stream's segments (in order, none overlapping another) and fetches bytes when they are read: skipping a
body of a gigabyte costs a search in a sorted list. Offsets count from the first byte after the SYN. A byte whose segment was not captured,
or was cut by the snap length, is part of a gap. The bytes of a line, a take or a peek are contiguous. Results do not depend on how the
stream was cut into segments, except for the frames and times of positions.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

Side = Literal["client", "server"]
Closing = Literal["fin", "rst", ""]
LineEnd = Literal["crlf", "lf", "gap", "end", "long", "taken"]

LONGEST_LINE: Final = 65_536
"""Bytes of a line that are kept together; a longer one comes in parts that end `long`."""
_STEP: Final = 65_536
"""Bytes searched at a time for a mark."""
_CR: Final = 13


class Position(NamedTuple):
    """Where a byte was captured."""

    frame: int
    time: int
    """ns since the epoch, NO_TIME when the frame has none."""


class Line(NamedTuple):
    """A line as it was captured."""

    data: bytes
    """Its bytes without the line end."""
    end: LineEnd
    """What ended it: CR LF; a bare LF; bytes that were not captured; the end of the stream; its length; or the caller."""
    start: int
    """Offset of its first byte."""
    stop: int
    """Offset behind its end."""
    first: Position
    """Where its first byte was captured."""
    last: Position
    """Where its last byte was captured: the line is known from this frame on."""

    @property
    def whole(self) -> bool:
        """Whether the line has its end."""
        return self.end in {"crlf", "lf", "taken"}


@dataclass(frozen=True, slots=True)
class StreamSegments:
    """Where a stream's captured bytes are, in order, none overlapping another; the sequences are equally long."""

    start: Sequence[int]
    """Offset of the first byte of each segment in the stream."""
    stop: Sequence[int]
    """Offset behind its last byte."""
    address: Sequence[int]
    """Where its bytes begin, for `fetch`."""
    frame: Sequence[int]
    time: Sequence[int]
    size: int
    """Bytes the stream is known to have had, captured or not."""
    closing: Closing = ""
    """How the direction ended: its FIN or RST was captured, or neither."""


class Reader:
    """Reads one direction from its beginning; `at` is the offset of the next byte."""

    __slots__ = ("_bounded", "_buffer", "_buffered", "_contiguous", "_fetch", "_place", "_segments", "at", "side")

    def __init__(self, side: Side, segments: StreamSegments, fetch: Callable[[int, int], bytes], held: bytes = b"") -> None:
        """Read `segments`; `fetch(address, length)` returns captured bytes, `held` are all bytes of segments without a gap."""
        self.side: Side = side
        self.at = 0
        self._segments = segments
        self._fetch = fetch
        self._place = 0
        """The first segment that does not end before `at`."""
        self._buffer = held
        self._buffered = 0
        """Offset of the first byte of `_buffer`."""
        self._bounded = bool(held)
        """Whether no captured byte follows those of `_buffer`."""
        self._contiguous: bool | None = None
        """Whether there is no gap between the first segment and the last; None before it was computed."""

    @classmethod
    def of(cls, side: Side, parts: Iterable[tuple[int, bytes, int, int]], *, size: int | None = None, closing: Closing = "") -> Self:
        """Return a reader of bytes in memory; a part is (offset, bytes, frame, time), in order, none overlapping another."""
        held = [part for part in parts if part[1]]
        blob = b"".join(part[1] for part in held)
        address = [0]
        for part in held:
            address.append(address[-1] + len(part[1]))
        stop = [part[0] + len(part[1]) for part in held]
        total = max([size or 0, *stop])
        segments = StreamSegments(
            [part[0] for part in held], stop, address[:-1], [part[2] for part in held], [part[3] for part in held], total, closing
        )
        return cls(side, segments, lambda start, length: blob[start : start + length])

    @property
    def closing(self) -> Closing:
        """How the direction ended in the capture: `fin`, `rst`, or neither."""
        return self._segments.closing

    @property
    def size(self) -> int:
        """Bytes the stream is known to have had, captured or not."""
        return self._segments.size

    @property
    def left(self) -> int:
        """Bytes from here to the end, captured or not."""
        return self._segments.size - self.at

    @property
    def gap(self) -> int:
        """How many bytes from here on were not captured; 0 when the next one was, or there is none."""
        place = self._seek()
        starts = self._segments.start
        if place < len(starts):
            return max(starts[place] - self.at, 0)
        return self.left

    @property
    def ended(self) -> bool:
        """Whether no byte is left, captured or not."""
        return self.left <= 0

    def position(self, offset: int | None = None) -> Position | None:
        """Return where the byte at `offset` (the next one), or the next captured one behind a gap, was captured; None without one."""
        segments = self._segments
        place = self._seek() if offset is None else bisect_right(segments.stop, offset)
        if place >= len(segments.start):
            return None
        return Position(segments.frame[place], segments.time[place])

    def last_position(self) -> Position | None:
        """Return where the last captured byte of the stream was; None when there is none."""
        frames = self._segments.frame
        return Position(frames[-1], self._segments.time[-1]) if frames else None

    def peek(self, size: int) -> bytes:
        """Return the next `size` bytes without moving; fewer at a gap or at the end."""
        begin = self.at - self._buffered
        held = len(self._buffer) - begin
        if begin < 0 or held < 0 or (held < size and not self._bounded):
            self._fill(size)
            begin = 0
        return self._buffer[begin : begin + size]

    def take(self, size: int) -> bytes:
        """Return the next `size` bytes and move behind them; fewer at a gap or at the end."""
        data = self.peek(size)
        self.at += len(data)
        return data

    def skip(self, size: int) -> int:
        """Move over `size` bytes, captured or not, or to the end; return how many that were."""
        moved = max(min(size, self.left), 0)
        self.at += moved
        return moved

    def reached(self, offset: int, frame: int) -> int:
        """Return the offset behind the bytes from `offset` on that were captured before `frame`, up to the first that was not."""
        segments = self._segments
        place = bisect_right(segments.stop, offset)
        while place < len(segments.start) and segments.frame[place] < frame and segments.start[place] <= offset:
            offset = segments.stop[place]
            place += 1
        return offset

    def begins(self, start: int, stop: int) -> Sequence[int]:
        """Return the offsets between `start` and `stop` at which a segment begins."""
        starts = self._segments.start
        return starts[bisect_right(starts, start) : bisect_right(starts, stop - 1)]

    def missing(self, start: int, stop: int) -> int:
        """Return how many of the bytes from `start` to `stop` were not captured."""
        segments = self._segments
        if self._is_contiguous() and segments.start[0] <= start and stop <= segments.stop[-1]:
            return 0
        place, held = bisect_right(segments.stop, start), 0
        while place < len(segments.start) and segments.start[place] < stop:
            held += min(segments.stop[place], stop) - max(segments.start[place], start)
            place += 1
        return max(stop - start, 0) - held

    def line(self, limit: int = LONGEST_LINE) -> Line | None:
        """Return the next line and move behind it; None at a gap (see `gap`) and at the end."""
        segments, place = self._segments, self._seek()
        if place >= len(segments.start) or segments.start[place] > self.at:
            return None
        first, start = Position(segments.frame[place], segments.time[place]), self.at
        # Usually the line is in the buffer.
        buffer, begin = self._buffer, start - self._buffered
        found = buffer.find(b"\n", begin, begin + limit) if 0 <= begin < len(buffer) else -1
        if found >= 0:
            stop = self.at = start + found - begin + 1
            last = first if stop <= segments.stop[place] else self.position(stop - 1) or first
            if found > begin and buffer[found - 1] == _CR:
                return Line(buffer[begin : found - 1], "crlf", start, stop, first, last)
            return Line(buffer[begin:found], "lf", start, stop, first, last)
        size, found = 512, -1
        data = self.peek(size)
        while (found := data.find(b"\n")) < 0 and len(data) == size and size < limit:
            size = min(size * 8, limit)
            data = self.peek(size)
        if 0 <= found < limit:
            stop = start + found + 1
            end: LineEnd = "crlf" if data[found - 1 : found] == b"\r" else "lf"
            text = data[: found - 1] if end == "crlf" else data[:found]
        else:
            text, stop = data[:limit], start + min(len(data), limit)
            end = "long" if len(data) >= limit else "gap" if stop < self.size else "end"
        self.at = stop
        last = first if stop <= segments.stop[place] else self.position(stop - 1) or first
        return Line(text, end, start, stop, first, last)

    def skip_past(self, mark: bytes) -> bool:
        """Move behind the next occurrence of `mark` and return True; without one before a gap or the end, move there and return False."""
        while True:
            data = self.peek(_STEP)
            found = data.find(mark)
            if found >= 0:
                self.at += found + len(mark)
                return True
            if len(data) < _STEP:
                self.at += len(data)
                return False
            self.at += len(data) - len(mark) + 1

    def jump(self) -> int:
        """Move to the end of the gap that begins here; return its length."""
        return self.skip(self.gap)

    def _is_contiguous(self) -> bool:
        if self._contiguous is None:
            starts, stops = self._segments.start, self._segments.stop
            self._contiguous = bool(starts) and sum(stops) - sum(starts) == stops[-1] - starts[0]
        return self._contiguous

    def _seek(self) -> int:
        """Return the first segment that ends behind `at`."""
        stops, at = self._segments.stop, self.at
        place = self._place
        if place < len(stops) and stops[place] <= at:
            # Usually the next one; after a skip, any.
            place = place + 1 if place + 1 == len(stops) or stops[place + 1] > at else bisect_right(stops, at, place + 1)
        elif place and stops[place - 1] > at:
            place = bisect_right(stops, at)
        self._place = place
        return place

    def _fill(self, size: int) -> None:
        """Hold at least `size` contiguous bytes from `at` on, as far as they are there."""
        segments, place, at = self._segments, self._seek(), self.at
        starts, stops = segments.start, segments.stop
        parts, reached = list[bytes](), at
        held = self._buffered + len(self._buffer)
        if self._buffered <= at < held:
            parts, reached = [self._buffer[at - self._buffered :]], held
            place = bisect_right(stops, held, place)
        while reached - at < size and place < len(starts) and starts[place] <= reached:
            inside = reached - starts[place]
            length = min(stops[place] - reached, max(size - (reached - at), _STEP))
            parts.append(self._fetch(segments.address[place] + inside, length))
            reached += length
            place += reached == stops[place]
        self._buffer, self._buffered = b"".join(parts), at
        self._bounded = place >= len(starts) or starts[place] > reached
