"""Select the steps of a connection: the segments and ICMP errors that the rules evaluate.

Every SYN-, RST- and FIN-bearing segment is a step; a run of exact repeats is folded to the first and one step for the others. Of the
other segments, the first `MAX_PLAIN_SEGMENTS` per direction are steps after the connection's start, after each SYN-bearing segment and
after each side's first RST. Every ICMP error that quotes the connection is a step. Steps are in capture order. Selection is idempotent,
and the steps of parts of a connection can be joined. Whole arrays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from analyzer.capture.decode import tcp_options
from analyzer.connections import blocks
from analyzer.schema import ACK, FIN, RST, SYN

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from analyzer._typing import Array, BoolArray, IntArray
    from analyzer.connections import Connections

MAX_PLAIN_SEGMENTS: Final = 4
"""Other segments kept per direction after each boundary: enough for a third segment that arrives late or reordered."""

SEQ_END: Final = 8
FLAGS_END: Final = 14
WINDOW_END: Final = 16
"""Header bytes up to the end of the field (RFC 9293 section 3.1)."""

_SPECIAL: Final = SYN | RST | FIN
_REPEAT_COLUMNS: Final = ("flow", "seq", "ack", "by_client", "length", "window", "kind", "options")
_COPIED_COLUMNS: Final = ("flow", "by_client", "flags", "seq", "ack", "ttl", "time", "capture", "frame")
"""Columns of the segments table that are columns of the steps."""
_SOURCE_COLUMNS: Final = ("payload_length", "window", "header_captured", "header_length", "option_start", "option_length")
"""Columns of the segments table that other columns of the steps are computed from."""
_MULTIPLIER: Final = np.uint64(0x9E3779B97F4A7C15)
_CHUNK_ROWS: Final = 1 << 16
"""Segments whose options are read at a time, to bound memory."""

SEGMENT: Final = 0
ICMP: Final = 1
UNREADABLE: Final = 2


@dataclass(frozen=True, slots=True)
class Steps:
    """The steps of all connections, sorted by connection; every array but `first` has one value per step."""

    columns: dict[str, Array]
    """flow, by_client, kind, flags, seq, ack, length, window, ttl, time, capture, frame, last_frame, repeats, header_cut, has_seq,
    stale, icmp_version, icmp_type, icmp_code, the options mss, window_scale, tfo (-1 where absent), and options: a 64-bit
    hash of the option bytes of SYN-, RST- and FIN-bearing segments."""
    first: IntArray
    """First step of each connection; one more entry than connections."""
    picked: IntArray
    """Row of `segments` and `options` of each step, -1 for an ICMP error."""
    segments: IntArray
    """Row of the connections' segments table, for columns that are not copied; in joined parts, the rows of one part after another."""
    options: pd.DataFrame
    """The result of `tcp_options.decode`, one row per entry of `segments`."""

    def __len__(self) -> int:
        """Return the number of steps."""
        return len(self.columns["flow"])

    @property
    def counts(self) -> IntArray:
        """Number of steps of each connection."""
        return np.diff(self.first)


def select(connections: Connections) -> Steps:
    """Return the steps of `connections`."""
    columns, chosen, decoded = _segments(connections)
    if (connections.quotes["flow"] >= 0).any():
        columns = _with_quotes(columns, connections)
    return _build(columns, connections.flows, chosen, decoded)


def join(parts: Sequence[Steps], flows: pd.DataFrame) -> Steps:
    """Return the steps of connections whose steps were selected in parts, in the order of `parts`; `flows` is the whole table.

    Selecting from each part and joining gives the same steps as selecting from the whole.
    """
    columns = {name: np.concatenate([part.columns[name] for part in parts]) for name in parts[0].columns}
    before = np.cumsum([0, *(len(part.segments) for part in parts)])
    columns["picked"] = np.concatenate([np.where(part.picked < 0, -1, part.picked + at) for part, at in zip(parts, before, strict=False)])
    order = np.argsort(columns["flow"], kind="stable")
    columns = {name: column[order] for name, column in columns.items()}
    plain = columns["kind"] == SEGMENT
    chosen = _selected(columns["flow"], columns["by_client"], np.where(plain, columns["flags"], 0), plain)
    segments = np.concatenate([part.segments for part in parts])
    decoded = pd.concat([part.options for part in parts], ignore_index=True)
    return _build({name: column[chosen] for name, column in columns.items()}, flows, segments, decoded)


