"""The dialogue of one connection below its ladder: one line per request, its response on the next, both after their frame and time.

In the order of the dialogue; a bounded number of lines; a finding stands below the request it is about; a connection that was announced is
named, with its own verdict. Further columns and their labels are declared with each protocol (`model.DetailColumn`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from analyzer.report import formatting
from analyzer.report.escaping import printable
from analyzer.report.terminal.finding_line import tell

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from analyzer.model import DetailColumn, Report
    from analyzer.report.terminal.text import Page

SHOWN: Final = 60
"""Requests printed at most."""
_FRAME: Final = 8
_TIME: Final = 10
_INDENT: Final = _FRAME + _TIME + 2
"""Columns before C: and S:."""
_LINK: Final = "_flow_id"
"""How the names of columns end that hold another connection's id."""
_SIZES: Final = frozenset({"bytes", "octets"})
_STYLE_OF_CODE: Final = {4: "yellow", 5: "red"}
"""By hundreds: in all three protocols these are the replies that refuse."""
_STYLE_OF_OUTCOME: Final = {"opened": "green", "not-opened": "yellow", "broken": "red"}

Record = dict[str, Any]


def is_told(flow: Record) -> bool:
    """Tell whether a connection has something to draw here."""
    return bool(flow["dialogue"] or flow["transactions"])


def draw(page: Page, report: Report, flow: Record, findings: Sequence[Record]) -> None:
    """Print what was said over the connection `flow`, and the `findings` about it."""
    if not is_told(flow):
        return
    rows = _rows(report, flow["flow_id"])
    at: dict[int, list[Record]] = {}
    for finding in findings:
        at.setdefault(_place(finding, rows), []).append(finding)
    page.add(("Dialogue", "bold"), *((": ", printable(flow["dialogue"])) if flow["dialogue"] else ()), indent=10, wrap=True)
    _tell(page, at.pop(-1, []))
    _exchanges(page, report, rows, at, flow["start_time_ns"])
    hidden = flow["transactions"] - min(len(rows), SHOWN)
    if hidden > 0:
        page.add((f"… {hidden:,} more not printed: report.json and transactions.csv have them", "dim"), indent=2, wrap=True)
    for place in sorted(at):
        _tell(page, at[place])
    if flow["tls_frame"] >= 0:
        page.add(f"#{flow['tls_frame']}".ljust(_INDENT), (f"TLS begins ({flow['encrypted_by']})", "dim"))
    page.add("")


def _tell(page: Page, findings: Sequence[Record]) -> None:
    for finding in findings:
        tell(page, finding)


def _exchanges(page: Page, report: Report, rows: Sequence[Record], at: dict[int, list[Record]], start: int) -> None:
    """Print the first requests, and take what is found about them out of `at`."""
    details = [_details(report, row) for row in rows[: SHOWN + 1]]
    for number, row in enumerate(rows[:SHOWN]):
        _exchange(page, row, start)
        # What two requests have in common, as what sets up a transfer and the transfer, stands below the last of them.
        if number + 1 == len(details) or details[number] != details[number + 1]:
            _add_details(page, details[number])
        _tell(page, at.pop(number, []))


def announced(report: Report, flow_id: str) -> Iterator[str]:
    """Yield which requests of other connections are about the connection `flow_id`."""
    table = report.transactions
    for name in (name for name in table.columns if name.endswith(_LINK)):
        found = table[table[name] == flow_id]
        for frame, request in zip(found["first_frame"].tolist(), found["request"].tolist(), strict=True):
            yield f"{request} in frame {frame}"


def _rows(report: Report, flow_id: str) -> list[Record]:
    own = report.transactions[report.transactions["flow_id"] == flow_id] if len(report.transactions) else report.transactions
    return [{str(key): value for key, value in row.items()} for row in own.to_dict("records")]


def _place(finding: Record, rows: Sequence[Record]) -> int:
    """Return the request below which a finding stands, -1 for before all: one that begins or ends where it cites, one around it."""
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
        # Absent is never 0, and of no content there is nothing to say.
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
        beside = row[detail.paired_column] if detail.paired_column else ()
        words = [
            f"{item} {beside[place]}" if place < len(beside) and beside[place] != -1 else str(item) for place, item in enumerate(value)
        ]
        return ", ".join(words)
    return formatting.size(value) if unit in _SIZES else str(value)


def _link(report: Report, detail: DetailColumn, flow_id: str) -> tuple[str, str]:
    """Return how the connection `flow_id` went."""
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
