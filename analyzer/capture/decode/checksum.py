"""TCP checksums of segments that lie in memory, whole arrays at a time.

RFC 9293 3.1 and RFC 8200 8.1 over headers and payloads of any length and alignment. Ones' complement sums of
16-bit words are sums modulo 65535, so words of 32 bits are added in 64 and a segment at an odd place is turned in the end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from analyzer import schema

if TYPE_CHECKING:
    from analyzer._typing import Array, Int64Array


_WORD: Final = 4
_CHUNK: Final = 2048
"""Segments summed at a time: few enough for the words to stay in the cache."""
_MODULUS: Final = 0xFFFF
_TCP: Final = 6
_LOW_BYTES: Final = np.array([0, 0xFF, 0xFFFF, 0xFFFFFF], dtype=np.uint32)


def fold(total: Int64Array) -> Int64Array:
    """Return sums that are not 0 as 16-bit ones' complement sums, of whose two zeros they take 0xFFFF."""
    folded: Int64Array = (total - 1) % _MODULUS + 1
    return folded


def sum_addresses(src: Array, dst: Array) -> Int64Array:
    """Return the sums of pairs of addresses, IPv4 as uint32 or IPv6 as V16."""
    if src.dtype.kind == "V":
        words = np.concatenate((src.view(">u8").reshape(-1, 2), dst.view(">u8").reshape(-1, 2)), axis=1)
        summed: Int64Array = (words % np.uint64(_MODULUS)).sum(axis=1).astype(np.int64)
        return summed
    low: Int64Array = (src & 0xFFFF).astype(np.int64) + (dst & 0xFFFF) + (src >> 16) + (dst >> 16)
    return low


def judge(data: Array, start: Int64Array, length: Int64Array, addresses: Int64Array, checksum: Int64Array) -> Array:
    """Return the checksum state (int8) of each segment, of which every byte is in `data` from `start` on.

    `length` is that of header and payload, at least a header's; `addresses` are sums of addresses; `start` rises.
    """
    pseudo = fold(addresses + _TCP + length)
    wrong = (_sum(data, start, length) + pseudo) % _MODULUS != 0
    # Of what the card is to cut up, the length is left out of the pseudo-header: each part has its own.
    uncut = fold(addresses + _TCP)
    partial = wrong & ((checksum == pseudo) | (checksum == 0xFFFF - pseudo) | (checksum == uncut) | (checksum == 0xFFFF - uncut))
    return np.where(partial, schema.CHECKSUM_PARTIAL, np.where(wrong, schema.CHECKSUM_BAD, schema.CHECKSUM_GOOD)).astype(np.int8)


def _sum(data: Array, start: Int64Array, length: Int64Array) -> Int64Array:
    """Return the sum, modulo 65535, of the big-endian words of each segment."""
    words = data[: len(data) // _WORD * _WORD].view("<u4")
    end = start + length
    first, last = start // _WORD, end // _WORD
    total = np.empty(len(start), dtype=np.int64)
    for begin in range(0, len(start), _CHUNK):
        part = slice(begin, begin + _CHUNK)
        low = int(first[part][0])
        edges = np.stack((first[part], last[part]), axis=1).reshape(-1) - low
        total[part] = np.add.reduceat(words[low : low + int(edges[-1]) + 1].astype(np.int64), edges)[::2]
    # The words before the last, whole, less what the first has before the segment, and what the last has of it.
    total += words[last] & _LOW_BYTES[end % _WORD]
    total -= words[first] & _LOW_BYTES[start % _WORD]
    # Little-endian words at even places: a byte's weight is right if the segment begins at an odd one.
    return np.where(start & 1, total, total % _MODULUS << 8)
