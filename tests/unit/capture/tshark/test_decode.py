"""Frames built byte by byte, read through tshark: every column is what was put into the frame."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING

import pytest

from analyzer import schema
from analyzer.capture import read
from analyzer.capture.payloads import SPOOL

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pandas as pd

    from analyzer.model import Capture

MACS = bytes.fromhex("0200000000020400000000 04".replace(" ", ""))
OUTER_MACS = bytes.fromhex("0a00000000020a0000000004")
SYN_OPTIONS = bytes.fromhex("020405b40402080a000000010000000001030307")
SRC, DST = "10.1.2.3", "10.4.5.6"
SRC6, DST6 = "2001:db8::1", "2001:db8::2"
START = 1_700_000_000


def fold(data: bytes) -> int:
    """Return the folded sum of 16-bit words (RFC 1071), not inverted."""
    data += bytes(len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total >> 16) + (total & 0xFFFF)
    return total


def pseudo(src: str, dst: str, length: int) -> bytes:
    return ip_address(src).packed + ip_address(dst).packed + struct.pack("!II", length, 6)


def tcp(payload: bytes = b"", *, options: bytes = b"", src: str = SRC, dst: str = DST, checksum: int | None = None) -> bytes:
    """Return a segment from port 40000 to 25: seq 4294967295, ack 5, SYN and ECE, window 512, urgent pointer 9."""
    length = 20 + len(options)
    head = struct.pack("!HHIIHHHH", 40000, 25, 0xFFFFFFFF, 5, length // 4 << 12 | 0x042, 512, 0, 9) + options
    right = ~fold(pseudo(src, dst, length + len(payload)) + head + payload) & 0xFFFF
    return head[:16] + struct.pack("!H", right if checksum is None else checksum) + head[18:] + payload


def ipv4(payload: bytes, *, proto: int = 6, src: str = SRC, dst: str = DST, marks: tuple[int, int, int] = (0x1234, 0, 61)) -> bytes:
    """Return a packet; `marks` are identification, flags with fragment offset, and TTL."""
    ident, fragment, ttl = marks
    head = struct.pack("!BBHHHBBH", 0x45, 2, 20 + len(payload), ident, fragment, ttl, proto, 0)
    return head + IPv4Address(src).packed + IPv4Address(dst).packed + payload


def ipv6(payload: bytes, *, proto: int = 6, src: str = SRC6, dst: str = DST6) -> bytes:
    # Traffic class 3: both ECN bits.
    return struct.pack("!IHBB", 0x60300000, len(payload), proto, 62) + IPv6Address(src).packed + IPv6Address(dst).packed + payload


def ethernet(payload: bytes, kind: int = 0x0800, macs: bytes = MACS) -> bytes:
    return macs + struct.pack("!H", kind) + payload


def udp(payload: bytes, port: int) -> bytes:
    return struct.pack("!HHHH", 55555, port, 8 + len(payload), 0) + payload


def icmp(quoted: bytes, kind: int = 3, code: int = 13) -> bytes:
    return struct.pack("!BBHI", kind, code, 0, 0) + quoted


def gre(payload: bytes, kind: int = 0x0800, key: int | None = None) -> bytes:
    return struct.pack("!HH", 0 if key is None else 0x2000, kind) + (b"" if key is None else struct.pack("!I", key)) + payload


def outer(payload: bytes, proto: int) -> bytes:
    """Return a packet between tunnel ends, whose header differs in every field."""
    return ethernet(ipv4(payload, proto=proto, src="192.0.2.1", dst="192.0.2.2", marks=(0x9999, 0, 255)), macs=OUTER_MACS)


def pcap(frames: list[bytes], *, link: int = 1, cut: int = 262144) -> bytes:
    """Return a capture of frames a second apart, each cut to `cut` bytes."""
    data = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, link)
    for place, frame in enumerate(frames):
        data += struct.pack("<IIII", START + place, 17, len(frame[:cut]), len(frame)) + frame[:cut]
    return data


def load(folder: Path, data: list[bytes] | bytes, *, link: int = 1, cut: int = 262144) -> Capture:
    """Write frames, or a whole file, read it, and check the tables once more."""
    file = folder / "x.pcap"
    file.write_bytes(data if isinstance(data, bytes) else pcap(data, link=link, cut=cut))
    capture = read(file)
    assert (capture.complete, capture.reason, capture.readable) == (True, "", True)
    assert capture.engines == {"pyshark": capture.packets}
    schema.check(capture.segments, schema.SEGMENTS)
    schema.check(capture.quotes, schema.QUOTES)
    assert capture.segments["src"].dtype == capture.segments["dst"].dtype == capture.quotes["src"].dtype
    return capture


def rows(table: pd.DataFrame, *names: str) -> list[tuple[object, ...]]:
    return list(table[list(names)].itertuples(index=False, name=None))


def test_every_column_of_a_plain_segment(tmp_path: Path) -> None:
    segment = tcp(b"hello", options=SYN_OPTIONS)
    capture = load(tmp_path, [ethernet(ipv4(segment)), ethernet(ipv6(tcp(src=SRC6, dst=DST6)), 0x86DD)])
    four, six = capture.segments.to_dict("records")
    assert four == {
        "capture": 0,
        "frame": 1,
        "time": START * 10**9 + 17_000,
        "src": SRC,
        "dst": DST,
        "src_port": 40000,
        "dst_port": 25,
        "src_mac": "04:00:00:00:00:04",
        "dst_mac": "02:00:00:00:00:02",
        "vlan": "",
        "tunnel": "",
        "interface": four["interface"],
        "ttl": 61,
        "ip_id": 0x1234,
        "ip_ecn": 2,
        "fragment": False,
        "seq": 0xFFFFFFFF,
        "ack": 5,
        "flags": 0x042,
        "window": 512,
        "urgent": 9,
        "header_length": 40,
        "header_captured": 40,
        "checksum": int.from_bytes(segment[16:18], "big"),
        "checksum_state": schema.CHECKSUM_GOOD,
        "payload_length": 5,
        "payload_captured": 5,
        "payload_start": SPOOL,
        "option_start": 0,
        "option_length": 20,
    }
    assert capture.option_bytes == SYN_OPTIONS
    assert capture.payloads is not None
    assert (capture.payloads.read(SPOOL, 5), six["payload_start"]) == (b"hello", -1)
    assert {
        name: six[name]
        for name in ("src", "dst", "ttl", "ip_id", "ip_ecn", "header_length", "payload_length", "option_length", "option_start")
    } == {
        "src": SRC6,
        "dst": DST6,
        "ttl": 62,
        "ip_id": -1,
        "ip_ecn": 3,
        "header_length": 20,
        "payload_length": 0,
        "option_length": 0,
        "option_start": 20,
    }
    assert capture.start_time == START * 10**9 + 17_000
    assert capture.end_time == (START + 1) * 10**9 + 17_000
    assert not capture.notes


INNER = ipv4(tcp(b"xyz", options=SYN_OPTIONS))
INNER6 = ipv6(tcp(b"xyz", src=SRC6, dst=DST6))
TUNNELS: dict[str, tuple[bytes, str, str, str]] = {
    # name: (frame, VLAN ids, tunnel, source MAC)
    "VLAN": (ethernet(struct.pack("!HH", 7, 0x0800) + INNER, 0x8100), "7", "", "04:00:00:00:00:04"),
    "VLAN with priority": (ethernet(struct.pack("!HH", 0xE007, 0x0800) + INNER, 0x8100), "7", "", "04:00:00:00:00:04"),
    "two 802.1Q tags": (ethernet(struct.pack("!HHHH", 8, 0x8100, 9, 0x0800) + INNER, 0x8100), "8.9", "", "04:00:00:00:00:04"),
    "802.1ad": (ethernet(struct.pack("!HHHH", 8, 0x8100, 9, 0x0800) + INNER, 0x88A8), "8.9", "", "04:00:00:00:00:04"),
    "MPLS": (ethernet(struct.pack("!I", 17 << 12 | 0x1FF) + INNER, 0x8847), "", "", "04:00:00:00:00:04"),
    "PPPoE": (ethernet(struct.pack("!BBHHH", 0x11, 0, 18, len(INNER) + 2, 0x21) + INNER, 0x8864), "", "pppoe:18", "04:00:00:00:00:04"),
    "IP in IP": (outer(INNER, 4), "", "ipip", "0a:00:00:00:00:04"),
    "6in4": (outer(INNER6, 41), "", "6in4", "0a:00:00:00:00:04"),
    "4in6": (ethernet(ipv6(INNER, proto=4, src="2001:db8::a", dst="2001:db8::b"), 0x86DD), "", "4in6", "04:00:00:00:00:04"),
    "GRE": (outer(gre(INNER), 47), "", "gre", "0a:00:00:00:00:04"),
    "GRE with key": (outer(gre(INNER, key=4294967295), 47), "", "gre:4294967295", "0a:00:00:00:00:04"),
    "GRE in GRE": (
        outer(gre(ipv4(gre(INNER6, 0x86DD, key=2), proto=47, src="192.0.2.3"), key=1), 47),
        "",
        "gre:1/gre:2",
        "0a:00:00:00:00:04",
    ),
    "VXLAN": (outer(udp(struct.pack("!II", 0x08000000, 99 << 8) + ethernet(INNER), 4789), 17), "", "vxlan:99", "04:00:00:00:00:04"),
    "VLAN in VXLAN in VLAN": (
        OUTER_MACS
        + struct.pack("!HHH", 0x8100, 5, 0x0800)
        + outer(udp(struct.pack("!II", 0x08000000, 7 << 8) + ethernet(struct.pack("!HH", 6, 0x0800) + INNER, 0x8100), 4789), 17)[14:],
        "5.6",
        "vxlan:7",
        "04:00:00:00:00:04",
    ),
    "Geneve": (outer(udp(struct.pack("!BBHI", 0, 0, 0x6558, 123 << 8) + ethernet(INNER), 6081), 17), "", "geneve:123", "04:00:00:00:00:04"),
    "GTP-U": (outer(udp(struct.pack("!BBHI", 0x30, 255, len(INNER), 77) + INNER, 2152), 17), "", "gtp", "0a:00:00:00:00:04"),
    "ERSPAN": (
        outer(struct.pack("!HHIHHI", 0x1000, 0x88BE, 1, 0x1005, 100, 0) + ethernet(INNER), 47),
        "",
        "gre/erspan:100",
        "04:00:00:00:00:04",
    ),
    "authentication header": (
        ethernet(ipv4(struct.pack("!BBHII", 6, 4, 0, 1, 1) + bytes(12) + tcp(b"xyz", options=SYN_OPTIONS), proto=51)),
        "",
        "",
        "04:00:00:00:00:04",
    ),
    "hop-by-hop options": (
        ethernet(ipv6(bytes.fromhex("0600010400000000") + tcp(b"xyz", src=SRC6, dst=DST6), proto=0), 0x86DD),
        "",
        "",
        "04:00:00:00:00:04",
    ),
}


def test_the_innermost_ip_header_counts(tmp_path: Path) -> None:
    capture = load(tmp_path, [frame for frame, *_ in TUNNELS.values()])
    table = capture.segments
    assert dict(zip(TUNNELS, rows(table, "vlan", "tunnel", "src_mac"), strict=True)) == {
        name: tuple(rest) for name, (_, *rest) in TUNNELS.items()
    }
    six = table["src"] == SRC6
    assert set(rows(table[six], "dst", "ttl", "ip_id", "ip_ecn")) == {(DST6, 62, -1, 3)}
    assert set(rows(table[~six], "src", "dst", "ttl", "ip_id", "ip_ecn")) == {(SRC, DST, 61, 0x1234, 2)}
    assert six.sum() == 3
    assert set(rows(table, "seq", "payload_length", "payload_captured", "checksum_state")) == {(0xFFFFFFFF, 3, 3, schema.CHECKSUM_GOOD)}


def test_a_cut_frame_shows_how_much_of_its_segment_is_there(tmp_path: Path) -> None:
    # A cut of each tunnelled frame two bytes into the payload.
    for name in ("VXLAN", "GRE with key", "hop-by-hop options", "802.1ad", "VLAN"):
        frame = TUNNELS[name][0]
        table = load(tmp_path, [frame], cut=len(frame) - 1).segments
        assert rows(table, "header_captured", "payload_length", "payload_captured") == [(table["header_length"][0], 3, 2)], name


@pytest.mark.parametrize("wrap", [bytes, gre])
def test_headers_cut_anywhere_have_no_invented_fields(tmp_path: Path, wrap: Callable[[bytes], bytes]) -> None:
    packet = ipv4(tcp(b"hello", options=SYN_OPTIONS))
    frame = ethernet(packet) if wrap(packet) == packet else outer(wrap(packet), 47)
    begin = len(frame) - 45
    file = pcap([])
    for size in range(begin, len(frame) + 1):
        file += struct.pack("<IIII", START, 0, size, len(frame)) + frame[:size]
    table = load(tmp_path, file).segments
    held = table["frame"] - 1
    # tshark decodes ports from the 4th byte on, all the rest from the 16th on.
    assert list(held) == list(range(4, 46))
    for row in table.assign(held=held).to_dict("records"):
        decoded = row["held"] if row["held"] >= 20 else row["held"] // 2 * 2 if row["held"] >= 16 else 4
        assert row["header_captured"] == min(decoded, 40)
        assert (row["src_port"], row["dst_port"]) == (40000, 25)
        assert row["payload_captured"] == max(row["held"] - 40, 0)
        assert (row["window"], row["header_length"], row["payload_length"]) == ((512, 40, 5) if row["held"] >= 16 else (-1, -1, -1))
        assert row["seq"] == (0xFFFFFFFF if row["held"] >= 16 else 0)
        assert row["checksum"] == (int.from_bytes(frame[begin + 16 : begin + 18], "big") if row["held"] >= 18 else -1)
        assert row["urgent"] == (9 if row["held"] >= 20 else -1)
        assert row["option_length"] == min(max(row["held"] - 20, 0), 20)
        assert row["checksum_state"] == (schema.CHECKSUM_GOOD if row["held"] == 45 else schema.CHECKSUM_UNVERIFIED)


def test_a_header_with_an_impossible_length_is_read_as_far_as_tshark_does(tmp_path: Path) -> None:
    frames = []
    for words in (0, 4, 5, 15):
        segment = bytearray(tcp(b"hello", options=SYN_OPTIONS))
        segment[12] = words << 4
        frames.append(ethernet(ipv4(bytes(segment))))
    table = load(tmp_path, frames).segments
    assert rows(table, "header_length", "header_captured", "payload_length", "option_length") == [
        (0, 0, 45, 0),
        (16, 8, 29, 0),
        (20, 20, 25, 0),
        (60, 45, -1, 25),
    ]
    assert list(table["seq"]) == [0xFFFFFFFF] * 4


def test_quoted_headers_are_never_segments(tmp_path: Path) -> None:
    least = ipv4(tcp()[:8])
    frames = [
        ethernet(ipv4(icmp(least), proto=1, src="10.9.9.9", dst=SRC)),
        ethernet(ipv4(icmp(ipv4(tcp(b"data", options=SYN_OPTIONS)), 11, 0), proto=1, src="10.9.9.8", dst=SRC)),
        ethernet(ipv6(struct.pack("!BBHI", 1, 4, 0, 0) + ipv6(tcp(src=SRC6, dst=DST6)), proto=58, src="2001:db8::9"), 0x86DD),
        outer(gre(ipv4(icmp(least), proto=1, src="10.9.9.7", dst=SRC), key=5), 47),
        ethernet(struct.pack("!HH", 7, 0x0800) + ipv4(icmp(least, 3, 1), proto=1, src="10.9.9.6", dst=SRC), 0x8100),
        ethernet(ipv4(tcp())),
        # Echo requests that hold what looks like a packet quote nothing.
        ethernet(ipv4(icmp(least, 8, 0), proto=1)),
    ]
    capture = load(tmp_path, frames)
    assert list(capture.segments["frame"]) == [6]
    assert rows(capture.quotes, "frame", "version", "type", "code", "sender", "src", "dst", "vlan") == [
        (1, 4, 3, 13, "10.9.9.9", SRC, DST, ""),
        (2, 4, 11, 0, "10.9.9.8", SRC, DST, ""),
        (3, 6, 1, 4, "2001:db8::9", SRC6, DST6, ""),
        (4, 4, 3, 13, "10.9.9.7", SRC, DST, ""),
        (5, 4, 3, 1, "10.9.9.6", SRC, DST, "7"),
    ]
    assert set(rows(capture.quotes, "seq", "src_port", "dst_port")) == {(0xFFFFFFFF, 40000, 25)}


def test_a_quote_too_short_for_a_sequence_number_is_a_note(tmp_path: Path) -> None:
    capture = load(tmp_path, [ethernet(ipv4(icmp(ipv4(tcp()[:6])), proto=1))])
    assert len(capture.quotes) == 0
    assert [note.id for note in capture.notes] == ["quote-short"]


def test_fragments_are_put_together(tmp_path: Path) -> None:
    segment = tcp(b"a" * 40, options=SYN_OPTIONS)
    part = [ethernet(ipv4(segment[:24], marks=(9, 0x2000, 61))), ethernet(ipv4(segment[24:], marks=(9, 3, 61)))]
    lonely = ethernet(ipv4(segment[:24], marks=(7, 0x2000, 61)))
    header = struct.pack("!BBHI", 6, 0, 1, 9)
    tail = struct.pack("!BBHI", 6, 0, 24, 9)
    six = tcp(b"b" * 40, src=SRC6, dst=DST6)
    parts6 = [ethernet(ipv6(header + six[:24], proto=44), 0x86DD), ethernet(ipv6(tail + six[24:], proto=44), 0x86DD)]
    capture = load(tmp_path, [*part, lonely, *parts6])
    assert rows(
        capture.segments, "frame", "src", "fragment", "header_captured", "payload_length", "payload_captured", "checksum_state"
    ) == [
        (2, SRC, True, 40, 40, 40, schema.CHECKSUM_GOOD),
        (5, SRC6, True, 20, 40, 40, schema.CHECKSUM_GOOD),
    ]
    assert [(note.id, note.text.split(" ")[0]) for note in capture.notes] == [("tcp-unread", "1")]


@pytest.mark.parametrize(
    ("src", "dst"), [(SRC, DST), (SRC6, DST6), ("255.255.255.255", "255.255.255.254"), ("2001:db8::ffff", "ffff::ffff:ffff")]
)
def test_a_checksum_left_to_the_network_card_is_partial(tmp_path: Path, src: str, dst: str) -> None:
    def packet(checksum: int | None) -> bytes:
        segment = tcp(b"payload", src=src, dst=dst, checksum=checksum)
        return ethernet(ipv6(segment, src=src, dst=dst), 0x86DD) if ":" in src else ethernet(ipv4(segment, src=src, dst=dst))

    sum_, uncut = fold(pseudo(src, dst, 27)), fold(pseudo(src, dst, 0))
    packets = [packet(None), packet(sum_), packet(~sum_ & 0xFFFF), packet(uncut), packet(sum_ ^ 1), packet(0)]
    states = load(tmp_path, packets).segments["checksum_state"]
    assert [schema.CHECKSUM_STATES[state] for state in states] == ["good", "partial", "partial", "partial", "bad", "bad"]


def test_link_types(tmp_path: Path) -> None:
    packet = ipv4(tcp(b"hello"))
    cooked = struct.pack("!HHH8sH", 0, 1, 6, bytes.fromhex("0200000000990000"), 0x0800)
    cooked2 = struct.pack("!HHIHBB8s", 0x0800, 0, 3, 1, 0, 6, bytes.fromhex("0200000000990000"))
    links = ((101, packet, ""), (0, struct.pack("<I", 2) + packet, ""), (113, cooked + packet, "02:00:00:00:00:99"))
    for link, frame, mac in (*links, (276, cooked2 + packet, "02:00:00:00:00:99")):
        # Cut within the payload: the length of the link header matters.
        table = load(tmp_path, [frame], link=link, cut=len(frame) - 2).segments
        assert rows(table, "src", "src_mac", "dst_mac", "payload_length", "payload_captured") == [(SRC, mac, "", 5, 3)]


def test_padding_is_no_payload(tmp_path: Path) -> None:
    table = load(tmp_path, [ethernet(ipv4(tcp())) + bytes(6)]).segments
    assert rows(table, "payload_length", "payload_captured", "checksum_state") == [(0, 0, schema.CHECKSUM_GOOD)]


def test_a_packet_shorter_than_it_says_has_less_payload(tmp_path: Path) -> None:
    table = load(tmp_path, [ethernet(ipv4(tcp(b"0123456789"))[:-4])]).segments
    assert rows(table, "payload_length", "payload_captured", "checksum_state") == [(10, 6, schema.CHECKSUM_UNVERIFIED)]


def test_all_twelve_flag_bits_are_kept(tmp_path: Path) -> None:
    frames = []
    for bits in range(0, 4096, 273):
        segment = bytearray(tcp())
        segment[12:14] = struct.pack("!H", 5 << 12 | bits)
        frames.append(ethernet(ipv4(bytes(segment))))
    assert list(load(tmp_path, frames).segments["flags"]) == list(range(0, 4096, 273))


def test_frames_without_tcp_count_but_make_no_rows(tmp_path: Path) -> None:
    arp = ethernet(bytes.fromhex("0001080006040001") + bytes(20), 0x0806)
    capture = load(
        tmp_path, [arp, ethernet(ipv4(udp(b"x", 53), proto=17)), ethernet(b"\x42\x42\x03" + bytes(40), 43), ethernet(ipv4(tcp()))]
    )
    assert (capture.packets, list(capture.segments["frame"])) == (4, [4])
    assert not capture.notes


def test_a_capture_without_packets_is_readable(tmp_path: Path) -> None:
    capture = load(tmp_path, [])
    assert (capture.packets, capture.start_time, capture.end_time, len(capture.segments)) == (0, None, None, 0)


def test_a_link_type_nobody_knows_gives_frames_and_a_note(tmp_path: Path) -> None:
    capture = load(tmp_path, [b"x" * 60] * 3, link=147)
    assert (capture.packets, len(capture.segments)) == (3, 0)
    assert [(note.id, note.text) for note in capture.notes] == [
        ("no-tcp", "no TCP found in 3 frames: 3 of link type 147 (USER0) not decoded")
    ]


def test_many_batches_are_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from analyzer.capture.tshark import engine as tshark_engine

    frames = [
        ethernet(ipv4(tcp(bytes([place]) * place, options=SYN_OPTIONS[: place % 6 * 4], src=f"10.0.{place}.1"), src=f"10.0.{place}.1"))
        for place in range(40)
    ]
    frames[7:7] = [ethernet(ipv4(icmp(ipv4(tcp()[:8])), proto=1, src="10.9.9.9"))]
    whole = load(tmp_path, frames)
    monkeypatch.setattr(tshark_engine, "BATCH_ROWS", 3)
    parts = load(tmp_path, frames)
    assert parts.segments.astype(object).equals(whole.segments.astype(object))
    assert parts.quotes.astype(object).equals(whole.quotes.astype(object))
    assert parts.option_bytes == whole.option_bytes
