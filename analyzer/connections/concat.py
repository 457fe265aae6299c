"""Several captures' tables as one set of columns.

Rows keep their order, captures follow each other as given, category codes of all captures mean the same
text, option bytes are one run with `option_start` rebased on it. One capture is passed through without a copy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from analyzer import schema

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from analyzer.model import Capture

Array = npt.NDArray[Any]

_DOMAINS: Final[Mapping[str, tuple[tuple[str, str], ...]]] = {
    "address": (("segments", "src"), ("segments", "dst"), ("quotes", "src"), ("quotes", "dst")),
    "src_mac": (("segments", "src_mac"),),
    "dst_mac": (("segments", "dst_mac"),),
    "vlan": (("segments", "vlan"), ("quotes", "vlan")),
    "tunnel": (("segments", "tunnel"),),
    "sender": (("quotes", "sender"),),
}
"""Columns that share one set of categories: equal codes mean equal text."""


@dataclass(frozen=True, slots=True)
class Concatenated:
    """The rows of all captures, column by column; category columns hold codes."""

    segments: dict[str, Array]
    quotes: dict[str, Array]
    categories: dict[str, pd.CategoricalDtype]
    """Column name (`src`, `vlan`, …) to the texts its codes stand for."""
    option_bytes: bytes

    def frame(self, table: schema.Table, columns: Mapping[str, Array]) -> pd.DataFrame:
        """Return `columns` as a DataFrame of `table`, codes turned into categories again. Nothing is copied."""
        made: dict[str, Any] = {}
        for column in table.columns:
            values = columns[column.name]
            made[column.name] = self.text(column.name, values) if column.name in self.categories else values
        return pd.DataFrame(made, copy=False)

    def size(self, name: str) -> int:
        """Return how many texts the codes of column `name` may stand for."""
        return len(self.categories[name].categories)

    def text(self, name: str, codes: Array) -> pd.Categorical:
        """Return `codes` as the categories of column `name`."""
        return pd.Categorical.from_codes(codes, dtype=self.categories[name], validate=False)  # type: ignore[call-overload,no-any-return,unused-ignore]


def concat(captures: Sequence[Capture]) -> Concatenated:
    """Join the segments, quotes and option bytes of `captures`; column `capture` becomes the index in the sequence."""
    parts = {"segments": [one.segments for one in captures], "quotes": [one.quotes for one in captures]}
    codes: dict[tuple[str, str], list[Array]] = {}
    categories: dict[str, pd.CategoricalDtype] = {}
    for columns in _DOMAINS.values():
        held = [(kind, name, part[name].array) for kind, name in columns for part in parts[kind]]
        merged, texts = _unite([array for _, _, array in held])
        categories.update(dict.fromkeys((name for _, name in columns), texts))
        for (kind, name, _), values in zip(held, merged, strict=True):
            codes.setdefault((kind, name), []).append(values)
    joined = {
        kind: {
            column.name: _chain(
                codes.get((kind, column.name)) or [part[column.name].to_numpy() for part in parts[kind]],
                column.dtype,
            )
            for column in table.columns
        }
        for kind, table in (("segments", schema.SEGMENTS), ("quotes", schema.QUOTES))
    }
    for kind, columns_of_kind in joined.items():
        columns_of_kind["capture"] = np.repeat(np.arange(len(captures), dtype=np.uint16), [len(part) for part in parts[kind]])
    joined["segments"]["option_start"] = _rebase(joined["segments"], captures)
    option_bytes = captures[0].option_bytes if len(captures) == 1 else b"".join(one.option_bytes for one in captures)
    return Concatenated(joined["segments"], joined["quotes"], categories, option_bytes)


def _chain(arrays: list[Array], dtype: str) -> Array:
    if not arrays:
        return np.zeros(0, dtype=np.int8 if dtype == "category" else dtype)
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


def _unite(arrays: list[Any]) -> tuple[list[Array], pd.CategoricalDtype]:
    """Return each categorical's codes in one common set of categories, and that set."""
    if not arrays:
        return [], pd.CategoricalDtype([""])
    first = arrays[0].categories
    if all(array.categories is first or array.categories.equals(first) for array in arrays):
        return [array.codes for array in arrays], pd.CategoricalDtype(first)
    # A category array is shared by many columns: each is looked up once.
    distinct = {id(array.categories): array.categories for array in arrays}
    found, texts = pd.factorize(np.concatenate([np.asarray(index, dtype=object) for index in distinct.values()]))
    ends = np.cumsum([len(index) for index in distinct.values()])
    lookup = dict(zip(distinct, np.split(found.astype(np.int32), ends[:-1]), strict=True))
    return [lookup[id(array.categories)][array.codes] for array in arrays], pd.CategoricalDtype(pd.Index(texts))


def _rebase(segments: dict[str, Array], captures: Sequence[Capture]) -> Array:
    starts = segments["option_start"]
    if len(captures) <= 1:
        return starts
    lengths = [len(one.option_bytes) for one in captures]
    before = np.concatenate(([0], np.cumsum(lengths)[:-1])).astype(np.int64)
    rebased: Array = starts + before[segments["capture"]]
    return rebased
