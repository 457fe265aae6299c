"""Frames of several link layers rewritten; a frame that is not understood is refused by its number."""

from __future__ import annotations

import pytest

from analyzer.anonymize.addresses import AddressMap
from analyzer.anonymize.frames import FrameWriter
from analyzer.capture.packets import Packet
from analyzer.errors import UsageError

MAP = AddressMap(b"key")
TCP = bytes.fromhex("9c40 0050 00000001 00000000 5002 faf0 0000 0000".replace(" ", ""))
MACS = bytes.fromhex("0200aabbccdd 0200eeff0011".replace(" ", ""))
SRC, DST = bytes([11, 22, 33, 44]), bytes([55, 66, 77, 88])


def ipv4(kind: int, body: bytes, fragment: int = 0) -> bytes:
    length = (20 + len(body)).to_bytes(2)
    return bytes([0x45, 0]) + length + bytes(2) + fragment.to_bytes(2) + bytes([64, kind, 0, 0]) + SRC + DST + body


def rewrite(data: bytes, link_type: int = 1) -> bytes:
    def keep(frame: int, data: bytes, stated: int, *, quoted: bool) -> tuple[bytes, int]:
        del frame, quoted
        return data, stated

    writer = FrameWriter(MAP.ip, MAP.mac, keep)
    found = writer.rewrite(Packet(7, link_type, 0, data, len(data)))
    assert found.length == len(data)
    return found.data


@pytest.mark.parametrize(
    ("link_type", "before"),
    [
        (1, MACS + b"\x08\0"),
        (1, MACS + b"\x81\0\0\x07\x08\0"),
        (1, MACS + b"\x88\xa8\0\x07\x81\0\0\x08\x08\0"),
        (1, MACS + b"\x88\x47\0\x01\x01\x40"),
        (1, MACS + b"\x88\x64\x11\0\0\x01\0\x2a\0\x21"),
        (113, b"\0\0\0\x01\0\x06" + MACS[:6] + b"\0\0\x08\0"),
        (276, b"\x08\0\0\0\0\0\0\x01\0\x01\0\x06" + MACS[:6] + b"\0\0"),
        (101, b""),
        (0, b"\x02\0\0\0"),
        (9, b"\xff\x03\0\x21"),
    ],
)
def test_addresses_below_every_link_layer_are_replaced(link_type: int, before: bytes) -> None:
    found = rewrite(before + ipv4(6, TCP), link_type)
    assert found[-20 - len(TCP) :][12:20] == MAP.ip(SRC) + MAP.ip(DST)
    assert SRC not in found
    assert MACS[:6] not in found


def test_tunnels_are_rewritten_inside_and_outside() -> None:
    vxlan = bytes.fromhex("1000 12b5 0000 0000 0800000000000700".replace(" ", "")) + MACS + b"\x08\0" + ipv4(6, TCP)
    vxlan = vxlan[:4] + len(vxlan).to_bytes(2) + vxlan[6:]
    for body in (ipv4(4, ipv4(6, TCP)), ipv4(47, b"\0\0\x08\0" + ipv4(6, TCP)), ipv4(17, vxlan)):
        found = rewrite(MACS + b"\x08\0" + body)
        assert found.count(MAP.ip(SRC)) == 2
        assert SRC not in found
        assert MACS[:6] not in found


def test_a_quote_in_an_icmp_error_is_rewritten() -> None:
    found = rewrite(MACS + b"\x08\0" + ipv4(1, b"\x03\x01\0\0\0\0\0\0" + ipv4(6, TCP[:8])))
    assert found.count(MAP.ip(SRC)) == 2
    assert SRC not in found


def test_padding_is_zeroed() -> None:
    found = rewrite(MACS + b"\x08\0" + ipv4(6, TCP) + b"secret")
    assert found.endswith(bytes(6))
    assert len(found) == 14 + 20 + len(TCP) + 6


@pytest.mark.parametrize(
    ("data", "link_type", "words"),
    [
        (MACS + b"\x88\xcc" + b"lldp", 1, "carries EtherType 0x88cc"),
        (MACS + b"\x08\0" + ipv4(50, b"esp"), 1, "carries IP protocol 50"),
        (MACS + b"\x08\0" + ipv4(6, TCP, fragment=0x2000), 1, "is a fragment"),
        (MACS + b"\x08\0" + ipv4(17, b"\0\x35\0\x35\0\x0c\0\0name"), 1, "carries UDP"),
        (b"\0" * 40, 127, "has link type 127"),
    ],
)
def test_what_is_not_understood_is_refused(data: bytes, link_type: int, words: str) -> None:
    with pytest.raises(UsageError, match=f"frame 7 {words}, which cannot be anonymized"):
        rewrite(data, link_type)
