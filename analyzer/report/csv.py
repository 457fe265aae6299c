r"""One table of the report as CSV (RFC 4180), for spreadsheets and for `read_csv`.

A header, one line per row of the table, CRLF line ends, UTF-8. An absent value is an empty field; text is escaped as on a terminal and
never begins a formula; booleans are `true` or `false`. The items of a list are separated by `; `, a semicolon in an item is `\x3b`, an
empty item is `""`. A report that holds secrets has a last column `secrets`.
"""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any, Final

from analyzer.errors import UsageError
from analyzer.model import FINDINGS, FLOWS, STEPS, TRANSACTIONS
from analyzer.report import CSV_TABLES, templates
from analyzer.report.columns import CHUNK, is_time
from analyzer.report.escaping import RISKY_STARTS, disarm, printable
from analyzer.report.templates import Field

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pandas as pd

    from analyzer.model import Report
    from analyzer.report import Layout
    from analyzer.schema import Column, Table

_QUOTED: Final = (",", '"', "\r", "\n")
"""Characters that want quotes around their cell."""
_SHAPES: Final[dict[str, Table]] = {"flows": FLOWS, "findings": FINDINGS, "steps": STEPS}
"""The tables that are the same in every report; the columns of transactions are those of the protocols it was read with."""

Columns = dict[str, Field]


def _cells(cells: Sequence[str]) -> list[str]:
    """Return text cells made safe, and quoted where they must be; what is all plain is looked at as a whole."""
    whole = "".join(cells)
    plain = whole.isascii() and whole.isprintable() and RISKY_STARTS.isdisjoint(cell[:1] for cell in cells)
    safe = list(cells) if plain else [disarm(printable(cell)) for cell in cells]
    return safe if plain and not _wants_quotes(whole) else list(map(_quote, safe))


def _wants_quotes(text: str) -> bool:
    """Return whether RFC 4180 wants quotes around a cell with `text` in it."""
    # Of four searches each is faster than a look at every character.
    return any(mark in text for mark in _QUOTED)


def _quote(cell: str) -> str:
    """Return a cell between quotes where RFC 4180 wants it."""
    return '"' + cell.replace('"', '""') + '"' if _wants_quotes(cell) else cell


def _cite(capture: int, frames: tuple[tuple[int, int], ...]) -> str:
    """Return cited frames parted by blanks; a frame of another capture than the row's is written capture:frame."""
    return " ".join([str(frame) if where == capture else f"{where}:{frame}" for where, frame in frames])


def _items(cells: tuple[Any, ...]) -> str:
    """Return a list as the text of one cell."""
    return disarm("; ".join(printable(str(cell)).replace(";", r"\x3b") or '""' for cell in cells))


def _column(table: pd.DataFrame, column: Column, paths: list[str]) -> Columns:
    """Return a column, and before or after it the columns that only make it readable: path and ISO time."""
    cells = table[column.name]
    if column.name == "capture":
        return {
            "capture": templates.numbers(cells, column, ""),
            "path": templates.words([paths[index] for index in cells.tolist()], _cells),
        }
    if column.name == "frames":
        return {"frames": Field("%s", (list(map(_cite, table["capture"].tolist(), cells.tolist())),))}
    if column.dtype == "object":
        return {column.name: templates.words(cells.tolist(), lambda lists: [_quote(_items(cell)) for cell in lists])}
    if column.dtype == "str":
        return {column.name: templates.words(cells.tolist(), _cells)}
    if column.dtype == "bool":
        return {column.name: templates.truths(cells)}
    numbers = templates.numbers(cells, column, "")
    return ({column.name.removesuffix("_ns"): templates.times(cells, "")} if is_time(column) else {}) | {column.name: numbers}


def _columns(table: pd.DataFrame, shape: Table, paths: list[str], *, secrets: bool) -> Columns:
    columns: Columns = {}
    for column in shape.columns:
        columns |= _column(table, column, paths)
    return columns | {"secrets": Field("true")} if secrets else columns


def _foreign(table: pd.DataFrame, report: Report) -> Columns:
    """Return the columns of truths that only some protocols have, with nothing, not `false`, for the others."""
    columns: Columns = {}
    for column in report.transaction_columns.columns:
        if column.dtype == "bool" and column.name not in TRANSACTIONS.names:
            known = {protocol for protocol, own in report.protocol_columns.items() if column.name in own}
            cells = zip(table[column.name].tolist(), table["protocol"].tolist(), strict=True)
            columns[column.name] = Field("%s", ([str(cell).lower() if protocol in known else "" for cell, protocol in cells],))
    return columns


def _write(lines: Iterator[tuple[Any, ...]] | list[tuple[Any, ...]]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerows(lines)
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
        part = table.iloc[first : first + CHUNK]
        columns = _columns(part, shape, paths, secrets=report.secrets)
        columns |= _foreign(part, report) if layout.table == "transactions" else {}
        yield "".join([line + "\r\n" for line in templates.fill(list(columns.values()), ",", len(part))])
