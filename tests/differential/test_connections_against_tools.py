"""Real captures: connections and packet counts against tcptrace's, and the law that flows partition segments."""

from __future__ import annotations

import csv
import gzip
import re
import shutil
import subprocess
from collections import Counter
from ipaddress import ip_address
from typing import TYPE_CHECKING

import numpy as np
import pytest

from analyzer import capture, connections, model, schema
from analyzer.connections.tcp_stats import count
from tests.reference.public import CAPTURES, WITHOUT_CAPTURES

if TYPE_CHECKING:
    from pathlib import Path

INDEX = CAPTURES / "expect" / "tcptrace.tsv"
TCPTRACE = shutil.which("tcptrace")

if not INDEX.is_file():
    pytest.skip(WITHOUT_CAPTURES, allow_module_level=True)

pytestmark = pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")

End = tuple[str, int]
Connection = tuple[tuple[End, int], ...]
"""Both ends, each with the packets it sent, in order."""


def _judged_by_tcptrace() -> dict[str, Counter[Connection]]:
    found: dict[str, Counter[Connection]] = {}
    with INDEX.open(encoding="utf-8") as lines:
        for row in csv.DictReader(lines, delimiter="\t"):
            ends = [(row["host_a"], row["port_a"], row["pkts_ab"]), (row["host_b"], row["port_b"], row["pkts_ba"])]
            found.setdefault(row["capture"], Counter())[_connection(ends)] += 1
    return found


def _connection(ends: list[tuple[str, str, str]]) -> Connection:
    # tcptrace writes IPv6 with leading zeros, which is no longer a canonical address.
    return tuple(sorted(((_canonical(host), int(port)), int(packets)) for host, port, packets in ends))


def _canonical(host: str) -> str:
    return str(ip_address(":".join(part.lstrip("0") or ("0" if part else "") for part in host.split(":")) if ":" in host else host))


JUDGED = _judged_by_tcptrace()
SOME = sorted(str(path.relative_to(CAPTURES)) for path in CAPTURES.rglob("*.pcap*"))[::120]


def _connections(read: model.Capture) -> Counter[Connection]:
    """Return the connections of a capture with the packets each end sent, copies included as tcptrace does."""
    found = connections.group([read])
    copies = Counter(zip(found.duplicates["flow"], found.duplicates["by_client"], strict=True))
    counted: Counter[Connection] = Counter()
    for number, row in enumerate(found.flows.to_dict("records")):
        ends = [
            ((row[f"{end}_ip"], row[f"{end}_port"]), row[f"{end}_segments"] + copies[number, by_client])
            for end, by_client in (("client", True), ("server", False))
        ]
        counted[tuple(sorted(ends))] += 1
    return counted


@pytest.mark.parametrize("name", sorted(JUDGED))
def test_connections_are_those_of_tcptrace(name: str) -> None:
    assert _connections(capture.read(CAPTURES / name)) == JUDGED[name]


@pytest.mark.skipif(TCPTRACE is None, reason="tcptrace is not installed")
def test_routed_copies_are_those_of_tcptrace(tmp_path: Path) -> None:
    name = "blitz+tcptrace/input/discard.solaris.dmp.gz"
    file = tmp_path / "discard.dmp"
    file.write_bytes(gzip.decompress((CAPTURES / name).read_bytes()))
    report = subprocess.run([str(TCPTRACE), "-l", str(file)], capture_output=True, text=True, check=True).stdout
    peer = sum(int(number) for number in re.findall(r"hardware dups: +(\d+) segs", report))
    found = connections.group([capture.read(CAPTURES / name)]).duplicates
    assert len(found) == peer == 44
    assert found["routed"].all()


@pytest.mark.parametrize("name", SOME)
def test_flows_partition_segments(name: str) -> None:
    read = capture.read(CAPTURES / name)
    found = connections.group([read])
    frames = np.concatenate([found.segments["frame"], found.duplicates["frame"]])
    assert sorted(frames) == sorted(read.segments["frame"])
    schema.check(found.flows, schema.CONNECTIONS)
    schema.check(count(found.segments, len(found.flows)), schema.TCP_STATS)
