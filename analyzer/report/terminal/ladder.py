"""One connection as a ladder diagram: every opening segment an arrow between the two endpoints, its outcome, and the dialogue.

Each segment has its frame, time, numbers and the states of both endpoints after it, as their own segments prove them and, in parentheses
where it differs, as the textbook draws them; a finding is printed below the segment that proves it.
"""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import wrap
from typing import TYPE_CHECKING, Any, Final, Protocol

from analyzer.errors import UsageError
from analyzer.report import formatting
from analyzer.report.escaping import printable
from analyzer.report.terminal import dialogue_view
from analyzer.report.terminal.finding_line import add_finding
from analyzer.report.terminal.text import Page, add_stamp
from analyzer.schema import NO_TIME

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pandas as pd

    from analyzer.model import Report
    from analyzer.report import Layout

_GUTTER: Final = 13
"""Columns of frame number and time."""
_STATE: Final = 15
"""Columns of an endpoint's state, parentheses and gap included."""
_MIN_BETWEEN: Final = 34
"""Minimum columns between the lifelines, so that every number fits."""
MAX_SEGMENTS: Final = 60
"""Maximum segments drawn."""
_LEGEND: Final = "States: as each side's own segments prove them (and as the textbook draws them, where that differs)."


class FindingText(Protocol):
    """Title and explanation of a finding."""

    @property
    def title(self) -> str:
        """What is wrong, in one line."""

    @property
    def why(self) -> str:
        """Why it matters."""

    @property
    def causes(self) -> tuple[str, ...]:
        """What usually causes it."""

    @property
    def next(self) -> tuple[str, ...]:
        """What to check next."""


@dataclass(frozen=True, slots=True)
class Explanations:
    """Texts of the rules about verdicts and findings."""

    verdicts: Mapping[str, str]
    """Meaning of each verdict."""
    findings: Mapping[str, FindingText]
    dialogue_findings: frozenset[str] = frozenset()
    """Ids of the findings that are about a dialogue."""


Record = dict[str, Any]


def _records(table: pd.DataFrame) -> list[Record]:
    return [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]


def pick(report: Report, flow: str) -> Record:
    """Return the connection called `flow` (`f3` or `3`) as a record; raises `UsageError` when there is none."""
    flow_id = f"f{flow}" if flow.isdecimal() else flow
    found = report.flows[report.flows["flow_id"] == flow_id]
    if not len(found):
        last = f", f1 to f{len(report.flows)}" if len(report.flows) else ""
        message = f"no connection is called {flow!r}; connections here: {len(report.flows)}{last}"
        raise UsageError(message)
    return _records(found)[0]


def _endpoints(flow: Record) -> tuple[str, str]:
    return formatting.endpoint(flow["client_ip"], flow["client_port"]), formatting.endpoint(flow["server_ip"], flow["server_port"])


_CLIENT_BY: Final = {
    "syn": "sent the first SYN",
    "synack": "the other side sent the SYN+ACK",
    "port": "by its port number",
    "first-segment": "sent the first segment",
}


def _fill_relative(steps: Sequence[Record]) -> None:
    """Fill in relative numbers where no ISN was accepted: they count from the first SYN of that side."""
    for side, peer in (("client", "server"), ("server", "client")):
        origin = next((step["seq"] for step in steps if step["by"] == side and "S" in step["flags"]), None)
        if origin is None:
            continue
        for step in steps:
            if step["by"] == side and step["seq"] >= 0 and step["seq_relative"] < 0:
                step["seq_relative"] = (step["seq"] - origin) % (1 << 32)
            if step["by"] == peer and step["ack"] >= 0 and step["ack_relative"] < 0:
                step["ack_relative"] = (step["ack"] - origin) % (1 << 32)


def _head(page: Page, flow: Record, path: str, explanations: Explanations) -> None:
    client, server = _endpoints(flow)
    style = {"opened": "bold green", "not-opened": "bold yellow", "broken": "bold red"}.get(flow["outcome"], "bold cyan")
    expected = ", expected" if flow["excused"] and flow["outcome"] != "opened" else ""
    page.add((flow["flow_id"], "bold"), "  ", printable(path))
    page.add("client   ", client, f"  ({_CLIENT_BY.get(flow['client_by'], flow['client_by'])})")
    page.add("server   ", server)
    service = formatting.detected_service(flow)
    if service:
        page.add("service  ", printable(service), indent=9, wrap=True)
    page.add("verdict  ", (flow["verdict"], style), f"  ({flow['outcome']}{expected})")
    meaning = explanations.verdicts.get(flow["verdict"], "")
    if meaning:
        page.add("         " + printable(meaning), indent=9, wrap=True)
    for line in _qualifications(flow):
        page.add("         " + line, indent=9, wrap=True)


