"""What to check next: every shipped rule says it, in a few short lines of its own."""

from __future__ import annotations

from collections import Counter
from typing import Final

from analyzer.rules import load

FINDINGS: Final = load().findings
MAX_LINES: Final = 3
MAX_CHARACTERS: Final = 160
MAX_RULES_PER_LINE: Final = 3


def test_every_shipped_rule_says_what_to_check_next() -> None:
    assert not [id_ for id_, finding in FINDINGS.items() if not finding.next]


def test_lines_are_few_and_short_sentences() -> None:
    for id_, finding in FINDINGS.items():
        assert len(finding.next) <= MAX_LINES, id_
        for line in finding.next:
            assert len(line) <= MAX_CHARACTERS, (id_, line)
            assert line.isascii(), (id_, line)
            assert line.isprintable(), (id_, line)
            assert line.endswith("."), (id_, line)
            assert line[0].isupper(), (id_, line)
            assert line.count("`") % 2 == 0, (id_, line)


def test_no_line_is_said_by_more_than_a_few_rules() -> None:
    rules = Counter(line for finding in FINDINGS.values() for line in finding.next)
    assert not [line for line, count in rules.items() if count > MAX_RULES_PER_LINE]


def test_no_line_repeats_what_its_rule_says_already() -> None:
    for id_, finding in FINDINGS.items():
        said = " ".join((finding.title, finding.message, finding.why, *finding.causes)).casefold()
        assert not [line for line in finding.next if line.rstrip(".").casefold() in " ".join(said.split())], id_
        assert len(set(finding.next)) == len(finding.next), id_
