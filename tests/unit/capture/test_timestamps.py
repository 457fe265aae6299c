"""Times: exact to the nanosecond whatever form and age they have."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analyzer.capture import read
from analyzer.capture.timestamps import Timestamps, parse
from analyzer.capture.tshark.tsv import split_rows
from analyzer.schema import NO_TIME

if TYPE_CHECKING:
    from pathlib import Path

NANOSECOND_PCAP = 0xA1B23C4D


def times(texts: list[str], clock: Timestamps | None = None) -> list[int]:
    """Read cells as they stand in tshark's output."""
    grid, whole = split_rows("".join(f"{text}\n" for text in texts).encode(), 1)
    assert whole
    return list((clock or Timestamps()).read(grid.column(0), np.arange(1, len(texts) + 1)).tolist())


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("1700000000.123456789", 1_700_000_000_123_456_789),
        ("4294967294.999999999", 4_294_967_294_999_999_999),
        ("1700000000.5", 1_700_000_000_500_000_000),
        ("1700000000.000001", 1_700_000_000_000_001_000),
        ("1700000000", 1_700_000_000_000_000_000),
        ("0.000000001", 1),
        ("0.000000000", 0),
        ("-5.000000000", -5_000_000_000),
        ("-0.000000001", -1),
        ("9223372035.999999999", 9_223_372_035_999_999_999),
        ("9223372036.854775807", 2**63 - 1),
        ("9223372036.854775808", NO_TIME),
        ("1700000000000000.000000000", NO_TIME),
        ("-4611686018426387904.000000000", NO_TIME),
        ("2023-11-14T22:13:20.123456789Z", 1_700_000_000_123_456_789),
        ("2023-11-14T22:13:20Z", 1_700_000_000_000_000_000),
        ("2023-11-14T23:13:20.5+0100", 1_700_000_000_500_000_000),
        ("2023-11-14 22:13:20.000000001", 1_700_000_000_000_000_001),
        ("2023-13-14T22:13:20Z", NO_TIME),
        ("yesterday", NO_TIME),
        ("", NO_TIME),
    ],
)
def test_forms(text: str, nanoseconds: int) -> None:
    # Beside another form, so that the column is never of one width.
    assert times([text, "1700000000.123456789", text]) == [nanoseconds, 1_700_000_000_123_456_789, nanoseconds]
    assert times([text]) == [nanoseconds]


@settings(deadline=None)
@given(st.lists(st.integers(-(2**63) + 1, 2**63 - 1), min_size=1))
def test_no_time_that_fits_is_changed(values: list[int]) -> None:
    texts = [f"{'-' * (value < 0)}{abs(value) // 10**9}.{abs(value) % 10**9:09}" for value in values]
    assert times(texts) == values
    assert [parse(text) for text in texts] == values


def test_what_the_clock_remembers() -> None:
    clock = Timestamps()
    times(["", "100.0", "99.0", "101.0"], clock)
    times(["98.0", "1e9", "200.0"], clock)
    assert (clock.first, clock.latest) == (100 * 10**9, 200 * 10**9)
    assert (clock.absent, clock.unfit, clock.backwards, clock.backwards_frame) == (1, 1, 2, 3)


def record(frame: bytes, seconds: int, fraction: int) -> bytes:
    return struct.pack("<IIII", seconds, fraction, len(frame), len(frame)) + frame


def segment() -> bytes:
    """Return a frame that holds a SYN."""
    tcp = struct.pack("!HHIIHHHH", 1, 2, 3, 0, 0x5002, 0, 0, 0)
    return bytes(12) + b"\x08\x00" + struct.pack("!BBHHHBBH8s", 0x45, 0, 40, 0, 0, 64, 6, 0, bytes.fromhex("0a0000010a000002")) + tcp


def test_nanoseconds_of_a_file_are_exact(tmp_path: Path) -> None:
    stamps = [(1_700_000_000, 123_456_789), (4_294_967_294, 999_999_999), (0, 1), (1_700_000_000, 1234)]
    data = struct.pack("<IHHiIII", NANOSECOND_PCAP, 2, 4, 0, 0, 65535, 1) + b"".join(record(segment(), *stamp) for stamp in stamps)
    (tmp_path / "x.pcap").write_bytes(data)
    capture = read(tmp_path / "x.pcap")
    assert list(capture.segments["time"]) == [seconds * 10**9 + rest for seconds, rest in stamps]
    assert [(note.id, note.frame) for note in capture.notes] == [("timestamps-backwards", 3)]
    assert (capture.start_time, capture.end_time) == (1_700_000_000_123_456_789, 4_294_967_294_999_999_999)


def block(kind: int, body: bytes) -> bytes:
    body += bytes(-len(body) % 4)
    return struct.pack("<II", kind, len(body) + 12) + body + struct.pack("<I", len(body) + 12)


def test_a_packet_without_a_time_has_none(tmp_path: Path) -> None:
    frame = segment()
    simple = block(3, struct.pack("<I", len(frame)) + frame)
    data = block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)) + block(1, struct.pack("<HHI", 1, 0, 0)) + simple
    (tmp_path / "x.pcapng").write_bytes(data)
    capture = read(tmp_path / "x.pcapng")
    assert list(capture.segments["time"]) == [NO_TIME]
    assert (capture.start_time, capture.end_time, [note.id for note in capture.notes]) == (None, None, ["no-timestamp"])


@pytest.mark.parametrize(
    "option", [(9, b"\x00"), (9, b"\xff"), (14, struct.pack("<q", -(2**62))), (14, struct.pack("<q", 2**62)), (9, b"\x0c")]
)
def test_no_resolution_or_offset_stops_the_reader(tmp_path: Path, option: tuple[int, bytes]) -> None:
    frame = segment()
    kind, value = option
    described = struct.pack("<HHI", 1, 0, 0) + struct.pack("<HH", kind, len(value)) + value + bytes(-len(value) % 4) + bytes(4)
    packet = struct.pack("<IIIII", 0, 400_000, 12345, len(frame), len(frame)) + frame
    data = block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)) + block(1, described) + block(6, packet)
    (tmp_path / "x.pcapng").write_bytes(data)
    capture = read(tmp_path / "x.pcapng")
    assert (capture.packets, len(capture.segments)) == (1, 1)
