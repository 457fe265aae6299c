"""tshark's list of a frame's protocols ─► which of its headers carries the TCP header.

A pure function of that list; a header is named by its place among the headers of its kind, which is its place
among the values tshark prints for a field of that kind.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import Final

_LENGTHS: Final = {
    "eth": 14,
    "ethertype": 0,
    "vlan": 4,
    "ieee8021ad": 4,
    "mpls": 4,
    "sll": 16,
    "null": 4,
    "raw": 0,
}
"""Bytes of the link headers whose length follows from their name."""
_NETWORKS: Final = {"ip": 4, "ipv6": 6}
_NAMES: Final = {b"4": b"ip", b"6": b"ipv6"}
_NO_NETWORK: Final = (b"mpls", b"pw", b"eth")
"""What the name of a protocol begins with that follows MPLS labels without an IP header between."""
_ERRORS: Final = {"icmp": 4, "icmpv6": 6}
_NESTED: Final = {(4, 4): "ipip", (4, 6): "6in4", (6, 4): "4in6", (6, 6): "6in6"}
TUNNELS: Final = ("gre", "vxlan", "geneve", "erspan", "pppoes")
"""Tunnels identified by a number that is the same in both directions."""
_UNNUMBERED: Final = frozenset({"gtp", "teredo", "l2tp", "etherip", "capwap.data", "lwapp", "ayiya", "lisp", "lisp-data", "stt", "amt"})
"""Tunnels whose numbers, where they have any, differ by direction: only their name distinguishes connections."""
_TAGS: Final = frozenset({"vlan", "ieee8021ad"})


@dataclass(frozen=True, slots=True)
class Layers:
    """What a list of protocols states about the TCP header in it."""

    names: tuple[str, ...] = field(default=(), compare=False)
    """The list itself."""
    tcp: bool = False
    """There is one."""
    network: int = 0
    """4 or 6: the version of the IP header that carries it."""
    ordinal: int = 0
    """Which of the headers of that version it is."""
    ethernet: int = 0
    """Which of the Ethernet headers is the innermost before it."""
    outer: int = 0
    """4 or 6: the version of the outermost IP header, 0 when there is none."""
    link_length: int = -1
    """Bytes before the outermost IP header, -1 when they do not follow from the names."""
    adjacent: bool = False
    """It follows the IP header that carries it, nothing between."""
    alone: bool = False
    """That IP header is the only one before it."""
    quote: int = 0
    """4 or 6: the version of the ICMP error that quotes it, 0 when it is no quote."""
    error: int = 0
    """Which of the ICMP headers of that version quotes it."""
    sender: int = 0
    """4 or 6: the version of the IP header that carries the error."""
    sender_ordinal: int = 0
    """Which of the headers of that version that is."""
    tunnels: tuple[str, ...] = ()
    """What carries the innermost IP header, from the outside in."""
    tags: tuple[str, ...] = ()
    """The VLAN tags before the TCP header, from the outside in: vlan or ieee8021ad."""


def may_lack_networks(protocols: bytes) -> bool:
    """Whether tshark may have left IP headers out of `protocols` (quirk `mpls-hides-ip`)."""
    return b":mpls" in protocols


def restore_networks(protocols: bytes, versions: bytes) -> bytes:
    """Return `protocols` with the IP headers that tshark left out behind MPLS labels.

    `versions` are those of all IP headers of the frame in order, as b"4,6". Unchanged where none is left out.
    """
    left = [version for version in versions.split(b",") if version in _NAMES]
    names = protocols.split(b":")
    hidden = len(left) - sum(name in _NAMES.values() for name in names)
    found: list[bytes] = []
    for name, after in zip(names, [*names[1:], b""], strict=True):
        found.append(name)
        if name in _NAMES.values():
            left = left[1:]
        elif name == b"mpls" and hidden > 0 and not after.startswith(_NO_NETWORK):
            found.append(_NAMES[left.pop(0)])
            hidden -= 1
    return b":".join(found)


@functools.lru_cache(maxsize=4096)
def read(protocols: bytes) -> Layers:
    """Return the layers in `protocols`, as b"eth:ethertype:ip:tcp".

    The last TCP header counts, and the IP header nearest before it; a TCP header behind an ICMP header is a quote.
    """
    names = protocols.decode("ascii", "replace").split(":")
    networks = [(place, _NETWORKS[name]) for place, name in enumerate(names) if name in _NETWORKS]
    outer, link_length = 0, -1
    if networks:
        place, outer = networks[0]
        lengths = [_LENGTHS.get(name) for name in names[:place]]
        link_length = -1 if None in lengths else sum(length for length in lengths if length is not None)
    if "tcp" not in names:
        return Layers(names=tuple(names), outer=outer, link_length=link_length)
    end = len(names) - 1 - names[::-1].index("tcp")
    carriers = [(place, version) for place, version in networks if place < end]
    if not carriers:
        return Layers(names=tuple(names), outer=outer, link_length=link_length)
    place, version = carriers[-1]
    quote, error, sender, sender_ordinal = _quoter(names[:end], carriers)
    return Layers(
        names=tuple(names),
        tcp=True,
        network=version,
        ordinal=_ordinal(carriers, len(carriers) - 1),
        ethernet=max(names[:end].count("eth") - 1, 0),
        outer=outer,
        link_length=link_length,
        adjacent=end == place + 1,
        alone=len(carriers) == 1,
        quote=quote,
        error=error,
        sender=sender,
        sender_ordinal=sender_ordinal,
        tunnels=_tunnels(names[:end]),
        tags=tuple(name for name in names[:end] if name in _TAGS),
    )


def _ordinal(carriers: list[tuple[int, int]], index: int) -> int:
    """Return which header of its version the one at `index` is."""
    return sum(version == carriers[index][1] for _, version in carriers[:index])


def _quoter(names: list[str], carriers: list[tuple[int, int]]) -> tuple[int, int, int, int]:
    """Return version and ordinal of the ICMP header that quotes, then of the IP header that carries it; zeros without."""
    places = [place for place, name in enumerate(names) if name in _ERRORS]
    if not places:
        return 0, 0, 0, 0
    version = _ERRORS[names[places[-1]]]
    ordinal = sum(_ERRORS[names[place]] == version for place in places[:-1])
    before = [index for index, (place, _) in enumerate(carriers) if place < places[-1]]
    if not before:
        return version, ordinal, 0, 0
    return version, ordinal, carriers[before[-1]][1], _ordinal(carriers, before[-1])


def _tunnels(names: list[str]) -> tuple[str, ...]:
    """Return the tunnels among `names`, an IP header straight in another one included."""
    found: list[str] = []
    before = 0
    for name in names:
        if name in _NETWORKS:
            if before:
                found.append(_NESTED[before, _NETWORKS[name]])
            before = _NETWORKS[name]
        elif name.startswith("ipv6."):
            continue
        else:
            if name in TUNNELS or name in _UNNUMBERED:
                found.append(name)
            before = 0
    return tuple(found)


def show_tunnels(layers: Layers, numbers: dict[str, bytes]) -> str:
    """Return the tunnels of a frame as gre:42/vxlan:7; `numbers` has tshark's cell for each of `TUNNELS`."""
    left = {name: [part for part in cell.decode("ascii", "replace").split(",") if part] for name, cell in numbers.items()}
    # With fewer numbers than headers it is not known whose they are.
    left = {name: values for name, values in left.items() if len(values) == layers.tunnels.count(name)}
    shown = []
    for name in layers.tunnels:
        label = "pppoe" if name == "pppoes" else name
        shown.append(f"{label}:{_decimal(left[name].pop(0))}" if name in left else label)
    return "/".join(shown)


def _decimal(number: str) -> str:
    """Return a number as tshark prints it in decimal digits."""
    try:
        return str(int(number.split(" ", 1)[0], 0))
    except ValueError:
        return number


def show_vlans(layers: Layers, vlan: bytes, service: bytes) -> str:
    """Return the VLAN ids from the outside in, joined by dots, given tshark's values for 802.1Q and 802.1ad ids."""
    left = {"vlan": vlan.decode("ascii", "replace").split(","), "ieee8021ad": service.decode("ascii", "replace").split(",")}
    return ".".join(values.pop(0) for tag in layers.tags if (values := left[tag]) and values[0])
