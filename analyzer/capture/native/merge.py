"""Merge the rows of both engines into one table each, ordered by frame, and compare them where they overlap.

Columns, dtypes and shared categories are those of `schema.SEGMENTS` and `schema.QUOTES`; at most one column is in memory twice.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analyzer import schema
from analyzer.capture.decode.dictionary import DICTIONARY_NAMES, Dictionaries

if TYPE_CHECKING:
    from analyzer._typing import Array, Int64Array
    from analyzer.capture.decode.dictionary import CodeTable
    from analyzer.model import Capture


@dataclass(slots=True)
class Columns:
    """Rows of a table, but `capture`, each column a run of bytes that grows in place: parts to be joined would double the memory."""

    table: schema.Table
    _bytes: dict[str, bytearray] = field(default_factory=dict)

    def add(self, part: dict[str, Array]) -> None:
        """Take rows; text columns are codes."""
        for column in self.table.columns[1:]:
            values = np.ascontiguousarray(part[column.name], dtype=_dtype(column))
            if len(values):
                self._bytes.setdefault(column.name, bytearray()).extend(values.data.cast("B"))

    def column(self, name: str) -> Array:
        """Return a column; no rows can be added while it is in use."""
        dtype = next(_dtype(column) for column in self.table.columns if column.name == name)
        return np.frombuffer(self._bytes.get(name, bytearray()), dtype=dtype)

    def pop_column(self, name: str) -> Array:
        """Return a column that is not needed here any more."""
        found = self.column(name)
        self._bytes.pop(name, None)
        return found


def _dtype(column: schema.Column) -> str:
    """Return how a column is kept."""
    return "int32" if column.dtype == "category" else column.dtype


@dataclass(slots=True)
class Rows:
    """What the native engine read."""

    known: Dictionaries = field(default_factory=Dictionaries)
    segments: Columns = field(default_factory=lambda: Columns(schema.SEGMENTS))
    quotes: Columns = field(default_factory=lambda: Columns(schema.QUOTES))
    options: bytearray = field(default_factory=bytearray)


def merge(native: Rows, tshark: Capture | None, delegated: Int64Array) -> tuple[pd.DataFrame, pd.DataFrame, bytes]:
    """Return segments, quotes and option bytes: all native rows, and those of `tshark` whose frames are among `delegated`."""
    if tshark is not None:
        _add(native.segments, tshark.segments, delegated, native.known, len(native.options))
        _add(native.quotes, tshark.quotes, delegated, native.known, 0)
        native.options += tshark.option_bytes
    # All texts are known before the first table is made: the tables share them.
    dtypes = {
        name: pd.CategoricalDtype(pd.Index(getattr(native.known, name).texts() or [""], dtype=object))
        for name in set(DICTIONARY_NAMES.values())
    }
    return _order(native.segments, dtypes), _order(native.quotes, dtypes), bytes(native.options)


def _add(columns: Columns, table: pd.DataFrame, delegated: Int64Array, known: Dictionaries, base: int) -> None:
    """Add the rows of `table` whose frames are among `delegated`, texts as codes of `known`, options `base` bytes further on."""
    table = table[np.isin(table["frame"].to_numpy(), delegated)]
    part: dict[str, Array] = {}
    for name in table.columns:
        if name in DICTIONARY_NAMES:
            names: CodeTable = getattr(known, DICTIONARY_NAMES[name])
            codes = table[name].cat.remove_unused_categories().cat
            part[name] = np.array([names.code_text(text) for text in codes.categories], dtype=np.int32)[codes.codes.to_numpy()]
        else:
            part[name] = table[name].to_numpy()
    if "option_start" in part:
        part["option_start"] = part["option_start"] + base
    columns.add(part)


def _order(rows: Columns, dtypes: dict[str, pd.CategoricalDtype]) -> pd.DataFrame:
    """Return the rows as a table ordered by frame."""
    frame = rows.column("frame")
    order = None if (frame[1:] >= frame[:-1]).all() else np.argsort(frame, kind="stable")
    columns: dict[str, object] = {"capture": np.zeros(len(frame), dtype=np.uint16)}
    for column in rows.table.columns[1:]:
        values = rows.pop_column(column.name)
        values = values if order is None else values[order]
        if column.dtype == "category":
            columns[column.name] = pd.Categorical.from_codes(values, dtype=dtypes[DICTIONARY_NAMES[column.name]])
        else:
            columns[column.name] = values
    return pd.DataFrame(columns, copy=False)


def first_difference(native: Rows, tshark: Capture, compared: Int64Array) -> int | None:
    """Return the first of the frames `compared` of which the native rows and those of `tshark` are not the same; None if all are."""
    pairs = (native.segments, tshark.segments), (native.quotes, tshark.quotes)
    frames = [frame for ours, theirs in pairs for frame in _differing_frames(native, ours, (theirs, tshark.option_bytes), compared)]
    return min(frames, default=None)


def _differing_frames(native: Rows, columns: Columns, theirs: tuple[pd.DataFrame, bytes], compared: Int64Array) -> list[int]:
    """Return frames in which rows of one table differ."""
    frame, option_bytes = theirs
    chosen = frame[np.isin(frame["frame"].to_numpy(), compared)]
    number = columns.column("frame")
    of = np.flatnonzero(np.isin(number, compared))
    of = of[np.argsort(number[of], kind="stable")]
    if not np.array_equal(number[of], chosen["frame"].to_numpy()):
        return [int(number) for number in np.setxor1d(number[of], chosen["frame"].to_numpy())[:1]]
    wrong = np.zeros(len(chosen), dtype=bool)
    for column in columns.table.columns[1:]:
        values = columns.column(column.name)[of]
        if column.dtype == "category":
            texts: list[str] = getattr(native.known, DICTIONARY_NAMES[column.name]).texts()
            values = np.array([texts[code] for code in values.tolist()], dtype=object)
        if column.name not in {"option_start", "payload_start"}:
            wrong |= np.asarray(values != chosen[column.name].to_numpy(), dtype=bool)
    if "option_start" in chosen:
        places = [columns.column("option_start")[of], chosen["option_start"].to_numpy(), columns.column("option_length")[of]]
        for row, (a, b, size) in enumerate(np.stack(places, axis=1).astype(np.int64).tolist()):
            wrong[row] |= native.options[a : a + size] != option_bytes[b : b + size]
    return [int(number) for number in chosen["frame"].to_numpy()[wrong]]
