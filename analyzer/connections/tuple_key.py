"""Which segments share a tuple: capture, unordered pair of (address, port), VLAN stack, tunnel.

A VLAN or tunnel number may belong to one direction only: two one-sided tuples that differ in no more, and whose numbers
fit, are one.

Tuple codes are dense and numbered by first segment; every row has exactly one; `forward` distinguishes the two
directions of a tuple and is True throughout where both ends are one socket. Whole arrays only.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

if TYPE_CHECKING:
    from analyzer.connections.concat import Array, Concatenated

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

PORT_BITS: Final = 16
_ROOM: Final = 63
"""Bits of a non-negative int64."""
_ODD: Final = np.uint64(int.from_bytes(os.urandom(8), "little") | 1)
"""Odd, so that the product modulo 2^64 distinguishes any two values."""
_POSITION: Final = np.int64(0xFFFF_FFFF)


@dataclass(frozen=True, slots=True)
class Tuples:
    """Every row's tuple and direction, in capture order."""

    code: Ints
    forward: Bools
    """The sender is the end that orders first; True in both directions of a self-connection."""
    first: Ints
    """Position of each tuple's first row; its length is the number of tuples."""
    joined: Bools
    """Per tuple: two one-sided ones, on VLANs or in tunnels of their own, made into one."""


def number(joined: Concatenated) -> Tuples:
    """Number the tuples of all segments."""
    columns = joined.segments
    source, target = endpoint_keys(columns)
    forward = source <= target
    low, high = np.minimum(source, target), np.maximum(source, target)
    bound = joined.size("src") << PORT_BITS
    bare = pack([(low, bound), (high, bound), (columns["capture"], int(columns["capture"].max(initial=0)) + 1)])
    key, _ = pack([bare, (columns["tunnel"], joined.size("tunnel")), (columns["vlan"], joined.size("vlan"))])
    code, first = number_groups(key)
    found = Tuples(code, forward, first, np.zeros(len(first), bool))
    if joined.size("vlan") <= 1 and joined.size("tunnel") <= 1:
        return found
    one_sided = _complementary(found, bare[0], joined)
    return _merge(found, one_sided) if len(one_sided) else found


def families(joined: Concatenated, tuples: Tuples) -> Ints:
    """Return a number per tuple that is the same for all between the same ends of one capture, whatever carries them."""
    columns = {name: joined.segments[name][tuples.first] for name in ("src", "dst", "src_port", "dst_port", "capture")}
    source, target = endpoint_keys(columns)
    bound = joined.size("src") << PORT_BITS
    low, high = np.minimum(source, target), np.maximum(source, target)
    bare, _ = pack([(low, bound), (high, bound), (columns["capture"], int(columns["capture"].max(initial=0)) + 1)])
    return number_groups(bare)[0]


def merge(tuples: Tuples, pairs: Ints) -> Tuples:
    """Return `tuples` with those of each pair made one, shape (n, 2), and what pairs share one too."""
    replacement = np.arange(len(tuples.first))
    low, high = pairs.min(axis=1), pairs.max(axis=1)
    while True:
        target = np.minimum(replacement[low], replacement[high])
        moved = replacement.copy()
        np.minimum.at(moved, low, target)
        np.minimum.at(moved, high, target)
        moved = moved[moved]
        if np.array_equal(moved, replacement):
            break
        replacement = moved
    code, first = number_groups(replacement[tuples.code])
    return Tuples(code, tuples.forward, first, tuples.joined[tuples.code[first]])


def endpoint_keys(columns: dict[str, Array]) -> tuple[Ints, Ints]:
    """Return (address code << 16 | port) of the sender and of the receiver of each row."""
    return (
        columns["src"].astype(np.int64) << PORT_BITS | columns["src_port"],
        columns["dst"].astype(np.int64) << PORT_BITS | columns["dst_port"],
    )


def pack(parts: list[tuple[Array, int]]) -> tuple[Ints, int]:
    """Return one int64 a row that is equal where all parts are, and the number it stays below.

    `parts` are (values, exclusive bound); where the bounds do not fit into 63 bits together, what was packed so far is renumbered densely.
    """
    key, bound = parts[0][0].astype(np.int64, copy=False), parts[0][1]
    for values, limit in parts[1:]:
        if limit <= 1:
            continue
        more = values.astype(np.int64, copy=False)
        if _bits(bound) + _bits(limit) > _ROOM:
            key, bound = _renumber(key)
        if _bits(bound) + _bits(limit) > _ROOM:
            more, limit = _renumber(more)  # noqa: PLW2901 - the dense numbers stand for the same values
        key = key << _bits(limit) | more
        bound <<= _bits(limit)
    return key, bound


