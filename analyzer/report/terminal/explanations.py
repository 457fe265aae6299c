"""What the rules say about verdicts and findings, for the view of one connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analyzer.report.terminal.ladder import Explanations
from analyzer.rules.check import DIALOGUE_SCOPES

if TYPE_CHECKING:
    from analyzer.rules import RuleSet


def explanations(rules: RuleSet) -> Explanations:
    """Return the explanations that the rules give of verdicts and findings."""
    of_dialogues = frozenset(
        id_ for id_, finding in rules.findings.items() if finding.check is not None and finding.check.scope in DIALOGUE_SCOPES
    )
    return Explanations({verdict.name: verdict.meaning for verdict in rules.verdicts}, rules.findings, of_dialogues)
