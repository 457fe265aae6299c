"""Laws about dialogues: what may be done to a capture, or who reads it, without changing what is said of what was said.

Numbered as the laws of openings are (tests/test_laws.py).
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from analyzer import analysis, flows, notation, opening, rules
from analyzer.notation.values import Quote, Segment

if TYPE_CHECKING:
    from collections.abc import Mapping

    from analyzer.notation.values import Script
    from analyzer.rules import RuleSet

SAMPLES = Path(__file__).parents[2] / "sample_pcaps"
CIRCLE = 1 << 32


@cache
def shipped() -> RuleSet:
    return rules.load()


def scripts() -> list[object]:
    """Return the examples of all findings about what was said."""
    return [
        pytest.param(example.segments, id=f"{id_}-{number}")
        for id_, finding in shipped().findings.items()
        if finding.check is not None and finding.check.scope in {"dialogue", "exchange"}
        for number, example in enumerate(finding.examples, 1)
    ]


def said(script: Script) -> list[object]:
    """Return findings, summaries and transactions, frames and times aside."""
    captures = [notation.capture(script)]
    connections = flows.group(captures)
    found = analysis.hear(connections, captures, opening.judge(connections, shipped()), shipped(), secrets=False)
    read = [(flow, one.service, one.summary, one.facts, [_row(row) for row in one.rows]) for flow, one in sorted(found.dialogues.items())]
    return [sorted(found.findings[["flow", "id", "message"]].itertuples(index=False, name=None)), read]


def _row(row: Mapping[str, object]) -> dict[str, object]:
    return {name: cell for name, cell in row.items() if name not in {"time", "first_frame", "last_frame", "latency_ms"}}


@pytest.mark.parametrize("segments", scripts())
def test_1_shifting_a_sides_numbers_changes_nothing(segments: str) -> None:
    """To where they come round within the dialogue."""
    script = notation.parse(segments)
    moved = list[Segment | Quote]()
    for event in script.events:
        own, peer = (CIRCLE - 110, 2**31 - 310) if event.by == "client" else (2**31 - 310, CIRCLE - 110)
        if isinstance(event, Segment):
            moved.append(replace(event, seq=(event.seq + own) % CIRCLE, ack=(event.ack + peer) % CIRCLE))
        else:
            moved.append(replace(event, seq=(event.seq + peer) % CIRCLE))
    assert said(replace(script, events=tuple(moved))) == said(script)


@pytest.mark.parametrize("sample", sorted(path.name for path in SAMPLES.glob("*.pcap")))
def test_8_both_engines_hear_the_same(sample: str) -> None:
    reports = [analysis.analyze(SAMPLES / sample, rules=shipped(), engine=engine) for engine in ("pyshark", "native")]
    for table in ("flows", "findings", "transactions"):
        left, right = (getattr(report, table) for report in reports)
        assert left.equals(right), table
