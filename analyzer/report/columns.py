"""Table columns as plain Python lists, with None for absent values.

Whole columns are converted at a time. An absent value is -1, NO_TIME, NaN or empty text in a table (see `schema`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from analyzer.schema import NO_TIME, Column

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

CHUNK: Final = 4_000
"""Rows converted to text at a time: bounds memory for reports of many connections."""

EMPTY_IS_A_VALUE: Final = frozenset({"flags"})
"""Text columns in which empty does not mean absent: a segment may carry no flag at all."""

_SECOND: Final = 1_000_000_000


def is_time(column: Column) -> bool:
    """Return whether the column holds times in ns since the epoch."""
    return column.unit == "ns" and column.name.endswith("_ns")


def values(column_values: pd.Series[Any], column: Column) -> list[Any]:
    """Return one column as a list, with None where there is no value."""
    if column.dtype == "str":
        return column_values.tolist() if column.name in EMPTY_IS_A_VALUE else [text or None for text in column_values.tolist()]
    if column.dtype in {"bool", "object"}:
        return column_values.tolist()
    numbers = column_values.to_numpy()
    found: list[Any] = numbers.tolist()
    for row in np.flatnonzero(absent(numbers, column)):
        found[row] = None
    return found


def absent(numbers: NDArray[Any], column: Column) -> NDArray[np.bool_]:
    """Return which numbers of a column mean that there is no value."""
    if column.dtype == "float64":
        return np.asarray(~np.isfinite(numbers), bool)
    return np.asarray(numbers == (NO_TIME if is_time(column) else -1), bool)


def seconds(times: NDArray[Any]) -> tuple[list[str], list[int]]:
    """Return times in ns since the epoch as ISO 8601 in UTC down to the second, and the nanoseconds beyond."""
    whole, row = np.unique(times // _SECOND, return_inverse=True)
    texts = np.datetime_as_string(whole.astype("datetime64[s]"), unit="s").astype(object)
    return texts[row].tolist(), (times % _SECOND).tolist()


def iso_times(column_values: pd.Series[int]) -> list[str | None]:
    """Return times in ns since the epoch as ISO 8601 in UTC with nine digits, None where there is no time."""
    times = column_values.to_numpy(np.int64)
    iso: list[str | None] = list(map("%s.%09dZ".__mod__, zip(*seconds(times), strict=True)))
    for row in np.flatnonzero(times == NO_TIME):
        iso[row] = None
    return iso
