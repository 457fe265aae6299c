"""Rows in the order of their connections: tuples, copies and incarnations put together.

Every row is in exactly one flow or among the copies; flows count by first row over all captures.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from analyzer.connections import duplicates, incarnations, routed, timewait, tuple_key
from analyzer.connections.incarnations import TupleRows

if TYPE_CHECKING:
    from analyzer.connections.concat import Array, Concatenated
    from analyzer.connections.tuple_key import Bools, Ints, Tuples

REUSE: Final = ("", "closed", "active", "early")
_FLAGS_READABLE: Final = 14
"""Header bytes that reach to the flags."""


@dataclass(frozen=True, slots=True)
class Grouping:
    """Rows sorted by flow, in capture order inside each, and the few facts the table needs about every flow."""

    rows: TupleRows
    """`code` is the flow."""
    positions: Ints
    """Where each row stands in the joined segments."""
    first: Ints
    """Each flow's first row."""
    copies: Ints
    """Positions of the dropped copies."""
    copy_flow: Ints
    routed: Bools
    follows: Ints
    reuse: Array
    """Index into `REUSE`."""
    vlan_joined: Bools


def assign(joined: Concatenated) -> Grouping:
    """Sort the kept segments into flows."""
    tuples = routed.join(joined, tuple_key.number(joined))
    copies = duplicates.find(joined, tuples)
    kept = np.ones(len(tuples.code), bool)
    kept[copies.positions] = False
    stay = np.flatnonzero(kept) if len(copies.positions) else np.arange(len(kept))
    packed = tuple_key.sort(tuples.code[stay], stay)
    positions = tuple_key.positions(packed)
    rows = _rows(joined, tuples, positions)
    looped = _self_connected(joined, tuples)
    cuts = incarnations.find(rows, len(tuples.first), looped)
    starts = np.zeros(len(positions), bool)
    starts[1:] = rows.code[1:] != rows.code[:-1]
    starts[:1] = True
    starts[cuts.rows] = True
    flow = np.cumsum(starts) - 1
    # A copy belongs where it stands: behind the last kept segment of its tuple before it.
    copy_row = np.searchsorted(packed, tuples.code[copies.positions] << 32 | copies.positions) - 1
    first = np.flatnonzero(starts)
    follows, reuse = _followed(first, cuts, flow)
    suspects = flow[cuts.rows[cuts.by_fins]]
    if len(suspects):
        early = timewait.find(rows, positions, joined, first[suspects], first[suspects - 1])
        reuse[suspects[early]] = REUSE.index("early")
    grouping = Grouping(
        rows=rows.renamed(flow),
        positions=positions,
        first=first,
        copies=copies.positions,
        copy_flow=flow[copy_row],
        routed=copies.routed,
        follows=follows,
        reuse=reuse,
        vlan_joined=tuples.joined[rows.code[first]],
    )
    return _renumber(grouping) if len(cuts.rows) else grouping


def _rows(joined: Concatenated, tuples: Tuples, positions: Ints) -> TupleRows:
    columns = joined.segments
    flags = columns["flags"][positions]
    cut = columns["header_captured"][positions] < _FLAGS_READABLE
    if cut.any():
        flags = np.where(cut, np.uint16(0), flags)
    length = np.maximum(columns["payload_length"][positions], 0).astype(np.uint32)
    numbers = (columns["seq"][positions], columns["ack"][positions])
    return TupleRows(tuples.code[positions], tuples.forward[positions], flags, *numbers, length, columns["time"][positions])


def _self_connected(joined: Concatenated, tuples: Tuples) -> Bools:
    columns = {name: joined.segments[name][tuples.first] for name in ("src", "dst", "src_port", "dst_port")}
    source, target = tuple_key.endpoint_keys(columns)
    same: Bools = source == target
    return same


def _followed(first: Ints, cuts: incarnations.Cuts, flow: Ints) -> tuple[Ints, Array]:
    """Return, per flow, the flow before it on its tuple (-1: none), and how that had ended."""
    follows = np.full(len(first), -1, np.int64)
    reuse = np.zeros(len(first), np.int8)
    after = flow[cuts.rows]
    follows[after] = after - 1
    reuse[after] = np.where(cuts.finished, REUSE.index("closed"), REUSE.index("active"))
    return follows, reuse


def _renumber(grouping: Grouping) -> Grouping:
    """Bring flows into the order of their first rows in the captures."""
    order = np.argsort(grouping.positions[grouping.first], kind="stable")
    number = np.empty(len(order), np.int64)
    number[order] = np.arange(len(order))
    sizes = np.append(grouping.first[1:], len(grouping.positions)) - grouping.first
    sizes = sizes[order]
    first = np.cumsum(sizes) - sizes
    moved = np.arange(len(grouping.positions)) + np.repeat(grouping.first[order] - first, sizes)
    rows = grouping.rows.take(moved)
    follows = grouping.follows[order]
    return Grouping(
        rows=rows.renamed(number[rows.code]),
        positions=grouping.positions[moved],
        first=first,
        copies=grouping.copies,
        copy_flow=number[grouping.copy_flow],
        routed=grouping.routed,
        follows=np.where(follows >= 0, number[follows], -1),
        reuse=grouping.reuse[order],
        vlan_joined=grouping.vlan_joined[order],
    )
