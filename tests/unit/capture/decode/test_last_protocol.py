"""What frames without a TCP segment end in: named as they are, and the same by both engines."""

from __future__ import annotations

import shutil
import struct
from typing import TYPE_CHECKING

import pytest

from analyzer.capture import probe, read
from analyzer.capture.decode import last_protocol
from analyzer.capture.native import engine as native_engine
from analyzer.capture.tshark import engine as tshark_engine
from analyzer.capture.tshark import remainder
from tests.reference.wire import DST6, OPTIONS, SRC6, add, block, described, ethernet, ipv4, ipv6, section, tcp, udp
from tests.unit.capture.test_formats import differences
from tests.unit.capture.test_link_types import WIRELESS, write

if TYPE_CHECKING:
    from pathlib import Path

    from analyzer.model import Capture

pytestmark = pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")

FOUR, SIX = ipv4(tcp(b"hello", OPTIONS)), ipv6(tcp(b"hello", OPTIONS, ends=(SRC6, DST6)))
ARP = bytes.fromhex("0001080006040001") + bytes(20)
VXLAN = struct.pack("!II", 0x08000000, 42 << 8)
ENDS = {
    # An ending, and frames of a link type that have it.
    "udp port 53 (dns)": [
        (1, ethernet(ipv4(udp(b"x"), 17), 0x0800)),
        (101, ipv6(udp(b"x"), 17)),
        (1, ethernet(ipv4(udp(b"x")[:8], 17), 0x0800)),
    ],
    "udp port 5555": [(1, ethernet(ipv4(udp(FOUR, 5555), 17), 0x8100, 7, 0x0800))],
    "udp port 8472 (vxlan or otv)": [
        (1, ethernet(ipv4(udp(b"\x7f" * 60, 8472), 17), 0x0800)),
        (1, ethernet(ipv4(udp(b"", 8472), 17), 0x0800)),
    ],
    "udp port 4789 (vxlan)": [(1, ethernet(ipv4(udp(VXLAN + ethernet(ARP, 0x0806), 4789), 17), 0x0800))],
    "udp port 4500 (ipsec in udp)": [(1, ethernet(ipv4(udp(b"\0\0\1\0" + bytes(60), 4500), 17), 0x0800))],
    "icmp": [
        (1, ethernet(ipv4(bytes([8, 0]) + bytes(6), 1), 0x0800)),
        (1, ethernet(ipv4(bytes([3, 1]) + bytes(6) + ipv4(udp(b"x"), 17), 1), 0x0800)),
    ],
    "icmpv6": [(1, ethernet(ipv6(bytes([135]) + bytes(23), 58), 0x86DD))],
    "ip protocol 50 (esp)": [(1, ethernet(ipv4(bytes(40), 50), 0x0800)), (1, ethernet(ipv6(bytes(40), 50), 0x86DD))],
    "ip protocol 89 (ospf)": [(1, ethernet(ipv4(bytes(24), 89), 0x0800))],
    "ip protocol 253": [(1, ethernet(ipv4(bytes(24), 253), 0x0800))],
    "ip protocol 0 (hop-by-hop options)": [(1, ethernet(ipv6(b"\x32\0\1\4" + bytes(4) + bytes(40), 0), 0x86DD))],
    "ip protocol 17 (udp)": [(1, ethernet(ipv4(bytes(24), 17, fragment=0x2000), 0x0800))],
    "arp": [(1, ethernet(ARP, 0x0806)), (1, ethernet(ARP, 0x88A8, 8, 0x0806)), (113, bytes(14) + b"\x08\x06" + ARP)],
    "ethernet type 0x88cc (lldp)": [(1, ethernet(bytes(40), 0x88CC)), (1, ethernet(bytes(40), 0x8100, 9, 0x88CC))],
    "ethernet type 0x88b5": [(1, ethernet(bytes(40), 0x88B5))],
    "llc": [(1, ethernet(b"\x42\x42\x03" + bytes(40), 43)), (1, ethernet(b"\xaa\xaa\x03\0\0\x0c\x20\0" + bytes(30), 38))],
    "ppp": [(1, ethernet(struct.pack("!BBHHH", 0x11, 0, 3, 6, 0xC021) + bytes(4), 0x8864))],
    "of link type 147 (USER0) not decoded": [(147, bytes(60))],
    "of link type 8 (SLIP) not decoded": [(8, bytes(60))],
    "of link type 301 not decoded": [(301, FOUR)],
    "wlan": [(105, b"\x80\0" + WIRELESS[2:24] + bytes(40))],
}


def both(file: Path) -> tuple[Capture, Capture]:
    theirs = tshark_engine.read(tshark_engine.TsharkRequest(file, "x", probe(), 60))
    ours = native_engine.read(native_engine.NativeRequest(file, "x", probe(), 60))
    assert differences(ours, theirs) == []
    return ours, theirs


def counted(capture: Capture) -> list[tuple[str, str]]:
    return [(note.id, note.text) for note in capture.notes if note.id not in {"captured-short", "no-timestamp"}]


def test_each_frame_is_told_by_what_it_ends_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(last_protocol, "_MAX_SHOWN", 99)
    file = write(tmp_path / "x", [(link, frame, len(frame)) for frames in ENDS.values() for link, frame in frames])
    ordered = sorted(ENDS, key=lambda name: (-len(ENDS[name]), name))
    said = ", ".join(f"{len(ENDS[name])} {name}" for name in ordered)
    number = sum(map(len, ENDS.values()))
    for capture in both(file):
        assert counted(capture) == [("no-tcp", f"no TCP found in {number} frames: {said}")]


