"""Frozen values that stages pass on: a capture as read, a report as judged.

Their tables are DataFrames whose columns `schema` and this module describe.
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
"""In rising order: the index is the rank."""

FailOn = Literal["error", "warning", "note", "never"]

Status = Literal["clean", "findings", "unreadable", "incomplete", "nothing-checked"]


EXPECTED_WITHOUT_REASON: Final = "expected-without-reason"
"""Id of the note about an entry of expect.toml that has no reason."""


@dataclass(frozen=True, slots=True)
class Note:
    """A diagnostic about a capture: damage, undecoded frames, wrong timestamps."""

    id: str
    """Kind of note, in kebab case."""
    text: str
    """One line of text."""
    frame: int | None = None
    """The frame concerned, if it concerns one."""


class Payloads(Protocol):
    """Captured payload bytes, by address."""

    def read(self, address: int, length: int) -> bytes:
        """Return the `length` bytes at `address`. Raises `InputError` when they can no longer be read."""

    def close(self) -> None:
        """Release all resources."""


@dataclass(frozen=True, slots=True)
class Capture:
    """One capture file as read."""

    path: str
    """The path as the user gave it."""
    segments: pd.DataFrame
    """Table `schema.SEGMENTS`, in capture order; column `capture` is 0 until captures are concatenated."""
    quotes: pd.DataFrame
    """Table `schema.QUOTES`: the TCP headers that ICMP errors quote, in capture order."""
    option_bytes: bytes
    """TCP option bytes of all segments; `option_start` and `option_length` are the range of one segment."""
    packets: int
    """Frames read, of any kind."""
    complete: bool
    """Whether the file was read to its end without damage."""
    reason: str = ""
    """Why it was not, in one line; empty when complete."""
    readable: bool = True
    """False when nothing could be read: not a capture, missing, empty."""
    engines: dict[str, int] = field(default_factory=dict)
    """Number of frames that each engine decoded."""
    notes: tuple[Note, ...] = ()
    start_time: int | None = None
    """Time of the first frame, ns since the epoch; None when there is none."""
    end_time: int | None = None
    """Latest time of any frame, ns since the epoch: the end of the capture."""
    payloads: Payloads | None = None
    """What `payload_start` addresses; None without payload."""
    stats: dict[str, Any] = field(default_factory=dict)
    """What -v prints: tshark's version and argument list, seconds."""


@dataclass(frozen=True, slots=True)
class CaptureSummary:
    """One capture in a report: what was read, and its status."""

    path: str
    status: Status
    complete: bool
    reason: str
    packets: int
    segments: int
    engines: dict[str, int]
    notes: tuple[Note, ...]
    expectations: tuple[Note, ...] = ()
    """Expectations of expect.toml that were not met or have no reason."""


@dataclass(frozen=True, slots=True)
class RuleMetadata:
    """Metadata of a finding's rule, for formats that include it."""

    severity: Severity
    title: str
    why: str
    references: tuple[str, ...] = ()
    next: tuple[str, ...] = ()
    """What to check next."""


@dataclass(frozen=True, slots=True)
class DetailColumn:
    """A column of transactions whose value is printed below a transaction."""

    name: str
    label: str
    """Printed before the value."""
    paired_column: str = ""
    """For a list: a list of the same length, whose items are printed after this one's."""