def _build(columns: dict[str, Array], flows: pd.DataFrame, segments: Array, decoded: pd.DataFrame) -> Steps:
    columns = _fold_repeats(columns)
    columns["stale"] = _stale(columns, flows)
    first = np.concatenate(([0], np.cumsum(np.bincount(columns["flow"], minlength=len(flows)))))
    return Steps(columns, first, columns.pop("picked"), segments, decoded)


def _segments(connections: Connections) -> tuple[dict[str, Array], Array, pd.DataFrame]:
    table = connections.segments
    chosen = np.concatenate([np.zeros(0, np.intp), *_chosen(table, len(connections.flows))])
    picked = {name: take(table[name].to_numpy(), chosen) for name in (*_COPIED_COLUMNS, *_SOURCE_COLUMNS)}
    columns = {name: picked[name] for name in _COPIED_COLUMNS}
    captured = picked["header_captured"]
    columns["length"] = picked["payload_length"].astype(np.int64)
    columns["window"] = np.where(captured >= WINDOW_END, picked["window"], -1).astype(np.int64)
    columns["kind"] = np.where(captured >= FLAGS_END, SEGMENT, UNREADABLE).astype(np.int8)
    columns["header_cut"] = captured < picked["header_length"]
    columns["has_seq"] = captured >= SEQ_END
    columns["last_frame"], columns["repeats"] = columns["frame"], np.ones(len(chosen), np.int64)
    for name in ("icmp_version", "icmp_type", "icmp_code"):
        columns[name] = np.full(len(chosen), -1, np.int16)
    decoded = tcp_options.decode(connections.option_bytes, picked["option_start"], picked["option_length"])
    columns["mss"] = decoded["mss"].to_numpy()
    columns["window_scale"] = decoded["window_scale"].to_numpy()
    columns["tfo"] = decoded["tfo_cookie_length"].to_numpy()
    columns["options"] = _fingerprints(connections.option_bytes, picked)
    columns["picked"] = np.arange(len(chosen))
    return columns, chosen, decoded


def _chosen(table: pd.DataFrame, count: int) -> Iterator[Array]:
    """Yield the rows of `table` that are steps before folding, block by block."""
    for block in blocks.divide(table, count, ("by_client", "flags", "header_captured")):
        columns = {name: block.segments[name].to_numpy() for name in ("flow", "by_client", "flags", "header_captured")}
        readable = columns["header_captured"] >= FLAGS_END
        flags = np.where(readable, columns["flags"], 0)
        yield block.begin + np.flatnonzero(_selected(columns["flow"], columns["by_client"], flags, readable))


def take(values: Array, rows: IntArray) -> Array:
    """Return the values at `rows`, which rise; without a copy where these are all rows."""
    found: Array = values if len(rows) == len(values) else values[rows]
    return found


def _stale(columns: dict[str, Array], flows: pd.DataFrame) -> BoolArray:
    """Return which SYN+ACKs acknowledge a SYN of the previous connection with the same tuple, and none of their own."""
    flow, kind = columns["flow"].astype(np.int64), columns["flags"] & (SYN | ACK)
    previous = flows["follows"].to_numpy().astype(np.int64)[flow]
    stale: BoolArray = (kind == SYN | ACK) & (previous >= 0)
    if stale.any():
        # The client of one incarnation may be the server of the next: compare endpoints.
        ends = [(flows[f"{role}_ip"].cat.codes.to_numpy().astype(np.int64) << 16) + flows[f"{role}_port"] for role in ("client", "server")]
        side = columns["by_client"] == (ends[0] < ends[1]).to_numpy()[flow]
        requested = (flow << 33 | side.astype(np.int64) << 32 | columns["seq"])[kind == SYN]
        acknowledged = (~side).astype(np.int64) << 32 | (columns["ack"].astype(np.int64) - 1) & 0xFFFFFFFF
        stale &= np.isin(previous << 33 | acknowledged, requested) & ~np.isin(flow << 33 | acknowledged, requested)
    return stale


