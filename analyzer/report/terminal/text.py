"""The report for a terminal: one line per connection, its dialogue and findings below it, a summary line at the end.

Lines fit the width wherever they can be broken between words; text from a capture cannot control the terminal or become markup; the text
is the same with and without colour; a large run prints a bounded number of connections and the number of the others.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from shlex import quote as shell_quote
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from rich.console import Console
from rich.text import Text

from analyzer.report import formatting, summary
from analyzer.report.escaping import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from analyzer.model import CaptureSummary, Report
    from analyzer.report import Layout

_STYLE_OF_STATUS: Final = ("green", "bold red", "yellow", "dim", "cyan")
_STYLE_OF_SEVERITY: Final = {"error": "red", "warning": "yellow", "note": "cyan"}
_CAPTURE_STATUS_TEXTS: Final = {"unreadable": "cannot be read", "incomplete": "not read to its end", "nothing-checked": "nothing to check"}
MAX_HISTORY_LETTERS: Final = 8
"""Maximum letters of the opening in the table."""

_REQUIRED: Final = ("id", "client", "server", "verdict")
_WANTED: Final = ("opening", "rtt", "service", "segments", "bytes")
"""Optional columns, shown in this order as long as the width allows."""
_ORDER: Final = ("id", "client", "server", "service", "verdict", "opening", "rtt", "duration", "segments", "bytes", "file")
_RIGHT: Final = frozenset({"rtt", "duration", "segments", "bytes"})
_GAP: Final = 2
_IPV4: Final = len("255.255.255.255:65535")


@dataclass(frozen=True, slots=True)
class ListedRow:
    """One connection as it is printed: its status, and texts by column name."""

    capture: int
    status: int
    texts: dict[str, str]
    dialogue: str = ""
    """Service and summary of its dialogue, in one line."""
    findings: list[dict[str, Any]] = field(default_factory=list)


class Page:
    """A buffer of lines that applies width and colour."""

    __slots__ = ("_buffer", "_color", "_console", "width")

    def __init__(self, layout: Layout) -> None:
        """Start an empty page."""
        self._buffer, self._color = io.StringIO(), layout.color
        self.width = max(layout.width, 40)
        self._console = Console(
            file=self._buffer,
            width=self.width,
            force_terminal=layout.color,
            color_system="standard" if layout.color else None,
            legacy_windows=False,
            markup=False,
            emoji=False,
            highlight=False,
            _environ={},
        )

    def add(self, *parts: str | Text | tuple[str, str], indent: int = 0, wrap: bool = False) -> None:
        """Add one line made of plain, styled or (text, style) parts; if `wrap`, it continues on lines indented by `indent`."""
        text = Text.assemble(*parts)
        if not wrap or text.cell_len <= self.width:
            self._write(text)
            return
        first = text.wrap(self._console, self.width)[0]
        rest = text.plain[len(first.plain) :]
        self._write(first)
        for line in text[len(text.plain) - len(rest.lstrip()) :].wrap(self._console, self.width - indent) if rest.strip() else ():
            self._write(Text(" " * indent).append_text(line))

    def _write(self, line: Text) -> None:
        line.rstrip()
        if self._color:
            self._console.print(line, soft_wrap=True)
        else:
            self._buffer.write(line.plain + "\n")

    def take(self) -> str:
        """Return the text added since the last call."""
        text = self._buffer.getvalue()
        self._buffer.seek(0)
        self._buffer.truncate()
        return text


def _choose(report: Report, statuses: NDArray[np.int8], layout: Layout) -> tuple[NDArray[np.intp], int]:
    """Return the positions of the connections to print, in order, and the number of those left out."""
    plain = (statuses == summary.OK) & (report.flows["worst"].to_numpy() == "")
    candidates = np.flatnonzero(~plain) if layout.quiet else np.arange(len(statuses))
    if layout.limit is None or len(candidates) <= layout.limit:
        return candidates, 0
    wanted = np.array([3, 0, 1, 2, 2])[statuses[candidates]] + plain[candidates]
    kept = np.argsort(wanted, kind="stable")[: layout.limit]
    return candidates[np.sort(kept)], len(candidates) - layout.limit


def _histories(report: Report, chosen: set[str]) -> dict[str, str]:
    steps = report.steps[report.steps["flow_id"].isin(chosen)]
    histories: dict[str, str] = {}
    names = ("flow_id", "flags", "by", "length")
    for flow_id, letters, by, length in zip(*(steps[name].tolist() for name in names), strict=True):
        histories[flow_id] = histories.get(flow_id, "") + formatting.history_letter(letters, by, length)
    return {
        flow_id: text if len(text) <= MAX_HISTORY_LETTERS else text[: MAX_HISTORY_LETTERS - 1] + "…" for flow_id, text in histories.items()
    }


def _findings(report: Report, chosen: set[str]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for row in report.findings[report.findings["flow_id"].isin(chosen)].to_dict("records"):
        found.setdefault(row["flow_id"], []).append({str(key): value for key, value in row.items()})
    return found


def _verdict(flow: dict[str, Any], status: int) -> str:
    if status == summary.EXPECTED and flow["excused"] and flow["outcome"] != "opened":
        return f"{flow['verdict']}, expected"
    return f"{flow['verdict']}, inconclusive" if flow["inconclusive"] else str(flow["verdict"])


def _row_texts(flow: dict[str, Any], status: int, history: str, path: str) -> dict[str, str]:
    return {
        "id": flow["flow_id"],
        "client": formatting.endpoint(flow["client_ip"], flow["client_port"]),
        "server": formatting.endpoint(flow["server_ip"], flow["server_port"]),
        "service": printable(flow["service"] or flow["service_by_port"]),
        "verdict": _verdict(flow, status),
        "opening": history,
        "rtt": formatting.milliseconds(flow["rtt_ms"]),
        "duration": formatting.milliseconds(flow["duration_ms"]),
        "segments": f"{flow['client_segments']:,}/{flow['server_segments']:,}",
        "bytes": f"{formatting.size(flow['client_bytes'])}/{formatting.size(flow['server_bytes'])}",
        "file": printable(path),
    }


def read_rows(report: Report, chosen: NDArray[np.intp], statuses: NDArray[np.int8]) -> list[ListedRow]:
    """Return the connections at the positions `chosen` as printed rows."""
    flows = report.flows.take(chosen)
    ids = set(flows["flow_id"].tolist())
    histories, findings = _histories(report, ids), _findings(report, ids)
    rows: list[ListedRow] = []
    for flow, status in zip(flows.to_dict("records"), statuses[chosen].tolist(), strict=True):
        flow_id = flow["flow_id"]
        capture = int(flow["capture"])
        named = {str(key): value for key, value in flow.items()}
        texts = _row_texts(named, status, histories.get(flow_id, ""), report.captures[capture].path)
        rows.append(ListedRow(capture, status, texts, printable(formatting.dialogue_line(named)), findings.get(flow_id, [])))
    return rows


def measure(rows: Sequence[ListedRow], width: int, wanted: Sequence[str] = _WANTED) -> dict[str, int]:
    """Return the width of each column to print: the required ones, and as many of `wanted` as fit, in that order.

    If long IPv6 endpoints leave no room, the endpoint columns get the width of IPv4 endpoints and such rows take two lines.
    """
    widths = {name: max(len(name), *(len(row.texts[name]) for row in rows)) for name in _ORDER}
    chosen = set(_REQUIRED)
    if sum(widths[name] + _GAP for name in _REQUIRED) + 2 > width:
        widths |= {name: min(widths[name], _IPV4) for name in ("client", "server")}
    room = width - 2 - sum(widths[name] + _GAP for name in _REQUIRED)
    for name in wanted:
        if any(row.texts[name] for row in rows) and widths[name] + _GAP <= room:
            chosen.add(name)
            room -= widths[name] + _GAP
    return {name: widths[name] for name in _ORDER if name in chosen}


def _cell(name: str, text: str, width: int) -> str:
    return text.rjust(width) if name in _RIGHT else text.ljust(width)


def add_stamp(page: Page, report: Report) -> None:
    """Print a warning first if the report shows secrets."""
    if report.secrets:
        page.add((formatting.SECRETS_SHOWN, "bold red"), wrap=True)


def add_heading(page: Page, widths: dict[str, int]) -> None:
    """Print the names of the columns."""
    line = " "
    for name, width in widths.items():
        line += _cell(name, name, width) + ("   " if name == "client" else "  ")
    page.add((line.rstrip(), "dim"))


def add_row(page: Page, row: ListedRow, widths: dict[str, int]) -> None:
    """Print one connection; where its endpoints are too long for their columns, the server starts a second line."""
    style = _STYLE_OF_STATUS[row.status]
    folded = any(len(row.texts[name]) > widths[name] for name in ("client", "server"))
    line = Text(" ")
    for name, width in widths.items():
        text = _cell(name, row.texts[name], width)
        if name == "client":
            text += "\n" + " " * (widths["id"] + 3) if folded else " "
        elif name == "server":
            text = "→ " + text.ljust(widths["client"] + 1 + width if folded else width)
        line.append(text, style if name == "verdict" else "")
        line.append("" if name == "client" else " " * _GAP)
    page.add(line)


def _add_dialogue(page: Page, row: ListedRow) -> None:
    """Print the dialogue line of a connection, cut to the width."""
    if row.dialogue:
        line = Text(" " * 6 + row.dialogue, "dim")
        line.truncate(page.width, overflow="ellipsis")
        page.add(line)


def _finding(page: Page, finding: dict[str, Any]) -> None:
    expected = " (expected)" if finding["excused"] else ""
    style = "dim" if finding["excused"] else _STYLE_OF_SEVERITY.get(finding["severity"], "")
    cited = formatting.frames(finding["frames"])
    page.add(
        "      ",
        (f"{finding['severity']}{expected}", style),
        " ",
        (printable(finding["id"]), "dim" if finding["excused"] else "bold"),
        ": " + printable(finding["message"]) + (f" [{cited}]" if cited else ""),
        indent=10,
        wrap=True,
    )


def _capture(page: Page, capture: CaptureSummary, connections: int, *, quiet: bool) -> None:
    path = (printable(capture.path), "bold")
    if capture.status == "unreadable":
        page.add(path, ": ", (_CAPTURE_STATUS_TEXTS["unreadable"], "bold red"))
        page.add(f"  {printable(capture.reason)}", indent=4, wrap=True)
    else:
        page.add(path, f": {formatting.count(connections, 'connection')} in {formatting.count(capture.packets, 'packet')}")
    if capture.status in {"incomplete", "nothing-checked"}:
        reason = f": {printable(capture.reason)}" if capture.reason else ""
        page.add("  ", (_CAPTURE_STATUS_TEXTS[capture.status], "bold red"), reason, indent=4, wrap=True)
    for note in capture.expectations:
        page.add("  ", (formatting.expectation(note), "bold red"), f": {printable(note.text)}", indent=4, wrap=True)
    for note in () if quiet else capture.notes:
        where = f" [frame {note.frame}]" if note.frame is not None else ""
        page.add("  ", ("note", "cyan"), f" {printable(note.id)}: {printable(note.text)}{where}", indent=4, wrap=True)


def _needs_heading(capture: CaptureSummary, *, quiet: bool) -> bool:
    """Return whether a capture has a status, expectations or notes to print."""
    return capture.status not in {"clean", "findings"} or bool(capture.expectations) or (bool(capture.notes) and not quiet)


def _hint(report: Report, statuses: NDArray[np.int8]) -> str:
    """Return the command that explains the first failed connection; ids count from f1 within its own file."""
    failed = np.flatnonzero(statuses == summary.FAILED)
    if not len(failed):
        return ""
    captures = report.flows["capture"].to_numpy()
    first = int(failed[0])
    number = 1 + int((captures[:first] == captures[first]).sum())
    return f"Why?  pcaplint show {quote(report.captures[int(captures[first])].path)} f{number}"


def quote(path: str) -> str:
    """Return a path quoted for a shell, safe to print."""
    return shell_quote(path) if path.isprintable() else printable(repr(path))


def render(report: Report, layout: Layout) -> Iterator[str]:
    """Yield the report as lines for a terminal of `layout.width` columns, one capture at a time."""
    page, statuses = Page(layout), summary.classify(report)
    chosen, hidden = _choose(report, statuses, layout)
    rows = read_rows(report, chosen, statuses)
    widths = measure(rows, page.width) if rows else {}
    connections = np.bincount(report.flows["capture"].to_numpy(), minlength=len(report.captures)).tolist()
    of_capture: dict[int, list[ListedRow]] = {}
    for row in rows:
        of_capture.setdefault(row.capture, []).append(row)
    add_stamp(page, report)
    if rows:
        add_heading(page, widths)
    for index, capture in enumerate(report.captures):
        own = of_capture.get(index, [])
        if own or _needs_heading(capture, quiet=layout.quiet) or (not layout.quiet and not hidden):
            _capture(page, capture, connections[index], quiet=layout.quiet)
        for row in own:
            add_row(page, row, widths)
            _add_dialogue(page, row)
            for finding in row.findings:
                _finding(page, finding)
        yield page.take()
    if hidden:
        page.add(
            f"… {formatting.count(hidden, 'more connection')} not shown: --all prints all; --format json or csv writes all",
            indent=2,
            wrap=True,
        )
    if not layout.quiet:
        page.add((summary.sentence(report), "bold"), wrap=True)
        hint = _hint(report, statuses)
        if hint:
            page.add(hint)
    yield page.take()
