"""A batch of tshark's columns, narrowed to the TCP header that counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from analyzer._typing import BoolArray, Int64Array
    from analyzer.capture.tshark.layers import Layers
    from analyzer.capture.tshark.tsv import TsvBatch, TsvColumn


@dataclass(frozen=True, slots=True)
class BatchView:
    """A batch, its columns by field name, narrowed to the header that counts."""

    grid: TsvBatch
    index: dict[str, int]
    rows: Int64Array
    """The rows looked at."""
    kinds: list[Layers]
    """The distinct layers of the batch."""
    codes: Int64Array
    """Which of them each row looked at has."""

    def fact(self, read: Callable[[Layers], int]) -> Int64Array:
        """Return a number of each row's layers."""
        return np.array([read(entry) for entry in self.kinds], dtype=np.int64)[self.codes]

    def column(self, name: str, ordinal: Int64Array | None = None) -> TsvColumn:
        """Return the column of field `name`, empty fields when this tshark has no such field."""
        found = self.grid.column(self.index.get(name, 0))
        if len(self.rows) < len(found):
            found = found.take(self.rows)
        if name not in self.index:
            return found.between(found.start, found.start)
        return found if ordinal is None else found.pick(ordinal)

    def either(self, four: str, six: str, version: Int64Array, ordinal: Int64Array) -> TsvColumn:
        """Return field `four` of IPv4 headers and field `six` of IPv6 headers, header number `ordinal` of its kind."""
        return self.column(four, ordinal).where(version == 4, self.column(six, ordinal))  # noqa: PLR2004 - an IP version

    def last(self, name: str) -> Int64Array:
        """Return a number of the innermost TCP header, -1 where it has none."""
        return self.column(name, np.full(len(self.rows), -1, dtype=np.int64)).numbers()

    def only(self, keep: BoolArray) -> BatchView:
        """Return the view of some of these rows."""
        return BatchView(self.grid, self.index, self.rows[keep], self.kinds, self.codes[keep])
