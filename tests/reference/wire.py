"""Packets, blocks and records as bytes, for tests that say what is in a capture byte by byte.

Sources: RFC 9293 3.1, RFC 791 3.1, RFC 8200 3, RFC 768; the pcap and pcapng drafts of the IETF's opsawg.
"""

from __future__ import annotations

import struct
from ipaddress import ip_address

START = 1_700_000_000
SRC, DST, SRC6, DST6 = "10.1.2.3", "10.4.5.6", "2001:db8::1", "2001:db8::2"
OPTIONS = bytes.fromhex("020405b40402080a000000010000000001030307")
MACS = bytes.fromhex("020000000002040000000004")


def add(data: bytes) -> int:
    """Return the folded sum of 16-bit words (RFC 1071)."""
    total = sum(struct.unpack(f"!{(len(data) + 1) // 2}H", data + bytes(len(data) % 2)))
    while total > 0xFFFF:
        total = (total >> 16) + (total & 0xFFFF)
    return int(total)


def pseudo(src: str, dst: str, length: int) -> bytes:
    return ip_address(src).packed + ip_address(dst).packed + struct.pack("!II", length, 6)


def tcp(payload: bytes = b"", options: bytes = b"", *, ends: tuple[str, str] = (SRC, DST), ports: tuple[int, int] = (40000, 25)) -> bytes:
    size = 20 + len(options)
    head = struct.pack("!HHIIHHHH", *ports, 0xFFFFFFFF, 5, size // 4 << 12 | 0x942, 512, 0, 9) + options
    right = ~add(pseudo(*ends, size + len(payload)) + head + payload) & 0xFFFF
    return head[:16] + struct.pack("!H", right) + head[18:] + payload


def ipv4(payload: bytes, proto: int = 6, *, options: bytes = b"", total: int | None = None, fragment: int = 0) -> bytes:
    size = 20 + len(options)
    length = size + len(payload) if total is None else total
    head = struct.pack("!BBHHHBBH", 0x40 | size // 4, 2, length, 0x1234, fragment, 61, proto, 0)
    return head + ip_address(SRC).packed + ip_address(DST).packed + options + payload


def ipv6(payload: bytes, proto: int = 6, *, length: int | None = None) -> bytes:
    head = struct.pack("!IHBB", 0x60300000, len(payload) if length is None else length, proto, 62)
    return head + ip_address(SRC6).packed + ip_address(DST6).packed + payload


def ethernet(payload: bytes, *types: int) -> bytes:
    """Return a frame; the numbers after an Ethernet type other than the last are VLAN ids."""
    return MACS + struct.pack(f"!{len(types)}H", *types) + payload


def udp(payload: bytes, port: int = 53) -> bytes:
    return struct.pack("!HHHH", 55555, port, 8 + len(payload), 0) + payload


def block(order: str, kind: int, body: bytes) -> bytes:
    size = 12 + len(body) + -len(body) % 4
    return struct.pack(order + "II", kind, size) + body + bytes(-len(body) % 4) + struct.pack(order + "I", size)


def section(order: str = "<", version: tuple[int, int] = (1, 0)) -> bytes:
    return block(order, 0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, *version, -1))


def described(order: str = "<", *, link: int = 1, options: bytes = b"", snap: int = 262144) -> bytes:
    return block(order, 1, struct.pack(order + "HHI", link, 0, snap) + options)


def resolution(order: str, byte: int) -> bytes:
    return struct.pack(order + "HHB3x", 9, 1, byte)


def offset(order: str, seconds: int) -> bytes:
    return struct.pack(order + "HHq", 14, 8, seconds)
