"""What Zeek and Wireshark would call a connection, for people who know those words.

Promises: `zeek_conn_state` follows the table in Zeek's documentation of conn.log; `tcp_completeness` is the number
Wireshark's tcp.completeness ends at. Both look at flags alone, as their makers do, so neither is a verdict.
Must not know: rules, verdicts, states.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from analyzer.tables import ACK, FIN, RST, SYN

if TYPE_CHECKING:
    import pandas as pd

Array = np.ndarray[Any, np.dtype[Any]]

COMPLETENESS: Final = {"syn": 1, "synack": 2, "ack": 4, "data": 8, "fin": 16, "rst": 32}
"""Weights of tcp.completeness (Wireshark User's Guide, TCP conversation completeness)."""


class Seen:
    """Which kinds of segments each connection has, by side."""

    def __init__(self, segments: pd.DataFrame, size: int) -> None:
        self._size = size
        self._flow = segments["flow"].to_numpy()
        self._by_client = segments["by_client"].to_numpy()
        flags = segments["flags"].to_numpy()
        length = segments["payload_length"].to_numpy()
        self.kinds: dict[str, Array] = {
            "syn": (flags & (SYN | ACK)) == SYN,
            "synack": (flags & (SYN | ACK)) == SYN | ACK,
            "ack": ((flags & (SYN | ACK)) == ACK) & (length == 0),
            "data": (length > 0),
            "fin": flags & FIN != 0,
            "rst": flags & RST != 0,
        }

    def any(self, kind: str, *, by_client: bool | None = None) -> Array:
        """Return, per connection, whether a segment of `kind` was sent (by that side)."""
        chosen = self.kinds[kind]
        if by_client is not None:
            chosen = chosen & (self._by_client == by_client)
        found: Array = np.bincount(self._flow[chosen], minlength=self._size) > 0
        return found


def tcp_completeness(seen: Seen) -> Array:
    """Return Wireshark's number, int64 a connection."""
    total: Array = np.sum([weight * seen.any(kind).astype(np.int64) for kind, weight in COMPLETENESS.items()], axis=0)
    return total


def zeek_conn_state(seen: Seen) -> Array:
    """Return Zeek's word, a string a connection: the first that holds."""
    syn, synack = seen.any("syn", by_client=True), seen.any("synack", by_client=False)
    client_fin, server_fin = seen.any("fin", by_client=True), seen.any("fin", by_client=False)
    client_rst, server_rst = seen.any("rst", by_client=True), seen.any("rst", by_client=False)
    opened = syn & synack
    table = (
        ("REJ", syn & ~synack & server_rst),
        ("RSTOS0", syn & ~synack & client_rst),
        ("SH", syn & ~synack & client_fin),
        ("S0", syn & ~synack),
        ("RSTO", opened & client_rst),
        ("RSTR", opened & server_rst),
        ("SF", opened & client_fin & server_fin),
        ("S2", opened & client_fin),
        ("S3", opened & server_fin),
        ("S1", opened),
        ("RSTRH", ~syn & synack & server_rst),
        ("SHR", ~syn & synack & server_fin),
    )
    return np.select([holds for _, holds in table], [word for word, _ in table], "OTH")
