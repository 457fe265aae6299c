"""The reference page of rules says what the rule files say."""

from __future__ import annotations

import re
from pathlib import Path

from analyzer import rules
from analyzer.rules import reference_page

ROOT = Path(__file__).resolve().parents[3]


def test_page_is_made_from_the_rule_files() -> None:
    made = reference_page.render(rules.load())
    assert (ROOT / "rules" / "README.md").read_text(encoding="utf-8") == made


def test_page_has_a_line_for_every_finding_file() -> None:
    made = reference_page.render(rules.load())
    listed = set(re.findall(r"^\| ([a-z0-9-]+) \| (?:error|warning|note) \|", made, re.MULTILINE))
    no_findings = {"opening", "secrets", *(path.stem for path in (ROOT / "rules" / "protocols").glob("*.toml"))}
    assert listed == {path.stem for path in (ROOT / "rules").rglob("*.toml")} - no_findings


def test_page_has_every_fact_and_place_of_every_protocol() -> None:
    sections = reference_page.render(rules.load()).split("\n## ")
    for id_, protocol in rules.load().protocols.items():
        told = next((section for section in sections if section.startswith(f"Dialogues: {id_}\n")), "")
        own = {*protocol.dialogue, *protocol.exchange, *protocol.dialogue_evidence, *protocol.exchange_evidence}
        if id_ != "any":
            common = rules.load().protocols["any"]
            own -= {*common.dialogue, *common.exchange, *common.dialogue_evidence, *common.exchange_evidence}
        own |= {*protocol.transaction}
        assert own == set(re.findall(r"^\| ([a-z0-9_]+) \| (?:dialogue|exchange|transaction)", told, re.MULTILINE)), id_
