"""pcaplint beside its peers on the same captures in the same run: packets a second, memory, ratios.

    python benchmarks/peers.py                                    455,000 packets, three rounds
    python benchmarks/peers.py --packets 455000 2000000 4000000   larger ones, too
    python benchmarks/peers.py --mix --format pcapng              IPv6, VLANs and timestamps, in pcapng
    python benchmarks/peers.py --flood 1000000 --fixtures 500     SYNs alone; many small files in one call
    python benchmarks/peers.py --only check tcptrace              some of the programs

Captures are made first (`traffic.py`). Every program is run once in each round, in turn, as a process of its own, start-up
included; what is printed is the median rate with the slowest and the fastest, processor time of all its processes, the peak of
their anonymous memory, and ratios of the medians. Slow programs get a slice, as their rate does not depend on the size. A program
that is not installed is named, with what installs it; Python's are looked for in the interpreter that `--python` names.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import traffic

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ROOT = Path(__file__).resolve().parents[1]
SAMPLE_SECONDS = 0.02
SLICE = {"slow": 100_000, "slowest": 1_500, "all": None}
OK = (0, 1)
"""Statuses of a program that did its work: pcaplint ends 1 when it has found something."""

INSTALL = "apt install tshark"
READ = "import sys; from analyzer import capture; capture.read(sys.argv[1], engine='native', processes=int(sys.argv[2]))"
START = "import pandas, analyzer.api, analyzer.capture.native.engine"
NFSTREAM = "import sys; from nfstream import NFStreamer; print(sum(1 for _ in NFStreamer(sys.argv[1], n_dissections=0)))"
DPKT = """
import sys, dpkt
for _, data in dpkt.pcapng.Reader(open(sys.argv[1], 'rb')) if sys.argv[1].endswith('ng') else dpkt.pcap.Reader(open(sys.argv[1], 'rb')):
    tcp = dpkt.ethernet.Ethernet(data).data.data
    tcp.seq, tcp.ack, tcp.flags
"""
SCAPY = """
import sys
from scapy.all import PcapReader, TCP
for packet in PcapReader(sys.argv[1]):
    tcp = packet[TCP]
    tcp.seq, tcp.ack, tcp.flags
"""
PYSHARK = """
import sys, pyshark
with pyshark.FileCapture(sys.argv[1], keep_packets=False) as capture:
    for packet in capture:
        packet.tcp.seq_raw, packet.tcp.ack_raw, packet.tcp.flags
