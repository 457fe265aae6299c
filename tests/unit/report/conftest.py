"""One small report that all formats are tested on, made by hand, with hostile text wherever a capture or a path could put some."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from analyzer import report as reports
from analyzer.model import FINDINGS, FLOWS, STEPS, TRANSACTIONS, CaptureSummary, DetailColumn, Note, Report, RuleMetadata
from analyzer.rules import load
from analyzer.schema import NO_TIME, Column, Table, check

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

START = 1_700_000_000_123_456_789
HOSTILE = "a\x1b[31mred\x9b2J\u202etxt.exe\x07\n[bold]b[/nope]"

TRANSACTION_COLUMNS = Table(
    "transactions",
    (
        *TRANSACTIONS.columns,
        Column("target", "str", "target of a request"),
        Column("cookies", "object", "names of cookies"),
        Column("pipelined", "bool", "sent early"),
        Column("rcpt_to", "object", "recipients"),
        Column("rcpt_codes", "object", "what each was answered with"),
        Column("message_size", "int64", "size of the content", "octets"),
        Column("data_flow_id", "str", "another connection"),
    ),
)
"""Transactions of three protocols."""
PROTOCOL_COLUMNS = {"http": ("target", "cookies", "pipelined"), "smtp": ("rcpt_to", "rcpt_codes", "message_size"), "ftp": ("data_flow_id",)}
DETAILS = {
    "http": (DetailColumn("cookies", "cookies"),),
    "smtp": (DetailColumn("rcpt_to", "to", "rcpt_codes"), DetailColumn("message_size", "message of")),
    "ftp": (DetailColumn("data_flow_id", "over"),),
}

BLANK: dict[str, Any] = {"str": "", "int64": 0, "float64": float("nan"), "bool": False, "object": ()}


def table(shape: Table, rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Return a table with the given cells; cells not given are blank."""
    columns = {}
    for column in shape.columns:
        cells = [row.get(column.name, BLANK[column.dtype]) for row in rows]
        columns[column.name] = pd.Series(cells, dtype=column.dtype)
    unknown = {name for row in rows for name in row} - set(shape.names)
    assert not unknown
    return check(pd.DataFrame(columns), shape)


def flow(flow_id: str, **cells: object) -> dict[str, Any]:
    """Return a connection that opened cleanly, but for the cells given."""
    return {
        "flow_id": flow_id,
        "start_time_ns": START,
        "end_time_ns": START + 9_000_000,
        "duration_ms": 9.0,
        "first_frame": 1,
        "last_frame": 12,
        "client_ip": "10.0.0.5",
        "client_port": 40112,
        "server_ip": "192.0.2.10",
        "server_port": 80,
        "client_by": "syn",
        "service_by_port": "http",
        "tls_frame": -1,
        "verdict": "complete",
        "outcome": "opened",
        "view": "both",
        "evidence": "observed",
        "confirmed": True,
        "syn_validated": True,
        "ack_synchronized": True,
        "rtt_ms": 1.11,
        "client_isn": 1000,
        "server_isn": 4_294_967_295,
        "client_segments": 6,
        "server_segments": 5,
        "client_bytes": 310,
        "server_bytes": 18_432,
        "client_first_ns": START,
        "server_first_ns": START + 1_020_000,
        "zeek_conn_state": "SF",
        "tcp_completeness": 31,
        "wireshark_filter": "ip.addr == 10.0.0.5 && tcp.port == 40112",
        "community_id": "1:LQU9qZlK+B5F3KDmev6m5PMibrg=",
        **cells,
    }


def step(flow_id: str, frame: int, by: str, flags: str, **cells: object) -> dict[str, Any]:
    """Return one segment of an opening."""
    return {
        "flow_id": flow_id,
        "frame": frame,
        "last_frame": frame,
        "repeats": 1,
        "time_ns": START + frame * 510_000,
        "by": by,
        "flags": flags,
        "seq": 0,
        "ack": -1,
        "seq_relative": -1,
        "ack_relative": -1,
        **cells,
    }


