"""A table of the report as Parquet, through pyarrow (extra `parquet`).

Not in `FORMATS`, whose formats are text.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from analyzer.report.escaping import unicode

if TYPE_CHECKING:
    import pandas as pd


def render(table: pd.DataFrame, *, secrets: bool) -> bytes:
    """Return a table as a Parquet file; a report that holds secrets has a further column `secrets`.

    Text that UTF-8 cannot encode is escaped as in JSON; the items of a list column are all texts or all numbers.
    """
    columns = {str(name): _strict(column) for name, column in table.items()}
    buffer = io.BytesIO()
    stamp = {"secrets": True} if secrets else {}
    table.assign(**columns, **stamp).to_parquet(buffer, engine="pyarrow", index=False)
    return buffer.getvalue()


def _strict(column: pd.Series[Any]) -> pd.Series[Any] | list[Any]:
    """Return a column with values of one type that Parquet supports."""
    if column.dtype.kind in "iufb":
        return column
    values = column.tolist()
    if not all(isinstance(value, tuple) for value in values):
        return [unicode(value) for value in values]
    numbers = all(isinstance(item, int) for value in values for item in value)
    return [list(value) if numbers else [unicode(str(item)) for item in value] for value in values]