def test_beside_tcp_only_what_might_hide_it_is_told(tmp_path: Path) -> None:
    plain = [
        (1, ethernet(FOUR, 0x0800)),
        *ENDS["udp port 53 (dns)"],
        *ENDS["arp"],
        *ENDS["of link type 147 (USER0) not decoded"] * 3,
        *ENDS["wlan"],
    ]
    for capture in both(write(tmp_path / "x", [(link, frame, len(frame)) for link, frame in plain])):
        assert counted(capture) == [("undecoded", "4 frames not read as far as IP: 3 of link type 147 (USER0) not decoded, 1 wlan")]


def test_a_record_without_a_packet_is_told(tmp_path: Path) -> None:
    file = tmp_path / "x"
    file.write_bytes(section() + described() + block("<", 0xBAD, struct.pack("<I", 32473) + bytes(8)))
    for capture in both(file):
        assert counted(capture) == [("no-tcp", "no TCP found in 1 frame: 1 record without a packet")]


def test_many_endings_are_summed_up() -> None:
    assert last_protocol.sentence({f"udp port {port}": 20 - port for port in range(1, 11)}).endswith("12 udp port 8, 21 others")


def test_a_service_is_the_port_that_is_known_or_the_lower_one() -> None:
    import numpy as np

    pairs = np.array([(53, 40000), (40000, 53), (1234, 5555), (51820, 1024), (53, 5353)], dtype=np.int64)
    assert last_protocol.services(pairs[:, 0], pairs[:, 1]).tolist() == [53, 53, 1234, 51820, 53]


def test_a_capture_without_tcp_says_so_wherever_it_is_read(tmp_path: Path) -> None:
    file = write(tmp_path / "x", [(147, bytes(60), 60)] * 12)
    for engine in ("native", "pyshark"):
        assert read(file, engine=engine).notes[0].text == "no TCP found in 12 frames: 12 of link type 147 (USER0) not decoded"


def right(packet: bytes) -> bytes:
    """Return an IPv4 packet with the checksum of its header."""
    return packet[:10] + struct.pack("!H", ~add(packet[:20]) & 0xFFFF) + packet[12:]


SUMMED = right(FOUR)
LABEL = struct.pack("!I", 77 << 12 | 0x1FF)
DEEP = {
    count: ethernet(FOUR, *[number for place in range(count) for number in (0x8100, place + 1)], 0x0800)
    for count in (4, 5, 20, 21, 40, 128)
}


def test_any_number_of_vlan_tags_is_read(tmp_path: Path) -> None:
    """Where tshark 4.0 gives up at 21."""
    file = write(tmp_path / "x", [(1, frame, len(frame)) for frame in DEEP.values()])
    for capture in both(file):
        assert capture.segments["vlan"].tolist() == [".".join(map(str, range(1, count + 1))) for count in DEEP]
        assert capture.segments["payload_captured"].tolist() == [5] * len(DEEP)


@pytest.mark.parametrize("first", ["02", "00", "40", "45", "60", "f0"])
def test_pseudowires_are_read_with_and_without_control_word(tmp_path: Path, first: str) -> None:
    """Whatever the first byte of the address: none of what a label says tells the two apart."""
    inner = [
        bytes.fromhex(first) + frame[1:] for frame in (ethernet(SUMMED, 0x0800), ethernet(SIX, 0x86DD), ethernet(SUMMED, 0x8100, 7, 0x0800))
    ]
    frames = [ethernet(LABEL + word + frame, 0x8847) for frame in inner for word in (b"", bytes(4), bytes.fromhex("00000007"))]
    tagged = ethernet(LABEL + inner[2], 0x8100, 1, 0x8100, 2, 0x8100, 3, 0x8100, 4, 0x8847)
    file = write(
        tmp_path / "x",
        [(1, frame, len(frame)) for frame in [*frames, tagged, ethernet(LABEL + FOUR, 0x8847), ethernet(LABEL + SIX, 0x8847)]],
    )
    for capture in both(file):
        assert capture.segments["frame"].tolist() == list(range(1, 13))
        assert capture.segments["vlan"].tolist() == [*[""] * 6, *["7"] * 3, "1.2.3.4.7", "", ""]
        assert capture.segments["payload_captured"].tolist() == [5] * 12
        assert capture.segments["dst_mac"].tolist()[:10] == [f"{first}:00:00:00:00:02"] * 10


def test_a_pseudowire_cut_at_any_byte_invents_nothing(tmp_path: Path) -> None:
    frames = [ethernet(LABEL + word + ethernet(SUMMED, 0x0800), 0x8847) for word in (b"", bytes(4))]
    for capture in both(write(tmp_path / "x", [(1, frame, held) for frame in frames for held in range(len(frame))])):
        assert set(capture.segments["dst_port"]) == {25}


@pytest.mark.parametrize(
    ("protocols", "name"),
    [
        ("eth:ethertype:ip:icmp:ip:udp:data", "icmp"),
        ("eth:ethertype:ip:udp:vxlan:eth:ethertype:ip:udp:data", "udp"),
        ("eth:ethertype:ip:udp:vxlan:eth:ethertype:arp", "udp"),
        ("wlan:llc:data", "llc"),
        ("user_dlt:data", remainder.LINK),
        ("usb", "usb"),
    ],
)
def test_a_list_of_protocols_ends_in(protocols: str, name: str) -> None:
    assert remainder.find_end(tuple(protocols.split(":"))).name == name
