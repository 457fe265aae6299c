"""The notation against tshark, tcpdump, RFC numbers and itself (the round trip)."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analyzer import schema
from analyzer.capture import probe, read
from analyzer.errors import Exit
from analyzer.notation import Connection, Host, NotationError, Quote, Script, Segment, build, capture, connection, line, parse, script, show
from analyzer.notation.options import encode
from analyzer.notation.options import show as show_options
from analyzer.notation.values import EPOCH, STEP, ChecksumWord, Side
from analyzer.schema import ACK, PSH, SYN

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    from hypothesis.strategies import DrawFn, SearchStrategy

    from analyzer.model import Capture

HANDSHAKE = """\
> S 100:100(0) win 64240 <mss 1460,sackOK,TS val 1 ecr 0,nop,wscale 7>
+0.020 < S. 300:300(0) ack 101 win 65535 <mss 1460>
> . 101:101(0) ack 301 win 65535
> P. 101:107(6) ack 301 win 65535 "EHLO\\r\\n"
"""
MIXED = """\
client [2001:db8::1]:40000 ttl 63
server [2001:db8::2]:25 mac 02:aa:bb:cc:dd:ee vlan 10
client 2 203.0.113.5:1
start 1234567890.123456789
> SEWN 4294967295:4294967295(0) win 64240 <mss 1460,opt 253 f989,eol,nop>
-0.5 < 0xe12 1:1(0) ack 0 win 0 <tfo 0102030405060708,nop,nop,sack 1-2 3-4> vlan 10.20.4095 mac 02:00:00:00:00:09>02:00:00:00:00:08
2> P. 7:27(20) ack 3 id 9 bad-checksum ecn 3 urg 17
2< none 0:1400(1400) cut 600 ttl 1
2< S 0:0(0) <md5 000102030405060708090a0b0c0d0e0f,nop,nop> cut 24
2> . 5:5(0) ack 6 offset 4
2> F. 5:8(3) ack 6 offset 15 "a\\x00\\""
2> R 5:5(0) partial-checksum
< icmp 1/4 quote 4294967295 from 2001:db8::99 vlan 7
2< icmp 3/13 quote 7 from 192.0.2.254 cut 8
2> icmp 11/0 quote 99
"""


# -- what text means


def test_defaults_are_the_documented_ones() -> None:
    found = parse("> S 1:1(0)\n< S. 2:2(0) ack 2\n2> S 3:3(0)\n")
    assert found.connections == (connection(1), connection(2))
    assert [(pair.client.address, pair.client.port, pair.server.address, pair.server.port) for pair in found.connections] == [
        ("192.0.2.1", 40000, "198.51.100.1", 80),
        ("192.0.2.1", 40001, "198.51.100.1", 80),
    ]
    assert found.times() == [EPOCH, EPOCH + 10**6, EPOCH + 2 * 10**6]
    assert found.events[0] == Segment("client", SYN, 1, window=65535, delay=0)


def test_every_part_of_a_line_is_read() -> None:
    words = "urg 5 ttl 6 id 1 ecn 2 vlan 1.2 iface 3 offset 9 cut 20 # end"
    text = '+0.000000001 3< P. 9:13(4) ack 7 win 8 <nop,nop,sackOK> "a\\x00\\\\\\"" '
    event = parse(f"> S 1:1(0)\n{text}{words}").events[1]
    assert event == Segment(
        "server",
        PSH | ACK,
        9,
        ack=7,
        length=4,
        payload=b'a\x00\\"',
        window=8,
        options=bytes.fromhex("01010402"),
        delay=1,
        connection=3,
        urgent=5,
        ttl=6,
        ip_id=1,
        ip_ecn=2,
        vlan=(1, 2),
        interface=3,
        offset=9,
        cut=20,
    )


def test_signed_numbers_count_from_the_isn_across_the_wrap() -> None:
    text = "> S 4294967295:4294967295(0)\n< S. 300:300(0) ack +1\n> P. +1:+3(2) ack +1\n> . +0:+0(0) ack -1\n< icmp 3/1 quote +0"
    events = parse(text).events
    assert [(event.seq, getattr(event, "ack", None)) for event in events] == [
        (4294967295, 0),
        (300, 0),
        (0, 301),
        (4294967295, 299),
        (4294967295, None),
    ]


def test_signed_numbers_may_come_before_the_syn_they_count_from() -> None:
    first = parse("< S. 300:300(0) ack +1\n> S 100:100(0)").events[0]
    assert isinstance(first, Segment)
    assert first.ack == 101


@pytest.mark.parametrize(
    ("text", "flags"),
    [("S", 2), ("S.", 0x12), ("SA", 0x12), (".S", 0x12), ("FSRP.UEWN", 0x1FF), ("SEC", 0xC2), ("none", 0), ("0xfff", 0xFFF), ("0x2", 2)],
)
def test_flags(text: str, flags: int) -> None:
    event = parse(f"> {text} 1:1(0) ack 1").events[0]
    assert isinstance(event, Segment)
    assert event.flags == flags


def test_all_twelve_bit_flag_values_go_through_text() -> None:
    values = tuple(Segment("client", flags, 1) for flags in range(4096))
    found = Script(values)
    assert parse(show(found)) == found


@pytest.mark.parametrize(
    ("text", "hexadecimal"),
    [
        ("mss 1460", "020405b4"),
        ("wscale 7", "03030700"),
        ("sackOK,TS val 1 ecr 0", "0402080a0000000100000000"),
        ("nop,nop,sack 1-2 4294967295-0", "010105120000000100000002ffffffff00000000"),
        ("tfo", "22020000"),
        ("tfo 01020304", "220601020304000000"[:16]),
        ("eol,nop,nop,nop", "00010101"),
        ("opt 2 05", "02030500"),
        ("opt-bytes 0200ffff", "0200ffff"),
        ("nop,nop,md5 000102030405060708090A0B0C0D0E0F", "01011312000102030405060708090a0b0c0d0e0f"),
        ("", ""),
    ],
)
def test_options(text: str, hexadecimal: str) -> None:
    assert encode(text).hex() == hexadecimal
    assert encode(show_options(bytes.fromhex(hexadecimal))).hex() == hexadecimal


@pytest.mark.parametrize(
    ("text", "line_number", "column", "part"),
    [
        ("> S 100:101(0)", 1, 9, "end at 100, not 101"),
        ('\n> S 1:5(4) ack 1 "abc"', 2, 18, "3 bytes, not 4"),
        ("> SQ 1:1(0)", 1, 4, "Q is no flag"),
        ("> SS 1:1(0)", 1, 4, "stands twice"),
        ("> S. 1:1(0)", 1, 12, "needs ack"),
        ("> S +1:+1(0)", 1, 5, "cannot itself be the ISN"),
        ("> . 1:1(0) ack +1", 1, 16, "no SYN gives the ISN of the server"),
        ("> S 4294967296:0(0)", 1, 5, "no 32-bit number"),
        ("> S 1:1(0) win 65536", 1, 16, "0..65535"),
        ("> S 1:1(0) win 1 win 1", 1, 18, "given twice"),
        ("> S 1:1(0) wim 1", 1, 12, "'wim' is not one of"),
        ("> S 1:1(0) <mss 70000>", 1, 12, "does not fit 2 bytes"),
        ("> S 1:1(0) <mss>", 1, 12, "is no option"),
        ("> S 1:1(0) <mss 1", 1, 12, "closing >"),
        ('> P. 1:2(1) ack 1 "a', 1, 19, "does not end on this line"),
        ('> P. 1:2(1) ack 1 "\\q"', 1, 20, "is no escape"),
        ('> P. 1:4(3) ack 1 "\ud800"', 1, 19, "surrogate"),
        ("hello", 1, 1, "> or <"),
        ("> S 1:1(0)\nclient 192.0.2.1:1", 2, 1, "before the first segment"),
        ("client 192.0.2.256:1", 1, 8, "is no IP address"),
        ("client 192.0.2.1:1\nclient 192.0.2.1:1", 2, 1, "already given"),
        ("client [2001:DB8::1]:1", 1, 8, "is written 2001:db8::1"),
        ("start never", 1, 7, "seconds since 1970"),
        ("> S ²:1(0)", 1, 5, "a sequence number must stand here"),
        ("> S 1:1(0)\n< icmp 8/0 quote 1", 2, 1, "no error message"),
        ("> S 1:1(0)\n< icmp 3/1 quote 1 from ::1", 2, 1, "address family"),
        ("> S 1:1(0) cut 3", 1, 16, "4.."),
        ("> S 1:1(0) frag 12", 1, 1, "a multiple of eight"),
        ("> S 1:1(0) frag 24", 1, 1, "leaves some"),
        ("> S 1:1(0) frag 16 cut 20", 1, 1, "captured whole"),
        ("> S 1:1(0) vlan 4096", 1, 17, "0..4095"),
        ("> S 1:1(0) mac 1>2", 1, 1, "no MAC address"),
        ("0> S 1:1(0)", 1, 1, "connection 0"),
        ("+5000000000 > S 1:1(0)", 0, 0, "1970 to 2106"),
        ("client [::1]:1", 0, 0, "two address families"),
    ],
)
def test_refusals_say_where_in_one_line(text: str, line_number: int, column: int, part: str) -> None:
    with pytest.raises(NotationError) as caught:
        parse(text, where="x.toml")
    error = caught.value
    assert (error.line, error.column) == (line_number, column)
    assert part in str(error)
    assert str(error).startswith("x.toml: ")
    assert "\n" not in str(error)
    assert error.status is Exit.RULES_INVALID


@given(st.text(alphabet=st.sampled_from('<>.SFA0123456789:()+- #"\\xmswinackvlet\n\t²\x00\u2028'), max_size=80) | st.text(max_size=80))
def test_any_text_is_a_script_or_one_clear_refusal(text: str) -> None:
    try:
        found = parse(text)
    except NotationError as error:
        assert error.sentence  # noqa: PT017 - either outcome is right
    else:
        assert parse(show(found)) == found


@given(st.data())
def test_damaged_scripts_are_a_script_or_one_clear_refusal(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(MIXED)))
    until = data.draw(st.integers(at, min(len(MIXED), at + 9)))
    text = MIXED[:at] + data.draw(st.text(max_size=4)) + MIXED[until:]
    try:
        found = parse(text)
    except NotationError as error:
        assert error.sentence  # noqa: PT017 - either outcome is right
    else:
        assert parse(show(found)) == found


FRAGMENTED = """\
> S 100:100(0) win 64240 <mss 1460,sackOK,TS val 1 ecr 0,nop,wscale 7> id 9 frag 24
< S. 300:300(0) ack 101 win 65535 <mss 1460>
> P. 101:2101(2000) ack 301 win 65535 frag 1480
< icmp 3/1 quote 100
"""


def test_a_fragmented_segment_takes_two_frames() -> None:
    found = parse(FRAGMENTED)
    assert show(found) == FRAGMENTED
    assert capture(found).segments["frame"].tolist() == [2, 3, 5]
    assert capture(found).segments["fragment"].tolist() == [True, False, True]
    assert capture(found).quotes["frame"].tolist() == [6]


# -- the round trip

ADDRESSES_4 = st.integers(0, 2**32 - 1).map(lambda value: str(IPv4Address(value)))
ADDRESSES_6 = st.integers(2**64, 2**128 - 1).map(lambda value: IPv6Address(value).compressed)
MACS = st.binary(min_size=6, max_size=6).map(lambda value: value.hex(":"))
TAGS = st.lists(st.integers(0, 4095), max_size=4).map(tuple)
CHECKSUMS: SearchStrategy[ChecksumWord] = st.sampled_from(["good", "bad", "partial", "zero"])
GOOD_OR_BAD: SearchStrategy[ChecksumWord] = st.sampled_from(["good", "bad"])
SEQS = st.sampled_from([0, 1, 2**31 - 1, 2**31, 2**32 - 2, 2**32 - 1]) | st.integers(0, 2**32 - 1)
SIDES: SearchStrategy[Side] = st.sampled_from(["client", "server"])
DELAYS = st.sampled_from([0, 1, STEP, -1, 10**9]) | st.integers(-(10**12), 10**13)
ITEMS = st.sampled_from(
    ["00", "01", "020405b4", "0402", "030307", "080affffffff00000000", "2202", "fe04f989", "0200", "1e03ff", "05020100"]
)
WILD = st.lists(ITEMS, max_size=4).map(lambda items: bytes.fromhex("".join(items))) | st.binary(max_size=40)
OPTIONS = WILD.map(lambda data: (data + bytes(-len(data) % 4))[:40])


def hosts(addresses: SearchStrategy[str]) -> SearchStrategy[Host]:
    return st.builds(Host, addresses, st.integers(0, 65535), MACS, st.integers(0, 255), TAGS)


CONNECTIONS = (
    st.builds(Connection, hosts(ADDRESSES_4), hosts(ADDRESSES_4))
    | st.builds(Connection, hosts(ADDRESSES_6), hosts(ADDRESSES_6))
    | st.just(connection())
    | st.just(connection(2))
)


def maybe(values: SearchStrategy[int]) -> SearchStrategy[int | None]:
    return st.none() | values


@st.composite
def segments(draw: DrawFn, number: int, *, ipv6: bool, paged: bool) -> Segment:
    payload = draw(st.binary(max_size=30))
    # Whose data offset lies, nobody can tell how long the pseudo-header said the segment was.
    offset = draw(maybe(st.integers(0, 15)))
    checksum = draw(CHECKSUMS if offset is None else GOOD_OR_BAD)
    return Segment(
        draw(SIDES),
        draw(st.integers(0, 4095)),
        draw(SEQS),
        ack=draw(SEQS),
        length=len(payload) or draw(st.integers(0, 3000)),
        payload=payload,
        window=draw(st.integers(0, 65535)),
        options=draw(OPTIONS),
        delay=draw(DELAYS),
        connection=number,
        urgent=draw(st.integers(0, 65535)),
        ttl=draw(maybe(st.integers(0, 255))),
        ip_id=None if ipv6 else draw(maybe(st.integers(0, 65535))),
        ip_ecn=draw(st.integers(0, 3)),
        vlan=draw(st.none() | TAGS),
        macs=draw(st.none() | st.tuples(MACS, MACS)),
        interface=draw(maybe(st.integers(0, 3))) if paged else None,
        offset=offset,
        cut=draw(maybe(st.integers(4, 80))),
        checksum=checksum,
    )


@st.composite
def quotes(draw: DrawFn, number: int, *, ipv6: bool, paged: bool) -> Quote:
    return Quote(
        draw(SIDES),
        draw(st.sampled_from([1, 2, 3, 4] if ipv6 else [3, 4, 5, 11, 12])),
        draw(st.integers(0, 255)),
        draw(SEQS),
        delay=draw(DELAYS),
        connection=number,
        sender=draw(st.none() | (ADDRESSES_6 if ipv6 else ADDRESSES_4)),
        ttl=draw(maybe(st.integers(0, 255))),
        vlan=draw(st.none() | TAGS),
        interface=draw(maybe(st.integers(0, 3))) if paged else None,
        cut=None if ipv6 else draw(maybe(st.integers(8, 80))),
    )


@st.composite
def scripts(draw: DrawFn) -> Script:
    connections = tuple(draw(st.lists(CONNECTIONS, min_size=1, max_size=3)))
    paged = draw(st.booleans())
    events: list[Segment | Quote] = []
    for number in draw(st.lists(st.integers(1, len(connections)), max_size=6)):
        ipv6 = connections[number - 1].ipv6
        events.append(draw(segments(number, ipv6=ipv6, paged=paged) | quotes(number, ipv6=ipv6, paged=paged)))
    return Script(tuple(events), connections, draw(st.sampled_from([EPOCH, 10**16, 10**18 + 1])))


@given(scripts())
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_parse_undoes_show(found: Script) -> None:
    text = show(found)
    assert parse(text) == found
    assert show(parse(text)) == text
    assert re.fullmatch(r"[ -~\n]*", text)


@given(st.binary(max_size=40).map(lambda data: data[: len(data) // 4 * 4]))
def test_any_option_bytes_go_through_text(options: bytes) -> None:
    assert encode(show_options(options)) == options


def test_text_of_one_segment_for_a_ladder() -> None:
    events = parse(HANDSHAKE).events
    assert line(events[1]) == "< S. 300:300(0) ack 101 win 65535 <mss 1460>"
    assert line(events[1], step=STEP) == "+0.020 < S. 300:300(0) ack 101 win 65535 <mss 1460>"
    assert show(parse(HANDSHAKE)) == HANDSHAKE


@pytest.mark.parametrize(
    "wrong",
    [
        {"seq": -1},
        {"seq": 2**32},
        {"flags": 4096},
        {"options": b"\x01"},
        {"options": bytes(44)},
        {"payload": b"ab", "length": 3},
        {"cut": 3},
        {"vlan": (1, 2, 3, 4, 5)},
        {"macs": ("a", "b")},
        {"interface": 256},
    ],
)
def test_values_no_wire_can_carry_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(NotationError):
        Segment(**({"by": "client", "flags": 2, "seq": 1} | wrong))  # type: ignore[arg-type]


# -- tables


def test_capture_fills_the_agreed_tables() -> None:
    found = capture(parse(HANDSHAKE), path="x")
    schema.check(found.segments, schema.SEGMENTS)
    schema.check(found.quotes, schema.QUOTES)
    rows = found.segments
    assert rows["frame"].tolist() == [1, 2, 3, 4]
    assert rows["time"].tolist() == [EPOCH, EPOCH + 20_000_000, EPOCH + 21_000_000, EPOCH + 22_000_000]
    assert rows["seq"].tolist() == [100, 300, 101, 101]
    assert rows["header_length"].tolist() == [40, 24, 20, 20]
    assert rows["payload_length"].tolist() == [0, 0, 0, 6]
    assert rows["option_start"].tolist() == [0, 20, 24, 24]
    assert found.option_bytes.hex() == "020405b40402080a000000010000000001030307" + "020405b4"
    assert (found.path, found.packets, found.complete, found.start_time, found.end_time) == ("x", 4, True, EPOCH, EPOCH + 22_000_000)


def test_an_empty_script_is_an_empty_capture() -> None:
    found = capture(parse("# nothing\n"))
    assert len(found.segments) == len(found.quotes) == 0
    schema.check(found.segments, schema.SEGMENTS)
    assert found.start_time is None


def test_a_cut_segment_shows_what_its_bytes_show() -> None:
    rows = capture(
        parse("> SP 7:107(100) <mss 1460> cut 14\n> SP 7:107(100) <mss 1460> cut 22\n> SP 7:107(100) <mss 1460> cut 34")
    ).segments
    assert rows["seq"].tolist() == [0, 7, 7]
    assert rows["window"].tolist() == [-1, 65535, 65535]
    assert rows["header_length"].tolist() == [-1, 24, 24]
    assert rows["header_captured"].tolist() == [4, 22, 24]
    assert rows["option_length"].tolist() == [0, 2, 4]
    assert rows["payload_length"].tolist() == [-1, 100, 100]
    assert rows["payload_captured"].tolist() == [0, 0, 10]
    assert rows["checksum_state"].tolist() == [schema.CHECKSUM_UNVERIFIED] * 3


@given(scripts())
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=40)
def test_rows_go_back_to_a_script_of_the_same_rows(found: Script) -> None:
    first = capture(found)
    again = capture(script(first.segments, option_bytes=first.option_bytes, quotes=first.quotes))
    # A quote whose ends sent nothing has no connection to belong to; zeros for a payload change the sum over it.
    spoken = {frozenset(ends) for ends in _ends(first.segments)}
    kept = first.quotes[[frozenset(ends) in spoken for ends in _ends(first.quotes)]]
    unsure = (
        ["checksum", "checksum_state", "interface", "frame", "time"] if len(kept) < len(first.quotes) else ["checksum", "checksum_state"]
    )
    assert _plain(again.segments, unsure) == _plain(first.segments, unsure)
    assert _plain(again.quotes, unsure) == _plain(kept, unsure)
    assert again.option_bytes == first.option_bytes


def _ends(table: pd.DataFrame) -> list[list[tuple[str, int]]]:
    columns = zip(table["src"], table["src_port"], table["dst"], table["dst_port"], strict=True)
    return [[(src, src_port), (dst, dst_port)] for src, src_port, dst, dst_port in columns]


def _plain(table: pd.DataFrame, unsure: list[str]) -> list[tuple[object, ...]]:
    # Where payloads lie is each reader's own affair.
    return list(table.drop(columns=[*unsure, "payload_start"], errors="ignore").astype(object).itertuples(index=False, name=None))


def _payloads(found: Capture) -> list[bytes]:
    assert found.payloads is not None
    places = zip(found.segments["payload_start"].tolist(), found.segments["payload_captured"].tolist(), strict=True)
    return [found.payloads.read(start, length) if start >= 0 else b"" for start, length in places]


def test_the_client_of_rows_is_who_sent_the_syn_or_whom_the_caller_names() -> None:
    rows = capture(parse("< S. 300:300(0) ack 101\n> S 100:100(0)")).segments
    assert [event.by for event in script(rows).events] == ["server", "client"]
    assert [event.by for event in script(rows, client=("198.51.100.1", 80)).events] == ["client", "server"]
    assert show(script(rows.iloc[:0])) == ""


# -- packets

needs_tshark = pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
needs_tcpdump = pytest.mark.skipif(shutil.which("tcpdump") is None, reason="tcpdump is not installed")
FIELDS = {
    "frame.number": "frame",
    "tcp.srcport": "src_port",
    "tcp.dstport": "dst_port",
    "tcp.seq_raw": "seq",
    "tcp.ack_raw": "ack",
    "tcp.window_size_value": "window",
    "tcp.urgent_pointer": "urgent",
    "tcp.hdr_len": "header_length",
    "tcp.len": "payload_length",
}


def tshark(path: Path, *arguments: str) -> list[list[str]]:
    command = [shutil.which("tshark") or "tshark", "-n", "-r", str(path), "-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE"]
    command += [*arguments, "-T", "fields", "-E", "separator=/t", "-E", "occurrence=a"]
    environment = os.environ | {"XDG_CONFIG_HOME": str(path.parent), "HOME": str(path.parent)}
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60, env=environment)
    return [row.split("\t") for row in done.stdout.splitlines()]


@needs_tshark
def test_tshark_reads_what_the_script_says(tmp_path: Path) -> None:
    found = parse(MIXED.replace(" offset 4", "").replace(" offset 15", "").replace(" cut 600", "").replace(" cut 24", ""))
    path = tmp_path / "x.pcap"
    path.write_bytes(build(found))
    table = capture(found).segments
    names = [*FIELDS, "frame.time_epoch", "tcp.flags", "eth.src", "eth.dst", "vlan.id", "ip.id", "ip.ttl", "ip.dsfield.ecn", "tcp.checksum"]
    names += ["tcp.checksum.status", "ip.checksum.status", "ipv6.hlim", "ipv6.src", "ip.dst", "tcp.options"]
    rows = tshark(path, "-Y", "tcp && !icmp && !icmpv6", *(part for name in names for part in ("-e", name)))
    read = [dict(zip(names, row, strict=True)) for row in rows]
    for row, own in zip(read, table.astype(object).to_dict("records"), strict=True):
        assert {name: int(row[name]) for name in FIELDS} == {name: own[column] for name, column in FIELDS.items()}
        assert int(row["frame.time_epoch"].replace(".", "")) == own["time"]
        assert int(row["tcp.flags"], 16) == own["flags"]
        assert int(row["tcp.checksum"], 16) == own["checksum"]
        assert (row["eth.src"], row["eth.dst"]) == (own["src_mac"], own["dst_mac"])
        assert row["vlan.id"].replace(",", ".") == own["vlan"]
        assert int(row["ip.ttl"] or row["ipv6.hlim"]) == own["ttl"]
        assert (int(row["ip.id"], 16) if row["ip.id"] else -1) == own["ip_id"]
        assert row["ip.checksum.status"] in {"1", ""}
        # tshark before 4.2 does not know partial sums and calls them bad, later ones call them good.
        partial = "0" if "tcp.checksum.partial" in probe().missing else "1"
        states = {schema.CHECKSUM_GOOD: "1", schema.CHECKSUM_PARTIAL: partial, schema.CHECKSUM_BAD: "0"}
        assert row["tcp.checksum.status"] == states[own["checksum_state"]]
        start, size = own["option_start"], own["option_length"]
        assert row["tcp.options"] == capture(found).option_bytes[start : start + size].hex()


@needs_tshark
def test_tshark_reads_quotes_and_finds_their_checksums_right(tmp_path: Path) -> None:
    text = (
        "client [2001:db8::1]:9\nserver [2001:db8::2]:25\n2> S 7:7(0)\n> S 5:5(0)\n2< icmp 3/1 quote 7 from 203.0.113.9\n< icmp 1/4 quote 5"
    )
    path = tmp_path / "x.pcap"
    path.write_bytes(build(parse(text)))
    names = ["icmp.type", "icmp.code", "icmp.checksum.status", "icmpv6.type", "icmpv6.code", "icmpv6.checksum.status"]
    names += ["ip.src", "ipv6.src", "tcp.srcport", "tcp.dstport", "tcp.seq"]  # tshark leaves tcp.seq_raw out of what ICMP quotes
    rows = tshark(path, "-Y", "icmp || icmpv6", *(part for name in names for part in ("-e", name)))
    assert rows == [
        ["3", "1", "1", "", "", "", "203.0.113.9,192.0.2.1", "", "40001", "80", "7"],
        ["", "", "", "1", "4", "1", "", "2001:db8::2,2001:db8::1", "9", "25", "5"],
    ]
    own = capture(parse(text)).quotes
    assert own["seq"].tolist() == [7, 5]
    assert own["sender"].tolist() == ["203.0.113.9", "2001:db8::2"]
    assert own["src_port"].tolist() == [40001, 9]


@needs_tshark
def test_an_interface_makes_it_a_pcapng(tmp_path: Path) -> None:
    found = parse("start 1.000000001\n> S 1:1(0) iface 2\n< R. 0:0(0) ack 2 cut 20")
    path = tmp_path / "x.pcapng"
    path.write_bytes(build(found))
    assert tshark(path, "-e", "frame.interface_id", "-e", "frame.time_epoch") == [["2", "1.000000001"], ["0", "1.001000001"]]
    assert capture(found).segments["interface"].tolist() == [2, 0]


@needs_tshark
def test_a_segment_longer_than_ip_can_say_is_an_offloaded_one(tmp_path: Path) -> None:
    path = tmp_path / "x.pcap"
    found = parse("> P. 1:100001(100000) ack 1")
    path.write_bytes(build(found))
    assert tshark(path, "-e", "tcp.len", "-e", "tcp.checksum.status") == [["100000", "1"]]
    assert capture(found).segments["payload_length"].tolist() == [100_000]


@needs_tcpdump
def test_tcpdump_finds_every_checksum_right_but_those_made_wrong(tmp_path: Path) -> None:
    text = HANDSHAKE + '> . 107:207(100) ack 301\n< P. 301:304(3) ack 207 "abc"\n< R 5:5(0) bad-checksum\n< R 5:5(0) partial-checksum\n'
    for headers in ("", "client [2001:db8::1]:9\nserver [2001:db8::2]:80\n"):
        path = tmp_path / "x.pcap"
        path.write_bytes(build(parse(headers + text)))
        command = [shutil.which("tcpdump") or "tcpdump", "-vvnr", str(path)]
        told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
        assert re.findall(r"cksum 0x[0-9a-f]{4} \((correct|incorrect)", told) == ["correct"] * 6 + ["incorrect"] * 2
        assert "bad cksum" not in told


def drawn(count: int) -> list[Script]:
    found: list[Script] = []

    @settings(suppress_health_check=list(HealthCheck), deadline=None, max_examples=count, database=None)
    @given(scripts())
    def keep(one: Script) -> None:
        found.append(one)

    keep()
    return found


@needs_tshark
def test_reading_what_was_built_gives_the_tables_again(tmp_path: Path) -> None:
    """One start of tshark reads many scripts: pcaps joined behind one header, pcapngs as sections of one file."""
    found = [*drawn(100), parse(HANDSHAKE), parse(MIXED)]
    paged = [any(event.interface is not None for event in one.events) for one in found]
    for joined, skipped in (
        ([one for one, is_paged in zip(found, paged, strict=True) if not is_paged], 24),
        ([one for one, is_paged in zip(found, paged, strict=True) if is_paged], 0),
    ):
        path = tmp_path / "x.pcap"
        path.write_bytes(build(Script(()))[:skipped] + b"".join(build(one)[skipped:] for one in joined))
        own = [capture(one) for one in joined]
        got = read(path)
        assert got.complete
        assert got.packets == sum(one.packets for one in own)
        assert got.option_bytes == b"".join(one.option_bytes for one in own)
        # What counts over the whole file differs: frame numbers, places in the option bytes, interfaces of later sections.
        unsure = ["frame", "option_start", *(["interface"] if not skipped else [])]
        assert _plain(got.segments, unsure) == [row for one in own for row in _plain(one.segments, unsure)]
        assert _plain(got.quotes, unsure) == [row for one in own for row in _plain(one.quotes, unsure)]


@needs_tshark
@pytest.mark.parametrize(
    "text",
    [
        HANDSHAKE,
        MIXED,
        MIXED.replace(" ecn 3", " ecn 3 iface 2"),
        FRAGMENTED,
        "client 2 [2001:db8::1]:9\nserver 2 [2001:db8::2]:80\n" + FRAGMENTED.replace("> ", "2> ").replace("< ", "2< ").replace(" id 9", ""),
    ],
)
def test_reading_one_script_gives_every_column_again(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.pcap"
    path.write_bytes(build(parse(text)))
    own, got = capture(parse(text)), read(path)
    assert _plain(got.segments, []) == _plain(own.segments, [])
    assert _payloads(got) == _payloads(own)
    assert _plain(got.quotes, []) == _plain(own.quotes, [])
    assert (got.option_bytes, got.packets, got.start_time, got.end_time) == (own.option_bytes, own.packets, own.start_time, own.end_time)


def test_loading_the_notation_costs_no_pandas() -> None:
    code = "import sys, analyzer.notation as n; n.build(n.parse('> S 1:1(0)')); assert not {'pandas', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_a_script_too_big_to_build_is_refused() -> None:
    with pytest.raises(NotationError, match="add up"):
        build(parse("> P. 0:262000(262000) ack 1\n" * 1025))