def _flows() -> pd.DataFrame:
    wrong: dict[str, Any] = {"verdict": "invalid", "outcome": "broken", "worst": "error", "zeek_conn_state": "S1", "tcp_completeness": 7}
    unanswered: dict[str, Any] = {
        "verdict": "unanswered",
        "outcome": "not-opened",
        "worst": "warning",
        "rtt_ms": float("nan"),
        "server_isn": -1,
        "server_first_ns": NO_TIME,
        "server_segments": 0,
        "server_bytes": 0,
        "confirmed": False,
        "client_ip": "2001:db8:85a3:8d3:1319:8a2e:370:7348",
        "server_ip": "2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff",
        "server_port": 25,
        "service_by_port": "smtp",
    }
    rows: list[dict[str, Any]] = [
        flow("f1", service="http", service_client="http", service_server="http", dialogue="2 requests (GET / 200, …)", transactions=4),
        flow("f2", client_port=40113, first_frame=14, **wrong),
        flow("f3", client_port=40114, start_time_ns=NO_TIME, end_time_ns=NO_TIME, duration_ms=float("nan"), **unanswered, excused=True),
        flow(
            "f4", capture=1, verdict="mid-stream", outcome="not-judged", tunnel="=cmd|' /C calc'!A0", client_by="port", view="starts-late"
        ),
        flow("f5", capture=1, inconclusive=True, vlan="-2", service="@SUM(1)", control_flow_id="f1", dialogue=HOSTILE),
    ]
    return table(FLOWS, rows)


def _findings() -> pd.DataFrame:
    rows: list[dict[str, Any]] = [
        {
            "flow_id": "f2",
            "id": "synack-ack-wrong",
            "severity": "error",
            "frames": ((0, 14), (0, 15)),
            "message": "SYN+ACK acknowledges 1002, SYN + 1 is 1001",
        },
        {"flow_id": "f2", "id": "early-reset", "severity": "note", "frames": ((0, 18),), "message": HOSTILE},
        {
            "flow_id": "f3",
            "id": "syn-retransmitted",
            "severity": "warning",
            "frames": tuple((0, frame) for frame in (31, 40, 52, 66)),
            "message": "SYN sent 4 times in 7.0 s, no answer",
            "excused": True,
        },
        {"flow_id": "f4", "id": "tuple-reused", "severity": "note", "capture": 1, "frames": ((0, 9), (1, 1)), "message": "=1+1"},
    ]
    return table(FINDINGS, rows)


def _steps() -> pd.DataFrame:
    rows: list[dict[str, Any]] = [
        step(
            "f2",
            14,
            "client",
            "S",
            seq=1000,
            seq_relative=0,
            row="syn",
            client_state="SYN_SENT",
            server_state="LISTEN",
            client_textbook="SYN_SENT",
            server_textbook="SYN_RECEIVED",
        ),
        step(
            "f2",
            15,
            "server",
            "SA",
            seq=4_294_967_295,
            ack=1002,
            seq_relative=0,
            ack_relative=2,
            row="synack-ack-wrong",
            client_state="SYN_SENT",
            server_state="SYN_RECEIVED",
            client_textbook="SYN_SENT",
            server_textbook="SYN_RECEIVED",
        ),
        step(
            "f2",
            18,
            "client",
            "R",
            seq=1002,
            seq_relative=2,
            client_state="SYN_SENT",
            server_state="SYN_RECEIVED",
            client_textbook="SYN_SENT",
            server_textbook="LISTEN",
        ),
        step(
            "f3",
            31,
            "client",
            "S",
            seq=7,
            seq_relative=0,
            last_frame=66,
            repeats=4,
            time_ns=NO_TIME,
            client_state="SYN_SENT",
            server_state="LISTEN",
            client_textbook="SYN_SENT",
            server_textbook="LISTEN",
        ),
        step("f1", 1, "client", "S", seq=1000, seq_relative=0, client_state="SYN_SENT", server_state="LISTEN"),
        step(
            "f1",
            2,
            "server",
            "SA",
            seq=4_294_967_295,
            ack=1001,
            seq_relative=0,
            ack_relative=1,
            client_state="SYN_SENT",
            server_state="SYN_RECEIVED",
        ),
        step(
            "f1", 3, "client", "A", seq=1001, ack=0, seq_relative=1, ack_relative=1, client_state="ESTABLISHED", server_state="SYN_RECEIVED"
        ),
        step(
            "f1",
            4,
            "client",
            "PA",
            seq=1001,
            ack=0,
            seq_relative=1,
            ack_relative=1,
            length=310,
            client_state="ESTABLISHED",
            server_state="SYN_RECEIVED",
        ),
        step(
            "f1",
            5,
            "server",
            "A",
            seq=0,
            ack=1311,
            seq_relative=1,
            ack_relative=311,
            client_state="ESTABLISHED",
            server_state="ESTABLISHED",
        ),
    ]
    return table(STEPS, rows)


