"""The reference page of rules says what the rule files say."""

from __future__ import annotations

import re
from pathlib import Path

from analyzer import rules
from analyzer.rules import page

ROOT = Path(__file__).resolve().parents[2]


def test_page_is_made_from_the_rule_files() -> None:
    made = page.show(rules.load())
    assert (ROOT / "rules" / "README.md").read_text(encoding="utf-8") == made


def test_page_has_a_line_for_every_finding_file() -> None:
    made = page.show(rules.load())
    listed = set(re.findall(r"^\| ([a-z0-9-]+) \| (?:error|warning|note) \|", made, re.MULTILINE))
    assert listed == {path.stem for path in (ROOT / "rules" / "handshake").glob("*.toml")}