def _control(page: Page, report: Report, flow: Record) -> None:
    """Print the connection that announced this one."""
    if not flow["control_flow_id"]:
        return
    control = pick(report, flow["control_flow_id"])
    client, server = _endpoints(control)
    page.add("control  ", (control["flow_id"], "bold"), f"  {client} → {server}", indent=9, wrap=True)
    for line in dialogue_view.announced(report, flow["flow_id"]):
        page.add("         " + printable(line), indent=9, wrap=True)


def _qualifications(flow: Record) -> Iterator[str]:
    """Yield sentences that limit what the verdict proves."""
    views = {
        "client-only": "Only the client's segments were captured.",
        "server-only": "Only the server's segments were captured.",
        "starts-late": "The capture begins after the connection did.",
    }
    if flow["view"] in views:
        yield views[flow["view"]]
    if flow["inconclusive"]:
        yield "Inconclusive: bytes that a check needs were not captured."
    if flow["evidence"] == "inferred":
        yield "Inferred: the segment that proves it was not captured, what follows implies it."
    if flow["outcome"] == "opened" and not flow["confirmed"]:
        yield "Not confirmed: nothing the server sent proves that the third segment reached it."


def _label(step: Record) -> str:
    """Return flags and relative numbers of a segment."""
    parts = [formatting.flags(step["flags"])]
    if step["seq_relative"] >= 0:
        parts.append(f"seq {formatting.relative(step['seq_relative'])}")
    if step["ack"] >= 0 and step["ack_relative"] >= 0:
        parts.append(f"ack {formatting.relative(step['ack_relative'])}")
    if step["length"] > 0:
        parts.append(f"len {step['length']}")
    return " ".join(parts)


def _arrow(label: str, by: str, width: int) -> str:
    """Return the arrow that fills the space between the lifelines, with the label in it."""
    if len(label) > width - 5:
        label = label[: width - 6] + "…"
    if by == "client":
        return f"─ {label} ".ljust(width - 1, "─") + "▶"
    return "◀" + f"─ {label} ".ljust(width - 1, "─")


def _absolute(step: Record) -> str:
    if step["seq"] < 0:
        return "seq not captured"
    return f"seq {step['seq']}" + (f"  ack {step['ack']}" if step["ack"] >= 0 else "")


def _textbook(step: Record, side: str) -> str:
    state = step[f"{side}_textbook"]
    return f"({state})" if state and state != step[f"{side}_state"] else ""


def _draw(page: Page, step: Record, start: int, between: int) -> None:
    """Draw one segment in two lines: arrow, frame and states; absolute numbers, time and textbook states."""
    style = "red" if "R" in step["flags"] else "bold" if "S" in step["flags"] else ""
    frame = f"#{step['frame']}"
    page.add(
        frame.ljust(_GUTTER),
        (step["client_state"] or "?").ljust(_STATE) + "│",
        (_arrow(_label(step), step["by"], between), style),
        "│ " + (step["server_state"] or "?"),
    )
    left, right = _textbook(step, "client"), _textbook(step, "server")
    second = (
        f"  {formatting.elapsed(step['time_ns'], start)}".ljust(_GUTTER),
        left.ljust(_STATE),
        f"  {_absolute(step)}".ljust(between),
        f" {right}".rstrip(),
    )
    page.add((second[0] + second[1], "dim"), "│", (second[2], "dim"), "│", (second[3], "dim"))
    if step["repeats"] > 1:
        note = f"  sent {step['repeats']} times, last in frame {step['last_frame']}"
        page.add(" " * (_GUTTER + _STATE), "│", (note[:between].ljust(between), "dim"), "│")


