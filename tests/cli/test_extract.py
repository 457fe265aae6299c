from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from analyzer.capture import extract
from analyzer.notation import build, parse

if TYPE_CHECKING:
    from collections.abc import Callable

    Run = Callable[..., tuple[int, str, str]]

SAMPLES = Path(__file__).parents[2] / "sample_pcaps"
TSHARK = shutil.which("tshark") or ""
needs_tshark = pytest.mark.skipif(not TSHARK, reason="tshark is not installed")


def frames(path: Path, chosen: str = "") -> list[str]:
    """Return time, lengths and all bytes of each frame, as tshark reads them."""
    fields = ["frame.time_epoch", "frame.len", "frame.cap_len"]
    options = [part for field in fields for part in ("-e", field)]
    filters = ["-Y", chosen] if chosen else []
    told = subprocess.run([TSHARK, "-n", "-r", path, *filters, "-T", "fields", *options], capture_output=True, check=True, text=True)
    dumped = subprocess.run([TSHARK, "-n", "-r", path, *filters, "-P", "-x", "-T", "text"], capture_output=True, check=True, text=True)
    return [*told.stdout.splitlines(), *(line for line in dumped.stdout.splitlines() if line[:4].isalnum() and line[4:6] == "  ")]


@needs_tshark
def test_frames_are_those_of_the_capture(captures: Path, pcaplint: Run) -> None:
    source = SAMPLES / "ftp-active.pcap"
    status, out, err = pcaplint("extract", source, "f2", "-o", "x.pcapng")
    assert (status, out) == (0, "")
    assert "of 1 connection" in err
    shown = subprocess.run(
        [TSHARK, "-r", source, "-T", "fields", "-e", "tcp.stream", "-e", "frame.number"], capture_output=True, check=True
    )
    own = [line.split()[1] for line in shown.stdout.decode().splitlines() if line.split()[0] == "1"]
    assert frames(captures / "x.pcapng") == frames(source, f"frame.number in {{{', '.join(own)}}}")
    assert len(own) > 4


@needs_tshark
def test_several_connections_come_in_one_file(captures: Path, pcaplint: Run) -> None:
    source = SAMPLES / "ftp-active.pcap"
    assert pcaplint("extract", source, "1", "f2", "2", "-o", "x.pcapng")[0] == 0
    assert frames(captures / "x.pcapng") == frames(source, "tcp.stream < 2")


@needs_tshark
def test_very_many_frames_come_in_sections_that_tshark_reads_as_one_file(captures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extract, "_FILTER", 8)
    source = SAMPLES / "ftp-active.pcap"
    wanted = [1, 2, 3, 7, 9, 12, 14, 15]
    (captures / "x.pcapng").write_bytes(b"".join(extract.extract(source, wanted)))
    assert len(list(extract.filters(wanted))) > 2
    assert frames(captures / "x.pcapng") == frames(source, f"frame.number in {{{', '.join(map(str, wanted))}}}")


def test_frame_numbers_become_runs() -> None:
    assert extract.runs([1, 2, 3, 5, 9, 10]) == ["1..3", "5", "9..10"]


@needs_tshark
@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["good.pcap", "f9"], 2, "no connection is called 'f9'; there are 1"),
        (["good.pcap", "f0"], 2, "no connection is called"),
        (["good.pcap", "x"], 2, "no connection is called"),
        (["missing.pcap", "f1"], 3, "missing.pcap"),
        (["text/text.pcap", "f1"], 3, "text.pcap"),
    ],
)
def test_what_is_not_there_is_said(captures: Path, pcaplint: Run, arguments: list[str], status: int, said: str) -> None:
    ended, out, err = pcaplint("extract", *arguments, "-o", "x.pcapng")
    assert (ended, out) == (status, "")
    assert said in err
    assert not (captures / "x.pcapng").exists()


def test_the_capture_is_not_written_over(captures: Path, pcaplint: Run) -> None:
    before = (captures / "good.pcap").read_bytes()
    assert pcaplint("extract", "good.pcap", "f1", "-o", "good.pcap")[0] == 2
    assert (captures / "good.pcap").read_bytes() == before


@needs_tshark
def test_a_tshark_that_copies_too_few_frames_and_ends_well_is_told(captures: Path, pcaplint: Run) -> None:
    program = captures / "tshark"
    program.write_text(f'#!/bin/sh\ncase "$*" in *" -w -") exec {TSHARK} "$@" -c 3;; esac\nexec {TSHARK} "$@"\n')
    program.chmod(0o755)
    status, out, err = pcaplint("extract", "good.pcap", "f1", "-o", "x.pcapng", "--tshark", program)
    assert (status, out, err) == (7, "", "pcaplint: error: tshark copied 3 of 5 frames\n")
    assert not (captures / "x.pcapng").exists()


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_packets_are_counted_however_they_come(size: int) -> None:
    script = parse("\n".join(["> S 1:1(0)"] * 20))
    data = build(script, pcapng=True)
    counter = extract._Packets()
    for place in range(0, len(data), size):
        counter.add(data[place : place + size])
    assert counter.count == 20
