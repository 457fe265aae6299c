"""Both engines give the same tables, over every capture at hand; and which of them reads what."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from analyzer import api, schema
from analyzer.capture import choose_engine, discovery, formats, probe, read
from analyzer.capture.formats import model, scan
from analyzer.capture.native import engine as native_engine
from analyzer.capture.tshark import engine as tshark_engine
from analyzer.errors import EnvironmentFaultError
from analyzer.notation import build, parse
from tests.reference.public import CAPTURES, needs_captures

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from analyzer.model import Capture

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = sorted((ROOT / "sample_pcaps").glob("*.pcap"))
BATCH = 100
MOST_BYTES = 3_000_000
NO_TSHARK = "analyzer.capture.tshark.probe._USUAL_FOLDERS"

pytestmark = pytest.mark.skipif(
    shutil.which("tshark") is None or shutil.which("mergecap") is None, reason="tshark and mergecap are not installed"
)


def public() -> list[Path]:
    """Return the public captures that are not so large that tshark takes long for one."""
    files = (file for file in sorted(CAPTURES.rglob("*")) if file.is_file() and file.stat().st_size < MOST_BYTES)
    return [file for file in files if not discovery.sniff(file)]


FILES = public()
BATCHES = [FILES[first : first + BATCH] for first in range(0, len(FILES), BATCH)]


def by_us(file: Path) -> Capture:
    return native_engine.read(native_engine.NativeRequest(file, "x", probe(), seconds=120))


def by_tshark(file: Path) -> Capture:
    return tshark_engine.read(tshark_engine.TsharkRequest(file, "x", probe(), 120))


def options(capture: Capture) -> list[bytes]:
    table = capture.segments
    bounds = zip(table["option_start"].tolist(), table["option_length"].tolist(), strict=True)
    return [capture.option_bytes[start : start + length] for start, length in bounds]


def payloads(capture: Capture) -> list[bytes]:
    assert capture.payloads is not None
    places = zip(capture.segments["payload_start"].tolist(), capture.segments["payload_captured"].tolist(), strict=True)
    return [capture.payloads.read(start, length) if start >= 0 else b"" for start, length in places]


def values(column: pd.Series) -> np.ndarray[tuple[int], np.dtype[np.object_]]:
    return column.astype(object).to_numpy()


def assert_same(ours: Capture, theirs: Capture) -> None:
    """Every column of every row: text by value, option bytes by content; and all notes."""
    assert (ours.packets, ours.start_time, ours.end_time) == (theirs.packets, theirs.start_time, theirs.end_time)
    assert ours.complete == theirs.complete
    assert ours.notes == theirs.notes
    for table in (schema.SEGMENTS, schema.QUOTES):
        left, right = getattr(ours, table.name), getattr(theirs, table.name)
        schema.check(left, table)
        assert left["frame"].tolist() == right["frame"].tolist()
        for name in table.names:
            if name not in {"option_start", "payload_start"}:
                different = np.flatnonzero(values(left[name]) != values(right[name]))
                assert not len(different), (name, left.iloc[different[0]].to_dict(), right.iloc[different[0]].to_dict())
    assert options(ours) == options(theirs)
    assert payloads(ours) == payloads(theirs)


def merge(files: Sequence[Path], target: Path) -> list[Path]:
    """Write the frames of `files` to one capture, which keeps their link types and times; return the files it refuses."""
    left, refused = list(files), []
    while left:
        argv = ["mergecap", "-a", "-F", "pcapng", "-w", str(target), *map(str, left)]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if not done.returncode:
            break
        bad = [file for file in left if f'"{file}"' in done.stderr or f"{file} " in done.stderr]
        assert bad, done.stderr
        refused += bad
        left = [file for file in left if file not in bad]
    return refused


def compare(files: Sequence[Path], folder: Path) -> None:
    """Compare the engines over `files`, all of them together as far as they can be put together: tshark starts slowly.

    What is together foreign to us is compared in halves, so that one foreign capture hides no other.
    """
    target = folder / "all.pcapng"
    refused = merge(files, target)
    joined = [file for file in files if file not in refused]
    for file in [target, *refused]:
        try:
            ours = by_us(file)
        except model.UnsupportedFormatError:
            if file == target and len(joined) > 1:
                compare(joined[: len(joined) // 2], folder)
                compare(joined[len(joined) // 2 :], folder)
            continue
        assert_same(ours, by_tshark(file))


def test_law_8_over_the_samples(tmp_path: Path) -> None:
    compare(SAMPLES, tmp_path)


@needs_captures
@pytest.mark.parametrize("batch", range(len(BATCHES)))
def test_law_8_over_the_captures_of_other_projects(tmp_path: Path, batch: int) -> None:
    compare(BATCHES[batch], tmp_path)


UNCOUNTED = {"test018.pcapng", "test102.pcapng", "test202.pcapng", "test017-le.pcapng", "test017-be.pcapng"}
"""Captures with custom blocks, which are frames to tshark and not to capinfos."""


@needs_captures
def test_every_file_has_as_many_frames_as_wireshark_counts() -> None:
    counted: dict[Path, int] = {}
    for first in range(0, len(FILES), 400):
        argv = ["capinfos", "-T", "-M", "-r", "-c", "-m", *map(str, FILES[first : first + 400])]
        for line in subprocess.run(argv, capture_output=True, text=True, check=False).stdout.splitlines():
            name, _, number = line.rpartition(",")
            counted[Path(name.strip('"'))] = int(number)
    assert len(counted) > len(FILES) * 9 // 10
    different = {}
    for file, count in counted.items():
        try:
            found = sum(len(part) for part in formats.read(file, scan.ScanState()))
        except model.UnsupportedFormatError:
            continue
        if found != count:
            different[file.name] = (found, count)
    assert set(different) <= UNCOUNTED, different


SCRIPT = "> S 1:1(0)\n< S. 5:5(0) ack 2\n> . 2:2(0) ack 6"


@pytest.fixture
def small(tmp_path: Path) -> Path:
    file = tmp_path / "small.pcap"
    file.write_bytes(build(parse(SCRIPT)))
    return file


def fragmented(file: Path) -> Path:
    """Add a fragment of a datagram, which only tshark reads."""
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 44, 9, 0x2000, 64, 6, 0, b"\x0a\0\0\1", b"\x0a\0\0\2") + bytes(24)
    frame = bytes(12) + b"\x08\0" + ip
    target = file.with_name("fragmented.pcap")
    data = file.read_bytes()
    target.write_bytes(data + struct.pack("<4I", 1_700_000_000, 0, len(frame), len(frame)) + frame)
    return target


def test_the_engine_asked_for_reads(small: Path) -> None:
    assert read(small, engine="pyshark").engines == {"pyshark": 3}
    assert read(small, engine="native").engines == {"native": 3}
    assert read(fragmented(small), engine="native").engines == {"native": 3, "pyshark": 1}


def test_small_jobs_are_read_by_tshark_and_large_ones_by_us(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert read(small).engines == {"pyshark": 3}
    assert read(small, large=True).engines == {"native": 3}
    monkeypatch.setattr(choose_engine, "LARGE_SECONDS", choose_engine.START_SECONDS * 2.5)
    assert [one.engines for one in api.analyze([small] * 2).captures] == [{"pyshark": 3}] * 2
    assert [one.engines for one in api.analyze([small] * 3).captures] == [{"native": 3}] * 3
    assert [one.engines for one in api.analyze([small] * 3, engine="pyshark").captures] == [{"pyshark": 3}] * 3


@pytest.mark.parametrize("suffix", ["pcap", "pcapng", "pcap.gz"])
def test_a_job_is_judged_by_the_number_of_its_frames(tmp_path: Path, suffix: str) -> None:
    import gzip

    data = build(parse("\n".join(["> . 1:701(700) ack 1"] * 500)))
    plain, file = tmp_path / "x", tmp_path / f"x.{suffix}"
    plain.write_bytes(data)
    if suffix == "pcapng":
        subprocess.run([shutil.which("editcap") or "editcap", "-F", "pcapng", str(plain), str(file)], check=True)
    else:
        file.write_bytes(gzip.compress(data) if suffix.endswith("gz") else data)
    assert choose_engine.estimate(file) == pytest.approx(500, rel=0.2)
    assert choose_engine.estimate(tmp_path / "none") == 0


def test_of_a_large_capture_some_frames_are_read_by_both(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choose_engine, "COMPARED_BYTES", 0)
    capture = read(fragmented(small), large=True)
    assert capture.engines == {"native": 3, "pyshark": 4}
    assert "engines-differ" not in {note.id for note in capture.notes}
    assert capture.segments["frame"].tolist() == [1, 2, 3]


@pytest.mark.parametrize(("column", "wrong"), [("window", 7), ("src", 0), ("option_start", 1)])
def test_a_disagreement_is_a_loud_note(small: Path, monkeypatch: pytest.MonkeyPatch, column: str, wrong: int) -> None:
    from analyzer.capture.decode import tcp

    small.write_bytes(build(parse("> S 1:1(0) <mss 1460>\n< S. 5:5(0) ack 2 <mss 1400>")))
    right = tcp.decode

    def mistaken(*arguments: object) -> tcp.Decoded:
        decoded = right(*arguments)  # type: ignore[arg-type]
        decoded.segments[column][1] = wrong
        return decoded

    monkeypatch.setattr(tcp, "decode", mistaken)
    monkeypatch.setattr(choose_engine, "COMPARED_BYTES", 0)
    notes = [note for note in read(small, large=True).notes if note.id == "engines-differ"]
    assert [note.frame for note in notes] == [2]


def test_a_row_too_many_is_a_disagreement(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from analyzer.capture.decode import ip as ip_
    from analyzer.capture.decode import tcp

    small.write_bytes(build(parse("> . 1:21(20) ack 1")).replace(b"\x40\x06", b"\x40\x84"))
    monkeypatch.setattr(ip_, "TCP", 132)
    monkeypatch.setattr(tcp, "_NATIVE_PROTOCOLS", (*tcp._NATIVE_PROTOCOLS, 132))
    monkeypatch.setattr(choose_engine, "COMPARED_BYTES", 0)
    assert "engines-differ" in {note.id for note in read(small, large=True).notes}


@pytest.fixture
def no_tshark(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(NO_TSHARK, ())
    monkeypatch.setenv("PATH", str(tmp_path))


@pytest.mark.usefixtures("no_tshark")
def test_without_tshark_ordinary_captures_are_read(small: Path) -> None:
    capture = read(small)
    assert (capture.engines, capture.complete, len(capture.segments)) == ({"native": 3}, True, 3)
    with pytest.raises(EnvironmentFaultError, match="tshark was not found"):
        read(small, engine="pyshark")
    with pytest.raises(EnvironmentFaultError):
        read(small, tshark="/nonexistent/tshark")


@pytest.mark.usefixtures("no_tshark")
def test_without_tshark_what_it_alone_reads_is_missing_and_said_to_be(small: Path) -> None:
    capture = read(fragmented(small))
    assert (capture.complete, capture.readable, len(capture.segments)) == (False, True, 3)
    assert "frame 4" in capture.reason
    small.write_bytes(small.read_bytes()[:4] + struct.pack("<HH", 2, 3) + small.read_bytes()[8:])
    capture = read(small)
    assert (capture.complete, capture.readable) == (False, False)
    assert "tshark" in capture.reason


def test_a_tshark_that_fails_on_the_rest_makes_the_capture_incomplete(small: Path, tmp_path: Path) -> None:
    known = probe()
    script = tmp_path / "tshark"
    script.write_text(f'#!/bin/sh\ncase "$1" in -v|-G) exec {known.path} "$@";; esac\nkill -9 $$\n')
    script.chmod(0o755)
    capture = read(fragmented(small), engine="native", tshark=str(script))
    assert (capture.complete, len(capture.segments)) == (False, 3)
    assert "SIGKILL" in capture.reason


def test_a_capture_mostly_for_tshark_is_left_to_it_whole(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native_engine, "_MANY_FRAMES", 4)
    file = fragmented(small)
    assert read(file, engine="native").engines == {"native": 3, "pyshark": 1}
    file.write_bytes(file.read_bytes() + fragmented(small).read_bytes()[small.stat().st_size :] * 4)
    assert read(file, engine="native").engines == {"pyshark": 8}


def test_reading_stops_when_its_time_is_up(small: Path) -> None:
    capture = read(small, engine="native", timeout_s=0.0)
    assert not capture.complete
    assert "longer than 0 s" in capture.reason


def test_progress_is_told(small: Path) -> None:
    told: list[int] = []
    read(small, engine="native", progress=told.append)
    assert told[-1] == 3
