"""pcapng files of many sections: the work grows with their number, and frames keep their interfaces."""

from __future__ import annotations

import shutil
import struct
import sys
from typing import TYPE_CHECKING

import pytest

from analyzer import capture
from analyzer.capture import formats
from analyzer.capture.formats import pcapng_blocks, scan
from analyzer.capture.native import engine as native_engine
from tests.reference.wire import block, described, ethernet, section
from tests.unit.capture.test_formats import FOUR, enhanced

if TYPE_CHECKING:
    from pathlib import Path
    from types import FrameType

    from analyzer._typing import Array, Int64Array
    from analyzer.model import Capture

FRAME = ethernet(FOUR, 0x0800)


def write(file: Path, count: int) -> Path:
    """Write sections of both byte orders, of one or two interfaces, some of them without a packet."""
    found = b""
    for number in range(count):
        order = "<>"[number % 2]
        interfaces = 1 + number % 3 // 2
        found += section(order) + described(order) * interfaces
        if number % 5:
            found += enhanced(order, FRAME, interface=interfaces - 1)
        found += block(order, 0xBAD, (32473).to_bytes(4, "little" if order == "<" else "big")) if number % 7 == 0 else b""
    file.write_bytes(found)
    return file


def read(file: Path) -> Capture:
    return native_engine.read(native_engine.NativeRequest(file, "x", None, 60))


