"""Which connection an ICMP error is about.

A quote goes to the connection of its tuple, on its own VLAN where one is there; of several incarnations to the
one that had sent the quoted number last before the error, or else to the last that had begun.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from analyzer.connections import tuple_key

if TYPE_CHECKING:
    from analyzer.connections.concat import Array, Concatenated
    from analyzer.connections.grouping import Grouping
    from analyzer.connections.tuple_key import Bools, Ints


def match(grouping: Grouping, joined: Concatenated, ahead: Bools) -> tuple[Ints, Bools]:
    """Return, per row of the joined quotes, the flow it is about (-1: none) and whether the flow's client sent what it quotes."""
    quotes = joined.quotes
    count = len(quotes["capture"])
    if not count or not len(grouping.first):
        return np.full(count, -1, np.int64), np.zeros(count, bool)
    source, target = tuple_key.endpoint_keys(quotes)
    starts = {name: column[grouping.positions[grouping.first]] for name, column in joined.segments.items()}
    begin, finish = tuple_key.endpoint_keys(starts)
    there = {**starts, "low": np.minimum(begin, finish), "high": np.maximum(begin, finish)}
    here = {**quotes, "low": np.minimum(source, target), "high": np.maximum(source, target)}
    forward = source <= target
    flow = np.full(count, -1, np.int64)
    for names in (("low", "high", "capture", "vlan"), ("low", "high", "capture")):
        left = np.flatnonzero(flow < 0)
        found, wanted = _together(there, here, left, names)
        flow[left] = _choose(grouping, found, wanted, {name: values[left] for name, values in {**quotes, "forward": forward}.items()})
    return flow, (flow >= 0) & (forward == ahead[flow])


def _together(there: dict[str, Array], here: dict[str, Array], left: Ints, names: tuple[str, ...]) -> tuple[Ints, Ints]:
    """Return one number per flow and per quote left, equal where all of `names` are."""
    parts = []
    for name in names:
        values = np.concatenate([there[name].astype(np.int64), here[name][left].astype(np.int64)])
        parts.append((values, int(values.max(initial=0)) + 1))
    key, _ = tuple_key.pack(parts)
    return key[: len(there["low"])], key[len(there["low"]) :]


def _choose(grouping: Grouping, found: Ints, wanted: Ints, quotes: dict[str, Array]) -> Ints:
    """Return the flow for each wanted key: the only one, or the incarnation that number and time speak for."""
    flow = np.full(len(wanted), -1, np.int64)
    order = np.argsort(found, kind="stable")
    left, right = (np.searchsorted(found[order], wanted, side) for side in ("left", "right"))
    one = right - left == 1
    flow[one] = order[left[one]]
    for quote in np.flatnonzero(right - left > 1).tolist():
        flow[quote] = _incarnation(grouping, order[left[quote] : right[quote]], {name: values[quote] for name, values in quotes.items()})
    return flow


def _incarnation(grouping: Grouping, flows: Ints, quote: dict[str, Array]) -> int:
    rows = grouping.rows
    ends = np.append(grouping.first[1:], len(rows.code))
    begun = flows[rows.time[grouping.first[flows]] <= quote["time"]]
    for flow in begun[::-1].tolist():
        part = slice(grouping.first[flow], ends[flow])
        if bool(((rows.seq[part] == quote["seq"]) & (rows.forward[part] == quote["forward"]) & (rows.time[part] <= quote["time"])).any()):
            return int(flow)
    return int(begun[-1] if len(begun) else flows[0])
