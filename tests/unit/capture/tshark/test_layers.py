"""Which header counts, by tshark's list of protocols alone."""

from __future__ import annotations

import pytest

from analyzer.capture.tshark.layers import Layers, read, restore_networks, show_tunnels, show_vlans

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


HIDDEN = {
    # What tshark 4.4 prints, the IP headers there are, and what tshark 4.0 prints of the same frame.
    ("eth:ethertype:mpls:tcp", "4"): "eth:ethertype:mpls:ip:tcp",
    ("eth:ethertype:mpls:tcp", "6"): "eth:ethertype:mpls:ipv6:tcp",
    ("eth:ethertype:mpls:gre:ip:tcp", "4,4"): "eth:ethertype:mpls:ip:gre:ip:tcp",
    ("eth:ethertype:mpls:gre:mpls:tcp", "4,6"): "eth:ethertype:mpls:ip:gre:mpls:ipv6:tcp",
    ("eth:ethertype:ipv6:gre:mpls:tcp", "6,4"): "eth:ethertype:ipv6:gre:mpls:ip:tcp",
    ("eth:ethertype:mpls:icmp:ip:tcp", "4,4"): "eth:ethertype:mpls:ip:icmp:ip:tcp",
    ("eth:ethertype:mpls:ip:tcp", "4,4"): "eth:ethertype:mpls:ip:ip:tcp",
    ("eth:ethertype:mpls:ip:tcp", "6,4"): "eth:ethertype:mpls:ipv6:ip:tcp",
    ("eth:ethertype:mpls:pwethcw:eth:ethertype:mpls:tcp", "4"): "eth:ethertype:mpls:pwethcw:eth:ethertype:mpls:ip:tcp",
}


@pytest.mark.parametrize(("printed", "versions"), HIDDEN)
def test_ip_headers_left_out_behind_labels_are_put_back(printed: str, versions: str) -> None:
    whole = HIDDEN[printed, versions]
    assert restore_networks(printed.encode(), versions.encode()) == whole.encode()
    # What is whole stays as it is.
    assert restore_networks(whole.encode(), versions.encode()) == whole.encode()


@pytest.mark.parametrize("versions", ["", "5", "4", "x,,4"])
def test_what_does_not_fit_is_left_alone(versions: str) -> None:
    assert restore_networks(b"eth:ethertype:mpls:ip:tcp", versions.encode()) == b"eth:ethertype:mpls:ip:tcp"
