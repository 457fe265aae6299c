"""The report as JUnit XML, for CI: one suite per capture, with one case for its reading, one per verdict and one per rule with findings.

Well-formed XML 1.0 whatever a capture or a path holds. A case fails exactly when its issues fail the check; a case with only suppressed
issues is skipped, not passed. The bodies name at most `MAX_CONNECTIONS` connections.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from xml.sax.saxutils import escape, quoteattr

from analyzer.report import issues
from analyzer.report.escaping import printable
from analyzer.report.formatting import count

if TYPE_CHECKING:
    from collections.abc import Iterator

    from analyzer.model import Report
    from analyzer.report import Layout
    from analyzer.report.issues import Issue

MAX_CONNECTIONS: Final = 50
"""Maximum number of connections that one case names."""

Verdicts = Counter[tuple[str, str]]
"""Connections by verdict and outcome."""

_ILLEGAL: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 does not allow (2.2, Char)."""


def _safe(text: str) -> str:
    return _ILLEGAL.sub(lambda match: f"\\u{ord(match.group()):04x}", printable(text))


@dataclass(frozen=True, slots=True)
class _Case:
    """One case and how it ended: passed, failure, error or skipped."""

    name: str
    ended: str = "passed"
    message: str = ""
    lines: tuple[str, ...] = ()

    def write(self, suite: str) -> str:
        start = f"  <testcase classname={quoteattr(suite)} name={quoteattr(_safe(self.name))}"
        body = escape("\n".join(map(_safe, self.lines)))
        if self.ended == "passed":
            return f"{start}><system-out>{body}</system-out></testcase>\n" if body else f"{start}/>\n"
        kind = "" if self.ended == "skipped" else f" type={quoteattr(_safe(self.name))}"
        return f"{start}><{self.ended} message={quoteattr(_safe(self.message))}{kind}>{body}</{self.ended}></testcase>\n"


def _case(report: Report, name: str, own: list[Issue]) -> _Case:
    """Return the case of one rule or verdict in one capture from all its issues there."""
    failing = [issue for issue in own if issues.fails(report, issue)]
    shown = failing or own
    lines = tuple(f"{issue.severity}: {issues.sentence(issue)}" for issue in shown[:MAX_CONNECTIONS])
    lines += (f"and {len(shown) - MAX_CONNECTIONS:,} more",) if len(shown) > MAX_CONNECTIONS else ()
    message = shown[0].message + (f" (and {len(shown) - 1:,} more)" if len(shown) > 1 else "")
    if failing:
        return _Case(name, "failure", message, lines)
    if all(issue.suppressed for issue in own):
        return _Case(name, "skipped", f"expected: {message}", lines)
    return _Case(name, "passed", "", lines)


def _reading(report: Report, index: int, own: list[Issue]) -> _Case:
    """Return the case for reading the capture: an error if it is unreadable or incomplete."""
    capture = report.captures[index]
    ended = next((issue for issue in own if issue.name == capture.status), None)
    notes = tuple(f"note {note.id}: {note.text}" for note in capture.notes)
    if ended is None:
        return _Case("reading", lines=notes)
    kind = "skipped" if capture.status == "nothing-checked" else "error"
    return _Case("reading", kind, ended.message, notes)


def _verdict(name: str, outcome: str, number: int) -> _Case | None:
    """Return the case of a verdict without issues: passed, or skipped where nothing could be judged; None for other outcomes."""
    ended = {"opened": "passed", "not-judged": "skipped"}.get(outcome)
    connections = count(number, "connection")
    return _Case(f"verdict {name}", ended, "" if ended == "passed" else "not judged", (connections,)) if ended else None


def _cases(report: Report, index: int, own: list[Issue], verdicts: Verdicts) -> list[_Case]:
    cases = [_reading(report, index, [issue for issue in own if issue.kind == "capture"])]
    groups: dict[str, list[Issue]] = {}
    for issue in own:
        if issue.kind != "capture":
            groups.setdefault(f"{issue.kind} {issue.name}", []).append(issue)
        elif issue.name != report.captures[index].status:
            groups.setdefault("expectations", []).append(issue)
    for (verdict, outcome), number in sorted(verdicts.items()):
        case = _verdict(verdict, outcome, number)
        cases += [case] if case and case.name not in groups else []
    return cases + [_case(report, name, group) for name, group in sorted(groups.items())]


_SECRETS: Final = '  <properties><property name="secrets" value="shown"/></properties>\n'


def _suite(path: str, cases: list[_Case], *, secrets: bool) -> str:
    ended = Counter(case.ended for case in cases)
    name = _safe(path)
    counts = f'tests="{len(cases)}" failures="{ended["failure"]}" errors="{ended["error"]}" skipped="{ended["skipped"]}"'
    return (
        f" <testsuite name={quoteattr(name)} {counts}>\n"
        + _SECRETS * secrets
        + "".join(case.write(name) for case in cases)
        + " </testsuite>\n"
    )


def render(report: Report, layout: Layout) -> Iterator[str]:  # noqa: ARG001 - every format takes the same arguments
    """Yield the report as one XML document, in chunks."""
    own: dict[int, list[Issue]] = {}
    for issue in issues.collect(report):
        own.setdefault(issue.capture, []).append(issue)
    columns = (report.flows[name].tolist() for name in ("capture", "verdict", "outcome"))
    verdicts: dict[int, Verdicts] = {}
    for (index, verdict, outcome), number in Counter(zip(*columns, strict=True)).items():
        verdicts.setdefault(index, Counter())[verdict, outcome] = number
    suites = [_cases(report, index, own.get(index, []), verdicts.get(index, Counter())) for index in range(len(report.captures))]
    ended = Counter(case.ended for cases in suites for case in cases)
    counts = f'tests="{sum(ended.values())}" failures="{ended["failure"]}" errors="{ended["error"]}" skipped="{ended["skipped"]}"'
    yield f'<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name="pcaplint" {counts}>\n'
    for capture, cases in zip(report.captures, suites, strict=True):
        yield _suite(capture.path, cases, secrets=report.secrets)
    yield "</testsuites>\n"
