"""Addresses in PORT, EPRT, 227 and 229; the examples are those of RFC 959, RFC 1123 and RFC 2428."""

from __future__ import annotations

import pytest

from analyzer.protocols.ftp import addresses
from analyzer.protocols.ftp.addresses import Address


@pytest.mark.parametrize(
    ("argument", "address"),
    [
        (b"132,235,1,2,24,131", Address("132.235.1.2", 6275)),
        (b" 10,0,0,1,0,21 ", Address("10.0.0.1", 21)),
        (b"114,115", None),
        (b"1,2,3,4,5,6,7", None),
        (b"256,0,0,1,4,0", None),
        (b"1,2,3,4,0,0", None),
        (b"1.2.3.4,5,6", None),
        (b"", None),
    ],
)
def test_port(argument: bytes, address: Address | None) -> None:
    assert addresses.of_port(argument) == address


@pytest.mark.parametrize(
    ("argument", "address"),
    [
        (b"|1|132.235.1.2|6275|", Address("132.235.1.2", 6275)),
        (b"|2|1080::8:800:200C:417A|5282|", Address("1080::8:800:200c:417a", 5282)),
        (b"!1!10.0.0.1!99!", Address("10.0.0.1", 99)),
        (b"|1|1080::8|5282|", None),
        (b"|2|10.0.0.1|5282|", None),
        (b"|3|10.0.0.1|5282|", None),
        (b"|1|10.0.0.1|65536|", None),
        (b"|1|10.0.0.1|0|", None),
        (b"|1|10.0.0.1|99", None),
        (b"|1|10.0.0.300|99|", None),
    ],
)
def test_eprt(argument: bytes, address: Address | None) -> None:
    assert addresses.of_eprt(argument) == address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (b"Entering Passive Mode (192,0,2,1,4,1).", Address("192.0.2.1", 1025)),
        (b"Entering Passive Mode. 192,0,2,1,4,1", Address("192.0.2.1", 1025)),
        (b"=192,0,2,1,4,1", Address("192.0.2.1", 1025)),
        (b"Entering Passive Mode (192, 0, 2, 1, 4, 1)", Address("192.0.2.1", 1025)),
        (b"300,0,2,1,4,1\n192,0,2,1,4,1", Address("192.0.2.1", 1025)),
        (b"Entering Passive Mode (192,0,2,1)", None),
        (b"Entering Passive Mode", None),
    ],
)
def test_227(text: bytes, address: Address | None) -> None:
    assert addresses.of_pasv(text) == address


@pytest.mark.parametrize(
    ("text", "port"),
    [
        (b"Entering Extended Passive Mode (|||6446|)", 6446),
        (b"ok (!!!99!)", 99),
        (b"ok (|||0|)", None),
        (b"ok (|||70000|)", None),
        (b"ok (||6446|)", None),
        (b"6446", None),
    ],
)
def test_229(text: bytes, port: int | None) -> None:
    assert addresses.of_epsv(text) == (None if port is None else Address("", port))


@pytest.mark.parametrize(
    ("ip", "private"), [("10.1.2.3", True), ("172.32.0.1", False), ("fd00::1", True), ("2001:db8::1", False), ("", False)]
)
def test_private(ip: str, *, private: bool) -> None:
    assert addresses.is_private(ip) is private


def test_addresses_are_written_one_way() -> None:
    assert addresses.normal("2001:DB8:0::1") == "2001:db8::1"
    assert addresses.normal("::ffff:192.0.2.1") == "192.0.2.1"
    assert addresses.normal("") == ""


@pytest.mark.parametrize(
    ("argument", "address"),
    [
        (b"4,4,132,235,1,2,2,24,131", Address("132.235.1.2", 6275)),
        (b"6,16,32,1,13,184,0,0,0,0,0,0,0,0,0,0,0,1,2,24,131", Address("2001:db8::1", 6275)),
        (b"4,4,132,235,1,2,2,0,0", None),
        (b"4,16,132,235,1,2,2,24,131", None),
        (b"4,4,132,235,1,2,1,131,0", None),
        (b"4,4,132,235,1,256,2,24,131", None),
        (b"16,4,132,235,1,2,2,24,131", None),
        (b"4,4,132,235,1,2,2,24", None),
        (b"", None),
    ],
)
def test_long_addresses(argument: bytes, address: Address | None) -> None:
    assert addresses.of_lprt(argument) == address
    assert addresses.of_lpsv(b"Entering Long Passive Mode (" + argument + b")") == address
