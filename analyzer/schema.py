"""The columns of the tables that modules exchange, and a check of a DataFrame against them.

Each table is described once: name, dtype, unit, meaning and the equivalent Wireshark field, where there is one.

Absent is never 0: a signed integer column uses -1, a time `NO_TIME`, a text column "". Unsigned columns without a spare value (`seq`,
`ack`) are valid as far as `header_captured` reaches.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from analyzer.errors import PcaplintError

if TYPE_CHECKING:
    import pandas as pd

NO_TIME: Final = -(2**63)
"""Time of a record without a timestamp (pcapng Simple Packet Block); pandas reads the value as NaT."""

FIN: Final = 0x001
SYN: Final = 0x002
RST: Final = 0x004
PSH: Final = 0x008
ACK: Final = 0x010
URG: Final = 0x020
ECE: Final = 0x040
CWR: Final = 0x080
AE: Final = 0x100
FLAG_LETTERS: Final = "FSRPAUEWN"
"""Letter of each of the low nine flag bits, lowest first (the notation's and tcpdump's letters)."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column."""

    name: str
    dtype: str
    meaning: str
    unit: str = ""
    field: str = ""
    """The equivalent Wireshark field, where one exists."""


@dataclass(frozen=True, slots=True)
class Table:
    """A named, ordered set of columns."""

    name: str
    columns: tuple[Column, ...]

    @property
    def names(self) -> list[str]:
        """The column names, in order."""
        return [column.name for column in self.columns]


SEGMENTS: Final = Table(
    "segments",
    (
        Column("capture", "uint16", "index of the capture in the run"),
        Column("frame", "uint32", "frame number as Wireshark counts, from 1", field="frame.number"),
        Column("time", "int64", "capture time since the epoch, NO_TIME when the record has none", "ns", "frame.time_epoch"),
        Column("src", "category", "source address, text; shares its categories with dst", field="ip.src"),
        Column("dst", "category", "destination address, text", field="ip.dst"),
        Column("src_port", "uint16", "source port", field="tcp.srcport"),
        Column("dst_port", "uint16", "destination port", field="tcp.dstport"),
        Column("src_mac", "category", "source link address as aa:bb:…, or empty", field="eth.src"),
        Column("dst_mac", "category", "destination link address, or empty", field="eth.dst"),
        Column("vlan", "category", "VLAN ids from the outside in, joined by a dot, or empty", field="vlan.id"),
        Column("tunnel", "category", "encapsulation from the outside in, as gre:KEY/vxlan:VNI/…, or empty"),
        Column("interface", "int32", "pcapng interface, numbered within its section as Wireshark does, or -1", field="frame.interface_id"),
        Column("ttl", "int16", "time to live or hop limit, or -1", field="ip.ttl"),
        Column("ip_id", "int32", "IPv4 identification, -1 for IPv6", field="ip.id"),
        Column("ip_ecn", "int8", "IP ECN bits, or -1", field="ip.dsfield.ecn"),
        Column("fragment", "bool", "the segment came in IP fragments", field="ip.fragment"),
        Column("seq", "uint32", "raw sequence number", field="tcp.seq_raw"),
        Column("ack", "uint32", "raw acknowledgment field, whether or not ACK is set", field="tcp.ack_raw"),
        Column("flags", "uint16", "the twelve flag bits, reserved ones included", field="tcp.flags"),
        Column("window", "int32", "window field, never scaled, or -1", "bytes", "tcp.window_size_value"),
        Column("urgent", "int32", "urgent pointer field, or -1", "bytes", "tcp.urgent_pointer"),
        Column("header_length", "int16", "header length by the data offset, or -1", "bytes", "tcp.hdr_len"),
        Column("header_captured", "int16", "header bytes that were captured, at most header_length", "bytes"),
        Column("checksum", "int32", "checksum field, or -1", field="tcp.checksum"),
        Column("checksum_state", "int8", "one of CHECKSUM_STATES", field="tcp.checksum.status"),
        Column("payload_length", "int32", "payload length by the IP header", "bytes", "tcp.len"),
        Column("payload_captured", "int32", "payload bytes that were captured", "bytes"),
        Column(
            "payload_start", "int64", "address of the first captured payload byte in Capture.payloads, -1 where there is none and in a RST"
        ),
        Column("option_start", "int64", "where the option bytes begin in Capture.option_bytes", "bytes"),
        Column("option_length", "int16", "option bytes captured", "bytes"),
    ),
)

CHECKSUM_UNVERIFIED: Final = 0
CHECKSUM_GOOD: Final = 1
CHECKSUM_BAD: Final = 2
CHECKSUM_PARTIAL: Final = 3
"""The field is the sum of the pseudo-header alone: left to the sender's network card."""
CHECKSUM_STATES: Final = ("unverified", "good", "bad", "partial")

