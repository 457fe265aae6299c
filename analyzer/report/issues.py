"""All issues of a report as one list, shared by SARIF, JUnit, GitHub, GitLab and Markdown.

Everything that fails a check is in the list at least once, in the order of the report; what is expected is marked as suppressed. A
verdict that a finding explains is not listed separately.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from analyzer.model import EXPECTED_WITHOUT_REASON, SEVERITIES
from analyzer.report import formatting, summary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from analyzer.model import Note, Report, Severity

INCONCLUSIVE: Final = "inconclusive"
_OF_STATUS: Final[dict[str, tuple[Severity, str]]] = {
    "unreadable": ("error", "the capture cannot be read"),
    "incomplete": ("error", "the capture could not be read to its end"),
    "nothing-checked": ("warning", "no TCP opening could be checked"),
}


@dataclass(frozen=True, slots=True)
class Issue:
    """One thing wrong with one connection, or with a capture as a whole."""

    capture: int
    kind: Literal["capture", "verdict", "finding"]
    name: str
    """Id of a rule, name of a verdict, or status of the capture."""
    severity: Severity
    message: str
    flow: int = -1
    """Row of the report's connections, -1 for the capture as a whole."""
    where: str = ""
    """The connection as text: `f2 10.0.0.5:40113 → 192.0.2.10:80`; empty for the capture as a whole."""
    frames: tuple[tuple[int, int], ...] = ()
    """Cited frames as (capture, frame)."""
    suppressed: bool = False
    """Expected, or accepted by a baseline."""


def collect(report: Report) -> list[Issue]:
    """Return all issues, capture by capture: first those about the capture, then connection by connection."""
    found = [*_captures(report), *_verdicts(report), *_findings(report)]
    return sorted(found, key=lambda issue: (issue.capture, issue.flow))


def worst_first(found: Iterable[Issue]) -> list[Issue]:
    """Return the issues with suppressed ones last, then errors before warnings before notes; otherwise their order is kept."""
    return sorted(found, key=lambda issue: (issue.suppressed, -SEVERITIES.index(issue.severity)))


def fails(report: Report, issue: Issue) -> bool:
    """Return whether an issue fails the check: not suppressed, and at or above the report's `fail_on`."""
    if issue.suppressed:
        return False
    if issue.name in {*_OF_STATUS, INCONCLUSIVE}:
        return True
    return report.fail_on != "never" and SEVERITIES.index(issue.severity) >= SEVERITIES.index(report.fail_on)


def sentence(issue: Issue) -> str:
    """Return connection, message and cited frames in one line; not yet safe to print."""
    cited = formatting.frames(issue.frames)
    return (f"{issue.where}: " if issue.where else "") + issue.message + (f" [{cited}]" if cited else "")


def scopes(report: Report, given: Iterable[Issue]) -> list[tuple[Any, ...]]:
    """Return for each issue what identifies it in its capture: kind, name, endpoints, and its number among equal ones."""
    seen: dict[tuple[Any, ...], int] = {}
    found = []
    names = ("client_ip", "client_port", "server_ip", "server_port")
    ends = list(zip(*(report.flows[name].tolist() for name in names), strict=True))
    for issue in given:
        scope = (issue.kind, issue.name, *(ends[issue.flow] if issue.flow >= 0 else ()))
        number = seen[issue.capture, scope] = seen.get((issue.capture, scope), 0) + 1
        found.append((*scope, number))
    return found


def fingerprint(scope: tuple[Any, ...]) -> str:
    """Return sixteen hex digits that depend on the capture, not on its path."""
    return hashlib.sha256("\0".join(map(str, scope)).encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _captures(report: Report) -> list[Issue]:
    found = []
    for index, capture in enumerate(report.captures):
        if capture.status in _OF_STATUS and not (capture.status == "incomplete" and capture.complete):
            severity, text = _OF_STATUS[capture.status]
            message = f"{text}: {capture.reason}" if capture.reason else text
            found.append(Issue(index, "capture", capture.status, severity, message))
        found += [
            Issue(
                index, "capture", note.id, _severity(note), f"{formatting.expectation(note)}: {note.text}", frames=_cited(index, note.frame)
            )
            for note in capture.expectations
        ]
    return found


def _severity(note: Note) -> Severity:
    """Return the severity of an expectation that is not met (error) or has no reason (warning)."""
    return "warning" if note.id == EXPECTED_WITHOUT_REASON else "error"


def _cited(capture: int, frame: int | None) -> tuple[tuple[int, int], ...]:
    return () if frame is None else ((capture, frame),)


def _where(report: Report) -> Callable[[int], str]:
    """Return a function that gives the text of the connection in a row of `report.flows`."""
    names = ("flow_id", "client_ip", "client_port", "server_ip", "server_port")
    flow_ids, clients, client_ports, servers, server_ports = (report.flows[name].tolist() for name in names)

    def describe(row: int) -> str:
        ends = formatting.endpoint(clients[row], client_ports[row]), formatting.endpoint(servers[row], server_ports[row])
        return f"{flow_ids[row]} {ends[0]} → {ends[1]}" if row >= 0 else ""

    return describe


def _verdicts(report: Report) -> list[Issue]:
    flows, where = report.flows, _where(report)
    captures, names, suppressed, first = (flows[name].tolist() for name in ("capture", "verdict", "excused", "first_frame"))

    def issue(row: int, name: str, severity: Severity, message: str) -> Issue:
        frames = ((captures[row], first[row]),)
        return Issue(captures[row], "verdict", name, severity, message, row, where(row), frames, suppressed[row])

    bad = flows["verdict"].isin(report.verdict_severities).to_numpy() & ~_explained(report)
    inconclusive = flows["inconclusive"].to_numpy(bool)
    severities = report.verdict_severities
    found = [issue(row, names[row], severities[names[row]], f"the opening is {names[row]}") for row in np.flatnonzero(bad).tolist()]
    lacking = "an opening segment lacks bytes that a check needs"
    return found + [issue(row, INCONCLUSIVE, "warning", lacking) for row in np.flatnonzero(inconclusive).tolist()]


def _explained(report: Report) -> NDArray[np.bool_]:
    """Return for each connection whether a finding explains its verdict: as severe or more, and suppressed only if the verdict is."""
    flows, findings = report.flows, report.findings
    rank: dict[str, int] = {severity: index for index, severity in enumerate(SEVERITIES)}
    verdict = summary.rank(flows["verdict"], {verdict: rank[severity] for verdict, severity in report.verdict_severities.items()})
    positions = summary.flow_positions(report, findings)
    of_flow = positions >= 0
    shown = flows["excused"].to_numpy(bool)[positions[of_flow]] >= findings["excused"].to_numpy(bool)[of_flow]
    bad = summary.rank(findings["severity"], rank)[of_flow] >= verdict[positions[of_flow]]
    explained = np.zeros(len(flows), bool)
    explained[positions[of_flow][bad & shown]] = True
    return explained


def _findings(report: Report) -> list[Issue]:
    rows = summary.flow_positions(report, report.findings).tolist()
    owners, where = report.flows["capture"].tolist(), _where(report)
    columns = [report.findings[name].tolist() for name in ("capture", "id", "severity", "message", "frames", "excused")]
    return [
        Issue(owners[row] if row >= 0 else capture, "finding", id_, severity, message, row, where(row), frames, suppressed)
        for row, (capture, id_, severity, message, frames, suppressed) in zip(rows, zip(*columns, strict=True), strict=True)
    ]
