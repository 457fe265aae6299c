"""The report as JSON, for programs; rules/schema/report.schema.json describes it.

Promises: strict JSON in ASCII (every other character escaped), no NaN, one connection a line, fields in a fixed order;
absent is null; times are ISO 8601 in UTC and, since many readers round large numbers, nanoseconds as decimal strings. A transaction has
the columns all have and those of its protocol.
Must not know: where the text goes.
"""

from __future__ import annotations

import json
from itertools import starmap
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from analyzer import __version__
from analyzer.model import FINDINGS, FLOWS, STEPS, TRANSACTIONS, Note, Report, Summary
from analyzer.report import tally
from analyzer.report.columns import CHUNK, is_time, iso_times, values
from analyzer.report.escaping import unicode
from analyzer.tables import Table

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd
    from numpy.typing import NDArray

    from analyzer.report import Layout
    from analyzer.tables import Column

SCHEMA_VERSION: Final = "1"

encode = json.JSONEncoder(allow_nan=False, check_circular=False).encode
"""Plain values to strict JSON in ASCII."""


def _note(note: Note) -> dict[str, Any]:
    return {"id": note.id, "text": unicode(note.text), "frame": note.frame}


def capture_row(capture: Summary) -> dict[str, Any]:
    """Return one capture as plain values."""
    return {
        "path": unicode(capture.path),
        "status": capture.status,
        "complete": capture.complete,
        "reason": unicode(capture.reason) or None,
        "packets": capture.packets,
        "segments": capture.segments,
        "engines": capture.engines,
        "notes": [_note(note) for note in capture.notes],
        "expectations": [_note(note) for note in capture.expectations],
    }


def _fragments(name: str, cells: list[Any]) -> list[str]:
    """Return `"name": value` for each cell; each distinct value is encoded once."""
    encoded = {cell: f'"{name}": {encode(_listed(cell) if isinstance(cell, tuple) else cell)}' for cell in set(cells)}
    return [encoded[cell] for cell in cells]


def _listed(cells: tuple[Any, ...]) -> list[Any]:
    return [unicode(cell) if isinstance(cell, str) else cell for cell in cells]


def _numbers(name: str, cells: list[Any]) -> list[str]:
    """Return `"name": value` for each number; Python writes finite numbers as JSON does."""
    return [f'"{name}": null' if cell is None else f'"{name}": {cell!r}' for cell in cells]


def _column(cells: pd.Series[Any], column: Column) -> Iterator[list[str]]:
    """Yield a column's fragments: text strict, a time as ISO text and then as decimal digits in a string."""
    found = values(cells, column)
    if is_time(column):
        yield _fragments(column.name.removesuffix("_ns"), iso_times(cells))
        yield [f'"{column.name}": null' if cell is None else f'"{column.name}": "{cell}"' for cell in found]
    elif column.dtype == "str":
        yield _fragments(column.name, [cell if cell is None or cell.isascii() else unicode(cell) for cell in found])
    elif column.dtype in {"bool", "object"}:
        yield _fragments(column.name, found)
    else:
        yield _numbers(column.name, found)


def _places(name: str, captures: list[int], frames: list[int]) -> list[str]:
    return [f'"{name}": {_place(capture, frame)}' for capture, frame in zip(captures, frames, strict=True)]


def _place(capture: int, frame: int) -> str:
    return f'{{"capture": {capture}, "frame": {frame}}}'


def _bodies(table: pd.DataFrame, shape: Table, leave_out: frozenset[str], *more: list[str]) -> list[str]:
    """Return each row as the inside of a JSON object: the columns in order, then the fragments in `more`."""
    columns = [part for column in shape.columns if column.name not in leave_out for part in _column(table[column.name], column)]
    return [", ".join(row) for row in zip(*columns, *more, strict=True)]


def _findings(table: pd.DataFrame) -> list[str]:
    cited = [f'"frames": [{", ".join(_place(capture, frame) for capture, frame in frames)}]' for frames in table["frames"].tolist()]
    return _bodies(table, FINDINGS, frozenset({"flow_id", "capture", "frames"}), cited)


def _steps(table: pd.DataFrame) -> list[str]:
    return _bodies(table, STEPS, frozenset({"flow_id"}))


