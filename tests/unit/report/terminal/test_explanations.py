from __future__ import annotations

from analyzer.report.terminal.explanations import explanations
from analyzer.rules import load


def test_every_verdict_and_finding_is_explained() -> None:
    rules = load()
    texts = explanations(rules)
    assert texts.verdicts["half-open"] == next(verdict.meaning for verdict in rules.verdicts if verdict.name == "half-open")
    assert texts.findings is rules.findings
    assert "synack-ack-wrong" not in texts.dialogue_findings
    assert any(name.startswith("smtp-") for name in texts.dialogue_findings)
