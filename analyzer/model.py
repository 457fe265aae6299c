"""Small frozen values that cross borders: a capture as read, a report as judged.

Promises: every value is frozen; tables inside are DataFrames whose columns `tables` and `model` describe.
Must not know: any stage's inner workings, any output format.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

from analyzer.schema import TCP_STATS, Column, Table

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

Severity = Literal["error", "warning", "note"]
SEVERITIES: Final[tuple[Severity, ...]] = ("note", "warning", "error")
"""Rising order: the index is the rank."""

FailOn = Literal["error", "warning", "note", "never"]

Status = Literal["clean", "findings", "unreadable", "incomplete", "nothing-checked"]


@dataclass(frozen=True, slots=True)
class Note:
    """Something about a capture worth telling: damage, undecoded frames, clock trouble."""

    id: str
    """Kebab-case name of the kind of note."""
    text: str
    """One line for a person."""
    frame: int | None = None
    """The frame it is about, when it is about one."""


class Payloads(Protocol):
    """Captured payload bytes, by address."""

    def read(self, address: int, length: int) -> bytes:
        """Return the `length` bytes at `address`. Raises `InputError` when they cannot be read any more."""

    def close(self) -> None:
        """Let everything go that reading needs."""


@dataclass(frozen=True, slots=True)
class Capture:
    """One capture file as a reader found it."""

    path: str
    """The path as the user gave it."""
    segments: pd.DataFrame
    """Table `tables.SEGMENTS`, in capture order; `capture` is 0 until `analysis` numbers the captures."""
    quotes: pd.DataFrame
    """Table `tables.QUOTES`: the TCP headers that ICMP errors quote, in capture order."""
    option_bytes: bytes
    """All TCP option bytes, one run a segment, found by `option_start` and `option_length`."""
    packets: int
    """Frames read, of any kind."""
    complete: bool
    """Whether the file was read to its end without damage."""
    reason: str = ""
    """Why it was not, in one line; empty when complete."""
    readable: bool = True
    """False when nothing could be read: not a capture, missing, empty."""
    engines: dict[str, int] = field(default_factory=dict)
    """Engine name to the number of frames it decoded."""
    notes: tuple[Note, ...] = ()
    start_time: int | None = None
    """Time of the first frame, ns since the epoch; None when there is none."""
    end_time: int | None = None
    """Latest time of any frame, ns since the epoch: how long the capture went on."""
    payloads: Payloads | None = None
    """Where `payload_start` leads; None when there is no payload to be had."""
    stats: dict[str, Any] = field(default_factory=dict)
    """What -v prints: tshark's version and argument list, seconds."""


@dataclass(frozen=True, slots=True)
class CaptureSummary:
    """One capture in a report: what was read and how it ended."""

    path: str
    status: Status
    complete: bool
    reason: str
    packets: int
    segments: int
    engines: dict[str, int]
    notes: tuple[Note, ...]
    expectations: tuple[Note, ...] = ()
    """What expect.toml asked for and was not so; empty when all held or none was given."""


@dataclass(frozen=True, slots=True)
class RuleMetadata:
    """What the rules say of a finding, for formats that carry it along."""

    severity: Severity
    title: str
    why: str
    references: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DetailColumn:
    """A column of transactions that is printed below a transaction."""

    name: str
    label: str
    """The word before its value."""
    beside: str = ""
    """Of a list: another one of the same length, whose items are printed behind this one's."""


