"""The connections table: who is client, when, how much.

One row a connection, table `schema.CONNECTIONS`; whole arrays only. The client is the sender of the first SYN
without ACK; failing that the receiver of the first SYN+ACK; failing that the end whose port looks less like a server's;
failing that the sender of the first segment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from analyzer import schema
from analyzer.connections import server_port
from analyzer.connections.grouping import REUSE
from analyzer.kernels.groups import first_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from analyzer.connections.concat import Array, Concatenated
    from analyzer.connections.grouping import Grouping
    from analyzer.connections.incarnations import TupleRows
    from analyzer.connections.tuple_key import Bools, Ints

CLIENT_BY: Final = ("syn", "synack", "port", "first-segment")
_BY_SYN, _BY_SYNACK, _BY_PORT, _BY_FIRST = range(4)


def name_clients(grouping: Grouping, joined: Concatenated, ports: frozenset[int]) -> tuple[Bools, Array]:
    """Return, per flow, whether its client is the end that orders first, and the index into `CLIENT_BY`; `ports` are servers'."""
    rows, first = grouping.rows, grouping.first
    count = len(first)
    kind = rows.flags & (schema.SYN | schema.ACK)
    syn = first_of(np.flatnonzero(kind == schema.SYN), rows.code, count)
    synack = first_of(np.flatnonzero(kind == schema.SYN | schema.ACK), rows.code, count)
    starts = grouping.positions[first]
    sender, receiver = (server_port.server_port_rank(joined.segments[name][starts], ports) for name in ("src_port", "dst_port"))
    sends_first = rows.forward[first]
    ahead = np.where(sender > receiver, ~sends_first, sends_first)
    by = np.where(sender == receiver, _BY_FIRST, _BY_PORT)
    has_syn, has_synack = syn >= 0, synack >= 0
    syn_first = has_syn & (~has_synack | (syn < synack))
    synack_first = has_synack & ~syn_first
    ahead = np.where(synack_first, ~rows.forward[synack], ahead)
    # A SYN that the file shows only after its SYN+ACK still identifies the client.
    late = synack_first & has_syn & (rows.forward[syn] == ahead)
    by = np.where(synack_first, np.where(late, _BY_SYN, _BY_SYNACK), by)
    ahead = np.where(syn_first, rows.forward[syn], ahead)
    return ahead, np.where(syn_first, _BY_SYN, by)


def tabulate(grouping: Grouping, joined: Concatenated, ahead: Bools, by: Array, ends: Sequence[int]) -> tuple[pd.DataFrame, Bools]:
    """Return table `CONNECTIONS` and, per row of the grouping, whether the client sent it.

    `ahead` and `by` are `name_clients`' answer, `ends` the last time of each capture.
    """
    rows, starts = grouping.rows, grouping.positions[grouping.first]
    by_client = rows.forward == ahead[rows.code]
    segments = joined.segments
    columns: dict[str, Any] = {"capture": segments["capture"][starts]}
    columns["first_frame"] = segments["frame"][starts]
    columns["last_frame"] = _last_frames(grouping, joined)
    columns["start_time"], columns["end_time"] = _span(rows.time, grouping.first)
    # Where the first row was sent by the client, its source is the client.
    from_client = rows.forward[grouping.first] == ahead
    for end, source in (("client", from_client), ("server", ~from_client)):
        columns[f"{end}_ip"] = joined.text("src", np.where(source, segments["src"][starts], segments["dst"][starts]))
        columns[f"{end}_port"] = np.where(source, segments["src_port"][starts], segments["dst_port"][starts])
    columns["vlan"] = joined.text("vlan", segments["vlan"][starts])
    columns["tunnel"] = joined.text("tunnel", segments["tunnel"][starts])
    columns["client_by"] = pd.Categorical.from_codes(by.astype(np.int8), categories=pd.Index(CLIENT_BY))
    for end, sent in (("client", by_client), ("server", ~by_client)):
        columns |= _sums(end, rows, grouping.first, sent)
    count = len(grouping.first)
    columns["duplicate_frames"] = np.bincount(grouping.copy_flow, minlength=count).astype(np.int64)
    columns["routed_frames"] = np.bincount(grouping.copy_flow[grouping.routed], minlength=count).astype(np.int64)
    columns["icmp_quotes"] = np.zeros(count, np.int64)
    columns["follows"] = grouping.follows.astype(np.int32)
    columns["reuse"] = pd.Categorical.from_codes(grouping.reuse.astype(np.int8), categories=pd.Index(REUSE))
    columns["vlan_joined"] = grouping.vlan_joined
    columns["capture_end"] = np.array(ends, np.int64)[columns["capture"]]
    return pd.DataFrame({name: columns[name] for name in schema.CONNECTIONS.names}, copy=False), by_client


def _sums(end: str, rows: TupleRows, first: Ints, sent: Bools) -> dict[str, Array]:
    """Return one side's counts and times; `sent` marks its rows."""
    count = len(first)
    own = np.flatnonzero(sent)
    begin = first_of(own, rows.code, count)
    backwards = len(sent) - 1 - own[::-1]
    last = first_of(backwards, count - 1 - rows.code[::-1], count)[::-1]
    finish = np.where(last >= 0, len(sent) - 1 - last, -1)
    times = np.append(rows.time, schema.NO_TIME)
    return {
        f"{end}_segments": _add(sent.astype(np.int64), first),
        f"{end}_bytes": _add(np.where(sent, rows.length, 0).astype(np.int64), first),
        f"{end}_first": times[begin],
        f"{end}_last": times[finish],
    }


def _add(values: Ints, first: Ints) -> Ints:
    return np.add.reduceat(values, first) if len(first) else np.zeros(0, np.int64)


def _span(times: Ints, first: Ints) -> tuple[Ints, Ints]:
    """Return each flow's earliest and latest time; records without one are passed over."""
    if not len(first):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    never = np.iinfo(np.int64).max
    start = np.minimum.reduceat(np.where(times == schema.NO_TIME, never, times), first)
    return np.where(start == never, schema.NO_TIME, start), np.maximum.reduceat(times, first)


def _last_frames(grouping: Grouping, joined: Concatenated) -> Array:
    frames = joined.segments["frame"]
    ends = np.append(grouping.first[1:], len(grouping.positions))[: len(grouping.first)] - 1
    last: Array = frames[grouping.positions[ends]]
    np.maximum.at(last, grouping.copy_flow, frames[grouping.copies])
    return last
