"""Options of the tshark call: the fields, the protocols it may dissect, the preferences.

One list each, in the order of the columns tshark prints. A field that may be absent from an older or newer
tshark states what is lost without it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from analyzer.capture.decode import encapsulations


@dataclass(frozen=True, slots=True)
class TsharkField:
    """One column of `tshark -T fields`."""

    name: str
    loss: str = ""
    """What is lost when this tshark does not know the field; empty when nothing can be read without it."""


FIELDS: Final = (
    TsharkField("frame.number"),
    TsharkField("frame.time_epoch"),
    TsharkField("frame.len"),
    TsharkField("frame.cap_len"),
    TsharkField("frame.protocols"),
    TsharkField("frame.interface_id", "interfaces are not distinguished"),
    TsharkField("frame.encap_type", "custom blocks of pcapng files are not distinguished from frames of data"),
    TsharkField("eth.src", "link addresses are not shown"),
    TsharkField("eth.dst", "link addresses are not shown"),
    TsharkField("eth.type", "Ethernet types are not shown"),
    TsharkField("sll.etype", "Ethernet types of cooked captures are not shown"),
    TsharkField("sll.src.eth", "link addresses of cooked captures are not shown"),
    TsharkField("wlan.sa", "link addresses of wireless captures are not shown"),
    TsharkField("wlan.da", "link addresses of wireless captures are not shown"),
    TsharkField("vlan.id", "connections on different VLANs are not distinguished"),
    TsharkField("vlan.etype", "Ethernet types behind VLAN tags are not shown"),
    TsharkField("ieee8021ad.id", "outer VLAN ids of 802.1ad frames are not shown"),
    TsharkField("pppoe.session_id", "PPPoE sessions are not distinguished"),
    TsharkField("gre.key", "GRE tunnels are not distinguished"),
    TsharkField("vxlan.flags", "VXLAN headers are not verified"),
    TsharkField("vxlan.vni", "VXLAN networks are not distinguished"),
    TsharkField("geneve.vni", "Geneve networks are not distinguished"),
    TsharkField("erspan.spanid", "ERSPAN sessions are not distinguished"),
    TsharkField("ip.version", "segments behind MPLS labels are not found"),
    TsharkField("ip.src"),
    TsharkField("ip.dst"),
    TsharkField("ip.hdr_len"),
    TsharkField("ip.len"),
    TsharkField("ip.ttl"),
    TsharkField("ip.id"),
    TsharkField("ip.proto"),
    TsharkField("ip.dsfield.ecn", "IPv4 ECN bits are not read"),
    TsharkField("ip.fragment.count", "segments that came in IPv4 fragments are not marked"),
    TsharkField("ipv6.src"),
    TsharkField("ipv6.dst"),
    TsharkField("ipv6.plen"),
    TsharkField("ipv6.hlim"),
    TsharkField("ipv6.nxt"),
    TsharkField("ipv6.tclass.ecn", "IPv6 ECN bits are not read"),
    TsharkField("ipv6.fragment.count", "segments that came in IPv6 fragments are not marked"),
    TsharkField("ipv6.fraghdr.nxt", "IPv6 fragments that were never completed are not counted"),
    TsharkField("udp.srcport", "UDP ports are not shown"),
    TsharkField("udp.dstport", "UDP ports are not shown"),
    TsharkField("tcp.srcport"),
    TsharkField("tcp.dstport"),
    TsharkField("tcp.seq_raw"),
    TsharkField("tcp.seq"),
    TsharkField("tcp.ack_raw"),
    TsharkField("tcp.flags"),
    TsharkField("tcp.window_size_value"),
    TsharkField("tcp.urgent_pointer"),
    TsharkField("tcp.hdr_len"),
    TsharkField("tcp.checksum"),
    TsharkField("tcp.checksum.status", "TCP checksums are not verified"),
    TsharkField("tcp.checksum.partial", ""),
    TsharkField("tcp.len"),
    TsharkField("tcp.options"),
    TsharkField("tcp.payload", "dialogues are not read"),
    TsharkField("icmp.type", "ICMP errors are not read"),
    TsharkField("icmp.code", "ICMP errors are not read"),
    TsharkField("icmpv6.type", "ICMPv6 errors are not read"),
    TsharkField("icmpv6.code", "ICMPv6 errors are not read"),
    TsharkField("_ws.malformed", "malformed frames are not counted"),
)

REPLACEABLE: Final = frozenset({"tcp.checksum.partial"})
"""Fields that only newer tsharks have and that are worked out here otherwise: their absence is not worth a note."""


@dataclass(frozen=True, slots=True)
class Preference:
    """One preference of tshark that is set."""

    name: str
    value: str
    loss: str
    """What is lost when this tshark does not know the preference."""


_ANALYSIS: Final = "reading takes longer"
_FRAGMENTS: Final = "segments that came in fragments are missing, unless tshark puts fragments together by itself"
_MERGED: Final = "packets of length 0, left so by a card that divides them, may have no payload"
_NAMES: Final = "names of hosts may be looked up"
PREFERENCES: Final = (
    Preference("tcp.desegment_tcp_streams", "FALSE", _ANALYSIS),
    Preference("tcp.relative_sequence_numbers", "FALSE", "sequence numbers quoted by ICMP errors may be relative"),
    Preference("tcp.analyze_sequence_numbers", "FALSE", _ANALYSIS),
    Preference("tcp.calculate_timestamps", "FALSE", _ANALYSIS),
    Preference("tcp.check_checksum", "TRUE", "TCP checksums are not verified"),
    Preference("ip.defragment", "TRUE", _FRAGMENTS),
    Preference("ip.tso_support", "TRUE", _MERGED),
    Preference("ipv6.tso_support", "TRUE", _MERGED),
    Preference("ipv6.defragment", "TRUE", _FRAGMENTS),
    Preference("nameres.network_name", "FALSE", _NAMES),
    Preference("nameres.dns_pkt_addr_resolution", "FALSE", _NAMES),
)

LOSSES: Final = {option.name: option.loss for option in (*FIELDS, *PREFERENCES)}
"""What is lost without each field and each preference."""


def decode_as() -> list[str]:
    """Return the arguments that make tshark decode tunnels on ports that are not registered for them."""
    return [part for protocol, port in encapsulations.load().unregistered for part in ("-d", f"udp.port=={port},{protocol}")]


def forbid(protocols: frozenset[str]) -> list[str]:
    """Return those of `protocols` that tshark is to leave undissected, sorted: all that carry no TCP.

    A name is kept when it, or what stands before its first dot, is a link, network or tunnel protocol; names this
    list knows and a tshark does not are never passed on, so no version refuses them.
    """
    allowed = encapsulations.load().protocols
    return sorted(name for name in protocols if name not in allowed and name.split(".", 1)[0] not in allowed)
