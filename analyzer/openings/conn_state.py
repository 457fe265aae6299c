"""What Zeek and Wireshark would call a connection, for people who know those words.

Promises: `zeek_conn_state` is the word Zeek's conn.log has for a connection that is kept in one piece (Zeek splits some by
its timers); `tcp_completeness` is the number Wireshark's tcp.completeness ends at. Both look at flags and their order
alone, as their makers do, so neither is a verdict.
Must not know: rules, verdicts, states.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from analyzer.schema import ACK, FIN, RST, SYN

if TYPE_CHECKING:
    import pandas as pd

Array = np.ndarray[Any, np.dtype[Any]]

COMPLETENESS: Final = {"syn": 1, "synack": 2, "ack": 4, "data": 8, "fin": 16, "rst": 32}
"""Weights of tcp.completeness (Wireshark User's Guide, TCP conversation completeness)."""


NEVER: Final = np.iinfo(np.int64).max
"""Where the first segment of a kind stands when there is none."""


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
            "later": (flags & (SYN | ACK | RST)) == ACK,
        }

    def any(self, kind: str, *, by_client: bool | None = None) -> Array:
        """Return, per connection, whether a segment of `kind` was sent (by that side)."""
        chosen = self.kinds[kind]
        if by_client is not None:
            chosen = chosen & (self._by_client == by_client)
        found: Array = np.bincount(self._flow[chosen], minlength=self._size) > 0
        return found

    def first(self, kind: str, *, by_client: bool) -> Array:
        """Return, per connection, the row of that side's first segment of `kind`, NEVER when none."""
        rows = np.flatnonzero(self.kinds[kind] & (self._by_client == by_client))
        found = np.full(self._size, NEVER)
        np.minimum.at(found, self._flow[rows], rows)
        return found


def tcp_completeness(seen: Seen) -> Array:
    """Return Wireshark's number, int64 a connection."""
    total: Array = np.sum([weight * seen.any(kind).astype(np.int64) for kind, weight in COMPLETENESS.items()], axis=0)
    return total


def zeek_conn_state(seen: Seen) -> Array:
    """Return Zeek's word, a string a connection: the first that holds (Zeek documentation, conn.log: conn_state).

    Zeek keeps a state of each endpoint: a SYN+ACK establishes both, whatever it acknowledges; FIN closes and RST resets
    the sender; an endpoint of which neither SYN nor FIN nor RST was seen is partial.
    """
    syn, synack = seen.any("syn", by_client=True), seen.any("synack", by_client=False)
    server_up = synack | seen.any("syn", by_client=False)
    client_up = server_up & (syn | seen.any("later", by_client=True))
    client_closed, client_reset = _ended(seen, by_client=True)
    server_closed, server_reset = _ended(seen, by_client=False)
    client_known = syn | client_up | client_closed | client_reset
    server_known = server_up | server_closed | server_reset
    waiting = syn & ~client_up & ~client_closed & ~client_reset
    silent = seen.first("rst", by_client=True) < np.minimum(seen.first("later", by_client=True), seen.first("fin", by_client=True))
    table = (
        ("REJ", server_reset & (waiting | (client_reset & ~seen.any("data")))),
        ("RSTRH", server_reset & ~client_known),
        ("RSTR", server_reset),
        ("RSTOS0", client_reset & ~server_known & syn & silent),
        ("OTH", client_reset & ~server_known),
        ("RSTO", client_reset),
        ("SF", client_closed & server_closed),
        ("SH", client_closed & ~server_known),
        ("S2", client_closed),
        ("SHR", server_closed & ~client_known),
        ("S3", server_closed),
        ("S0", waiting & ~seen.any("data", by_client=False)),
        ("S1", client_up & server_up),
    )
    codes = np.select([holds for _, holds in table], np.arange(len(table), dtype=np.int8).tolist(), len(table))
    found: Array = np.array([*(word for word, _ in table), "OTH"], object)[codes]
    return found


def _ended(seen: Seen, *, by_client: bool) -> tuple[Array, Array]:
    """Return which connections this side closed, and which it reset: once both sides sent FIN, a RST after its own changes nothing."""
    fin, rst = seen.first("fin", by_client=by_client), seen.first("rst", by_client=by_client)
    finished = (fin < rst) & seen.any("fin", by_client=not by_client)
    reset = (rst < NEVER) & ~finished
    return (fin < NEVER) & ~reset, reset
