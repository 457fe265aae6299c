"""Segment accounting against tshark's analysis of the same file, and by hand where tshark says something else on purpose."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from analyzer import connections, schema
from analyzer.connections.tcp_stats import count
from analyzer.notation import build, capture, parse

if TYPE_CHECKING:
    from pathlib import Path

TSHARK = shutil.which("tshark")
NAMES = ("retransmitted", "out_of_order", "duplicate_acks", "zero_windows", "keep_alives")
FIELDS = ("retransmission", "out_of_order", "duplicate_ack", "zero_window", "keep_alive")

OPEN = "> S 99:99(0)\n+0.01 < S. 299:299(0) ack 100\n+0.01 > . 100:100(0) ack 300\n"
ACROSS = "> S 4294967290:4294967290(0)\n+0.01 < S. 299:299(0) ack 4294967291\n+0.01 > . 4294967291:4294967291(0) ack 300\n"

CASES = {
    # name: (script, client's counts, client's missing bytes, server's counts)
    "nothing": (OPEN + "> P. 100:200(100) ack 300\n+0.01 < . 300:300(0) ack 200", (0, 0, 0, 0, 0), 0, (0, 0, 0, 0, 0)),
    "SYN again": ("> S 99:99(0)\n+1 > S 99:99(0)\n+2 > S 99:99(0)", (2, 0, 0, 0, 0), 0, (0, 0, 0, 0, 0)),
    "data again": (OPEN + "> P. 100:200(100) ack 300\n+0.5 > P. 100:200(100) ack 300", (1, 0, 0, 0, 0), 0, (0, 0, 0, 0, 0)),
    "reordered": (
        OPEN + "> P. 200:300(100) ack 300\n+0.001 > P. 100:200(100) ack 300\n+0.001 > P. 300:400(100) ack 300",
        (0, 1, 0, 0, 0),
        0,
        (0, 0, 0, 0, 0),
    ),
    "lost before the capture, sent again": (
        OPEN + "> P. 200:300(100) ack 300\n+0.4 > P. 100:200(100) ack 300\n+0.001 > P. 300:400(100) ack 300",
        (1, 0, 0, 0, 0),
        0,
        (0, 0, 0, 0, 0),
    ),
    "never captured": (OPEN + "> P. 200:300(100) ack 300", (0, 0, 0, 0, 0), 100, (0, 0, 0, 0, 0)),
    "part of it captured late": (OPEN + "> P. 200:300(100) ack 300\n+1 > P. 120:160(40) ack 300", (1, 0, 0, 0, 0), 60, (0, 0, 0, 0, 0)),
    "acknowledgments that repeat the SYN+ACK's": (
        OPEN + "> P. 200:300(100) ack 300\n" + "+0.001 < . 300:300(0) ack 100\n" * 4,
        (0, 0, 0, 0, 0),
        100,
        (0, 0, 4, 0, 0),
    ),
    "window update is none": (
        OPEN + "< . 300:300(0) ack 100 win 500\n+0.1 < . 300:300(0) ack 100 win 900",
        (0, 0, 0, 0, 0),
        0,
        (0, 0, 0, 0, 0),
    ),
    "zero window": (OPEN + "< . 300:300(0) ack 100 win 0\n+1 < . 300:300(0) ack 100 win 9", (0, 0, 0, 0, 0), 0, (0, 0, 0, 1, 0)),
    "reset with window 0 is none": (OPEN + "< R 300:300(0) win 0", (0, 0, 0, 0, 0), 0, (0, 0, 0, 0, 0)),
    "keep-alives and their answers": (
        OPEN
        + "> P. 100:101(1) ack 300\n+0.01 < . 300:300(0) ack 101\n"
        + "+10 > . 100:100(0) ack 300\n+0.01 < . 300:300(0) ack 101\n+10 > . 100:101(1) ack 300\n+0.01 < . 300:300(0) ack 101",
        (0, 0, 0, 0, 2),
        0,
        (0, 0, 0, 0, 0),
    ),
    "across 2^32": (ACROSS + "> P. 4294967291:5(10) ack 300\n+0.5 > P. 4294967291:5(10) ack 300", (1, 0, 0, 0, 0), 0, (0, 0, 0, 0, 0)),
}


def _counts(script: str) -> dict[str, int]:
    found = connections.group([capture(parse(script))])
    table = schema.check(count(found.segments, len(found.flows)), schema.TCP_STATS)
    (row,) = table.to_dict("records")
    return {str(name): int(value) for name, value in row.items()}


@pytest.mark.parametrize("name", CASES)
def test_accounts(name: str) -> None:
    script, client, missing, server = CASES[name]
    counts = _counts(script)
    assert tuple(counts[f"client_{column}"] for column in NAMES) == client
    assert tuple(counts[f"server_{column}"] for column in NAMES) == server
    assert (counts["client_missing_bytes"], counts["server_missing_bytes"]) == (missing, 0)


@pytest.mark.skipif(TSHARK is None, reason="tshark is not installed")
@pytest.mark.parametrize("name", CASES)
def test_accounts_are_those_of_tshark(name: str, tmp_path: Path) -> None:
    file = tmp_path / "made.pcap"
    file.write_bytes(build(parse(CASES[name][0])))
    command = [str(TSHARK), "-r", str(file), "-T", "fields", "-e", "tcp.srcport"]
    command += [part for field in FIELDS for part in ("-e", f"tcp.analysis.{field}")]
    lines = [line.split("\t") for line in subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()]
    counts = _counts(CASES[name][0])
    for end, port in (("client", "40000"), ("server", "80")):
        peer = tuple(sum(line[place] != "" for line in lines if line[0] == port) for place in range(1, len(FIELDS) + 1))
        assert tuple(counts[f"{end}_{column}"] for column in NAMES) == peer


def test_isn_zero_and_the_last_one() -> None:
    for isn in (0, 2**32 - 1, 2**32 - 2, 2**31 - 1, 2**31):
        begun = (isn + 1) % 2**32
        after = (begun + 4) % 2**32
        script = f"> S {isn}:{isn}(0)\n+1 > S {isn}:{isn}(0)\n< S. 299:299(0) ack {begun}\n> . {begun}:{begun}(0) ack 300\n"
        script += f"> P. {begun}:{after}(4) ack 300\n+1 > P. {begun}:{after}(4) ack 300"
        counts = _counts(script)
        assert (counts["client_retransmitted"], counts["client_duplicate_acks"], counts["client_missing_bytes"]) == (2, 0, 0)


def test_a_number_the_connection_did_not_go_on_from_makes_no_hole() -> None:
    script = "> S 100:100(0)\n+1 > S 3000000000:3000000000(0)\n< S. 299:299(0) ack 101\n> . 101:101(0) ack 300\n> P. 101:105(4) ack 300"
    counts = _counts(script)
    assert (counts["client_missing_bytes"], counts["client_retransmitted"], counts["client_out_of_order"]) == (0, 0, 0)


def test_connections_do_not_mix() -> None:
    one = OPEN + "> P. 100:200(100) ack 300\n+0.5 > P. 100:200(100) ack 300\n"
    other = "".join(f"2{line}\n" for line in OPEN.replace("+0.01 ", "").splitlines()) + "2> P. 300:400(100) ack 300\n"
    found = connections.group([capture(parse(other + one))])
    table = count(found.segments, len(found.flows))
    assert list(table["client_retransmitted"]) == [0, 1]
    assert list(table["client_missing_bytes"]) == [200, 0]


def test_no_segments() -> None:
    assert len(schema.check(count(connections.group([]).segments, 0), schema.TCP_STATS)) == 0
