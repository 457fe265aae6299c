"""Reuse too early: a connection on a tuple that one of its ends still keeps in TIME-WAIT, without a larger number to distinguish them.

Source: RFC 9293 3.6.1 (MAY-2) and RFC 6191 2: within 2 MSL of a close by FINs a new SYN is safe when its ISN is larger
than the last sequence number of the old connection, or its TSval than the old one's last TSval, both mod 2^32.

Whole arrays; only reused tuples are looked at. A reuse that cannot be judged (no old segment of that side) is not early.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from analyzer import schema
from analyzer.capture.decode.tcp_options import decode
from analyzer.connections.port_reuse import IDLE_NS

if TYPE_CHECKING:
    from analyzer.connections.concat import Concatenated
    from analyzer.connections.incarnations import TupleRows
    from analyzer.connections.tuple_key import Bools, Ints

_HALF: Final = 1 << 31
_MODULUS: Final = 1 << 32


def find(rows: TupleRows, positions: Ints, joined: Concatenated, starts: Ints, old_starts: Ints) -> Bools:
    """Return which connections came too early.

    `rows[starts]` are their first segments, each right behind the last of the connection before, which began at `old_starts`.
    """
    by_synack = rows.flags[starts] & schema.ACK != 0
    forward = rows.forward[starts] ^ by_synack
    isn = np.where(by_synack, rows.ack[starts] - np.uint32(1), rows.seq[starts]).astype(np.int64)
    last = np.where(forward, _last_spoken(rows, starts, ahead=True), _last_spoken(rows, starts, ahead=False))
    known = last >= old_starts
    soon = rows.time[starts] - rows.time[starts - 1] <= IDLE_NS
    length = rows.length[last].astype(np.int64) + (rows.flags[last] & schema.FIN != 0)
    larger = _beyond(isn, rows.seq[last].astype(np.int64) + length - 1)
    new, old = _timestamps(joined, positions[starts], by_synack), _timestamps(joined, positions[last], np.zeros(len(last), bool))
    later = (new >= 0) & (old >= 0) & _beyond(new, old)
    return known & soon & ~larger & ~later


def _last_spoken(rows: TupleRows, starts: Ints, *, ahead: bool) -> Ints:
    """Return the last row before each start that this direction sent, resets left out."""
    sent = np.flatnonzero((rows.forward == ahead) & (rows.flags & schema.RST == 0))
    return np.append(sent, -1)[np.searchsorted(sent, starts) - 1]


def _beyond(number: Ints, other: Ints) -> Bools:
    """Whether `number` is larger than `other` mod 2^32."""
    distance = (number - other) % _MODULUS
    larger: Bools = (distance > 0) & (distance < _HALF)
    return larger


def _timestamps(joined: Concatenated, positions: Ints, echoed: Bools) -> Ints:
    """Return each segment's TSval, or its TSecr where `echoed`; -1 without the option."""
    columns = joined.segments
    options = decode(joined.option_bytes, columns["option_start"][positions], columns["option_length"][positions])
    return np.where(echoed, options["ts_ecr"].to_numpy(), options["ts_val"].to_numpy())
