from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Run = Callable[..., tuple[int, str, str]]

pytestmark = pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")


@pytest.mark.parametrize("flow", ["f1", "1"])
def test_the_ladder_shows_every_segment_of_the_opening(captures: Path, pcaplint: Run, flow: str) -> None:
    assert captures.is_dir()
    status, out, err = pcaplint("show", "wrong.pcap", flow)
    assert (status, err) == (0, "")
    assert "─ SYN seq 0 ─" in out
    assert "│◀─ SYN,ACK seq 0 ack 2 ─" in out
    assert "seq 300  ack 102" in out
    assert "─ RST seq 2 ─" in out
    assert "✗ error synack-ack-wrong" in out
    assert "verdict  invalid  (broken)" in out
    assert "pcaplint rules explain synack-ack-wrong" in out


@pytest.mark.parametrize("flow", ["f2", "0", "", "two"])
def test_an_unknown_connection_is_refused(captures: Path, pcaplint: Run, flow: str) -> None:
    assert captures.is_dir()
    status, out, err = pcaplint("show", "good.pcap", flow)
    assert (status, out) == (2, "")
    assert "connections here: 1, f1 to f1" in err


def test_a_damaged_capture_is_shown_and_called_incomplete(captures: Path, pcaplint: Run) -> None:
    assert captures.is_dir()
    status, out, err = pcaplint("show", "cut/cut.pcap", "f1")
    assert status == 4
    assert "SYN,ACK" in out
    assert err.startswith("pcaplint: error: cut/cut.pcap: ")


def test_no_capture_is_one_line(captures: Path, pcaplint: Run) -> None:
    assert captures.is_dir()
    status, out, err = pcaplint("show", "text/text.pcap", "f1")
    assert (status, out) == (3, "")
    assert err.count("\n") == 1


def test_a_capture_without_a_connection_is_one_line(captures: Path, pcaplint: Run) -> None:
    (captures / "empty.pcap").write_bytes((captures / "good.pcap").read_bytes()[:24])
    assert pcaplint("show", "empty.pcap", "f1") == (5, "", "pcaplint: error: empty.pcap: no TCP connection in it\n")
    assert pcaplint("flows", "empty.pcap") == (5, "", "No TCP connection found in 1 file.\n")
