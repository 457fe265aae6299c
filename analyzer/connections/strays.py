"""Segments of an earlier connection between the same ports that arrive while the next one is being opened.

A segment is one of them when its numbers cannot be of the connection it was captured in: it comes before its side's SYN
and lies far from that SYN's number, or it begins or acknowledges before the ISN.

Whole arrays. Only the first segments of a connection are looked at, so a number that came round is never
taken for an old one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from analyzer.schema import ACK, RST, SYN

if TYPE_CHECKING:
    from analyzer.connections.tuple_key import Bools, Ints

Array = np.ndarray[Any, np.dtype[Any]]

MAX_PLACE: Final = 64
"""Segments of a connection that are looked at: with 64 of them no stream comes round."""
MAX_REORDERED_BYTES: Final = 1 << 16
"""How far behind its SYN a segment may lie that the file shows before the SYN."""


class Numbers(NamedTuple):
    """Columns of table `FLOW_SEGMENTS`, sorted by connection."""

    flow: Array
    by_client: Bools
    flags: Array
    seq: Array
    """uint32."""
    ack: Array
    """uint32."""

    @property
    def side(self) -> Ints:
        """Each segment's direction: flow * 2, + 1 for the server."""
        found: Ints = self.flow.astype(np.int64) * 2 + ~self.by_client
        return found

    def take(self, rows: Ints) -> Numbers:
        """Return these rows alone."""
        return Numbers(*(column[rows] for column in self))


def find(numbers: Numbers, isn: Ints) -> Ints:
    """Return the rows of such segments, rising.

    `isn` has a value per direction, -1 where it is not known. RSTs are left out: their numbers are those of the segment they answer.
    """
    flow, flags = numbers.flow, numbers.flags
    if not len(flow):
        return np.zeros(0, np.int64)
    begin = np.flatnonzero(np.concatenate(([True], flow[1:] != flow[:-1])))
    place = np.arange(len(flow)) - np.repeat(begin, np.diff(np.append(begin, len(flow))))
    rows = np.flatnonzero((place < MAX_PLACE) & (flags & (SYN | RST) == 0))
    early = numbers.take(rows)
    side = early.side
    offset, known = _beyond(early.seq, isn[side]), isn[side] >= 0
    old = known & (offset < -1)
    old |= (isn[side ^ 1] >= 0) & (early.flags & ACK != 0) & (_beyond(early.ack, isn[side ^ 1]) < 0)
    far = known & (offset >= MAX_REORDERED_BYTES)
    if far.any():
        old[far] |= rows[far] < _first_syns(numbers, len(isn))[side[far]]
    # Only a connection that begins with its SYN has segments before an opening that are not its own.
    opens = np.zeros(len(isn) // 2, bool)
    opens[flow[begin]] = flags[begin] & (SYN | ACK) == SYN
    return rows[old & opens[early.flow]]


def _beyond(number: Array, isn: Array) -> Ints:
    """Return how far `number` lies beyond the first number after the ISN."""
    found: Ints = (number - (isn + 1).astype(np.uint32)).view(np.int32).astype(np.int64)
    return found


def _first_syns(numbers: Numbers, count: int) -> Ints:
    """Return the row of each direction's first SYN-bearing segment, -1 where there is none."""
    rows = np.flatnonzero(numbers.flags & SYN != 0)[::-1]
    found = np.full(count, -1, np.int64)
    found[numbers.take(rows).side] = rows
    return found


def isns(numbers: Numbers, count: int) -> Ints:
    """Return the ISN of each of `count` directions, -1 where it sent no SYN, or SYNs with several numbers."""
    syns = np.flatnonzero(numbers.flags & SYN != 0)
    some = numbers.take(syns)
    side = some.side
    found, last = np.full(count, -1, np.int64), np.full(count, -1, np.int64)
    found[side[::-1]] = some.seq[::-1]
    last[side] = some.seq
    return np.where(found == last, found, -1)