@dataclass(frozen=True, slots=True)
class Report:
    """What `analysis.analyze` returns: three tables, the steps behind them, and what was read."""

    captures: tuple[CaptureSummary, ...]
    flows: pd.DataFrame
    """Table `FLOWS`: a row a connection."""
    findings: pd.DataFrame
    """Table `FINDINGS`: a row a finding."""
    steps: pd.DataFrame
    """Table `STEPS`: one row per segment (or run of exact repeats) that the opening was judged on."""
    transactions: pd.DataFrame
    """One row per message, command or request; its columns are `transaction_columns`."""
    verdict_severities: Mapping[str, Severity] = field(kw_only=True)
    """Severity of each verdict that counts against a connection, by name; `rules/opening.toml` says so (`counts_as`)."""
    fail_on: FailOn = "warning"
    passed_over: int = 0
    """Files in the folders that were given that are no captures and are not named like one."""
    secrets: bool = False
    """Whether passwords and the like are in it, as they were asked for."""
    transaction_columns: Table = field(default_factory=lambda: Table("transactions", ()))
    """What the columns of `transactions` are."""
    spoken: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Per protocol, the columns of `transactions` that are its own."""
    details: Mapping[str, tuple[DetailColumn, ...]] = field(default_factory=dict)
    """Per protocol, what is printed below a transaction."""
    about: Mapping[str, RuleMetadata] = field(default_factory=dict)
    """What the rules say of each finding that was looked for, by id."""


FLOWS: Final = Table(
    "flows",
    (
        Column("flow_id", "str", "f1, f2, … in order of first frame over the whole job"),
        Column("capture", "int64", "index of the capture"),
        Column("start_time_ns", "int64", "time of the first segment", "ns"),
        Column("end_time_ns", "int64", "time of the last segment", "ns"),
        Column("duration_ms", "float64", "end minus start", "ms"),
        Column("first_frame", "int64", "frame of the first segment"),
        Column("last_frame", "int64", "frame of the last segment"),
        Column("client_ip", "str", "address of the side that sent the first SYN"),
        Column("client_port", "int64", "its port"),
        Column("server_ip", "str", "address of the other side"),
        Column("server_port", "int64", "its port"),
        Column("client_by", "str", "how the client was told: syn, synack, port or first-segment"),
        Column("vlan", "str", "VLAN ids from the outside in"),
        Column("tunnel", "str", "what carries the packets"),
        Column("service", "str", "protocol recognised from the dialogue, or empty"),
        Column("service_by_port", "str", "what the server port is registered for, or empty"),
        Column("service_client", "str", "what the client's first bytes are of, several joined by -or-, or empty"),
        Column("service_server", "str", "what the server's first bytes are of, several joined by -or-, or empty"),
        Column("service_after", "str", "protocol spoken after an upgrade or inside a tunnel, or empty"),
        Column("first_talker", "str", "whose payload was captured first: client, server, or empty"),
        Column("encrypted_by", "str", "how the connection came to TLS: implicit, starttls, auth-tls, upgrade, connect, or empty"),
        Column("tls_frame", "int64", "frame in which TLS begins, -1 when it does not"),
        Column("dialogue", "str", "what was said, in one line, or empty"),
        Column("dialogue_inconclusive", "bool", "payload a dialogue needs was not captured, or more was said than is kept"),
        Column("transactions", "int64", "messages, commands or requests read"),
        Column("control_flow_id", "str", "the connection that announced this one, of an FTP data connection, or empty"),
        Column("verdict", "str", "what happened"),
        Column("outcome", "str", "opened, not-opened, broken or not-judged"),
        Column("worst", "str", "highest severity found, or empty"),
        Column("view", "str", "both, client-only, server-only or starts-late"),
        Column("evidence", "str", "observed or inferred"),
        Column("confirmed", "bool", "the server sent a segment that proves it reached ESTABLISHED"),
        Column("inconclusive", "bool", "an opening segment is missing bytes a check needs: never a pass"),
        Column("excused", "bool", "expect.toml or a baseline says this verdict is meant"),
        Column("syn_validated", "bool", "SYN+ACK acknowledges SYN + 1 (Arkime)"),
        Column(
            "ack_synchronized",
            "bool",
            "third segment: ack = SYN+ACK.seq + 1, seq = SYN.seq + 1, so no data covered (Arkime's tcp.ackSynchronized)",
        ),
        Column("rtt_ms", "float64", "SYN to third segment, NaN when either was not seen", "ms"),
        Column("client_isn", "int64", "initial sequence number, -1 when unknown"),
        Column("server_isn", "int64", "initial sequence number, -1 when unknown"),
        Column("client_segments", "int64", "segments the client sent, duplicates of frames left out"),
        Column("server_segments", "int64", "segments the server sent"),
        Column("client_bytes", "int64", "payload bytes the client sent, repeats included", "bytes"),
        Column("server_bytes", "int64", "payload bytes the server sent, repeats included", "bytes"),
        Column("client_first_ns", "int64", "time of the client's first segment, NO_TIME when none", "ns"),
        Column("server_first_ns", "int64", "time of the server's first segment, NO_TIME when none", "ns"),
        *TCP_STATS.columns,
        Column("duplicate_frames", "int64", "frames dropped as copies of another frame"),
        Column("zeek_conn_state", "str", "Zeek's word for it"),
        Column("tcp_completeness", "int64", "Wireshark's tcp.completeness at the end"),
        Column("wireshark_filter", "str", "display filter that selects the connection"),
        Column("community_id", "str", "Community ID v1, seed 0"),
    ),
)

TRANSACTIONS: Final = Table(
    "transactions",
    (
        Column("flow_id", "str", "the connection"),
        Column("capture", "int64", "index of the capture"),
        Column("protocol", "str", "protocol of the dialogue"),
        Column("kind", "str", "message, command or request"),
        Column("number", "int64", "which of its dialogue it is, from 1"),
        Column("time_ns", "int64", "time of the first byte of the request", "ns"),
        Column("first_frame", "int64", "frame of the first byte"),
        Column("last_frame", "int64", "frame of the last byte of the answer, or of the request"),
        Column("request", "str", "what was asked, in short, secrets left out"),
        Column("code", "int64", "code of the final reply, -1 when there is none"),
        Column("reply", "str", "text of the final reply, first line"),
        Column("latency_ms", "float64", "end of the request to the first byte of the final reply", "ms"),
        Column("request_bytes", "int64", "bytes of the request, body included, -1 when not known", "bytes"),
        Column("response_bytes", "int64", "bytes of the answer, body included, -1 when not known", "bytes"),
        Column("complete", "bool", "request and final reply were captured whole"),
        Column("inside", "object", "where the tunnels lead that it was sent through, from the outermost; empty outside of any"),
    ),
)
"""What all transactions have; the columns of each protocol, declared in rules/protocols, follow."""

FINDINGS: Final = Table(
    "findings",
    (
        Column("flow_id", "str", "the connection"),
        Column("id", "str", "the rule"),
        Column("severity", "str", "error, warning or note"),
        Column("capture", "int64", "capture of the first cited frame"),
        Column("frames", "object", "cited frames: tuple of (capture, frame)"),
        Column("message", "str", "one sentence with this connection's numbers"),
        Column("excused", "bool", "expect.toml or a baseline says this finding is meant"),
    ),
)

STEPS: Final = Table(
    "steps",
    (
        Column("flow_id", "str", "the connection"),
        Column("capture", "int64", "index of the capture"),
        Column("frame", "int64", "frame of the segment, the first of a run"),
        Column("last_frame", "int64", "frame of the last exact repeat, or frame again"),
        Column("repeats", "int64", "how many times the segment was sent in a row"),
        Column("time_ns", "int64", "time of the segment", "ns"),
        Column("by", "str", "client or server"),
        Column("flags", "str", "flag letters in header order, as SA for SYN+ACK; `none` without any, empty when not captured"),
        Column("seq", "int64", "raw sequence number, -1 when it was not captured"),
        Column("ack", "int64", "raw acknowledgment field, -1 without ACK"),
        Column("seq_relative", "int64", "sequence number less the sender's ISN mod 2^32, -1 when unknown"),
        Column("ack_relative", "int64", "acknowledgment less the peer's ISN mod 2^32, -1 when unknown"),
        Column("length", "int64", "payload bytes, -1 where the header was cut before it says how long it is", "bytes"),
        Column("row", "str", "id of the row of opening.toml that fired, or empty"),
        Column("client_state", "str", "client's state as its own segments prove it"),
        Column("server_state", "str", "server's state as its own segments prove it"),
        Column("client_textbook", "str", "client's state as the textbook draws it"),
        Column("server_textbook", "str", "server's state as the textbook draws it"),
    ),
)
