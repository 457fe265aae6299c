"""Rule engine: connections judged a second, six segments a connection: with every rule, and by the rows of opening.toml alone.

Run `python benchmarks/rule_engine.py`, with `--flows N` and `--repeat N`; `--one-tuple N` judges one connection of N SYNs instead,
for linearity.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import pandas as pd

from analyzer import flows, opening, rules, tables
from analyzer.model import Capture
from analyzer.opening import aggregates, ending, lockstep, program, selection
from analyzer.tables import ACK, FIN, PSH, SYN

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


def capture(columns: dict[str, np.ndarray]) -> Capture:
    """Return a capture of the given columns; what is not given is plain."""
    size = len(columns["seq"])
    plain = {"time": np.arange(size) * 1000, "ttl": 64, "window": 64240, "header_length": 20, "header_captured": 20, "ip_id": -1}
    table = {}
    for column in tables.SEGMENTS.columns:
        values = columns.get(column.name, plain.get(column.name, 0))
        if column.dtype == "category":
            table[column.name] = values if isinstance(values, pd.Categorical) else pd.Categorical.from_codes(np.zeros(size, np.int8), [""])
        else:
            table[column.name] = np.broadcast_to(np.asarray(values), size).astype(column.dtype)
    return Capture("made", pd.DataFrame(table), tables.empty(tables.QUOTES), MSS, size, complete=True)


def six_segments(count: int) -> Capture:
    """Return `count` connections of six segments each, one after the other."""
    rng = np.random.default_rng(1)
    isn = rng.integers(0, 2**32, (2, count))
    number = np.repeat(np.arange(count), len(SIX))
    by_client, flags, seq, ack, length = (np.tile(column, count) for column in np.array(SIX, dtype=np.int64).T)
    names = [f"10.{host >> 16}.{host >> 8 & 255}.{host & 255}" for host in range((count >> 12) + 1)] + ["192.0.2.1"]
    client, server = number >> 12, np.full(len(number), len(names) - 1)
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
            "header_length": np.where(flags & SYN, 24, 20),
            "header_captured": np.where(flags & SYN, 24, 20),
            "option_length": np.where(flags & SYN, len(MSS), 0),
        }
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


def machine(connections: flows.Connections, loaded: rules.RuleSet) -> float:
    """Return the seconds that all rows of opening.toml take over the steps of `connections`, and the choice of verdicts."""
    steps = selection.select(connections)
    alone = program.compile_(loaded.machine)
    begin = time.perf_counter()
    known = aggregates.Aggregates(steps, connections, opening.connection_facts(connections))
    log, blocks, facts = lockstep.run(alone, steps, known)
    ending.conclude(alone, steps, facts, blocks, log)
    return time.perf_counter() - begin


def main() -> None:
    """Print what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--flows", type=int, default=200_000)
    parser.add_argument("--one-tuple", type=int, default=0)
    parser.add_argument("--repeat", type=int, default=3)
    args = parser.parse_args()
    loaded = rules.load()
    made = one_tuple(args.one_tuple) if args.one_tuple else six_segments(args.flows)
    begin = time.perf_counter()
    connections = flows.group([made])
    spent = time.perf_counter() - begin
    segments = len(connections.segments)
    print(f"grouping {segments:,} segments into {len(connections.flows):,} connections: {spent:.2f} s")
    for _ in range(args.repeat):
        begin = time.perf_counter()
        judged = opening.judge(connections, loaded)
        spent = time.perf_counter() - begin
        count = len(judged.verdict)
        rows = machine(connections, loaded)
        print(f"judging with every rule: {spent:.2f} s, {count / spent:,.0f} connections/s")
        print(f"all rows of opening.toml alone: {rows:.2f} s, {count / rows:,.0f} connections/s")


if __name__ == "__main__":
    main()
