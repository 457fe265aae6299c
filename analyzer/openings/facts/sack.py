"""SACK blocks outside the sequence numbers that were sent: a middlebox rewrote sequence numbers but not the option.

Options are decoded only of segments that may carry a block: not of those too short for one, nor of those with timestamps alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from analyzer.capture.decode import tcp_options
from analyzer.schema import ACK, RST, SYN

if TYPE_CHECKING:
    import pandas as pd

    from analyzer._typing import BoolArray, IntArray
    from analyzer.connections import Connections

_MIN_SACK_BYTES: Final = 10
"""A SACK option of one block (RFC 2018 3)."""
_TIMESTAMPS_BYTES: Final = 12
"""Two NOPs and timestamps, as most segments carry (RFC 7323 appendix A)."""
_THIRD_BYTE: Final = 2
_MAX_UNCAPTURED_BYTES: Final = 1 << 24
"""Bytes that may have been sent before the capture began, or beyond what was captured."""
_HALF: Final = 1 << 31
_CHUNK_ROWS: Final = 1 << 16
"""Segments decoded at a time, to bound memory."""


@dataclass(frozen=True, slots=True)
class Outside:
    """Segments with a SACK block outside all that the peer can have sent, one value per connection."""

    count: IntArray
    row: IntArray
    """Row of the first such segment in the segments table, -1 where there is none."""


def find(connections: Connections) -> Outside:
    """Return the segments whose SACK blocks lie farther from their acknowledgment than all bytes of the peer plus 16 MiB."""
    table = connections.segments
    size = len(connections.flows)
    rows = _with_blocks(table, connections.option_bytes)
    outside = np.concatenate(
        [np.zeros(0, np.intp), *(_outside(connections, rows[at : at + _CHUNK_ROWS]) for at in range(0, len(rows), _CHUNK_ROWS))]
    )
    flow = table["flow"].to_numpy()[outside]
    first = np.full(size, -1, np.int64)
    first[flow[::-1]] = outside[::-1]
    return Outside(np.bincount(flow, minlength=size), first)


def _outside(connections: Connections, rows: IntArray) -> IntArray:
    """Return those of `rows` that have a block outside."""
    table = connections.segments
    flow, by_client = (table[name].to_numpy()[rows] for name in ("flow", "by_client"))
    sent = np.where(by_client, *(connections.flows[f"{side}_bytes"].to_numpy()[flow] for side in ("server", "client")))
    reach = np.minimum(sent + _MAX_UNCAPTURED_BYTES, _HALF)
    edges, known = _edges(connections.option_bytes, table, rows)
    ack = table["ack"].to_numpy()[rows].astype(np.int64)
    distance = np.abs((edges - ack[:, None] + _HALF) % (2 * _HALF) - _HALF)
    found: IntArray = rows[((distance > reach[:, None]) & known).any(axis=1)]
    return found


def _with_blocks(table: pd.DataFrame, option_bytes: bytes) -> IntArray:
    """Return the rows of segments that may carry SACK blocks."""
    length = table["option_length"].to_numpy()
    rows = np.flatnonzero(length >= _MIN_SACK_BYTES)
    start = table["option_start"].to_numpy()
    data = np.frombuffer(option_bytes, np.uint8)
    timestamps_alone = (length[rows] == _TIMESTAMPS_BYTES) & (data[start[rows] + _THIRD_BYTE] == tcp_options.TIMESTAMPS)
    rows = rows[~timestamps_alone]
    found: IntArray = rows[table["flags"].to_numpy()[rows] & (ACK | SYN | RST) == ACK]
    return found


def _edges(option_bytes: bytes, table: pd.DataFrame, rows: IntArray) -> tuple[IntArray, BoolArray]:
    """Return the edges of the SACK blocks of `rows`, shape (rows, 8), and which of them are present."""
    start, length = (table[name].to_numpy()[rows] for name in ("option_start", "option_length"))
    found = tcp_options.find(option_bytes, start, length, tcp_options.SACK)
    numbers = np.ascontiguousarray(found[:, 2:34]).view(">u4").astype(np.int64)
    present = np.minimum(found[:, 1].astype(np.int64) - 2, 32) // 4
    return numbers, np.arange(numbers.shape[1]) < present[:, None]
