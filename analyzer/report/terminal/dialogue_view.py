"""The dialogue of one connection below its ladder: one line per request, its response on the next, both after their frame and time.

In the order of the dialogue; a bounded number of requests; a finding is printed below the request it is about; an announced connection is
named with its verdict. Further columns and their labels are declared with each protocol (`model.DetailColumn`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from analyzer.report import formatting
from analyzer.report.escaping import printable
from analyzer.report.terminal.finding_line import add_finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from analyzer.model import DetailColumn, Report
    from analyzer.report.terminal.text import Page

MAX_REQUESTS: Final = 60
"""Maximum requests printed."""
_FRAME: Final = 8
_TIME: Final = 10
_INDENT: Final = _FRAME + _TIME + 2
"""Columns before C: and S:."""
_LINK: Final = "_flow_id"
"""Suffix of columns that hold the id of another connection."""
_SIZES: Final = frozenset({"bytes", "octets"})
_STYLE_OF_CODE: Final = {4: "yellow", 5: "red"}
"""By first digit of the code: 4 and 5 are refusals in all three protocols."""
_STYLE_OF_OUTCOME: Final = {"opened": "green", "not-opened": "yellow", "broken": "red"}

Record = dict[str, Any]


def has_dialogue(flow: Record) -> bool:
    """Return whether a connection has a dialogue to print."""
    return bool(flow["dialogue"] or flow["transactions"])


def draw(page: Page, report: Report, flow: Record, findings: Sequence[Record]) -> None:
    """Print the dialogue of the connection `flow` and the `findings` about it."""
    if not has_dialogue(flow):
        return
    rows = _rows(report, flow["flow_id"])
    at: dict[int, list[Record]] = {}
    for finding in findings:
        at.setdefault(_place(finding, rows), []).append(finding)
    page.add(("Dialogue", "bold"), *((": ", printable(flow["dialogue"])) if flow["dialogue"] else ()), indent=10, wrap=True)
    _add_findings(page, at.pop(-1, []))
    _exchanges(page, report, rows, at, flow["start_time_ns"])
    hidden = flow["transactions"] - min(len(rows), MAX_REQUESTS)
    if hidden > 0:
        page.add((f"… {hidden:,} more not printed: report.json and transactions.csv have them", "dim"), indent=2, wrap=True)
    for place in sorted(at):
        _add_findings(page, at[place])
    if flow["tls_frame"] >= 0:
        page.add(f"#{flow['tls_frame']}".ljust(_INDENT), (f"TLS begins ({flow['encrypted_by']})", "dim"))
    page.add("")


def _add_findings(page: Page, findings: Sequence[Record]) -> None:
    for finding in findings:
        add_finding(page, finding)


def _exchanges(page: Page, report: Report, rows: Sequence[Record], at: dict[int, list[Record]], start: int) -> None:
    """Print the first requests with their findings, which are removed from `at`."""
    details = [_details(report, row) for row in rows[: MAX_REQUESTS + 1]]
    for number, row in enumerate(rows[:MAX_REQUESTS]):
        _exchange(page, row, start)
        # Details that consecutive requests share (PASV and RETR, say) are printed below the last of them.
        if number + 1 == len(details) or details[number] != details[number + 1]:
            _add_details(page, details[number])
        _add_findings(page, at.pop(number, []))


def announced(report: Report, flow_id: str) -> Iterator[str]:
    """Yield the requests of other connections that announced the connection `flow_id`."""
    table = report.transactions
    for name in (name for name in table.columns if name.endswith(_LINK)):
        found = table[table[name] == flow_id]
        for frame, request in zip(found["first_frame"].tolist(), found["request"].tolist(), strict=True):
            yield f"{request} in frame {frame}"


def _rows(report: Report, flow_id: str) -> list[Record]:
    own = report.transactions[report.transactions["flow_id"] == flow_id] if len(report.transactions) else report.transactions
    return [{str(key): value for key, value in row.items()} for row in own.to_dict("records")]


def _place(finding: Record, rows: Sequence[Record]) -> int:
    """Return the request below which a finding is printed, -1 for above all: one that begins or ends in a cited frame, or contains it."""
    cited = {frame for _, frame in finding["frames"]}
    places = [
        [number for number, row in enumerate(rows) if row["first_frame"] in cited],
        [number for number, row in enumerate(rows) if row["last_frame"] in cited],
        [number for number, row in enumerate(rows) if any(row["first_frame"] <= frame <= row["last_frame"] for frame in cited)],
        [number for number, row in enumerate(rows) if row["first_frame"] <= max(cited, default=-1)],
    ]
    return next((max(found) for found in places if found), -1)


def _exchange(page: Page, row: Record, start: int) -> None:
    """Print a request and its reply."""
    frame = f"#{row['first_frame']}".ljust(_FRAME)
    time = formatting.elapsed(row["time_ns"], start).rjust(_TIME) + "  "
    if row["request"]:
        page.add(frame, (time, "dim"), ("C: ", "dim"), printable(row["request"]), indent=_INDENT + 3, wrap=True)
        frame = f"#{row['last_frame']}".ljust(_FRAME)
        later = formatting.milliseconds(row["latency_ms"])
        time = (f"+{later}" if later else "").rjust(_TIME) + "  "
    if row["code"] < 0 and not row["reply"]:
        page.add(" " * _INDENT, ("S: no reply was captured", "dim"))
        return
    reply = row["reply"] if row["code"] < 0 or row["reply"].startswith(str(row["code"])) else f"{row['code']} {row['reply']}"
    style = _STYLE_OF_CODE.get(row["code"] // 100, "green")
    code, blank, text = printable(reply).partition(" ")
    whole = "" if row["complete"] else "  (not captured whole)"
    page.add(frame, (time, "dim"), ("S: ", "dim"), (code, style), blank + text, (whole, "dim"), indent=_INDENT + 3, wrap=True)


def _details(report: Report, row: Record) -> list[tuple[str, str]]:
    """Return what is printed below a request, as (text, style)."""
    units = {column.name: column.unit for column in report.transaction_columns.columns}
    found = []
    for detail in report.details.get(row["protocol"], ()):
        value = row[detail.name]
        # Absent values, and sizes of 0, are not printed.
        if value in ("", (), -1, 0) or value != value:  # noqa: PLR0124 - NaN
            continue
        if detail.name.endswith(_LINK):
            found.append(_link(report, detail, value))
        else:
            found.append((f"{detail.label} {printable(_value(row, detail, units[detail.name]))}", "dim"))
    if row["inside"]:
        found.append((f"through the tunnel to {printable(' > '.join(row['inside']))}", "dim"))
    return found


def _value(row: Record, detail: DetailColumn, unit: str) -> str:
    value = row[detail.name]
    if isinstance(value, tuple):
        paired = row[detail.paired_column] if detail.paired_column else ()
        words = [
            f"{item} {paired[place]}" if place < len(paired) and paired[place] != -1 else str(item) for place, item in enumerate(value)
        ]
        return ", ".join(words)
    return formatting.size(value) if unit in _SIZES else str(value)


def _link(report: Report, detail: DetailColumn, flow_id: str) -> tuple[str, str]:
    """Return verdict and size of the announced connection `flow_id`."""
    found = report.flows[report.flows["flow_id"] == flow_id]
    if not len(found):
        return f"{detail.label} {printable(flow_id)}", "dim"
    verdict, outcome, client, server, worst = (
        found[name].iloc[0] for name in ("verdict", "outcome", "client_bytes", "server_bytes", "worst")
    )
    size = f", {formatting.size(int(client + server))}" if outcome == "opened" else ""
    return f"{detail.label} {flow_id}: {verdict}{size}" + (f", {worst}" if worst else ""), _STYLE_OF_OUTCOME.get(outcome, "dim")


def _add_details(page: Page, details: Sequence[tuple[str, str]]) -> None:
    if details:
        parts = [part for text, style in details for part in (("; ", "dim"), (text, style))][1:]
        page.add(" " * (_INDENT + 3), *parts, indent=_INDENT + 3, wrap=True)