def _transactions() -> pd.DataFrame:
    def said(protocol: str, number: int, frames: tuple[int, int], **cells: object) -> dict[str, Any]:
        known = {"request_bytes": 40, "response_bytes": 200, "code": 200, "latency_ms": 1.25, "complete": True, "message_size": -1}
        place = {"number": number, "first_frame": frames[0], "last_frame": frames[1], "time_ns": START + frames[0] * 1_000_000}
        return {"flow_id": "f1", "protocol": protocol, "kind": "request", **place, **known, **cells}

    unanswered: dict[str, Any] = {"code": -1, "latency_ms": float("nan"), "response_bytes": -1, "complete": False, "time_ns": NO_TIME}
    rows: list[dict[str, Any]] = [
        said("http", 1, (4, 5), request="GET /", target="/", reply="200 OK", cookies=("sid", "a;b", "")),
        said("http", 2, (6, 6), request=HOSTILE, target="=1+1", **unanswered),
        said(
            "smtp",
            3,
            (7, 8),
            kind="message",
            request="MAIL FROM:<a@b.example>",
            code=250,
            reply="queued",
            rcpt_to=("c@d.example", "=x@y.example"),
            rcpt_codes=(250, 550),
            message_size=1200,
        ),
        said("ftp", 4, (9, 12), kind="command", request="RETR a", code=426, reply="cut off", complete=False, data_flow_id="f5"),
    ]
    return table(TRANSACTION_COLUMNS, rows)


@pytest.fixture
def report() -> Report:
    """Two captures and one that is none; five connections, one of each status."""
    cut = Note("cut-short", "the capture ends inside its last packet", 212)
    unmet = Note("expected", f"expected 1 connection that is complete, found 0 {HOSTILE}")
    return Report(
        captures=(
            CaptureSummary(
                "demo/web-broken.pcap", "findings", complete=True, reason="", packets=70, segments=68, engines={"native": 70}, notes=()
            ),
            CaptureSummary(
                f"demo/{HOSTILE}.pcap",
                "incomplete",
                complete=False,
                reason="cut inside packet 212",
                packets=211,
                segments=200,
                engines={"native": 200, "pyshark": 11},
                notes=(cut,),
                expectations=(unmet,),
            ),
            CaptureSummary(
                "=demo/\udcff.pcap", "unreadable", complete=False, reason="not a capture", packets=0, segments=0, engines={}, notes=()
            ),
        ),
        flows=_flows(),
        findings=_findings(),
        steps=_steps(),
        transactions=_transactions(),
        verdict_severities=load().verdict_severities,
        transaction_columns=TRANSACTION_COLUMNS,
        protocol_columns=PROTOCOL_COLUMNS,
        details=DETAILS,
        rule_metadata={
            "synack-ack-wrong": RuleMetadata(
                "error",
                "SYN+ACK acknowledges a number never sent",
                "The client cannot accept it.",
                ("RFC 9293 3.10.7.3",),
                ("Capture on the server.",),
            )
        },
    )


@pytest.fixture
def huge(report: Report) -> Report:
    """Thousands of connections, every hundredth one refused."""
    number = 5_000
    flows = report.flows.iloc[np.zeros(number, dtype=int)].reset_index(drop=True)
    flows["flow_id"] = [f"f{index + 1}" for index in range(number)]
    refused = np.arange(number) % 100 == 99
    flows.loc[refused, "verdict"] = "refused"
    flows.loc[refused, "outcome"] = "not-opened"
    return Report(
        report.captures[:1],
        check(flows, FLOWS),
        table(FINDINGS, []),
        table(STEPS, []),
        table(TRANSACTIONS, []),
        verdict_severities=report.verdict_severities,
    )


@pytest.fixture
def golden() -> Callable[[str, str], None]:
    """Compare text with the file of that name in goldens/; PCAPLINT_UPDATE_GOLDENS=1 writes it anew, to be read before it is committed."""

    def compare(name: str, text: str) -> None:
        path = Path(__file__).with_name("goldens") / name
        if os.environ.get("PCAPLINT_UPDATE_GOLDENS"):
            path.write_text(text, encoding="utf-8", newline="")
        assert text == path.read_bytes().decode()

    return compare


def render(report: Report, name: str, **layout: Any) -> str:  # noqa: ANN401 - whatever Layout takes
    """Return the whole report as one text."""
    return "".join(reports.render(report, name, reports.Layout(**layout)))


@pytest.fixture
def written(report: Report) -> Callable[..., str]:
    """Render the small report."""
    return lambda name, **layout: render(report, name, **layout)
