"""Which of two ports looks like a server's.

Source: the IANA service name and port number registry, and the alternative ports in common use. The meaning of a port is in
rules/protocols.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

_USUAL: Final = (20, 21, 25, 80, 443, 465, 587, 591, 990, 2121, 2525, 3128, 8000, 8008, 8080, 8081, 8443, 8888)
"""Ports that hardly anybody but a server of SMTP, FTP or HTTP has."""
_SYSTEM_PORTS: Final = 1024
"""Ports below are assigned to services (RFC 6335 6)."""
_EPHEMERAL: Final = 32768
"""Where Linux starts to choose ports; IANA's dynamic ports start at 49152 (RFC 6335 6)."""


def server_port_rank(ports: npt.NDArray[np.uint16]) -> npt.NDArray[np.int8]:
    """Return how much each port looks like a server's: 3 a usual one, 2 system port, 1 registered range, 0 ephemeral or 0."""
    rank = np.zeros(len(ports), np.int8)
    rank[(ports > 0) & (ports < _EPHEMERAL)] = 1
    rank[(ports > 0) & (ports < _SYSTEM_PORTS)] = 2
    rank[np.isin(ports, _USUAL)] = 3
    return rank
