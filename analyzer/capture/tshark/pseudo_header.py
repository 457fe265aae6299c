"""The sum of the pseudo-header, which a sender leaves to its network card to complete.

RFC 9293 3.1 and RFC 8200 8.1, whole arrays at a time.
"""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from analyzer._typing import Int64Array


_TCP: Final = 6


def pseudo_sums(addresses: Sequence[str], src: Int64Array, dst: Int64Array, length: Int64Array) -> Int64Array:
    """Return the folded ones' complement sum, not inverted, of each segment's pseudo-header.

    `src` and `dst` are places in `addresses`; `length` is the length of TCP header and payload. Shapes (n,), int64.
    """
    used = np.unique(np.concatenate((src, dst)))
    words = np.zeros(int(used.max()) + 1, dtype=np.int64)
    words[used] = [_sum_words(addresses[place]) for place in used.tolist()]
    total: Int64Array = words[src] + words[dst] + _TCP + (length >> 16) + (length & 0xFFFF)
    for _ in range(2):
        total = (total >> 16) + (total & 0xFFFF)
    return total


def _sum_words(address: str) -> int:
    """Return the sum of an address's 16-bit words, 0 when it is no address."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        packed = socket.inet_pton(family, address)
    except OSError:
        return 0
    return sum(struct.unpack(f"!{len(packed) // 2}H", packed))
