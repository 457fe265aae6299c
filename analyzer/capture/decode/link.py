"""Frames ─► where their IP packets begin: link headers, VLAN tags, PPPoE, MPLS, whole arrays at a time.

A frame is IP, or certainly nothing that can hold a TCP segment, or left to tshark; nothing is guessed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from analyzer.capture.decode import pseudowires
from analyzer.capture.formats.window import gather_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from analyzer._typing import Array, BoolArray, Int64Array
    from analyzer.capture.formats.model import Frames, Interface


NOT_IP, IPV4, IPV6, DELEGATE = 0, 4, 6, 1
"""What a frame holds: nothing of interest, IPv4, IPv6, or a protocol that only tshark decodes."""
ENDED_PPP: Final = -2
"""Stands for PPP among Ethernet types."""
TAG_BITS: Final = 13
"""Each VLAN id, plus 1, takes so many bits of a number that stands for a stack of them, the outermost highest."""
_NUMBERED_TAGS: Final = 4
"""So many tags fit a 64-bit number; what stands for deeper stacks is kept as Python's integers."""
_MAX_TAGS: Final = 128
_MAX_LABELS: Final = 8

_NULL, _ETHERNET, _PPP, _HDLC, _LOOP, _SLL, _SLL2 = 0, 1, 9, 50, 108, 113, 276
_RAW: Final = (12, 14, 101)
_RAW_IPV4, _RAW_IPV6 = 228, 229
UNREAD: Final = 0xFFFF
"""A link type that is none: its frames are left to tshark."""
LINKS: Final = frozenset({_NULL, _ETHERNET, _PPP, _HDLC, _LOOP, _SLL, _SLL2, *_RAW, _RAW_IPV4, _RAW_IPV6})
"""The link types (LINKTYPE_ numbers) read here."""

_TYPE_IPV4, _TYPE_IPV6, _TYPE_PPPOE, _TYPE_MPLS = 0x0800, 0x86DD, 0x8864, 0x8847
_TAG_TYPES: Final = (0x8100, 0x88A8, 0x9100)
_NOTHING_TYPES: Final = (
    0x0806,  # ARP
    0x8035,  # RARP
    0x8808,  # Ethernet flow control
    0x8809,  # LACP and other slow protocols
    0x8863,  # PPPoE discovery
    0x888E,  # EAPOL
    0x8892,  # PROFINET
    0x88B8,  # GOOSE
    0x88BA,  # sampled values
    0x88CC,  # LLDP
    0x88F7,  # PTP
    0x893A,  # IEEE 1905
    0x9000,  # loopback test
)
_MAX_LENGTH: Final = 1500
"""An Ethernet type up to this is a length, and an LLC header follows."""
_SPANNING_TREE: Final = 0x424203
_CISCO: Final = (0xAAAA0300000C2000, 0xAAAA0300000C2003, 0xAAAA0300000C2004, 0xAAAA0300000C010B)
"""LLC and SNAP headers of CDP, VTP, DTP and PVST+."""
_PPP_IPV4, _PPP_IPV6, _PPP_CONTROL = 0x0021, 0x0057, 0x8000
_FAMILIES: Final = {2: IPV4, 24: IPV6, 28: IPV6, 30: IPV6}
"""Address families of the BSD null header."""
_MAX_FAMILY: Final = 0xFFFF
"""A larger one was written in the other byte order."""
_HARDWARE: Final = (1, 512, 772, 65534)
"""ARPHRD_ numbers of cooked captures that have an Ethernet type: Ethernet, PPP, loopback, none."""


@dataclass(slots=True)
class LinkPayload:
    """What link headers say, shapes (n,)."""

    kind: Array
    """int8: NOT_IP, IPV4, IPV6 or DELEGATE."""
    at: Int64Array
    """Where the IP packet begins in the frames' data."""
    src_mac: Int64Array
    """48 bits, -1 for none."""
    dst_mac: Int64Array
    vlan: Int64Array
    """The stack of VLAN ids as a number, 0 for none; see `TAG_BITS`."""
    deep: dict[int, int]
    """Row ─► the same of those that have more tags than fit."""
    session: Int64Array
    """The PPPoE session, -1 for none."""
    ended: Array
    """int32: of a frame that holds nothing of interest the Ethernet type, up to 1500 where an LLC header follows, or ENDED_PPP."""


def read(frames: Frames, interfaces: Sequence[Interface]) -> LinkPayload:
    """Return what the link headers of `frames` say."""
    count = len(frames)
    absent = np.full(count, -1, dtype=np.int64)
    found = LinkPayload(
        kind=np.full(count, DELEGATE, dtype=np.int8),
        at=frames.start.copy(),
        src_mac=absent.copy(),
        dst_mac=absent.copy(),
        vlan=np.zeros(count, dtype=np.int64),
        deep={},
        session=absent,
        ended=np.full(count, -1, dtype=np.int32),
    )
    link = frames.look_up(interfaces, "link", -1)
    for one in np.unique(link).tolist():
        rows = np.flatnonzero(link == one)
        if one < 0:
            found.kind[rows] = NOT_IP
        elif one in LINKS:
            _read_link(one, frames, found, rows)
    # A frame longer than itself is left to tshark whatever it holds.
    found.kind[frames.captured > frames.length] = DELEGATE
    return found


