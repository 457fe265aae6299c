"""The report as JSON lines, for programs that read one object at a time; report.schema.json describes a line under `$defs/line`.

One object per line, as in JSON, each with its `kind`: report, capture, flow, transaction, and a summary at the end; a file without
it was truncated. The `kind` of a transaction in JSON (message, command, request) is its `transaction` here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from analyzer.report import summary
from analyzer.report.json import capture_row, encode, flow_lines, head, transaction_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from analyzer.model import Report
    from analyzer.report import Layout


def _line(kind: str, row: dict[str, Any]) -> str:
    return encode({"kind": kind, **row}) + "\n"


def _kinds(report: Report) -> Iterator[str]:
    return map(encode, report.transactions["kind"].tolist()) if len(report.transactions) else iter(())


def render(report: Report, layout: Layout) -> Iterator[str]:  # noqa: ARG001 - every format takes the same arguments
    """Yield the report as one JSON object per line, in chunks."""
    yield _line("report", head(report))
    yield "".join(_line("capture", {"index": index, **capture_row(capture)}) for index, capture in enumerate(report.captures))
    for bodies in flow_lines(report):
        yield "".join(f'{{"kind": "flow", {body}}}\n' for body in bodies)
    kinds = _kinds(report)
    for bodies in transaction_lines(report, frozenset({"kind"})):
        yield "".join(f'{{"kind": "transaction", "transaction": {next(kinds)}, {body}}}\n' for body in bodies)
    yield _line("summary", summary.summarise(report))
