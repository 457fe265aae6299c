"""Frames without a TCP segment ─► the last protocol that was reached in each, counted, as both engines name it.

A name is made of a number that the frame states, and never of what only one engine knows; names of numbers are data
(`endings.toml`).
"""

from __future__ import annotations

import functools
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from analyzer._typing import Array, Int64Array


ARP, LLC, PPP, NO_PACKET = "arp", "llc", "ppp", "record without a packet"
ARP_TYPES: Final = (0x0806, 0x8035)
"""ARP and RARP, which have one format."""
TCP, UDP, ICMP, ICMP6 = 6, 17, 1, 58
_MAX_LENGTH: Final = 1500
"""An Ethernet type up to this is a length, and an LLC header follows."""
_PORTS: Final = 1 << 16
_MAX_SHOWN: Final = 8


@dataclass(slots=True)
class Endings:
    """How many frames ended in what."""

    known: dict[str, int] = field(default_factory=dict)
    """Frames whose link header was decoded and names the next protocol."""
    hidden: dict[str, int] = field(default_factory=dict)
    """Those of which no more is known than the link type or a protocol below the network."""

    def count(self, found: Iterable[tuple[str, int]], *, hidden: bool = False) -> None:
        """Add numbers of frames by ending."""
        counted = self.hidden if hidden else self.known
        for name, times in found:
            if times:
                counted[name] = counted.get(name, 0) + times

    def add(self, other: Endings) -> None:
        """Add all of `other`."""
        self.count(other.known.items())
        self.count(other.hidden.items(), hidden=True)


@functools.cache
def _names() -> dict[str, dict[int, str]]:
    """Return the names of numbers by kind."""
    document = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
    return {kind: {int(number, 0): name for number, name in names.items()} for kind, names in document.items()}


def _name(kind: str, number: int) -> str:
    """Return the name of a number in parentheses behind a blank, empty when it has none."""
    name = _names()[kind].get(number, "")
    return f" ({name})" if name else ""


def show_port(port: int) -> str:
    """Return `udp port 53 (dns)`; `udp` for -1, a header of which there are no ports."""
    return f"udp port {port}{_name('udp_services', port)}" if port >= 0 else "udp"


def show_protocol(number: int) -> str:
    """Return `ip protocol 50 (esp)`; `ip` for a negative one, a header of which there is no protocol."""
    return f"ip protocol {number}{_name('ip_protocols', number)}" if number >= 0 else "ip"


def show_type(number: int) -> str:
    """Return `ethernet type 0x88cc (lldp)`, or the name of what such frames hold at once; `ethernet` for a negative one."""
    if number in ARP_TYPES:
        return ARP
    if number < 0:
        return "ethernet"
    return f"ethernet type 0x{number:04x}{_name('ether_types', number)}" if number > _MAX_LENGTH else LLC


def show_link(number: int) -> str:
    """Return `of link type 147 (USER0) not decoded`; for -1 the text for a capture whose link types are unknown."""
    return f"of link type {number}{_name('link_types', number)} not decoded" if number >= 0 else "of a link type not decoded"


def services(src: Int64Array, dst: Int64Array) -> Int64Array:
    """Return the port of each pair that identifies the service: that of a known service, or else the lower one."""
    known = np.zeros(_PORTS + 1, dtype=bool)
    known[list(_names()["udp_services"])] = True
    lower: Int64Array = np.minimum(src, dst)
    return np.where(known[src] == known[dst], lower, np.where(known[src], src, dst))


def tally(numbers: Array, show: Callable[[int], str]) -> list[tuple[str, int]]:
    """Return how often each number occurs, by what `show` calls it."""
    values, times = np.unique(numbers, return_counts=True)
    return [(show(value), count) for value, count in zip(values.tolist(), times.tolist(), strict=True)]


def sentence(counted: dict[str, int]) -> str:
    """Return counts as one line, the most frequent first, at most so many of them."""
    ordered = sorted(counted.items(), key=lambda item: (-item[1], item[0]))
    shown = [f"{times} {name}" for name, times in ordered[:_MAX_SHOWN]]
    rest = sum(times for _, times in ordered[_MAX_SHOWN:])
    return ", ".join([*shown, *([f"{rest} others"] if rest else [])])
