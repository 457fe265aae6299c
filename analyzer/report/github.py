"""The report as GitHub Actions annotations (workflow commands), for a step's log.

At most ten annotations of each kind, GitHub's limit per step, worst first; the tenth gives the number of further ones. Text from a
capture or a path is escaped, so that it cannot begin or end a command or add a property. Suppressed issues are not annotated.
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, Final

from analyzer.report import issues, summary
from analyzer.report.escaping import printable
from analyzer.report.formatting import SECRETS_SHOWN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from analyzer.model import Report, Severity
    from analyzer.report import Layout
    from analyzer.report.issues import Issue

LIMIT: Final = 10
"""Maximum annotations of one kind that GitHub shows for a step."""
_COMMANDS: Final[dict[Severity, str]] = {"error": "error", "warning": "warning", "note": "notice"}


def _data(text: str) -> str:
    return printable(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _annotation(report: Report, issue: Issue, command: str) -> str:
    path = _property(posixpath.normpath(report.captures[issue.capture].path))
    return f"::{command} file={path},line=1,title={_property(issue.name)}::{_data(issues.sentence(issue))}\n"


def render(report: Report, layout: Layout) -> Iterator[str]:  # noqa: ARG001 - every format takes the same arguments
    """Yield annotations, errors first, and a summary line."""
    found = [issue for issue in issues.worst_first(issues.collect(report)) if not issue.suppressed]
    for severity, command in _COMMANDS.items():
        own = [issue for issue in found if issue.severity == severity]
        fitting = own if len(own) <= LIMIT else own[: LIMIT - 1]
        yield "".join(_annotation(report, issue, command) for issue in fitting)
        if len(own) > len(fitting):
            yield f"::{command} title=pcaplint::and {len(own) - len(fitting):,} more\n"
    yield summary.sentence(report) + "\n" + (f"{SECRETS_SHOWN}\n" if report.secrets else "")
