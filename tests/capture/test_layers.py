"""Which header counts, by tshark's list of protocols alone."""

from __future__ import annotations

import pytest

from analyzer.capture.layers import Layers, read, show_tunnels, show_vlans

CASES = {
    "eth:ethertype:ip:tcp": Layers(tcp=True, network=4, outer=4, link_length=14, adjacent=True, alone=True),
    "eth:ethertype:vlan:ethertype:ipv6:tcp:data": Layers(
        tcp=True, network=6, outer=6, link_length=18, adjacent=True, alone=True, tags=("vlan",)
    ),
    "raw:ip:tcp": Layers(tcp=True, network=4, outer=4, link_length=0, adjacent=True, alone=True),
    "ppp:ip:tcp": Layers(tcp=True, network=4, outer=4, adjacent=True, alone=True),
    "eth:ethertype:ipv6:ipv6.fraghdr:tcp": Layers(tcp=True, network=6, outer=6, link_length=14, alone=True),
    "eth:ethertype:ip:ip:tcp": Layers(tcp=True, network=4, ordinal=1, outer=4, link_length=14, adjacent=True, tunnels=("ipip",)),
    "eth:ethertype:ip:ipv6:ip:tcp": Layers(
        tcp=True, network=4, ordinal=1, outer=4, link_length=14, adjacent=True, tunnels=("6in4", "4in6")
    ),
    "eth:ethertype:ip:udp:vxlan:eth:ethertype:ipv6:tcp": Layers(
        tcp=True, network=6, ethernet=1, outer=4, link_length=14, adjacent=True, tunnels=("vxlan",)
    ),
    "eth:ethertype:ip:icmp:ip:tcp": Layers(tcp=True, network=4, ordinal=1, outer=4, link_length=14, adjacent=True, quote=4, sender=4),
    "eth:ethertype:ipv6:icmpv6:ipv6:tcp": Layers(tcp=True, network=6, ordinal=1, outer=6, link_length=14, adjacent=True, quote=6, sender=6),
    "eth:ethertype:ip:gre:ip:icmp:ip:tcp": Layers(
        tcp=True, network=4, ordinal=2, outer=4, link_length=14, adjacent=True, quote=4, sender=4, sender_ordinal=1, tunnels=("gre",)
    ),
    "eth:ethertype:ip:icmp:ip:icmp:ip:tcp": Layers(
        tcp=True, network=4, ordinal=2, outer=4, link_length=14, adjacent=True, quote=4, error=1, sender=4, sender_ordinal=1
    ),
    # A sampled or quoted packet behind TCP is TCP's payload.
    "eth:ethertype:ip:udp:dns": Layers(outer=4, link_length=14),
    "eth:ethertype:arp": Layers(),
    "tcp": Layers(),
    "": Layers(),
}


@pytest.mark.parametrize("protocols", CASES)
def test_layers(protocols: str) -> None:
    assert read(protocols.encode()) == CASES[protocols]


def test_more_headers_than_numbers_are_shown_without() -> None:
    layers = read(b"eth:ethertype:ip:gre:ip:gre:ip:tcp")
    assert show_tunnels(layers, {"gre": b"0x00000001,0x00000002"}) == "gre:1/gre:2"
    assert show_tunnels(layers, {"gre": b"0x00000001"}) == "gre/gre"
    assert show_tunnels(layers, {"gre": b""}) == "gre/gre"


def test_vlan_ids_follow_the_order_of_the_tags() -> None:
    layers = read(b"eth:ethertype:ieee8021ad:ethertype:vlan:ethertype:vlan:ethertype:ip:tcp")
    assert show_vlans(layers, b"6,7", b"5") == "5.6.7"
    assert show_vlans(read(b"eth:ethertype:ip:tcp"), b"6", b"") == ""
