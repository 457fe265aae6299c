from __future__ import annotations

from analyzer.report.terminal.explanations import explanations
from analyzer.rules import load


def test_every_verdict_and_finding_is_explained() -> None:
    rules = load()
    words = explanations(rules)
    assert words.verdicts["half-open"] == next(verdict.meaning for verdict in rules.verdicts if verdict.name == "half-open")
    assert words.findings is rules.findings
    assert "synack-ack-wrong" not in words.spoken
    assert any(name.startswith("smtp-") for name in words.spoken)
