"""Tab-separated rows as bytes ─► columns, whole arrays at a time.

A field is found, never copied; an empty field is -1 as a number and b"" as text; a field that is not the number it
should be is -1 and never an exception. A field of several values (joined by commas) is narrowed to one by `pick`.
"""

from __future__ import annotations

import binascii
import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from analyzer.kernels.groups import first_rows

if TYPE_CHECKING:
    from analyzer._typing import BoolArray, ByteArray, Int64Array, UInt64Array


TAB: Final = 0x09
NEWLINE: Final = 0x0A
COMMA: Final = 0x2C
POINT: Final = 0x2E
_PAD: Final = 32
"""Zero bytes before and after a batch, so that a gather of that width never leaves the buffer."""
_MAX_DIGITS: Final = {10: 15, 16: 13}
"""The digits of each base that float64 sums without rounding."""
_MAX_TIME_BYTES: Final = 30
_NOT_A_DIGIT: Final = 99
_NANOSECOND_DIGITS: Final = 9
_SECOND_DIGITS: Final = 9
"""Whole seconds of more digits than this may, as nanoseconds, not fit 64 bits; ten fit below `_MAX_SECONDS`."""
_MAX_SECONDS: Final = 2**63 // 10**9 - 1
_WORD: Final = 8
_MIX: Final = np.uint64(0x9E3779B97F4A7C15)


def _digit_values() -> ByteArray:
    """Return the value of each byte as a hexadecimal digit, `_NOT_A_DIGIT` for all others."""
    values = np.full(256, _NOT_A_DIGIT, dtype=np.uint8)
    for text, first in ((b"0123456789", 0), (b"abcdef", 10), (b"ABCDEF", 10)):
        for position, byte in enumerate(text):
            values[byte] = first + position
    return values


_DIGITS: Final = _digit_values()


