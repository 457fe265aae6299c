"""The rows of both engines ─► one table each, in order of frames; and whether they agree where they overlap.

Promises: columns, dtypes and shared categories as `tables` says; columns are joined one at a time, each one's parts let go.
Must not know: how rows were read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from analyzer import tables

if TYPE_CHECKING:
    import numpy.typing as npt

    from analyzer.capture.names import Dictionaries, Names
    from analyzer.model import Capture

    Array = npt.NDArray[Any]
    Ints = npt.NDArray[np.int64]

TEXTS: Final = {
    "src": "address",
    "dst": "address",
    "sender": "address",
    "src_mac": "mac",
    "dst_mac": "mac",
    "vlan": "vlan",
    "tunnel": "tunnel",
}
"""The dictionary each text column draws from."""


@dataclass(slots=True)
class Rows:
    """What the native engine read: columns in parts, texts as codes."""

    segments: list[dict[str, Array]]
    quotes: list[dict[str, Array]]
    options: bytearray
    known: Dictionaries


def merge(own: Rows, rest: Capture | None, asked: Ints) -> tuple[pd.DataFrame, pd.DataFrame, bytes]:
    """Return segments, quotes and option bytes: all own rows, and those of `rest` whose frames are among `asked`."""
    segments, quotes = own.segments, own.quotes
    if rest is not None:
        base = len(own.options)
        own.options += rest.option_bytes
        segments = [*segments, *_translate(rest.segments, asked, own.known, base)]
        quotes = [*quotes, *_translate(rest.quotes, asked, own.known, base)]
    # All texts are known before the first table is made: the tables share them.
    return _join(segments, tables.SEGMENTS, own.known), _join(quotes, tables.QUOTES, own.known), bytes(own.options)


def _translate(table: pd.DataFrame, asked: Ints, known: Dictionaries, base: int) -> list[dict[str, Array]]:
    """Return the rows of `table` whose frames are among `asked` as a part, texts as codes of `known`."""
    table = table[np.isin(table["frame"].to_numpy(), asked)]
    if not len(table):
        return []
    part: dict[str, Array] = {}
    for name in table.columns:
        if name in TEXTS:
            names: Names = getattr(known, TEXTS[name])
            codes = table[name].cat.remove_unused_categories().cat
            part[name] = np.array([names.code_text(text) for text in codes.categories], dtype=np.int32)[codes.codes.to_numpy()]
        elif name != "capture":
            part[name] = table[name].to_numpy().copy()
    if "option_start" in part:
        part["option_start"] += base
    return [part]


def _join(parts: list[dict[str, Array]], table: tables.Table, known: Dictionaries) -> pd.DataFrame:
    """Return the parts as one table, ordered by frame."""
    frame = _gather(parts, "frame", "uint32")
    order = None if (frame[1:] >= frame[:-1]).all() else np.argsort(frame, kind="stable")
    columns: dict[str, object] = {"capture": np.zeros(len(frame), dtype=np.uint16)}
    for column in table.columns[1:]:
        dtype = "int32" if column.dtype == "category" else column.dtype
        values = frame if column.name == "frame" else _gather(parts, column.name, dtype)
        values = values if order is None else values[order]
        if column.dtype == "category":
            texts = getattr(known, TEXTS[column.name]).texts() or [""]
            columns[column.name] = pd.Categorical.from_codes(values, dtype=pd.CategoricalDtype(pd.Index(texts, dtype=object)))
        else:
            columns[column.name] = values
    return pd.DataFrame(columns, copy=False)


def _gather(parts: list[dict[str, Array]], name: str, dtype: str) -> Array:
    """Return a column of all parts, which give theirs up."""
    return np.concatenate([np.zeros(0, dtype=dtype), *(part.pop(name) for part in parts)]).astype(dtype, copy=False)


def differ(own: Rows, rest: Capture, compared: Ints) -> int | None:
    """Return the first of the frames `compared` of which the native rows and those of `rest` are not the same; None if all are."""
    pairs = ((own.segments, rest.segments, tables.SEGMENTS), (own.quotes, rest.quotes, tables.QUOTES))
    frames = [frame for parts, theirs, table in pairs for frame in _differ(own, parts, (theirs, rest.option_bytes), table, compared)]
    return min(frames, default=None)


def _differ(own: Rows, parts: list[dict[str, Array]], theirs: tuple[pd.DataFrame, bytes], table: tables.Table, compared: Ints) -> list[int]:
    """Return frames in which rows of one table differ."""
    frame, option_bytes = theirs
    chosen = frame[np.isin(frame["frame"].to_numpy(), compared)]
    rows = [np.isin(part["frame"], compared) for part in parts]
    ours: dict[str, Array] = {}
    for column in table.columns[1:]:
        values = np.concatenate([np.zeros(0, dtype=np.int64), *(part[column.name][of] for part, of in zip(parts, rows, strict=True))])
        if column.dtype == "category":
            texts: list[str] = getattr(own.known, TEXTS[column.name]).texts()
            values = np.array([texts[int(code)] for code in values], dtype=object)
        ours[column.name] = values
    order = np.argsort(ours["frame"], kind="stable")
    ours = {name: values[order] for name, values in ours.items()}
    if not np.array_equal(ours["frame"], chosen["frame"].to_numpy()):
        return [int(number) for number in np.setxor1d(ours["frame"], chosen["frame"].to_numpy())[:1]]
    wrong = np.zeros(len(chosen), dtype=bool)
    for name, values in ours.items():
        if name != "option_start":
            wrong |= np.asarray(values != chosen[name].to_numpy(), dtype=bool)
    if "option_start" in ours:
        places = [ours["option_start"], chosen["option_start"].to_numpy(), ours["option_length"]]
        for row, (a, b, size) in enumerate(np.stack(places, axis=1).astype(np.int64).tolist()):
            wrong[row] |= own.options[a : a + size] != option_bytes[b : b + size]
    return [int(number) for number in chosen["frame"].to_numpy()[wrong]]
