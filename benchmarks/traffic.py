"""Captures to measure on: SMTP, FTP and HTTP connections, interleaved; the same arguments always give the same bytes.

Seven in ten connections are HTTP, the others SMTP and FTP alike. Of a hundred, five are unanswered, two refused, and one gets a
SYN+ACK that acknowledges a wrong number. In the mixed captures a fifth are over IPv6, a tenth in a VLAN, half have timestamps.
All checksums are right.
"""

from __future__ import annotations

import functools
import random
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
MSS = bytes.fromhex("020405b40402010303070101")
OPEN_AT_A_TIME = 200
PACKETS_EACH = 18.1
"""Mean number of packets of a connection."""
BULK = random.Random(7).randbytes(1400)  # noqa: S311 - bytes to move about, not a secret
MAIL = (
    b"220 mail.example ESMTP ready\r\n", b"EHLO host.example\r\n", b"250-mail.example\r\n250 PIPELINING\r\n",
    b"MAIL FROM:<sender@host.example>\r\n",
    b"250 sender ok\r\n", b"RCPT TO:<reader@mail.example>\r\n", b"250 recipient ok\r\n", b"QUIT\r\n", b"221 closing\r\n",
)  # fmt: skip
FILES = (
    b"220 files.example ready\r\n", b"USER anonymous\r\n", b"331 any password\r\n", b"PASS guest@host.example\r\n",
    b"230 logged in\r\n", b"PWD\r\n", b'257 "/"\r\n', b"QUIT\r\n", b"221 goodbye\r\n",
)  # fmt: skip
HTTP, SMTP, FTP = 80, 25, 21
WEB, WEB_OR_MAIL = 0.7, 0.85
UNANSWERED, REFUSED, WRONG = 0.05, 0.07, 0.08
"""Of random numbers below these, the first that is larger decides what becomes of a connection."""


@functools.lru_cache(maxsize=4096)
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

    def __init__(self, ends: tuple[bytes, bytes], ports: tuple[int, int], first: int, link: bytes, stamp: bytes) -> None:
        """Prepare to send from the first of `ends` and `ports` to the second."""
        self.ends, self.ports, self.next, self.link, self.stamp = ends, ports, first, link, stamp
        self.sum = words(ends[0] + ends[1]) + 6

    def send(self, flags: int, ack: int, payload: bytes = b"") -> bytes:
        """Return the next frame."""
        options = (MSS if flags & SYN else b"") + self.stamp
        size = 20 + len(options)
        length = size + len(payload)
        head = struct.pack("!HHIIHHHH", *self.ports, self.next % 2**32, ack % 2**32, size // 4 << 12 | flags, 64240, 0, 0) + options
        total = self.sum + length + sum(struct.unpack(f"!{size // 2}H", head)) + words(payload)
        self.next += len(payload) + (flags & (SYN | FIN) != 0)
        if len(self.ends[0]) == 4:  # noqa: PLR2004 - bytes of an IPv4 address
            ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + length, self.next & 0xFFFF, 0x4000, 64, 6, 0) + b"".join(self.ends)
            ip = ip[:10] + struct.pack("!H", inverted(sum(struct.unpack("!10H", ip)))) + ip[12:]
        else:
            ip = struct.pack("!IHBB", 0x60000000, length, 6, 64) + b"".join(self.ends)
        return self.link + ip + head[:16] + struct.pack("!H", inverted(total)) + head[18:] + payload


def connection(number: int, rng: random.Random, *, mixed: bool) -> Iterator[bytes]:
    """Give the frames of one connection."""
    ends = bytes([10, number >> 16 & 255, number >> 8 & 255, number & 255]), bytes([192, 168, number % 200, number % 7 + 1])
    six, tagged, stamped = (mixed and rng.random() < share for share in (0.2, 0.1, 0.5))
    if six:
        ends = tuple(bytes.fromhex("20010db8") + bytes(8) + end for end in ends)  # type: ignore[assignment]
    link = bytes.fromhex("020000000002040000000004") + (b"\x81\0\0\x07" if tagged else b"") + bytes.fromhex("86dd" if six else "0800")
    kind, fate = rng.random(), rng.random()
    ports = 1024 + number % 60000, HTTP if kind < WEB else SMTP if kind < WEB_OR_MAIL else FTP
    stamp = bytes.fromhex("0101080a0000000100000001") if stamped else b""
    here = Side(ends, ports, rng.getrandbits(32), link, stamp)
    there = Side(ends[::-1], ports[::-1], rng.getrandbits(32), link, stamp)
    yield here.send(SYN, 0)
    if fate < UNANSWERED:
        return
    if fate < WRONG:
        yield there.send(RST | ACK, here.next) if fate < REFUSED else there.send(SYN | ACK, here.next + 7)
        return
    yield there.send(SYN | ACK, here.next)
    yield here.send(ACK, there.next)
    if ports[1] == HTTP:
        yield from fetch(here, there, number, rng.choice((1, 2, 4, 8, 30)))
    else:
        yield from talk(here, there, MAIL if ports[1] == SMTP else FILES)
    yield here.send(FIN | ACK, there.next)
    yield there.send(FIN | ACK, here.next)
    yield here.send(ACK, there.next)


def fetch(here: Side, there: Side, number: int, chunks: int) -> Iterator[bytes]:
    """Give the frames of one request and its response."""
    yield here.send(PSH | ACK, there.next, b"GET /page/%d HTTP/1.1\r\nHost: site%d.example\r\nAccept: */*\r\n\r\n" % (number, number % 90))
    yield there.send(
        PSH | ACK, here.next, b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: %d\r\n\r\n" % (chunks * len(BULK))
    )
    for chunk in range(chunks):
        yield there.send(ACK, here.next, BULK)
        if chunk % 2:
            yield here.send(ACK, there.next)


def talk(here: Side, there: Side, lines: tuple[bytes, ...]) -> Iterator[bytes]:
    """Give the frames of a dialogue in which the server speaks first."""
    for turn, line in enumerate(lines):
        yield here.send(PSH | ACK, there.next, line) if turn % 2 else there.send(PSH | ACK, here.next, line)


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


def flood(connections: int, *, mixed: bool) -> Iterator[bytes]:
    """Give a SYN of each of so many connections."""
    rng = random.Random(1)  # noqa: S311 - the same capture every time
    for number in range(connections):
        yield next(connection(number, rng, mixed=mixed))


def write(path: Path, frames: Iterator[bytes]) -> int:
    """Write a capture in the format its name says, and return how many frames it has."""
    clock, count, ng = 1_700_000_000_000_000, 0, path.suffix == ".pcapng"
    with path.open("wb", buffering=1 << 20) as file:
        if ng:
            file.write(struct.pack("<IIIHHqI", 0x0A0D0D0A, 28, 0x1A2B3C4D, 1, 0, -1, 28))
            file.write(struct.pack("<IIHHII", 1, 20, 1, 0, 262144, 20))
        else:
            file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1))
        for frame in frames:
            clock, count, size = clock + 7, count + 1, len(frame)
            if ng:
                block = 32 + size + -size % 4
                head = struct.pack("<7I", 6, block, 0, clock >> 32, clock & 0xFFFFFFFF, size, size)
                file.write(head + frame + bytes(-size % 4) + struct.pack("<I", block))
            else:
                file.write(struct.pack("<4I", clock // 10**6, clock % 10**6, size, size) + frame)
    return count
