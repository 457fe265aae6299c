"""Fast path: directions captured without gap, overlap or reordering, as plain bytes.

Only directions that are laid out from their ISN. Columns become lists a batch at a time, which bounds memory and avoids slicing arrays per
connection.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from operator import sub
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from analyzer.reassembly.layout import CLOSINGS
from analyzer.reassembly.reader import Reader, StreamSegments

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from analyzer.reassembly.layout import Streams
    from analyzer.reassembly.reader import Closing, Side

Fetch = Callable[[int, int], bytes]
"""Returns the bytes at an address, of a length."""
Array = np.ndarray[Any, np.dtype[Any]]

MAX_FETCHED_BYTES: Final = 16_384
"""Size up to which a direction is fetched at once; most dialogues without large contents are smaller."""
BATCH_SEGMENTS: Final = 32_768
"""Segments per batch of lists; more where one connection has more."""


@dataclass(slots=True)
class ContiguousStream:
    """One direction: each byte from offset 0 to `size` was captured once, in order."""

    stop: list[int]
    """Offset behind each segment; each begins where the one before it stops."""
    address: list[int]
    """Where its bytes begin, for `fetch`."""
    frame: list[int]
    time: list[int]
    """ns since the epoch, NO_TIME where the frame has none."""
    closing: Closing
    fetch: Fetch

    @property
    def size(self) -> int:
        """Bytes of the direction."""
        return self.stop[-1]

    def segment_at(self, offset: int) -> int:
        """Return which segment holds the byte at `offset`, which must be less than `size`."""
        return bisect_right(self.stop, offset)

    def read(self, offset: int, size: int) -> bytes:
        """Return `size` bytes from `offset` on, fewer at the end."""
        stop = self.stop
        if not offset and size >= stop[-1]:
            return b"".join(map(self.fetch, self.address, map(sub, stop, [0, *stop])))
        place = bisect_right(stop, offset)
        if place == len(stop):
            return b""
        inside = offset - stop[place - 1] if place else offset
        length = stop[place] - offset
        if size <= length or place + 1 == len(stop):
            return self.fetch(self.address[place] + inside, min(size, length))
        parts = [self.fetch(self.address[place] + inside, length)]
        while length < size and place + 1 < len(stop):
            place += 1
            more = min(stop[place] - stop[place - 1], size - length)
            parts.append(self.fetch(self.address[place], more))
            length += more
        return b"".join(parts)

    def reader(self, side: Side) -> Reader:
        """Return a reader of the direction; the bytes of a short one are fetched at once."""
        stop = self.stop
        segments = StreamSegments([0, *stop[:-1]], stop, self.address, self.frame, self.time, stop[-1], self.closing)
        return Reader(side, segments, self.fetch, self.read(0, stop[-1]) if stop[-1] <= MAX_FETCHED_BYTES else b"")


def both_contiguous(streams: Streams) -> Array:
    """Return, per connection, whether both directions have payload and are contiguous, as bool."""
    sound = streams.has_payload & streams.isn_known & ~streams.needs_resolution & (streams.captured == streams.size)
    found: Array = sound[0::2] & sound[1::2]
    return found


def pairs(
    streams: Streams, flows: Array, owner: Array, fetch: Sequence[Fetch | None]
) -> Iterator[tuple[int, ContiguousStream, ContiguousStream]]:
    """Yield connection, client and server of each of `flows`, which are rising and for which `both` holds.

    `owner` is the capture of every connection; `fetch` gives the captured bytes of each capture, and must do so for theirs.
    """
    bounds = streams.bounds
    behind = np.searchsorted(
        bounds[2 * flows + 2], np.arange(BATCH_SEGMENTS, len(streams.stop) + BATCH_SEGMENTS, BATCH_SEGMENTS), side="right"
    )
    for part in np.split(flows, np.unique(behind)):
        if not len(part):
            continue
        first, last = bounds[2 * part[0]], bounds[2 * part[-1] + 2]
        stop, address, frame, time = (
            column[first:last].tolist() for column in (streams.stop, streams.address, streams.frame, streams.time)
        )
        edges = [(bounds[2 * part + side] - first).tolist() for side in (0, 1, 2)]
        closings = [streams.close[2 * part + side].tolist() for side in (0, 1)]
        for flow, begin, middle, end, client, server in zip(part.tolist(), *edges, *closings, strict=True):
            read = fetch[owner[flow]]
            yield (
                flow,
                ContiguousStream(
                    stop[begin:middle], address[begin:middle], frame[begin:middle], time[begin:middle], CLOSINGS[client], read
                ),
                ContiguousStream(stop[middle:end], address[middle:end], frame[middle:end], time[middle:end], CLOSINGS[server], read),
            )
