"""Rule engine: connections judged a second, six segments a connection: with every rule, and by the rows of opening.toml alone.

Run `python benchmarks/rule_engine.py`, with `--flows N` and `--repeat N`. `--linux` gives every segment the options a Linux host
sends, timestamps that never repeat among them; `--spread` gives every connection a client address of its own. For linearity
`--one-tuple N` judges one connection of N SYNs instead, `--long N` one of N segments.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import pandas as pd

from analyzer import connections as connections_
from analyzer import openings, rules, schema
from analyzer.model import Capture
from analyzer.openings import steps as steps_
from analyzer.openings.facts import connection
from analyzer.openings.machine import compiler, conclude, vector
from analyzer.schema import ACK, FIN, PSH, SYN

SIX = (  # (by the client, flags, sequence number from the ISN, acknowledgment from the peer's ISN, payload)
    (True, SYN, 0, 0, 0),
    (False, SYN | ACK, 0, 1, 0),
    (True, ACK, 1, 1, 0),
    (True, ACK | PSH, 1, 1, 100),
    (False, ACK | PSH, 1, 101, 400),
    (True, ACK | FIN, 101, 401, 0),
)
MSS = bytes.fromhex("020405b4")
"""The option bytes of every SYN and SYN+ACK: a maximum segment size of 1460."""


LINUX = bytes.fromhex("020405b40402080a")
"""What the options of a Linux host's SYN begin with; behind them come TSval, TSecr, a NOP and a window scale."""


ECHOES = (0, 1, 1, 2, 1, 1)
"""Segments of `SIX` back to the one whose TSval each echoes."""


