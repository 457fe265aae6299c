"""The segments of some connections at a time, for work that keeps several columns of its own a segment.

Every connection is whole in exactly one block, blocks come in order, none is larger than the limit unless one connection is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROWS: Final = 1 << 16
"""Segments a block: few enough that what is made of them stays near the processor."""


@dataclass(frozen=True, slots=True)
class ConnectionBlock:
    """Some connections, one behind the other."""

    first: int
    """The first of them."""
    count: int
    begin: int
    """Where its segments begin in the table."""
    segments: pd.DataFrame
    """Their rows of table `FLOW_SEGMENTS`, the requested columns; `flow` counts from the block's first."""


def divide(segments: pd.DataFrame, count: int, names: Sequence[str], rows: int = ROWS) -> Iterator[ConnectionBlock]:
    """Give `count` connections, whose segments are table `FLOW_SEGMENTS`, in blocks of at most `rows` segments where that is possible."""
    columns = {name: segments[name].to_numpy() for name in ("flow", *names)}
    bounds = np.searchsorted(columns["flow"], np.arange(count + 1))
    first = 0
    while first < count:
        last = max(int(np.searchsorted(bounds, bounds[first] + rows, side="right")) - 1, first + 1)
        part = slice(int(bounds[first]), int(bounds[last]))
        taken = {name: column[part] for name, column in columns.items()}
        taken["flow"] = taken["flow"] - np.int32(first)
        yield ConnectionBlock(first, last - first, part.start, pd.DataFrame(taken, copy=False))
        first = last
