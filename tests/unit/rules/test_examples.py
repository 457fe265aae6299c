"""Every finding's examples, through the same stages a capture goes through.

An example that fires must show the finding, a near miss must not; so each finding file is its own test.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import pytest

from analyzer import connections as connections_
from analyzer import notation, openings, rules
from analyzer.pipeline import stages

if TYPE_CHECKING:
    from analyzer.rules import Finding, RuleSet


@cache
def _shipped() -> RuleSet:
    return rules.load(check=True, select=["*"])


def _examples() -> list[object]:
    """Return (finding, number of the example) for every example, named after both."""
    return [
        pytest.param(finding, number, id=f"{id_}-{number}-{'fires' if example.fires else 'silent'}")
        for id_, finding in _shipped().findings.items()
        for number, example in enumerate(finding.examples, 1)
    ]


@cache
def _messages() -> dict[tuple[str, int], dict[str, str]]:
    """Return the messages by finding, those of the opening and those of the dialogue, of each example: each is a capture of its own."""
    keys = [(id_, number) for id_, finding in _shipped().findings.items() for number in range(1, len(finding.examples) + 1)]
    scripts = [notation.parse(_shipped().findings[id_].examples[number - 1].segments, where=id_) for id_, number in keys]
    captures = [notation.capture(script) for script in scripts]
    connections = connections_.group(captures)
    judged = openings.judge(connections, _shipped())
    said = stages.parse_dialogues(
        stages.build_dialogue_request(connections, captures, stages.opening_summary(judged, _shipped()), _shipped())
    )
    owner = connections.flows["capture"].to_numpy()
    found: dict[tuple[str, int], dict[str, str]] = {key: {} for key in keys}
    for table in (judged.findings, said.findings):
        for flow, id_, message in zip(table["flow"], table["id"], table["message"], strict=True):
            found[keys[owner[flow]]][id_] = message
    return found


@pytest.mark.parametrize(("finding", "number"), _examples())
def test_example_does_what_it_says(finding: Finding, number: int) -> None:
    example, found = finding.examples[number - 1], _messages()[finding.id, number]
    # A place in a message that nothing filled reads as a question mark.
    assert [message for message in found.values() if "?" in message or "{" in message] == []
    assert (finding.id in found) == example.fires, f"{example.note}\n{example.segments}found: {sorted(found)}"


@pytest.mark.parametrize("finding", [pytest.param(finding, id=id_) for id_, finding in _shipped().findings.items()])
def test_examples_differ_from_each_other(finding: Finding) -> None:
    scripts = [notation.parse(example.segments) for example in finding.examples]
    assert len(set(scripts)) == len(scripts)
    assert all(example.note for example in finding.examples)


def test_every_row_that_emits_is_reached_by_an_example() -> None:
    loaded = _shipped()
    captures = [
        notation.capture(notation.parse(example.segments), path=f"{id_}-{number}")
        for id_, finding in loaded.findings.items()
        if finding.family == "handshake"
        for number, example in enumerate(finding.examples, 1)
    ]
    judged = openings.judge(connections_.group(captures), loaded)
    fired = {judged.rows[number].id for number in judged.trace.row.tolist() if number >= 0}
    silent = [row.id for row in loaded.machine.rows if (row.emits or row.holds) and row.id not in fired]
    assert silent == []
