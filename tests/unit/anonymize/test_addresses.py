from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyzer.anonymize.addresses import AddressMap

MAP = AddressMap(b"key")
global_4 = st.integers(int(IPv4Address("11.0.0.0")), int(IPv4Address("99.255.255.255")))
global_6 = st.integers(int(IPv6Address("2400::")), int(IPv6Address("2fff::")))


def shared(one: int, other: int, bits: int) -> int:
    """Return how many leading bits two addresses have in common."""
    return bits - (one ^ other).bit_length()


@given(global_4, global_4)
def test_addresses_share_as_many_bits_as_their_pseudonyms_4(one: int, other: int) -> None:
    new = [int.from_bytes(MAP.ip(number.to_bytes(4))) for number in (one, other)]
    assert shared(new[0], new[1], 32) == shared(one, other, 32)


@given(global_6, global_6)
def test_addresses_share_as_many_bits_as_their_pseudonyms_6(one: int, other: int) -> None:
    new = [int.from_bytes(MAP.ip(number.to_bytes(16))) for number in (one, other)]
    assert shared(new[0], new[1], 128) == shared(one, other, 128)


@pytest.mark.parametrize(
    "network",
    ["10.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16", "224.0.0.0/4", "fe80::/10", "fc00::/7", "ff00::/8"],
)
def test_what_kind_of_address_it_is_stays(network: str) -> None:
    net = ip_network(network)
    for offset in (3, 77, 5_000):
        assert ip_address(MAP.text(str(net[offset]))) in net


@pytest.mark.parametrize("text", ["0.0.0.0", "255.255.255.255", "127.0.0.1", "::", "::1"])  # noqa: S104 - not bound to
def test_addresses_that_name_nobody_stay(text: str) -> None:
    assert MAP.text(text) == text


@pytest.mark.parametrize(("text", "at"), [("::ffff:11.22.33.44", 12), ("64:ff9b::11.22.33.44", 12), ("2002:b16:212c::1", 2)])
def test_an_embedded_ipv4_address_gets_its_own_pseudonym(text: str, at: int) -> None:
    assert MAP.ip(ip_address(text).packed)[at : at + 4] == MAP.ip(ip_address("11.22.33.44").packed)


def test_another_key_gives_other_pseudonyms_and_the_same_key_the_same() -> None:
    assert MAP.text("11.22.33.44") == AddressMap(b"key").text("11.22.33.44")
    assert MAP.text("11.22.33.44") != AddressMap(b"other").text("11.22.33.44")


@given(st.binary(min_size=6, max_size=6))
def test_mac_addresses_keep_the_group_bit_and_are_local(mac: bytes) -> None:
    new = MAP.mac(mac)
    if mac not in {b"\0" * 6, b"\xff" * 6}:
        assert (new[0] & 1, new[0] & 2) == (mac[0] & 1, 2)
