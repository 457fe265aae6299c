"""The severity of verdicts and outcomes is that of `counts_as` in the rules, those of a user's folder too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analyzer import rules
from analyzer.rules import severities

if TYPE_CHECKING:
    from pathlib import Path

TARPIT = """
schema = 1
extends = "opening"

[[verdict]]
is = "tarpit"
before = "complete"
outcome = "opened"
counts_as = "error"
meaning = "A window that nothing fits into."
when = "opened"
"""


def test_failed_and_broken_openings_have_a_severity() -> None:
    """README: a connection that was not opened is a warning, a broken opening an error; others count against nothing."""
    assert severities.by_outcome() == {"not-opened": "warning", "broken": "error"}
    shipped = rules.load()
    assert {verdict.name: severities.by_outcome().get(verdict.outcome) for verdict in shipped.verdicts} == {
        verdict.name: shipped.verdict_severities.get(verdict.name) for verdict in shipped.verdicts
    }


def test_a_users_verdict_has_the_severity_it_states(tmp_path: Path) -> None:
    (tmp_path / "opening.toml").write_text(TARPIT, encoding="utf-8")
    loaded = rules.load([tmp_path])
    assert loaded.verdict_severities == {**rules.load().verdict_severities, "tarpit": "error"}