def measure(file: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[int, int]:
    """Return how many calls reading a file takes, and how many places are looked at for a block."""
    calls = places = 0
    real = pcapng_blocks.Blocks.next_records

    def next_records(self: pcapng_blocks.Blocks, data: Array, at: Int64Array, size: int) -> Int64Array:
        nonlocal places
        places += len(at)
        return real(self, data, at, size)

    def count(frame: FrameType, event: str, argument: object) -> None:
        nonlocal calls
        del frame, event, argument
        calls += 1

    monkeypatch.setattr(pcapng_blocks.Blocks, "next_records", next_records)
    before = sys.getprofile()
    sys.setprofile(count)
    try:
        read(file)
    finally:
        sys.setprofile(before)
    monkeypatch.undo()
    return calls, places


def test_the_work_grows_with_the_number_of_sections(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted in calls, of Python and of numpy: it was their square, and 256 KiB looked at for each of them."""
    # More than the 256 KiB from which on a window is walked in parts.
    small, large = write(tmp_path / "small", 2000), write(tmp_path / "large", 4000)
    assert small.stat().st_size > 1 << 18
    read(small)
    (calls, _), (more_calls, places) = (measure(file, monkeypatch) for file in (small, large))
    assert more_calls < 2.1 * calls
    assert places < 10 * 4000


@pytest.mark.parametrize("window", [None, 4096])
def test_frames_keep_their_section_in_windows_of_any_size(tmp_path: Path, window: int | None) -> None:
    file = write(tmp_path / "x", 60)
    scan_state = scan.ScanState()
    found = list(formats.read(file, scan_state, window))
    assert len(found) == 1 if window is None else len(found) > 1
    numbers = [number for part in found for number in range(part.first, part.first + len(part))]
    packets = sum(1 for number in range(60) if number % 5)
    assert numbers == list(range(1, packets + 9 + 1))
    assert len(scan_state.interfaces) == sum(1 + number % 3 // 2 for number in range(60))
    kept = [one for part in found for one in part.look_up(scan_state.interfaces, "number", -1).tolist()]
    expected = [kind for number in range(60) for kind in ([number % 3 // 2] if number % 5 else []) + ([-1] if number % 7 == 0 else [])]
    assert kept == expected


def test_damage_in_a_section_keeps_the_frames_before_it(tmp_path: Path) -> None:
    file = write(tmp_path / "x", 60)
    data = file.read_bytes()
    whole = read(file)
    for cut in range(len(data) - 200, len(data), 12):
        file.write_bytes(data[:cut])
        found = read(file)
        assert found.segments["frame"].tolist() == whole.segments["frame"].tolist()[: len(found.segments)]
        assert len(whole.segments) - len(found.segments) <= 3


def option(order: str, code: int, value: bytes) -> bytes:
    return struct.pack(order + "HH", code, len(value)) + value + bytes(-len(value) % 4)


JOURNAL = b"__REALTIME_TIMESTAMP=1700000000000000\nMESSAGE=x\n"
BLOCKS = {
    # Type and body of blocks between two packets, and how many frames they are to Wireshark.
    "name resolution": (4, struct.pack("<HH4s", 1, 11, bytes([192, 0, 2, 1])) + b"a.test" + bytes(2) + bytes(4), 0),
    "empty name resolution": (4, bytes(4), 0),
    "interface statistics": (5, struct.pack("<III", 0, 0, 0) + option("<", 4, bytes(8)) + bytes(4), 0),
    "IRIG time stamp": (7, bytes(16), 0),
    "ARINC 429": (8, bytes(16), 0),
    "journal entry": (9, JOURNAL + bytes(-len(JOURNAL) % 4), 1),
    "decryption secrets": (10, struct.pack("<II", 0x544C534B, 8) + b"CLIENT_R", 0),
    "decryption secrets of no kind": (10, struct.pack("<II", 7, 4) + b"none", 0),
    "process event": (0x80000001, struct.pack("<I", 42) + option("<", 2, b"tool") + bytes(4), 0),
    "custom": (0xBAD, struct.pack("<I", 32473) + b"data" * 3, 1),
    "custom, not to be copied": (0x40000BAD, struct.pack("<I", 32473), 1),
    "unknown": (0x77, bytes(40), 0),
    "unknown and local": (0x80000077, bytes(4), 0),
    "reserved": (0xFFFF, b"", 0),
}


ODD_BLOCKS = {
    "name that does not end": (4, struct.pack("<HH4s", 1, 10, bytes([192, 0, 2, 1])) + b"a.test" + bytes(2) + bytes(4)),
    "names longer than their block": (4, struct.pack("<HH4s", 1, 99, bytes([192, 0, 2, 1])) + b"a.test" + bytes(2)),
    "no names": (4, b""),
    "statistics too short": (5, bytes(4)),
    "secrets too short": (10, bytes(4)),
    "secrets longer than their block": (10, struct.pack("<II", 0x544C534B, 900)),
    "custom block of nobody": (0xBAD, b""),
    "journal entry too short": (9, b"x"),
}


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
def test_a_block_that_tshark_calls_damaged_ends_the_capture_for_both_engines(tmp_path: Path) -> None:
    from analyzer.capture import probe
    from analyzer.capture.tshark import engine as tshark_engine

    for name, (kind, body) in ODD_BLOCKS.items():
        file = tmp_path / "x"
        file.write_bytes(section() + described() + enhanced("<", FRAME) + block("<", kind, body) + enhanced("<", FRAME))
        theirs = tshark_engine.read(tshark_engine.TsharkRequest(file, "x", probe(), 60))
        ours = capture.read(file, engine="native")
        assert [(one.complete, one.segments["frame"].tolist()) for one in (ours, theirs)] == [(False, [1])] * 2, name


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
def test_blocks_of_all_types_count_as_in_wireshark(tmp_path: Path) -> None:
    from analyzer.capture import probe
    from analyzer.capture.tshark import engine as tshark_engine

    for name, (kind, body, counted) in BLOCKS.items():
        file = tmp_path / "x"
        file.write_bytes(section() + described() + enhanced("<", FRAME) + block("<", kind, body) * 2 + enhanced("<", FRAME))
        theirs = tshark_engine.read(tshark_engine.TsharkRequest(file, "x", probe(), 60))
        ours = capture.read(file, engine="native")
        for found in (theirs, ours):
            assert (found.packets, found.complete, found.segments["frame"].tolist()) == (2 + 2 * counted, True, [1, 2 + 2 * counted]), name
        assert ours.notes == theirs.notes, name
