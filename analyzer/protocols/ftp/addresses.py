"""Parse the addresses of data connections in PORT, EPRT, LPRT and in the replies 227, 228 and 229.

An address is written as `ipaddress` writes it, a port is 1 to 65535; a text that does not name both gives None.
"""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network
from typing import Final, NamedTuple

_SIX: Final = re.compile(rb"(\d{1,3}),(\d{1,3}),(\d{1,3}),(\d{1,3}),(\d{1,3}),(\d{1,3})")
_SIX_IN_TEXT: Final = re.compile(rb"(?<![\d,])(\d{1,3})" + rb"[ \t]*,[ \t]*(\d{1,3})" * 5 + rb"(?![\d,])")
_MANY: Final = re.compile(rb"\d{1,3}(?:[ \t]*,[ \t]*\d{1,3}){8,40}")
"""RFC 1639 3: the address family, the length of the address and its octets, the length of the port and its octets."""
_FAMILIES: Final = {4: 4, 6: 16}
"""The octets of an address of each family that is in use."""
_PORT: Final = re.compile(rb"\s*" + _SIX.pattern + rb"\s*")
_BARS: Final = re.compile(rb"([\x21-\x7e])\1\1(\d{1,5})\1")
"""RFC 2428 3: three delimiters, the port and a delimiter; the delimiter may be any printable character."""
_BARS_WITH_ADDRESS: Final = re.compile(rb"([!-/:-@\[-`{-~])([12])\1([0-9A-Fa-f:.]{2,45})\1(\d{1,5})\1")
_EPRT: Final = re.compile(rb"\s*([\x21-\x7e])([12])\1([0-9A-Fa-f:.]{2,45})\1(\d{1,5})\1\s*")
_MAX_PORT: Final = 0xFFFF
_PRIVATE: Final = tuple(
    ip_network(text)
    for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16", "fc00::/7", "fe80::/10")
)
"""Networks that the Internet does not route: RFC 1918, 6598, 3927, 4193, 4291."""


class Address(NamedTuple):
    """Where an endpoint listens."""

    ip: str
    """Empty when only the port was named."""
    port: int


def of_port(argument: bytes) -> Address | None:
    """Return what PORT names: h1,h2,h3,h4,p1,p2 (RFC 959 4.1.2)."""
    found = _PORT.fullmatch(argument)
    return _six(found) if found else None


def of_eprt(argument: bytes) -> Address | None:
    """Return what EPRT names: |1|132.235.1.2|6275| or |2|1080::8:800:200C:417A|5282| (RFC 2428 2)."""
    found = _EPRT.fullmatch(argument)
    if not found:
        return None
    try:
        address = ip_address(found[3].decode())
    except ValueError:
        return None
    versions = {b"1": 4, b"2": 6}
    port = int(found[4])
    return Address(str(address), port) if address.version == versions[found[2]] and 0 < port <= _MAX_PORT else None


def of_pasv(text: bytes) -> Address | None:
    """Return what a reply 227 names: six numbers, wherever they stand, with or without brackets (RFC 1123 4.1.2.6)."""
    return next((address for found in _SIX_IN_TEXT.finditer(text) if (address := _six(found))), None)


def of_lprt(argument: bytes) -> Address | None:
    """Return what LPRT names: 4,4,132,235,1,2,2,24,131 (RFC 1639 2)."""
    found = _MANY.fullmatch(argument.strip())
    return _long(found[0]) if found else None


def of_lpsv(text: bytes) -> Address | None:
    """Return what a reply 228 names: numbers as in LPRT, wherever they stand (RFC 1639 3)."""
    return next((address for found in _MANY.finditer(text) if (address := _long(found[0]))), None)


def of_epsv(text: bytes) -> Address | None:
    """Return what a reply 229 names: a port, as (|||6446|) (RFC 2428 3); or an address with it, as some servers write it."""
    found = _BARS.search(text)
    if found is None:
        full = _BARS_WITH_ADDRESS.search(text)
        return of_eprt(full[0]) if full else None
    port = int(found[2])
    return Address("", port) if 0 < port <= _MAX_PORT else None


def is_private(ip: str) -> bool:
    """Return whether an address is for use inside a network only."""
    try:
        address = ip_address(ip)
    except ValueError:
        return False
    return any(address in network for network in _PRIVATE if network.version == address.version)


def normal(ip: str) -> str:
    """Return an address as `ipaddress` writes it, IPv4 inside IPv6 as IPv4; anything else as it is."""
    try:
        address = ip_address(ip)
    except ValueError:
        return ip
    return str(getattr(address, "ipv4_mapped", None) or address)


def _long(text: bytes) -> Address | None:
    numbers = [int(part) for part in text.split(b",")]
    octets = _FAMILIES.get(numbers[0])
    if octets is None or numbers[1] != octets or len(numbers) != octets + 5 or numbers[octets + 2] != 2 or max(numbers) > 255:  # noqa: PLR2004 - two octets of a port; an octet's largest value
        return None
    port = numbers[-2] * 256 + numbers[-1]
    return Address(str(ip_address(bytes(numbers[2 : octets + 2]))), port) if port else None


def _six(found: re.Match[bytes]) -> Address | None:
    numbers = [int(part) for part in found.groups()]
    port = numbers[4] * 256 + numbers[5]
    if max(numbers) > 255 or not port:  # noqa: PLR2004 - an octet's largest value
        return None
    return Address(".".join(map(str, numbers[:4])), port)
