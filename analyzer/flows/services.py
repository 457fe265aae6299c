"""What a port is registered for, of the protocols this program reads, and which of two ports looks like a server's.

Source: the IANA service name and port number registry, and the alternative ports in common use.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

_SERVICES: Final = {
    20: "ftp-data",
    21: "ftp",
    25: "smtp",
    80: "http",
    443: "https",
    465: "smtps",
    587: "smtp",
    591: "http",
    990: "ftps",
    2121: "ftp",
    2525: "smtp",
    3128: "http",
    8000: "http",
    8008: "http",
    8080: "http",
    8081: "http",
    8443: "https",
    8888: "http",
}
_SYSTEM_PORTS: Final = 1024
"""Ports below are assigned to services (RFC 6335 6)."""
_EPHEMERAL: Final = 32768
"""Where Linux starts to choose ports; IANA's dynamic ports start at 49152 (RFC 6335 6)."""


def service_by_port(port: int) -> str:
    """Return the protocol a server port stands for (`smtp`, `smtps`, `ftp`, `ftp-data`, `ftps`, `http`, `https`), or "" for any other."""
    return _SERVICES.get(port, "")


def likeness(ports: npt.NDArray[np.uint16]) -> npt.NDArray[np.int8]:
    """Return how much each port looks like a server's: 3 known service, 2 system port, 1 registered range, 0 ephemeral or 0."""
    rank = np.zeros(len(ports), np.int8)
    rank[(ports > 0) & (ports < _EPHEMERAL)] = 1
    rank[(ports > 0) & (ports < _SYSTEM_PORTS)] = 2
    rank[np.isin(ports, list(_SERVICES))] = 3
    return rank
