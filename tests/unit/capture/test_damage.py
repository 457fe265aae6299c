"""Damaged, odd and hostile files: what each must give, whichever way tshark ends."""

from __future__ import annotations

import bz2
import gzip
import os
import struct
from typing import TYPE_CHECKING

import pytest

from analyzer.capture import read
from analyzer.capture.formats import compression

if TYPE_CHECKING:
    from pathlib import Path

SEGMENT = bytes(12) + b"\x08\x00" + struct.pack("!BBHHHBBH8s", 0x45, 0, 40, 0, 0, 64, 6, 0, bytes.fromhex("0a0000010a000002"))
SEGMENT += struct.pack("!HHIIHHHH", 1, 2, 3, 0, 0x5002, 0, 0, 0)
CUT = "cut short in the middle of a packet"
CORRUPT = "damaged or corrupt"


def header(magic: int = 0xA1B2C3D4, order: str = "<", *, version: int = 2, link: int = 1) -> bytes:
    return struct.pack(f"{order}IHHiIII", magic, version, 4, 0, 0, 65535, link)


def record(
    order: str = "<", frame: bytes = SEGMENT, *, captured: int | None = None, length: int | None = None, extra: bytes = b""
) -> bytes:
    sizes = (len(frame) if captured is None else captured, len(frame) if length is None else length)
    return struct.pack(f"{order}IIII", 1_700_000_000, 0, *sizes) + extra + frame


def block(kind: int, body: bytes, *, order: str = "<", stated: int | None = None, trailer: int | None = None) -> bytes:
    body += bytes(-len(body) % 4)
    size = len(body) + 12
    return (
        struct.pack(f"{order}II", kind, size if stated is None else stated)
        + body
        + struct.pack(f"{order}I", size if trailer is None else trailer)
    )


def section(order: str = "<") -> bytes:
    return block(0x0A0D0D0A, struct.pack(f"{order}IHHq", 0x1A2B3C4D, 1, 0, -1), order=order)


def interface(order: str = "<", link: int = 1) -> bytes:
    return block(1, struct.pack(f"{order}HHI", link, 0, 0), order=order)


def packet(order: str = "<", *, on: int = 0, frame: bytes = SEGMENT, captured: int | None = None, tail: bytes = b"", **odd: int) -> bytes:
    size = len(frame) if captured is None else captured
    padded = frame + bytes(-len(frame) % 4) + tail
    return block(6, struct.pack(f"{order}IIIII", on, 0, 0, size, size) + padded, order=order, **odd)


PCAP = header()
PCAPNG = section() + interface()

