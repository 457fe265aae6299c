"""Properties of addresses, as the RFCs assign them."""

from __future__ import annotations

import pytest

from analyzer.openings.facts.addresses import Addresses


@pytest.mark.parametrize(
    ("text", "loopback", "group", "number"),
    [
        ("127.255.0.1", True, False, 0x7FFF0001),  # RFC 1122 3.2.1.3
        ("128.0.0.1", False, False, 0x80000001),
        ("223.255.255.255", False, False, 0xDFFFFFFF),
        ("224.0.0.1", False, True, 0xE0000001),  # RFC 5771
        ("239.255.255.255", False, True, 0xEFFFFFFF),
        ("240.0.0.1", False, False, 0xF0000001),
        ("255.255.255.255", False, True, 0xFFFFFFFF),  # RFC 919
        ("::1", True, False, -1),  # RFC 4291 2.5.3
        ("::2", False, False, -1),
        ("2001:db8::7f00:1", False, False, -1),
        ("fe00::1", False, False, -1),
        ("ff02::1", False, True, -1),  # RFC 4291 2.7
        ("0.0.0.0", False, False, -1),  # noqa: S104 - no socket is bound
        ("", False, False, -1),
    ],
)
def test_an_address_is_what_the_rfcs_make_of_it(text: str, loopback: bool, group: bool, number: int) -> None:  # noqa: FBT001 - a table
    # Among others, so that a property read of the wrong row shows.
    addresses = Addresses(["192.0.2.1", text, "2001:db8::1"])
    assert addresses.is_ipv6.tolist() == [False, ":" in text, True]
    assert addresses.is_loopback.tolist() == [False, loopback, False]
    assert addresses.is_group.tolist() == [False, group, False]
    assert addresses.ipv4_numbers.tolist() == [0xC0000201, number, -1]


def test_an_address_is_sixteen_bytes_with_ipv4_in_the_last_four() -> None:
    packed = Addresses(["192.0.2.1", "2001:db8::1"]).packed
    assert packed.tolist() == [[0] * 12 + [192, 0, 2, 1], [0x20, 1, 0xD, 0xB8, *[0] * 11, 1]]
