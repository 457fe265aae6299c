"""Packets of pcapng files that tshark wrote, and files made of them read back by tshark."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from analyzer.capture import packets
from analyzer.capture.packets import Packet
from analyzer.errors import UsageError

SAMPLES = Path(__file__).resolve().parents[3] / "sample_pcaps"
TSHARK = shutil.which("tshark") or ""
needs_tshark = pytest.mark.skipif(not TSHARK, reason="tshark is not installed")
SAMPLE = SAMPLES / "http-keepalive.pcap"


def dump(path: Path) -> str:
    """Return times, lengths and bytes of all frames."""
    fields = ["frame.time_epoch", "frame.len", "frame.cap_len"]
    argv = [TSHARK, "-n", "-r", str(path), "-T", "fields", *(part for field in fields for part in ("-e", field))]
    shown = subprocess.run(argv, capture_output=True, check=True, text=True).stdout
    return shown + subprocess.run([TSHARK, "-n", "-r", str(path), "-x"], capture_output=True, check=True, text=True).stdout


@needs_tshark
def test_a_file_of_the_packets_read_is_the_same_capture(tmp_path: Path) -> None:
    argv = [TSHARK, "-n", "-r", str(SAMPLE), "-F", "pcapng", "-w", "-"]
    written = subprocess.run(argv, capture_output=True, check=True).stdout
    found = list(packets.read(written, range(1, 10_000)))
    for name, data in (("x.pcapng", packets.write_pcapng(found, "a comment")), ("x.pcap", packets.write_pcap(found))):
        (tmp_path / name).write_bytes(b"".join(data))
        assert dump(tmp_path / name) == dump(SAMPLE)


@needs_tshark
def test_the_comment_is_that_of_the_section(tmp_path: Path) -> None:
    (tmp_path / "x.pcapng").write_bytes(b"".join(packets.write_pcapng([Packet(1, 1, 0, bytes(60), 60)], "said by a test")))
    shown = subprocess.run([str(shutil.which("capinfos")), str(tmp_path / "x.pcapng")], capture_output=True, check=True, text=True).stdout
    assert "said by a test" in shown


def test_a_pcap_refuses_what_it_cannot_hold() -> None:
    with pytest.raises(UsageError, match="one link type"):
        list(packets.write_pcap([Packet(1, 1, 0, b"", 0), Packet(2, 101, 0, b"", 0)]))
    with pytest.raises(UsageError, match="1970 to 2106"):
        list(packets.write_pcap([Packet(1, 1, -1, b"", 0)]))
