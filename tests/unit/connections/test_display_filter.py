"""Display filters of connections, applied by tshark."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import numpy as np
import pytest

from analyzer import connections
from analyzer.connections.display_filter import wireshark_filter
from analyzer.notation import build, capture, parse

if TYPE_CHECKING:
    from pathlib import Path

TSHARK = shutil.which("tshark")


def _ends(*ends: str) -> str:
    return "client {}\nserver {}\nclient 2 {}\nserver 2 {}\n".format(*ends)


FILTERS = {
    "two connections": "> S 1:1(0)\n2> S 1:1(0)\n< R. 0:0(0) ack 2\n2< R. 0:0(0) ack 2",
    "incarnations": "> S 1:1(0)\n< R. 0:0(0) ack 2\n> S 900:900(0)\n< R. 0:0(0) ack 901",
    "incarnations in between others": "> S 1:1(0)\n2> S 1:1(0)\n< R. 0:0(0) ack 2\n> S 900:900(0)\n2< R. 0:0(0) ack 2\n< R. 0:0(0) ack 901",
    "copies": "> S 1:1(0) id 1\n> S 1:1(0) id 1\n< R. 0:0(0) ack 2 id 2\n< R. 0:0(0) ack 2 id 2\n> S 900:900(0)",
    "quotes": "> S 1:1(0)\n< icmp 3/1 quote 1\n> S 1:1(0)",
    "quotes, IPv6": "client [2001:db8::1]:5\nserver [2001:db8::2]:80\n> S 1:1(0)\n< icmp 1/4 quote 1\n> S 1:1(0)",
    "IPv6": "client [2001:db8::1]:5\nserver [2001:db8::2]:80\n> S 1:1(0)\n< S. 5:5(0) ack 2",
    "VLANs": "> S 1:1(0) vlan 10\n> S 1:1(0) vlan 20\n< S. 5:5(0) ack 2 vlan 10\n< S. 5:5(0) ack 2 vlan 20",
    "a VLAN and none": "> S 1:1(0) vlan 10\n> S 1:1(0)\n< S. 5:5(0) ack 2 vlan 10\n< S. 5:5(0) ack 2",
    "a VLAN in another": "> S 1:1(0) vlan 10\n> S 1:1(0) vlan 10.20\n< S. 5:5(0) ack 2 vlan 10\n< S. 5:5(0) ack 2 vlan 10.20",
    "one VLAN per direction": "> S 1:1(0) vlan 10\n< S. 5:5(0) ack 2 vlan 20\n> . 2:2(0) ack 6 vlan 10",
    "one VLAN per direction, reused": (
        "> S 1:1(0) vlan 10\n< R. 0:0(0) ack 2 vlan 20\n< S. 50000:50000(0) ack 90001 vlan 20\n> . 90001:90001(0) ack 50001 vlan 10\n"
        "> S 200000:200000(0) vlan 10\n< S. 70000:70000(0) ack 200001 vlan 20"
    ),
    "self-connection": _ends("127.0.0.1:5", "127.0.0.1:5", "127.0.0.1:5", "127.0.0.1:6") + "> S 1:1(0)\n2> S 1:1(0)\n> S. 1:1(0) ack 2",
    "same port at both ends": _ends("10.0.0.1:5", "10.0.0.2:5", "10.0.0.1:5", "10.0.0.2:6") + "> S 1:1(0)\n2> S 1:1(0)\n> S 1:1(0)",
    "ports the other way round": _ends("10.0.0.1:5", "10.0.0.2:6", "10.0.0.1:6", "10.0.0.2:5") + "> S 1:1(0)\n2> S 1:1(0)\n> S 1:1(0)",
    "one address at both ends": _ends("10.0.0.1:5", "10.0.0.1:6", "10.0.0.1:5", "10.0.0.2:6") + "> S 1:1(0)\n2> S 1:1(0)\n> S 1:1(0)",
    "header cut": "> S 1:1(0)\n< S. 5:5(0) ack 2 cut 13\n> . 2:2(0) ack 6 cut 4",
}


@pytest.mark.skipif(TSHARK is None, reason="tshark is not installed")
@pytest.mark.parametrize("name", FILTERS)
def test_filter_selects_exactly_the_connection(name: str, tmp_path: Path) -> None:
    script = parse(FILTERS[name])
    file = tmp_path / "made.pcap"
    file.write_bytes(build(script))
    found = connections.group([capture(script)])
    frames = _frames(found)
    filters = list(wireshark_filter(found.flows))
    assert [_selected(file, text) for text in filters] == frames
    assert len(filters) == len(frames) > 0


def _frames(found: connections.Connections) -> list[list[int]]:
    """Return each flow's frames, dropped copies included."""
    held = [list[int]() for _ in range(len(found.flows))]
    for table in (found.segments, found.duplicates):
        for flow, frame in zip(table["flow"], table["frame"], strict=True):
            held[flow].append(frame)
    return [sorted(frames) for frames in held]


def _selected(file: Path, text: str) -> list[int]:
    command = [str(TSHARK), "-r", str(file), "-Y", text, "-T", "fields", "-e", "frame.number"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [int(line) for line in done.stdout.split()]


def test_filters_of_many_connections_are_all_different() -> None:
    count = 300
    script = "".join(f"{number}> S 1:1(0)\n" for number in range(1, count + 1))
    found = connections.group([capture(parse(script))])
    assert len(np.unique(wireshark_filter(found.flows).astype(str))) == count


def test_no_connections_have_no_filters() -> None:
    assert len(wireshark_filter(connections.group([]).flows)) == 0
