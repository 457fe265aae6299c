"""Columns to rows of text, for formats with a fixed order of fields: one `%` template, filled row by row by the interpreter.

Columns are formatted whole: a column with one value throughout costs no more than its text, and where few values are distinct, each is
written once. The format chooses the text for an absent value (see `columns`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from analyzer.report.columns import absent, seconds
from analyzer.schema import NO_TIME

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from analyzer.schema import Column

_FEW: Final = 4
"""Text with so many times fewer distinct values than cells is written by value, not by cell."""


@dataclass(frozen=True, slots=True)
class Field:
    """A part of a template, in printf's manner, and the columns that fill it."""

    text: str
    cells: tuple[Sequence[Any], ...] = ()

    def between(self, before: str, after: str = "") -> Field:
        """Return the piece with text around it."""
        return Field(_literal(before) + self.text + _literal(after), self.cells)


def _literal(text: str) -> str:
    return text.replace("%", "%%")


def fill(pieces: Sequence[Field], between: str, count: int) -> list[str]:
    """Return `count` rows of all pieces, `between` in between."""
    template = _literal(between).join(piece.text for piece in pieces)
    cells = [column for piece in pieces for column in piece.cells]
    return list(map(template.__mod__, zip(*cells, strict=True))) if cells else [template % ()] * count


def numbers(cells: pd.Series[Any], column: Column, nothing: str, quote: str = "") -> Field:
    """Return a column of numbers, between quotes where there is one; Python writes finite ones as JSON and CSV do."""
    values = cells.to_numpy()
    missing = absent(values, column)
    if len(values) and (missing.all() if missing[0] else (values == values[0]).all()):
        return Field(_literal(nothing if missing[0] else f"{quote}{values[0].item()!r}{quote}"))
    found: list[Any] = values.tolist()
    piece = Field(f"{quote}{'%r' if values.dtype.kind == 'f' else '%d'}{quote}", (found,))
    return _without(piece, missing, nothing)


def _without(piece: Field, missing: NDArray[np.bool_], nothing: str) -> Field:
    """Return the piece with `nothing` in the rows that are missing."""
    if not missing.any():
        return piece
    written = fill([piece], "", len(missing))
    for row in np.flatnonzero(missing).tolist():
        written[row] = nothing
    return Field("%s", (written,))


def truths(cells: pd.Series[Any]) -> Field:
    """Return a column of truth values as `true` and `false`."""
    values = cells.to_numpy(bool)
    if len(values) and (values == values[0]).all():
        return Field("true" if values[0] else "false")
    return Field("%s", (["true" if value else "false" for value in values.tolist()],))


def words(cells: Sequence[Any], write: Callable[[Sequence[Any]], Iterable[str]]) -> Field:
    """Return a column of text; `write` says how each of some texts reads."""
    distinct = list(set(cells))
    if len(distinct) * _FEW > len(cells):
        return Field("%s", (list(write(cells)),))
    written = dict(zip(distinct, write(distinct), strict=True))
    return Field(_literal(written[distinct[0]])) if len(distinct) == 1 else Field("%s", ([written[cell] for cell in cells],))


def times(cells: pd.Series[int], nothing: str, quote: str = "") -> Field:
    """Return a column of times as ISO 8601 in UTC with nine digits, between quotes where there is a time."""
    values = cells.to_numpy(np.int64)
    whole, rest = seconds(values)
    return _without(Field(f"{quote}%s.%09dZ{quote}", (whole, rest)), values == NO_TIME, nothing)
