from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from analyzer.report import columns
from analyzer.schema import NO_TIME, Column


@given(st.lists(st.integers(min_value=-(2**62), max_value=2**62), min_size=1))
def test_times_are_iso_8601_with_every_nanosecond(times: list[int]) -> None:
    for time, text in zip(times, columns.iso_times(pd.Series(times, dtype="int64")), strict=True):
        assert text is not None
        whole, _, rest = text.removesuffix("Z").partition(".")
        seconds = int(datetime.fromisoformat(whole).replace(tzinfo=UTC).timestamp())
        assert seconds * 10**9 + int(rest) == time
        assert len(rest) == 9


def test_absent_is_none_in_every_type() -> None:
    def read(cells: list[object], dtype: str, name: str = "x", unit: str = "") -> list[object]:
        return columns.values(pd.Series(cells, dtype=dtype), Column(name, dtype, "", unit))

    assert read(["", "a"], "str") == [None, "a"]
    assert read([-1, 0, 5], "int64") == [None, 0, 5]
    assert read([NO_TIME, -1], "int64", "start_time_ns", "ns") == [None, -1]
    assert read([np.nan, 0.0, np.inf], "float64") == [None, 0.0, None]
    assert read([True, False], "bool") == [True, False]
    assert read(["", "SA"], "str", "flags") == ["", "SA"]
