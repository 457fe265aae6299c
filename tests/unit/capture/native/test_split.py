"""One file read in parts by several processes gives what one process gives, whatever the file holds and whoever is lost."""

from __future__ import annotations

import io
import random
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from analyzer import api, report, schema
from analyzer.capture import choose_engine, timestamps
from analyzer.capture.decode.dictionary import Dictionaries
from analyzer.capture.formats import model
from analyzer.capture.native import batches, pool, split
from analyzer.capture.native import engine as native_engine
from analyzer.execution import local
from analyzer.notation import build, parse
from tests.reference.wire import START, block

if TYPE_CHECKING:
    from collections.abc import Iterator

    from analyzer.model import Capture

ROOT = Path(__file__).resolve().parents[4]
SCRIPT = "> S 1:1(0) <mss 1460>\n< S. 5:5(0) ack 2 <mss 1400>\n> . 2:2(0) ack 6\n> P. 2:302(300) ack 6\n< F. 6:6(0) ack 302"


def packets(data: bytes) -> list[bytes]:
    """Return the frames of a little-endian pcap file."""
    at, found = 24, []
    while at < len(data):
        (size,) = struct.unpack_from("<I", data, at + 8)
        found.append(data[at + 16 : at + 16 + size])
        at += 16 + size
    return found


FRAMES = packets(build(parse(SCRIPT)))


def traffic(count: int, seed: int = 1) -> Iterator[bytes]:
    """Give frames of many hosts, some of IPv6 and in VLANs, some with payload that reads like a chain of records, fragments."""
    rng = random.Random(seed)  # noqa: S311 - the same capture every time
    chain = b"".join(struct.pack("<4I", START, 1, 4, 4) + bytes(4) for _ in range(60))
    blocks = b"".join(struct.pack("<7I", 6, 36, 0, 0, 0, 4, 4) + bytes(4) + struct.pack("<I", 36) for _ in range(30))
    for number in range(count):
        frame = bytearray(FRAMES[number % len(FRAMES)])
        frame[26:34] = bytes([10, 0, number >> 8 & 255, number & 255, 10, 1, 0, rng.randrange(5)])
        if rng.random() < 0.1:
            frame[20:22] = b"\x20\x00"
        if rng.random() < 0.1:
            frame[12:12] = b"\x81\x00" + bytes([0, rng.randrange(4)])
        yield bytes(frame) + (rng.choice((chain, blocks, b"")) if rng.random() < 0.2 else b"")


