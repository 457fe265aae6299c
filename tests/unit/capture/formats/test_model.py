"""Framing: the frames tshark finds, whatever the variant of the format, however small the window, up to any damage."""

from __future__ import annotations

import gzip
import shutil
import struct
import subprocess
from typing import TYPE_CHECKING

import numpy as np
import pytest

from analyzer.capture import formats
from analyzer.capture.formats import model, resync, scan
from analyzer.capture.formats.pcap import Records
from analyzer.schema import NO_TIME
from tests.reference.wire import START, block, described, offset, resolution, section

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    Row = tuple[int, int, int, int, bytes]

ARP = bytes.fromhex("0200000000020400000000040806") + bytes(28)
DATA = [ARP[: 14 + size] for size in (28, 0, 5, 28, 1, 28, 17, 28)]
needs_tshark = pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")


def pcap(order: str = "<", magic: int = 0xA1B2C3D4, *, link: int = 1, extra: bytes = b"", data: Iterable[bytes] = DATA) -> bytes:
    """Return a capture of frames a second and a tick apart, each with 7 bytes more than were captured."""
    found = struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 262144, link)
    for place, frame in enumerate(data):
        found += struct.pack(order + "4I", START + place, place, len(frame), len(frame) + 7) + extra + frame
    return found


def enhanced(order: str = "<", frame: bytes = ARP, *, interface: int = 0, ticks: int = START * 10**6 + 3, options: bytes = b"") -> bytes:
    head = struct.pack(order + "5I", interface, ticks >> 32, ticks & 0xFFFFFFFF, len(frame), len(frame) + 7)
    return block(order, 6, head + frame + bytes(-len(frame) % 4) + options)


def obsolete(order: str = "<", interface: int = 0) -> bytes:
    ticks = START * 10**6 + 5
    return block(order, 2, struct.pack(order + "HHIIII", interface, 9, ticks >> 32, ticks & 0xFFFFFFFF, len(ARP), len(ARP)) + ARP)


def simple(order: str = "<", held: int = len(ARP)) -> bytes:
    return block(order, 3, struct.pack(order + "I", len(ARP)) + ARP[:held])


COMMENT = struct.pack("<HH4sHH", 1, 4, b"abcd", 0, 0)
VARIANTS = {
    "microseconds": pcap(),
    "microseconds swapped": pcap(">"),
    "nanoseconds": pcap(magic=0xA1B23C4D),
    "nanoseconds swapped": pcap(">", 0xA1B23C4D),
    "modified": pcap(magic=0xA1B2CD34, extra=struct.pack("<IHBx", 1, 8, 0)),
    "modified swapped": pcap(">", 0xA1B2CD34, extra=struct.pack(">IHBx", 1, 8, 0)),
    "no frames": pcap(data=()),
    "gzip": gzip.compress(pcap()),
    "gzip of two members": gzip.compress(pcap()[:100]) + gzip.compress(pcap()[100:]),
    "two interfaces": section() + described() + described(link=101) + enhanced(interface=1, frame=ARP[14:]) + enhanced(),
    "an interface after packets": section() + described() + enhanced() + described() + enhanced(interface=1),
    "two sections of two byte orders": (
        section() + described() + enhanced() + section(">") + described(">") * 2 + enhanced(">", interface=1)
    ),
    "version 1.2": section(version=(1, 2)) + described() + enhanced(),
    "nanosecond ticks": section() + described(options=resolution("<", 9)) + enhanced(ticks=START * 10**9 + 123456789),
    "whole seconds": section() + described(options=resolution("<", 0)) + enhanced(ticks=START),
    "ticks of 1/1024 s": section() + described(options=resolution("<", 0x8A)) + enhanced(ticks=START * 1024 + 513),
    "an offset": section(">") + described(">", options=offset(">", -5)) + enhanced(">"),
    "obsolete packets": section() + described() * 2 + obsolete() + section(">") + described(">") * 2 + obsolete(">", 1),
    "simple packets": section() + described(snap=20) + simple(held=20) + section() + described(snap=0) + simple(),
    "comments": section() + described() + enhanced(options=COMMENT) + enhanced(options=COMMENT[:8]),
    "custom blocks": section() + described() + enhanced() + block("<", 0xBAD, struct.pack("<I", 32473) + bytes(8)) + enhanced(),
    "unknown blocks": section() + described() + block("<", 0x77, bytes(40)) + enhanced(),
    "statistics and names": section() + described() + block("<", 4, bytes(4)) + enhanced() + block("<", 5, bytes(12)) + enhanced(),
}


