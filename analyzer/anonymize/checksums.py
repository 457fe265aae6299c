"""Internet checksums (RFC 1071) that follow a change: what was right stays right, what was wrong stays wrong, offload sums stay that."""

from __future__ import annotations

from typing import Final

_ALL: Final = 0xFFFF


def total(data: bytes) -> int:
    """Return the 16-bit ones' complement sum of the big-endian words of `data`, a missing last byte being zero."""
    padded = data + b"\0" * (len(data) & 1)
    return _fold(sum(int.from_bytes(padded[at : at + 2]) for at in range(0, len(padded), 2)))


def _fold(number: int) -> int:
    """Return a sum modulo 65535, in which 65535 stands for every multiple but 0 itself."""
    return (number - 1) % _ALL + 1 if number else 0


def adjust(field: int, old: tuple[bytes, bytes], new: tuple[bytes, bytes], *, whole: bool) -> int:
    """Return the checksum field after a change.

    `old` and `new` are pseudo-header (its length last, in four bytes; empty where there is none) and the bytes summed, with zeros in
    place of the field. `whole`: all bytes summed were captured, so that the field can be verified.
    """
    if whole and _fold(total(old[0]) + total(old[1]) + field) == _ALL:
        return _ALL - _fold(total(new[0]) + total(new[1]))
    for cut in (0, 4) if old[0] else ():
        # An offload leaves the sum of the pseudo-header in the field, with or without the length, complemented or not.
        before, after = (total(part[0][: len(part[0]) - cut]) for part in (old, new))
        if field in {before, _ALL - before}:
            return after if field == before else _ALL - after
    # RFC 1624 (eqn. 3): HC' = ~(~HC + ~m + m').
    changed = _fold(total(new[0]) + total(new[1])) - _fold(total(old[0]) + total(old[1]))
    return _ALL - _fold((_ALL - field + changed) % _ALL or _ALL)
