"""Script to packets: TCP and ICMP inside IP inside Ethernet, in a pcap (a pcapng when a line names an interface).

Lengths and checksums are right unless a line overrides them; the same script gives the same bytes; a pcap has
nanosecond times and no padding, so that the frame holds what the line states.
"""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from analyzer.notation.values import Connection, NotationError, Quote, Script, Segment, Side
from analyzer.schema import SYN

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_BUILT: Final = 2**28
"""Payload bytes `build` is ready to hold in memory."""
_TCP: Final = 6
_ICMP: Final = 1
_ICMP_6: Final = 58
_FRAGMENT_6: Final = 44
_TAG: Final = 0x8100
_ETHERTYPE: Final = {False: 0x0800, True: 0x86DD}
_DONT_FRAGMENT: Final = 0x4000
_MORE_FRAGMENTS: Final = 0x2000
_IP_SIZE: Final = {False: 20, True: 40}
"""IP header bytes, by whether it is IPv6."""
_LONGEST: Final = 0xFFFF
_SNAPLEN: Final = 262_144
_ETHERNET: Final = 1
_MAGIC_NS: Final = 0xA1B23C4D
_TOO_BIG_6: Final = 2
_MTU_6: Final = 1280
Origin = tuple[int, Side, int]
"""Connection, side and sequence number: what an ICMP error finds the segment it quotes by."""


def build(script: Script, *, pcapng: bool = False) -> bytes:
    """Return the script as the bytes of a capture file: a pcapng on request or when a line names an interface, else a pcap.

    Raises `NotationError` when its payloads add up to more than `MAX_BUILT`.
    """
    if sum(event.length for event in script.events if isinstance(event, Segment)) > MAX_BUILT:
        message = f"the segments add up to more than {MAX_BUILT} payload bytes"
        raise NotationError(message)
    if pcapng or any(event.interface is not None for event in script.events):
        return b"".join(_pcapng(script))
    return b"".join(_pcap(script))


def _pcap(script: Script) -> Iterator[bytes]:
    yield struct.pack("<IHHiIII", _MAGIC_NS, 2, 4, 0, 0, _SNAPLEN, _ETHERNET)
    times = script.times()
    for place, frame, captured in frames(script):
        yield struct.pack("<IIII", *divmod(times[place], 10**9), captured, len(frame)) + frame[:captured]


def _pcapng(script: Script) -> Iterator[bytes]:
    """Section header, interface and enhanced packet blocks (draft-ietf-opsawg-pcapng 4.1 to 4.3)."""
    yield _block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))
    nanoseconds = struct.pack("<HHB3xHH", 9, 1, 9, 0, 0)
    for _ in range(1 + max(event.interface or 0 for event in script.events)):
        yield _block(1, struct.pack("<HHI", _ETHERNET, 0, _SNAPLEN) + nanoseconds)
    times = script.times()
    for place, frame, captured in frames(script):
        time = times[place]
        head = struct.pack("<IIIII", script.events[place].interface or 0, time >> 32, time & 0xFFFFFFFF, captured, len(frame))
        yield _block(6, head + frame[:captured] + bytes(-captured % 4))


def _block(kind: int, body: bytes) -> bytes:
    return struct.pack("<II", kind, len(body) + 12) + body + struct.pack("<I", len(body) + 12)


def numbers(script: Script) -> list[int]:
    """Return, per event, the frame it is whole in: one that comes in fragments takes two frames."""
    return list(accumulate(2 if isinstance(event, Segment) and event.fragment else 1 for event in script.events))


def frames(script: Script) -> Iterator[tuple[int, bytes, int]]:
    """Yield, frame by frame, which event it belongs to, the whole Ethernet frame and how many of its bytes were captured."""
    firsts: dict[Origin, tuple[int, int]] = {}
    own = numbers(script)
    for place, (event, number) in enumerate(zip(script.events, own, strict=True)):
        if isinstance(event, Segment):
            firsts.setdefault((event.connection, event.by, event.seq), (place, number))
    for place, (event, number) in enumerate(zip(script.events, own, strict=True)):
        pair = script.connections[event.connection - 1]
        link = _link(event, pair)
        if isinstance(event, Segment) and event.fragment:
            for packet in _fragments(event, event.fragment, number, pair):
                yield place, link + packet, len(link + packet)
            continue
        packet = _packet(event, number, pair) if isinstance(event, Segment) else _error(event, number, script, firsts)
        cut = event.cut if isinstance(event, Segment) else None
        frame = link + packet
        yield place, frame, len(frame) if cut is None else min(len(frame), len(link) + _IP_SIZE[pair.ipv6] + cut)


def peer(side: Side) -> Side:
    """Return the other side."""
    return "server" if side == "client" else "client"


def tcp_header(segment: Segment, pair: Connection) -> bytes:
    """Return the TCP header, options included and checksum filled in (RFC 9293 3.1)."""
    size = 20 + len(segment.options)
    offset = size // 4 if segment.offset is None else segment.offset
    ports = pair.end(segment.by).port, pair.end(peer(segment.by)).port
    head = struct.pack("!HHIIHH", *ports, segment.seq, segment.ack, offset << 12 | segment.flags, segment.window)
    tail = struct.pack("!H", segment.urgent) + segment.options
    # IPv4's pseudo-header sums to the same when laid out as IPv6's (RFC 8200 8.1).
    ends = pair.end(segment.by).address, pair.end(peer(segment.by)).address
    pseudo = _packed(*ends) + struct.pack("!II", size + segment.length, _TCP)
    partial = _sum(pseudo)
    # A payload of zeros adds nothing to the sum, so it need not exist to be summed.
    good = 0xFFFF - _sum(pseudo + head + bytes(2) + tail + segment.payload)
    bad = next(wrong for wrong in (good ^ 0x0100, good ^ 0x0200) if wrong != partial)
    checksum = {"good": good, "bad": bad, "partial": partial, "zero": 0}[segment.checksum]
    return head + struct.pack("!H", checksum) + tail


