"""Headers decoded as arrays: fields put into frames come out, and only what is understood is read; no tshark here."""

from __future__ import annotations

import struct
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from analyzer import schema
from analyzer.capture.decode import checksum
from analyzer.capture.decode.dictionary import CodeTable, encode_addresses, show_address
from analyzer.capture.native import engine as native_engine
from tests.reference.wire import DST, DST6, OPTIONS, SRC, SRC6, START, add, ethernet, ipv4, ipv6, pseudo, tcp, udp

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from analyzer.model import Capture


def read(folder: Path, frames: Sequence[bytes], *, link: int = 1, cut: int = 262144, lengths: Sequence[int] = ()) -> Capture:
    """Return what is read of `frames`, each cut to `cut` bytes, without the help of tshark."""
    data = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, link)
    for place, frame in enumerate(frames):
        length = lengths[place] if lengths else len(frame)
        data += struct.pack("<4I", START, 0, len(frame[:cut]), length) + frame[:cut]
    file = folder / "x.pcap"
    file.write_bytes(data)
    return native_engine.read(native_engine.NativeRequest(file, "x", None, 60))


def rows(capture: Capture, *names: str) -> list[tuple[Any, ...]]:
    return list(capture.segments[list(names)].itertuples(index=False, name=None))


PLAIN, SIX = ipv4(tcp(b"hello", OPTIONS)), ipv6(tcp(b"hello", OPTIONS, ends=(SRC6, DST6)))


def test_every_field_of_a_segment(tmp_path: Path) -> None:
    capture = read(tmp_path, [ethernet(PLAIN, 0x0800), ethernet(SIX, 0x86DD)])
    expected = {
        "capture": 0,
        "time": START * 10**9,
        "src_port": 40000,
        "dst_port": 25,
        "src_mac": "04:00:00:00:00:04",
        "dst_mac": "02:00:00:00:00:02",
        "vlan": "",
        "tunnel": "",
        "interface": -1,
        "fragment": False,
        "seq": 0xFFFFFFFF,
        "ack": 5,
        "flags": 0x942,
        "window": 512,
        "urgent": 9,
        "header_length": 40,
        "header_captured": 40,
        "checksum_state": schema.CHECKSUM_GOOD,
        "payload_length": 5,
        "payload_captured": 5,
        "option_length": 20,
    }
    places = capture.segments["payload_start"].tolist()
    four = {"frame": 1, "src": SRC, "dst": DST, "ttl": 61, "ip_id": 0x1234, "ip_ecn": 2, "option_start": 0, "payload_start": places[0]}
    six = {"frame": 2, "src": SRC6, "dst": DST6, "ttl": 62, "ip_id": -1, "ip_ecn": 3, "option_start": 20, "payload_start": places[1]}
    assert capture.payloads is not None
    assert [capture.payloads.read(place, 5) for place in places] == [b"hello", b"hello"]
    for row, packet, own in zip(capture.segments.to_dict("records"), (PLAIN[20:], SIX[40:]), (four, six), strict=True):
        assert row == expected | own | {"checksum": int.from_bytes(packet[16:18], "big")}
    assert capture.option_bytes == OPTIONS * 2
    assert (capture.complete, capture.engines, len(capture.notes)) == (True, {"native": 2}, 0)
    schema.check(capture.segments, schema.SEGMENTS)
    assert capture.segments["src"].dtype == capture.segments["dst"].dtype == capture.quotes["src"].dtype