def _read_link(link: int, frames: Frames, found: LinkPayload, rows: Int64Array) -> None:
    """Read the frames `rows`, all of link type `link`."""
    if link == _ETHERNET:
        _read_ethernet(frames, found, rows, frames.start[rows])
    elif link in {_SLL, _SLL2}:
        _read_cooked(link, frames, found, rows)
    elif link in {_NULL, _LOOP}:
        _read_family(link, frames, found, rows)
    elif link in {_PPP, _HDLC}:
        framed = rows[_number(frames, found, rows, 2) == 0xFF03]  # noqa: PLR2004 - address and control of RFC 1662
        found.at[framed] += 2
        _read_ppp(frames, found, framed if link == _HDLC else rows)
    else:
        version = _number(frames, found, rows, 1) >> 4
        allowed = {_RAW_IPV4: (IPV4,), _RAW_IPV6: (IPV6,)}.get(link, (IPV4, IPV6))
        found.kind[rows] = np.where(np.isin(version, allowed), version, DELEGATE)


def _number(frames: Frames, found: LinkPayload, rows: Int64Array, width: int) -> Int64Array:
    """Return the big-endian number of 1, 2, 4 or 8 bytes each frame has where it was read to, -1 where it ends before."""
    at = found.at[rows]
    there = at + width <= frames.start[rows] + frames.captured[rows]
    number = gather_rows(frames.data, np.where(there, at, 0), width).view(f">u{width}").astype(np.int64)
    return np.where(there, number, -1)


def _read_ethernet(frames: Frames, found: LinkPayload, rows: Int64Array, at: Int64Array) -> None:
    """Read the Ethernet headers at `at` and what follows them."""
    words = gather_rows(frames.data, at, 16).view(">u8").reshape(len(rows), 2)
    found.dst_mac[rows] = words[:, 0] >> 16
    found.src_mac[rows] = (words[:, 0] & 0xFFFF) << 32 | words[:, 1] >> 32
    kind = (words[:, 1] >> 16 & 0xFFFF).astype(np.int64)
    short = frames.start[rows] + frames.captured[rows] - at < 14  # noqa: PLR2004 - an Ethernet header
    if short.any():
        kind[short] = -1
    found.at[rows] = at + 14
    _read_type(frames, found, rows, kind)


def _read_cooked(link: int, frames: Frames, found: LinkPayload, rows: Int64Array) -> None:
    """Read Linux cooked headers, version 1 or 2."""
    start = frames.start[rows]
    size, type_at, hardware_at, length_at = (16, 14, 2, 4) if link == _SLL else (20, 0, 8, 11)
    header = gather_rows(frames.data, start, 20).view(np.uint8).reshape(len(rows), 20).astype(np.int64)
    kind = header[:, type_at] << 8 | header[:, type_at + 1]
    hardware = header[:, hardware_at] << 8 | header[:, hardware_at + 1]
    if link == _SLL:
        length = header[:, length_at] << 8 | header[:, length_at + 1]
        address_at = 6
    else:
        length, address_at = header[:, length_at], 12
    address = np.zeros(len(rows), dtype=np.int64)
    for byte in range(6):
        address = address << 8 | header[:, address_at + byte]
    found.src_mac[rows] = np.where(length == 6, address, -1)  # noqa: PLR2004 - bytes of an Ethernet address
    whole = (frames.captured[rows] >= size) & np.isin(hardware, _HARDWARE) & (kind > _MAX_LENGTH)
    found.at[rows] += size
    _read_type(frames, found, rows, np.where(whole, kind, -1))


def _read_family(link: int, frames: Frames, found: LinkPayload, rows: Int64Array) -> None:
    """Read BSD null headers, in either byte order, or loop headers, in network order."""
    family = _number(frames, found, rows, 4)
    if link == _NULL:
        family = np.where(family > _MAX_FAMILY, family.astype(np.uint32).byteswap().astype(np.int64), family)
    for known, kind in _FAMILIES.items():
        found.kind[rows[family == known]] = kind
    found.at[rows] += 4


def _read_type(frames: Frames, found: LinkPayload, rows: Int64Array, kind: Int64Array) -> None:
    """Decode by Ethernet type, -1 for an unknown one, from the offsets reached so far."""
    plain = kind == _TYPE_IPV4
    if not plain.all():
        kind = _read_tags(frames, found, rows, kind)
        _read_labels(frames, found, rows[kind == _TYPE_MPLS])
        _read_sessions(frames, found, rows[kind == _TYPE_PPPOE])
        _read_lengths(frames, found, rows[(kind >= 0) & (kind <= _MAX_LENGTH)])
        nothing = np.isin(kind, _NOTHING_TYPES)
        found.kind[rows[nothing]] = NOT_IP
        found.ended[rows[nothing]] = kind[nothing]
        found.kind[rows[kind == _TYPE_IPV6]] = IPV6
        rows = rows[kind == _TYPE_IPV4]
    found.kind[rows] = IPV4


