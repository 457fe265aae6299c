"""How fast the pyshark engine reads, against a bare tshark asked for the same fields; and what one small capture costs.

    pyshark_engine.py [CAPTURE] [--repeat N] [--cores all|one]

Without CAPTURE a deterministic one of 100,000 segments is written first. Ratios are of runs that alternate on one
machine; absolute times mean nothing elsewhere.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CONNECTIONS = 5_000
DATA_SEGMENTS = 15
OPTIONS = bytes.fromhex("020405b40402080a000000010000000001030307")
SYN, PUSH, ACK, FIN = 0x002, 0x008, 0x010, 0x001
PAYLOAD = b"x" * 500


def segment(source: int, port: int, flags: int, sequence: int, payload: bytes = b"") -> bytes:
    """Return an Ethernet frame."""
    options = OPTIONS if flags & SYN else b""
    size = 20 + len(options)
    tcp = struct.pack("!HHIIHHHH", port, 80, sequence, 1, size // 4 << 12 | flags, 64240, 0, 0) + options + payload
    ip = struct.pack("!BBHHHBBHII", 0x45, 0, 20 + len(tcp), sequence & 0xFFFF, 0x4000, 64, 6, 0, source, 0xC0000201)
    return bytes(12) + b"\x08\x00" + ip + tcp


def write(path: Path) -> None:
    """Write connections of `DATA_SEGMENTS` + 5 segments, one after another."""
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        number = 0
        for connection in range(CONNECTIONS):
            source, port = 0x0A000000 + connection % 4000, 1024 + connection
            kinds = [(SYN, b""), (SYN | ACK, b""), (ACK, b""), *[(PUSH | ACK, PAYLOAD)] * DATA_SEGMENTS, (FIN | ACK, b""), (ACK, b"")]
            for place, (flags, payload) in enumerate(kinds):
                frame = segment(source, port, flags, connection * 1000 + place, payload)
                file.write(struct.pack("<IIII", 1_700_000_000 + number // 10**6, number % 10**6, len(frame), len(frame)) + frame)
                number += 1


def spent() -> float:
    """Return the processor seconds of this process and of the children it has waited for."""
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def compare(path: Path, repeat: int) -> None:
    """Print the rates of bare tshark and of the engine, and their ratio."""
    from analyzer import capture

    found = capture.read(path, engine="pyshark")
    argv = found.stats["argv"]
    rows: dict[str, list[tuple[float, float]]] = {"tshark": [], "engine": []}
    for _ in range(repeat):
        for name, runs in rows.items():
            begun, before = time.perf_counter(), spent()
            if name == "tshark":
                with tempfile.TemporaryFile() as sink:
                    subprocess.run(argv, stdout=sink, stderr=subprocess.DEVNULL, check=True)
            else:
                capture.read(path, engine="pyshark")
            runs.append((time.perf_counter() - begun, spent() - before))
    wall = {name: statistics.median(row[0] for row in runs) for name, runs in rows.items()}
    processor = {name: statistics.median(row[1] for row in runs) for name, runs in rows.items()}
    cores = len(os.sched_getaffinity(0))
    print(f"{found.packets:,} frames, {len(found.segments):,} segments, median of {repeat}, {cores} core(s)")
    for name in rows:
        rate = found.packets / wall[name]
        print(f"  {name:8}{rate:>10,.0f} frames/s {wall[name]:8.2f} s  {processor[name]:8.2f} s of processor")
    ratio, effort = wall["tshark"] / wall["engine"], processor["tshark"] / processor["engine"]
    print(f"  rate, engine to bare tshark: {ratio:.2f} (by processor time: {effort:.2f})")


def measure_memory(path: Path) -> None:
    """Print the anonymous memory the tables take, above that of an interpreter which has read one frame."""
    script = (
        "import sys; from pathlib import Path; from analyzer import capture\n"
        "def now(): return int(Path('/proc/self/status').read_text().split('RssAnon:')[1].split()[0]) * 1024\n"
        "def peak(): return int(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0]) * 1024\n"
        "capture.read(sys.argv[1], engine='pyshark'); before = now(), peak(); found = capture.read(sys.argv[2], engine='pyshark')\n"
        "print(*[f'{(a - b) / found.packets:.0f}' for a, b in zip((now(), peak()), before)])"
    )
    with tempfile.TemporaryDirectory() as folder:
        small = Path(folder) / "small.pcap"
        small.write_bytes(path.read_bytes()[:24])
        done = subprocess.run([sys.executable, "-c", script, str(small), str(path)], capture_output=True, text=True, check=True)
    kept, peak = done.stdout.split()
    print(f"  memory: {kept} bytes a packet kept, {peak} at the peak")


def measure_start(repeat: int) -> None:
    """Print what one small capture costs in a fresh process, against its unavoidable parts."""
    from analyzer import capture

    tshark = capture.probe().path
    with tempfile.TemporaryDirectory() as folder:
        small = Path(folder) / "small.pcap"
        frame = segment(0x0A000001, 1024, SYN, 1)
        header = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
        small.write_bytes(header + struct.pack("<IIII", 1_700_000_000, 0, len(frame), len(frame)) + frame)
        commands = {
            "import pandas": [sys.executable, "-c", "import pandas"],
            "import pyshark": [sys.executable, "-c", "import pyshark"],
            "tshark": [tshark, "-n", "-r", str(small)],
            "read": [
                sys.executable,
                "-c",
                "import sys; from analyzer import capture; capture.read(sys.argv[1], engine='pyshark')",
                str(small),
            ],
        }
        times: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(repeat):
            for name, command in commands.items():
                begun = time.perf_counter()
                subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
                times[name].append(time.perf_counter() - begun)
    medians = {name: statistics.median(values) for name, values in times.items()}
    parts = sum(seconds for name, seconds in medians.items() if name != "read")
    shown = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in medians.items())
    print(f"one small capture: {shown}; read to the sum of the others: {medians['read'] / parts:.2f}")


def main() -> None:
    """Run all measurements."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("capture", nargs="?", type=Path)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--cores", choices=("all", "one"), default="all")
    chosen = parser.parse_args()
    if chosen.cores == "one":
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory() as folder:
        path = chosen.capture
        if path is None:
            path = Path(folder) / "bench.pcap"
            write(path)
        compare(path, chosen.repeat)
        measure_memory(path)
    measure_start(chosen.repeat)


if __name__ == "__main__":
    main()