def _packet(segment: Segment, number: int, pair: Connection) -> bytes:
    return _quotable(segment, number, pair) + (segment.payload or bytes(segment.length))


def _fragments(segment: Segment, first: int, number: int, pair: Connection) -> Iterator[bytes]:
    """Yield two IP packets that carry the segment between them (RFC 791 3.2, RFC 8200 4.5)."""
    data = tcp_header(segment, pair) + (segment.payload or bytes(segment.length))
    carriage = _carriage(segment, number, pair)
    for begin, part, more in ((0, data[:first], 1), (first, data[first:], 0)):
        if pair.ipv6:
            part = struct.pack("!BBHI", _TCP, 0, begin | more, number) + part  # noqa: PLW2901 - the extension header leads it
        fragment = begin // 8 | more * _MORE_FRAGMENTS
        yield replace(carriage, fragment=fragment).header(_FRAGMENT_6 if pair.ipv6 else _TCP, len(part)) + part


@dataclass(frozen=True, slots=True)
class _Carriage:
    """The fields of an IP header, its length and protocol excepted."""

    source: str
    target: str
    ttl: int
    ip_id: int
    ip_ecn: int = 0
    fragment: int = _DONT_FRAGMENT
    """IPv4's flags and fragment offset."""

    def header(self, protocol: int, length: int) -> bytes:
        """Return an IP header before `length` bytes (RFC 791 3.1, RFC 8200 3)."""
        addresses = _packed(self.source, self.target)
        if ":" in self.source:
            return struct.pack("!IHBB", 6 << 28 | self.ip_ecn << 20, length if length <= _LONGEST else 0, protocol, self.ttl) + addresses
        total = 20 + length if 20 + length <= _LONGEST else 0
        head = struct.pack("!BBHHHBB", 0x45, self.ip_ecn, total, self.ip_id, self.fragment, self.ttl, protocol)
        return head + struct.pack("!H", 0xFFFF - _sum(head + addresses)) + addresses


def _quotable(segment: Segment, number: int, pair: Connection) -> bytes:
    """Return the segment's IP and TCP headers, as sent in frame `number`."""
    header = tcp_header(segment, pair)
    return _carriage(segment, number, pair).header(_TCP, len(header) + segment.length) + header


def _carriage(segment: Segment, number: int, pair: Connection) -> _Carriage:
    ttl = pair.end(segment.by).ttl if segment.ttl is None else segment.ttl
    ip_id = number % 2**16 if segment.ip_id is None else segment.ip_id
    return _Carriage(pair.end(segment.by).address, pair.end(peer(segment.by)).address, ttl, ip_id, segment.ip_ecn)


def _error(quote: Quote, number: int, script: Script, firsts: dict[Origin, tuple[int, int]]) -> bytes:
    """Return an ICMP error with the headers of the segment it quotes; of a bare SYN when the script has no such segment."""
    pair = script.connections[quote.connection - 1]
    side = peer(quote.by)
    place, first = firsts.get((quote.connection, side, quote.seq), (-1, 0))
    event = script.events[place] if place >= 0 else None
    segment = event if isinstance(event, Segment) else Segment(side, SYN, quote.seq, connection=quote.connection)
    quoted = _quotable(segment, first, pair)
    if quote.cut is not None:
        quoted = quoted[: _IP_SIZE[pair.ipv6] + quote.cut]
    ttl = pair.end(quote.by).ttl if quote.ttl is None else quote.ttl
    carriage = _Carriage(quote.sender or pair.end(quote.by).address, pair.end(side).address, ttl, number % 2**16)
    message = _icmp(quote, quoted, carriage) if pair.ipv6 else _icmp(quote, quoted)
    return carriage.header(_ICMP_6 if pair.ipv6 else _ICMP, len(message)) + message


def _icmp(quote: Quote, quoted: bytes, carriage: _Carriage | None = None) -> bytes:
    """Return the message (RFC 792, RFC 4443 3); only ICMPv6 sums its carriage too."""
    body = struct.pack("!I", _MTU_6 if carriage and quote.type == _TOO_BIG_6 else 0) + quoted
    pseudo = _packed(carriage.source, carriage.target) + struct.pack("!II", 4 + len(body), _ICMP_6) if carriage else b""
    checksum = 0xFFFF - _sum(pseudo + bytes((quote.type, quote.code, 0, 0)) + body)
    return struct.pack("!BBH", quote.type, quote.code, checksum) + body


def _link(event: Segment | Quote, pair: Connection) -> bytes:
    """Return the Ethernet header, with a tag for each VLAN id."""
    macs = event.macs if isinstance(event, Segment) else None
    source, target = macs or (pair.end(event.by).mac, pair.end(peer(event.by)).mac)
    vlan = pair.end(event.by).vlan if event.vlan is None else event.vlan
    tags = b"".join(struct.pack("!HH", _TAG, tag) for tag in vlan)
    addresses = bytes.fromhex((target + source).replace(":", ""))
    return addresses + tags + struct.pack("!H", _ETHERTYPE[pair.ipv6])


def _packed(source: str, target: str) -> bytes:
    family = socket.AF_INET6 if ":" in source else socket.AF_INET
    return socket.inet_pton(family, source) + socket.inet_pton(family, target)


def _sum(data: bytes) -> int:
    """Return the 16-bit ones' complement sum (RFC 1071): a residue mod 65535, where 65535 is the zero of what is not all zeros."""
    total = int.from_bytes(data + bytes(len(data) % 2), "big")
    return total % 0xFFFF or (0xFFFF if total else 0)
