"""The report as JSON, for programs; rules/schema/report.schema.json describes it.

Strict JSON in ASCII (every other character escaped), no NaN, one connection per line, fields in a fixed order, null for absent values.
Times are ISO 8601 in UTC and, since many readers round large numbers, nanoseconds as decimal strings. A transaction has the common columns
and those of its protocol.
"""

from __future__ import annotations

import json
from itertools import pairwise, starmap
from json.encoder import encode_basestring_ascii
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from analyzer import __version__
from analyzer.model import FINDINGS, FLOWS, STEPS, TRANSACTIONS, CaptureSummary, Note, Report
from analyzer.report import summary, templates
from analyzer.report.columns import CHUNK, EMPTY_IS_A_VALUE, is_time
from analyzer.report.escaping import unicode
from analyzer.report.templates import Field
from analyzer.schema import Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from analyzer.report import Layout
    from analyzer.schema import Column

SCHEMA_VERSION: Final = "1"

encode = json.JSONEncoder(allow_nan=False, check_circular=False).encode
"""Encodes plain values as strict JSON in ASCII."""


def _note(note: Note) -> dict[str, Any]:
    return {"id": note.id, "text": unicode(note.text), "frame": note.frame}


def capture_row(capture: CaptureSummary) -> dict[str, Any]:
    """Return one capture as a JSON object."""
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


def _texts(texts: Sequence[str]) -> list[str]:
    """Return texts as strict JSON."""
    return list(map(encode_basestring_ascii, texts if "".join(texts).isascii() else map(unicode, texts)))


def _texts_or_null(texts: Sequence[str]) -> list[str]:
    """Return texts as strict JSON, empty ones as null."""
    return [encoded if text else "null" for text, encoded in zip(texts, _texts(texts), strict=True)]


def _arrays(lists: Sequence[tuple[Any, ...]]) -> list[str]:
    """Return lists as JSON arrays."""
    return [encode([unicode(item) if isinstance(item, str) else item for item in items]) for items in lists]


def _column(column_values: pd.Series[Any], column: Column) -> Iterator[Field]:
    """Yield a column as members of a JSON object; a time as ISO text and as decimal digits in a string."""
    name = f'"{column.name}": '
    if is_time(column):
        yield templates.times(column_values, "null", '"').between(f'"{column.name.removesuffix("_ns")}": ')
        yield templates.numbers(column_values, column, "null", '"').between(name)
    elif column.dtype == "str":
        yield templates.texts(column_values.tolist(), _texts if column.name in EMPTY_IS_A_VALUE else _texts_or_null).between(name)
    elif column.dtype == "object":
        yield templates.texts(column_values.tolist(), _arrays).between(name)
    elif column.dtype == "bool":
        yield templates.booleans(column_values).between(name)
    else:
        yield templates.numbers(column_values, column, "null").between(name)


def _frame_object(capture: int, frame: int) -> str:
    return f'{{"capture": {capture}, "frame": {frame}}}'


def _bodies(table: pd.DataFrame, shape: Table, leave_out: frozenset[str], *more: Field) -> list[str]:
    """Return the members of one JSON object per row: the columns in order, then the fields in `more`."""
    kept = [column for column in shape.columns if column.name not in leave_out]
    return templates.fill([*(field for column in kept for field in _column(table[column.name], column)), *more], ", ", len(table))


def _findings(table: pd.DataFrame) -> list[str]:
    cited = [", ".join([_frame_object(capture, frame) for capture, frame in frames]) for frames in table["frames"].tolist()]
    return _bodies(table, FINDINGS, frozenset({"flow_id", "capture", "frames"}), Field('"frames": [%s]', (cited,)))


def _steps(table: pd.DataFrame) -> list[str]:
    return _bodies(table, STEPS, frozenset({"flow_id"}))


def _flows(table: pd.DataFrame, opening: list[str], findings: list[str]) -> list[str]:
    captures, first, last = (table[name].tolist() for name in ("capture", "first_frame", "last_frame"))
    more = (
        Field('"first": {"capture": %d, "frame": %d}', (captures, first)),
        Field('"last": {"capture": %d, "frame": %d}', (captures, last)),
        Field('"opening": %s', (opening,)),
        Field('"findings": %s', (findings,)),
    )
    return _bodies(table, FLOWS, frozenset({"first_frame", "last_frame"}), *more)