def pcap(count: int, order: str = "<") -> bytes:
    found = [struct.pack(order + "IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1)]
    for number, frame in enumerate(traffic(count)):
        # Now and then the clock is set back.
        seconds = START + number - (50 if number % 97 == 0 else 0)
        found.append(struct.pack(order + "4I", seconds, 0, len(frame), len(frame) + number % 2) + frame)
    return b"".join(found)


def pcapng(count: int, *, sections: int = 1, described_at: int = 0) -> bytes:
    found = []
    for section in range(sections):
        order = "<>"[section % 2]
        found.append(block(order, 0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1)))
        found.append(block(order, 1, struct.pack(order + "HHI", 1, 0, 0)))
        for number, frame in enumerate(traffic(count, seed=section)):
            if number == described_at:
                found.append(block(order, 1, struct.pack(order + "HHI", 1, 0, 0)))
            ticks = (START + number) * 10**6
            head = struct.pack(order + "5I", number >= described_at, ticks >> 32, ticks & 0xFFFFFFFF, len(frame), len(frame))
            found.append(block(order, 6, head + frame))
            if number % 50 == 0:
                found.append(block(order, 0xBAD, struct.pack(order + "I", 32473) + bytes(8)))
    return b"".join(found)


FILES = {
    "pcap": pcap(2000),
    "pcap of the other byte order": pcap(2000, ">"),
    "pcap that is cut": pcap(2000)[:-3],
    "pcap with a record too long": pcap(1000) + struct.pack("<4I", START, 0, 2**30, 2**30) + pcap(1000)[24:],
    "pcapng": pcapng(2000),
    "pcapng with an interface in the middle": pcapng(2000, described_at=900),
    "pcapng of three sections": pcapng(700, sections=3),
    "pcapng that is cut": pcapng(2000)[:-3],
    "pcapng with a bad block": pcapng(1000) + bytes(4) + pcapng(1000),
    "pcapng with a bad packet": pcapng(1000) + block("<", 6, struct.pack("<5I", 9, 0, 0, 0, 0)) + pcapng(1000),
}


@pytest.fixture(autouse=True)
def many_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let small files be large."""
    monkeypatch.setattr(choose_engine, "MIN_FRAMES", 0)
    monkeypatch.setattr(split, "MIN_FRAMES_PER_RANGE", 1)
    monkeypatch.setattr(split, "MIN_RANGE_BYTES", 1 << 12)
    monkeypatch.setattr(split, "_HEAD_BYTES", 1 << 10)
    monkeypatch.setattr(batches, "_MIN_SAMPLE_INTERVAL_BYTES", 1 << 16)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process do the work of the others."""

    def wait(_: pool.RangeReaders, part: pool.RangeTask, __: float) -> bool:
        pool._fill(part)
        return True

    monkeypatch.setattr(pool, "_start", no_process)
    monkeypatch.setattr(pool.RangeReaders, "wait", wait)


def no_process() -> None:
    raise OSError


def read(file: Path, processes: int) -> Capture:
    return native_engine.read(native_engine.NativeRequest(file, "x", None, 60, processes=processes))


def assert_same(left: Capture, right: Capture) -> None:
    for table in (schema.SEGMENTS, schema.QUOTES):
        one, two = getattr(left, table.name), getattr(right, table.name)
        for name in table.names:
            if name != "option_start":
                assert one[name].astype(object).tolist() == two[name].astype(object).tolist(), name
    runs = [
        [one.option_bytes[at : at + size] for at, size in zip(one.segments["option_start"], one.segments["option_length"], strict=True)]
        for one in (left, right)
    ]
    assert runs[0] == runs[1]
    facts = ("packets", "complete", "reason", "readable", "engines", "notes", "start_time", "end_time")
    assert [getattr(left, name) for name in facts] == [getattr(right, name) for name in facts]


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("shares", [3, 50])
def test_parts_give_what_the_whole_gives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, shares: int) -> None:
    monkeypatch.setattr(split, "RANGES_PER_PROCESS", shares)
    file = tmp_path / "x"
    file.write_bytes(FILES[name])
    assert len(split.divide(file)) >= min(shares, 20) // 3
    assert_same(read(file, 1), read(file, 2))


