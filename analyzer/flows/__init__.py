"""Segments ─► connections.

`group` joins the captures' tables, numbers tuples (`keys`), drops copies of frames (`duplicates`), cuts tuples into
incarnations (`incarnations`, `reuse`), names clients and counts (`connections`), and finds what each ICMP error is
about (`quotes`). `identity` and `services` say what a connection is called elsewhere.

Promises: every segment is in exactly one connection or in the list of copies; connections never join across captures;
flows are numbered by first frame; whole arrays throughout, but for tuples that were used more than once.
Must not know: rules, verdicts, output formats.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from analyzer import tables
from analyzer.flows import connections, duplicates, incarnations, keys, quotes, timewait, union
from analyzer.flows.connections import Grouping
from analyzer.flows.incarnations import Rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from analyzer.flows.keys import Bools, Ints, Tuples
    from analyzer.flows.union import Array, Joined
    from analyzer.model import Capture

_FLAGS_READABLE = 14
"""Header bytes that reach to the flags."""


@dataclass(frozen=True, slots=True)
class Connections:
    """What `group` returns; `flow` columns count rows of `flows`."""

    flows: pd.DataFrame
    """Table `CONNECTIONS`, in order of first frame over the whole job."""
    segments: pd.DataFrame
    """Table `FLOW_SEGMENTS`: sorted by flow, in capture order inside a flow, copies left out."""
    duplicates: pd.DataFrame
    """Table `DUPLICATES`: the copies, in capture order, each with the connection it was dropped from."""
    quotes: pd.DataFrame
    """Table `FLOW_QUOTES`, in capture order."""
    option_bytes: bytes
    """The option bytes of all captures; `option_start` counts within."""


def group(captures: Sequence[Capture]) -> Connections:
    """Group the segments of `captures` into connections; column `capture` becomes the index in the sequence."""
    joined = union.join(captures)
    grouping = _gather(joined)
    ahead, by = connections.name_clients(grouping, joined)
    ends = [_end(capture) for capture in captures]
    flows, by_client = connections.tabulate(grouping, joined, ahead, by, ends)
    quoted, quoted_by_client = quotes.match(grouping, joined, ahead)
    flows["icmp_quotes"] = np.bincount(quoted[quoted >= 0], minlength=len(flows)).astype(np.int64)
    segments = _take(joined, grouping.positions, grouping.rows.code, by_client)
    copies = _take(joined, grouping.copies, grouping.copy_flow, _sent_by_client(joined, grouping, ahead))
    noted = {**joined.quotes, "flow": quoted.astype(np.int32), "by_client": quoted_by_client}
    return Connections(
        flows=flows,
        segments=joined.frame(tables.FLOW_SEGMENTS, segments),
        duplicates=joined.frame(tables.DUPLICATES, {**copies, "routed": grouping.routed}),
        quotes=joined.frame(tables.FLOW_QUOTES, noted),
        option_bytes=joined.option_bytes,
    )


def _gather(joined: Joined) -> Grouping:
    """Sort the kept segments into flows."""
    tuples = keys.number(joined)
    copies = duplicates.find(joined, tuples)
    kept = np.ones(len(tuples.code), bool)
    kept[copies.positions] = False
    stay = np.flatnonzero(kept) if len(copies.positions) else np.arange(len(kept))
    packed = keys.sort(tuples.code[stay], stay)
    positions = keys.positions(packed)
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
    _mark_early(rows, positions, joined, first, reuse, flow[cuts.rows[cuts.by_fins]])
    grouping = Grouping(
        rows=Rows(flow, rows.forward, rows.flags, rows.seq, rows.ack, rows.length, rows.time),
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


def _rows(joined: Joined, tuples: Tuples, positions: Ints) -> Rows:
    columns = joined.segments
    flags = columns["flags"][positions]
    cut = columns["header_captured"][positions] < _FLAGS_READABLE
    if cut.any():
        flags = np.where(cut, np.uint16(0), flags)
    length = np.maximum(columns["payload_length"][positions], 0).astype(np.uint32)
    numbers = (columns["seq"][positions], columns["ack"][positions])
    return Rows(tuples.code[positions], tuples.forward[positions], flags, *numbers, length, columns["time"][positions])


def _self_connected(joined: Joined, tuples: Tuples) -> Bools:
    columns = {name: joined.segments[name][tuples.first] for name in ("src", "dst", "src_port", "dst_port")}
    source, target = keys.ends(columns)
    same: Bools = source == target
    return same


def _followed(first: Ints, cuts: incarnations.Cuts, flow: Ints) -> tuple[Ints, Array]:
    """Return, per flow, the flow before it on its tuple (-1: none), and how that had ended."""
    follows = np.full(len(first), -1, np.int64)
    reuse = np.zeros(len(first), np.int8)
    after = flow[cuts.rows]
    follows[after] = after - 1
    reuse[after] = np.where(cuts.finished, connections.REUSE.index("closed"), connections.REUSE.index("active"))
    return follows, reuse


def _mark_early(rows: Rows, positions: Ints, joined: Joined, first: Ints, reuse: Array, suspects: Ints) -> None:
    """Mark, in `reuse`, which of the flows `suspects` came while the one before was in TIME-WAIT."""
    if len(suspects):
        early = timewait.find(rows, positions, joined, first[suspects], first[suspects - 1])
        reuse[suspects[early]] = connections.REUSE.index("early")


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
        rows=Rows(number[rows.code], rows.forward, rows.flags, rows.seq, rows.ack, rows.length, rows.time),
        positions=grouping.positions[moved],
        first=first,
        copies=grouping.copies,
        copy_flow=number[grouping.copy_flow],
        routed=grouping.routed,
        follows=np.where(follows >= 0, number[follows], -1),
        reuse=grouping.reuse[order],
        vlan_joined=grouping.vlan_joined[order],
    )


def _sent_by_client(joined: Joined, grouping: Grouping, ahead: Bools) -> Bools:
    source, target = keys.ends({name: joined.segments[name][grouping.copies] for name in ("src", "dst", "src_port", "dst_port")})
    sent: Bools = (source <= target) == ahead[grouping.copy_flow]
    return sent


def _take(joined: Joined, positions: Ints, flow: Ints, by_client: Bools) -> dict[str, Array]:
    taken = {name: column[positions] for name, column in joined.segments.items()}
    return {**taken, "flow": flow.astype(np.int32), "by_client": by_client}


def _end(capture: Capture) -> int:
    if capture.end_time is not None:
        return capture.end_time
    return int(capture.segments["time"].max()) if len(capture.segments) else tables.NO_TIME
