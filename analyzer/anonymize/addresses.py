"""Keyed pseudonyms for addresses: two addresses share exactly as many leading bits as their pseudonyms do.

The scheme is that of Crypto-PAn (Xu, Fan, Ammar, Moon: Prefix-Preserving IP Address Anonymization, 2002), with BLAKE2b (RFC 7693)
as the keyed function. What kind of address it is stays: the bits that make an address special (RFC 6890) are kept, so that private
addresses stay private, multicast stays multicast, and so on. Hence a special address shares its special prefix with its pseudonym.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import Final

_SPECIAL_4: Final = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.2.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
)
_SPECIAL_6: Final = tuple(
    ip_network(text)
    for text in ("::/96", "::ffff:0:0/96", "64:ff9b::/96", "2001:db8::/32", "2002::/16", "fc00::/7", "fe80::/10", "ff00::/8")
)
_FIXED: Final = frozenset(ip_address(text).packed for text in ("0.0.0.0", "255.255.255.255", "127.0.0.1", "::", "::1"))  # noqa: S104 - not bound to
"""Addresses that identify no host."""
_IPV4_BYTES: Final = 4
_EMBEDDED_AT: Final = {ip_network(text): at for text, at in (("::/96", 12), ("::ffff:0:0/96", 12), ("64:ff9b::/96", 12), ("2002::/16", 2))}
"""IPv6 prefixes behind which an IPv4 address stands (RFC 4291 2.5.5, 6052, 3056), and where."""


class AddressMap:
    """The pseudonyms of one key."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self.ip = lru_cache(maxsize=65_536)(self._ip)
        """Packed address (4 or 16 bytes) to packed pseudonym."""
        self.mac = lru_cache(maxsize=65_536)(self._mac)
        """MAC address (6 bytes) to its pseudonym: group bit kept, locally administered (IEEE 802-2014 8.4)."""

    def text(self, address: str) -> str:
        """Return the pseudonym of an address in its usual spelling; a zone id is left out."""
        return str(ip_address(self.ip(ip_address(address.partition("%")[0]).packed)))

    def _ip(self, packed: bytes) -> bytes:
        if packed in _FIXED:
            return packed
        address = ip_address(packed)
        special = next((net for net in (_SPECIAL_4 if address.version == 4 else _SPECIAL_6) if address in net), None)  # noqa: PLR2004
        at = _EMBEDDED_AT.get(special, 0) if special is not None else 0
        if at:
            # The embedded IPv4 address gets the pseudonym that it has where it stands alone.
            inner = self.ip(packed[at : at + _IPV4_BYTES])
            rest = packed[at + _IPV4_BYTES :]
            return packed[:at] + inner + (self._flip(packed, 8 * (at + _IPV4_BYTES))[at + _IPV4_BYTES :] if rest else b"")
        return self._flip(packed, special.prefixlen if special is not None else 0)

    def _flip(self, packed: bytes, kept: int) -> bytes:
        """Return the address with each bit behind the first `kept` ones turned or not, as the bits before it and the key say."""
        size = 8 * len(packed)
        value, found = int.from_bytes(packed), int.from_bytes(packed)
        for bit in range(kept, size):
            prefix = value >> (size - bit)
            seed = bit.to_bytes(1) + prefix.to_bytes(16)
            if hashlib.blake2b(seed, digest_size=1, key=self._key, person=b"ip%d" % len(packed)).digest()[0] & 1:
                found ^= 1 << (size - 1 - bit)
        return found.to_bytes(len(packed))

    def _mac(self, mac: bytes) -> bytes:
        if mac in {b"\0" * 6, b"\xff" * 6}:
            return mac
        drawn = bytearray(hashlib.blake2b(mac, digest_size=6, key=self._key, person=b"mac").digest())
        drawn[0] = drawn[0] & 0xFC | mac[0] & 0x01 | 0x02
        return bytes(drawn)
