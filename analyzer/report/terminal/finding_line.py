"""One finding as a line of the ladder or of the dialogue: severity, id, message and cited frames, within the width, safe to print."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from analyzer.report import formatting
from analyzer.report.escaping import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from analyzer.report.terminal.text import Page

_STYLE_OF_SEVERITY: Final = {"error": "bold red", "warning": "yellow", "note": "cyan"}
_MARK: Final = {"error": "✗", "warning": "!", "note": "·"}


def add_finding(page: Page, finding: Mapping[str, Any]) -> None:
    """Print one finding, a row of the table of findings."""
    style = "dim" if finding["excused"] else _STYLE_OF_SEVERITY.get(finding["severity"], "")
    expected = " (expected)" if finding["excused"] else ""
    mark = _MARK.get(finding["severity"], "·")
    cited = formatting.frames(finding["frames"])
    line = f": {printable(finding['message'])}" + (f" [{cited}]" if cited else "")
    page.add(" " * 4, (f"{mark} {finding['severity']}{expected} {printable(finding['id'])}", style), line, indent=6, wrap=True)
