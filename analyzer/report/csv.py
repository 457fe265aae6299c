r"""One table of the report as CSV (RFC 4180), for spreadsheets and for `read_csv`.

Promises: a header, one row a row of the table, CRLF line ends, UTF-8; absent is an empty cell; a cell of text is escaped as on a
terminal and never begins a formula; numbers are numbers; truth is `true` or `false`. The items of a list are parted by `; `, a semicolon
in an item is `\x3b`, an empty item is `""`. A report that holds secrets says so in a last column, `secrets`.
Must not know: where the text goes.
"""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any, Final

from analyzer.errors import UsageError
from analyzer.model import FINDINGS, FLOWS, STEPS, TRANSACTIONS
from analyzer.report import CSV_TABLES
from analyzer.report.columns import CHUNK, is_time, iso_times, values
from analyzer.report.escaping import disarm, printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from analyzer.model import Report
    from analyzer.report import Layout
    from analyzer.tables import Column, Table

_SHAPES: Final[dict[str, Table]] = {"flows": FLOWS, "findings": FINDINGS, "steps": STEPS}
"""The tables that are the same in every report; the columns of transactions are those of the protocols it was read with."""

Columns = dict[str, list[Any]]


def _texts(cells: list[Any]) -> list[str]:
    """Return text cells made safe; each distinct text is worked on once."""
    safe = {cell: "" if cell is None else disarm(printable(cell)) for cell in set(cells)}
    return [safe[cell] for cell in cells]


def _truths(cells: list[bool]) -> list[str]:
    return ["true" if cell else "false" for cell in cells]


def _cite(capture: int, frames: tuple[tuple[int, int], ...]) -> str:
    """Return cited frames parted by blanks; a frame of another capture than the row's is written capture:frame."""
    return " ".join(str(frame) if where == capture else f"{where}:{frame}" for where, frame in frames)


def _items(cells: tuple[Any, ...]) -> str:
    """Return a list as the text of one cell."""
    return disarm("; ".join(printable(str(cell)).replace(";", r"\x3b") or '""' for cell in cells))


def _column(table: pd.DataFrame, column: Column, paths: list[str]) -> Columns:
    """Return a column, and before or after it the columns that only make it readable: path and ISO time."""
    cells = values(table[column.name], column)
    if column.name == "capture":
        return {"capture": cells, "path": _texts([paths[index] for index in cells])}
    if column.name == "frames":
        return {"frames": [_cite(*row) for row in zip(table["capture"].tolist(), cells, strict=True)]}
    if column.dtype == "object":
        lists = {cell: _items(cell) for cell in set(cells)}
        return {column.name: [lists[cell] for cell in cells]}
    if column.dtype == "str":
        return {column.name: _texts(cells)}
    if column.dtype == "bool":
        return {column.name: _truths(cells)}
    if is_time(column):
        return {column.name.removesuffix("_ns"): list(iso_times(table[column.name])), column.name: cells}
    return {column.name: cells}


def _columns(table: pd.DataFrame, shape: Table, paths: list[str], *, secrets: bool) -> Columns:
    columns: Columns = {}
    for column in shape.columns:
        columns |= _column(table, column, paths)
    return columns | {"secrets": ["true"] * len(table)} if secrets else columns


def _blank_foreign(columns: Columns, report: Report) -> Columns:
    """Return transactions with nothing, not `false`, where a truth is another protocol's."""
    for column in report.transaction_columns.columns:
        if column.dtype == "bool" and column.name not in TRANSACTIONS.names:
            known = {protocol for protocol, own in report.spoken.items() if column.name in own}
            cells = zip(columns[column.name], columns["protocol"], strict=True)
            columns[column.name] = [cell if protocol in known else "" for cell, protocol in cells]
    return columns


def _write(rows: Iterator[tuple[Any, ...]] | list[tuple[Any, ...]]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue()


def render(report: Report, layout: Layout) -> Iterator[str]:
    """Return the table `layout.table` as CSV, in pieces; raises `UsageError` when there is no such table."""
    if layout.table not in CSV_TABLES:
        message = f"no table is called {layout.table!r}; there are {', '.join(CSV_TABLES)}"
        raise UsageError(message)
    shape = _SHAPES.get(layout.table, report.transaction_columns)
    paths = [capture.path for capture in report.captures]
    table: pd.DataFrame = getattr(report, layout.table)
    yield _write([tuple(_columns(table.iloc[:0], shape, paths, secrets=report.secrets))])
    for first in range(0, len(table), CHUNK):
        rows = _columns(table.iloc[first : first + CHUNK], shape, paths, secrets=report.secrets)
        rows = _blank_foreign(rows, report) if layout.table == "transactions" else rows
        yield _write(zip(*rows.values(), strict=True))