DAMAGED: dict[str, tuple[bytes, int, str]] = {
    # name: (file, frames kept, words of the reason)
    "cut in the last packet": (PCAP + record() + record()[:-3], 1, CUT),
    "cut in a record header": (PCAP + record() + record()[:7], 1, CUT),
    "cut in the first packet": (PCAP + record()[:-3], 0, CUT),
    "cut in the file header": (PCAP[:20], 0, CUT),
    "captured length 2^31 - 1": (PCAP + record() * 4 + record(captured=2**31 - 1, length=2**31 - 1), 4, CORRUPT),
    "captured length 2^32 - 1": (PCAP + record() * 4 + record(captured=2**32 - 1, length=2**32 - 1), 4, CORRUPT),
    "garbage in the middle": (PCAP + record() + b"\xaa" * 200 + record(), 1, CORRUPT),
    "block length 0": (PCAPNG + packet() + packet(stated=0), 1, CORRUPT),
    "block length 12": (PCAPNG + packet() + struct.pack("<III", 6, 12, 12), 1, CORRUPT),
    "block length 13": (PCAPNG + packet() + packet(stated=13), 1, CORRUPT),
    "block length 2^31": (PCAPNG + packet() + packet(stated=2**31), 1, CORRUPT),
    "trailing length differs": (PCAPNG + packet() + packet(trailer=7), 1, CORRUPT),
    "option beyond its block": (PCAPNG + packet() + packet(tail=struct.pack("<HHI", 1, 400, 0)), 1, CORRUPT),
    "captured length beyond its block": (PCAPNG + packet() + packet(captured=4000), 1, CORRUPT),
    "no interface described": (section() + packet(), 0, CORRUPT),
    "an interface that is not described": (PCAPNG + packet() + packet(on=9), 1, CORRUPT),
    "gzip cut": (gzip.compress(PCAP + record() * 2000)[:-9], 2000, CUT),
    "gzip with a wrong CRC": (gzip.compress(PCAP + record() * 3)[:-8] + bytes(4) + b"\x00\x01\x00\x00", 3, CORRUPT),
}
WHOLE: dict[str, tuple[bytes, int, int | None]] = {
    # For each: the file, its frames, its segments.
    "little-endian": (PCAP + record() * 2, 2, 2),
    "big-endian": (header(order=">") + record(">") * 2, 2, 2),
    "nanoseconds": (header(0xA1B23C4D) + record() * 2, 2, 2),
    "modified records": (header(0xA1B2CD34) + record(extra=bytes(8)) * 2, 2, 2),
    "another version": (header(version=99) + record(), 1, 1),
    "captured length above length": (PCAP + record(length=20), 1, None),
    "captured length 0": (PCAP + record(frame=b"", length=60) + record(), 2, 1),
    "two sections of either byte order": (PCAPNG + packet() + section(">") + interface(">") + packet(">"), 2, 2),
    "two link types": (PCAPNG + interface(link=101) + packet() + packet(on=1, frame=SEGMENT[14:]), 2, 2),
    "unknown block": (PCAPNG + packet() + block(0xBAD, b"1234") + packet(), 3, 2),
    "header only": (PCAP, 0, 0),
    "section and interface only": (PCAPNG, 0, 0),
    "gzip": (gzip.compress(PCAP + record() * 3), 3, 3),
    "gzip in two members": (gzip.compress(PCAP + record()) + gzip.compress(record() * 2), 3, 3),
}
UNREADABLE: dict[str, bytes] = {
    "empty": b"",
    "three bytes": PCAP[:3],
    "text": b"GET / HTTP/1.1\r\n" * 20,
    "random": bytes(range(7, 256)),
    "bzip2": bz2.compress(PCAP + record()),
    "link type nobody has": header(link=4095) + record(),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_capture_keeps_its_whole_packets_and_is_incomplete(tmp_path: Path, name: str) -> None:
    data, frames, words = DAMAGED[name]
    (tmp_path / "x").write_bytes(data)
    capture = read(tmp_path / "x")
    assert (capture.readable, capture.complete) == (True, False)
    assert words in capture.reason
    assert "\n" not in capture.reason
    # Of a cut gzip file tshark gives what it could decompress.
    assert capture.packets == frames or ("gzip cut" in name and 0 < capture.packets < frames)
    assert len(capture.segments) == capture.packets


@pytest.mark.parametrize("name", WHOLE)
def test_an_odd_capture_is_read_to_its_end(tmp_path: Path, name: str) -> None:
    data, frames, segments = WHOLE[name]
    (tmp_path / "x").write_bytes(data)
    capture = read(tmp_path / "x")
    assert (capture.readable, capture.complete, capture.reason, capture.packets) == (True, True, "", frames)
    assert segments is None or len(capture.segments) == segments


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_is_no_capture_is_unreadable(tmp_path: Path, name: str) -> None:
    (tmp_path / "x").write_bytes(UNREADABLE[name])
    capture = read(tmp_path / "x")
    assert (capture.readable, capture.complete, capture.packets, len(capture.segments), len(capture.quotes)) == (False, False, 0, 0, 0)
    assert capture.reason
    assert "\n" not in capture.reason


def test_paths_that_are_no_files_are_unreadable_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, tmp_path / "missing", "/dev/zero", "/dev/null", "a\0b", ""):
        capture = read(path)
        assert (capture.readable, capture.packets) == (False, 0)
        assert capture.reason


@pytest.mark.usefixtures("unprivileged")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(PCAP)
    (tmp_path / "x").chmod(0)
    assert read(tmp_path / "x").reason == "it cannot be read: Permission denied"


def zstd(data: bytes, *, checksum: bool = True) -> bytes:
    """Return a zstd file, a single segment of a stored and a repeated block (RFC 8878 3.1.1)."""
    frame = bytes.fromhex("28b52ffd") + bytes([0b10100000 | checksum << 2]) + struct.pack("<I", len(data) + 5)
    frame += (len(data) << 3).to_bytes(3, "little") + data
    frame += (5 << 3 | 1 << 1 | 1).to_bytes(3, "little") + b"\x00"
    return frame + b"sums" * checksum


def lz4(data: bytes, *, checksums: bool = True) -> bytes:
    """Return an lz4 file of one stored block."""
    frame = bytes.fromhex("04224d18") + bytes([0b01100000 | checksums * 0b10100 | 0b1000, 0x40]) + struct.pack("<Q", len(data)) + b"h"
    frame += struct.pack("<I", 1 << 31 | len(data)) + data + b"bsum" * checksums
    return frame + bytes(4) + b"csum" * checksums


CONTAINERS = [zstd(PCAP), zstd(PCAP, checksum=False), lz4(PCAP), lz4(PCAP, checksums=False)]


@pytest.mark.parametrize("data", CONTAINERS)
def test_a_cut_container_is_told_wherever_it_is_cut(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "x"
    skippable = bytes.fromhex("512a4d18") + struct.pack("<I", 3) + b"abc"
    for whole in (data, data + data, skippable + data, data + skippable):
        file.write_bytes(whole)
        assert not compression.find_damage(file)
    for size in range(4, len(data)):
        file.write_bytes(data[:size])
        assert compression.find_damage(file).endswith(" data was cut short"), size


def test_a_cut_lz4_capture_that_tshark_calls_whole_is_incomplete(tmp_path: Path) -> None:
    data = lz4(PCAP + record() * 3, checksums=False)
    (tmp_path / "x").write_bytes(data[: len(data) - 4])
    capture = read(tmp_path / "x")
    assert not capture.complete
