"""What a script consists of: endpoints, segments, ICMP errors, as frozen values that refuse what no wire can carry.

Every value in range once constructed, so nothing downstream checks again; equality is by value.
"""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from typing import Final, Literal

from analyzer.errors import RuleError
from analyzer.schema import AE

Side = Literal["client", "server"]
ChecksumWord = Literal["good", "bad", "partial", "zero"]

EPOCH: Final = 1_700_000_000 * 10**9
"""When a script starts by default: 2023-11-14T22:13:20Z, in ns."""
STEP: Final = 1_000_000
"""Time from one line to the next by default, in ns."""
WINDOW: Final = 65_535
"""Window of a line that states none."""
LETTERED: Final = 2 * AE - 1
"""The flag bits that have a letter; the three reserved ones are written in hexadecimal."""

MAX_CONNECTIONS: Final = 10_000
MAX_EVENTS: Final = 100_000
MAX_LENGTH: Final = 262_000
"""Longest payload that fits a capture record with all headers; beyond 65,535 the IP length is 0, as an offloading sender leaves it."""
MAX_OPTIONS: Final = 40
MAX_TAG: Final = 4095
"""IEEE 802.1Q: twelve bits."""
MAX_TAGS: Final = 4
MAX_TEXT: Final = 2**26
"""Characters `parse` accepts; more than any valid script needs."""
MAX_TOTAL_PAYLOAD: Final = 2**22
"""Payload bytes a script may spell out, over all its lines."""
MIN_CUT: Final = 4
"""Fewer captured bytes do not show the ports, so the connection of the segment would be unknown."""
LONGEST_PACKET: Final = 65_515
"""TCP header and payload that an IPv4 packet holds, and so what its fragments add up to."""
MIN_QUOTE: Final = 8
"""Bytes of the quoted transport header every ICMP error carries (RFC 792)."""
TIME_END: Final = 2**32 * 10**9
"""First time a pcap record cannot carry."""

LIMITS: Final[dict[str, tuple[int, int]]] = {
    "ack": (0, 2**32 - 1),
    "code": (0, 255),
    "connection": (1, MAX_CONNECTIONS),
    "cut": (MIN_CUT, MAX_LENGTH + 60),
    "flags": (0, 0xFFF),
    "fragment": (8, 65_528),
    "interface": (0, 255),
    "ip_ecn": (0, 3),
    "ip_id": (0, 65_535),
    "length": (0, MAX_LENGTH),
    "offset": (0, 15),
    "port": (0, 65_535),
    "seq": (0, 2**32 - 1),
    "ttl": (0, 255),
    "type": (0, 255),
    "urgent": (0, 65_535),
    "window": (0, 65_535),
}
"""Lowest and highest value of each numeric field; the reader of text and the constructors share it."""

ERRORS_4: Final = frozenset({3, 4, 5, 11, 12})
"""ICMP types that quote the packet they are about (RFC 792)."""
ERRORS_6: Final = frozenset(range(128))
"""ICMPv6 error messages (RFC 4443 2.1)."""

_MAC = re.compile(r"[0-9a-f]{2}(?::[0-9a-f]{2}){5}")


class NotationError(RuleError):
    """A script is refused: `str(error)` is `WHERE: line L, column C: sentence`, as far as each is known."""

    def __init__(self, sentence: str, *, where: str = "", line: int = 0, column: int = 0) -> None:
        """Keep the parts and the joined message; line and column count from 1, and 0 is unknown."""
        self.sentence, self.where, self.line, self.column = sentence, where, line, column
        place = f"line {line}, column {column}" if line else ""
        super().__init__(": ".join(part for part in (where, place, sentence) if part))


def limit(name: str, value: int | None) -> None:
    """Raise `NotationError` unless `value` is None or within `LIMITS[name]`."""
    low, high = LIMITS[name]
    if value is not None and not low <= value <= high:
        message = f"{name.replace('_', ' ')} {value} is not in {low}..{high}"
        raise NotationError(message)