def _lists(bodies: list[str], bounds: list[int]) -> list[str]:
    """Return one JSON array of objects for the bodies between each two bounds."""
    return [_list(bodies[begin:end]) if begin < end else "[]" for begin, end in pairwise(bounds)]


def _list(bodies: list[str]) -> str:
    return "[{" + "}, {".join(bodies) + "}]"


class _Sorted:
    """A table with many rows per connection, sorted by connection, so that consecutive connections are consecutive rows."""

    __slots__ = ("bounds", "table")

    def __init__(self, report: Report, table: pd.DataFrame) -> None:
        positions = summary.flow_positions(report, table)
        order = np.argsort(positions, kind="stable")
        order = order[np.searchsorted(positions[order], 0) :]
        self.table = table.take(order)
        self.bounds: NDArray[np.intp] = np.searchsorted(positions[order], np.arange(len(report.flows) + 1))

    def rows(self, first: int, last: int) -> tuple[pd.DataFrame, list[int]]:
        """Return the rows of connections first to last, and where each connection's rows end among them."""
        start, stop = int(self.bounds[first]), int(self.bounds[last])
        return self.table.iloc[start:stop], (self.bounds[first : last + 1] - start).tolist()


def flow_lines(report: Report) -> Iterator[list[str]]:
    """Yield the members of one JSON object per connection, with its steps and findings, in lists of up to `CHUNK`."""
    findings, steps = _Sorted(report, report.findings), _Sorted(report, report.steps)
    for first in range(0, len(report.flows), CHUNK):
        last = min(first + CHUNK, len(report.flows))
        found, found_at = findings.rows(first, last)
        stepped, stepped_at = steps.rows(first, last)
        opening, findings_text = _lists(_steps(stepped), stepped_at), _lists(_findings(found), found_at)
        yield _flows(report.flows.iloc[first:last], opening, findings_text)


def _lines(chunks: Iterator[list[str]]) -> Iterator[str]:
    for number, bodies in enumerate(chunks):
        yield (",\n" if number else "") + ",\n".join(f"{{{body}}}" for body in bodies)


def transaction_lines(report: Report, leave_out: frozenset[str] = frozenset()) -> Iterator[list[str]]:
    """Yield the members of one JSON object per transaction, the common columns and those of its protocol, in lists of up to `CHUNK`."""
    common = set(TRANSACTIONS.names)
    shapes = {
        protocol: Table("transactions", tuple(column for column in report.transaction_columns.columns if column.name in common | set(own)))
        for protocol, own in report.protocol_columns.items()
    }
    for first in range(0, len(report.transactions), CHUNK):
        part = report.transactions.iloc[first : first + CHUNK]
        protocols = part["protocol"].to_numpy(object)
        bodies = np.empty(len(part), object)
        for protocol in dict.fromkeys(protocols.tolist()):
            at = np.flatnonzero(protocols == protocol)
            bodies[at] = _bodies(part.take(at), shapes.get(protocol, TRANSACTIONS), leave_out)
        yield bodies.tolist()


def head(report: Report) -> dict[str, Any]:
    """Return the first members of a report: versions, the lowest severity that fails a check, and whether secrets are shown."""
    return {"schema_version": SCHEMA_VERSION, "pcaplint": __version__, "fail_on": report.fail_on, "secrets": report.secrets}


def render(report: Report, layout: Layout) -> Iterator[str]:  # noqa: ARG001 - every format takes the same arguments
    """Yield the report as one JSON object, in chunks."""
    yield "{\n" + "".join(starmap(lambda name, value: f'"{name}": {encode(value)},\n', head(report).items()))
    yield '"captures": [\n' + ",\n".join(encode(capture_row(capture)) for capture in report.captures) + '\n],\n"flows": [\n'
    yield from _lines(flow_lines(report))
    yield '\n],\n"transactions": [\n'
    yield from _lines(transaction_lines(report))
    yield '\n],\n"summary": ' + encode(summary.summarise(report)) + "\n}\n"
