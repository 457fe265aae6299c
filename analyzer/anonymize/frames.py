"""Frames rewritten layer by layer, from the link layer to TCP.

A frame with something in it that is not understood raises `UsageError` naming the frame. Padding becomes zeros. IP headers follow RFC 791
and RFC 8200, ICMP errors RFC 792 and RFC 4443, GRE RFC 2784, VXLAN RFC 7348, MPLS RFC 3032, PPPoE RFC 2516.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, Protocol

from analyzer.anonymize.checksums import adjust
from analyzer.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from analyzer.capture.packets import Packet

_ETHERNET, _NULL, _PPP, _SLL, _LOOP, _SLL2 = 1, 0, 9, 113, 108, 276
_RAW: Final = frozenset({12, 14, 101, 228, 229})
_IPV4, _IPV6 = 0x0800, 0x86DD
_TAGS: Final = frozenset({0x8100, 0x88A8, 0x9100})
_MPLS: Final = frozenset({0x8847, 0x8848})
_PPPOE: Final = 0x8864
_TRANSPARENT_ETHERNET: Final = 0x6558
_PPP_TYPES: Final = {0x0021: _IPV4, 0x0057: _IPV6}
_VXLAN_PORT: Final = 4789
_ICMP_ERRORS: Final = frozenset({3, 4, 5, 11, 12})
_ICMP6_ERRORS: Final = frozenset({1, 2, 3, 4})
_REDIRECT: Final = 5
_ADDRESS_OPTIONS: Final = frozenset({7, 68, 131, 137})
"""IPv4 options that hold addresses: record route, time stamp, source routes (RFC 791)."""
_HOME_ADDRESS: Final = 0xC9
_IP6_OPTIONS: Final = frozenset({0, 60})
_IP6_FRAGMENT: Final = 44
_FRAGMENTED: Final = 0x3FFF
_TCP_CHECKSUM, _UDP_CHECKSUM, _ICMP_CHECKSUM, _IP_CHECKSUM = 16, 6, 2, 10


class SegmentRewriter(Protocol):
    """Rewrites TCP segments."""

    def __call__(self, frame: int, data: bytes, stated: int, *, quoted: bool) -> tuple[bytes, int]:
        """Return header and captured payload rewritten, and the bytes that a segment of `stated` bytes on the wire has now."""


class FrameWriter:
    """Rewrites frames with maps of addresses and a rewriter of segments."""

    def __init__(self, ip: Callable[[bytes], bytes], mac: Callable[[bytes], bytes], segment: SegmentRewriter) -> None:
        self._ip, self._mac, self._segment = ip, mac, segment
        self._frame = 0
        self._growth = 0
        """Bytes on the wire that the frame at hand has more than before."""
        self._quoted = False

    def rewrite(self, packet: Packet) -> Packet:
        """Return the packet rewritten. Raises `UsageError`."""
        self._frame, self._growth, self._quoted = packet.number, 0, False
        data = self._link(packet.link_type, packet.data)
        return replace(packet, data=data, length=packet.length + self._growth)

    def _refuse(self, what: str) -> UsageError:
        return UsageError(f"frame {self._frame} {what}, which cannot be anonymized")

    def _link(self, link_type: int, data: bytes) -> bytes:
        if link_type == _ETHERNET:
            return self._ethernet(data)
        if link_type in _RAW:
            return self._by_version(data)
        if link_type in {_NULL, _LOOP}:
            return data[:4] + self._by_version(data[4:])
        if link_type == _PPP:
            skip = 2 if data[:2] == b"\xff\x03" else 0
            return data[:skip] + self._ppp(data[skip:])
        if link_type == _SLL:
            return data[:6] + self._hardware(data[6:14]) + data[14:16] + self._network(int.from_bytes(data[14:16]), data[16:])
        if link_type == _SLL2:
            return data[:12] + self._hardware(data[12:20]) + self._network(int.from_bytes(data[:2]), data[20:])
        raise self._refuse(f"has link type {link_type}")  # noqa: EM102, TRY003 - the end of a message

    def _hardware(self, field: bytes) -> bytes:
        """Rewrite the eight bytes in which Linux's cooked captures hold an address of six, the rest being padding."""
        return self._mac(field[:6]) + bytes(len(field) - 6) if len(field) >= 6 else bytes(len(field))  # noqa: PLR2004 - a MAC address

    def _ethernet(self, data: bytes) -> bytes:
        if len(data) < 14:  # noqa: PLR2004 - RFC 894
            return b""
        return self._mac(data[:6]) + self._mac(data[6:12]) + data[12:14] + self._network(int.from_bytes(data[12:14]), data[14:])

    def _network(self, ethertype: int, data: bytes) -> bytes:
        if ethertype == _IPV4:
            return self._ipv4(data)
        if ethertype == _IPV6:
            return self._ipv6(data)
        if ethertype in _TAGS:
            return data[:4] + self._network(int.from_bytes(data[2:4]), data[4:])
        if ethertype in _MPLS:
            bottom = next((at + 4 for at in range(0, len(data) - 3, 4) if data[at + 2] & 1), len(data))
            return data[:bottom] + self._by_version(data[bottom:])
        if ethertype == _PPPOE:
            before = self._growth
            inner = self._ppp(data[6:])
            return data[:4] + _grown(data[4:6], self._growth - before) + inner
        raise self._refuse(f"carries EtherType 0x{ethertype:04x}")  # noqa: EM102, TRY003 - the end of a message

    def _ppp(self, data: bytes) -> bytes:
        size = 1 if data[:1] and data[0] & 1 else 2
        number = int.from_bytes(data[:size])
        if number not in _PPP_TYPES:
            raise self._refuse(f"carries PPP protocol 0x{number:04x}")  # noqa: EM102, TRY003 - the end of a message
        return data[:size] + self._network(_PPP_TYPES[number], data[size:])

    def _by_version(self, data: bytes) -> bytes:
        version = data[0] >> 4 if data else 0
        if version not in {4, 6}:
            raise self._refuse("carries no IP packet")  # noqa: EM101, TRY003 - the end of a message
        return self._ipv4(data) if version == 4 else self._ipv6(data)  # noqa: PLR2004

    def _ipv4(self, data: bytes) -> bytes:
        size = (data[0] & 15) * 4 if data else 0
        if len(data) < max(size, 20):
            # The addresses are cut: what precedes them identifies no host.
            return data[:12]
        options = data[20:size]
        if any(code in _ADDRESS_OPTIONS for code in _option_codes(options, single={0, 1})):
            raise self._refuse("has IP options with addresses")  # noqa: EM101, TRY003 - the end of a message
        if int.from_bytes(data[6:8]) & _FRAGMENTED and not self._quoted:
            raise self._refuse("is a fragment")  # noqa: EM101, TRY003 - the end of a message
        stated = int.from_bytes(data[2:4]) or len(data)
        old = data[12:16] + data[16:20]
        new = self._ip(data[12:16]) + self._ip(data[16:20])
        before = self._growth
        body = self._transport(data[9], data[size:stated], stated - size, (old, new))
        length = _grown(data[2:4], self._growth - before) if data[2:4] != b"\0\0" else b"\0\0"
        head = data[:2] + length + data[4:10] + b"\0\0" + new + options
        was = data[:10] + b"\0\0" + data[12:size]
        field = int.from_bytes(data[10:12])
        checksum = adjust(field, (b"", was), (b"", head), whole=True) if field else 0
        return head[:10] + checksum.to_bytes(2) + head[12:] + body + bytes(max(len(data) - stated, 0))

    def _ipv6(self, data: bytes) -> bytes:
        if len(data) < 40:  # noqa: PLR2004 - RFC 8200
            return data[:8]
        kind, at = data[6], 40
        stated = int.from_bytes(data[4:6]) or len(data) - 40
        while kind in _IP6_OPTIONS or kind == _IP6_FRAGMENT:
            header = data[at : at + 8]
            if len(header) < 8:  # noqa: PLR2004 - RFC 8200 4
                break
            size = 8 if kind == _IP6_FRAGMENT else 8 * (header[1] + 1)
            if kind == _IP6_FRAGMENT and int.from_bytes(header[2:4]) & 0xFFF9 and not self._quoted:
                raise self._refuse("is a fragment")  # noqa: EM101, TRY003 - the end of a message
            if kind != _IP6_FRAGMENT and _HOME_ADDRESS in _option_codes(data[at + 2 : at + size], single={0}):
                raise self._refuse("has IP options with addresses")  # noqa: EM101, TRY003 - the end of a message
            kind, at = header[0], at + size
        old = data[8:24] + data[24:40]
        new = self._ip(data[8:24]) + self._ip(data[24:40])
        before = self._growth
        body = self._transport(kind, data[at : 40 + stated], stated - (at - 40), (old, new))
        length = _grown(data[4:6], self._growth - before) if data[4:6] != b"\0\0" else b"\0\0"
        return data[:4] + length + data[6:8] + new + data[40:at] + body + bytes(max(len(data) - 40 - stated, 0))

    def _transport(self, kind: int, data: bytes, stated: int, ends: tuple[bytes, bytes]) -> bytes:
        if kind == 6:  # noqa: PLR2004 - assigned numbers of IANA, here and below
            return self._tcp(data, stated, ends)
        if kind == 17:  # noqa: PLR2004
            return self._udp(data, stated, ends)
        if kind == 1:
            return self._icmp(data, stated, (b"", b""), _ICMP_ERRORS)
        if kind == 58:  # noqa: PLR2004
            return self._icmp(data, stated, ends, _ICMP6_ERRORS)
        if kind in {4, 41}:
            return self._by_version(data)
        if kind == 47:  # noqa: PLR2004
            return self._gre(data)
        raise self._refuse(f"carries IP protocol {kind}")  # noqa: EM102, TRY003 - the end of a message

    def _tcp(self, data: bytes, stated: int, ends: tuple[bytes, bytes]) -> bytes:
        found, length = self._segment(self._frame, data, stated, quoted=self._quoted)
        self._growth += length - stated
        return self._summed((data, found), (stated, length), ends, (6, _TCP_CHECKSUM))

    def _udp(self, data: bytes, stated: int, ends: tuple[bytes, bytes]) -> bytes:
        if int.from_bytes(data[2:4]) != _VXLAN_PORT or self._quoted:
            raise self._refuse("carries UDP")  # noqa: EM101, TRY003 - the end of a message
        before = self._growth
        inner = self._ethernet(data[16:])
        grown = self._growth - before
        found = data[:4] + _grown(data[4:6], grown) + data[6:16] + inner
        unsummed = data[_UDP_CHECKSUM : _UDP_CHECKSUM + 2] == b"\0\0"
        return found if unsummed else self._summed((data, found), (stated, stated + grown), ends, (17, _UDP_CHECKSUM))

    def _icmp(self, data: bytes, stated: int, ends: tuple[bytes, bytes], errors: frozenset[int]) -> bytes:
        if len(data) < 8 or data[0] not in errors or self._quoted:  # noqa: PLR2004 - RFC 792
            raise self._refuse("carries an ICMP message that quotes no segment")  # noqa: EM101, TRY003 - the end of a message
        if data[5] and data[0] != _REDIRECT and errors is _ICMP_ERRORS:
            raise self._refuse("carries an ICMP message with extensions")  # noqa: EM101, TRY003 - the end of a message
        gateway = self._ip(data[4:8]) if data[0] == _REDIRECT and errors is _ICMP_ERRORS else data[4:8]
        before, self._quoted = self._growth, True
        found = data[:4] + gateway + self._by_version(data[8:])
        # A quoted packet states a length of its own, of which the error message holds the beginning.
        self._quoted, self._growth = False, before + len(found) - len(data)
        kind = 1 if errors is _ICMP_ERRORS else 58
        return self._summed((data, found), (stated, stated + self._growth - before), ends, (kind, _ICMP_CHECKSUM))

    def _gre(self, data: bytes) -> bytes:
        flags = data[0] if data else 0
        if flags & 0xC0 or len(data) < 4 or data[1] & 7:  # noqa: PLR2004 - RFC 2784: checksum, routing, version
            raise self._refuse("carries GRE of a kind")  # noqa: EM101, TRY003 - the end of a message
        size = 4 + 4 * bool(flags & 0x20) + 4 * bool(flags & 0x10)
        kind = int.from_bytes(data[2:4])
        inner = self._ethernet(data[size:]) if kind == _TRANSPARENT_ETHERNET else self._network(kind, data[size:])
        return data[:size] + inner

    def _summed(self, data: tuple[bytes, bytes], stated: tuple[int, int], ends: tuple[bytes, bytes], of: tuple[int, int]) -> bytes:
        """Return the new bytes with their checksum; pairs are (before, now), `of` is (IP protocol, place of the checksum)."""
        kind, at = of
        if len(data[0]) < at + 2 or len(data[1]) < at + 2:
            return data[1]
        field = int.from_bytes(data[0][at : at + 2])
        pseudo = [end + kind.to_bytes(4) + length.to_bytes(4) if end else b"" for end, length in zip(ends, stated, strict=True)]
        zeroed = [part[:at] + b"\0\0" + part[at + 2 :] for part in data]
        found = adjust(field, (pseudo[0], zeroed[0]), (pseudo[1], zeroed[1]), whole=len(data[0]) == stated[0] and not self._quoted)
        return data[1][:at] + found.to_bytes(2) + data[1][at + 2 :]


def _grown(field: bytes, growth: int) -> bytes:
    """Return a 16-bit length after `growth`."""
    return max(0, min(int.from_bytes(field) + growth, 0xFFFF)).to_bytes(2)


def _option_codes(options: bytes, single: set[int]) -> list[int]:
    """Return the codes of IP options; those in `single` are one byte, the length byte of IPv4 counts the whole option, of IPv6 its data."""
    found, at, more = [], 0, 2 if single == {0} else 0
    while at < len(options):
        found.append(options[at])
        size = 1 if options[at] in single or at + 1 >= len(options) else max(options[at + 1] + more, 2)
        at += size
    return found