def check_address(address: str) -> None:
    """Raise `NotationError` unless the address is in canonical text (RFC 5952 for IPv6)."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        canonical = socket.inet_ntop(family, socket.inet_pton(family, address))
    except (OSError, ValueError):
        message = f"{address[:60]!r} is no IP address"
        raise NotationError(message) from None
    if canonical != address:
        message = f"the address {address[:60]!r} is written {canonical}"
        raise NotationError(message)


def check_macs(*macs: str) -> None:
    """Raise `NotationError` unless every one is written as aa:bb:cc:dd:ee:ff."""
    for mac in macs:
        if not _MAC.fullmatch(mac):
            message = f"{mac[:60]!r} is no MAC address like 02:00:00:00:00:01"
            raise NotationError(message)


def check_tags(vlan: tuple[int, ...]) -> None:
    """Raise `NotationError` unless the VLAN stack is one a frame can carry."""
    if len(vlan) > MAX_TAGS or not all(0 <= tag <= MAX_TAG for tag in vlan):
        message = f"a VLAN stack is up to {MAX_TAGS} ids in 0..{MAX_TAG}"
        raise NotationError(message)


@dataclass(frozen=True, slots=True)
class Host:
    """One side of a connection and what its segments carry by default."""

    address: str
    port: int
    mac: str
    ttl: int = 64
    vlan: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what no packet can carry."""
        check_address(self.address)
        limit("port", self.port)
        limit("ttl", self.ttl)
        check_macs(self.mac)
        check_tags(self.vlan)


@dataclass(frozen=True, slots=True)
class Connection:
    """The two ends of a connection."""

    client: Host
    server: Host

    def __post_init__(self) -> None:
        """Refuse ends of two address families."""
        if self.ipv6 != (":" in self.server.address):
            message = f"{self.client.address} and {self.server.address} are of two address families"
            raise NotationError(message)

    @property
    def ipv6(self) -> bool:
        """Whether both ends speak IPv6, or else IPv4."""
        return ":" in self.client.address

    def end(self, side: Side) -> Host:
        """Return the host on that side."""
        return self.client if side == "client" else self.server


def connection(number: int = 1) -> Connection:
    """Return what connection `number` is unless headers say otherwise: 192.0.2.1:40000 (counting up) to 198.51.100.1:80."""
    limit("connection", number)
    return Connection(
        Host("192.0.2.1", 39_999 + number, "02:00:00:00:00:01"),
        Host("198.51.100.1", 80, "02:00:00:00:00:02"),
    )


@dataclass(frozen=True, slots=True)
class Segment:
    """One TCP segment as sent, and as much of it as was captured."""

    by: Side
    flags: int
    """Twelve bits, as `schema.SYN` and its neighbours."""
    seq: int
    ack: int = 0
    """The field, whether or not ACK is set."""
    length: int = 0
    """Payload bytes."""
    payload: bytes = b""
    """The payload, of `length` bytes; empty stands for `length` zero bytes."""
    window: int = WINDOW
    options: bytes = b""
    """Option bytes, padding included: a multiple of four."""
    delay: int = STEP
    """ns since the previous event, or since the script's start; may be negative."""
    connection: int = 1
    urgent: int = 0
    """Urgent pointer field, whether or not URG is set."""
    ttl: int | None = None
    """None: the host's."""
    ip_id: int | None = None
    """None: the frame number, so that a line written twice is a retransmission and not a copy of a frame."""
    ip_ecn: int = 0
    vlan: tuple[int, ...] | None = None
    """None: the host's."""
    macs: tuple[str, str] | None = None
    """Source and destination; None: the hosts'."""
    interface: int | None = None
    """pcapng interface; None: 0 when another line names one, else there are no interfaces."""
    offset: int | None = None
    """Data offset field in 32-bit words; None: the true one."""
    cut: int | None = None
    """How many bytes of TCP header and payload were captured; None: all."""
    checksum: ChecksumWord = "good"
    fragment: int | None = None
    """How many bytes of TCP header and payload the first of two IP fragments carries; None: it is not fragmented."""

    def __post_init__(self) -> None:
        """Refuse what no packet can carry."""
        for name in (
            "flags",
            "seq",
            "ack",
            "length",
            "window",
            "connection",
            "urgent",
            "ttl",
            "ip_id",
            "ip_ecn",
            "interface",
            "offset",
            "cut",
            "fragment",
        ):
            limit(name, getattr(self, name))
        if self.payload and len(self.payload) != self.length:
            message = f"the payload has {len(self.payload)} bytes, not {self.length}"
            raise NotationError(message)
        if len(self.options) % 4 or len(self.options) > MAX_OPTIONS:
            message = f"{len(self.options)} option bytes: must be a multiple of four, at most {MAX_OPTIONS}"
            raise NotationError(message)
        check_tags(self.vlan or ())
        check_macs(*self.macs or ())
        if self.fragment is not None:
            self._check_fragment(self.fragment)

    def _check_fragment(self, first: int) -> None:
        """Refuse fragments that IP cannot make (RFC 791 3.2), or whose captured part would be ambiguous."""
        total = 20 + len(self.options) + self.length
        if first % 8 or not first < total <= LONGEST_PACKET:
            message = (
                f"the first fragment of {total} bytes takes a multiple of eight and leaves some, in a packet of up to {LONGEST_PACKET}"
            )
            raise NotationError(message)
        if self.cut is not None:
            message = "a segment that comes in fragments is captured whole"
            raise NotationError(message)


