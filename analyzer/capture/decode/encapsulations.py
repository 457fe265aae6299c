"""The protocols, ports and link types that `encapsulations.toml` lists.

Read once a process; the file is part of the program, and a fault in it is a fault of the program.
"""

from __future__ import annotations

import functools
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

FILE: Final = Path(__file__).with_name("encapsulations.toml")


@dataclass(frozen=True, slots=True)
class Encapsulations:
    """What the file lists."""

    protocols: frozenset[str]
    """Wireshark's names of the protocols that can lead to a TCP header."""
    udp_tunnels: tuple[int, ...]
    """UDP ports of tunnels that tshark reads."""
    tcp_tunnels: tuple[int, ...]
    unregistered: tuple[tuple[str, int], ...]
    """Protocol and UDP port of those of them that tshark must be given by decode-as."""


@functools.cache
def load() -> Encapsulations:
    """Return what the file lists."""
    document = tomllib.loads(FILE.read_text(encoding="utf-8"))
    return Encapsulations(
        protocols=frozenset(" ".join(document["protocols"].values()).split()),
        udp_tunnels=tuple(document["tunnels"]["udp"]),
        tcp_tunnels=tuple(document["tunnels"]["tcp"]),
        unregistered=tuple((entry["protocol"], port) for entry in document["decode_as"] for port in entry["udp"]),
    )
