"""IP packets ─► where their TCP segments begin, and the fields of the IP header; whole arrays at a time.

As `links`: a packet is TCP, UDP, ICMP, or certainly nothing that can hold a TCP segment, or left to tshark. So are
fragments, source routes, and all headers in between but hop-by-hop and destination options.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from analyzer.capture.decode.link import IPV4, IPV6
from analyzer.capture.formats.window import gather_rows

if TYPE_CHECKING:
    from analyzer._typing import Array, BoolArray, Int64Array


ICMP, TCP, UDP, ICMP6 = 1, 6, 17, 58
WITHOUT_TCP: Final = (2, 50, 88, 89, 103, 112, 132)
"""Protocols that hold no TCP segment that could be read: IGMP, ESP, EIGRP, OSPF, PIM, VRRP, SCTP."""
UNDECODED: Final = -1
"""The protocol of a packet that is left to tshark."""
NONE: Final = -2
"""The protocol of what is no packet."""
_HOP_BY_HOP: Final = 0
_OPTIONS: Final = (_HOP_BY_HOP, 60)
"""IPv6 extension headers that are passed over: hop-by-hop and destination options."""
_PAD, _PADS, _ROUTER_ALERT = 0, 1, 5
"""The IPv6 options that are passed over (RFC 8200 4.2, RFC 2711); others may change addresses or end the dissection."""
_ROUTES: Final = (131, 137)
"""The IPv4 options that state another destination (RFC 791 3.1)."""
_MOST_OPTION_BYTES: Final = 40
_MOST_EXTENSIONS: Final = 4

HEADER4: Final = np.dtype(
    [
        ("version", "u1"), ("service", "u1"), ("total", ">u2"), ("id", ">u2"), ("fragment", ">u2"),
        ("ttl", "u1"), ("protocol", "u1"), ("checksum", ">u2"), ("src", ">u4"), ("dst", ">u4"),
    ]
)  # fmt: skip
"""RFC 791 3.1."""
HEADER6: Final = np.dtype([("word", ">u4"), ("payload", ">u2"), ("next", "u1"), ("limit", "u1"), ("src", "V16"), ("dst", "V16")])
"""RFC 8200 3."""
_FRAGMENT_BITS: Final = 0x3FFF
"""More fragments, and the offset."""


@dataclass(slots=True)
class IpPackets:
    """What IP headers say, shapes (n,)."""

    protocol: Int64Array
    """The protocol carried at `at`; UNREAD where tshark decodes the frame."""
    at: Int64Array
    length: Int64Array
    """Bytes carried, by the IP header."""
    ttl: Array
    id: Array
    ecn: Array
    src: Array
    """IPv4 addresses as uint32, IPv6 addresses as V16."""
    dst: Array


@dataclass(frozen=True, slots=True)
class HeaderSpans:
    """Where packets lie, shapes (n,)."""

    at: Int64Array
    captured: Int64Array
    """Where the captured bytes of each packet's frame end."""
    end: Int64Array
    """Where the frame ended."""
    loose: BoolArray
    """Whether the frame ends in bytes that are no packet's, which a packet without a length would seem to have."""

    def take(self, rows: Int64Array) -> HeaderSpans:
        """Return those of some rows."""
        return HeaderSpans(self.at[rows], self.captured[rows], self.end[rows], self.loose[rows])


def read4(data: Array, spans: HeaderSpans) -> IpPackets:
    """Return what the IPv4 headers at `spans` say."""
    header = gather_rows(data, np.minimum(spans.at, len(data) - HEADER4.itemsize), HEADER4.itemsize).view(HEADER4)
    size = (header["version"] & 0xF).astype(np.int64) * 4
    stated = header["total"].astype(np.int64)
    # Left 0 where the network card was to divide the packet: then it is as long as the frame.
    total = np.where(stated == 0, spans.end - spans.at, stated)
    known = (header["version"] >> 4 == IPV4) & (size >= HEADER4.itemsize) & (spans.at + size <= spans.captured) & (total >= size)
    known &= (header["fragment"] & _FRAGMENT_BITS == 0) & ~((stated == 0) & spans.loose)
    optioned = np.flatnonzero(known & (size > HEADER4.itemsize))
    if len(optioned):
        known[optioned[_holds(data, spans.at[optioned] + HEADER4.itemsize, size[optioned] - HEADER4.itemsize, _ROUTES)]] = False
    return IpPackets(
        protocol=np.where(known, header["protocol"].astype(np.int64), UNDECODED),
        at=spans.at + size,
        length=total - size,
        ttl=header["ttl"].astype(np.int16),
        id=header["id"].astype(np.int32),
        ecn=(header["service"] & 3).astype(np.int8),
        src=header["src"].astype(np.uint32),
        dst=header["dst"].astype(np.uint32),
    )


