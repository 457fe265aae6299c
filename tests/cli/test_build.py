"""`pcaplint build`: what it writes is what tshark reads, and what cannot be built is said with line and column."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Run = Callable[..., tuple[int, str, str]]

TSHARK = shutil.which("tshark") or ""
needs_tshark = pytest.mark.skipif(not TSHARK, reason="tshark is not installed")
SCRIPT = """\
client [2001:db8::1]:40000 vlan 7
server [2001:db8::2]:25 ttl 57
2> S 7:7(0) win 1024 <mss 1460,sackOK,TS val 1 ecr 0,nop,wscale 7> frag 16
> S 4294967295:4294967295(0) win 64240 <mss 1440>
+0.020 < S. 300:300(0) ack +1 win 65535
> P. +1:+5(4) ack +1 "EHLO"
2< icmp 3/1 quote 7 from 203.0.113.9
"""
FIELDS = ("frame.number", "tcp.srcport", "tcp.dstport", "tcp.seq_raw", "tcp.ack_raw", "tcp.flags", "tcp.window_size_value", "tcp.len")
SUMS = ("ip.checksum.status", "tcp.checksum.status", "icmp.checksum.status", "_ws.malformed", "_ws.expert.severity")


def tshark(path: Path, fields: tuple[str, ...], *arguments: str) -> list[list[str]]:
    checked = [part for name in ("tcp", "ip", "udp") for part in ("-o", f"{name}.check_checksum:TRUE")]
    command = [TSHARK, "-n", "-r", str(path), *checked, *arguments, "-T", "fields", *(part for name in fields for part in ("-e", name))]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return [line.split("\t") for line in done.stdout.splitlines()]


@needs_tshark
@pytest.mark.parametrize("name", ["x.pcap", "x.pcapng"])
def test_tshark_reads_what_the_script_says_and_complains_of_nothing(captures: Path, pcaplint: Run, name: str) -> None:
    (captures / "script.txt").write_text(SCRIPT)
    assert pcaplint("build", "script.txt", "-o", name) == (0, "", f"{name}: 6 frames\n")
    assert tshark(captures / name, FIELDS, "-Y", "tcp && !icmp") == [
        ["2", "40001", "80", "7", "0", "0x0002", "1024", "0"],
        ["3", "40000", "25", "4294967295", "0", "0x0002", "64240", "0"],
        ["4", "25", "40000", "300", "0", "0x0012", "65535", "0"],
        ["5", "40000", "25", "0", "301", "0x0018", "65535", "4"],
    ]
    sums = tshark(captures / name, SUMS)
    assert len(sums) == 6
    for ip, tcp, icmp, malformed, severities in sums:
        assert {*ip.split(","), *tcp.split(","), *icmp.split(",")} <= {"", "1"}
        assert malformed == ""
        assert all(int(severity) < 0x600000 for severity in severities.split(",") if severity)  # below a warning (Wireshark's PI_WARN)
    magic = (captures / name).read_bytes()[:4]
    assert magic.hex() == ("0a0d0d0a" if name.endswith("ng") else "4d3cb2a1")


def test_the_same_script_gives_the_same_bytes(captures: Path, pcaplint: Run) -> None:
    (captures / "script.txt").write_text(SCRIPT)
    for name in ("a.pcap", "b.pcap"):
        assert pcaplint("build", "script.txt", "-o", name)[0] == 0
    assert (captures / "a.pcap").read_bytes() == (captures / "b.pcap").read_bytes()


def test_what_is_built_is_checked_like_any_capture(captures: Path, pcaplint: Run) -> None:
    (captures / "script.txt").write_text("> S 100:100(0)\n< S. 300:300(0) ack 102\n> R 102:102(0)\n")
    assert pcaplint("build", "script.txt", "-o", "built.pcap")[0] == 0
    status, out, _ = pcaplint("check", "built.pcap")
    assert status == 1
    assert "synack-ack-wrong" in out


def test_a_script_comes_from_standard_input(captures: Path, pcaplint: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(SCRIPT.encode())))
    assert pcaplint("build", "-", "-o", "x.pcap")[0] == 0
    (captures / "script.txt").write_text(SCRIPT)
    assert pcaplint("build", "script.txt", "-o", "y.pcap")[0] == 0
    assert (captures / "x.pcap").read_bytes() == (captures / "y.pcap").read_bytes()


def test_a_capture_goes_to_standard_output(captures: Path, pcaplint: Run, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    from analyzer.cli import run

    (captures / "script.txt").write_text(SCRIPT)
    assert pcaplint("build", "script.txt", "-o", "x.pcap")[0] == 0
    assert run(["build", "script.txt", "-o", "-"]) == 0
    assert capfdbinary.readouterr().out == (captures / "x.pcap").read_bytes()


@pytest.mark.parametrize(
    ("content", "status", "said"),
    [
        (b"> S 100:100(0)\n< S. 300:301(0) ack 101\n", 2, "bad.txt: line 2, column 10: 300 and 0 bytes end at 300, not 301"),
        (b"hello\n", 2, "bad.txt: line 1, column 1: "),
        (b"> S 100:100(0) iface 1\n", 2, "call it .pcapng"),
        (b"> P. 0:262000(262000) ack 1\n" * 1025, 2, "add up to more than"),
        (b"\xff\xfe", 3, "byte 1 is no UTF-8"),
    ],
)
def test_what_cannot_be_built_is_said_and_nothing_is_written(captures: Path, pcaplint: Run, content: bytes, status: int, said: str) -> None:
    (captures / "bad.txt").write_bytes(content)
    (captures / "x.pcap").write_bytes(b"old")
    ended, out, err = pcaplint("build", "bad.txt", "-o", "x.pcap")
    assert (ended, out) == (status, "")
    assert said in err
    assert len(err.splitlines()) == 1
    assert (captures / "x.pcap").read_bytes() == b"old"


def test_a_missing_script_is_no_input(captures: Path, pcaplint: Run) -> None:
    status, _, err = pcaplint("build", "missing.txt", "-o", "x.pcap")
    assert status == 3
    assert "missing.txt" in err
    assert not (captures / "x.pcap").exists()


def test_nothing_is_written_through_a_link_or_over_the_script(captures: Path, pcaplint: Run) -> None:
    (captures / "script.txt").write_text(SCRIPT)
    (captures / "link.pcap").symlink_to(captures / "elsewhere.pcap")
    (captures / "hard.pcap").hardlink_to(captures / "script.txt")
    for name, said in (
        ("link.pcap", "is a link"),
        ("script.txt", "is the script"),
        ("hard.pcap", "is the script"),
        ("no/x.pcap", "no folder"),
    ):
        status, _, err = pcaplint("build", "script.txt", "-o", name)
        assert status == 2
        assert said in err
    assert not (captures / "elsewhere.pcap").exists()
    assert (captures / "script.txt").read_text() == SCRIPT


@needs_tshark
def test_the_notation_is_shown_and_its_own_example_builds(captures: Path, pcaplint: Run) -> None:
    status, out, _ = pcaplint("build", "--notation")
    assert status == 0
    lines = [
        line[4:56].strip() if not line.startswith("    > S 100") else line.strip() for line in out.splitlines() if line.startswith("    ")
    ]
    (captures / "script.txt").write_text("\n".join(lines) + "\n")
    assert pcaplint("build", "script.txt", "-o", "x.pcap") == (0, "", "x.pcap: 8 frames\n")
    assert len(tshark(captures / "x.pcap", ("frame.number",))) == 8
