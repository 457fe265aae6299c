"""Classify connections as Zeek (conn_state) and Wireshark (tcp.completeness) do.

`zeek_conn_state` is the value of Zeek's conn.log for a connection that Zeek's timers do not split; `tcp_completeness` is the final value
of Wireshark's tcp.completeness. Both depend on flags and their order alone, so neither is a verdict.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from analyzer.schema import ACK, FIN, RST, SYN

if TYPE_CHECKING:
    import pandas as pd

    from analyzer._typing import Array, BoolArray, IntArray

COMPLETENESS: Final = {"syn": 1, "synack": 2, "ack": 4, "data": 8, "fin": 16, "rst": 32}
"""Weights of tcp.completeness (Wireshark User's Guide, section on TCP completeness)."""

NO_ROW: Final = np.iinfo(np.int64).max
"""Row of the first segment of a kind where there is none."""


class SegmentKinds:
    """The kinds of segments that each side of each connection sent."""

    def __init__(self, segments: pd.DataFrame, size: int) -> None:
        self._size = size
        self._flow = segments["flow"].to_numpy()
        self._by_client = segments["by_client"].to_numpy()
        flags = segments["flags"].to_numpy()
        length = segments["payload_length"].to_numpy()
        self.kinds: dict[str, BoolArray] = {
            "syn": (flags & (SYN | ACK)) == SYN,
            "synack": (flags & (SYN | ACK)) == SYN | ACK,
            "ack": ((flags & (SYN | ACK)) == ACK) & (length == 0),
            "data": (length > 0),
            "fin": flags & FIN != 0,
            "rst": flags & RST != 0,
            "later": (flags & (SYN | ACK | RST)) == ACK,
        }

    def any(self, kind: str, *, by_client: bool | None = None) -> BoolArray:
        """Return which connections have a segment of `kind`, of one side or of any."""
        chosen = self.kinds[kind]
        if by_client is not None:
            chosen = chosen & (self._by_client == by_client)
        found: BoolArray = np.bincount(self._flow[chosen], minlength=self._size) > 0
        return found

    def first(self, kind: str, *, by_client: bool) -> IntArray:
        """Return the row of the side's first segment of `kind` in each connection."""
        rows = np.flatnonzero(self.kinds[kind] & (self._by_client == by_client))
        found = np.full(self._size, NO_ROW)
        np.minimum.at(found, self._flow[rows], rows)
        return found


def tcp_completeness(kinds: SegmentKinds) -> IntArray:
    """Return Wireshark's tcp.completeness of each connection, int64."""
    total: IntArray = np.sum([weight * kinds.any(kind).astype(np.int64) for kind, weight in COMPLETENESS.items()], axis=0)
    return total


def zeek_conn_state(kinds: SegmentKinds) -> Array:
    """Return Zeek's conn_state of each connection, strings (Zeek documentation, conn.log).

    Zeek keeps a state per endpoint: a SYN+ACK establishes both, whatever it acknowledges; FIN closes and RST resets the sender; an
    endpoint of which neither SYN nor FIN nor RST was captured is partial. The first entry of the table that holds is the value.
    """
    syn, synack = kinds.any("syn", by_client=True), kinds.any("synack", by_client=False)
    server_up = synack | kinds.any("syn", by_client=False)
    client_up = server_up & (syn | kinds.any("later", by_client=True))
    client_closed, client_reset = _ended(kinds, by_client=True)
    server_closed, server_reset = _ended(kinds, by_client=False)
    client_known = syn | client_up | client_closed | client_reset
    server_known = server_up | server_closed | server_reset
    waiting = syn & ~client_up & ~client_closed & ~client_reset
    silent = kinds.first("rst", by_client=True) < np.minimum(kinds.first("later", by_client=True), kinds.first("fin", by_client=True))
    table = (
        ("REJ", server_reset & (waiting | (client_reset & ~kinds.any("data")))),
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
        ("S0", waiting & ~kinds.any("data", by_client=False)),
        ("S1", client_up & server_up),
    )
    codes = np.select([holds for _, holds in table], np.arange(len(table), dtype=np.int8).tolist(), len(table))
    found: Array = np.array([*(word for word, _ in table), "OTH"], object)[codes]
    return found


def _ended(kinds: SegmentKinds, *, by_client: bool) -> tuple[BoolArray, BoolArray]:
    """Return which connections this side closed, and which it reset; a RST after the FINs of both sides does not count."""
    fin, rst = kinds.first("fin", by_client=by_client), kinds.first("rst", by_client=by_client)
    finished = (fin < rst) & kinds.any("fin", by_client=not by_client)
    reset = (rst < NO_ROW) & ~finished
    return (fin < NO_ROW) & ~reset, reset
