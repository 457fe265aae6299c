"""The report as GitLab's Code Quality report: a JSON array with one object per issue, worst first.

Format: https://docs.gitlab.com/ci/testing/code_quality/#code-quality-report-format. Suppressed issues are left out, since the format cannot
mark them. A capture has no lines: every issue is on line 1. Fingerprints are unique and stay the same while a capture does.
"""

from __future__ import annotations

import hashlib
import posixpath
from typing import TYPE_CHECKING, Any, Final

from analyzer.report import issues
from analyzer.report.escaping import printable
from analyzer.report.json import encode

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from analyzer.model import Report, Severity
    from analyzer.report import Layout
    from analyzer.report.issues import Issue

SEVERITIES: Final[Mapping[Severity, str]] = {"note": "info", "warning": "minor", "error": "major"}
"""GitLab's severities critical and blocker are not used."""


def render(report: Report, layout: Layout) -> Iterator[str]:  # noqa: ARG001 - every format takes the same arguments
    """Yield the array, one issue per line."""
    everything = issues.collect(report)
    scopes = dict(zip(map(id, everything), issues.scopes(report, everything), strict=True))
    shown = [issue for issue in issues.worst_first(everything) if not issue.suppressed]
    yield "["
    for number, issue in enumerate(shown):
        yield (",\n" if number else "\n") + encode(_entry(report, issue, scopes[id(issue)]))
    yield "\n]\n"


def _entry(report: Report, issue: Issue, scope: tuple[Any, ...]) -> dict[str, Any]:
    path = posixpath.normpath(printable(report.captures[issue.capture].path))
    # issues.fingerprint is unique within one capture; GitLab requires it to be unique in the report.
    text = f"{path}\0{issues.fingerprint(scope)}"
    return {
        "description": printable(issues.sentence(issue)),
        "check_name": printable(issue.name),
        "fingerprint": hashlib.sha256(text.encode()).hexdigest(),
        "severity": SEVERITIES[issue.severity],
        "location": {"path": path, "lines": {"begin": 1}},
    }
