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
"""Characters that a field may hold only between quotes."""
_SHAPES: Final[dict[str, Table]] = {"flows": FLOWS, "findings": FINDINGS, "steps": STEPS}
"""Tables with the same columns in every report; `transactions` also has the columns of the protocols that were loaded."""

Columns = dict[str, Field]


def _fields(texts: Sequence[str]) -> list[str]:
    """Return texts safe to print and for spreadsheets, between quotes where RFC 4180 requires it."""
    # One check of all texts joined is faster than one check per text, and most columns need no more.
    whole = "".join(texts)
    plain = whole.isascii() and whole.isprintable() and RISKY_STARTS.isdisjoint(text[:1] for text in texts)
    safe = list(texts) if plain else [disarm(printable(text)) for text in texts]
    return safe if plain and not _needs_quotes(whole) else list(map(_quote, safe))


def _needs_quotes(text: str) -> bool:
    """Return whether RFC 4180 requires quotes around a field that holds `text`."""
    # Four substring searches are faster than one loop over the characters.
    return any(mark in text for mark in _QUOTED)


def _quote(text: str) -> str:
    """Return a field, between quotes where RFC 4180 requires it."""
    return '"' + text.replace('"', '""') + '"' if _needs_quotes(text) else text


def _evidence(capture: int, frames: tuple[tuple[int, int], ...]) -> str:
    """Return the cited frames separated by blanks; a frame of another capture than that of the row is written capture:frame."""
    return " ".join([str(frame) if source == capture else f"{source}:{frame}" for source, frame in frames])


def _items(items: tuple[Any, ...]) -> str:
    """Return a list as the text of one field."""
    return disarm("; ".join(printable(str(item)).replace(";", r"\x3b") or '""' for item in items))


def _column(table: pd.DataFrame, column: Column, paths: list[str]) -> Columns:
    """Return a column together with the columns derived from it: the path of a capture, the ISO form of a time."""
    column_values = table[column.name]
    if column.name == "capture":
        return {
            "capture": templates.numbers(column_values, column, ""),
            "path": templates.texts([paths[index] for index in column_values.tolist()], _fields),
        }
    if column.name == "frames":
        return {"frames": Field("%s", (list(map(_evidence, table["capture"].tolist(), column_values.tolist())),))}
    if column.dtype == "object":
        return {column.name: templates.texts(column_values.tolist(), lambda lists: [_quote(_items(items)) for items in lists])}
    if column.dtype == "str":
        return {column.name: templates.texts(column_values.tolist(), _fields)}
    if column.dtype == "bool":
        return {column.name: templates.booleans(column_values)}
    numbers = templates.numbers(column_values, column, "")
    return ({column.name.removesuffix("_ns"): templates.times(column_values, "")} if is_time(column) else {}) | {column.name: numbers}


def _columns(table: pd.DataFrame, shape: Table, paths: list[str], *, secrets: bool) -> Columns:
    columns: Columns = {}
    for column in shape.columns:
        columns |= _column(table, column, paths)
    return columns | {"secrets": Field("true")} if secrets else columns


def _protocol_booleans(table: pd.DataFrame, report: Report) -> Columns:
    """Return the boolean columns that only some protocols have, empty instead of `false` in rows of the other protocols."""
    columns: Columns = {}
    for column in report.transaction_columns.columns:
        if column.dtype == "bool" and column.name not in TRANSACTIONS.names:
            known = {protocol for protocol, own in report.protocol_columns.items() if column.name in own}
            pairs = zip(table[column.name].tolist(), table["protocol"].tolist(), strict=True)
            columns[column.name] = Field("%s", ([str(value).lower() if protocol in known else "" for value, protocol in pairs],))
    return columns


def _write(lines: Iterator[tuple[Any, ...]] | list[tuple[Any, ...]]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerows(lines)
    return text.getvalue()


def render(report: Report, layout: Layout) -> Iterator[str]:
    """Return the table `layout.table` as CSV, in chunks; raises `UsageError` when there is no such table."""
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
        columns |= _protocol_booleans(part, report) if layout.table == "transactions" else {}
        yield "".join([line + "\r\n" for line in templates.fill(list(columns.values()), ",", len(part))])
