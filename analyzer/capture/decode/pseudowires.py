"""Packets behind MPLS labels ─► which of them are Ethernet frames, and where those begin; whole arrays at a time.

Nothing in a label identifies a pseudowire (RFC 4448), a frame may follow a control word, whose first half is zero, or the label
itself, and an address that begins with 4 or 6 looks like an IP packet (RFC 4928). So a packet counts as an Ethernet frame only if the
IP header in it is right in version, lengths and checksum, and no right IPv4 header stands in its own place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from analyzer.capture.formats.window import gather_rows

if TYPE_CHECKING:
    from analyzer._typing import Array, BoolArray, Int64Array


_TYPE_AT: Final = 12
_TYPE_IPV4, _TYPE_IPV6 = 0x0800, 0x86DD
_TAG_TYPES: Final = (0x8100, 0x88A8, 0x9100)
_MAX_TAGS: Final = 4
_CONTROL_WORD_BYTES: Final = 4
_MAX_HEADER4_BYTES: Final = 60
_HEADER4_BYTES: Final = 20
_HEADER6_BYTES: Final = 40
_TRANSPORTS6: Final = (0, 4, 6, 17, 41, 43, 44, 47, 50, 51, 58, 59, 60, 132)
"""What may follow an IPv6 header: extension headers and what is in use above them."""


def find(data: Array, at: Int64Array, captured: Int64Array, end: Int64Array) -> Int64Array:
    """Return where the Ethernet frame in each packet begins, shape (n,), -1 where the packet is none.

    `at` is where the packets begin in `data`, `captured` where their captured bytes end, `end` where their frames ended.
    """
    found = np.full(len(at), -1, dtype=np.int64)
    left = np.flatnonzero(~_are_four(data, at, captured, end))
    for skipped in (0, _CONTROL_WORD_BYTES):
        begin = at[left] + skipped
        fits = _carry_packets(data, begin, captured[left], end[left])
        if skipped:
            fits &= _number(data, at[left], captured[left], 2) == 0
        found[left[fits]] = begin[fits]
        left = left[~fits]
    return found


def _number(data: Array, at: Int64Array, captured: Int64Array, width: int) -> Int64Array:
    """Return the big-endian number of 2 or 4 bytes at each place, -1 where it was not captured."""
    there = at + width <= captured
    return np.where(there, gather_rows(data, np.where(there, at, 0), width).view(f">u{width}").astype(np.int64), -1)


def _carry_packets(data: Array, at: Int64Array, captured: Int64Array, end: Int64Array) -> BoolArray:
    """Return where an Ethernet frame with a right IP header in it begins, behind VLAN tags or not."""
    place = at + _TYPE_AT
    for _ in range(_MAX_TAGS):
        place = place + 4 * np.isin(_number(data, place, captured, 2), _TAG_TYPES)
    kind = _number(data, place, captured, 2)
    four = (kind == _TYPE_IPV4) & _are_four(data, place + 2, captured, end)
    either: BoolArray = four | ((kind == _TYPE_IPV6) & _are_six(data, place + 2, captured, end))
    return either


def _are_four(data: Array, at: Int64Array, captured: Int64Array, end: Int64Array) -> BoolArray:
    """Return where an IPv4 header of the right checksum begins (RFC 791 3.1)."""
    words = (
        gather_rows(data, np.minimum(at, len(data) - _MAX_HEADER4_BYTES), _MAX_HEADER4_BYTES)
        .view(">u2")
        .reshape(len(at), 30)
        .astype(np.int64)
    )
    size = (words[:, 0] >> 8 & 0xF) * 4
    right: BoolArray = (words[:, 0] >> 12 == 4) & (size >= _HEADER4_BYTES) & (at + size <= captured)  # noqa: PLR2004 - an IP version
    right &= (words[:, 1] == 0) | ((words[:, 1] >= size) & (at + words[:, 1] <= end))
    total = np.where(np.arange(_MAX_HEADER4_BYTES // 2) * 2 < size[:, None], words, 0).sum(axis=1)
    right &= (total > 0) & (total % 0xFFFF == 0)
    return right


def _are_six(data: Array, at: Int64Array, captured: Int64Array, end: Int64Array) -> BoolArray:
    """Return where an IPv6 header begins that states no more than there is, and what may follow it (RFC 8200 3)."""
    words = gather_rows(data, np.minimum(at, len(data) - 8), 8).view(">u2").reshape(len(at), 4).astype(np.int64)
    right: BoolArray = (words[:, 0] >> 12 == 6) & (at + _HEADER6_BYTES <= captured)  # noqa: PLR2004 - an IP version
    right &= (at + _HEADER6_BYTES + words[:, 2] <= end) & np.isin(words[:, 3] >> 8, _TRANSPORTS6)
    return right