def linux_options(flags: np.ndarray) -> tuple[bytes, np.ndarray, np.ndarray]:
    """Return option bytes with timestamps for segments of these flags, and where each segment's begin and how many they are."""
    room = np.zeros((len(flags), len(LINUX) + 12), np.uint8)
    bears_syn = flags & SYN != 0
    room[:, : len(LINUX)] = np.where(bears_syn[:, None], np.frombuffer(LINUX, np.uint8), 0)
    room[~bears_syn, 4:8] = np.frombuffer(bytes.fromhex("0101080a"), np.uint8)
    value = np.arange(1000, 1000 + len(flags))
    echo = np.where(flags == SYN, 0, value - np.tile(ECHOES, len(flags) // len(SIX)))
    room[:, 8:16] = np.stack([value, echo], axis=1).astype(">u4").view(np.uint8)
    room[bears_syn, 16:] = np.frombuffer(bytes.fromhex("01030307"), np.uint8)
    start = np.arange(len(flags)) * room.shape[1] + np.where(bears_syn, 0, 4)
    return room.tobytes(), start, np.where(bears_syn, 20, 12)


def capture(columns: dict[str, np.ndarray], option_bytes: bytes = MSS) -> Capture:
    """Return a capture of the given columns; what is not given is plain."""
    size = len(columns["seq"])
    plain = {"time": np.arange(size) * 1000, "ttl": 64, "window": 64240, "header_length": 20, "header_captured": 20, "ip_id": -1}
    table = {}
    for column in schema.SEGMENTS.columns:
        values = columns.get(column.name, plain.get(column.name, 0))
        if column.dtype == "category":
            table[column.name] = values if isinstance(values, pd.Categorical) else pd.Categorical.from_codes(np.zeros(size, np.int8), [""])
        else:
            table[column.name] = np.broadcast_to(np.asarray(values), size).astype(column.dtype)
    return Capture("made", pd.DataFrame(table), schema.empty(schema.QUOTES), option_bytes, size, complete=True)


def six_segments(count: int, *, linux: bool = False, spread: bool = False) -> Capture:
    """Return `count` connections of six segments each, one after the other."""
    shift = 0 if spread else 12
    rng = np.random.default_rng(1)
    isn = rng.integers(0, 2**32, (2, count))
    number = np.repeat(np.arange(count), len(SIX))
    by_client, flags, seq, ack, length = (np.tile(column, count) for column in np.array(SIX, dtype=np.int64).T)
    names = [f"10.{host >> 16}.{host >> 8 & 255}.{host & 255}" for host in range((count >> shift) + 1)] + ["192.0.2.1"]
    client, server = number >> shift, np.full(len(number), len(names) - 1)
    option_bytes, option_start, option_length = MSS, np.zeros(len(number), np.int64), np.where(flags & SYN, len(MSS), 0)
    if linux:
        option_bytes, option_start, option_length = linux_options(flags)
    client_port, server_port = 1024 + (number & 4095), np.full(len(number), 80)
    own, peer = np.where(by_client, isn[0][number], isn[1][number]), np.where(by_client, isn[1][number], isn[0][number])
    return capture(
        {
            "frame": np.arange(1, len(number) + 1),
            "src": pd.Categorical.from_codes(np.where(by_client, client, server), names),
            "dst": pd.Categorical.from_codes(np.where(by_client, server, client), names),
            "src_port": np.where(by_client, client_port, server_port),
            "dst_port": np.where(by_client, server_port, client_port),
            "flags": flags,
            "seq": (own + seq) % 2**32,
            "ack": np.where(flags & ACK, (peer + ack) % 2**32, 0),
            "payload_length": length,
            "payload_captured": length,
            "header_length": 20 + option_length,
            "header_captured": 20 + option_length,
            "option_start": option_start,
            "option_length": option_length,
        },
        option_bytes,
    )


def one_tuple(count: int) -> Capture:
    """Return one tuple with `count` SYNs, each with an ISN of its own."""
    names = ["10.0.0.1", "192.0.2.1"]
    return capture(
        {
            "frame": np.arange(1, count + 1),
            "src": pd.Categorical.from_codes(np.zeros(count, np.int8), names),
            "dst": pd.Categorical.from_codes(np.ones(count, np.int8), names),
            "src_port": np.full(count, 40000),
            "dst_port": np.full(count, 80),
            "flags": np.full(count, SYN),
            "seq": np.random.default_rng(2).integers(0, 2**32, count),
        }
    )


def one_connection(count: int) -> Capture:
    """Return one connection of `count` segments: the opening, then data from the server."""
    names = ["10.0.0.1", "192.0.2.1"]
    by_client = np.isin(np.arange(count), (0, 2))
    opening = np.array([SYN, SYN | ACK, ACK])
    seq = np.concatenate(([100, 300, 101], 301 + 1400 * np.arange(count - 3))) % 2**32
    return capture(
        {
            "frame": np.arange(1, count + 1),
            "src": pd.Categorical.from_codes(np.where(by_client, 0, 1), names),
            "dst": pd.Categorical.from_codes(np.where(by_client, 1, 0), names),
            "src_port": np.where(by_client, 40000, 80),
            "dst_port": np.where(by_client, 80, 40000),
            "flags": np.concatenate((opening, np.full(count - 3, ACK))),
            "seq": seq,
            "ack": np.concatenate(([0, 101, 301], np.full(count - 3, 101))),
            "payload_length": np.concatenate(([0, 0, 0], np.full(count - 3, 1400))),
        }
    )


def machine(connections: connections_.Connections, loaded: rules.RuleSet) -> float:
    """Return the seconds that all rows of opening.toml take over the steps of `connections`, and the choice of verdicts."""
    steps = steps_.select(connections)
    alone = compiler.compile_(loaded.machine)
    begin = time.perf_counter()
    known = connection.ConnectionFacts(steps, connections, openings.connection_facts(connections))
    log, blocks, facts = vector.run(alone, steps, known)
    conclude.conclude(alone, steps, facts, blocks, log)
    return time.perf_counter() - begin


def main() -> None:
    """Print what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--flows", type=int, default=200_000)
    parser.add_argument("--one-tuple", type=int, default=0)
    parser.add_argument("--long", type=int, default=0)
    parser.add_argument("--linux", action="store_true")
    parser.add_argument("--spread", action="store_true")
    parser.add_argument("--repeat", type=int, default=3)
    args = parser.parse_args()
    loaded = rules.load()
    made = six_segments(args.flows, linux=args.linux, spread=args.spread)
    if args.one_tuple or args.long:
        made = one_tuple(args.one_tuple) if args.one_tuple else one_connection(args.long)
    begin = time.perf_counter()
    connections = connections_.group([made])
    spent = time.perf_counter() - begin
    segments = len(connections.segments)
    print(f"grouping {segments:,} segments into {len(connections.flows):,} connections: {spent:.2f} s")
    for _ in range(args.repeat):
        begin = time.perf_counter()
        judged = openings.judge(connections, loaded)
        spent = time.perf_counter() - begin
        count = len(judged.verdict)
        rows = machine(connections, loaded)
        print(f"judging with every rule: {spent:.2f} s, {count / spent:,.0f} connections/s")
        print(f"all rows of opening.toml alone: {rows:.2f} s, {count / rows:,.0f} connections/s")


if __name__ == "__main__":
    main()
