"""Every format and every layer the native engine reads: read without any help, and as tshark reads it, column by column."""

from __future__ import annotations

import gzip
import shutil
import struct
from typing import TYPE_CHECKING

import numpy as np
import pytest

from analyzer import schema
from analyzer.capture import probe
from analyzer.capture.native import engine as native_engine
from analyzer.capture.tshark import engine as tshark_engine
from tests.reference.wire import DST6, OPTIONS, SRC6, START, block, described, ethernet, ipv4, ipv6, offset, resolution, section, tcp, udp

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from analyzer.model import Capture

pytestmark = pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")

FOUR, SIX = ipv4(tcp(b"hello", OPTIONS)), ipv6(tcp(b"hello", OPTIONS, ends=(SRC6, DST6)))
HOP, ALERT = bytes.fromhex("0600010400000000"), bytes.fromhex("0600050200000100")
LABEL, LAST_LABEL = struct.pack("!I", 16 << 12 | 64), struct.pack("!I", 1048575 << 12 | 0x140)
LONG6 = tcp(b"hello" * 2000, ends=(SRC6, DST6))
HARDWARE = bytes.fromhex("0200000000990000")


def session(packet: bytes, protocol: int) -> bytes:
    return ethernet(struct.pack("!BBHHH", 0x11, 0, 77, len(packet) + 2, protocol) + packet, 0x8864)


LINKS = {
    # Link types, and frames of each.
    "Ethernet": (1, [ethernet(FOUR, 0x0800), ethernet(SIX, 0x86DD), ethernet(bytes(28), 0x0806)]),
    "802.1Q": (1, [ethernet(FOUR, 0x8100, 7, 0x0800), ethernet(SIX, 0x8100, 0xE007, 0x86DD), ethernet(FOUR, 0x8100, 0, 0x0800)]),
    "802.1ad": (1, [ethernet(FOUR, 0x88A8, 8, 0x0800), ethernet(SIX, 0x88A8, 8, 0x8100, 4095, 0x86DD)]),
    "stacked": (1, [ethernet(FOUR, 0x8100, 1, 0x8100, 2, 0x8100, 3, 0x0800), ethernet(FOUR, 0x9100, 1, 0x8100, 2, 0x0800)]),
    "PPPoE": (1, [session(FOUR, 0x21), session(SIX, 0x57), ethernet(FOUR, 0x8100, 5, 0x0800)]),
    "MPLS": (1, [ethernet(LABEL + LAST_LABEL + FOUR, 0x8847), ethernet(LAST_LABEL + SIX, 0x8847)]),
    "cooked": (113, [struct.pack("!HHH8sH", 0, 1, 6, HARDWARE, kind) + packet for kind, packet in ((0x0800, FOUR), (0x86DD, SIX))]),
    "cooked, version 2": (
        276,
        [struct.pack("!HHIHBB8s", kind, 0, 3, 1, 0, 6, HARDWARE) + packet for kind, packet in ((0x0800, FOUR), (0x86DD, SIX))],
    ),
    "raw": (101, [FOUR, SIX]),
    "raw IPv4": (228, [FOUR]),
    "raw IPv6": (229, [SIX]),
    "null": (0, [struct.pack("<I", 2) + FOUR, struct.pack(">I", 2) + FOUR, *(struct.pack("<I", of) + SIX for of in (24, 28, 30))]),
    "loop": (108, [struct.pack(">I", 2) + FOUR, struct.pack(">I", 30) + SIX]),
    "PPP": (9, [b"\xff\x03\x00\x21" + FOUR, b"\x00\x57" + SIX]),
    "PPP in HDLC": (50, [b"\xff\x03\x00\x21" + FOUR, b"\xff\x03\x00\x57" + SIX]),
    "IPv4 options": (
        1,
        [
            ethernet(ipv4(tcp(b"hello"), options=options), 0x0800)
            for options in (bytes.fromhex("94040000"), b"\1" * 40, bytes.fromhex("070b04") + bytes(9), bytes.fromhex("440c0501") + bytes(8))
        ],
    ),
    "IPv6 extension headers": (
        1,
        [
            ethernet(ipv6(head + tcp(b"hello", ends=(SRC6, DST6)), first), 0x86DD)
            for head, first in ((HOP, 0), (HOP, 60), (b"\x3c" + HOP[1:] + HOP, 0), (ALERT, 0))
        ],
    ),
    # Left 0 by a host whose card divides the packet.
    "total length 0": (1, [ethernet(ipv4(tcp(b"hello" * 2000), total=0), 0x0800), ethernet(ipv4(tcp(), total=0), 0x8100, 9, 0x0800)]),
    "payload length 0": (
        1,
        [
            ethernet(ipv6(LONG6, length=0), 0x86DD),
            ethernet(ipv6(LONG6 + bytes(90_000), length=0), 0x8100, 9, 0x86DD),
            ethernet(ipv6(tcp(ends=(SRC6, DST6)), length=0), 0x86DD).ljust(90, b"\0"),
            ethernet(ipv6(bytes.fromhex("0600010400000000") + LONG6, 60, length=0), 0x86DD),
            ethernet(LAST_LABEL + ipv6(LONG6, length=0), 0x8847),
        ],
    ),
    "padding": (1, [ethernet(ipv4(tcp(b"x" * size)), 0x0800).ljust(60, b"\0") for size in range(7)]),
    "not TCP": (1, [ethernet(ipv4(udp(b"x"), 17), 0x0800), ethernet(ipv4(bytes([3, 3]) + bytes(6) + FOUR, 1), 0x0800)]),
}
FRAMES = [(link, frame) for link, frames in LINKS.values() for frame in frames]


