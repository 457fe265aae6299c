"""The Wireshark display filter that selects each connection.

One text per row of table `schema.CONNECTIONS`, in its order, dtype object. A filter selects every frame of its connection,
dropped copies included, and no other TCP segment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from analyzer.connections.community_id import address_codes, row_batches
from analyzer.connections.tuple_key import PORT_BITS, number_groups, pack

if TYPE_CHECKING:
    import pandas as pd

    from analyzer.connections.concat import Array
    from analyzer.connections.tuple_key import Bools, Ints

_NUMBERED: Final = {"gre": "gre.key", "vxlan": "vxlan.vni", "geneve": "geneve.vni", "erspan": "erspan.spanid", "pppoe": "pppoe.session_id"}
"""The Wireshark field of the number that distinguishes tunnels of a kind."""
_NESTED: Final = {"ipip": "ip.src#2", "6in6": "ipv6.src#2", "6in4": "(ip && ipv6)", "4in6": "(ip && ipv6)"}
"""The condition for an IP header directly inside another."""


class _Ends(NamedTuple):
    """Each flow's tuple, as numbers equal only within the same capture."""

    family: Ints
    """Equal where capture, addresses and ports are."""
    crossed: Bools
    """Another flow of the capture uses the same addresses and ports the other way round."""


def wireshark_filter(flows: pd.DataFrame) -> Array:
    """Return a display filter for each connection: addresses, ports, frame range, and VLAN or tunnel where others share those.

    It selects within the connection's capture; frame numbers are Wireshark's. ICMP errors that quote the connection are left out.
    """
    ends = _ends(flows)
    carried = _carriage(flows, ends)
    quoted = np.bincount(ends.family, weights=flows["icmp_quotes"].to_numpy())[ends.family] > 0
    filters = np.empty(len(flows), object)
    for part in row_batches(len(flows)):
        rows = flows.iloc[part]
        columns = [rows[name].to_list() for name in ("client_ip", "server_ip", "client_port", "server_port", "first_frame", "last_frame")]
        more = [" && !icmp && !icmpv6" if about else "" for about in quoted[part].tolist()]
        filters[part] = list(map(_filter, *columns, ends.crossed[part].tolist(), more))
    for row, condition in carried.items():
        filters[row] += f" && {condition}"
    return filters


def _filter(client: str, server: str, port: int, service: int, first: int, last: int, crossed: bool, more: str) -> str:  # noqa: FBT001, PLR0913, PLR0917 - columns
    exact = crossed or client == server or port == service
    tuple_ = (_both_ways if exact else _either_way)(client, server, port, service)
    frames = f"frame.number == {first}" if first == last else f"frame.number in {{{first}..{last}}}"
    return f"{tuple_} && {frames}{more}"


def _ends(flows: pd.DataFrame) -> _Ends:
    client, server, texts = address_codes(flows)
    ports = [flows[name].to_numpy().astype(np.int64) for name in ("client_port", "server_port")]
    bound = len(texts) << PORT_BITS
    captures = (np.tile(flows["capture"].to_numpy().astype(np.int64), 2), int(flows["capture"].max() if len(flows) else 0) + 1)
    straight = client << PORT_BITS | ports[0], server << PORT_BITS | ports[1]
    across = client << PORT_BITS | ports[1], server << PORT_BITS | ports[0]
    low = np.concatenate([np.minimum(*straight), np.minimum(*across)])
    high = np.concatenate([np.maximum(*straight), np.maximum(*across)])
    key, _ = pack([(low, bound), (high, bound), captures])
    family, _ = number_groups(key[: len(flows)])
    return _Ends(family, np.isin(key[len(flows) :], key[: len(flows)]))


def _either_way(client: str, server: str, port: int, service: int) -> str:
    address = "ipv6.addr" if ":" in client else "ip.addr"
    return f"{address} == {client} && {address} == {server} && tcp.port == {port} && tcp.port == {service}"


def _both_ways(client: str, server: str, port: int, service: int) -> str:
    version = "ipv6" if ":" in client else "ip"
    there = f"{version}.src == {client} && tcp.srcport == {port} && {version}.dst == {server} && tcp.dstport == {service}"
    back = f"{version}.src == {server} && tcp.srcport == {service} && {version}.dst == {client} && tcp.dstport == {port}"
    return there if (client, port) == (server, service) else f"(({there}) || ({back}))"


def _carriage(flows: pd.DataFrame, ends: _Ends) -> dict[int, str]:
    """Return, for the rows that share capture, addresses and ports with others on another VLAN or tunnel, a distinguishing condition."""
    vlan, tunnel = flows["vlan"].array, flows["tunnel"].array
    key, _ = pack([(vlan.codes, len(vlan.categories)), (tunnel.codes, len(tunnel.categories))])
    kind, _ = number_groups(key)
    least = np.full(int(ends.family.max(initial=-1)) + 1, len(kind))
    most = np.full(len(least), -1)
    np.minimum.at(least, ends.family, kind)
    np.maximum.at(most, ends.family, kind)
    # A tuple whose two directions differ in VLAN shares its addresses and ports only with its own incarnations.
    rows = np.flatnonzero((least < most)[ends.family] & ~flows["vlan_joined"].to_numpy())
    seen: dict[int, set[tuple[str, str]]] = {}
    for row in rows.tolist():
        seen.setdefault(int(ends.family[row]), set()).add((vlan[row], tunnel[row]))
    return {row: _distinguish((vlan[row], tunnel[row]), seen[int(ends.family[row])]) for row in rows.tolist()}


def _distinguish(own: tuple[str, str], all_: set[tuple[str, str]]) -> str:
    """Return the condition that holds for frames carried as `own` and for none carried as the others in `all_`."""
    others = all_ - {own}
    conditions = []
    for place, (split, show) in enumerate(((".", _vlan_term), ("/", _tunnel_term))):
        mine = [part for part in own[place].split(split) if part]
        theirs = {part for other in others for part in other[place].split(split) if part}
        if any(other[place] != own[place] for other in others):
            conditions += [show(part) for part in mine] + [f"!{show(part)}" for part in sorted(theirs - set(mine))]
    return " && ".join(conditions)


def _vlan_term(tag: str) -> str:
    return f"(vlan.id == {tag} || ieee8021ad.id == {tag})"


def _tunnel_term(tunnel: str) -> str:
    name, _, number = tunnel.partition(":")
    if number:
        return f"({_NUMBERED[name]} == {number})"
    return _NESTED.get(name, name)
