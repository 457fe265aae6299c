"""Captures through standard input, FIFOs and `<(…)`, for every command that reads captures."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from analyzer.errors import Exit

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed"),
    pytest.mark.skipif(sys.platform == "win32", reason="no FIFOs here"),
]
PCAPLINT = [sys.executable, "-m", "analyzer"]


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for temporary files of its own, which must be empty at the end of a test."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


def piped(data: bytes, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([*PCAPLINT, *arguments], input=data, capture_output=True, check=False)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("engine", ["native", "pyshark"])
def test_a_stream_is_judged_as_its_file_is(captures: Path, temporary: Path, engine: str, packed: bool) -> None:  # noqa: FBT001
    data = (captures / "wrong.pcap").read_bytes()
    options = ["--format", "json", "--quiet", "--engine", engine]
    from_file = subprocess.run([*PCAPLINT, "check", "wrong.pcap", *options], capture_output=True, check=False)
    done = piped(gzip.compress(data) if packed else data, "check", "-", *options)
    assert (done.returncode, done.stderr) == (Exit.FINDINGS, b"")
    expected = json.loads(from_file.stdout)
    (capture,) = expected["captures"]
    capture["path"] = "-"
    assert json.loads(done.stdout) == expected
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("name", ["-", "/dev/stdin"])
@pytest.mark.parametrize(
    ("command", "printed"),
    [
        (["check", "NAME"], b"invalid"),
        (["flows", "NAME"], b"invalid"),
        (["show", "NAME", "f1"], b"invalid"),
        (["diff", "good.pcap", "NAME"], b"invalid"),
        (["report", "NAME", "-o", "out"], b""),
        (["baseline", "write", "NAME"], b""),
        (["extract", "NAME", "f1", "-o", "one.pcapng"], b""),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_every_command_that_reads_captures_reads_streams(
    captures: Path, temporary: Path, name: str, command: list[str], printed: bytes
) -> None:
    done = piped((captures / "wrong.pcap").read_bytes(), *(name if one == "NAME" else one for one in command))
    assert done.returncode in {Exit.CLEAN, Exit.FINDINGS}, done.stderr
    assert printed in done.stdout
    assert str(temporary).encode() not in done.stdout + done.stderr
    assert list(temporary.iterdir()) == []


def test_standard_input_may_be_a_file(captures: Path) -> None:
    for name in ("-", "/dev/stdin"):
        with (captures / "good.pcap").open("rb") as file:
            assert subprocess.run([*PCAPLINT, "check", name], stdin=file, capture_output=True, check=False).returncode == Exit.CLEAN


def test_a_fifo_and_a_descriptor_are_read(captures: Path) -> None:
    command = f"{' '.join(PCAPLINT)} check <(cat wrong.pcap) <(gzip -c good.pcap) --quiet --format json"
    done = subprocess.run([str(shutil.which("bash")), "-c", command], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (Exit.FINDINGS, b"")
    assert [capture["status"] for capture in json.loads(done.stdout)["captures"]] == ["findings", "clean"]
    os.mkfifo(captures / "fifo")
    writer = threading.Thread(target=lambda: (captures / "fifo").write_bytes((captures / "good.pcap").read_bytes()))
    writer.start()
    done = subprocess.run([*PCAPLINT, "check", "fifo"], capture_output=True, check=False, timeout=60)
    writer.join()
    assert done.returncode == Exit.CLEAN
    assert done.stdout.splitlines()[1].startswith(b"fifo: 1 connection")


def test_a_cut_stream_is_a_damaged_capture(captures: Path) -> None:
    done = piped((captures / "good.pcap").read_bytes()[:-5], "check", "-")
    assert done.returncode == Exit.INCOMPLETE
    assert b"-: 1 connection in 4 packets" in done.stdout


@pytest.mark.parametrize(("data", "reason"), [(b"", b"the file is empty"), (b"no capture", b"it is not a capture")])
def test_what_is_no_capture_is_unreadable(data: bytes, reason: bytes) -> None:
    done = piped(data, "check", "-")
    assert done.returncode == Exit.UNREADABLE
    assert reason in done.stdout


@pytest.mark.parametrize(
    ("command", "status", "message"),
    [
        (["check", "-", "-"], Exit.USAGE, "-: this stream is named twice, and can be read once"),
        (["check", "-", "/dev/stdin"], Exit.USAGE, "/dev/stdin: this stream is named twice, and can be read once"),
        (["expect", "write", "-"], Exit.USAGE, "-: an expect.toml names files in its folder"),
    ],
)
def test_a_call_that_cannot_work_gets_one_line(command: list[str], status: int, message: str) -> None:
    done = piped(b"", *command)
    assert done.returncode == status
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith(f"pcaplint: error: {message}")


def test_a_closed_standard_input_is_unreadable() -> None:
    command = f"{' '.join(PCAPLINT)} check - <&-"
    done = subprocess.run([str(shutil.which("bash")), "-c", command], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (Exit.UNREADABLE, b"pcaplint: error: -: it cannot be read: Bad file descriptor\n")


def test_no_room_for_the_stream_ends_with_what_is_full(captures: Path, temporary: Path) -> None:
    data = (captures / "good.pcap").read_bytes() * 400
    limit = 16 << 10
    # A limit of the file size gives the same kind of error at the same place as a full disk does.
    script = (
        "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); from analyzer.cli import run; raise SystemExit(run(['check', '-']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        input=data,
        capture_output=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert done.returncode == Exit.ENVIRONMENT
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith(f"pcaplint: error: the folder for temporary files, {temporary}: File too large")
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, Exit.INTERRUPTED), (signal.SIGTERM, Exit.TERMINATED)])
def test_a_signal_while_the_producer_goes_on_ends_and_removes_the_copy(captures: Path, temporary: Path, number: int, status: int) -> None:
    process = subprocess.Popen(
        [*PCAPLINT, "check", "-", "--engine", "native"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdin is not None
    data = (captures / "good.pcap").read_bytes() * 300
    process.stdin.write(data)
    process.stdin.flush()
    while not list(temporary.rglob("stream-*")):
        time.sleep(0.02)
    process.send_signal(number)
    assert process.wait(timeout=60) == status
    for stream in (process.stdin, process.stdout, process.stderr):
        with contextlib.suppress(BrokenPipeError):
            if stream is not None:
                stream.close()
    assert list(temporary.iterdir()) == []


def test_ctrl_c_that_ends_the_producer_gives_the_report(captures: Path, temporary: Path) -> None:
    process = subprocess.Popen(
        [*PCAPLINT, "check", "-", "--engine", "native"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdin is not None
    data = (captures / "wrong.pcap").read_bytes()
    process.stdin.write(data[:-20])
    process.stdin.flush()
    while not list(temporary.rglob("stream-*")):
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(data[-20:], timeout=60)
    assert (process.returncode, err) == (Exit.FINDINGS, b"")
    assert b"invalid" in out
    assert list(temporary.iterdir()) == []


def test_a_live_tcpdump_is_piped_into_check(temporary: Path) -> None:
    tcpdump = shutil.which("tcpdump")
    if tcpdump is None:
        pytest.skip("tcpdump is not installed")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        producer = subprocess.Popen(
            [tcpdump, "-i", "lo", "-U", "--immediate-mode", "-w", "-", "tcp", "port", str(port)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert producer.stdout is not None
        assert producer.stderr is not None
        consumer = subprocess.Popen(
            [*PCAPLINT, "check", "-", "--quiet", "--format", "json"], stdin=producer.stdout, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        producer.stdout.close()
        said = producer.stderr.readline()
        while said and b"listening on" not in said:
            said = producer.stderr.readline()
        if not said:
            producer.stderr.close()
            producer.wait(timeout=60)
            consumer.communicate(timeout=60)
            pytest.skip("tcpdump may not capture on lo")
        with socket.create_connection(("127.0.0.1", port)) as client:
            accepted, _ = server.accept()
            with accepted:
                client.sendall(b"hello\r\n")
                accepted.recv(16)
        while consumer.poll() is None and sum(file.stat().st_size for file in temporary.rglob("stream-*")) < 24 + 4 * (16 + 66):
            time.sleep(0.02)
        producer.send_signal(signal.SIGINT)
        producer.stderr.read()
        producer.stderr.close()
        producer.wait(timeout=60)
        out, err = consumer.communicate(timeout=60)
    assert (consumer.returncode, err) == (Exit.CLEAN, b"")
    (flow,) = json.loads(out)["flows"]
    assert (flow["verdict"], flow["server_port"]) == ("complete", port)
    assert list(temporary.iterdir()) == []
