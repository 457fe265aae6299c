"""Tuples that are one connection, captured on both sides of a router that moves packets from one VLAN or tunnel to another.

What proves it: packets of the one tuple are there again in the other, in the same direction between the same addresses and
ports, with the same IP identification (RFC 6864 4.3), numbers, flags, length and window, within 10 ms, and with a TTL that
some hops have lowered; and so are at least half of the packets of one of the two. The same packets without a lower TTL may
be another connection's: overlapping networks use the same addresses.

Whole arrays; nothing is done where there is one VLAN and no tunnel, or no two tuples between the same ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from analyzer.connections import duplicates, tuple_key

if TYPE_CHECKING:
    from analyzer.connections.concat import Concatenated
    from analyzer.connections.tuple_key import Ints, Tuples

_SAME: Final = ("seq", "ack", "flags", "payload_length", "ip_id", "window", "urgent", "header_length")
_ENOUGH: Final = 2
"""One packet in so many of a tuple, at least, must be there in the other."""


def join(joined: Concatenated, tuples: Tuples) -> Tuples:
    """Return `tuples` with those made one that hold the same packets on both sides of a router."""
    if joined.size("vlan") <= 1 and joined.size("tunnel") <= 1:
        return tuples
    family = tuple_key.families(joined, tuples)
    shared = np.bincount(family) > 1
    rows = np.flatnonzero(shared[family][tuples.code])
    if not len(rows):
        return tuples
    first, second = _routed_copies(joined, tuples, family, rows)
    pairs, counts = np.unique(np.sort(np.stack([tuples.code[first], tuples.code[second]]), axis=0), axis=1, return_counts=True)
    sizes = np.bincount(tuples.code, minlength=len(tuples.first))
    enough = counts * _ENOUGH >= np.minimum(sizes[pairs[0]], sizes[pairs[1]])
    return tuple_key.merge(tuples, pairs[:, enough].T) if enough.any() else tuples


def _routed_copies(joined: Concatenated, tuples: Tuples, family: Ints, rows: Ints) -> tuple[Ints, Ints]:
    """Return the positions of two packets each that are one, captured on both sides of a router under two tuples."""
    columns = joined.segments
    rows = rows[duplicates.telling(joined, tuples, rows)[rows]]
    place = family[tuples.code[rows]] << 1 | tuples.forward[rows]
    order = np.lexsort((columns["time"][rows], *(columns[name][rows] for name in _SAME), place))
    rows, place = rows[order], place[order]
    before, after = rows[:-1], rows[1:]
    same = (place[:-1] == place[1:]) & (tuples.code[before] != tuples.code[after])
    for name in _SAME:
        same &= columns[name][before] == columns[name][after]
    hops = np.abs(columns["ttl"][before] - columns["ttl"][after])
    same &= (hops > 0) & (hops <= duplicates.MAX_HOPS)
    same &= columns["time"][after] - columns["time"][before] <= duplicates.PROVEN_NS
    return before[same], after[same]