@dataclass(frozen=True, slots=True)
class Quote:
    """One ICMP (ICMPv6 on IPv6) error that quotes a segment of the side it is sent to."""

    by: Side
    """Which side it comes from: an error by the server side quotes a segment of the client."""
    type: int
    code: int
    seq: int
    """Sequence number of the quoted segment."""
    delay: int = STEP
    connection: int = 1
    sender: str | None = None
    """Address of the router that sent it; None: the address of the side it comes from."""
    ttl: int | None = None
    vlan: tuple[int, ...] | None = None
    interface: int | None = None
    cut: int | None = None
    """How many bytes of the TCP header it quotes; None: all of it."""

    def __post_init__(self) -> None:
        """Refuse what no packet can carry."""
        for name in ("type", "code", "seq", "connection", "ttl", "interface", "cut"):
            limit(name, getattr(self, name))
        if self.cut is not None and self.cut < MIN_QUOTE:
            message = f"an ICMP error quotes at least {MIN_QUOTE} bytes of the segment"
            raise NotationError(message)
        if self.sender is not None:
            check_address(self.sender)
        check_tags(self.vlan or ())


@dataclass(frozen=True, slots=True)
class Script:
    """Segments and ICMP errors in capture order, and whose they are."""

    events: tuple[Segment | Quote, ...]
    connections: tuple[Connection, ...] = (connection(),)
    """Connection n is `connections[n - 1]`."""
    start: int = EPOCH
    """ns since 1970; the first event comes its `delay` later."""

    def __post_init__(self) -> None:
        """Refuse events that do not fit their connection, and sizes `parse` would not take back."""
        if len(self.events) > MAX_EVENTS or not 1 <= len(self.connections) <= MAX_CONNECTIONS:
            message = f"a script has up to {MAX_EVENTS} lines and 1 to {MAX_CONNECTIONS} connections"
            raise NotationError(message)
        if sum(len(event.payload) for event in self.events if isinstance(event, Segment)) > MAX_TOTAL_PAYLOAD:
            message = f"the texts of a script hold more than {MAX_TOTAL_PAYLOAD} bytes"
            raise NotationError(message)
        for event in self.events:
            check_fit(event, self.connections)
        if not all(0 <= time < TIME_END for time in (self.start, *self.times())):
            message = "the script leaves the years 1970 to 2106, which is all a pcap can date"
            raise NotationError(message)

    def times(self) -> list[int]:
        """Return the time of each event, ns since 1970."""
        time, times = self.start, []
        for event in self.events:
            time += event.delay
            times.append(time)
        return times


def check_fit(event: Segment | Quote, connections: tuple[Connection, ...]) -> None:
    """Raise `NotationError` unless the event can happen on its connection."""
    if event.connection > len(connections):
        message = f"connection {event.connection} has no endpoints"
        raise NotationError(message)
    ipv6 = connections[event.connection - 1].ipv6
    if isinstance(event, Segment):
        if ipv6 and event.ip_id is not None:
            message = "IPv6 has no identification field"
            raise NotationError(message)
        return
    if event.sender is not None and (":" in event.sender) != ipv6:
        message = f"{event.sender} is not of the connection's address family"
        raise NotationError(message)
    if ipv6 and event.cut is not None:
        message = "ICMPv6 quotes as much as fits (RFC 4443 2.4), so nothing is cut"
        raise NotationError(message)
    if event.type not in (ERRORS_6 if ipv6 else ERRORS_4):
        message = f"ICMP type {event.type} is no error message and quotes nothing"
        raise NotationError(message)