def enhanced(order: str, frame: bytes, *, interface: int = 0, ticks: int = START * 10**6 + 3, snap: int = 1 << 18) -> bytes:
    held = frame[:snap]
    head = struct.pack(order + "5I", interface, ticks >> 32, ticks & 0xFFFFFFFF, len(held), len(frame))
    return block(order, 6, head + held)


def obsolete(order: str, frame: bytes, *, interface: int = 0) -> bytes:
    ticks = START * 10**6 + 5
    return block(order, 2, struct.pack(order + "HHIIII", interface, 9, ticks >> 32, ticks & 0xFFFFFFFF, len(frame), len(frame)) + frame)


def simple(order: str, frame: bytes, *, snap: int = 1 << 18) -> bytes:
    return block(order, 3, struct.pack(order + "I", len(frame)) + frame[:snap])


def pcap(
    frames: Sequence[bytes], order: str = "<", variant: tuple[int, bytes] = (0xA1B2C3D4, b""), *, link: int = 1, cut: int = 1 << 18
) -> bytes:
    magic, extra = variant
    found = struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, cut, link)
    for place, frame in enumerate(frames):
        found += struct.pack(order + "4I", START + place, 999_999, len(frame[:cut]), len(frame)) + extra + frame[:cut]
    return found


def everything(order: str) -> bytes:
    """Return a section of an interface a frame, each of that frame's link type."""
    interfaces = b"".join(described(order, link=link) for link, _ in FRAMES)
    return section(order) + interfaces + b"".join(enhanced(order, frame, interface=place) for place, (_, frame) in enumerate(FRAMES))


def kinds(order: str) -> bytes:
    """Return a section of all kinds of packet block and of blocks that hold none, of interfaces with clocks and limits of their own."""
    frame = ethernet(FOUR, 0x0800)
    return b"".join(
        (
            section(order),
            described(order, snap=60),
            described(order, link=101, options=resolution(order, 9)),
            described(order, options=resolution(order, 0x94) + offset(order, 3600)),
            described(order, options=resolution(order, 3) + offset(order, -1)),
            simple(order, frame, snap=60),
            simple(order, ethernet(ipv4(tcp()), 0x0800)),
            enhanced(order, FOUR, interface=1, ticks=START * 10**9 + 123_456_789),
            block(order, 0x77, bytes(40)),
            enhanced(order, frame, interface=2, ticks=(START << 20) + 3),
            block(order, 4, bytes(4)),
            obsolete(order, frame),
            block(order, 0xBAD, struct.pack(order + "I", 32473) + bytes(8)),
            enhanced(order, frame, interface=3, ticks=START * 1000 + 7, snap=50),
            block(order, 5, struct.pack(order + "III", 0, 0, 0)),
            obsolete(order, FOUR, interface=1),
        )
    )


NANOSECONDS, MODIFIED = (0xA1B23C4D, b""), 0xA1B2CD34
ETHERNET = [frame for link, frame in FRAMES if link == 1]
FILES = {
    "pcapng, every link type": everything("<"),
    "pcapng of the other byte order, every link type": everything(">"),
    "pcapng, all kinds of block, two sections": kinds("<") + kinds(">"),
    "pcapng, all kinds of block, compressed": gzip.compress(kinds(">") + kinds("<") + everything("<")),
    "pcap": pcap(ETHERNET),
    "pcap of the other byte order": pcap(ETHERNET, ">"),
    "pcap of nanoseconds": pcap(ETHERNET, "<", NANOSECONDS),
    "pcap of nanoseconds of the other byte order": pcap(ETHERNET, ">", NANOSECONDS),
    "modified pcap": pcap(ETHERNET, "<", (MODIFIED, struct.pack("<IHBx", 1, 8, 0))),
    "modified pcap of the other byte order": pcap(ETHERNET, ">", (MODIFIED, struct.pack(">IHBx", 1, 8, 0))),
    "pcap, compressed": gzip.compress(pcap(ETHERNET)),
    **{f"pcap cut to {size} bytes": pcap(ETHERNET, cut=size) for size in (96, 68, 64, 54, 50)},
    "cooked pcap": pcap(LINKS["cooked"][1], link=113),
    "null pcap": pcap(LINKS["null"][1], link=0),
}