COOKED = struct.pack("!HHH8sH", 0, 1, 6, bytes.fromhex("0200000000990000"), 0x0800)
COOKED2 = struct.pack("!HHIHBB8s", 0x0800, 0, 3, 1, 0, 6, bytes.fromhex("0200000000990000"))
LINKS = {
    # name: (link type, what comes before the packet, the source MAC)
    "cooked": (113, COOKED, "02:00:00:00:00:99"),
    "cooked without address": (113, COOKED[:4] + bytes(10) + COOKED[14:], ""),
    "cooked, version 2": (276, COOKED2, "02:00:00:00:00:99"),
    **{f"raw, {link}": (link, b"", "") for link in (12, 14, 101, 228)},
    "null": (0, struct.pack("<I", 2), ""),
    "null of the other byte order": (0, struct.pack(">I", 2), ""),
    "loop": (108, struct.pack(">I", 2), ""),
    "PPP": (9, b"\xff\x03\x00\x21", ""),
    "PPP without address": (9, b"\x00\x21", ""),
    "PPP in HDLC": (50, b"\xff\x03\x00\x21", ""),
}


@pytest.mark.parametrize("name", LINKS)
def test_link_types(tmp_path: Path, name: str) -> None:
    link, head, mac = LINKS[name]
    capture = read(tmp_path, [head + PLAIN], link=link)
    assert rows(capture, "src", "src_mac", "dst_mac", "payload_length", "payload_captured") == [(SRC, mac, "", 5, 5)]


@pytest.mark.parametrize(("link", "head"), [(101, b""), (229, b""), (0, b"\x1e\0\0\0"), (108, b"\0\0\0\x18"), (9, b"\0\x57")])
def test_link_types_with_ipv6(tmp_path: Path, link: int, head: bytes) -> None:
    assert rows(read(tmp_path, [head + SIX], link=link), "src", "checksum_state") == [(SRC6, schema.CHECKSUM_GOOD)]


def test_tags_labels_and_sessions(tmp_path: Path) -> None:
    label, last = struct.pack("!I", 16 << 12 | 64), struct.pack("!I", 1048575 << 12 | 0x140)
    frames = [
        ethernet(PLAIN, 0x8100, 7, 0x0800),
        ethernet(PLAIN, 0x8100, 0xE007, 0x0800),
        ethernet(SIX, 0x88A8, 8, 0x8100, 4095, 0x86DD),
        ethernet(PLAIN, 0x8100, 1, 0x8100, 0, 0x8100, 3, 0x8100, 4, 0x0800),
        ethernet(label + last + PLAIN, 0x8847),
        ethernet(struct.pack("!BBHHH", 0x11, 0, 65535, len(PLAIN) + 2, 0x21) + PLAIN, 0x8864),
    ]
    assert rows(read(tmp_path, frames), "vlan", "tunnel") == [
        ("7", ""),
        ("7", ""),
        ("8.4095", ""),
        ("1.0.3.4", ""),
        ("", ""),
        ("", "pppoe:65535"),
    ]


def test_what_stands_between(tmp_path: Path) -> None:
    hop, alert = bytes.fromhex("0600010400000000"), bytes.fromhex("0600050200000100")
    frames = [
        ethernet(ipv4(tcp(b"hello"), options=bytes.fromhex("94040000")), 0x0800),
        ethernet(ipv6(hop + tcp(b"hello", ends=(SRC6, DST6)), 0), 0x86DD),
        ethernet(ipv6(b"\x3c" + hop[1:] + hop + tcp(b"hello", ends=(SRC6, DST6)), 0), 0x86DD),
        ethernet(ipv6(alert + tcp(b"hello", ends=(SRC6, DST6)), 0), 0x86DD),
        # Left 0 by a host whose card divides the packet.
        ethernet(ipv4(tcp(b"hello" * 20), total=0), 0x0800),
        ethernet(ipv6(tcp(b"hello" * 20, ends=(SRC6, DST6)), length=0), 0x86DD),
        # Longer than any length that the field could state.
        ethernet(ipv6(tcp(b"hello" * 20_000, ends=(SRC6, DST6)), length=0), 0x86DD),
        # What an Ethernet frame has for its least length is no payload.
        ethernet(ipv4(tcp(b"hello")) + bytes(20), 0x0800),
    ]
    assert rows(read(tmp_path, frames), "payload_length", "payload_captured", "checksum_state") == [
        *[(5, 5, 1)] * 4,
        (100, 100, 1),
        (100, 100, 1),
        (100_000, 100_000, 1),
        (5, 5, 1),
    ]


