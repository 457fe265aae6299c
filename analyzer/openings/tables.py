"""Build the tables of a report from judged connections: FLOWS, FINDINGS and STEPS as `model` describes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from analyzer.connections import blocks, community_id, display_filter, tcp_stats
from analyzer.model import FINDINGS, FLOWS, SEVERITIES, STEPS
from analyzer.openings import conn_state
from analyzer.openings.steps import ICMP, UNREADABLE
from analyzer.rules.machine import STATES
from analyzer.schema import ACK, FLAG_LETTERS, NO_TIME, SYN, TCP_STATS, check

if TYPE_CHECKING:
    from collections.abc import Mapping

    from analyzer._typing import Array, BoolArray, IntArray
    from analyzer.openings import Judged
    from analyzer.rules import RuleSet

_COUNTED: Final = ("by_client", "flags", "header_captured", "seq", "ack", "payload_length", "window", "time")
"""Columns of the segments table that `count` reads."""


def _text(values: Any) -> pd.Series:  # noqa: ANN401 - any sequence of strings
    return pd.Series(values, dtype="str")


def _words(codes: IntArray, words: list[str]) -> pd.Series:
    return _text(np.array(words, dtype=object)[codes])


def flow_ids(size: int) -> Array:
    """Return f1, f2, … for `size` connections."""
    return np.array(list(map("f%d".__mod__, range(1, size + 1))), dtype=object)


def flows(connections: pd.DataFrame, others: Mapping[str, Any], ids: Array) -> pd.DataFrame:
    """Return table `FLOWS` of table `CONNECTIONS`; `others` are columns computed elsewhere, `ids` comes from `flow_ids`."""
    start, end = connections["start_time"].to_numpy(), connections["end_time"].to_numpy()
    columns: dict[str, Any] = {
        "flow_id": _text(ids),
        "start_time_ns": start,
        "end_time_ns": end,
        "duration_ms": np.where(start == NO_TIME, np.nan, (end - np.where(start == NO_TIME, 0, start)) / 1e6),
        "excused": np.zeros(len(ids), bool),
        "client_first_ns": connections["client_first"].to_numpy(),
        "server_first_ns": connections["server_first"].to_numpy(),
        "wireshark_filter": _text(display_filter.wireshark_filter(connections)),
        "community_id": _text(community_id.community_id(connections)),
        **others,
    }
    for name in ("client_ip", "server_ip", "vlan", "tunnel", "client_by"):
        columns[name] = _text(connections[name].astype(object).to_numpy())
    for column in FLOWS.columns:
        if column.name not in columns:
            columns[column.name] = connections[column.name].to_numpy().astype(np.int64)
    return check(_frame({name: columns[name] for name in FLOWS.names}), FLOWS)


def _frame(columns: Mapping[str, Any]) -> pd.DataFrame:
    """Return columns as a DataFrame without another copy."""
    own = {name: np.require(one, requirements=["O", "W"]) if isinstance(one, np.ndarray) else one for name, one in columns.items()}
    return pd.DataFrame(own, copy=False)


def count(segments: pd.DataFrame, size: int) -> dict[str, Any]:
    """Return the columns of table `FLOWS` that depend on all segments; `segments` is table `FLOW_SEGMENTS`."""
    counted: dict[str, Array] = {name: np.zeros(size, np.int64) for name in ("tcp_completeness", *TCP_STATS.names)}
    counted["zeek_conn_state"] = np.full(size, "", object)
    for block in blocks.divide(segments, size, _COUNTED):
        part, kinds = slice(block.first, block.first + block.count), conn_state.SegmentKinds(block.segments, block.count)
        counted["zeek_conn_state"][part] = conn_state.zeek_conn_state(kinds)
        counted["tcp_completeness"][part] = conn_state.tcp_completeness(kinds)
        stats = tcp_stats.count(block.segments, block.count)
        for name in TCP_STATS.names:
            counted[name][part] = stats[name].to_numpy()
    return counted | {"zeek_conn_state": _text(counted["zeek_conn_state"])}


def judgement(judged: Judged, rules: RuleSet) -> dict[str, Any]:
    """Return the columns of table `FLOWS` that come from the verdict."""
    verdicts, views = rules.verdicts, rules.machine.views
    rtt = judged.numbers["rtt_ns"]
    return {
        "verdict": _words(judged.verdict, [verdict.name for verdict in verdicts]),
        "outcome": _words(judged.verdict, [verdict.outcome for verdict in verdicts]),
        "view": _words(judged.view, [view.name for view in views]),
        "evidence": _words(judged.facts["inferred"].astype(np.int8), ["observed", "inferred"]),
        "confirmed": judged.facts["confirmed"],
        "inconclusive": judged.facts["inconclusive"],
        "syn_validated": judged.facts["syn_validated"],
        "ack_synchronized": judged.facts["ack_synchronized"],
        "rtt_ms": np.where(rtt < 0, np.nan, rtt / 1e6),
        "client_isn": judged.numbers["client_isn"],
        "server_isn": judged.numbers["server_isn"],
    }


def worst(severities: pd.Series[str], flow: IntArray, size: int) -> pd.Series[str]:
    """Return the highest severity of each connection, empty without findings; `flow` is the connection of each finding."""
    rank = np.zeros(size, np.int8)
    np.maximum.at(rank, flow, severities.map({severity: place for place, severity in enumerate(SEVERITIES, 1)}).to_numpy(np.int8))
    return _words(rank, ["", *SEVERITIES])


def findings(judged: Judged, ids: Array) -> pd.DataFrame:
    """Return table `FINDINGS`; `ids` comes from `flow_ids`."""
    table = judged.findings
    columns = {
        "flow_id": _text(ids[table["flow"].to_numpy()]),
        "id": table["id"],
        "severity": table["severity"],
        "capture": table["capture"],
        "frames": table["frames"],
        "message": table["message"],
        "excused": np.zeros(len(table), bool),
    }
    return check(pd.DataFrame(columns), FINDINGS)


def steps(judged: Judged, ids: Array) -> pd.DataFrame:
    """Return table `STEPS`: the steps of the opening, and later ones that a finding cites; `ids` comes from `flow_ids`."""
    chosen = np.flatnonzero(_of_opening(judged))
    columns = {name: column[chosen] for name, column in judged.steps.columns.items()}
    flow, by_client = columns["flow"], columns["by_client"]
    own = np.where(by_client, judged.numbers["client_isn"][flow], judged.numbers["server_isn"][flow])
    other = np.where(by_client, judged.numbers["server_isn"][flow], judged.numbers["client_isn"][flow])
    is_icmp = columns["kind"] == ICMP
    own = np.where(is_icmp, other, own)
    has_ack = (columns["flags"] & ACK != 0) & ~is_icmp
    seq = np.where(columns["has_seq"], columns["seq"].astype(np.int64), -1)
    ack = np.where(has_ack, columns["ack"].astype(np.int64), -1)
    rows = ["", *(row.id for row in judged.rows)]
    table = {
        "flow_id": _text(ids[flow]),
        "capture": columns["capture"].astype(np.int64),
        "frame": columns["frame"].astype(np.int64),
        "last_frame": columns["last_frame"].astype(np.int64),
        "repeats": columns["repeats"],
        "time_ns": columns["time"],
        "by": _words(by_client.astype(np.int8), ["server", "client"]),
        "flags": _flags(columns),
        "seq": seq,
        "ack": ack,
        "seq_relative": np.where((own < 0) | (seq < 0), -1, (seq - own) % 2**32),
        "ack_relative": np.where((other < 0) | ~has_ack, -1, (ack - other) % 2**32),
        "length": columns["length"],
        "row": _words(judged.trace.row[chosen].astype(np.int64) + 1, rows),
    }
    for name in ("client", "server"):
        table[f"{name}_state"] = _words(getattr(judged.trace, name)[chosen], list(STATES))
        table[f"{name}_textbook"] = _words(getattr(judged.trace, f"{name}_textbook")[chosen], list(STATES))
    return check(_frame({name: table[name] for name in STEPS.names}), STEPS)


def _of_opening(judged: Judged) -> BoolArray:
    """Return which steps the table has: those up to where both ends are proved ESTABLISHED, SYNs, and those that findings cite."""
    columns, trace = judged.steps.columns, judged.trace
    done = (trace.client == STATES.index("ESTABLISHED")) & (trace.server == STATES.index("ESTABLISHED"))
    before = np.zeros(len(done), bool)
    before[1:] = done[:-1] & (columns["flow"][1:] == columns["flow"][:-1])
    belongs: BoolArray = ((trace.row >= 0) & ~before) | (columns["flags"] & SYN != 0) | judged.cited
    return belongs


def _flags(columns: dict[str, Array]) -> pd.Series:
    values, place = np.unique(columns["flags"] & 0xFFF, return_inverse=True)
    text = np.array([_letters(int(value)) for value in values], dtype=object)[place]
    for step in np.flatnonzero(columns["kind"] == ICMP).tolist():
        text[step] = f"icmp {columns['icmp_type'][step]}/{columns['icmp_code'][step]}"
    text[columns["kind"] == UNREADABLE] = ""
    return _text(text)


def _letters(flags: int) -> str:
    return "".join(letter for bit, letter in enumerate(FLAG_LETTERS) if flags >> bit & 1) or "none"