def differences(ours: Capture, theirs: Capture) -> list[str]:
    """Return what differs: column and frames."""
    found = [name for name in ("packets", "start_time", "end_time", "complete") if getattr(ours, name) != getattr(theirs, name)]
    for table in (schema.SEGMENTS, schema.QUOTES):
        left, right = getattr(ours, table.name), getattr(theirs, table.name)
        if left["frame"].tolist() != right["frame"].tolist():
            found.append(f"{table.name}: rows of frames {sorted(set(left['frame']) ^ set(right['frame']))}")
            continue
        for name in table.names:
            rows = np.flatnonzero(left[name].astype(object).to_numpy() != right[name].astype(object).to_numpy())
            if len(rows) and name not in {"option_start", "payload_start"}:
                found.append(f"{name}: frames {left['frame'].iloc[rows].tolist()}")
    runs = [
        [one.option_bytes[at : at + size] for at, size in zip(one.segments["option_start"], one.segments["option_length"], strict=True)]
        for one in (ours, theirs)
    ]
    said = [payloads(one) for one in (ours, theirs)]
    return [*found, *(["options"] if runs[0] != runs[1] else []), *(["payloads"] if said[0] != said[1] else [])]


def payloads(capture: Capture) -> list[bytes]:
    assert capture.payloads is not None
    places = zip(capture.segments["payload_start"].tolist(), capture.segments["payload_captured"].tolist(), strict=True)
    return [capture.payloads.read(start, length) if start >= 0 else b"" for start, length in places]


@pytest.mark.parametrize("name", FILES)
def test_it_is_read_without_help_and_as_tshark_reads_it(tmp_path: Path, name: str) -> None:
    file = tmp_path / "x"
    file.write_bytes(FILES[name])
    alone = native_engine.read(native_engine.NativeRequest(file, "x", None, 60))
    theirs = tshark_engine.read(tshark_engine.TsharkRequest(file, "x", probe(), 60))
    if "cut" not in name:
        assert (alone.reason, list(alone.engines)) == ("", ["native"])
        assert differences(alone, theirs) == []
    helped = native_engine.read(native_engine.NativeRequest(file, "x", probe(), 60))
    assert differences(helped, theirs) == []
    assert len(helped.segments)


def test_a_length_that_another_header_states_is_read_with_help(tmp_path: Path) -> None:
    """RFC 2675: an option states the length of a packet of more than 65,535 bytes; RFC 2516: the session's header does."""
    body = tcp(b"hello" * 20_000, ends=(SRC6, DST6))
    jumbo = ipv6(bytes.fromhex("0600c204") + struct.pack("!I", 8 + len(body)) + body, 0, length=0)
    file = tmp_path / "x"
    packets = [ipv6(SIX[40:], length=0), ipv4(FOUR[20:], total=0)]
    sessions = [session(packet, protocol) + b"#####" for packet, protocol in zip(packets, (0x57, 0x21), strict=True)]
    file.write_bytes(pcap([ethernet(jumbo, 0x86DD), *sessions]))
    helped = native_engine.read(native_engine.NativeRequest(file, "x", probe(), 60))
    assert helped.segments["payload_length"].tolist() == [100_000, 5, 5]
    assert helped.segments["payload_captured"].tolist() == [100_000, 5, 5]
    assert differences(helped, tshark_engine.read(tshark_engine.TsharkRequest(file, "x", probe(), 60))) == []


def test_every_link_type_gives_a_segment_for_each_frame_that_has_one(tmp_path: Path) -> None:
    """So that agreeing on nothing is not taken for agreeing."""
    file = tmp_path / "x"
    file.write_bytes(everything("<"))
    found = native_engine.read(native_engine.NativeRequest(file, "x", None, 60))
    without = {number for number, (_, frame) in enumerate(FRAMES, 1) if frame in {LINKS["Ethernet"][1][2], *LINKS["not TCP"][1]}}
    assert set(found.segments["frame"].tolist()) == set(range(1, len(FRAMES) + 1)) - without
    assert found.quotes["frame"].tolist() == [len(FRAMES)]
