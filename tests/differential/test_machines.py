"""The vector machine, the scalar machine and the plain interpreter never differ.

Hypothesis makes bytes, `exchanges.decode` makes hostile openings of them, some dozens a batch.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from analyzer import connections as connections_
from analyzer import openings, rules
from analyzer.openings import steps as steps_
from analyzer.openings.machine import vector
from analyzer.rules.machine import STATES, emitted
from tests.reference import exchanges, interpreter
from tests.reference import selection as plain

if TYPE_CHECKING:
    from analyzer.connections import Connections
    from analyzer.rules import RuleSet
    from tests.reference.exchanges import Exchange
    from tests.reference.interpreter import Outcome

ALONE = 10**9
BATCH = st.binary(min_size=3000, max_size=3000)
BATCHES = 12
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)  # a failure prints its connection: shrinking the batch would take minutes


@cache
def loaded() -> RuleSet:
    """Return the rules; of the findings only those of the machine, since checks move nothing and have their own examples."""
    return rules.load(select=sorted(emitted(rules.load().machine)))


def grouped(batch: list[Exchange]) -> Connections:
    return connections_.group([exchanges.capture([*batch, *exchanges.cut_off()])])


def outcomes(judged: openings.Judged) -> list[Outcome]:
    """Return what was judged in the plain interpreter's words."""
    machine = loaded().machine
    findings: list[dict[str, Any]] = [{} for _ in judged.verdict]
    for flow, id_, frames in zip(judged.findings["flow"], judged.findings["id"], judged.findings["frames"], strict=True):
        findings[flow][id_] = frames
    log, first = judged.trace, judged.steps.first.tolist()
    rows = ["", *(row.id for row in machine.rows)]
    states = zip(log.client.tolist(), log.server.tolist(), log.client_textbook.tolist(), log.server_textbook.tolist(), strict=True)
    trace = [(rows[row + 1], *(STATES[code] for code in codes)) for row, codes in zip(log.row.tolist(), states, strict=True)]
    return [
        interpreter.Outcome(
            verdict=machine.verdicts[judged.verdict[flow]].name,
            view=machine.views[judged.view[flow]].name,
            facts={name: bool(values[flow]) for name, values in judged.facts.items()},
            numbers={name: int(values[flow]) for name, values in judged.numbers.items()},
            findings=findings[flow],
            steps=trace[first[flow] : first[flow + 1]],
        )
        for flow in range(len(judged.verdict))
    ]


def told(connections: Connections, flow: int) -> str:
    """Return the segments of a connection, for a person who looks into a failure."""
    names = ["frame", "by_client", "flags", "seq", "ack", "payload_length", "window", "header_captured", "time"]
    rows = connections.segments[connections.segments["flow"] == flow]
    return str(rows[names].to_string() + "\n" + connections.quotes[connections.quotes["flow"] == flow].to_string())


@given(BATCH)
@settings(deadline=None, max_examples=BATCHES, phases=PHASES)
def test_three_machines_agree(data: bytes) -> None:
    connections = grouped(exchanges.decode(data))
    together = outcomes(openings.judge(connections, loaded(), min_vector_flows=0))
    alone = outcomes(openings.judge(connections, loaded(), min_vector_flows=ALONE))
    facts, steps = plain.connections_facts(connections), plain.steps(connections)
    for flow, (one, other) in enumerate(zip(together, alone, strict=True)):
        assert one == other, told(connections, flow)
        assert one == interpreter.run(loaded().machine, facts[flow], steps[flow]), told(connections, flow)


@given(BATCH)
@settings(deadline=None, max_examples=BATCHES, phases=PHASES)
def test_steps_are_those_chosen_one_by_one(data: bytes) -> None:
    connections = grouped(exchanges.decode(data))
    found = steps_.select(connections)
    expected = [step for rows in plain.steps(connections) for step in rows]
    names = ("frame", "last_frame", "repeats", "by_client", "flags")
    told_apart = zip(*(found.columns[name].tolist() for name in names), strict=True)
    readable = found.columns["kind"] != steps_.UNREADABLE
    assert [(*row[:4], row[4] * seen) for row, seen in zip(told_apart, readable.tolist(), strict=True)] == [
        tuple(step[name] for name in names) for step in expected
    ]


def test_the_batches_are_worth_it() -> None:
    """Over a fixed batch every row fires and every verdict comes up: what the machines agree on is not nothing."""
    data = np.random.default_rng(1).integers(0, 256, 150_000, np.uint8).tobytes()
    judged = openings.judge(grouped(exchanges.decode(data)), loaded())
    rows = loaded().machine.rows
    assert len(judged.verdict) > 1000
    assert {rows[number].id for number in judged.trace.row.tolist() if number >= 0} == {row.id for row in rows}
    assert {loaded().verdicts[number].name for number in judged.verdict.tolist()} == {verdict.name for verdict in loaded().verdicts}


@given(BATCH)
@settings(deadline=None, max_examples=3, phases=PHASES)
def test_how_many_connections_run_together_changes_nothing(data: bytes) -> None:
    connections = grouped(exchanges.decode(data))
    together = outcomes(openings.judge(connections, loaded(), min_vector_flows=0))
    for size in (1, 7):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(vector, "BLOCK_FLOWS", size)
            assert outcomes(openings.judge(connections, loaded(), min_vector_flows=0)) == together
