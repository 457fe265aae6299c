"""Rows made of columns: a constant column, absent values and signs that templates use come out as they are."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analyzer.report import templates
from analyzer.schema import NO_TIME, Column

COUNT = Column("count", "int64", "how many")
SPENT = Column("spent", "float64", "how long", "ms")
AT = Column("at_ns", "int64", "when", "ns")


def filled(*pieces: templates.Field, count: int) -> list[str]:
    return templates.fill(pieces, "|", count)


@pytest.mark.parametrize(
    ("cells", "expected"),
    [([7, 7, 7], ["<7>", "<7>", "<7>"]), ([-1, -1], ["none", "none"]), ([1, -1, 20], ["<1>", "none", "<20>"]), ([0, 2], ["<0>", "<2>"])],
)
def test_numbers(cells: list[int], expected: list[str]) -> None:
    assert filled(templates.numbers(pd.Series(cells), COUNT, "none", "").between("<", ">"), count=len(cells)) == [
        text if text != "none" else "<none>" for text in expected
    ]


def test_quotes_stand_around_numbers_and_not_around_absent_ones() -> None:
    assert filled(templates.numbers(pd.Series([5, NO_TIME, 6]), AT, "null", '"'), count=3) == ['"5"', "null", '"6"']
    assert filled(templates.numbers(pd.Series([5, 5]), AT, "null", '"'), count=2) == ['"5"', '"5"']
    assert filled(templates.numbers(pd.Series([NO_TIME, NO_TIME]), AT, "null", '"'), count=2) == ["null", "null"]


def test_floats_are_the_shortest_that_read_back() -> None:
    assert filled(templates.numbers(pd.Series([0.1, np.nan, 1e22, 3.0]), SPENT, ""), count=4) == ["0.1", "", "1e+22", "3.0"]


@pytest.mark.parametrize("cells", [["100 %s", "100 %s"], ["%", "%d", "a%%b", "c"], ["%(x)s"] * 8 + ["y"] * 8])
def test_percent_signs_are_text(cells: list[str]) -> None:
    piece = templates.texts(cells, lambda texts: [text.upper() for text in texts]).between("%s=")
    assert filled(piece, templates.booleans(pd.Series([True] * len(cells))), count=len(cells)) == [
        f"%s={cell.upper()}|true" for cell in cells
    ]


def test_times() -> None:
    cells = pd.Series([0, 1_700_000_000_000_000_001, NO_TIME, -1])
    assert filled(templates.times(cells, "null", '"'), count=4) == [
        '"1970-01-01T00:00:00.000000000Z"',
        '"2023-11-14T22:13:20.000000001Z"',
        "null",
        '"1969-12-31T23:59:59.999999999Z"',
    ]


def test_no_rows() -> None:
    assert filled(templates.numbers(pd.Series([], dtype="int64"), COUNT, ""), templates.texts([], list), count=0) == []
