"""Reading captures: frames a second of the native engine, stage by stage, beside tshark, tcpdump and tcptrace on the same files.

Run `python benchmarks/engines.py`, with `--connections N`, `--repeat N` and `--pyshark` for that engine, too. The captures are
made first, always the same: connections that interleave, each of a handshake, requests, bulk data and a close; in the mixed
ones a fifth of them over IPv6, a tenth in a VLAN, half with timestamps. All checksums are right, and all are verified.
"""

from __future__ import annotations

import argparse
import functools
import os
import random
import shutil
import struct
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from analyzer.capture import fields, frames, headers, native, probe, read
from analyzer.capture.names import Dictionaries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FIN, SYN, PSH, ACK = 1, 2, 8, 16
MSS = bytes.fromhex("020405b40402010303070101")
OPEN_AT_A_TIME = 200
BULK = random.Random(7).randbytes(1400)  # noqa: S311 - bytes to move about, not a secret
TURNS = (b"GET /item HTTP/1.1\r\nHost: www.example\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 1400\r\n\r\n" + BULK[:1200])


@functools.cache
def words(data: bytes) -> int:
    """Return the sum of big-endian 16-bit words."""
    return sum(struct.unpack(f"!{(len(data) + 1) // 2}H", data + bytes(len(data) % 2)))


def inverted(total: int) -> int:
    """Return a sum as a checksum (RFC 1071)."""
    while total > 0xFFFF:  # noqa: PLR2004 - sixteen bits
        total = (total >> 16) + (total & 0xFFFF)
    return ~total & 0xFFFF


class Side:
    """One end of a connection: where its frames go and what number comes next."""

    def __init__(self, ends: tuple[bytes, bytes], ports: tuple[int, int], first: int, link: bytes) -> None:
        """Prepare to send from the first of `ends` and `ports` to the second."""
        self.ends, self.ports, self.next, self.link = ends, ports, first, link
        self.sum = words(ends[0] + ends[1]) + 6

    def send(self, flags: int, ack: int, payload: bytes = b"", options: bytes = b"") -> bytes:
        """Return the next frame."""
        size = 20 + len(options)
        length = size + len(payload)
        head = struct.pack("!HHIIHHHH", *self.ports, self.next % 2**32, ack % 2**32, size // 4 << 12 | flags, 64240, 0, 0) + options
        total = self.sum + length + sum(struct.unpack(f"!{size // 2}H", head)) + words(payload)
        self.next += len(payload) + (flags & (SYN | FIN) != 0)
        if len(self.ends[0]) == 4:  # noqa: PLR2004 - bytes of an IPv4 address
            ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + length, 0, 0x4000, 64, 6, 0) + b"".join(self.ends)
            ip = ip[:10] + struct.pack("!H", inverted(sum(struct.unpack("!10H", ip)))) + ip[12:]
        else:
            ip = struct.pack("!IHBB", 0x60000000, length, 6, 64) + b"".join(self.ends)
        return self.link + ip + head[:16] + struct.pack("!H", inverted(total)) + head[18:] + payload


def connection(number: int, rng: random.Random, *, mixed: bool) -> Iterator[bytes]:
    """Give the frames of one connection."""
    ends = bytes([10, number >> 16 & 255, number >> 8 & 255, number & 255]), bytes([192, 168, number % 200, 1])
    six, tagged, stamped = (mixed and rng.random() < share for share in (0.2, 0.1, 0.5))
    if six:
        ends = tuple(bytes.fromhex("20010db8") + bytes(8) + end for end in ends)  # type: ignore[assignment]
    kind = bytes.fromhex("86dd" if six else "0800")
    link = bytes.fromhex("020000000002040000000004") + (b"\x81\0\0\x07" if tagged else b"") + kind
    ports = 1024 + number % 60000, 80
    stamp = bytes.fromhex("0101080a0000000100000001") if stamped else b""
    here, there = Side(ends, ports, rng.getrandbits(32), link), Side(ends[::-1], ports[::-1], rng.getrandbits(32), link)
    yield here.send(SYN, 0, options=MSS + stamp)
    yield there.send(SYN | ACK, here.next, options=MSS + stamp)
    yield here.send(ACK, there.next, options=stamp)
    yield here.send(PSH | ACK, there.next, TURNS[0], stamp)
    yield there.send(PSH | ACK, here.next, TURNS[1], stamp)
    for turn in range(rng.choice((1, 2, 4, 20))):
        yield there.send(ACK, here.next, BULK, stamp)
        if turn % 2:
            yield here.send(ACK, there.next, options=stamp)
    yield here.send(FIN | ACK, there.next, options=stamp)
    yield there.send(FIN | ACK, here.next, options=stamp)
    yield here.send(ACK, there.next, options=stamp)


def interleave(connections: int, *, mixed: bool) -> Iterator[bytes]:
    """Give the frames of all connections, `OPEN_AT_A_TIME` of them at a time."""
    rng, waiting = random.Random(1), iter(range(connections))  # noqa: S311 - the same capture every time
    active = [connection(number, rng, mixed=mixed) for number, _ in zip(waiting, range(OPEN_AT_A_TIME), strict=False)]
    while active:
        place = rng.randrange(len(active))
        frame = next(active[place], None)
        if frame is not None:
            yield frame
            continue
        number = next(waiting, None)
        if number is None:
            active[place] = active[-1]
            active.pop()
        else:
            active[place] = connection(number, rng, mixed=mixed)


def write(path: Path, connections: int, *, mixed: bool) -> int:
    """Write a capture in the format its name says, and return how many frames it has."""
    clock, count, ng = 1_700_000_000_000_000, 0, path.suffix == ".pcapng"
    with path.open("wb") as file:
        if ng:
            file.write(struct.pack("<IIIHHqI", 0x0A0D0D0A, 28, 0x1A2B3C4D, 1, 0, -1, 28))
            file.write(struct.pack("<IIHHII", 1, 20, 1, 0, 262144, 20))
        else:
            file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1))
        for frame in interleave(connections, mixed=mixed):
            clock, count, size = clock + 7, count + 1, len(frame)
            if ng:
                block = 32 + size + -size % 4
                head = struct.pack("<7I", 6, block, 0, clock >> 32, clock & 0xFFFFFFFF, size, size)
                file.write(head + frame + bytes(-size % 4) + struct.pack("<I", block))
            else:
                file.write(struct.pack("<4I", clock // 10**6, clock % 10**6, size, size) + frame)
    return count


def split(path: Path) -> tuple[float, float]:
    """Return the seconds that framing and decoding take."""
    outline, known, framing, decoding = frames.Outline(), Dictionaries(), 0.0, 0.0
    parts = frames.read(path, outline)
    while True:
        begun = time.perf_counter()
        part = next(parts, None)
        framed = time.perf_counter()
        framing += framed - begun
        if part is None:
            return framing, decoding
        headers.decode(part, outline.interfaces, known)
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
    request = native.Request(path, path.name, None, 1e9)
    seconds["native engine"] = min(timed(lambda: native.read(request)) for _ in range(repeat))
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
            measure(path, write(path, args.connections, mixed=mixed), args.repeat, pyshark=args.pyshark)


if __name__ == "__main__":
    main()