def _place(finding: Record, steps: Sequence[Record]) -> int:
    """Return the step below which a finding is printed: the last one it cites; -1 when it cites none of them."""
    cited = {frame for _, frame in finding["frames"]}
    places = [index for index, step in enumerate(steps) if any(step["frame"] <= frame <= step["last_frame"] for frame in cited)]
    exact = [index for index in places if steps[index]["frame"] in cited or steps[index]["last_frame"] in cited]
    return max(exact or places, default=-1)


def _rungs(page: Page, steps: Sequence[Record], findings: Sequence[Record]) -> None:
    between = max(_MIN_BETWEEN, page.width - _GUTTER - 2 * _STATE - 2)
    page.add(" " * _GUTTER + "client".ljust(_STATE) + "│" + " " * between + "│ server")
    start = steps[0]["time_ns"] if steps else NO_TIME
    at: dict[int, list[Record]] = {}
    for finding in findings:
        at.setdefault(_place(finding, steps[:MAX_SEGMENTS]), []).append(finding)
    for index, step in enumerate(steps[:MAX_SEGMENTS]):
        _draw(page, step, start, between)
        for finding in at.get(index, []):
            add_finding(page, finding)
    if len(steps) > MAX_SEGMENTS:
        page.add((f"… {formatting.count(len(steps) - MAX_SEGMENTS, 'more segment')} not drawn", "dim"))
    if any(_textbook(step, side) for step in steps[:MAX_SEGMENTS] for side in ("client", "server")):
        page.add((_LEGEND, "dim"), wrap=True)
    if at.get(-1):
        page.add("")
    for finding in at.get(-1, []):
        add_finding(page, finding)
    page.add("")


def _explain(page: Page, findings: Sequence[Record], explanations: Explanations) -> None:
    """Say of each kind of finding why it matters, what usually causes it, what to check next and where to read on."""
    for rule in dict.fromkeys(finding["id"] for finding in findings):
        rule_text = explanations.findings.get(rule)
        if rule_text is None:
            continue
        page.add((printable(rule), "bold"), f": {printable(rule_text.title)}", indent=2, wrap=True)
        for line in wrap(printable(" ".join(rule_text.why.split())), page.width - 2, break_on_hyphens=False):
            page.add("  " + line)
        for heading, lines in (("Usual causes", rule_text.causes), ("What to check next", rule_text.next)):
            if lines:
                page.add(f"  {heading}:")
            for line in lines:
                page.add(f"  - {printable(line)}", indent=4, wrap=True)
        page.add((f"  pcaplint rules explain {printable(rule)}", "dim"))
        page.add("")


def draw(report: Report, flow: str, layout: Layout) -> str:
    """Return the segments of the connection called `flow` and its findings, without explanations.

    Raises `UsageError` when there is no such connection.
    """
    page, record = Page(layout), pick(report, flow)
    steps = _records(report.steps[report.steps["flow_id"] == record["flow_id"]])
    _fill_relative(steps)
    _rungs(page, steps, _records(report.findings[report.findings["flow_id"] == record["flow_id"]]))
    return page.take()


def render(report: Report, flow: str, explanations: Explanations, layout: Layout) -> str:
    """Return the ladder of the connection called `flow`; at least 78 columns wide.

    Raises `UsageError` when there is no such connection.
    """
    page, record = Page(layout), pick(report, flow)
    add_stamp(page, report)
    steps = _records(report.steps[report.steps["flow_id"] == record["flow_id"]])
    _fill_relative(steps)
    findings = _records(report.findings[report.findings["flow_id"] == record["flow_id"]])
    of_dialogue = (
        [finding for finding in findings if finding["id"] in explanations.dialogue_findings] if dialogue_view.has_dialogue(record) else []
    )
    _head(page, record, report.captures[record["capture"]].path, explanations)
    _control(page, report, record)
    page.add("")
    _rungs(page, steps, [finding for finding in findings if finding not in of_dialogue])
    dialogue_view.draw(page, report, record, of_dialogue)
    _explain(page, findings, explanations)
    sent = f"{record['client_segments']:,}/{record['server_segments']:,} segments"
    size = f"{formatting.size(record['client_bytes'])}/{formatting.size(record['server_bytes'])}"
    page.add(f"client/server: {sent}, {size}, frames {record['first_frame']} to {record['last_frame']}")
    page.add("Wireshark: ", printable(record["wireshark_filter"]))
    if record["community_id"]:
        page.add("Community ID: ", printable(record["community_id"]))
    return page.take()