def test_a_header_cut_anywhere_has_no_invented_fields(tmp_path: Path) -> None:
    frame = ethernet(PLAIN, 0x0800)
    for held in range(4, 46):
        capture = read(tmp_path, [frame], cut=34 + held, lengths=[len(frame)])
        (row,) = capture.segments.to_dict("records")
        # As tshark does: ports from the 4th byte on, all the rest from the 16th on.
        assert row["header_captured"] == min(held if held >= 20 else held // 2 * 2 if held >= 16 else 4, 40)
        assert (row["src_port"], row["dst_port"]) == (40000, 25)
        assert (row["seq"], row["flags"], row["window"], row["header_length"], row["payload_length"]) == (
            (0xFFFFFFFF, 0x942, 512, 40, 5) if held >= 16 else (0, 0, -1, -1, -1)
        )
        assert (row["checksum"] >= 0, row["urgent"]) == (held >= 18, 9 if held >= 20 else -1)
        assert (row["option_length"], row["payload_captured"]) == (min(max(held - 20, 0), 20), max(held - 40, 0))
        assert row["checksum_state"] == (schema.CHECKSUM_GOOD if held == 45 else schema.CHECKSUM_UNVERIFIED)
        assert capture.option_bytes == OPTIONS[: max(held - 20, 0)]


def test_a_packet_longer_than_its_frame_has_its_stated_payload(tmp_path: Path) -> None:
    table = read(tmp_path, [ethernet(ipv4(tcp(b"0123456789"))[:-4], 0x0800)])
    assert rows(table, "payload_length", "payload_captured", "checksum_state") == [(10, 6, schema.CHECKSUM_UNVERIFIED)]


LABELLED = struct.pack("!I", 3 << 12 | 0x1FF)
FOR_TSHARK = {
    "first fragment": ethernet(ipv4(tcp(), fragment=0x2000), 0x0800),
    "later fragment": ethernet(ipv4(tcp(), fragment=3), 0x0800),
    "IPv6 fragment": ethernet(ipv6(struct.pack("!BBHI", 6, 0, 1, 9) + tcp(), 44), 0x86DD),
    "GRE": ethernet(ipv4(bytes.fromhex("00000800") + PLAIN, 47), 0x0800),
    "IP in IP": ethernet(ipv4(PLAIN, 4), 0x0800),
    "VXLAN": ethernet(ipv4(udp(bytes(8) + ethernet(PLAIN, 0x0800), 4789), 17), 0x0800),
    "transport stream": ethernet(ipv4(udp(b"\x47" * 188), 17), 0x0800),
    "source route": ethernet(ipv4(tcp(), options=bytes.fromhex("8307040a00000100")), 0x0800),
    "option beyond its header": ethernet(ipv6(bytes.fromhex("0600010500000000") + tcp(), 60), 0x86DD),
    "unknown option": ethernet(ipv6(bytes.fromhex("06001e0400000000") + tcp(), 0), 0x86DD),
    "session shorter than its packet": ethernet(struct.pack("!BBHHH", 0x11, 0, 9, len(PLAIN), 0x21) + PLAIN, 0x8864),
    "home address": ethernet(ipv6(bytes.fromhex("0602c9100000") + bytes(18) + tcp(), 60), 0x86DD),
    "routing header": ethernet(ipv6(bytes.fromhex("0600010000000000") + tcp(), 43), 0x86DD),
    "jumbo": ethernet(ipv6(bytes.fromhex("0600c20400000024") + tcp(), 0, length=0), 0x86DD),
    "no length in a session": ethernet(struct.pack("!BBHHH", 0x11, 0, 9, len(SIX) + 2, 0x57) + ipv6(SIX[40:], length=0), 0x8864),
    "wrong version": ethernet(b"\x55" + ipv4(tcp())[1:], 0x0800),
    "total below header": ethernet(ipv4(tcp(), total=19), 0x0800),
    "total without header": ethernet(ipv4(tcp(), total=30), 0x0800),
    "data offset 4": ethernet(ipv4(tcp()[:12] + b"\x40" + tcp()[13:]), 0x0800),
    "data offset beyond": ethernet(ipv4(tcp()[:12] + b"\xf0" + tcp()[13:]), 0x0800),
    "reserved label": ethernet(LABELLED + PLAIN, 0x8847),
    "unknown type": ethernet(PLAIN, 0x88B5),
    "LLC": ethernet(b"\xaa\xaa\x03\0\0\0\x08\0" + PLAIN, 8 + len(PLAIN)),
    "more tags than a frame has": ethernet(PLAIN, *(0x8100, 1) * 129, 0x0800),
    "no whole link header": ethernet(PLAIN, 0x0800)[:13],
    "GTP over TCP": ethernet(ipv4(tcp(b"\x30\xff" + PLAIN, ports=(40000, 2123))), 0x0800),
    "extended ICMP error": ethernet(ipv4(struct.pack("!BBHBBH", 11, 0, 0, 0, 5, 0) + PLAIN, 1), 0x0800),
    "error that quotes a fragment": ethernet(ipv4(bytes([3, 4]) + bytes(6) + ipv4(tcp(), fragment=0x2000), 1), 0x0800),
    "error that quotes too little": ethernet(ipv4(bytes([3, 4]) + bytes(6) + ipv4(tcp()[:7]), 1), 0x0800),
    "redirect of IPv6": ethernet(ipv6(bytes([137]) + bytes(47) + SIX, 58), 0x86DD),
    "more captured than there was": ethernet(PLAIN, 0x0800),
}


def test_what_is_not_understood_is_left_to_tshark_and_said_to_be(tmp_path: Path) -> None:
    frames = list(FOR_TSHARK.values())
    lengths = [*map(len, frames[:-1]), 40]
    for name, frame, length in zip(FOR_TSHARK, frames, lengths, strict=True):
        capture = read(tmp_path, [frame], lengths=[length])
        assert (len(capture.segments), len(capture.quotes), capture.complete) == (0, 0, False), name
    whole = read(tmp_path, [ethernet(PLAIN, 0x0800), *frames], lengths=[len(PLAIN) + 14, *lengths])
    assert whole.segments["frame"].tolist() == [1]
    assert whole.reason.startswith(f"{len(frames)} frames, the first of them frame 2,")


NOTHING = {
    "ARP": ethernet(bytes(28), 0x0806),
    "ARP in a VLAN": ethernet(bytes(28), 0x8100, 9, 0x0806),
    "spanning tree": ethernet(b"\x42\x42\x03" + bytes(40), 43),
    "CDP": ethernet(b"\xaa\xaa\x03\0\0\x0c\x20\0" + bytes(30), 38),
    "UDP": ethernet(ipv4(udp(b"x"), 17), 0x0800),
    "UDP over IPv6": ethernet(ipv6(udp(b"x"), 17), 0x86DD),
    "OSPF": ethernet(ipv4(bytes(24), 89), 0x0800),
    "echo": ethernet(ipv4(bytes([8, 0]) + bytes(6) + PLAIN, 1), 0x0800),
    "neighbour solicitation": ethernet(ipv6(bytes([135]) + bytes(23), 58), 0x86DD),
    "error that quotes ICMP": ethernet(ipv4(bytes([3, 1]) + bytes(6) + ipv4(bytes([8, 0]) + bytes(6), 1), 1), 0x0800),
    "LCP": ethernet(struct.pack("!BBHHH", 0x11, 0, 3, 6, 0xC021) + bytes(4), 0x8864),
}


def test_what_holds_no_segment_is_counted(tmp_path: Path) -> None:
    capture = read(tmp_path, list(NOTHING.values()))
    assert (capture.packets, len(capture.segments), capture.reason) == (len(NOTHING), 0, "")
    assert [(note.id, note.text) for note in capture.notes] == [
        (
            "no-tcp",
            "no TCP found in 11 frames: 2 arp, 2 icmp, 2 llc, 2 udp port 53 (dns), 1 icmpv6, 1 ip protocol 89 (ospf), 1 ppp",
        )
    ]


def test_errors_quote_segments(tmp_path: Path) -> None:
    frames = [
        ethernet(ipv4(bytes([3, 13]) + bytes(6) + ipv4(tcp()[:8], total=40), 1), 0x0800),
        ethernet(ipv6(bytes([1, 4]) + bytes(6) + ipv6(tcp()), 58), 0x8100, 7, 0x86DD),
    ]
    table = read(tmp_path, frames).quotes
    schema.check(table, schema.QUOTES)
    assert list(table.drop(columns=["capture", "time"]).itertuples(index=False, name=None)) == [
        (1, 4, 3, 13, SRC, SRC, DST, 40000, 25, "", 0xFFFFFFFF),
        (2, 6, 1, 4, SRC6, SRC6, DST6, 40000, 25, "7", 0xFFFFFFFF),
    ]


@pytest.mark.parametrize("seed", range(4))
def test_checksums_of_any_length_at_any_place(seed: int) -> None:
    rng = np.random.default_rng(seed)
    data, starts, lengths, states, checksums = bytearray(), [], [], [], []
    for _ in range(3000):
        data += bytes(int(rng.integers(0, 9)))
        segment = bytearray(tcp(rng.bytes(int(rng.integers(0, 90)))))
        partial = add(pseudo(SRC, DST, len(segment) if rng.random() < 0.5 else 0))
        kind = int(rng.integers(0, 4))
        if kind == schema.CHECKSUM_PARTIAL:
            segment[16:18] = (partial if rng.random() < 0.5 else 0xFFFF - partial).to_bytes(2, "big")
        elif kind == schema.CHECKSUM_BAD:
            segment[4] ^= 1 << int(rng.integers(0, 8))
        starts.append(len(data))
        lengths.append(len(segment))
        states.append(kind or schema.CHECKSUM_GOOD)
        checksums.append(int.from_bytes(segment[16:18], "big"))
        data += segment
    ends = np.array([int(ip_address(end)) for end in (SRC, DST)], dtype=np.uint32).repeat(len(starts)).reshape(2, -1)
    padded = np.frombuffer(bytes(data) + bytes(64), dtype=np.uint8)
    columns = (np.array(column, dtype=np.int64) for column in (starts, lengths, checksum.sum_addresses(*ends), checksums))
    assert checksum.judge(padded, *columns).tolist() == states


def test_addresses_are_written_as_everybody_writes_them() -> None:
    names = CodeTable(show_address)
    four = np.array([0, 0x0A000001, 0xFFFFFFFF], dtype=np.uint32)
    six = np.array([ip_address(text).packed for text in ("::", "2001:db8::1", "fe80::ff:0:1")], dtype="V16")
    codes = [encode_addresses(names, column, column[::-1].copy()) for column in (four, six)]
    texts = names.texts()
    assert [[texts[code] for code in column] for pair in codes for column in pair] == [
        ["0.0.0.0", "10.0.0.1", "255.255.255.255"],  # noqa: S104 - an address, not a binding
        ["255.255.255.255", "10.0.0.1", "0.0.0.0"],  # noqa: S104 - an address, not a binding
        ["::", "2001:db8::1", "fe80::ff:0:1"],
        ["fe80::ff:0:1", "2001:db8::1", "::"],
    ]