QUOTES: Final = Table(
    "quotes",
    (
        Column("capture", "uint16", "index of the capture in the run"),
        Column("frame", "uint32", "frame number of the ICMP error", field="frame.number"),
        Column("time", "int64", "capture time since the epoch", "ns", "frame.time_epoch"),
        Column("version", "int8", "4 for ICMP, 6 for ICMPv6"),
        Column("type", "int16", "ICMP type", field="icmp.type"),
        Column("code", "int16", "ICMP code", field="icmp.code"),
        Column("sender", "category", "address that sent the error"),
        Column("src", "category", "source address of the quoted segment; categories of the segments table"),
        Column("dst", "category", "destination address of the quoted segment"),
        Column("src_port", "uint16", "source port of the quoted segment"),
        Column("dst_port", "uint16", "destination port of the quoted segment"),
        Column("vlan", "category", "VLAN ids of the error's own frame, as in segments"),
        Column("seq", "uint32", "raw sequence number of the quoted segment"),
    ),
)


_FLOW = Column("flow", "int32", "row of the connections table")
_BY_CLIENT = Column("by_client", "bool", "sent by the connection's client")

FLOW_SEGMENTS: Final = Table("flow segments", (*SEGMENTS.columns, _FLOW, _BY_CLIENT))
DUPLICATES: Final = Table(
    "duplicates",
    (*FLOW_SEGMENTS.columns, Column("routed", "bool", "the copy was captured on another side of a router: its TTL or its MACs differ")),
)
FLOW_QUOTES: Final = Table(
    "flow quotes",
    (*QUOTES.columns, Column("flow", "int32", "row of the connections table, -1 when none matches"), _BY_CLIENT),
)

CONNECTIONS: Final = Table(
    "connections",
    (
        Column("capture", "uint16", "index of the capture in the run"),
        Column("first_frame", "uint32", "frame of the first segment"),
        Column("last_frame", "uint32", "frame of the last segment or copy of one"),
        Column("start_time", "int64", "earliest time of a segment, NO_TIME when none has one", "ns"),
        Column("end_time", "int64", "latest time of a segment, NO_TIME when none has one", "ns"),
        Column("client_ip", "category", "address of the client; shares its categories with server_ip and the segments table"),
        Column("server_ip", "category", "address of the server"),
        Column("client_port", "uint16", "port of the client"),
        Column("server_port", "uint16", "port of the server"),
        Column("vlan", "category", "VLAN ids of the first segment, as in segments"),
        Column("tunnel", "category", "encapsulation of the packets, as in segments"),
        Column("client_by", "category", "how the client was determined: syn, synack, port or first-segment"),
        Column("client_segments", "int64", "segments the client sent, without copies"),
        Column("server_segments", "int64", "segments the server sent, without copies"),
        Column("client_bytes", "int64", "payload the client sent, retransmissions included", "bytes"),
        Column("server_bytes", "int64", "payload the server sent, retransmissions included", "bytes"),
        Column("client_first", "int64", "time of the client's first segment, NO_TIME when none", "ns"),
        Column("server_first", "int64", "time of the server's first segment, NO_TIME when none", "ns"),
        Column("client_last", "int64", "time of the client's last segment, NO_TIME when none", "ns"),
        Column("server_last", "int64", "time of the server's last segment, NO_TIME when none", "ns"),
        Column("duplicate_frames", "int64", "frames dropped as copies of another frame"),
        Column("routed_frames", "int64", "those of them that were captured on another side of a router"),
        Column("icmp_quotes", "int64", "ICMP errors that quote a segment of this connection"),
        Column("follows", "int32", "row of the connection that used the same addresses and ports before, -1 when none"),
        Column("reuse", "category", "how the previous one had ended: closed, active or early (RFC 9293 3.6.1), or empty"),
        Column("vlan_joined", "bool", "the directions were captured on different VLANs or in different tunnels"),
        Column("capture_end", "int64", "latest time in the capture, NO_TIME when it has none", "ns"),
    ),
)

TCP_STATS: Final = Table(
    "tcp stats",
    tuple(
        Column(f"{end}_{name}", "int64", meaning, unit)
        for end in ("client", "server")
        for name, meaning, unit in (
            ("retransmitted", "segments that repeat sequence numbers it had sent before", ""),
            ("out_of_order", "segments that fill a gap too early for a retransmission", ""),
            ("missing_bytes", "sequence numbers between its captured segments that no segment carries", "bytes"),
            ("duplicate_acks", "acknowledgments without data that repeat the one before", ""),
            ("zero_windows", "segments that advertise window 0", ""),
            ("keep_alives", "segments of at most one byte that begin one before the next sequence number", ""),
        )
    ),
)


class TableError(PcaplintError):
    """A table does not have the described columns: a defect of this program."""


def check(frame: pd.DataFrame, table: Table) -> pd.DataFrame:
    """Return `frame` unchanged if it has the columns of `table`, in order and with their dtypes.

    Raises `TableError` naming the first difference.
    """
    found = list(frame.columns)
    if found != table.names:
        missing, surplus = set(table.names) - set(found), set(found) - set(table.names)
        difference = f"missing {sorted(missing)}, surplus {sorted(surplus)}" if missing or surplus else "other order"
        message = f"table {table.name}: {difference}"
        raise TableError(message)
    for column in table.columns:
        dtype = frame[column.name].dtype.name
        if dtype != column.dtype:
            message = f"table {table.name}: column {column.name} is {dtype}, not {column.dtype}"
            raise TableError(message)
    return frame


def empty(table: Table) -> pd.DataFrame:
    """Return `table` with no rows."""
    import pandas as pd

    return pd.DataFrame({column.name: pd.Series(dtype=column.dtype) for column in table.columns})
