"""Lines on standard error about a report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analyzer.cli import messages

if TYPE_CHECKING:
    from pathlib import Path


def test_statistics_of_reading_name_every_engine() -> None:
    assert messages.read_stats("a.pcap", 12345, {"native": 12000, "pyshark": 345}) == "a.pcap: 12,345 frames (native 12,000, pyshark 345)"


def test_statistics_of_an_unreadable_capture() -> None:
    assert messages.read_stats("a.pcap", 0, {}) == "a.pcap: 0 frames (nothing)"


def test_a_path_cannot_control_the_terminal() -> None:
    assert messages.read_stats("a\x1b[2J.pcap", 2, {"native": 2}) == r"a\x1b[2J.pcap: 2 frames (native 2)"


def test_text_to_a_file_is_not_coloured_unless_forced(tmp_path: Path) -> None:
    assert not messages.text_layout(tmp_path / "report.txt", color="auto").color
    assert messages.text_layout(tmp_path / "report.txt", color="always").color


def test_all_connections_have_no_limit() -> None:
    assert messages.text_layout(None, color="never", show_all=True).limit is None