def load(path: Path, window: int | None = None) -> tuple[list[Row], scan.ScanState]:
    """Return (time, captured, length, interface number, bytes) of each frame, after checking that numbers go on."""
    scan_state = scan.ScanState()
    rows: list[Row] = []
    for part in formats.read(path, scan_state, window):
        assert part.first == len(rows) + 1
        numbers = [scan_state.interfaces[place].number if place >= 0 else -1 for place in part.interface.tolist()]
        columns = (part.time, part.captured, part.length, part.start)
        for number, time, captured, length, start in zip(numbers, *(column.tolist() for column in columns), strict=True):
            rows.append((time, captured, length, number, part.data[start : start + captured].tobytes()))
    return rows, scan_state


def ask_tshark(path: Path) -> list[Row]:
    """Return the same by tshark, bytes left out."""
    names = ("frame.time_epoch", "frame.cap_len", "frame.len", "frame.interface_id", "frame.encap_type")
    argv = ["tshark", "-n", "-r", str(path), "-T", "fields", *(word for name in names for word in ("-e", name))]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    rows: list[Row] = []
    for line in done.stdout.splitlines():
        time, captured, length, interface, encapsulation = line.split("\t")
        if not encapsulation:
            # A custom block has neither; from tshark 4.6 on those of the packet before it are shown.
            time = interface = ""
        seconds, _, part = time.partition(".")
        rows.append(
            (int(seconds) * 10**9 + int(part) if time else NO_TIME, int(captured), int(length), int(interface) if interface else -1, b"")
        )
    return rows


@needs_tshark
@pytest.mark.parametrize("name", VARIANTS)
def test_frames_are_those_of_tshark(tmp_path: Path, name: str) -> None:
    file = tmp_path / "x"
    file.write_bytes(VARIANTS[name])
    found, scan_state = load(file)
    assert not scan_state.damage
    assert [(*row[:4], b"") for row in found] == ask_tshark(file)


@pytest.mark.parametrize("window", [64, 65, 100, 257])
def test_a_window_of_any_size_shows_the_same(tmp_path: Path, window: int) -> None:
    for name, data in VARIANTS.items():
        file = tmp_path / "x"
        file.write_bytes(data)
        small, whole = load(file, window), load(file)
        assert small[0] == whole[0], name
        assert small[1].interfaces == whole[1].interfaces
        assert not small[1].damage


def test_frame_bytes_lie_where_they_are_said_to(tmp_path: Path) -> None:
    file = tmp_path / "x"
    for name in ("microseconds", "modified swapped", "gzip"):
        file.write_bytes(VARIANTS[name])
        assert [row[4] for row in load(file)[0]] == DATA
    file.write_bytes(VARIANTS["obsolete packets"] + VARIANTS["simple packets"])
    assert [row[4] for row in load(file)[0]] == [ARP, ARP, ARP[:20], ARP]


