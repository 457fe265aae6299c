"""pcapng files of many sections: the work grows with their number, and frames keep their interfaces."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from analyzer.capture import blocks, frames, native
from tests.capture.test_formats import FOUR, enhanced
from tests.reference.wire import block, described, ethernet, section

if TYPE_CHECKING:
    from pathlib import Path
    from types import FrameType

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
    return native.read(native.Request(file, "x", None, 60))


def measure(file: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[int, int]:
    """Return how many calls reading a file takes, and how many places are looked at for a block."""
    calls = places = 0
    real = blocks.Blocks.following

    def following(self: blocks.Blocks, data: frames.Array, at: frames.Ints, size: int) -> frames.Ints:
        nonlocal places
        places += len(at)
        return real(self, data, at, size)

    def count(frame: FrameType, event: str, argument: object) -> None:
        nonlocal calls
        del frame, event, argument
        calls += 1

    monkeypatch.setattr(blocks.Blocks, "following", following)
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
    outline = frames.Outline()
    found = list(frames.read(file, outline, window))
    assert len(found) == 1 if window is None else len(found) > 1
    numbers = [number for part in found for number in range(part.first, part.first + len(part))]
    packets = sum(1 for number in range(60) if number % 5)
    assert numbers == list(range(1, packets + 9 + 1))
    assert len(outline.interfaces) == sum(1 + number % 3 // 2 for number in range(60))
    kept = [one for part in found for one in part.look_up(outline.interfaces, "number", -1).tolist()]
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
