"""A table as Parquet, read back with pandas."""

from __future__ import annotations

import io

import pandas as pd
import pytest

from analyzer.report import parquet

pytest.importorskip("pyarrow")

TABLE = pd.DataFrame(
    {
        "number": [1, -1],
        "text": pd.Series(["plain", "name \udcff"], dtype=object),
        "codes": [(250, 550), ()],
        "words": [("a", "b"), ("\udcff",)],
    }
)


def test_text_that_utf8_cannot_hold_is_escaped_and_lists_stay_lists() -> None:
    found = pd.read_parquet(io.BytesIO(parquet.render(TABLE, secrets=False)))
    assert found["number"].tolist() == [1, -1]
    assert found["text"].tolist() == ["plain", r"name \xff"]
    assert [list(one) for one in found["codes"]] == [[250, 550], []]
    assert [list(one) for one in found["words"]] == [["a", "b"], [r"\xff"]]
    assert "secrets" not in found


def test_a_report_with_secrets_is_marked() -> None:
    assert pd.read_parquet(io.BytesIO(parquet.render(TABLE, secrets=True)))["secrets"].all()
