"""Every link type that leads tshark to TCP: each has a segment, the same from both engines.

Sources: the Tcpdump Group's list of link types; ITU-T G.7041 for GFP, IEEE 802.15.4, RFC 1990, RFC 3518, RFC 6282.
"""

from __future__ import annotations

import gzip
import shutil
import struct
import subprocess
import zlib
from typing import TYPE_CHECKING

import pytest

from analyzer.capture import probe
from analyzer.capture.native import engine as native_engine
from analyzer.capture.tshark import engine as tshark_engine
from tests.reference.wire import DST6, MACS, OPTIONS, SRC6, block, described, ethernet, ipv4, ipv6, section, tcp
from tests.unit.capture.test_formats import differences

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")

FOUR, SIX = ipv4(tcp(b"hello", OPTIONS)), ipv6(tcp(b"hello", OPTIONS, ends=(SRC6, DST6)))
FRAME, FRAME6 = ethernet(FOUR, 0x0800), ethernet(SIX, 0x8100, 7, 0x86DD)
ONE, TWO = MACS[:6], MACS[6:]
LLC, LLC6 = bytes.fromhex("aaaa030000000800") + FOUR, bytes.fromhex("aaaa0300000086dd") + SIX
WIRELESS = bytes.fromhex("08010000") + ONE + TWO + ONE + bytes(2) + LLC
CALLS = b"".join(bytes(letter << 1 for letter in b"NOCALL") + end for end in (b"\x60", b"\x61"))


def divide(data: bytes, polynomial: int, start: int = 0) -> int:
    """Return the remainder of 16 bits, bits of a byte taken from the lowest on."""
    for byte in data:
        start ^= byte
        for _ in range(8):
            start = start >> 1 ^ (polynomial if start & 1 else 0)
    return start


def divide_upward(data: bytes) -> bytes:
    """Return the remainder by x^16 + x^12 + x^5 + 1, bits of a byte taken from the highest on."""
    rest = 0
    for byte in data:
        rest ^= byte << 8
        for _ in range(8):
            rest = (rest << 1 ^ (0x1021 if rest & 0x8000 else 0)) & 0xFFFF
    return struct.pack("!H", rest)


def cable(frame: bytes) -> bytes:
    head = struct.pack("!BBH", 0, 0, len(frame) + 4)
    return head + struct.pack("<H", divide(head, 0x8408, 0xFFFF) ^ 0xFFFF) + frame + bytes(4)


def framed(frame: bytes, kind: int) -> bytes:
    """Return a client frame of the generic framing procedure."""
    payload = struct.pack("!H", kind) + divide_upward(struct.pack("!H", kind)) + frame
    return struct.pack("!H", len(payload)) + divide_upward(struct.pack("!H", len(payload))) + payload


def summed(frame: bytes) -> bytes:
    return frame + struct.pack("<I", zlib.crc32(frame))


def hilscher(frame: bytes) -> bytes:
    """Return a frame behind the header of a netANALYZER: version 1, port 0 and the length with its checksum."""
    return struct.pack("<I", len(summed(frame)) | 1 << 10) + summed(frame)


def loopback(packet: bytes, family: int) -> bytes:
    """Return a packet of Solaris' IP observability device."""
    return struct.pack("!BBHIIIII", 1, family, 1, len(packet), 1, 0, 1, 1) + packet


def tapped(frame: bytes, link: int) -> bytes:
    return struct.pack("<IIi24sIII", 108, 1, link, b"en0", 1, 2, 14).ljust(108, b"\0") + frame


PERSONAL = bytes.fromhex("418801cdab01000200") + b"\x41" + SIX
PERSONAL_SUMMED = PERSONAL + struct.pack("<H", divide(PERSONAL, 0x8408))
FIBRE = bytes.fromhex("0400000100000002050000000000000000000000") + bytes(4)

