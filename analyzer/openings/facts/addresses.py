"""Properties of IP addresses, one value per address of a category column."""

from __future__ import annotations

from functools import cached_property
from socket import AF_INET, AF_INET6, inet_pton
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from analyzer._typing import Array, BoolArray, IntArray

_ADDRESS_BYTES: Final = 16
_IPV4: Final = 12
"""Offset of an IPv4 address in 16 bytes."""
_LOOPBACK: Final = np.frombuffer(bytes(15) + b"\1", np.uint8)
_LOOPBACK_NET: Final = 127
_MULTICAST_NET: Final = 224
_ALL_ONES: Final = 255


class Addresses:
    """The addresses `texts`; every array has one entry per address."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts = texts

    @cached_property
    def packed(self) -> Array:
        """The addresses as bytes, shape (addresses, 16): IPv4 in the last four, zeros for none."""
        return np.frombuffer(b"".join(map(_pack, self.texts)), np.uint8).reshape(-1, _ADDRESS_BYTES)

    @cached_property
    def is_ipv6(self) -> BoolArray:
        """Whether it is an IPv6 address."""
        return np.array([":" in text for text in self.texts], bool)

    @cached_property
    def is_loopback(self) -> BoolArray:
        """Whether it is in 127.0.0.0/8 (RFC 1122 3.2.1.3) or is ::1 (RFC 4291 2.5.3)."""
        single = (self.packed == _LOOPBACK).all(axis=1)
        found: BoolArray = np.where(self.is_ipv6, single, self.packed[:, _IPV4] == _LOOPBACK_NET)
        return found

    @cached_property
    def is_group(self) -> BoolArray:
        """Whether it is multicast or broadcast (RFC 9293 3.9.2.3); a directed broadcast is not known without the network's mask."""
        first = self.packed[:, _IPV4]
        of_ipv4 = (first >> 4 == _MULTICAST_NET >> 4) | (self.packed[:, _IPV4:] == _ALL_ONES).all(axis=1)
        found: BoolArray = np.where(self.is_ipv6, self.packed[:, 0] == _ALL_ONES, of_ipv4)
        return found

    @cached_property
    def ipv4_numbers(self) -> IntArray:
        """IPv4 addresses as numbers, -1 for others and for 0.0.0.0."""
        numbers = np.ascontiguousarray(self.packed[:, _IPV4:]).view(">u4")[:, 0].astype(np.int64)
        return np.where(self.is_ipv6 | (numbers == 0), -1, numbers)


def _pack(text: str) -> bytes:
    return inet_pton(AF_INET6 if ":" in text else AF_INET, text or "0.0.0.0").rjust(_ADDRESS_BYTES, b"\0")  # noqa: S104 - no socket is bound