def number_groups(values: Ints) -> tuple[Ints, Ints]:
    """Return each value's number, distinct values counted in order of appearance, and where each appears first.

    Takes time in the number of values, whatever they are: they are multiplied by a random number, so that
    no traffic can be made to fall into the same places of the hash table.
    """
    code, distinct = pd.factorize(values.astype(np.uint64) * _ODD)
    first = np.empty(len(distinct), np.int64)
    # Of several values for one place the last one stays, so the first comes last.
    first[code[::-1]] = np.arange(len(values) - 1, -1, -1)
    return code.astype(np.int64, copy=False), first


def sort(code: Ints, positions: Ints) -> Ints:
    """Return code << 32 | position, sorted: tuple by tuple, capture order inside each.

    `positions` are rising, codes below 2^31.
    """
    # By 16 bits numpy sorts in linear time, and twice that is still faster than comparing.
    order = np.argsort(code.astype(np.uint16), kind="stable")
    above = (code >> 16).astype(np.uint16)
    if above.any():
        order = order[np.argsort(above[order], kind="stable")]
    found: Ints = code[order] << 32 | positions[order]
    return found


def positions(packed: Ints) -> Ints:
    """Return the positions inside `sort`'s answer."""
    found: Ints = packed & _POSITION
    return found


def _bits(bound: int) -> int:
    return max(bound - 1, 0).bit_length()


def _renumber(values: Ints) -> tuple[Ints, int]:
    code, first = number_groups(values)
    return code, len(first)


def _complementary(found: Tuples, bare: Ints, joined: Concatenated) -> Ints:
    """Return pairs of tuples (kept, absorbed), shape (n, 2): the same ends, carried otherwise, one direction on each, numbers that fit."""
    code, first, forward = found.code, found.first, found.forward
    sent = np.bincount(code, weights=forward, minlength=len(first)).astype(np.int64)
    total = np.bincount(code, minlength=len(first))
    family, _ = number_groups(bare[first])
    order = np.argsort(family, kind="stable")
    sizes = np.bincount(family)
    starts = np.cumsum(sizes) - sizes
    pairs = np.stack([order[starts[sizes == 2]], order[starts[sizes == 2] + 1]], axis=1)  # noqa: PLR2004 - a pair
    only_forward, only_backward = sent == total, sent == 0
    opposite = (only_forward[pairs[:, 0]] & only_backward[pairs[:, 1]]) | (only_backward[pairs[:, 0]] & only_forward[pairs[:, 1]])
    pairs = pairs[opposite]
    fitting: Ints = pairs[_numbers_fit(code, pairs, len(first), joined)]
    return fitting


def _numbers_fit(code: Ints, pairs: Ints, count: int, joined: Concatenated) -> Bools:
    """Whether one side of each pair acknowledges a number the other side sent or ended a segment on."""
    columns = joined.segments
    pair = np.full(count, -1, np.int64)
    pair[pairs[:, 0]] = pair[pairs[:, 1]] = np.arange(len(pairs))
    second = np.zeros(count, bool)
    second[pairs[:, 1]] = True
    rows = np.flatnonzero(pair[code] >= 0)
    seq, ack = columns["seq"][rows], columns["ack"][rows]
    flags = columns["flags"][rows]
    after = seq + columns["payload_length"][rows].astype(np.uint32) + (flags & 3 != 0)
    side = second[code[rows]]
    # Pair, side and number make 64 bits: equal means the same number on the same side of the same pair.
    where = (pair[code[rows]].astype(np.uint64) << np.uint64(33)) | (side.astype(np.uint64) << np.uint64(32))
    mirrored = where ^ (np.uint64(1) << np.uint64(32))
    acknowledges = flags & 0x10 != 0
    wanted = (mirrored | ack)[acknowledges]
    offered = np.concatenate([where | seq, where | after.astype(np.uint64)])
    fits = np.zeros(len(pairs), bool)
    fits[pair[code[rows]][acknowledges][np.isin(wanted, offered)]] = True
    return fits


def _merge(found: Tuples, pairs: Ints) -> Tuples:
    replacement = np.arange(len(found.first))
    replacement[pairs[:, 1]] = pairs[:, 0]
    code, first = number_groups(replacement[found.code])
    together = np.zeros(len(found.first), bool)
    together[pairs[:, 0]] = True
    return Tuples(code, found.forward, first, together[found.code[first]])
