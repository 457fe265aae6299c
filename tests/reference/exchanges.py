"""Exchanges of segments as tables, many at once, and bytes to hostile exchanges.

An `Exchange` is what one client and one server send each other. `capture` puts many of them into one capture, each on
ports of its own, so that a whole batch costs one call of what is tested. `decode` makes exchanges of any bytes: openings
that are right, nearly right, out of order, repeated, cut short, or nonsense, so that a shorter input is a simpler one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analyzer import model, schema
from analyzer.schema import ACK, FIN, NO_TIME, PSH, RST, SYN, URG

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

CIRCLE = 2**32
EDGES = (0, 1, 2**31 - 1, 2**31, 2**31 + 1, 2**32 - 2, 2**32 - 1)
"""Initial sequence numbers at which signed, unsigned and unset-is-zero arithmetic go wrong."""
MILLISECOND, SECOND = 1_000_000, 1_000_000_000
FROM_CLIENT, FROM_SERVER = True, False
CLIENT, SERVER = "192.0.2.1", "198.51.100.1"
MSS, COOKIE, REQUEST = bytes((2, 4, 5, 180)), bytes((34, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 1)), bytes((34, 2, 1, 1))
OPTIONS = (b"", MSS, MSS + COOKIE, REQUEST, bytes((1, 3, 3, 7)))
SEGMENT_BYTES = 8
"""Bytes that `decode` spends on a segment, at most."""


@dataclass(frozen=True)
class Sent:
    """A segment, or (with `icmp`) an ICMP error sent to that side's peer that quotes a segment with `seq` of the peer."""

    by_client: bool
    flags: int
    seq: int
    ack: int = 0
    length: int = 0
    window: int = 1000
    delay: int = MILLISECOND
    """Time since the one before, ns; negative when the clock was set back."""
    ttl: int = 64
    options: bytes = b""
    cut: int = 60
    """Header bytes captured, at most."""
    icmp: tuple[int, int] | None = None
    ip_id: int | None = None
    """None: the frame's number."""
    timeless: bool = False


Exchange = list[Sent]


def capture(exchanges: Sequence[Exchange], *, swapped: bool = False) -> model.Capture:
    """Return one capture of all exchanges, one after the other; `swapped` gives the client the higher address."""
    client, server = (SERVER, CLIENT) if swapped else (CLIENT, SERVER)
    rows, quotes = list[dict[str, Any]](), list[dict[str, Any]]()
    blob = b""
    for number, exchange in enumerate(exchanges):
        ends = ((client, 1024 + number), (server, 80))
        time = 1_700_000_000 * SECOND
        for sent in exchange:
            time += sent.delay
            frame = len(rows) + len(quotes) + 1
            source, target = ends if sent.by_client else ends[::-1]
            common = {"frame": frame, "time": NO_TIME if sent.timeless else time, "seq": sent.seq}
            if sent.icmp is not None:
                quotes.append(common | _quote(sent.icmp, source, target))
                continue
            rows.append(common | _row(sent, source, target, frame) | {"option_start": len(blob), "payload_start": -1})
            blob += sent.options[: rows[-1]["option_length"]]
    times = [row["time"] for row in (*rows, *quotes)]
    return model.Capture(
        "made",
        _table(rows, schema.SEGMENTS),
        _table(quotes, schema.QUOTES),
        blob,
        len(times),
        complete=True,
        end_time=max(times, default=None),
    )


def _row(sent: Sent, source: tuple[str, int], target: tuple[str, int], frame: int) -> dict[str, Any]:
    stated = 20 + len(sent.options)
    captured = min(stated, sent.cut)
    return {
        "src": source[0],
        "src_port": source[1],
        "dst": target[0],
        "dst_port": target[1],
        "ack": sent.ack,
        "flags": sent.flags if captured >= 14 else 0,
        "payload_length": sent.length,
        "window": sent.window if captured >= 16 else -1,
        "ttl": sent.ttl,
        "ip_id": frame % 65_536 if sent.ip_id is None else sent.ip_id,
        "interface": -1,
        "header_length": stated,
        "header_captured": captured,
        "option_length": max(0, captured - 20),
    }


def _quote(icmp: tuple[int, int], source: tuple[str, int], target: tuple[str, int]) -> dict[str, Any]:
    return {
        "version": 4,
        "type": icmp[0],
        "code": icmp[1],
        "sender": source[0],
        "src": target[0],
        "src_port": target[1],
        "dst": source[0],
        "dst_port": source[1],
    }


