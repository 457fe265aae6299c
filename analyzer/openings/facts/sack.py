"""SACK blocks far from all that was sent: what a device that changes sequence numbers leaves when it forgets the option.

Promises: whole arrays; options are read only of segments whose options are neither timestamps alone nor too short for a block.
Must not know: any check.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from analyzer.capture.decode import tcp_options
from analyzer.schema import ACK, RST, SYN

if TYPE_CHECKING:
    import pandas as pd

    from analyzer.connections import Connections

Array = np.ndarray[Any, np.dtype[Any]]

_SHORTEST: Final = 10
"""Bytes of a SACK option of one block (RFC 2018 3)."""
_PLAIN: Final = 12
"""Bytes of two NOPs and timestamps, which nearly every segment has (RFC 7323 appendix A)."""
_THIRD_BYTE: Final = 2
_FLIGHT: Final = 1 << 24
"""Bytes that may have been sent beyond what was captured, or before."""
_HALF: Final = 1 << 31
_CHUNK: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Outside:
    """Segments with a SACK block outside all that the other side can have sent, one value per connection."""

    count: Array
    row: Array
    """Row of the first such segment in the segments table, -1 where there is none."""


def find(connections: Connections) -> Outside:
    """Return the segments whose SACK blocks lie farther from their acknowledgment than all the other side sent, and 16 MiB."""
    table = connections.segments
    size = len(connections.flows)
    rows = _with_blocks(table, connections.option_bytes)
    # Options that other segments carry throughout may be long: some at a time.
    odd = np.concatenate([np.zeros(0, np.intp), *(_outside(connections, rows[at : at + _CHUNK]) for at in range(0, len(rows), _CHUNK))])
    flow = table["flow"].to_numpy()[odd]
    first = np.full(size, -1, np.int64)
    first[flow[::-1]] = odd[::-1]
    return Outside(np.bincount(flow, minlength=size), first)


def _outside(connections: Connections, rows: Array) -> Array:
    """Return those of `rows` that have a block outside."""
    table = connections.segments
    flow, by_client = (table[name].to_numpy()[rows] for name in ("flow", "by_client"))
    sent = np.where(by_client, *(connections.flows[f"{side}_bytes"].to_numpy()[flow] for side in ("server", "client")))
    reach = np.minimum(sent + _FLIGHT, _HALF)
    edges, known = _edges(connections.option_bytes, table, rows)
    ack = table["ack"].to_numpy()[rows].astype(np.int64)
    distance = np.abs((edges - ack[:, None] + _HALF) % (2 * _HALF) - _HALF)
    found: Array = rows[((distance > reach[:, None]) & known).any(axis=1)]
    return found


def _with_blocks(table: pd.DataFrame, option_bytes: bytes) -> Array:
    """Return the rows of segments that may carry SACK blocks."""
    length = table["option_length"].to_numpy()
    rows = np.flatnonzero(length >= _SHORTEST)
    start = table["option_start"].to_numpy()
    data = np.frombuffer(option_bytes, np.uint8)
    plain = (length[rows] == _PLAIN) & (data[start[rows] + _THIRD_BYTE] == tcp_options.TIMESTAMPS)
    rows = rows[~plain]
    found: Array = rows[table["flags"].to_numpy()[rows] & (ACK | SYN | RST) == ACK]
    return found


def _edges(option_bytes: bytes, table: pd.DataFrame, rows: Array) -> tuple[Array, Array]:
    """Return the edges of the SACK blocks of `rows`, shape (n, 8), and which of them there are."""
    start, length = (table[name].to_numpy()[rows] for name in ("option_start", "option_length"))
    found = tcp_options.find(option_bytes, start, length, tcp_options.SACK)
    numbers = np.ascontiguousarray(found[:, 2:34]).view(">u4").astype(np.int64)
    held = np.minimum(found[:, 1].astype(np.int64) - 2, 32) // 4
    return numbers, np.arange(numbers.shape[1]) < held[:, None]