LINKS = {
    "AX.25": (3, [CALLS + b"\x03\xcc" + FOUR]),
    "token ring": (6, [b"\x10\x40" + ONE + TWO + LLC, b"\x10\x40" + ONE + TWO + LLC6]),
    "ARCNET": (7, [b"\1\2\xf0" + FOUR, b"\1\2\xd4\0\0\1" + FOUR]),
    "PPP, multilink": (9, [b"\xff\x03\0\x3d\xc0\0\0\1\0\x21" + FOUR, b"\0\x3d\xc0\0\0\2\x57" + SIX]),
    "PPP, bridged": (9, [b"\xff\x03\0\x31\0\1" + FRAME, b"\xff\x03\0\x31\0\1" + FRAME6]),
    "FDDI": (10, [b"\x50" + ONE + TWO + LLC]),
    "Redback": (32, [struct.pack(">IIQHHHH", 0, 0, 0, len(FRAME), 3, 24, 0) + FRAME]),
    "PPPoE": (51, [struct.pack("!BBHHH", 0x11, 0, 1, len(FOUR) + 2, 0x21) + FOUR]),
    "ATM, RFC 1483": (100, [LLC, LLC6]),
    "Cisco HDLC": (104, [b"\x0f\0\x08\0" + FOUR, b"\x0f\0\x86\xdd" + SIX]),
    "wireless": (105, [WIRELESS, b"\x88" + WIRELESS[1:24] + bytes(2) + LLC6]),
    "classical IP over ATM": (106, [FOUR]),
    "frame relay": (107, [b"\x18\x41\x03\xcc" + FOUR, b"\x18\x41\x03\x8e" + SIX]),
    "OpenBSD's enc": (109, [*(struct.pack(f"{order}III", 2, 1, 0) + FOUR for order in "<>"), struct.pack("<III", 24, 1, 0) + SIX]),
    "pflog": (117, [bytes([61, 2, 0, 0]) + b"em0".ljust(60, b"\0") + FOUR]),
    "Prism": (119, [struct.pack("<II", 0x44, 144) + bytes(136) + WIRELESS]),
    "fibre channel, RFC 2625": (122, [bytes(2) + ONE + bytes(2) + TWO + LLC]),
    "SunATM": (123, [b"\x82\0\0\5" + LLC]),
    "radiotap": (127, [struct.pack("<BBHI", 0, 0, 8, 0) + WIRELESS]),
    "Linux' ARCNET": (129, [b"\1\2\0\0\xd4\0\0\1" + FOUR, b"\1\2\0\0\xf0" + FOUR]),
    "Apple's IP over 1394": (138, [bytes(16) + b"\x08\0" + FOUR, bytes(16) + b"\x86\xdd" + SIX]),
    "DOCSIS": (143, [cable(FRAME), cable(FRAME6)]),
    "AVS": (163, [struct.pack(">II", 0x80211001, 64) + bytes(56) + WIRELESS]),
    "GFP": (170, [framed(FRAME, 1)]),
    "GFP, frame mapped": (171, [framed(FRAME6, 1), framed(b"\xff\x03\0\x21" + FOUR, 2)]),
    "Juniper's Ethernet": (178, [bytes.fromhex("4d474300") + FRAME, bytes.fromhex("4d474301") + FRAME6]),
    "per-packet information": (192, [struct.pack("<BBHI", 0, 0, 8, 105) + WIRELESS, struct.pack("<BBHI", 0, 0, 8, 1) + FRAME]),
    "personal area, checksum": (195, [PERSONAL_SUMMED]),
    "AX.25 in KISS": (202, [b"\0" + CALLS + b"\x03\xcc" + FOUR]),
    "PPP with direction": (204, [b"\1\xff\x03\0\x21" + FOUR, b"\0\xff\x03\0\x57" + SIX]),
    "personal area, no ASK": (215, [bytes(4) + b"\xa7" + bytes([len(PERSONAL_SUMMED)]) + PERSONAL_SUMMED]),
    "fibre channel, delimiters": (225, [struct.pack("!I", 0xBCB53636) + FIBRE + LLC + bytes(4) + struct.pack("!I", 0xBC957575)]),
    "IPNET": (226, [loopback(FOUR, 2), loopback(SIX, 26)]),
    "personal area": (230, [PERSONAL]),
    "nflog": (239, [struct.pack("!BBH", 2, 0, 0) + struct.pack("<HH", 4 + len(FOUR), 9) + FOUR]),
    "netANALYZER": (240, [hilscher(FRAME), hilscher(FRAME6)]),
    "IP over InfiniBand": (242, [bytes(40) + struct.pack("!HH", 0x0800, 0) + FOUR]),
    "PKTAP": (258, [tapped(FRAME, 1), tapped(FRAME6, 1), tapped(FOUR, 12)]),
    "EPON": (259, [bytes.fromhex("5555d55500010000") + FRAME]),
    "mPacket": (274, [b"\x55" * 7 + b"\xd5" + summed(FRAME), b"\x55" * 7 + b"\xd5" + summed(FRAME6)]),
    "personal area, tap": (283, [struct.pack("<BBH", 0, 0, 4) + PERSONAL]),
}
FRAMES = [(name, link, frame) for name, (link, frames) in LINKS.items() for frame in frames]