def _holds(data: Array, at: Int64Array, size: Int64Array, bytes_: tuple[int, ...]) -> BoolArray:
    """Return whether any of `bytes_` is among the `size` bytes at `at`, of which there may be 40."""
    text = (
        gather_rows(data, np.minimum(at, len(data) - _MOST_OPTION_BYTES), _MOST_OPTION_BYTES)
        .view(np.uint8)
        .reshape(len(at), _MOST_OPTION_BYTES)
    )
    found: BoolArray = np.any(np.isin(text, bytes_) & (np.arange(_MOST_OPTION_BYTES) < size[:, None]), axis=1)
    return found


def read6(data: Array, spans: HeaderSpans) -> IpPackets:
    """Return what the IPv6 headers at `spans` say, and where what is behind the options begins."""
    header = gather_rows(data, np.minimum(spans.at, len(data) - HEADER6.itemsize), HEADER6.itemsize).view(HEADER6)
    stated = header["payload"].astype(np.int64)
    # 0 before hop-by-hop options: one of them states the length (RFC 2675). Else as in IPv4: the packet is as long as the frame.
    length = np.where(stated == 0, spans.end - spans.at - HEADER6.itemsize, stated)
    known = (header["word"] >> 28 == IPV6) & (spans.at + HEADER6.itemsize <= spans.captured) & (length > 0)
    known &= (stated > 0) | ~((header["next"] == _HOP_BY_HOP) | spans.loose)
    found = IpPackets(
        protocol=np.where(known, header["next"].astype(np.int64), UNDECODED),
        at=spans.at + HEADER6.itemsize,
        length=length,
        ttl=header["limit"].astype(np.int16),
        id=np.full(len(length), -1, dtype=np.int32),
        ecn=(header["word"] >> 20 & 3).astype(np.int8),
        src=header["src"],
        dst=header["dst"],
    )
    rows = np.flatnonzero(np.isin(found.protocol, _OPTIONS))
    for _ in range(_MOST_EXTENSIONS):
        if not len(rows):
            return found
        rows = _pass_options(data, spans, found, rows)
    found.protocol[rows] = UNDECODED
    return found


def _pass_options(data: Array, spans: HeaderSpans, found: IpPackets, rows: Int64Array) -> Int64Array:
    """Move `found` behind the options header of each of `rows`, and return those that have another one there."""
    at = found.at[rows]
    head = gather_rows(data, np.minimum(at, len(data) - 2), 2).view(np.uint8).reshape(len(rows), 2).astype(np.int64)
    size = (head[:, 1] + 1) * 8
    # A packet with options that leave the frame, or are long enough to hide anything, is for tshark.
    sound = (at + size <= spans.captured[rows]) & (spans.at[rows] + HEADER6.itemsize + found.length[rows] <= spans.end[rows])
    sound &= (size <= _MOST_OPTION_BYTES) & (size < found.length[rows])
    plain = np.flatnonzero(sound)
    sound[plain[~_are_plain(data, at[plain], size[plain])]] = False
    found.protocol[rows] = np.where(sound, head[:, 0], UNDECODED)
    rows, size = rows[sound], size[sound]
    found.at[rows] += size
    found.length[rows] -= size
    return rows[np.isin(found.protocol[rows], _OPTIONS)]


def _are_plain(data: Array, at: Int64Array, size: Int64Array) -> BoolArray:
    """Return whether each of the options headers at `at`, of `size` bytes, holds padding and router alerts alone, to its end."""
    plain = np.ones(len(at), dtype=bool)
    place = np.full(len(at), 2, dtype=np.int64)
    rows = np.flatnonzero(place < size)
    while len(rows):
        option = (
            gather_rows(data, np.minimum(at[rows] + place[rows], len(data) - 2), 2).view(np.uint8).reshape(len(rows), 2).astype(np.int64)
        )
        kind, length = option[:, 0], option[:, 1]
        known = (kind == _PAD) | (kind == _PADS) | ((kind == _ROUTER_ALERT) & (length == 2))  # noqa: PLR2004 - RFC 2711 2.1
        place[rows] += np.where(kind == _PAD, 1, length + 2)
        plain[rows] = known & (place[rows] <= size[rows])
        rows = rows[plain[rows] & (place[rows] < size[rows])]
    return plain
