"""Tab-separated rows as bytes ─► columns, whole arrays at a time.

Promises: a cell is found, never copied; an empty cell is -1 as a number and b"" as text; a cell that is not the number it
should be is -1 and never an exception. A cell of several values (joined by commas) is narrowed to one by `pick`.
Must not know: what the columns mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Ints = npt.NDArray[np.int64]
    Bools = npt.NDArray[np.bool_]
    Bytes = npt.NDArray[np.uint8]

TAB: Final = 0x09
NEWLINE: Final = 0x0A
COMMA: Final = 0x2C
_PAD: Final = 32
_WIDEST_NUMBER: Final = 20
_NOT_A_DIGIT: Final = 99
_NANOSECONDS: Final = 9
_MIX: Final = np.uint64(0x9E3779B97F4A7C15)


def _digit_values() -> Bytes:
    """Return the value of each byte as a hexadecimal digit, `_NOT_A_DIGIT` for all others."""
    values = np.full(256, _NOT_A_DIGIT, dtype=np.uint8)
    for text, first in ((b"0123456789", 0), (b"abcdef", 10), (b"ABCDEF", 10)):
        for position, byte in enumerate(text):
            values[byte] = first + position
    return values


_DIGITS: Final = _digit_values()


@dataclass(frozen=True, slots=True)
class Cells:
    """One column: where each row's cell begins and ends in the buffer."""

    buffer: Bytes
    """The batch, followed by at least `_PAD` zero bytes."""
    commas: Ints
    """Where the buffer has commas."""
    start: Ints
    stop: Ints

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.start)

    @property
    def filled(self) -> Bools:
        """Whether each cell holds anything."""
        return self.stop > self.start

    def take(self, rows: Ints | Bools) -> Cells:
        """Return the cells of some rows."""
        return Cells(self.buffer, self.commas, self.start[rows], self.stop[rows])

    def where(self, own: Bools, other: Cells) -> Cells:
        """Return these cells where `own` is true, those of `other`, a column of the same batch, where it is not."""
        return Cells(self.buffer, self.commas, np.where(own, self.start, other.start), np.where(own, self.stop, other.stop))

    def matrix(self, width: int) -> Bytes:
        """Return the first `width` bytes of every cell, shape (rows, width), zero past the cell's end."""
        size = len(self.buffer)
        if width > _PAD:
            buffer = np.concatenate((self.buffer, np.zeros(width, dtype=np.uint8)))
            size = len(buffer)
        else:
            buffer = self.buffer
        overlay = np.ndarray(shape=(size - width + 1,), dtype=f"V{width}", buffer=buffer, strides=(1,))
        found = overlay[self.start].view(np.uint8).reshape(len(self), width)
        found[np.arange(width) >= (self.stop - self.start)[:, None]] = 0
        return found

    def widest(self) -> int:
        """Return the length of the longest cell, 0 when there is none."""
        return int((self.stop - self.start).max()) if len(self) else 0

    def numbers(self) -> Ints:
        """Return the cells as int64: decimal, or hexadecimal after 0x; -1 where empty or no such number."""
        width = self.widest()
        if not width:
            return np.full(len(self), -1, dtype=np.int64)
        length = self.stop - self.start
        if width > _WIDEST_NUMBER:
            length = np.where(length > _WIDEST_NUMBER, 0, length)
            width = _WIDEST_NUMBER
        text = self.matrix(width)
        if width > 1 and (hexadecimal := (text[:, 0] == ord("0")) & (text[:, 1] == ord("x"))).any():
            base = np.where(hexadecimal, 16, 10)
            skip = np.where(hexadecimal, 2, 0)
            return _weigh(text, length, base, skip)
        return _weigh(text, length, np.int64(10), np.int64(0))

    def nanoseconds(self) -> tuple[Ints, Bools]:
        """Return decimal seconds as exact int64 nanoseconds, and which cells are something else (value 0).

        At most nine decimals; whole seconds of at most nine digits more than int64 holds are "something else".
        """
        width = min(self.widest(), 40)
        if not width:
            return np.zeros(len(self), dtype=np.int64), ~self.filled
        text = self.matrix(width)
        dots = text == ord(".")
        point = np.where(dots.any(axis=1), dots.argmax(axis=1), self.stop - self.start)
        decimals = np.maximum(self.stop - self.start - point - 1, 0)
        odd = (dots.sum(axis=1) > 1) | (decimals > _NANOSECONDS) | (point > 10) | (point < 1) | (self.stop - self.start > width)
        value = np.zeros(len(self), dtype=np.int64)
        for position in range(width):
            byte = text[:, position]
            digit = _DIGITS[byte]
            active = byte != 0
            odd |= active & (digit > 9) & (position != point)
            value = np.where(active & (position != point) & ~odd, value * 10 + digit, value)
        value *= 10 ** np.clip(_NANOSECONDS - decimals, 0, _NANOSECONDS)
        odd |= (value < 0) | (point == 10) & (value // 10**9 > 2**63 // 10**9 - 1)
        return np.where(odd, 0, value), odd

    def pick(self, ordinal: Ints) -> Cells:
        """Return each cell narrowed to its value number `ordinal` (0 the first, -1 the last), empty when it has fewer."""
        commas = self.commas
        if not len(commas):
            keep = (ordinal == 0) | (ordinal == -1)
            return Cells(self.buffer, commas, self.start, np.where(keep, self.stop, self.start))
        first = np.searchsorted(commas, self.start)
        count = np.searchsorted(commas, self.stop) - first
        ordinal = np.where(ordinal < 0, count, ordinal)
        edges = np.concatenate((commas, [0]))
        before = edges[np.clip(first + ordinal - 1, 0, len(commas))]
        after = edges[np.clip(first + ordinal, 0, len(commas))]
        start = np.where(ordinal == 0, self.start, before + 1)
        stop = np.where(ordinal >= count, self.stop, after)
        absent = ordinal > count
        return Cells(self.buffer, commas, np.where(absent, self.start, start), np.where(absent, self.start, stop))

    def factorize(self) -> tuple[Ints, list[bytes]]:
        """Return a code a row and the distinct cells the codes stand for, in order of first appearance."""
        import pandas as pd

        if not len(self):
            return np.zeros(0, dtype=np.int64), []
        width = max(8, -(-self.widest() // 8) * 8)
        words = self.matrix(width).view(np.uint64).reshape(len(self), width // 8)
        codes, _ = pd.factorize(_fold(words))
        first = _first_rows(codes)
        if not (words == words[first[codes]]).all():
            # Two cells share a fold: rare by chance, easy on purpose.
            _, codes = np.unique(words, axis=0, return_inverse=True)
            codes = codes.reshape(-1)
            first = _first_rows(codes)
        distinct = [bytes(self.buffer[self.start[row] : self.stop[row]]) for row in first.tolist()]
        return codes.astype(np.int64), distinct

    def hexadecimal(self) -> tuple[bytes, Ints]:
        """Return the bytes that all cells spell in hexadecimal, end to end, and how many bytes each cell gave."""
        width = self.widest()
        if not width:
            return b"", np.zeros(len(self), dtype=np.int64)
        digits = _DIGITS[self.matrix(width)]
        spelled = digits != _NOT_A_DIGIT
        filler = self.matrix(width) == ord(":")
        inside = np.arange(width) < (self.stop - self.start)[:, None]
        spelled &= ~(inside & ~spelled & ~filler).any(axis=1)[:, None]
        count = spelled.sum(axis=1) // 2
        found = digits[spelled & (spelled.cumsum(axis=1) <= 2 * count[:, None])]
        return ((found[0::2] << 4) | found[1::2]).astype(np.uint8).tobytes(), count


@dataclass(frozen=True, slots=True)
class Grid:
    """A batch of whole rows of equal arity."""

    buffer: Bytes
    commas: Ints
    marks: Ints
    """Position of the tab or newline that ends each cell, shape (rows, columns)."""

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.marks)

    def column(self, index: int) -> Cells:
        """Return column `index`."""
        stop = self.marks[:, index]
        if index:
            return Cells(self.buffer, self.commas, self.marks[:, index - 1] + 1, stop)
        start = np.concatenate(([0], self.marks[:-1, -1] + 1)) if len(self.marks) else np.zeros(0, dtype=np.int64)
        return Cells(self.buffer, self.commas, start, stop)


def rule(batch: bytes, columns: int) -> tuple[Grid, bool]:
    """Return `batch`, whole lines ended by newlines, as a grid, and whether every line had `columns` cells.

    When one has not, the grid ends before it.
    """
    data = np.frombuffer(batch, dtype=np.uint8)
    marks = np.flatnonzero((data == TAB) | (data == NEWLINE))
    ends = np.flatnonzero(data[marks] == NEWLINE)
    expected = np.arange(1, len(ends) + 1) * columns - 1
    right = ends == expected
    rows = len(ends) if right.all() else int(np.argmin(right))
    padded = np.concatenate((data, np.zeros(_PAD, dtype=np.uint8)))
    whole = rows == len(ends) and len(marks) == rows * columns
    commas = np.flatnonzero(data == COMMA)
    return Grid(padded, commas, marks[: rows * columns].reshape(rows, columns)), whole


def _weigh(text: Bytes, length: Ints, base: Ints | np.int64, skip: Ints | np.int64) -> Ints:
    """Return the numbers spelled by the rows of `text`, -1 where a digit does not fit the base or there is none."""
    value = np.zeros(len(text), dtype=np.int64)
    odd = length <= skip
    for position in range(text.shape[1]):
        digit = _DIGITS[text[:, position]].astype(np.int64)
        active = (position >= skip) & (position < length)
        odd |= active & (digit >= base)
        value = np.where(active, value * base + digit, value)
    return np.where(odd, -1, value)


def _fold(words: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Return one word a row that equal rows share."""
    folded = np.zeros(len(words), dtype=np.uint64)
    for column in range(words.shape[1]):
        folded = (folded ^ words[:, column]) * _MIX
        folded ^= folded >> np.uint64(29)
    return folded


def _first_rows(codes: Ints) -> Ints:
    """Return the first row of each code, codes being 0..n-1 without gaps."""
    first = np.empty(int(codes.max()) + 1, dtype=np.int64)
    rows = np.arange(len(codes))
    first[codes[::-1]] = rows[::-1]
    return first
