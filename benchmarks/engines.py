"""Reading captures: frames a second of the native engine, stage by stage, beside tshark, tcpdump and tcptrace on the same files.

Run `python benchmarks/engines.py`, with `--connections N`, `--repeat N` and `--pyshark` for that engine, too. The captures are
made first, as `traffic.py` says. All their checksums are verified.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import traffic

from analyzer.capture import formats, probe, read
from analyzer.capture.decode import tcp
from analyzer.capture.decode.dictionary import Dictionaries
from analyzer.capture.formats import scan
from analyzer.capture.native import engine as native_engine
from analyzer.capture.tshark import fields

if TYPE_CHECKING:
    from collections.abc import Callable


def split(path: Path) -> tuple[float, float]:
    """Return the seconds that framing and decoding take."""
    outline, known, framing, decoding = scan.ScanState(), Dictionaries(), 0.0, 0.0
    parts = formats.read(path, outline)
    while True:
        begun = time.perf_counter()
        part = next(parts, None)
        framed = time.perf_counter()
        framing += framed - begun
        if part is None:
            return framing, decoding
        tcp.decode(part, outline.interfaces, known)
        decoding += time.perf_counter() - framed


def peers(path: Path) -> dict[str, list[str]]:
    """Return the command lines of the peers that are installed."""
    columns = [word for field in fields.FIELDS if field.name in probe().fields for word in ("-e", field.name)]
    commands = {
        "tshark -T fields": ["tshark", "-n", "-r", str(path), "-T", "fields", *columns],
        "tcpdump": ["tcpdump", "-nn", "-r", str(path)],
        "tcptrace": ["tcptrace", "-n", str(path)],
    }
    return {name: argv for name, argv in commands.items() if shutil.which(argv[0])}


def run(argv: list[str]) -> float | None:
    """Return the seconds a command takes, None when it fails."""
    begun = time.perf_counter()
    done = subprocess.run(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    return None if done.returncode else time.perf_counter() - begun


def timed(work: Callable[[], object]) -> float:
    """Return the seconds of a call."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def measure(path: Path, count: int, repeat: int, *, pyshark: bool) -> None:
    """Print the rates for one capture, the best of `repeat` each."""
    print(f"{path.name}: {count:,} frames, {path.stat().st_size / 1e6:.0f} MB")
    rounds = [split(path) for _ in range(repeat)]
    seconds: dict[str, float | None] = {"framing": min(one for one, _ in rounds), "decoding": min(two for _, two in rounds)}
    request = native_engine.NativeRequest(path, path.name, None, 1e9)
    seconds["native engine"] = min(timed(lambda: native_engine.read(request)) for _ in range(repeat))
    if pyshark:
        seconds["pyshark engine"] = timed(lambda: read(path, engine="pyshark"))
    for name, argv in peers(path).items():
        seconds[name] = run(argv)
    for name, taken in seconds.items():
        print(f"  {name:<18}" + ("cannot read it" if taken is None else f"{taken:8.3f} s  {count / taken:12,.0f} frames/s"))


def main() -> None:
    """Make the captures and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connections", type=int, default=10_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--pyshark", action="store_true")
    args = parser.parse_args()
    print(f"load average before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    with tempfile.TemporaryDirectory() as folder:
        for name, mixed in (("plain.pcap", False), ("mixed.pcap", True), ("plain.pcapng", False), ("mixed.pcapng", True)):
            path = Path(folder) / name
            measure(path, traffic.write(path, traffic.interleave(args.connections, mixed=mixed)), args.repeat, pyshark=args.pyshark)


if __name__ == "__main__":
    main()
