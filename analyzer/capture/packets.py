"""The packets of a pcapng file, and a capture file made of packets and nothing else: no names, comments or secrets of the source.

Formats: draft-ietf-opsawg-pcapng 4.1 (section), 4.2 (interface), 4.3 (enhanced packet); draft-ietf-opsawg-pcap.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from analyzer.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_SECTION: Final = 0x0A0D0D0A
_INTERFACE: Final = 1
_PACKET: Final = 6
_BYTE_ORDER: Final = 0x1A2B3C4D
_TSRESOL: Final = 9
_TSOFFSET: Final = 14
_COMMENT: Final = 1
_APPLICATION: Final = 4
_NANO: Final = 9
_BINARY: Final = 0x80
_PCAP_NANO: Final = 0xA1B23C4D
_SNAPLEN: Final = 262_144
_IN_NANOSECONDS: Final = 10**9


@dataclass(frozen=True, slots=True)
class Packet:
    """One frame."""

    number: int
    """Frame number in the source."""
    link_type: int
    time: int
    """ns since the epoch."""
    data: bytes
    """Captured bytes."""
    length: int
    """Bytes on the wire."""


@dataclass(frozen=True, slots=True)
class _Interface:
    link_type: int
    resolution: int
    """Units per second."""
    offset: int
    """Seconds."""


def read(data: bytes, numbers: Sequence[int]) -> Iterator[Packet]:
    """Yield the packets of what tshark wrote, numbered as in the source by `numbers`.

    Raises `UsageError` for a frame in another block than an enhanced packet, which is no network frame.
    """
    order, interfaces, found = "<", list[_Interface](), iter(numbers)
    at = 0
    while at + 12 <= len(data):
        kind = int.from_bytes(data[at : at + 4], "little" if order == "<" else "big")
        if data[at : at + 4] == _SECTION.to_bytes(4):
            order = "<" if data[at + 8 : at + 12] == _BYTE_ORDER.to_bytes(4, "little") else ">"
            kind, interfaces = _SECTION, []
        size = struct.unpack_from(order + "I", data, at + 4)[0]
        body = data[at + 8 : at + size - 4]
        if kind == _INTERFACE:
            interfaces.append(_interface(body, order))
        elif kind == _PACKET:
            yield _packet(body, order, interfaces, next(found))
        elif kind & 0x7FFFFFFF not in {_SECTION, 4, 5, 10}:
            message = f"frame {next(found)} is not a network frame and cannot be anonymized"
            raise UsageError(message)
        at += size


def _interface(body: bytes, order: str) -> _Interface:
    link_type = struct.unpack_from(order + "H", body)[0]
    resolution, offset = 10**6, 0
    for code, value in _options(body[8:], order):
        if code == _TSRESOL:
            resolution = 2 ** (value[0] & 0x7F) if value[0] & _BINARY else 10 ** value[0]
        elif code == _TSOFFSET:
            offset = struct.unpack(order + "q", value)[0]
    return _Interface(link_type, resolution, offset)


def _options(data: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 4 <= len(data):
        code, size = struct.unpack_from(order + "HH", data, at)
        if not code:
            return
        yield code, data[at + 4 : at + 4 + size]
        at += 4 + size + -size % 4


def _packet(body: bytes, order: str, interfaces: Sequence[_Interface], number: int) -> Packet:
    interface, high, low, captured, length = struct.unpack_from(order + "IIIII", body)
    description = interfaces[interface]
    time = ((high << 32 | low) * _IN_NANOSECONDS) // description.resolution + description.offset * _IN_NANOSECONDS
    return Packet(number, description.link_type, time, bytes(body[20 : 20 + captured]), length)


def write_pcapng(packets: Iterable[Packet], comment: str = "") -> Iterator[bytes]:
    """Yield a pcapng file with one interface per link type and nanosecond times; `comment` is that of the section."""
    options = _option(_COMMENT, comment.encode()) if comment else b""
    options += _option(_APPLICATION, b"pcaplint") + struct.pack("<HH", 0, 0)
    yield _block(_SECTION, struct.pack("<IHHq", _BYTE_ORDER, 1, 0, -1) + options)
    known = dict[int, int]()
    for packet in packets:
        if packet.link_type not in known:
            known[packet.link_type] = len(known)
            head = struct.pack("<HHI", packet.link_type, 0, 0)
            yield _block(_INTERFACE, head + _option(_TSRESOL, bytes([_NANO])) + struct.pack("<HH", 0, 0))
        time = packet.time & (1 << 64) - 1
        head = struct.pack("<IIIII", known[packet.link_type], time >> 32, time & 0xFFFFFFFF, len(packet.data), packet.length)
        yield _block(_PACKET, head + packet.data + bytes(-len(packet.data) % 4))


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("<HH", code, len(value)) + value + bytes(-len(value) % 4)


def _block(kind: int, body: bytes) -> bytes:
    size = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", kind) + size + body + size


def write_pcap(packets: Sequence[Packet]) -> Iterator[bytes]:
    """Yield a pcap file with nanosecond times. Raises `UsageError` when the packets have several link types or times it cannot hold."""
    types = {packet.link_type for packet in packets}
    if len(types) > 1:
        message = "a pcap file holds one link type, and the frames have several: write a .pcapng"
        raise UsageError(message)
    if any(not 0 <= packet.time < 2**32 * _IN_NANOSECONDS for packet in packets):
        message = "a pcap file holds times from 1970 to 2106, and the frames have others: write a .pcapng"
        raise UsageError(message)
    yield struct.pack("<IHHiIII", _PCAP_NANO, 2, 4, 0, 0, _SNAPLEN, *types or (1,))
    for packet in packets:
        yield struct.pack("<IIII", *divmod(packet.time, _IN_NANOSECONDS), len(packet.data), packet.length) + packet.data
