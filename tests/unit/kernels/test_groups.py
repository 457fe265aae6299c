"""Rows of groups."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from analyzer.kernels.groups import first_of, first_rows


@given(st.lists(st.integers(0, 20)))
def test_the_first_row_of_each_code_is_found(values: list[int]) -> None:
    codes = [sorted(set(values)).index(value) for value in values]
    assert first_rows(np.array(codes, dtype=np.int64)).tolist() == [codes.index(code) for code in range(len(set(codes)))]


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans())))
def test_the_first_marked_row_of_each_group_is_found(values: list[tuple[int, bool]]) -> None:
    values.sort(key=lambda value: value[0])
    code = np.array([group for group, _ in values], dtype=np.int64)
    rows = np.array([row for row, (_, marked) in enumerate(values) if marked], dtype=np.int64)
    expected = [next((row for row, value in enumerate(values) if value == (group, True)), -1) for group in range(10)]
    assert first_of(rows, code, 10).tolist() == expected