def write(file: Path, frames: list[tuple[int, bytes, int]]) -> Path:
    """Write frames of a link type each, and so many bytes of each."""
    numbers = {link: number for number, link in enumerate(dict.fromkeys(link for link, _, _ in frames))}
    blocks = [section(), *(described(link=link) for link in numbers)]
    for link, frame, held in frames:
        blocks.append(block("<", 6, struct.pack("<5I", numbers[link], 0, 0, min(held, len(frame)), len(frame)) + frame[:held]))
    file.write_bytes(b"".join(blocks))
    return file


def test_each_has_a_segment_and_the_same_from_both_engines(tmp_path: Path) -> None:
    file = write(tmp_path / "x", [(link, frame, len(frame)) for _, link, frame in FRAMES])
    theirs = tshark_engine.read(tshark_engine.TsharkRequest(file, "x", probe(), 60))
    found = set(theirs.segments["frame"].tolist())
    assert [name for number, (name, _, _) in enumerate(FRAMES, 1) if number not in found] == []
    assert set(theirs.segments["payload_length"]) == set(theirs.segments["payload_captured"]) == {5}
    assert set(theirs.segments["src_port"]) == {40000}
    assert differences(native_engine.read(native_engine.NativeRequest(file, "x", probe(), 60)), theirs) == []


def test_a_pcap_file_of_each_is_read_by_tshark(tmp_path: Path) -> None:
    """One file, so that it costs one start of tshark, and the link type that the native engine refuses a file for."""
    from analyzer.capture import read

    file = tmp_path / "x"
    frame = LINKS["OpenBSD's enc"][1][0]
    file.write_bytes(
        struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 1 << 18, 109) + struct.pack("<4I", 1, 2, len(frame), len(frame)) + frame
    )
    assert read(file, engine="native").segments["payload_length"].tolist() == [5]


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_erf_files_are_read_by_tshark(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    from analyzer.capture import read

    body = b"\0\0" + FRAME
    one = struct.pack("<II", 0, 1_700_000_000) + struct.pack(">BBHHH", 2, 4, 16 + len(body), 0, len(FRAME)) + body
    file = tmp_path / "x"
    file.write_bytes(pack(one * 3))
    for engine in ("native", "pyshark"):
        found = read(file, engine=engine)
        assert (found.complete, found.packets, found.segments["payload_captured"].tolist()) == (True, 3, [5, 5, 5])


def test_headers_cut_at_any_byte_give_what_plain_tshark_reads(tmp_path: Path) -> None:
    """Nothing that is allowed to tshark is missing, and nothing invented."""
    names = [
        "OpenBSD's enc",
        "PKTAP",
        "mPacket",
        "netANALYZER",
        "EPON",
        "Apple's IP over 1394",
        "IPNET",
        "Juniper's Ethernet",
        "PPP, multilink",
    ]
    cut = [(LINKS[name][0], LINKS[name][1][0], held) for name in names for held in range(len(LINKS[name][1][0]))]
    file = write(tmp_path / "x", cut)
    theirs = tshark_engine.read(tshark_engine.TsharkRequest(file, "x", probe(), 60))
    argv = [probe().path, "-n", "-r", str(file), "-T", "fields", "-e", "frame.number", "-e", "tcp.dstport"]
    rows = [line.split("\t") for line in subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()]
    assert theirs.segments["frame"].tolist() == [int(number) for number, port in rows if port]
    assert differences(native_engine.read(native_engine.NativeRequest(file, "x", probe(), 60)), theirs) == []