@dataclass(frozen=True, slots=True)
class TsvColumn:
    """One column: where each row's field begins and ends in the buffer."""

    buffer: ByteArray
    """The batch between `_PAD` zero bytes on either side."""
    commas: Int64Array
    """Where the buffer has commas."""
    start: Int64Array
    stop: Int64Array

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.start)

    @property
    def filled(self) -> BoolArray:
        """Whether each field holds anything."""
        return self.stop > self.start

    def between(self, start: Int64Array, stop: Int64Array) -> TsvColumn:
        """Return the fields of these bounds in the same buffer."""
        return TsvColumn(self.buffer, self.commas, start, stop)

    def take(self, rows: Int64Array | BoolArray) -> TsvColumn:
        """Return the fields of some rows."""
        return self.between(self.start[rows], self.stop[rows])

    def where(self, own: BoolArray, other: TsvColumn) -> TsvColumn:
        """Return these fields where `own` is true, those of `other`, a column of the same batch, where it is not."""
        return self.between(np.where(own, self.start, other.start), np.where(own, self.stop, other.stop))

    def widest(self) -> int:
        """Return the length of the longest field, 0 when there is none."""
        return int((self.stop - self.start).max()) if len(self) else 0

    def matrix(self, width: int) -> ByteArray:
        """Return the first `width` bytes of every field, shape (rows, width), zero past the field's end."""
        found = self._gather(self.start, width)
        np.multiply(found, np.arange(width) < (self.stop - self.start)[:, None], out=found)
        return found

    def _gather(self, start: Int64Array, width: int) -> ByteArray:
        """Return the `width` bytes from each of `start` on, shape (rows, width); a copy."""
        buffer = self.buffer if width <= _PAD else np.concatenate((self.buffer, np.zeros(width, dtype=np.uint8)))
        overlay = np.ndarray(shape=(len(buffer) - width + 1,), dtype=f"V{width}", buffer=buffer, strides=(1,))
        return overlay[start].view(np.uint8).reshape(len(start), width)

    def numbers(self) -> Int64Array:
        """Return the fields as int64: decimal, or hexadecimal after 0x; -1 where empty or no number of 15 (13) digits at most."""
        if not self.widest():
            return np.full(len(self), -1, dtype=np.int64)
        prefixed = (self.buffer[self.start] == ord("0")) & (self.buffer[self.start + 1] == ord("x")) & (self.stop - self.start > len("0x"))
        if not prefixed.any():
            return self._sum(10)
        hexadecimal = self.between(self.start + 2 * prefixed, self.stop)._sum(16)  # noqa: SLF001 - another value of this class
        return hexadecimal if prefixed.all() else np.where(prefixed, hexadecimal, self._sum(10))

    def _sum(self, base: int) -> Int64Array:
        """Return the fields as numbers of `base`, -1 where empty, too long or of other characters."""
        length = self.stop - self.start
        width = min(int(length.max()), _MAX_DIGITS[base])
        digits = _DIGITS[self._gather(self.stop - width, width)]
        inside = np.arange(width, 0, -1, dtype=np.int64) <= length[:, None]
        np.multiply(digits, inside, out=digits)
        odd = (digits >= base).any(axis=1) | (length < 1) | (length > width)
        value = digits @ np.array([float(base) ** power for power in range(width - 1, -1, -1)])
        return np.where(odd, -1, value).astype(np.int64)

    def nanoseconds(self) -> tuple[Int64Array, BoolArray]:
        """Return decimal seconds as exact int64 nanoseconds, and which fields are something else (value 0).

        Something else is also a number of more than nine decimals, and one that is beyond int64 as nanoseconds.
        """
        width = min(self.widest(), _MAX_TIME_BYTES)
        length = self.stop - self.start
        dots = self.matrix(width) == POINT if width else np.zeros((len(self), 1), dtype=bool)
        point = self.start + np.where(dots.any(axis=1), dots.argmax(axis=1), length)
        seconds = self.between(self.start, point)._sum(10) if width else np.full(len(self), -1, dtype=np.int64)  # noqa: SLF001 - another value of this class
        decimals = np.maximum(self.stop - point - 1, 0)
        fraction = np.zeros(len(self), dtype=np.int64)
        if decimals.any():
            fraction = self.between(self.stop - decimals, self.stop)._sum(10)  # noqa: SLF001 - another value of this class
            fraction = np.where(decimals > 0, fraction, 0)
        odd = (seconds < 0) | (seconds > _MAX_SECONDS) | (fraction < 0) | (decimals > _NANOSECOND_DIGITS) | (length > width)
        scale = 10 ** np.clip(_NANOSECOND_DIGITS - decimals, 0, _NANOSECOND_DIGITS)
        return np.where(odd, 0, np.where(odd, 0, seconds) * 10**_SECOND_DIGITS + fraction * scale), odd

    def pick(self, ordinal: Int64Array) -> TsvColumn:
        """Return each field narrowed to its value number `ordinal` (0 the first, -1 the last), empty when it has fewer."""
        commas = self.commas
        if not len(commas):
            return self if (ordinal <= 0).all() else self.between(self.start, np.where(ordinal <= 0, self.stop, self.start))
        first = np.searchsorted(commas, self.start)
        count = np.searchsorted(commas, self.stop) - first
        ordinal = np.where(ordinal < 0, count, ordinal)
        edges = np.concatenate((commas, [0]))
        before = edges[np.clip(first + ordinal - 1, 0, len(commas))]
        after = edges[np.clip(first + ordinal, 0, len(commas))]
        start = np.where(ordinal == 0, self.start, before + 1)
        stop = np.where(ordinal >= count, self.stop, after)
        absent = ordinal > count
        return self.between(np.where(absent, self.start, start), np.where(absent, self.start, stop))

    def factorize(self) -> tuple[Int64Array, list[bytes]]:
        """Return a code a row and the distinct fields the codes stand for, in order of first appearance."""
        import pandas as pd

        if not len(self):
            return np.zeros(0, dtype=np.int64), []
        width = max(_WORD, -(-self.widest() // _WORD) * _WORD)
        words = self.matrix(width).view(np.uint64)
        codes, _ = pd.factorize(_fold_bytes(words))
        first = first_rows(codes)
        if not (words == words[first[codes]]).all():
            # Two fields share a fold: next to impossible by chance, possible on purpose.
            codes, _ = pd.factorize(np.unique(words, axis=0, return_inverse=True)[1].reshape(-1))
            first = first_rows(codes)
        buffer = self.buffer.tobytes() if len(first) > len(self) // 4 else self.buffer
        bounds = zip(self.start[first].tolist(), self.stop[first].tolist(), strict=True)
        return codes.astype(np.int64), [bytes(buffer[start:stop]) for start, stop in bounds]

    def hexadecimal(self) -> tuple[bytes, Int64Array]:
        """Return the bytes that all fields spell in hexadecimal, end to end, and how many bytes each field gave.

        Colons between the digits are passed over; a field with any other letter gives none.
        """
        width = self.widest()
        if not width:
            return b"", np.zeros(len(self), dtype=np.int64)
        text = self.matrix(width)
        digits = _DIGITS[text]
        spelled = digits != _NOT_A_DIGIT
        if (strange := ~spelled & (text != 0)).any():
            spelled &= ~(strange & (text != ord(":"))).any(axis=1)[:, None]
        count = spelled.sum(axis=1)
        if (count & 1).any():
            spelled &= (count & 1 == 0)[:, None]
            count *= 1 - (count & 1)
        found = digits[spelled]
        return (found[0::2] << 4 | found[1::2]).tobytes(), count // 2

    def unhexlify(self) -> tuple[bytes, Int64Array]:
        """Return the bytes that all fields spell in hexadecimal without colons, end to end, and how many bytes each field gave.

        Fields may be long: nothing is as wide as the longest of them. A field that spells no bytes gives none.
        """
        length = np.zeros(len(self), dtype=np.int64)
        text, parts = self.buffer.data, list[bytes]()
        rows = np.flatnonzero(self.filled)
        for row, start, stop in zip(rows.tolist(), self.start[rows].tolist(), self.stop[rows].tolist(), strict=True):
            with contextlib.suppress(binascii.Error):
                parts.append(binascii.unhexlify(text[start:stop]))
                length[row] = (stop - start) // 2
        return b"".join(parts), length


@dataclass(frozen=True, slots=True)
class TsvBatch:
    """A batch of whole rows of equal arity."""

    buffer: ByteArray
    commas: Int64Array
    stops: Int64Array
    """Position of the tab or newline that ends each field, shape (columns, rows)."""

    def __len__(self) -> int:
        """Return the number of rows."""
        return int(self.stops.shape[1])

    def column(self, index: int) -> TsvColumn:
        """Return column `index`."""
        if index:
            return TsvColumn(self.buffer, self.commas, self.stops[index - 1] + 1, self.stops[index])
        start = np.concatenate(([_PAD], self.stops[-1, :-1] + 1)) if len(self) else self.stops[0]
        return TsvColumn(self.buffer, self.commas, start, self.stops[0])


def split_rows(batch: bytes, columns: int) -> tuple[TsvBatch, bool]:
    """Return `batch`, whole lines ended by newlines, as a grid, and whether every line had `columns` fields.

    When one has not, the grid ends before it.
    """
    buffer = np.frombuffer(bytes(_PAD) + batch + bytes(_PAD), dtype=np.uint8)
    marks = np.flatnonzero((buffer == TAB) | (buffer == NEWLINE))
    ends = np.flatnonzero(buffer[marks] == NEWLINE)
    right = ends == np.arange(1, len(ends) + 1) * columns - 1
    rows = len(ends) if right.all() else int(np.argmin(right))
    whole = rows == len(ends) and len(marks) == rows * columns
    stops = np.ascontiguousarray(marks[: rows * columns].reshape(rows, columns).T)
    return TsvBatch(buffer, np.flatnonzero(buffer == COMMA), stops), whole


def _fold_bytes(words: UInt64Array) -> UInt64Array:
    """Return one word a row that equal rows share."""
    folded = np.zeros(len(words), dtype=np.uint64)
    for column in range(words.shape[1]):
        folded = (folded ^ words[:, column]) * _MIX
        folded ^= folded >> np.uint64(29)
    return folded