LAST = 16 + len(DATA[-1])
DAMAGED = {
    # What is in the file, how many frames come before the damage, and a word of the reason.
    "cut in a packet": (pcap()[:-1], 7, f"middle of the record at byte {len(pcap()) - LAST}"),
    "cut in a record header": (pcap()[: -LAST + 15], 7, f"middle of the record at byte {len(pcap()) - LAST}"),
    "impossible length": (pcap() + struct.pack("<4I", START, 0, 262145, 262145) + bytes(262145), 8, f"byte {len(pcap())} states 262145"),
    "cut gzip": (gzip.compress(pcap())[:-9], 8, "gzip file is cut short"),
    "wrong gzip checksum": (gzip.compress(pcap())[:-8] + bytes(8), 8, "gzip file is damaged"),
    "cut block": (section() + described() + enhanced() * 2 + enhanced()[:-1], 2, "ends within a block"),
    "lengths that differ": (
        section() + described() + enhanced() + enhanced()[:-4] + struct.pack("<I", 99) + enhanced(),
        1,
        "two lengths differ",
    ),
    "block of no length": (section() + described() + enhanced() + struct.pack("<II", 6, 0) + bytes(40), 1, "length of 0"),
    "no such interface": (section() + described() + enhanced() + enhanced(interface=1) + enhanced(), 1, "packet block"),
    "interface described too late": (
        section() + described() + enhanced(interface=1) + described() + enhanced(interface=1),
        0,
        "packet block",
    ),
    "more captured than the block holds": (
        section() + described() + enhanced() + block("<", 6, struct.pack("<5I", 0, 0, 0, 200, 200) + ARP),
        1,
        "packet block",
    ),
    "option beyond its block": (
        section() + described() + enhanced() + enhanced(options=struct.pack("<HH4s", 1, 100, b"abcd")) + enhanced(),
        1,
        "packet block",
    ),
    "packet flags of three bytes": (
        section() + described() + enhanced() + enhanced(options=struct.pack("<HH4x", 2, 3)) + enhanced(),
        1,
        "packet block",
    ),
    "interface option beyond its block": (
        section() + described() + enhanced() + described(options=struct.pack("<HH", 9, 50)),
        1,
        "an option",
    ),
    "simple packet cut": (section() + described() + enhanced() + simple(held=20), 1, "packet block"),
    "second section of an unknown version": (section() + described() + enhanced() + section(version=(9, 0)), 1, "version 9.0"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damage_ends_the_frames_where_tshark_ends_them(tmp_path: Path, name: str) -> None:
    data, count, words = DAMAGED[name]
    file = tmp_path / "x"
    file.write_bytes(data)
    for window in (None, 64):
        found, scan_state = load(file, window)
        assert len(found) == count
        assert words in scan_state.damage
    if shutil.which("tshark"):
        assert [(*row[:4], b"") for row in found] == ask_tshark(file)


@pytest.mark.parametrize(
    "data",
    [
        pcap(magic=0xA1B234CD),
        pcap()[:4] + struct.pack("<HH", 2, 3) + pcap()[8:],
        pcap(data=[ARP]).replace(struct.pack("<4I", START, 0, 42, 49), struct.pack("<4I", START, 5_000_000, 42, 49)),
        pcap(data=()) + struct.pack("<4I", START, 0, 2**31, 2**31),
        section() + described(options=offset("<", -(2**40))) + enhanced(),
        section() + described() + enhanced() + block("<", 9, b"MESSAGE=x\n\n"),
        section() + described(link=197) + enhanced(),
        gzip.compress(pcap()) + b"more",
    ],
)
def test_what_wireshark_reads_by_its_own_lights_is_left_to_it(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "x"
    file.write_bytes(data)
    with pytest.raises(model.UnsupportedFormatError):
        load(file)


@pytest.mark.parametrize("seed", range(6))
def test_a_walk_in_parts_finds_what_a_walk_in_steps_finds(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    rng = np.random.default_rng(seed)
    records = []
    for _ in range(400):
        frame = rng.bytes(int(rng.integers(0, 400)))
        if rng.random() < 0.3:
            # Payload that looks like records, of which only some end where the true ones do.
            frame = frame[:50] + b"".join(struct.pack("<4I", START, 1, size, size) + bytes(size) for size in (5, 9, 0, 33)) + frame[50:]
        records.append(struct.pack("<4I", START, 1, len(frame), len(frame)) + frame)
    data = b"".join(records) + struct.pack("<4I", START, 1, 400, 400) + bytes(100)
    store = bytearray(data + bytes(64))
    right = np.cumsum([0, *map(len, records)])
    monkeypatch.setattr(resync, "MIN_SEARCH_BYTES", 0)
    for size in (200, 1000, 5000, 20_000):
        monkeypatch.setattr(resync, "CHUNK_BYTES", size)
        at, end = resync.walk(Records("<", 16, 1000), store, 0, len(data))
        assert at.tolist() == right[:-1].tolist()
        assert end == right[-1]


def test_many_short_sections_are_read_like_one_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resync, "MIN_SEARCH_BYTES", 256)
    parts = [section(order) + described(order) + enhanced(order) * (place % 9) for place, order in enumerate("<><<>>" * 20)]
    file = tmp_path / "x"
    file.write_bytes(b"".join(parts))
    found, scan_state = load(file)
    assert len(found) == sum(place % 9 for place in range(120))
    assert len(scan_state.interfaces) == 120
    assert {row[4] for row in found} == {ARP}
