"""Cells of tab-separated rows against a split of the same text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from analyzer.capture.tshark import tsv

if TYPE_CHECKING:
    from analyzer.capture.tshark.tsv import TsvBatch, TsvColumn

CELLS = st.one_of(
    st.just(""),
    st.integers(0, 10**15 - 1).map(str),
    st.integers(0, 2**59).map(hex),
    st.text("0123456789abcdefxX,:.-<MISSING>é", max_size=50),
)


def table(rows: list[list[str]]) -> TsvBatch:
    made, whole = tsv.split_rows("".join("\t".join(row) + "\n" for row in rows).encode(), len(rows[0]))
    assert whole
    return made


def texts(cells: TsvColumn) -> list[bytes]:
    return [bytes(cells.buffer[start:stop]) for start, stop in zip(cells.start.tolist(), cells.stop.tolist(), strict=True)]


def number(text: str) -> int:
    """Return what a cell must be read as, by Python's own rules for digits."""
    if text.startswith("0x"):
        digits, base = text[2:], 16
    else:
        digits, base = text, 10
    fits = 0 < len(digits) <= (15 if base == 10 else 13) and all(
        digit in "0123456789abcdefABCDEF"[: 10 if base == 10 else 22] for digit in digits
    )
    return int(digits, base) if fits else -1


def as_hexadecimal(text: str) -> bytes:
    digits = text.replace(":", "")
    return bytes.fromhex(digits) if len(digits) % 2 == 0 and all(digit in "0123456789abcdefABCDEF" for digit in digits) else b""


@settings(deadline=None, max_examples=150)
@example([["0x20000000000001", "0xfffffffffffff", "999999999999999"], ["", "", ""]])
@example([["1x0", "0x", "0X1"], ["x0", "00x1", "0x0g"]])
@given(st.integers(1, 4).flatmap(lambda width: st.lists(st.lists(CELLS, min_size=width, max_size=width), min_size=1, max_size=12)))
def test_every_cell_is_read_as_python_would(rows: list[list[str]]) -> None:
    made = table(rows)
    assert len(made) == len(rows)
    for place in range(len(rows[0])):
        column = [row[place] for row in rows]
        cells = made.column(place)
        assert texts(cells) == [text.encode() for text in column]
        assert list(cells.filled) == [bool(text) for text in column]
        assert list(cells.numbers()) == [number(text) for text in column]
        codes, distinct = cells.factorize()
        assert distinct == list(dict.fromkeys(text.encode() for text in column))
        assert [distinct[code] for code in codes] == [text.encode() for text in column]
        spelled, lengths = cells.hexadecimal()
        assert spelled == b"".join(as_hexadecimal(text) for text in column)
        assert list(lengths) == [len(as_hexadecimal(text)) for text in column]
        for ordinal in (0, 1, 2, -1):
            parts = [text.encode().split(b",") for text in column]
            expected = [part[ordinal] if ordinal < len(part) else b"" for part in parts]
            assert texts(cells.pick(np.full(len(rows), ordinal))) == expected


def test_columns_are_merged_row_by_row() -> None:
    made = table([["a", "1"], ["b", "2"], ["c", "3"]])
    merged = made.column(0).where(np.array([True, False, True]), made.column(1))
    assert texts(merged) == [b"a", b"2", b"c"]
    assert texts(merged.take(np.array([2, 0]))) == [b"c", b"a"]


@pytest.mark.parametrize(
    ("batch", "rows", "whole"),
    [
        (b"", 0, True),
        (b"a\tb\n", 1, True),
        (b"a\tb\nc\n", 1, False),
        (b"a\tb\nc\td\te\nf\tg\n", 1, False),
        (b"\n", 0, False),
        (b"a\tb\n\t\n", 2, True),
        (b"a\n\tb\t\nc\td\n", 0, False),
    ],
)
def test_rows_of_another_arity_end_the_grid(batch: bytes, rows: int, whole: bool) -> None:  # noqa: FBT001 - a table of cases
    made, right = tsv.split_rows(batch, 2)
    assert (len(made), right) == (rows, whole)


def test_texts_that_share_a_fold_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tsv, "_fold_bytes", lambda words: np.zeros(len(words), dtype=np.uint64))
    codes, distinct = table([["x"], ["y"], ["x"], ["a" * 40]]).column(0).factorize()
    assert [distinct[code] for code in codes] == [b"x", b"y", b"x", b"a" * 40]