def _selected(flow: Array, by_client: Array, flags: Array, readable: Array) -> BoolArray:
    """Return which segments are steps before folding."""
    size = len(flow)
    if not size:
        return np.zeros(0, bool)
    opens = np.ones(size, bool)
    opens[1:] = flow[1:] != flow[:-1]
    begins = np.flatnonzero(opens)
    row = np.cumsum(opens) - 1
    special = (flags & _SPECIAL != 0) | ~readable
    boundary = opens | (flags & SYN != 0)
    for side in (by_client, ~by_client):
        resets = (flags & RST != 0) & side
        boundary |= resets & (_rank(resets, begins, row) == 1)
    sections = np.flatnonzero(boundary)
    section = np.cumsum(boundary) - 1
    chosen: BoolArray = special.copy()
    for side in (by_client, ~by_client):
        others = side & ~special
        chosen |= others & (_rank(others, sections, section) <= MAX_PLAIN_SEGMENTS)
    return chosen


def _rank(mask: BoolArray, begins: IntArray, group: IntArray) -> IntArray:
    """Return, per row, how many rows of its group up to it are set in `mask`."""
    total = np.cumsum(mask)
    rank: IntArray = total - (total[begins] - mask[begins])[group]
    return rank


def _fingerprints(option_bytes: bytes, picked: Mapping[str, Array]) -> Array:
    """Return a 64-bit hash of the option bytes of each segment that may be folded, 0 without options."""
    found = np.zeros(len(picked["flags"]), np.uint64)
    rows = np.flatnonzero((picked["flags"] & _SPECIAL != 0) & (picked["option_length"] > 0))
    runs = tcp_options.overlay(option_bytes)
    for begin in range(0, len(rows), _CHUNK_ROWS):
        some = rows[begin : begin + _CHUNK_ROWS]
        size = np.minimum(picked["option_length"][some], tcp_options.MAX_OPTION_BYTES)
        total = size.astype(np.uint64)
        for word in tcp_options.gather_bytes(runs, picked["option_start"][some], size).view(np.uint64).T:
            total = (total ^ word) * _MULTIPLIER
            total ^= total >> np.uint64(29)
        found[some] = total
    return found


def _with_quotes(columns: dict[str, Array], connections: Connections) -> dict[str, Array]:
    """Insert the ICMP errors between the segments, by frame; an error about a segment of one side counts as sent by the other side."""
    quotes = connections.quotes[connections.quotes["flow"].to_numpy() >= 0]
    size = len(quotes)
    added = {
        name: np.full(size, -1, column.dtype) if column.dtype.kind == "i" else np.zeros(size, column.dtype)
        for name, column in columns.items()
    }
    for name in ("flow", "seq", "time", "capture", "frame"):
        added[name] = quotes[name].to_numpy()
    added["by_client"] = ~quotes["by_client"].to_numpy()
    added["kind"], added["has_seq"] = np.full(size, ICMP, np.int8), np.ones(size, bool)
    added["length"], added["last_frame"], added["repeats"] = np.zeros(size, np.int64), added["frame"], np.ones(size, np.int64)
    for name in ("version", "type", "code"):
        added[f"icmp_{name}"] = quotes[name].to_numpy().astype(np.int16)
    joined = {name: np.concatenate([column, added[name]]) for name, column in columns.items()}
    order = np.lexsort((joined["frame"], joined["capture"], joined["flow"]))
    return {name: column[order] for name, column in joined.items()}


def _fold_repeats(columns: dict[str, Array]) -> dict[str, Array]:
    """Fold runs of exact repeats of SYN-, RST- and FIN-bearing segments to the first and one step for the others."""
    size = len(columns["flow"])
    flags = columns["flags"]
    again = np.flatnonzero((flags[1:] == flags[:-1]) & (flags[1:] & _SPECIAL != 0) & (columns["kind"][1:] == SEGMENT)) + 1
    for name in _REPEAT_COLUMNS:
        again = again[columns[name][again] == columns[name][again - 1]]
    if not len(again):
        return columns
    same = np.zeros(size, bool)
    same[again] = True
    heads = np.flatnonzero(~same)
    place = np.arange(size) - heads[np.cumsum(~same) - 1]
    ends = np.append(heads[1:], size) - 1
    run_end = ends[np.cumsum(~same) - 1]
    kept = np.flatnonzero(place <= 1)
    second = place[kept] == 1
    folded = {name: column[kept] for name, column in columns.items()}
    times = np.cumsum(columns["repeats"])
    folded["last_frame"] = np.where(second, columns["last_frame"][run_end[kept]], folded["last_frame"])
    folded["repeats"] = np.where(second, times[run_end[kept]] - times[kept] + folded["repeats"], folded["repeats"])
    return folded
