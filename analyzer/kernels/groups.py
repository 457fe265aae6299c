"""Rows that belong to groups."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt


def first_rows(codes: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Return the first row of each code; `codes` are 0 to n - 1 without gaps."""
    first = np.empty(int(codes.max()) + 1 if len(codes) else 0, dtype=np.int64)
    # On duplicate indices numpy keeps the last write: written in reverse, the first row wins.
    first[codes[::-1]] = np.arange(len(codes))[::-1]
    return first


def first_of(rows: npt.NDArray[Any], code: npt.NDArray[Any], count: int) -> npt.NDArray[np.int64]:
    """Return the first of `rows` in each of `count` groups, -1 where there is none.

    `code` gives the group of every row; `rows` rise, and so do their groups.
    """
    first = np.full(count, -1, np.int64)
    groups = code[rows]
    starts = np.flatnonzero(np.concatenate(([True], groups[1:] != groups[:-1]))[: len(groups)])
    first[groups[starts]] = rows[starts]
    return first