def _table(rows: list[dict[str, Any]], table: schema.Table) -> pd.DataFrame:
    columns: dict[str, Any] = {}
    for column in table.columns:
        values = [row.get(column.name, "" if column.dtype == "category" else 0) for row in rows]
        if column.name in {"src", "dst"}:
            columns[column.name] = pd.Categorical(values, categories=[CLIENT, SERVER])
        elif column.dtype == "category":
            columns[column.name] = pd.Categorical(values, categories=sorted({"", *values}))
        else:
            columns[column.name] = np.array(values, dtype=column.dtype)
    return schema.check(pd.DataFrame(columns), table)


def openings(client_isn: int, server_isn: int) -> list[Exchange]:
    """Return exchanges that a conforming client and server may have, none of them with anything wrong."""
    c, s = Side(FROM_CLIENT, client_isn), Side(FROM_SERVER, server_isn)
    syn, synack, ack3 = c.send(SYN, 0), s.send(SYN | ACK, 0, c, 1), c.send(ACK, 1, s, 1)
    tail = [s.send(PSH | ACK, 1, c, 1, 20), c.send(PSH | ACK, 1, s, 21, 30), s.send(ACK, 21, c, 31)]
    fins = [c.send(FIN | ACK, 31, s, 21), s.send(FIN | ACK, 21, c, 32), c.send(ACK, 32, s, 22)]
    data, cookie = c.send(SYN, 0, length=10), replace(c.send(SYN, 0, length=10), options=MSS + COOKIE)
    crossed = [syn, s.send(SYN, 0), c.send(SYN | ACK, 0, s, 1), s.send(SYN | ACK, 0, c, 1)]
    return [
        [syn, synack, ack3],
        [syn, synack, ack3, *tail, *fins],
        [cookie, s.send(SYN | ACK, 0, c, 11), c.send(ACK, 11, s, 1)],
        [data, synack, c.send(PSH | ACK, 1, s, 1, 10), s.send(ACK, 1, c, 11)],
        crossed,
        [*crossed, c.send(ACK, 1, s, 1), s.send(ACK, 1, c, 1)],
        [syn, replace(s.send(RST | ACK, 0, c, 1), seq=0)],
        [syn, replace(syn, delay=SECOND), synack, replace(synack, delay=SECOND), ack3, *tail],
        [syn, synack, c.send(FIN | ACK, 1, s, 1), s.send(ACK, 1, c, 2)],
        [syn, synack, c.send(RST, 1)],
        [syn, c.send(RST, 1)],
        [syn],
        [synack, ack3, *tail],
        [*tail, *fins],
    ]


