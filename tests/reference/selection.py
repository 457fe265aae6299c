"""Which segments the rules see, chosen the plain way: a second opinion for the tests.

Reads the tables that grouping leaves, a connection at a time, a row at a time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from analyzer.schema import ACK, FIN, NO_TIME, RST, SYN
from tests.reference.interpreter import Seq

if TYPE_CHECKING:
    import pandas as pd

    from analyzer.connections import Connections

Row = dict[str, Any]
NEAR = 4
FLAGS_END, WINDOW_END = 14, 16
SPECIAL = SYN | RST | FIN
MSS, WINDOW_SCALE, FAST_OPEN = 2, 3, 34


def steps(connections: Connections) -> list[list[Row]]:
    """Return the steps of each connection: facts by the names of the rule language, and kind, flags and frames."""
    found: list[list[Row]] = [[] for _ in range(len(connections.flows))]
    for row in _rows(connections.segments):
        found[row["flow"]].append(_segment(row, connections.option_bytes))
    for rows, follows in zip(found, connections.flows["follows"], strict=True):
        if follows >= 0:
            _mark_stale(rows, found[follows])
    chosen = [_near(rows) for rows in found]
    for row in _rows(connections.quotes):
        if row["flow"] >= 0:
            chosen[row["flow"]].append(_quote(row))
    return [_folded(sorted(rows, key=lambda row: (row["capture"], row["frame"]))) for rows in chosen]


def connections_facts(connections: Connections) -> list[Row]:
    """Return the facts of each connection as a whole, by the names of the rule language."""
    readable = [0] * len(connections.flows)
    for flow, captured in zip(connections.segments["flow"], connections.segments["header_captured"], strict=True):
        readable[flow] += captured >= FLAGS_END
    return [
        {
            "n_client": row["client_segments"],
            "n_server": row["server_segments"],
            "n_readable": readable[flow],
            "client_bytes": row["client_bytes"],
            "server_bytes": row["server_bytes"],
            "capture_end": None if row["capture_end"] == NO_TIME else row["capture_end"],
            "reuse": row["reuse"] or "first",
        }
        for flow, row in enumerate(_rows(connections.flows))
    ]


def _rows(table: pd.DataFrame) -> list[Row]:
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def _segment(row: Row, blob: bytes) -> Row:
    flags, captured = row["flags"], row["header_captured"]
    readable = captured >= FLAGS_END
    options = blob[row["option_start"] : row["option_start"] + row["option_length"]]
    has_ack = readable and bool(flags & ACK)
    return {
        "kind": "segment" if readable else "unreadable",
        "by_client": row["by_client"],
        "from": (row["src"], row["src_port"]),
        "to": (row["dst"], row["dst_port"]),
        "flags": flags if readable else 0,
        "capture": row["capture"],
        "frame": row["frame"],
        "last_frame": row["frame"],
        "options": options,
        "raw": (row["seq"], row["ack"], row["payload_length"], row["window"] if captured >= WINDOW_END else -1),
        "seq": Seq(row["seq"]) if readable else None,
        "ack": Seq(row["ack"]) if has_ack else None,
        "len": row["payload_length"] if row["payload_length"] >= 0 else None,
        "window": row["window"] if captured >= WINDOW_END and row["window"] >= 0 else None,
        "fin": readable and bool(flags & FIN),
        "has_ack": has_ack,
        "time": None if row["time"] == NO_TIME else row["time"],
        "ttl": row["ttl"] if row["ttl"] >= 0 else None,
        "repeats": 1,
        "header_cut": captured < row["header_length"],
        "stale": False,
        **_options(options),
        **dict.fromkeys(("icmp_version", "icmp_type", "icmp_code")),
    }


def _mark_stale(rows: list[Row], before: list[Row]) -> None:
    """Mark SYN+ACKs that answer a SYN of the connection before between the same ports, and none of this one."""
    asked = [{(row["from"], row["seq"]) for row in some if row["flags"] & (SYN | ACK) == SYN} for some in (rows, before)]
    for row in rows:
        if row["flags"] & (SYN | ACK) == SYN | ACK:
            answered = (row["to"], (row["ack"] - 1) % 2**32)
            row["stale"] = answered in asked[1] and answered not in asked[0]


def _options(blob: bytes) -> Row:
    """Return MSS, window scale and the length of the Fast Open cookie, the first of each."""
    found: Row = {"mss": None, "window_scale": None, "tfo": None}
    while blob and blob[0] != 0:
        if blob[0] == 1:
            blob = blob[1:]
            continue
        if len(blob) < 2 or not 2 <= blob[1] <= len(blob):
            break
        kind, value, blob = blob[0], blob[2 : blob[1]], blob[blob[1] :]
        if kind == MSS and len(value) == 2 and found["mss"] is None:
            found["mss"] = int.from_bytes(value)
        elif kind == WINDOW_SCALE and len(value) == 1 and found["window_scale"] is None:
            found["window_scale"] = value[0]
        elif kind == FAST_OPEN and found["tfo"] is None:
            found["tfo"] = len(value)
    found["has_tfo"] = found["tfo"] is not None
    return found


def _quote(row: Row) -> Row:
    """Return an ICMP error: it reaches who sent the quoted segment as if from the other side."""
    unknown = dict.fromkeys(("ack", "window", "ttl", "mss", "window_scale", "tfo"))
    return unknown | {
        "kind": "icmp",
        "by_client": not row["by_client"],
        "flags": 0,
        "capture": row["capture"],
        "frame": row["frame"],
        "last_frame": row["frame"],
        "options": b"",
        "raw": (),
        "seq": Seq(row["seq"]),
        "len": 0,
        "fin": False,
        "has_ack": False,
        "time": None if row["time"] == NO_TIME else row["time"],
        "repeats": 1,
        "header_cut": False,
        "stale": False,
        "has_tfo": False,
        "icmp_version": row["version"],
        "icmp_type": row["type"],
        "icmp_code": row["code"],
    }


def _near(rows: list[Row]) -> list[Row]:
    """Keep SYN, RST, FIN and unreadable segments, and a few of each side after each boundary."""
    chosen = []
    left = {True: NEAR, False: NEAR}
    reset: set[bool] = set()
    for row in rows:
        flags, side = row["flags"], row["by_client"]
        if flags & SYN or (flags & RST and side not in reset):
            left = {True: NEAR, False: NEAR}
        if flags & RST:
            reset.add(side)
        if flags & SPECIAL or row["kind"] == "unreadable":
            chosen.append(row)
        elif left[side]:
            left[side] -= 1
            chosen.append(row)
    return chosen


def _folded(rows: list[Row]) -> list[Row]:
    """Let the second of a run of exact repeats stand for all that follow it."""
    kept: list[Row] = []
    run = 0
    for row in rows:
        same = bool(kept) and row["kind"] == "segment" and bool(row["flags"] & SPECIAL)
        same = same and all(row[name] == kept[-1][name] for name in ("kind", "by_client", "flags", "raw", "options"))
        run = run + 1 if same else 1
        if run <= 2:
            kept.append(row)
        else:
            kept[-1] = kept[-1] | {"last_frame": row["frame"], "repeats": kept[-1]["repeats"] + 1}
    return kept