"""


@dataclass(frozen=True)
class Program:
    """Something to run on a capture."""

    name: str
    what: str
    command: Callable[[Path, Path], list[str]]
    """Given the capture and an empty folder."""
    hint: str = ""
    """What installs it."""
    size: str = "all"
    """How much of the capture it gets; see `SLICE`."""
    module: str = ""
    """The Python module it needs."""


@dataclass
class Runs:
    """What was measured of one program on one capture."""

    packets: int
    seconds: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)
    failed: str = ""

    def rate(self) -> float:
        """Return the median of packets a second."""
        return self.packets / statistics.median(self.seconds)


def programs(python: str, jobs: int) -> list[Program]:
    """Return all programs, ours first."""
    own = sys.executable

    def check(*words: str, report: str = "json") -> Callable[[Path, Path], list[str]]:
        return lambda file, folder: [
            own, "-m", "analyzer", "check", "--no-expect", "--format", report, "--output", str(folder / "r"), *words, str(file),
        ]  # fmt: skip

    openings = ("--engine", "native", "--openings-only", "--jobs")

    columns = [
        "frame.number",
        "frame.time_epoch",
        "ip.src",
        "ip.dst",
        "tcp.srcport",
        "tcp.dstport",
        "tcp.seq_raw",
        "tcp.ack_raw",
        "tcp.flags",
    ]
    tshark = ["tshark", "-n", "-r"]
    wanted = [word for name in columns for word in ("-e", name)]
    return [
        Program("check", "pcaplint check, native engine, one process, JSON report", check("--engine", "native", "--jobs", "1")),
        Program("check-openings", "the same with --openings-only", check(*openings, "1")),
        Program("verdicts", "the same as CSV, a line a connection: headers and verdicts", check(*openings, "1", report="csv")),
        Program("verdicts-jobs", f"the same by {jobs} processes", check(*openings, str(jobs), report="csv")),
        Program("check-jobs", f"check by {jobs} processes", check("--engine", "native", "--jobs", str(jobs))),
        Program("check-auto", "pcaplint check as it comes: both engines compared on a sample", check()),
        Program("read", "pcaplint's native engine alone", lambda file, _: [own, "-c", READ, str(file), "1"]),
        Program("read-jobs", f"the same by {jobs} processes", lambda file, _: [own, "-c", READ, str(file), str(jobs)]),
        Program("start", "Python and the modules that the above import, no capture", lambda *_: [own, "-c", START]),
        Program("check-pyshark", "pcaplint check, pyshark engine", check("--engine", "pyshark"), INSTALL, "slow"),
        Program("nfpcapd", "flow records", lambda file, folder: ["nfpcapd", "-r", str(file), "-w", str(folder)], "apt install nfdump"),
        Program("tcptrace", "connections", lambda file, _: ["tcptrace", "-n", str(file)], "apt install tcptrace"),
        Program("argus", "flow records", lambda file, folder: ["argus", "-r", str(file), "-w", f"{folder}/a"], "apt install argus-server"),
        Program("tshark-fields", f"{len(columns)} fields", lambda file, _: [*tshark, str(file), "-T", "fields", *wanted], INSTALL, "slow"),
        Program("tshark-conv", "conversations", lambda file, _: [*tshark, str(file), "-q", "-z", "conv,tcp"], INSTALL, "slow"),
        Program("nfstream", "flows", lambda file, _: [python, "-c", NFSTREAM, str(file)], "pip install nfstream", module="nfstream"),
        Program("dpkt", "sequence numbers, in a loop", lambda file, _: [python, "-c", DPKT, str(file)], "pip install dpkt", "slow", "dpkt"),
        Program("scapy", "the same", lambda file, _: [python, "-c", SCAPY, str(file)], "pip install scapy", "slowest", "scapy"),
        Program("pyshark", "the same", lambda file, _: [own, "-c", PYSHARK, str(file)], "pip install pyshark", "slowest"),
    ]  # fmt: skip


def is_there(program: Program, python: str) -> bool:
    """Whether a program can be run."""
    if program.module:
        return not subprocess.run([python, "-c", f"import {program.module}"], capture_output=True, check=False).returncode
    return shutil.which(program.command(Path(), Path())[0]) is not None


def anonymous(pid: int) -> int:
    """Return the anonymous memory, in bytes, of a process and all its descendants."""
    total = 0
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                total += int(line.split()[1]) * 1024
        for task in Path(f"/proc/{pid}/task").iterdir():
            total += sum(anonymous(int(child)) for child in (task / "children").read_text().split())
    except OSError:
        pass
    return total


def run(argv: Sequence[str]) -> tuple[float, float, int, int]:
    """Return seconds, seconds of processor time, peak memory and status of a command."""
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT)
    peak, ended = 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not ended.wait(SAMPLE_SECONDS):
            peak = max(peak, anonymous(process.pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        status = process.wait()
    finally:
        seconds = time.perf_counter() - begun
        process.kill()
        ended.set()
        watcher.join()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, peak, status


def measure(chosen: Sequence[Program], files: dict[str, tuple[Path, int]], repeat: int) -> dict[str, Runs]:
    """Run every program `repeat` times, in turn; Ctrl-C ends this with what there is."""
    found = {program.name: Runs(files[program.size][1]) for program in chosen}
    try:
        for number in range(repeat * len(chosen)):
            program = chosen[number % len(chosen)]
            add_run(found[program.name], program, files[program.size][0])
    except KeyboardInterrupt:
        print("  stopped")
    return found


def add_run(runs: Runs, program: Program, file: Path) -> None:
    """Run a program once, unless it has failed before."""
    if runs.failed:
        return
    with tempfile.TemporaryDirectory() as folder:
        seconds, processor, memory, status = run(program.command(file, Path(folder)))
    if status not in OK:
        runs.failed = f"ended with status {status}"
        return
    runs.seconds.append(seconds)
    runs.processor.append(processor)
    runs.memory.append(memory)


def show(found: dict[str, Runs], chosen: Sequence[Program]) -> None:
    """Print a table and the ratios."""
    print(f"  {'':<14}{'packets':>10} {'packets/s: median':>18} {'min':>10} {'max':>10} {'cpu s':>8} {'memory':>8} {'B/packet':>9}")
    for program in chosen:
        runs = found[program.name]
        if not runs.seconds:
            print(f"  {program.name:<14}{runs.packets:>10,} {runs.failed or 'was not run'}")
            continue
        slowest, fastest = runs.packets / max(runs.seconds), runs.packets / min(runs.seconds)
        memory = statistics.median(runs.memory)
        print(
            f"  {program.name:<14}{runs.packets:>10,} {runs.rate():>18,.0f} {slowest:>10,.0f} {fastest:>10,.0f}"
            f" {statistics.median(runs.processor):>8.2f} {memory / 1e6:>5.0f} MB {memory / runs.packets:>9.0f}"
        )
    good = {name: runs for name, runs in found.items() if runs.seconds}
    ours = [name for name in good if name.startswith(("check", "read", "verdicts"))]
    peers = [name for name in good if name not in ours and name != "start"]
    for name in ours:
        print(f"  {name}: {', '.join(compare(good[name], good[peer], peer) for peer in peers) or 'no peer to compare with'}")


def compare(runs: Runs, other: Runs, peer: str) -> str:
    """Return the ratio of two rates, and of the packets a second of processor time."""
    effort = [statistics.median(one.processor) / one.packets for one in (other, runs)]
    return f"{runs.rate() / other.rate():.2f} x {peer} ({effort[0] / effort[1]:.2f} by processor)"


def make(folder: Path, name: str, packets: int, *, mixed: bool, flood: bool) -> dict[str, tuple[Path, int]]:
    """Write a capture and its slices, and return path and number of packets of each."""
    found = {}
    for size, limit in SLICE.items():
        wanted = min(limit or packets, packets)
        path = folder / f"{size}-{name}"
        if flood:
            count = traffic.write(path, traffic.flood(wanted, mixed=mixed))
        else:
            count = traffic.write(path, traffic.interleave(round(wanted / traffic.PACKETS_EACH), mixed=mixed))
        found[size] = path, count
    return found


def measure_fixtures(folder: Path, count: int, repeat: int) -> None:
    """Print what each of many small captures costs in one call, start-up aside."""
    fixtures = folder / "fixtures"
    fixtures.mkdir()
    for number in range(count):
        traffic.write(fixtures / f"{number:04}.pcap", traffic.interleave(number % 3 + 1, mixed=False))
    one = fixtures / "0000.pcap"
    for engine in ("native", "auto"):
        command = [
            sys.executable,
            "-m",
            "analyzer",
            "check",
            "--no-expect",
            "--engine",
            engine,
            "--format",
            "json",
            "--output",
            str(folder / "r"),
        ]
        seconds = [(run([*command, str(one)])[0], run([*command, str(fixtures)])[0]) for _ in range(repeat)]
        each = [(many - single) / max(count - 1, 1) * 1000 for single, many in seconds]
        shown = f"{statistics.median(each):.1f} ms each after the first ({min(each):.1f} to {max(each):.1f})"
        print(f"  {count} fixtures in one call, --engine {engine}: {shown}, one alone {statistics.median(one for one, _ in seconds):.2f} s")


def main() -> None:
    """Make the captures and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packets", type=int, nargs="*", default=[455_000], help="sizes of the captures")
    parser.add_argument("--format", choices=("pcap", "pcapng"), default="pcap")
    parser.add_argument("--mix", action="store_true", help="IPv6, VLANs and timestamps, too")
    parser.add_argument("--flood", type=int, metavar="N", default=0, help="also a capture of N SYNs, each of a connection of its own")
    parser.add_argument("--fixtures", type=int, metavar="N", default=0, help="also N small captures in one call")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="programs to run")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--python", default=sys.executable, help="the interpreter that has nfstream, dpkt and scapy")
    args = parser.parse_args()
    everything = programs(args.python, args.jobs)
    wanted = [program for program in everything if not args.only or program.name in args.only]
    chosen = [program for program in wanted if is_there(program, args.python)]
    for program in wanted:
        print(f"{program.name}: {program.what}" if program in chosen else f"{program.name} is not installed: {program.hint}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number, packets in [*((0, packets) for packets in args.packets), *((1, args.flood) for _ in range(bool(args.flood)))]:
            files = make(folder, f"capture.{args.format}", packets, mixed=args.mix, flood=bool(number))
            path, count = files["all"]
            kind = "SYNs" if number else "packets"
            mixed = ", mixed" if args.mix else ""
            print(f"\n{count:,} {kind}, {path.stat().st_size / 1e6:.0f} MB of {args.format}{mixed}; median of {args.repeat};")
            print(f"  load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
            show(measure(chosen, files, args.repeat), chosen)
        if args.fixtures:
            print()
            measure_fixtures(folder, args.fixtures, args.repeat)


if __name__ == "__main__":
    main()