def troubles(client_isn: int, server_isn: int) -> list[Exchange]:
    """Return exchanges in which something is wrong or odd from the start."""
    c, s = Side(FROM_CLIENT, client_isn), Side(FROM_SERVER, server_isn)
    syn, synack, ack3 = c.send(SYN, 0), s.send(SYN | ACK, 0, c, 1), c.send(ACK, 1, s, 1)
    cross = [syn, s.send(SYN, 0), c.send(SYN | ACK, 0, s, 1), s.send(ACK, 1, c, 1)]
    return [
        [syn, synack, c.send(ACK, 1, s, 999), s.send(RST, 999)],
        [syn, synack, c.send(ACK, 1, s, 21), s.send(PSH | ACK, 21, c, 1, 10)],
        [syn, synack, c.send(PSH | ACK, 70_000, s, 90_000, 10), s.send(ACK, 90_000, c, 70_010)],
        [syn, synack, c.send(PSH | ACK, 70_000, s, 1, 10), s.send(ACK, 1, c, 70_010)],
        [c.send(SYN, 0, length=10), synack, s.send(SYN | ACK, 0, c, 11), c.send(ACK, 11, s, 1)],
        [*(c.send(SYN, 70_000 * number) for number in range(20)), synack, s.send(SYN | ACK, 0, c, 5), s.send(SYN | ACK, 7, c, 70_001)],
        [*cross, s.send(SYN | ACK, 0, c, 1)],
        [*cross, c.send(ACK, 1, s, 1)],
        [syn, s.send(ACK, 500, c, 400), c.send(RST, 400), replace(syn, delay=SECOND), synack, ack3],
        [syn, s.send(RST | ACK, 0, c, 1), replace(syn, delay=SECOND // 2), synack, ack3],
        [syn, s.send(RST | ACK, 0, c, 1), synack, ack3],
        [syn, s.send(PSH | ACK, 1, c, 1, 20), c.send(ACK, 1, s, 21)],
        [syn, s.send(SYN | ACK, 0, c, 0), c.send(RST, 0)],
        [syn, synack, s.send(PSH | ACK, 1, c, 1, 20), ack3],
        [syn, replace(syn, by_client=False, icmp=(3, 1))],
        *strays(client_isn, server_isn),
    ]


def strays(client_isn: int, server_isn: int) -> list[Exchange]:
    """Return exchanges with segments of an earlier connection, and resets that one end cannot or must not obey."""
    c, s = Side(FROM_CLIENT, client_isn), Side(FROM_SERVER, server_isn)
    syn, synack, ack3 = c.send(SYN, 0), s.send(SYN | ACK, 0, c, 1), c.send(ACK, 1, s, 1)
    refusal = replace(s.send(RST | ACK, 0, c, 1), seq=0)
    return [
        [syn, s.send(PSH | ACK, 900_000, c, -5000, 20), c.send(RST, -5000), synack, ack3],
        [syn, s.send(PSH | ACK, 900_000, c, -5000, 20), synack, c.send(RST, -5000), ack3],
        [syn, synack, s.send(PSH | ACK, -900_000, c, -5000, 20), c.send(RST, -5000), ack3],
        [syn, c.send(PSH | ACK, -5000, s, 700, 20), s.send(RST, 700), synack, ack3],
        [syn, c.send(RST, 77_777), synack, ack3],
        [syn, c.send(RST, 1), synack, ack3],
        [syn, synack, replace(syn, delay=SECOND), refusal],
        [syn, synack, refusal, ack3],
        [syn, ack3, c.send(PSH | ACK, 1, s, 1, 20), s.send(RST, 1)],
        [syn, synack, ack3, s.send(PSH | ACK, 1, c, 1, 20), s.send(RST, 2**31 - 5), s.send(PSH | ACK, 21, c, 1, 20)],
        *untaken(c, s),
    ]


def untaken(c: Side, s: Side) -> list[Exchange]:
    """Return exchanges in which the server does not take the third segment."""
    syn, synack, ack3, data = c.send(SYN, 0), s.send(SYN | ACK, 0, c, 1), c.send(ACK, 1, s, 1), c.send(PSH | ACK, 1, s, 1, 20)
    late, again = replace(synack, delay=SECOND), replace(data, delay=SECOND)
    return [
        [syn, synack, ack3, data, late, data, replace(late, delay=4 * SECOND), s.send(RST, 1)],
        [syn, synack, ack3, late, ack3, late, ack3, c.send(FIN | ACK, 1, s, 1)],
        [syn, synack, ack3, data, again, again, replace(again, delay=4 * SECOND)],
    ]


def cut_off() -> list[Exchange]:
    """Return exchanges that begin less than a second before the capture ends, long after all others."""
    c, s = Side(FROM_CLIENT, 1000), Side(FROM_SERVER, 5000)
    syn, synack, crossing = c.send(SYN, 0), s.send(SYN | ACK, 0, c, 1), s.send(SYN, 0)
    late = replace(syn, delay=10**7 * SECOND)
    return [
        [late],
        [late, synack],
        [late, crossing],
        [late, s.send(ACK, 500, c, 400), c.send(RST, 400)],
        [late, synack, c.send(ACK, 1, s, 9)],
    ]


@dataclass(frozen=True)
class Side:
    """One end, and what it sends, counted from its ISN."""

    by_client: bool
    isn: int

    def at(self, offset: int) -> int:
        """Return the sequence number `offset` behind the ISN."""
        return (self.isn + offset) % CIRCLE

    def send(self, flags: int, offset: int, peer: Side | None = None, acknowledged: int = 0, length: int = 0) -> Sent:
        """Return a segment of this side."""
        ack = 0 if peer is None else peer.at(acknowledged)
        return Sent(self.by_client, flags, self.at(offset), ack, length)


FLAGS = (
    *(SYN, SYN | ACK, ACK, PSH | ACK, FIN | ACK, RST, RST | ACK, SYN | FIN, SYN | RST, FIN, 0, FIN | PSH | URG, SYN | ACK | FIN, FIN | RST),
    *(SYN | PSH | URG, SYN | ACK | RST, 0xFFF, SYN | 0xC0, ACK | URG, PSH),
)
OFFSETS = (0, 1, 2, 11, 21, 31, 999, 1001, 65_536, 70_000, 2**30, 2**31 - 1, 2**31, 2**31 + 1, -1, -2)
LENGTHS = (0, 0, 0, 1, 10, 20, 1400, 65_000)
DELAYS = (1, 500_000, MILLISECOND, 5 * MILLISECOND, SECOND, 4 * SECOND, 100 * SECOND, 250 * SECOND)
ERRORS = ((3, 1), (3, 3), (3, 4), (11, 0), (5, 0), (12, 0))


class Bytes:
    """Bytes to choices, zero (the first choice) when there are none left."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def left(self) -> bool:
        """Return whether any are left."""
        return self.at < len(self.data)

    def byte(self) -> int:
        """Return the next one."""
        self.at += 1
        return self.data[self.at - 1] if self.at <= len(self.data) else 0

    def choice(self, options: Sequence[Any]) -> Any:  # noqa: ANN401 - one of the options
        """Return one of `options`."""
        return options[self.byte() % len(options)]


def decode(data: bytes) -> list[Exchange]:
    """Return the exchanges that `data` stands for, of 0 to 14 segments each, and some of many more SYNs."""
    source = Bytes(data)
    found = []
    while source.left():
        isns = (source.choice(EDGES), source.choice(EDGES))
        size = source.byte()
        exchange = _exchange(source, isns, size % 15)
        if size >= 240:
            exchange = [*_many(source, isns[0], 12 + size % 16), *exchange]
        if exchange:
            found.append(exchange)
    return found


def _many(source: Bytes, isn: int, count: int) -> Exchange:
    """Return SYNs (or SYN+ACKs behind one), each with an ISN of its own."""
    if source.byte() % 2:
        answers = [Sent(FROM_SERVER, SYN | ACK, (isn + 70_000 * number) % CIRCLE, isn + 1) for number in range(count)]
        return [Sent(FROM_CLIENT, SYN, isn), *(replace(sent, ack=(isn + 1) % CIRCLE) for sent in answers)]
    return [Sent(FROM_CLIENT, SYN, (isn + 70_000 * number) % CIRCLE, delay=SECOND) for number in range(count)]


def _exchange(source: Bytes, isns: tuple[int, int], size: int) -> Exchange:
    """Return a right opening, mutated segment by segment, or segments that follow nothing."""
    plan = list(source.choice([*openings(*isns), *troubles(*isns)]))
    exchange: Exchange = []
    while len(exchange) < size and source.at < len(source.data) + 16:
        how = source.byte()
        if how < 128 and plan:
            exchange.append(plan.pop(0))
        elif how < 190:
            exchange.append(_mutated(source, plan.pop(0) if plan else Sent(FROM_CLIENT, ACK, *isns), isns))
        elif how < 205 and exchange:
            exchange.append(replace(source.choice(exchange), delay=source.choice(DELAYS)))
        elif how < 215 and len(exchange) > 1:
            exchange[-1], exchange[-2] = exchange[-2], exchange[-1]
            exchange.append(exchange[-1])
        elif how < 220 and plan:
            plan.pop(0)
        elif how < 230:
            plan += source.choice(openings((isns[0] + 70_000) % CIRCLE, (isns[1] + 90_000) % CIRCLE))
        else:
            exchange.append(_hostile(source, isns))
    return exchange


def _mutated(source: Bytes, sent: Sent, isns: tuple[int, int]) -> Sent:
    """Return `sent` with one thing changed."""
    changes: tuple[Callable[[], Sent], ...] = (
        lambda: replace(sent, seq=_number(source, isns)),
        lambda: replace(sent, ack=_number(source, isns)),
        lambda: replace(sent, flags=source.choice(FLAGS)),
        lambda: replace(sent, by_client=not sent.by_client),
        lambda: replace(sent, length=source.choice(LENGTHS)),
        lambda: replace(sent, delay=source.choice(DELAYS)),
        lambda: replace(sent, cut=source.choice((4, 8, 13, 14, 16, 20))),
        lambda: replace(sent, options=source.choice(OPTIONS)),
        lambda: replace(sent, window=source.choice((0, 1, 65_535))),
        lambda: replace(sent, timeless=True),
        lambda: replace(sent, delay=-source.choice(DELAYS)),
        lambda: replace(sent, icmp=source.choice(ERRORS), by_client=not sent.by_client),
        lambda: replace(sent, ttl=source.choice((63, 57, 255, 0))),
    )
    change: Callable[[], Sent] = source.choice(changes)
    return change()


def _hostile(source: Bytes, isns: tuple[int, int]) -> Sent:
    side = source.byte()
    return Sent(
        by_client=side % 2 == 0,
        flags=source.choice(FLAGS) if side < 200 else source.byte() << 4 & 0xFFF | source.byte() & 0xF,
        seq=_number(source, isns if side % 2 == 0 else isns[::-1]),
        ack=_number(source, isns[::-1] if side % 2 == 0 else isns),
        length=source.choice(LENGTHS),
        options=OPTIONS[side // 2 % 8] if side // 2 % 8 < len(OPTIONS) else b"",
        icmp=source.choice(ERRORS) if side in range(180, 196) else None,
    )


def _number(source: Bytes, isns: tuple[int, int]) -> int:
    """Return a number near the first of `isns`, near the other, or anywhere."""
    how = source.byte()
    if how < 240:
        return (isns[how >= 180] + OFFSETS[how % len(OFFSETS)]) % CIRCLE
    return int.from_bytes(bytes(source.byte() for _ in range(4)))
