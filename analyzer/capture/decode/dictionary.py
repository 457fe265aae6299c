"""Addresses, link addresses, VLAN stacks and tunnels as numbers ─► codes of texts that all tables share.

Equal values have equal codes and texts; a text is written as tshark writes it; a Python step only for each
value that is new in an array, never for each row.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from analyzer.capture.decode.link import TAG_BITS
from analyzer.kernels.groups import first_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from analyzer._typing import Array, Int64Array, UInt64Array


DICTIONARY_NAMES: Final = {
    "src": "address",
    "dst": "address",
    "sender": "address",
    "src_mac": "mac",
    "dst_mac": "mac",
    "vlan": "vlan",
    "tunnel": "tunnel",
}
"""The dictionary that encodes each text column of `SEGMENTS` and `QUOTES`."""
_IPV4_BYTES: Final = 4
_MIX: Final = np.uint64(0x9E3779B97F4A7C15)


@dataclass(slots=True)
class CodeTable:
    """Texts of one kind and the codes of the values they stand for."""

    show: Callable[[int], str]
    """Gives the text of a value."""
    values: dict[int, int] = field(default_factory=dict)
    """Value ─► code."""
    _texts: list[str] = field(default_factory=list)
    _codes: dict[str, int] = field(default_factory=dict)

    def encode(self, values: Iterable[int]) -> Int64Array:
        """Return the code of each value, a Python step each; not to be called after `texts`."""
        known = self.values
        return np.array([known.setdefault(value, len(known)) for value in values], dtype=np.int64)

    def texts(self) -> list[str]:
        """Return the text of each code."""
        if not self._texts:
            self._texts = [self.show(value) for value in self.values]
        return self._texts

    def code_text(self, text: str) -> int:
        """Return the code of a text."""
        texts = self.texts()
        if not self._codes:
            self._codes = {known: code for code, known in enumerate(texts)}
        code = self._codes.setdefault(text, len(texts))
        if code == len(texts):
            texts.append(text)
        return code

    def encode_array(self, values: Int64Array) -> Int64Array:
        """Return the code of each of many values, an int64 array."""
        local, distinct = pd.factorize(values)
        return self.encode(distinct.tolist())[local]


@dataclass(frozen=True, slots=True)
class Dictionaries:
    """All texts of a capture."""

    address: CodeTable = field(default_factory=lambda: CodeTable(show_address))
    mac: CodeTable = field(default_factory=lambda: CodeTable(show_mac))
    vlan: CodeTable = field(default_factory=lambda: CodeTable(show_vlans))
    tunnel: CodeTable = field(default_factory=lambda: CodeTable(show_session))


def encode_addresses(names: CodeTable, src: Array, dst: Array) -> tuple[Int64Array, Int64Array]:
    """Return the codes of two columns of addresses, both uint32 (IPv4) or both V16 (IPv6)."""
    if src.dtype.kind != "V":
        local, pairs = pd.factorize(src.astype(np.uint64) << np.uint64(32) | dst)
        ends = np.concatenate((pairs >> np.uint64(32), pairs & np.uint64(0xFFFFFFFF))).astype(np.int64)
        codes = names.encode_array(ends)
        return codes[: len(pairs)][local], codes[len(pairs) :][local]
    words = np.concatenate((src.view(">u8").reshape(-1, 2), dst.view(">u8").reshape(-1, 2)), axis=1).astype(np.uint64)
    local = _number_rows(words)
    first = first_rows(local)
    # 128 bits more distinguish an IPv6 address from an IPv4 address of the same value.
    sides = [names.encode((1 << 128) + int.from_bytes(bytes(side), "big") for side in column[first]) for column in (src, dst)]
    return sides[0][local], sides[1][local]


def encode_pairs(names: CodeTable, left: Int64Array, right: Int64Array) -> tuple[Int64Array, Int64Array]:
    """Return the codes of two columns of values that mostly occur in the same pairs."""
    local = _number_rows(np.stack((left.astype(np.uint64), right.astype(np.uint64)), axis=1))
    first = first_rows(local)
    return names.encode(left[first].tolist())[local], names.encode(right[first].tolist())[local]


def _number_rows(words: UInt64Array) -> Int64Array:
    """Return a number for each row, equal rows having equal ones, without gaps."""
    folded = np.zeros(len(words), dtype=np.uint64)
    for column in range(words.shape[1]):
        folded = (folded ^ words[:, column]) * _MIX
        folded ^= folded >> np.uint64(29)
    local, _ = pd.factorize(folded)
    if len(local) and not (words == words[first_rows(local)[local]]).all():
        # Two rows share a fold: next to impossible by chance, possible on purpose.
        local, _ = pd.factorize(np.unique(words, axis=0, return_inverse=True)[1].reshape(-1))
    return local.astype(np.int64)


def show_address(value: int) -> str:
    """Return an IPv4 address, or an IPv6 address given with bit 128 set."""
    if value >> 128:
        return socket.inet_ntop(socket.AF_INET6, (value & (1 << 128) - 1).to_bytes(16, "big"))
    return socket.inet_ntoa(value.to_bytes(_IPV4_BYTES, "big"))


def show_mac(value: int) -> str:
    """Return a link address as aa:bb:cc:dd:ee:ff, -1 as nothing."""
    return "" if value < 0 else value.to_bytes(6, "big").hex(":")


def show_vlans(value: int) -> str:
    """Return a stack of VLAN ids, as `links` numbers them, from the outside in, joined by dots."""
    shown: list[str] = []
    while value:
        shown.insert(0, str((value & (1 << TAG_BITS) - 1) - 1))
        value >>= TAG_BITS
    return ".".join(shown)


def show_session(value: int) -> str:
    """Return a PPPoE session as a tunnel, -1 as nothing."""
    return "" if value < 0 else f"pppoe:{value}"
