"""Judge the openings of connections: run the state machine of rules/opening.toml and the checks of segments and connections.

Every connection gets exactly one verdict, whatever its segments are; time is linear in the steps. No transition, verdict or finding is
named in Python. The package depends on no file, output format or application protocol.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from analyzer.findings import correlation, event, table
from analyzer.openings import checks, evidence
from analyzer.openings import steps as steps_
from analyzer.openings.facts import connection, segment
from analyzer.openings.machine import compiler, conclude, vector
from analyzer.rules.machine import REUSE

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from analyzer._typing import Array, BoolArray, IntArray
    from analyzer.connections import Connections
    from analyzer.openings.machine.conclude import Conclusions
    from analyzer.openings.machine.trace import Trace
    from analyzer.openings.steps import Steps
    from analyzer.rules import RuleSet
    from analyzer.rules.machine import Row

__all__ = ["Judged", "judge"]


@dataclass(frozen=True, slots=True)
class Judged:
    """What `judge` returns; arrays have one value per connection unless described otherwise."""

    verdict: IntArray
    """Index in `rules.verdicts`."""
    view: IntArray
    """Index in the machine's views."""
    facts: Mapping[str, BoolArray]
    """bool, by the names of opening.toml's [facts]."""
    numbers: Mapping[str, IntArray]
    """int64, -1 where unknown, by the names of opening.toml's [numbers]."""
    findings: pd.DataFrame
    """As `findings.table.tabulate` returns them; only what the rule set reports."""
    steps: Steps
    trace: Trace
    """Per step: the row that fired and the states after it."""
    rows: tuple[Row, ...]
    """The rows that `trace.row` indexes."""
    cited: BoolArray
    """Per step: whether a reported finding cites it."""
    not_evaluable: Mapping[str, IntArray]
    """By finding: the connections in which its check depends on options that were not captured."""


def judge(connections: Connections, rules: RuleSet, *, min_vector_flows: int = vector.MIN_VECTOR_FLOWS) -> Judged:
    """Return the verdict, findings and steps of every connection.

    With fewer than `min_vector_flows` connections left, the scalar machine runs the rest.
    """
    compiled = compiler.compile_(rules.machine, rules.findings.values())
    steps = steps_.select(connections)
    of_connections = connection.ConnectionFacts(steps, connections, connection_facts(connections))
    trace, blocks, facts = vector.run(compiled, steps, of_connections, min_vector_flows=min_vector_flows)
    found: Conclusions = conclude.conclude(compiled, steps, facts, blocks, trace)
    # Freed here: for a million connections this is hundreds of megabytes.
    del blocks
    of_segment = event.number_checks(rules, "segment", len(compiled.emissions))
    of_segments = segment.SegmentFacts(steps, connections, facts, of_connections)
    not_evaluable = checks.run_segments(of_segment, compiled, of_segments, trace)
    del of_segments, facts
    of_groups = event.number_checks(rules, "correlation", len(compiled.emissions) + len(of_segment))
    trace.events += correlation.run(of_groups, rules.machine, _candidates(of_connections, found))
    emissions = (*compiled.emissions, *(one.id for one in (*of_segment, *of_groups)))
    reported = _reported(trace, emissions, rules, evidence.StepEvidence(steps))
    captures = connections.flows["capture"].to_numpy()
    return Judged(
        verdict=found.verdict,
        view=found.view,
        facts=found.facts,
        numbers=found.numbers,
        findings=evidence.cite_sack_segments(table.tabulate(reported, captures), of_connections, rules),
        steps=steps,
        trace=trace,
        rows=rules.machine.rows,
        cited=_cited(trace, emissions, rules, len(steps)),
        not_evaluable=not_evaluable,
    )


def _cited(trace: Trace, emissions: tuple[str, ...], rules: RuleSet, size: int) -> BoolArray:
    """Return which of `size` steps a reported finding cites."""
    cited = np.zeros(size, bool)
    for one in trace.events:
        if emissions[one.number] in rules.reported:
            cited[one.rows] = True
            for cite in one.cites:
                cited[cite[cite >= 0]] = True
    return cited


def _reported(trace: Trace, emissions: tuple[str, ...], rules: RuleSet, rows: evidence.StepEvidence) -> list[table.Reported]:
    """Return the events of each rule that is reported."""
    events: dict[str, list[event.Event]] = {}
    for one in trace.events:
        events.setdefault(emissions[one.number], []).append(one)
    return [table.Reported(rules.findings[id_], found, rows) for id_, found in events.items() if id_ in rules.reported]


def _candidates(facts: connection.ConnectionFacts, found: Conclusions) -> correlation.Candidates:
    """Return the connections with what correlation needs of them."""
    steps, isn_step = facts.steps, facts.key_steps.isn_step
    known = isn_step >= 0
    isn = np.where(known, steps.columns["seq"][isn_step].astype(np.int64), -1) if len(steps) else isn_step
    first = np.minimum(steps.first[:-1], max(len(steps) - 1, 0))
    return correlation.Candidates(
        flows=facts.connections.flows,
        verdict=found.verdict,
        fact=facts.answer,
        first_row=first,
        client_isn=isn[1::2],
        server_isn=isn[0::2],
        has_syn=facts.key_steps.first_syn >= 0,
    )


def connection_facts(connections: Connections) -> dict[str, Array]:
    """Return the facts of whole connections, by the names of the rule language."""
    flows, segments = connections.flows, connections.segments
    readable = segments["flow"].to_numpy()[segments["header_captured"].to_numpy() >= steps_.FLAGS_END]
    reuse = ["", *REUSE[1:]]
    return {
        "n_client": flows["client_segments"].to_numpy(),
        "n_server": flows["server_segments"].to_numpy(),
        "n_readable": np.bincount(readable, minlength=len(flows)),
        "client_bytes": flows["client_bytes"].to_numpy(),
        "server_bytes": flows["server_bytes"].to_numpy(),
        "capture_end": flows["capture_end"].to_numpy(),
        "reuse": np.array([reuse.index(word) for word in flows["reuse"].cat.categories], np.int8)[flows["reuse"].cat.codes],
    }