def _flows(table: pd.DataFrame) -> list[str]:
    captures, first, last = (table[name].tolist() for name in ("capture", "first_frame", "last_frame"))
    return _bodies(
        table, FLOWS, frozenset({"first_frame", "last_frame"}), _places("first", captures, first), _places("last", captures, last)
    )


def _list(bodies: list[str]) -> str:
    return "[{" + "}, {".join(bodies) + "}]" if bodies else "[]"


class _Sorted:
    """A table of many rows a connection, in the connections' order, so that a run of connections is a run of rows."""

    __slots__ = ("bounds", "table")

    def __init__(self, report: Report, table: pd.DataFrame) -> None:
        positions = tally.flow_positions(report, table)
        order = np.argsort(positions, kind="stable")
        order = order[np.searchsorted(positions[order], 0) :]
        self.table = table.take(order)
        self.bounds: NDArray[np.intp] = np.searchsorted(positions[order], np.arange(len(report.flows) + 1))

    def rows(self, first: int, last: int) -> tuple[pd.DataFrame, list[int]]:
        """Return the rows of connections first to last, and where each connection's rows end among them."""
        start, stop = int(self.bounds[first]), int(self.bounds[last])
        return self.table.iloc[start:stop], (self.bounds[first : last + 1] - start).tolist()


def flow_lines(report: Report) -> Iterator[list[str]]:
    """Yield each connection as the inside of a JSON object, its steps and findings included, in lists of some thousands."""
    findings, steps = _Sorted(report, report.findings), _Sorted(report, report.steps)
    for first in range(0, len(report.flows), CHUNK):
        last = min(first + CHUNK, len(report.flows))
        found, found_at = findings.rows(first, last)
        stepped, stepped_at = steps.rows(first, last)
        finding_bodies, step_bodies = _findings(found), _steps(stepped)
        lines = []
        for number, body in enumerate(_flows(report.flows.iloc[first:last])):
            opening = _list(step_bodies[stepped_at[number] : stepped_at[number + 1]])
            ill = _list(finding_bodies[found_at[number] : found_at[number + 1]])
            lines.append(f'{body}, "opening": {opening}, "findings": {ill}')
        yield lines


def _lines(chunks: Iterator[list[str]]) -> Iterator[str]:
    for number, bodies in enumerate(chunks):
        yield (",\n" if number else "") + ",\n".join(f"{{{body}}}" for body in bodies)


def transaction_lines(report: Report, leave_out: frozenset[str] = frozenset()) -> Iterator[list[str]]:
    """Yield each transaction as the inside of a JSON object, in lists of some thousands: what all have, then what its protocol has."""
    common = set(TRANSACTIONS.names)
    shapes = {
        protocol: Table("transactions", tuple(column for column in report.transaction_columns.columns if column.name in common | set(own)))
        for protocol, own in report.spoken.items()
    }
    for first in range(0, len(report.transactions), CHUNK):
        part = report.transactions.iloc[first : first + CHUNK]
        spoken = part["protocol"].to_numpy(object)
        bodies = np.empty(len(part), object)
        for protocol in dict.fromkeys(spoken.tolist()):
            rows = np.flatnonzero(spoken == protocol)
            bodies[rows] = _bodies(part.take(rows), shapes.get(protocol, TRANSACTIONS), leave_out)
        yield bodies.tolist()


def head(report: Report) -> dict[str, Any]:
    """Return what stands before all else: versions, from which severity on a check fails, and whether secrets were let in."""
    return {"schema_version": SCHEMA_VERSION, "pcaplint": __version__, "fail_on": report.fail_on, "secrets": report.secrets}


def render(report: Report, layout: Layout) -> Iterator[str]:  # noqa: ARG001 - every format takes the same arguments
    """Return the report as one JSON object, in pieces."""
    yield "{\n" + "".join(starmap(lambda name, value: f'"{name}": {encode(value)},\n', head(report).items()))
    yield '"captures": [\n' + ",\n".join(encode(capture_row(capture)) for capture in report.captures) + '\n],\n"flows": [\n'
    yield from _lines(flow_lines(report))
    yield '\n],\n"transactions": [\n'
    yield from _lines(transaction_lines(report))
    yield '\n],\n"summary": ' + encode(tally.summarise(report)) + "\n}\n"
