"""Rows of text from columns, for formats with a fixed order of fields: one `%` template that the interpreter fills row by row.

Columns are formatted whole: a column with a single value becomes part of the template, and a column with few distinct values formats
each of them once. The format chooses the text for an absent value (see `columns`).
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

MIN_REPETITION: Final = 4
"""Each distinct text is formatted once if there are at least this many times fewer distinct texts than rows."""


@dataclass(frozen=True, slots=True)
class Field:
    """A part of a template in printf notation, and the columns that fill it."""

    text: str
    columns: tuple[Sequence[Any], ...] = ()

    def between(self, before: str, after: str = "") -> Field:
        """Return the field with literal text around it."""
        return Field(_literal(before) + self.text + _literal(after), self.columns)


def _literal(text: str) -> str:
    return text.replace("%", "%%")


def fill(fields: Sequence[Field], between: str, count: int) -> list[str]:
    """Return `count` rows of all fields, separated by `between`."""
    template = _literal(between).join(field.text for field in fields)
    columns = [column for field in fields for column in field.columns]
    return list(map(template.__mod__, zip(*columns, strict=True))) if columns else [template % ()] * count


def numbers(column_values: pd.Series[Any], column: Column, nothing: str, quote: str = "") -> Field:
    """Return a column of numbers, each between `quote`, with `nothing` for absent ones; Python writes finite numbers as JSON does."""
    values = column_values.to_numpy()
    missing = absent(values, column)
    if len(values) and (missing.all() if missing[0] else (values == values[0]).all()):
        return Field(_literal(nothing if missing[0] else f"{quote}{values[0].item()!r}{quote}"))
    found: list[Any] = values.tolist()
    field = Field(f"{quote}{'%r' if values.dtype.kind == 'f' else '%d'}{quote}", (found,))
    return _without(field, missing, nothing)


def _without(field: Field, missing: NDArray[np.bool_], nothing: str) -> Field:
    """Return the field with `nothing` in the rows that are missing."""
    if not missing.any():
        return field
    written = fill([field], "", len(missing))
    for row in np.flatnonzero(missing).tolist():
        written[row] = nothing
    return Field("%s", (written,))


def booleans(column_values: pd.Series[Any]) -> Field:
    """Return a column of booleans as `true` and `false`."""
    values = column_values.to_numpy(bool)
    if len(values) and (values == values[0]).all():
        return Field("true" if values[0] else "false")
    return Field("%s", (["true" if value else "false" for value in values.tolist()],))


def texts(column_values: Sequence[Any], write: Callable[[Sequence[Any]], Iterable[str]]) -> Field:
    """Return a column of text; `write` formats a list of texts."""
    distinct = list(set(column_values))
    if len(distinct) * MIN_REPETITION > len(column_values):
        return Field("%s", (list(write(column_values)),))
    written = dict(zip(distinct, write(distinct), strict=True))
    return Field(_literal(written[distinct[0]])) if len(distinct) == 1 else Field("%s", ([written[text] for text in column_values],))


def times(column_values: pd.Series[int], nothing: str, quote: str = "") -> Field:
    """Return a column of times as ISO 8601 in UTC with nine digits, between quotes where there is a time."""
    values = column_values.to_numpy(np.int64)
    whole, rest = seconds(values)
    return _without(Field(f"{quote}%s.%09dZ{quote}", (whole, rest)), values == NO_TIME, nothing)
