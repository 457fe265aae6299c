"""Segments ─► connections.

`group` joins the captures' tables (`concat`), numbers tuples (`tuple_key`), drops copies of frames (`duplicates`), cuts tuples
into incarnations (`incarnations`, `port_reuse`, `timewait`; `grouping` calls these), names clients and counts
(`table`), and finds what each ICMP error is about (`icmp`). `community_id` and
`display_filter` name a connection for other tools.

Every segment is in exactly one connection or in the list of copies; connections never join across captures;
flows are numbered by first frame; whole arrays throughout, but for tuples that were used more than once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from analyzer import schema
from analyzer.connections import concat, icmp, server_port, table, tuple_key
from analyzer.connections.grouping import assign

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd

    from analyzer.connections.concat import Array
    from analyzer.connections.grouping import Grouping
    from analyzer.connections.tuple_key import Bools
    from analyzer.model import Capture


@dataclass(frozen=True, slots=True)
class Connections:
    """What `group` returns; `flow` columns count rows of `flows`."""

    flows: pd.DataFrame
    """Table `CONNECTIONS`, in order of first frame over all captures."""
    segments: pd.DataFrame
    """Table `FLOW_SEGMENTS`: sorted by flow, in capture order inside a flow, copies left out."""
    duplicates: pd.DataFrame
    """Table `DUPLICATES`: the copies, in capture order, each with the connection it was dropped from."""
    quotes: pd.DataFrame
    """Table `FLOW_QUOTES`, in capture order."""
    option_bytes: bytes
    """The option bytes of all captures; `option_start` counts within."""


def group(captures: Iterable[Capture], ports: frozenset[int] | None = None) -> Connections:
    """Group the segments of `captures` into connections; column `capture` becomes the index in the order they come in.

    `ports` are the usual ports of servers, by which a client is guessed where no SYN was captured; the shipped protocols' by default.

    Columns are sorted and freed one after another: two copies never exist at once unless the caller keeps a reference to the tables.
    """
    held = list(captures)
    ends = [_end(capture) for capture in held]
    joined = concat.concat(held)
    del captures, held
    grouping = assign(joined)
    ahead, by = table.name_clients(grouping, joined, server_port.shipped_ports() if ports is None else ports)
    flows, by_client = table.tabulate(grouping, joined, ahead, by, ends)
    quoted, quoted_by_client = icmp.match(grouping, joined, ahead)
    flows["icmp_quotes"] = np.bincount(quoted[quoted >= 0], minlength=len(flows)).astype(np.int64)
    noted = {**joined.quotes, "flow": quoted.astype(np.int32), "by_client": quoted_by_client}
    copies = {name: column[grouping.copies] for name, column in joined.segments.items()}
    copies |= {
        "flow": grouping.copy_flow.astype(np.int32),
        "by_client": _sent_by_client(copies, grouping, ahead),
        "routed": grouping.routed,
    }
    added = {"flow": grouping.rows.code.astype(np.int32), "by_client": by_client}
    positions = grouping.positions
    del grouping
    segments = {name: joined.segments.pop(name)[positions] for name in tuple(joined.segments)}
    return Connections(
        flows=flows,
        segments=joined.frame(schema.FLOW_SEGMENTS, segments | added),
        duplicates=joined.frame(schema.DUPLICATES, copies),
        quotes=joined.frame(schema.FLOW_QUOTES, noted),
        option_bytes=joined.option_bytes,
    )


def _sent_by_client(copies: dict[str, Array], grouping: Grouping, ahead: Bools) -> Bools:
    source, target = tuple_key.endpoint_keys(copies)
    sent: Bools = (source <= target) == ahead[grouping.copy_flow]
    return sent


def _end(capture: Capture) -> int:
    if capture.end_time is not None:
        return capture.end_time
    return int(capture.segments["time"].max()) if len(capture.segments) else schema.NO_TIME