@pytest.mark.usefixtures("here")
def test_a_part_that_begins_in_a_payload_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A chain of records within a payload, longer than any search goes on, leads into the record after it."""
    chain = b"".join(struct.pack("<4I", START, 1, 4, 4) + bytes(4) for _ in range(1000))
    frame = FRAMES[0] + chain + struct.pack("<4I", START, 1, 0, 0)
    data = pcap(200) + struct.pack("<4I", START, 0, len(frame), len(frame)) + frame + pcap(200)[24:]
    file = tmp_path / "x"
    file.write_bytes(data)
    monkeypatch.setattr(split, "RANGES_PER_PROCESS", 20)
    own = [part for part in split.divide(file) if len(pcap(200)) < part.byte < len(pcap(200)) + len(frame)]
    assert own, "the test is to have a part that begins wrongly"
    assert_same(read(file, 1), read(file, 2))


@pytest.mark.usefixtures("here")
def test_what_only_tshark_reads_is_refused_as_a_whole(tmp_path: Path) -> None:
    file = tmp_path / "x"
    file.write_bytes(pcapng(1000) + block("<", 9, b"MESSAGE=x\n\n") + pcapng(500))
    for count in (1, 2):
        with pytest.raises(model.UnsupportedFormatError, match="events"):
            read(file, count)


def test_a_gzip_file_and_one_that_begins_strangely_are_not_divided(tmp_path: Path) -> None:
    import gzip

    file = tmp_path / "x"
    file.write_bytes(gzip.compress(FILES["pcap"]))
    assert not choose_engine.is_divisible(file)
    file.write_bytes(FILES["pcap"][:24])
    assert split.divide(file) == []


@pytest.mark.parametrize("name", ["pcap", "pcapng with an interface in the middle"])
def test_other_processes_read_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    file, taken = tmp_path / "x", []
    file.write_bytes(FILES[name])
    collect = pool._collect

    def noted(process: subprocess.Popen[bytes], part: pool.RangeTask) -> None:
        taken.append(process.pid)
        collect(process, part)

    def wait(self: pool.RangeReaders, part: pool.RangeTask, deadline: float) -> bool:
        while part.state in {pool.RangeState.WAITING, pool.RangeState.TAKEN} and time.monotonic() < deadline:
            time.sleep(0.01)
        return part.state is pool.RangeState.READ or self.keep_local(part)

    monkeypatch.setattr(pool, "_collect", noted)
    monkeypatch.setattr(pool.RangeReaders, "wait", wait)
    assert_same(read(file, 1), read(file, 3))
    assert len(taken) > 5
    assert not any(Path(f"/proc/{pid}").exists() for pid in taken)


def test_a_report_does_not_depend_on_the_number_of_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "x"
    file.write_bytes(FILES["pcap"])
    monkeypatch.setattr(choose_engine, "LARGE_SECONDS", 0.0)
    monkeypatch.setattr(choose_engine, "COMPARED_BYTES", 0)
    shown = ["".join(report.render(api.analyze(file, jobs=jobs), "json")) for jobs in (1, 3)]
    assert shown[0] == shown[1]


READY = (
    "import os, pickle, sys, time; sys.path[:] = pickle.load(sys.stdin.buffer); from analyzer.execution import local; "
    "local.send_result(sys.stdout.buffer, local.READY); "
)


@pytest.mark.parametrize(
    ("program", "how"),
    [
        (READY + "pickle.load(sys.stdin.buffer); os.kill(os.getpid(), 9)", "signal 9"),
        (READY + "pickle.load(sys.stdin.buffer); print('x' * 99); sys.exit(3)", "status 3"),
        ("print('hello' * 9)", "status 0"),
        ("this is no program", "status 1"),
    ],
)
def test_a_process_that_is_lost_costs_nothing_but_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, how: str) -> None:
    file = tmp_path / "x"
    file.write_bytes(FILES["pcap"])
    monkeypatch.setattr(pool, "PROGRAM", program)
    wait = pool.RangeReaders.wait

    def patient(self: pool.RangeReaders, part: pool.RangeTask, deadline: float) -> bool:
        while not self.lost and time.monotonic() < deadline:
            time.sleep(0.01)
        return wait(self, part, deadline)

    monkeypatch.setattr(pool.RangeReaders, "wait", patient)
    found, right = read(file, 2), read(file, 1)
    assert [note.id for note in found.notes if note not in right.notes] == ["process-lost"]
    assert how in next(note.text for note in found.notes if note.id == "process-lost")
    assert (found.complete, found.reason) == (right.complete, right.reason)
    assert found.segments["frame"].tolist() == right.segments["frame"].tolist()


def test_waiting_for_others_ends_when_time_is_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "x"
    file.write_bytes(FILES["pcap"])
    monkeypatch.setattr(pool, "PROGRAM", READY + "time.sleep(60)")
    monkeypatch.setattr(pool, "_WAIT_SECONDS", 0.05)
    wait = pool.RangeReaders.wait

    def patient(self: pool.RangeReaders, part: pool.RangeTask, deadline: float) -> bool:
        while part.state is pool.RangeState.WAITING and time.monotonic() < deadline + 60:
            time.sleep(0.01)
        return wait(self, part, deadline)

    monkeypatch.setattr(pool.RangeReaders, "wait", patient)
    begun = time.monotonic()
    capture = native_engine.read(native_engine.NativeRequest(file, "x", None, 2.0, processes=2))
    assert time.monotonic() - begun < 55
    assert not capture.complete
    assert "longer than 2 s" in capture.reason


INTERRUPTED = """
import os, sys, time
from pathlib import Path
from analyzer.capture import choose_engine
from analyzer.capture.native import engine, pool, split
choose_engine.MIN_FRAMES, split.MIN_FRAMES_PER_RANGE, split.MIN_RANGE_BYTES, split._HEAD_BYTES = 0, 1, 4096, 1024
pool.PROGRAM = sys.argv[2]
start = pool._start
def shown():
    process = start()
    print(process.pid, flush=True)
    return process
