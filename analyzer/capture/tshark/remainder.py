"""Rows of tshark's columns that are no segment ─► what their frames ended in, and which of them the native engine may know better.

Every row is counted once, or is a stray.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from analyzer.capture.decode import encapsulations, last_protocol
from analyzer.capture.decode.last_protocol import Endings

if TYPE_CHECKING:
    from analyzer._typing import BoolArray, Int64Array
    from analyzer.capture.tshark.batch_view import BatchView

LINK: Final = ""
"""Stands for the link type of a stray, which tshark does not output."""
CARRIED: Final = "-"
"""Stands for a stray in which tshark found a segment, perhaps in the wrong place."""
_GUESSED: Final = "mpls:pweth"
"""How the protocols of what tshark guesses to be an Ethernet frame behind MPLS labels are named, in all versions."""
_NETWORKS: Final = {"ip": "ip.proto", "ipv6": "ipv6.nxt"}
_ERRORS: Final = ("icmp", "icmpv6")
_TRANSPORTS: Final = ("tcp", "udp", "udplite")
_TYPES: Final = {"eth": "eth.type", "vlan": "vlan.etype", "sll": "sll.etype"}
_TAGS: Final = ("vlan", "ieee8021ad")
_MAX_SURE_TAGS: Final = 4
_MEANINGLESS: Final = frozenset({"", "data", "ethertype", "frame", "pkt_comment", "pcapng", "user_dlt"})
"""Names that say nothing of what a frame holds."""
_LINKED: Final = frozenset({"ethertype", "llc", "arp"})
"""A frame with one of these names what it carries."""
_NO_PORT: Final = -1
_VXLAN_VALID: Final = 0x0800
_VXLAN_FLAGS: Final = 0x8F48
"""Those with a meaning: group policy G, D and A; generic protocol extension P, B and O; and I."""


@dataclass(frozen=True, slots=True)
class End:
    """What a list of protocols without a segment ends in."""

    name: str
    """LINK when nothing is known but the link type."""
    field: str = ""
    """The field whose last number identifies the ending further."""
    hidden: bool = False
    """No more is known than a protocol below the network."""
    suspect: bool = False
    """A segment might have been found if the frame had been decoded to its end."""
    stray: bool = False
    """The native engine may read more of such a frame."""


@functools.lru_cache(maxsize=4096)
def find_end(names: tuple[str, ...]) -> End:
    """Return what tshark's list of a frame's protocols ends in."""
    meaningful = [name for name in names if name not in _MEANINGLESS and not name.startswith("_ws")]
    stray = "mpls" in meaningful or sum(name in _TAGS for name in meaningful) > _MAX_SURE_TAGS
    errors = [name for name in meaningful if name in _ERRORS]
    places = [place for place, name in enumerate(meaningful) if name in _NETWORKS]
    if errors:
        return End(errors[0])
    if places:
        after = [name for name in meaningful[places[-1] :] if name in _TRANSPORTS]
        if after:
            return End(after[0], suspect=after[0] == "tcp", stray=stray)
        return End("ip", _NETWORKS[meaningful[places[-1]]], suspect=True, stray=stray)
    if "arp" in meaningful or "llc" in meaningful:
        return End(last_protocol.ARP if "arp" in meaningful else last_protocol.LLC, stray=stray)
    if not meaningful:
        return End(LINK, hidden=True, suspect=True, stray=True)
    hidden = not _LINKED & set(names)
    if meaningful[-1] in _TYPES:
        return End("ethernet", _TYPES[meaningful[-1]], stray=stray)
    return End(meaningful[-1], hidden=hidden, suspect=hidden, stray=stray)


def examine(view: BatchView, number: Int64Array, doubtful: BoolArray) -> tuple[Endings, list[tuple[str, Int64Array]]]:
    """Return what the frames `number`, the rows of `view`, ended in, and strays: the numbers of those of one ending, and that.

    Of `doubtful` rows what follows the outermost ports does not count.
    """
    found, strays = Endings(), list[tuple[str, "Int64Array"]]()
    first = view.only(doubtful)
    found.count(_count_ports(first, np.zeros(len(first.rows), dtype=np.int64)))
    view, number = view.only(~doubtful), number[~doubtful]
    for code in np.unique(view.codes).tolist():
        rows = np.flatnonzero(view.codes == code)
        end = find_end(view.kinds[code].names)
        some = view.only(view.codes == code)
        if not end.stray:
            found.count(_count(some, end), hidden=end.hidden)
        elif not end.field:
            strays.append((end.name, number[rows]))
        else:
            values = _last(some, end.field)
            strays += [(_show(end, value), number[rows[values == value]]) for value in np.unique(values).tolist()]
    return found, strays


def find_doubtful_tunnels(view: BatchView) -> BoolArray:
    """Return which rows tshark read as VXLAN though a header cannot be one.

    Without the flag for a valid network id there is none (RFC 7348 5). On a port that is not registered for VXLAN, where anything may
    be, no flag may be set that has no meaning in VXLAN, its generic protocol extension or its group policy.
    """
    doubtful = np.zeros(len(view.rows), dtype=bool)
    headers, datagrams = view.fact(lambda entry: entry.names.count("vxlan")), view.fact(lambda entry: entry.names.count("udp"))
    if not headers.any() or "vxlan.flags" not in view.index:
        return doubtful
    strict = doubtful.copy()
    unregistered = [port for _, port in encapsulations.load().unregistered]
    for place in range(int(datagrams.max())):
        for side in ("udp.srcport", "udp.dstport"):
            strict |= np.isin(view.column(side, np.full(len(view.rows), place)).numbers(), unregistered)
    for place in range(int(headers.max())):
        flags = view.column("vxlan.flags", np.full(len(view.rows), place)).numbers()
        wrong = (flags & _VXLAN_VALID == 0) | (strict & (flags & ~_VXLAN_FLAGS != 0))
        doubtful |= (place < headers) & np.where(flags < 0, strict, wrong)
    return doubtful


def find_guessed(view: BatchView, number: Int64Array) -> list[tuple[str, Int64Array]]:
    """Return the strays among rows that do hold a segment: those whose place tshark guesses."""
    guessed = view.fact(lambda entry: _GUESSED in ":".join(entry.names)) == 1
    return [(CARRIED, number[guessed])] if guessed.any() else []


def _last(view: BatchView, name: str) -> Int64Array:
    """Return the last number of a field."""
    return view.column(name, np.full(len(view.rows), -1, dtype=np.int64)).numbers()


def _show(end: End, value: int) -> str:
    """Return the name of an ending identified by a number."""
    return last_protocol.show_protocol(value) if end.name == "ip" else last_protocol.show_type(value)


def _count(view: BatchView, end: End) -> list[tuple[str, int]]:
    """Return the endings of rows of one list of protocols."""
    if end.name == "udp":
        return _count_ports(view, np.full(len(view.rows), -1, dtype=np.int64))
    if end.field:
        return last_protocol.tally(_last(view, end.field), lambda value: _show(end, value))
    return [(end.name, len(view.rows))]


def _count_ports(view: BatchView, ordinal: Int64Array) -> list[tuple[str, int]]:
    """Return the endings of datagrams by the ports of header number `ordinal`."""
    src, dst = view.column("udp.srcport", ordinal).numbers(), view.column("udp.dstport", ordinal).numbers()
    there = (src >= 0) & (dst >= 0)
    ports = np.where(there, last_protocol.services(np.maximum(src, 0), np.maximum(dst, 0)), _NO_PORT)
    return last_protocol.tally(ports, last_protocol.show_port)