@dataclass(frozen=True, slots=True)
class Report:
    """What `api.analyze` returns: the tables of the run and the captures that were read."""

    captures: tuple[CaptureSummary, ...]
    flows: pd.DataFrame
    """Table `FLOWS`, one row per connection."""
    findings: pd.DataFrame
    """Table `FINDINGS`, one row per finding."""
    steps: pd.DataFrame
    """Table `STEPS`, one row per segment (or run of exact repeats) that the opening was judged by."""
    transactions: pd.DataFrame
    """One row per message, command or request; its columns are `transaction_columns`."""
    verdict_severities: Mapping[str, Severity] = field(kw_only=True)
    """Severity of each verdict that counts against a connection, by name; `rules/opening.toml` says so (`counts_as`)."""
    fail_on: FailOn = "warning"
    passed_over: int = 0
    """Number of files in the given folders that are neither captures nor named like one."""
    secrets: bool = False
    """Whether the report contains secrets, because `--show-secrets` was given."""
    transaction_columns: Table = field(default_factory=lambda: Table("transactions", ()))
    """Description of the columns of `transactions`."""
    protocol_columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The columns of `transactions` that belong to one protocol, by protocol."""
    details: Mapping[str, tuple[DetailColumn, ...]] = field(default_factory=dict)
    """The columns printed below a transaction, by protocol."""
    rule_metadata: Mapping[str, RuleMetadata] = field(default_factory=dict)
    """Metadata of each finding that may be reported, by id."""


FLOWS: Final = Table(
    "flows",
    (
        Column("flow_id", "str", "f1, f2, … in order of first frame over all captures"),
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
        Column("client_by", "str", "how the client was determined: syn, synack, port or first-segment"),
        Column("vlan", "str", "VLAN ids from the outside in"),
        Column("tunnel", "str", "encapsulation of the packets"),
        Column("service", "str", "protocol recognised from the dialogue, or empty"),
        Column("service_by_port", "str", "service registered for the server port, or empty"),
        Column("service_client", "str", "protocols that the client's first bytes match, joined by -or-, or empty"),
        Column("service_server", "str", "protocols that the server's first bytes match, joined by -or-, or empty"),
        Column("service_after", "str", "protocol after an upgrade or inside a tunnel, or empty"),
        Column("first_talker", "str", "side whose payload was captured first: client, server, or empty"),
        Column("encrypted_by", "str", "how TLS began: implicit, starttls, auth-tls, upgrade, connect, or empty"),
        Column("tls_frame", "int64", "frame in which TLS begins, -1 when it does not"),
        Column("dialogue", "str", "summary of the dialogue in one line, or empty"),
        Column("dialogue_inconclusive", "bool", "payload that the dialogue needs was not captured, or the dialogue exceeds a limit"),
        Column("transactions", "int64", "messages, commands or requests read"),
        Column("control_flow_id", "str", "for an FTP data connection: the connection that announced it, or empty"),
        Column("verdict", "str", "what happened"),
        Column("outcome", "str", "opened, not-opened, broken or not-judged"),
        Column("worst", "str", "highest severity found, or empty"),
        Column("view", "str", "both, client-only, server-only or starts-late"),
        Column("evidence", "str", "observed or inferred"),
        Column("confirmed", "bool", "the server sent a segment that proves it reached ESTABLISHED"),
        Column("inconclusive", "bool", "an opening segment lacks bytes that a check needs: never a pass"),
        Column("excused", "bool", "suppressed by expect.toml or a baseline"),
        Column("syn_validated", "bool", "SYN+ACK acknowledges SYN + 1 (Arkime)"),
        Column(
            "ack_synchronized",
            "bool",
            "third segment: ack = SYN+ACK.seq + 1, seq = SYN.seq + 1, so no data covered (Arkime's tcp.ackSynchronized)",
        ),
        Column("rtt_ms", "float64", "SYN to third segment, NaN when either was not seen", "ms"),
        Column("client_isn", "int64", "initial sequence number, -1 when unknown"),
        Column("server_isn", "int64", "initial sequence number, -1 when unknown"),
        Column("client_segments", "int64", "segments the client sent, without duplicate frames"),
        Column("server_segments", "int64", "segments the server sent"),
        Column("client_bytes", "int64", "payload bytes the client sent, repeats included", "bytes"),
        Column("server_bytes", "int64", "payload bytes the server sent, repeats included", "bytes"),
        Column("client_first_ns", "int64", "time of the client's first segment, NO_TIME when none", "ns"),
        Column("server_first_ns", "int64", "time of the server's first segment, NO_TIME when none", "ns"),
        *TCP_STATS.columns,
        Column("duplicate_frames", "int64", "frames dropped as copies of another frame"),
        Column("zeek_conn_state", "str", "Zeek's conn_state"),
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
        Column("number", "int64", "position in its dialogue, from 1"),
        Column("time_ns", "int64", "time of the first byte of the request", "ns"),
        Column("first_frame", "int64", "frame of the first byte"),
        Column("last_frame", "int64", "frame of the last byte of the response, or of the request"),
        Column("request", "str", "request or command in one line, secrets redacted"),
        Column("code", "int64", "code of the final reply, -1 when there is none"),
        Column("reply", "str", "text of the final reply, first line"),
        Column("latency_ms", "float64", "end of the request to the first byte of the final reply", "ms"),
        Column("request_bytes", "int64", "bytes of the request, body included, -1 when unknown", "bytes"),
        Column("response_bytes", "int64", "bytes of the response, body included, -1 when unknown", "bytes"),
        Column("complete", "bool", "request and final reply were captured completely"),
        Column("inside", "object", "targets of the tunnels around it, outermost first; empty outside of tunnels"),
    ),
)
"""Columns of all transactions; those of each protocol, declared in rules/protocols, follow."""

FINDINGS: Final = Table(
    "findings",
    (
        Column("flow_id", "str", "the connection"),
        Column("id", "str", "the rule"),
        Column("severity", "str", "error, warning or note"),
        Column("capture", "int64", "capture of the first cited frame"),
        Column("frames", "object", "cited frames: tuple of (capture, frame)"),
        Column("message", "str", "one sentence with the values of this connection"),
        Column("excused", "bool", "suppressed by expect.toml or a baseline"),
    ),
)

STEPS: Final = Table(
    "steps",
    (
        Column("flow_id", "str", "the connection"),
        Column("capture", "int64", "index of the capture"),
        Column("frame", "int64", "frame of the segment, of the first of a run of repeats"),
        Column("last_frame", "int64", "frame of the last exact repeat, or frame again"),
        Column("repeats", "int64", "number of consecutive times the segment was sent"),
        Column("time_ns", "int64", "time of the segment", "ns"),
        Column("by", "str", "client or server"),
        Column("flags", "str", "flag letters in header order, as SA for SYN+ACK; `none` without any, empty when not captured"),
        Column("seq", "int64", "raw sequence number, -1 when it was not captured"),
        Column("ack", "int64", "raw acknowledgment field, -1 without ACK"),
        Column("seq_relative", "int64", "sequence number less the sender's ISN mod 2^32, -1 when unknown"),
        Column("ack_relative", "int64", "acknowledgment less the peer's ISN mod 2^32, -1 when unknown"),
        Column("length", "int64", "payload bytes, -1 where the header was cut before the data offset", "bytes"),
        Column("row", "str", "id of the row of opening.toml that fired, or empty"),
        Column("client_state", "str", "client's state as proved by its own segments"),
        Column("server_state", "str", "server's state as proved by its own segments"),
        Column("client_textbook", "str", "client's state in the textbook diagram"),
        Column("server_textbook", "str", "server's state in the textbook diagram"),
    ),
)