pool._start = shown
wait = pool.RangeReaders.wait
def patient(self, part, deadline):
    while part.state is pool.RangeState.WAITING:
        time.sleep(0.01)
    print("waiting", flush=True)
    return wait(self, part, deadline)
pool.RangeReaders.wait = patient
engine.read(engine.NativeRequest(Path(sys.argv[1]), "x", None, 60, processes=3))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_no_process_is_left_behind(tmp_path: Path, number: signal.Signals) -> None:
    file = tmp_path / "x"
    file.write_bytes(FILES["pcap"])
    # If this one is killed, nobody can end the others: they end because nobody talks to them.
    program = READY + ("time.sleep(60)" if number is signal.SIGINT else "sys.stdin.buffer.read()")
    command = [sys.executable, "-c", INTERRUPTED, str(file), program]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        pids = [int(process.stdout.readline()) for _ in range(2)]
        assert process.stdout.readline() == "waiting\n"
        process.send_signal(number)
        process.wait(30)
    assert process.returncode == -number
    for _ in range(100):
        left = [pid for pid in pids if alive(pid)]
        if not left:
            break
        time.sleep(0.1)
    assert not left


def alive(pid: int) -> bool:
    """Whether a process runs; one that only waits to be reaped by whom it was left to does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_warnings_that_are_errors_are_none(tmp_path: Path) -> None:
    file = tmp_path / "x"
    file.write_bytes(FILES["pcap"])
    program = INTERRUPTED.partition("pool.PROGRAM")[0] + (
        "import threading\nthreading.Thread(target=time.sleep, args=(5,), daemon=True).start()\n"
        "found = engine.read(engine.NativeRequest(Path(sys.argv[1]), 'x', None, 60, processes=3))\n"
        "print(found.packets, [note.id for note in found.notes])\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-X", "dev", "-c", program, str(file)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("2000 ")
    assert "process-lost" not in done.stdout


def test_items_come_through_a_pipe_as_they_were() -> None:
    pipe = io.BytesIO()
    arrays: dict[str, Any] = {"a": np.arange(5, dtype=np.uint16), "b": np.zeros(0), "c": np.arange(10)[::2]}
    local.send_result(pipe, arrays)
    local.send_result(pipe, "end")
    pipe.seek(0)
    found = local.receive(pipe)
    assert all((found[name] == array).all() and found[name].dtype == array.dtype for name, array in arrays.items())
    assert local.receive(pipe) == "end"
    with pytest.raises(EOFError):
        local.receive(pipe)
    with pytest.raises(EOFError):
        local.receive(io.BytesIO(pipe.getvalue()[:-1][: -len(pipe.getvalue()) // 2]))


@pytest.mark.parametrize("cut", range(1, 6))
def test_clocks_of_two_halves_are_the_clock_of_the_whole(cut: int) -> None:
    times = np.array([5, schema.NO_TIME, 7, 3, 9, 8], dtype=np.int64)
    whole, left, right = timestamps.Timestamps(), timestamps.Timestamps(), timestamps.Timestamps()
    whole.observe(times, np.arange(1, 7))
    left.observe(times[:cut], np.arange(1, cut + 1))
    right.observe(times[cut:], np.arange(1, 7 - cut))
    right.renumber(cut)
    left.merge(right)
    assert left == whole


def test_the_sample_that_both_read_does_not_depend_on_windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "x"
    file.write_bytes(FILES["pcap"])
    seen = []
    for window in (1 << 12, 1 << 24):
        monkeypatch.setattr("analyzer.capture.formats.window.WINDOW_BYTES", window)
        monkeypatch.setattr("analyzer.capture.formats.window._MIN_WINDOW_BYTES", window)
        byte_range = batches.ByteRange(file, sample_interval=1 << 17)
        seen.append([number for piece in batches.read(byte_range, Dictionaries()) for number in piece.compared.tolist()])
    assert seen[0] == seen[1]
    assert 50 < len(seen[0]) < 1000
