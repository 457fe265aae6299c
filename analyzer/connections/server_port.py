"""Which of two ports looks like a server's.

The ports of servers are those of rules/protocols; the ranges are those of the IANA registry (RFC 6335 6).
"""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt

from analyzer.rules import protocols

_SYSTEM_PORTS: Final = 1024
"""Ports below are assigned to services (RFC 6335 6)."""
_EPHEMERAL: Final = 32768
"""Where Linux starts to choose ports; IANA's dynamic ports start at 49152 (RFC 6335 6)."""


@cache
def shipped_ports() -> frozenset[int]:
    """Return the server ports of the shipped protocols."""
    from analyzer import rules

    return protocols.server_ports(rules.load().protocols)


def server_port_rank(ports: npt.NDArray[np.uint16], known: frozenset[int]) -> npt.NDArray[np.int8]:
    """Return how much each port looks like a server's: 3 one of `known`, 2 system port, 1 registered range, 0 ephemeral or 0."""
    rank = np.zeros(len(ports), np.int8)
    rank[(ports > 0) & (ports < _EPHEMERAL)] = 1
    rank[(ports > 0) & (ports < _SYSTEM_PORTS)] = 2
    rank[np.isin(ports, list(known))] = 3
    return rank