def _read_tags(frames: Frames, found: LinkPayload, rows: Int64Array, kind: Int64Array) -> Int64Array:
    """Read VLAN tags and return the types behind them, -1 where there are too many."""
    tagged = np.flatnonzero(np.isin(kind, _TAG_TYPES))
    if not len(tagged):
        return kind
    kind = kind.copy()
    for _ in range(_MAX_TAGS):
        word = _number(frames, found, rows[tagged], 4)
        of = rows[tagged]
        _stack(found, of, (word >> 16 & 0xFFF) + 1)
        found.at[of] += 4
        kind[tagged] = np.where(word < 0, -1, word & 0xFFFF)
        tagged = tagged[np.isin(kind[tagged], _TAG_TYPES)]
        if not len(tagged):
            return kind
    kind[tagged] = -1
    return kind


def _stack(found: LinkPayload, rows: Int64Array, tag: Int64Array) -> None:
    """Add VLAN tags to the stacks of `rows`."""
    full = found.vlan[rows] >> TAG_BITS * (_NUMBERED_TAGS - 1) > 0
    if not full.any():
        found.vlan[rows] = found.vlan[rows] << TAG_BITS | tag
        return
    found.vlan[rows[~full]] = found.vlan[rows[~full]] << TAG_BITS | tag[~full]
    for row, one in zip(rows[full].tolist(), tag[full].tolist(), strict=True):
        found.deep[row] = found.deep.get(row, int(found.vlan[row])) << TAG_BITS | one


def _read_labels(frames: Frames, found: LinkPayload, rows: Int64Array) -> None:
    """Read MPLS labels without a special meaning (RFC 3032), and take what follows by its first bits."""
    for _ in range(_MAX_LABELS):
        if not len(rows):
            return
        word = _number(frames, found, rows, 4)
        found.at[rows] += 4
        plain = word >> 12 >= 16  # noqa: PLR2004 - the first label that is not reserved
        bottom = rows[plain & (word >> 8 & 1 == 1)]
        rows = rows[plain & (word >> 8 & 1 == 0)]
        wired = _read_pseudowires(frames, found, bottom)
        bottom = bottom[~wired]
        version = _number(frames, found, bottom, 1) >> 4
        found.kind[bottom] = np.where(np.isin(version, (IPV4, IPV6)), version, DELEGATE)


def _read_pseudowires(frames: Frames, found: LinkPayload, rows: Int64Array) -> BoolArray:
    """Return which of the packets behind labels are Ethernet frames that carry IP, and read those."""
    ends = frames.start[rows] + frames.captured[rows], frames.start[rows] + frames.length[rows]
    at = pseudowires.find(frames.data, found.at[rows], *ends)
    wired: BoolArray = at >= 0
    # What is in such a frame is IP behind VLAN tags at most: there are no labels to be read again.
    if wired.any():
        _read_ethernet(frames, found, rows[wired], at[wired])
    return wired


def _read_sessions(frames: Frames, found: LinkPayload, rows: Int64Array) -> None:
    """Read PPPoE session headers (RFC 2516)."""
    if not len(rows):
        return
    head = _number(frames, found, rows, 8)
    length = head >> 16 & 0xFFFF
    sound = (head >> 48 == 0x1100) & (found.at[rows] + 6 + length <= frames.start[rows] + frames.length[rows])  # noqa: PLR2004 - version, type and code
    rows, head, length = rows[sound], head[sound], length[sound]
    found.session[rows] = head >> 32 & 0xFFFF
    found.at[rows] += 6
    _read_ppp(frames, found, rows)
    # tshark sees no more of a packet than the length in the session's header.
    word = _number(frames, found, rows, 8)
    stated = np.where(found.kind[rows] == IPV4, word >> 32, word >> 16) & 0xFFFF
    total = np.where(found.kind[rows] == IPV4, stated, stated + 40)
    carries = np.isin(found.kind[rows], (IPV4, IPV6))
    # A packet that states no length has the length in the session's header, not that of the frame.
    found.kind[rows[carries & ((word == -1) | (stated == 0) | (total + 2 > length))]] = DELEGATE


def _read_ppp(frames: Frames, found: LinkPayload, rows: Int64Array) -> None:
    """Read PPP protocol numbers of two bytes."""
    protocol = _number(frames, found, rows, 2)
    found.at[rows] += 2
    found.kind[rows[protocol == _PPP_IPV4]] = IPV4
    found.kind[rows[protocol == _PPP_IPV6]] = IPV6
    control = (protocol >= _PPP_CONTROL) & (found.session[rows] >= 0)
    found.kind[rows[control]] = NOT_IP
    found.ended[rows[control]] = ENDED_PPP


def _read_lengths(frames: Frames, found: LinkPayload, rows: Int64Array) -> None:
    """Distinguish the LLC frames that every switch sends from those that may hold anything."""
    if not len(rows):
        return
    header = _number(frames, found, rows, 8)
    nothing = (header >> 40 == _SPANNING_TREE) | np.isin(header.astype(np.uint64), np.array(_CISCO, dtype=np.uint64))
    found.kind[rows[nothing]] = NOT_IP
    found.ended[rows[nothing]] = 0
