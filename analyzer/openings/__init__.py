"""Connections ─► verdicts: the machine of rules/opening.toml run over all of them at once.

Promises: every connection gets exactly one verdict, whatever its segments are; time grows with the steps alone. No
transition, verdict or finding is named in Python: the rules are the only place that knows them.
Must not know: files, output formats, application protocols.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

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

    from analyzer.connections import Connections
    from analyzer.openings.machine.conclude import Conclusions
    from analyzer.openings.machine.trace import Trace
    from analyzer.openings.steps import Steps
    from analyzer.rules import RuleSet
    from analyzer.rules.machine import Row

Array = np.ndarray[Any, np.dtype[Any]]

__all__ = ["Judged", "judge"]


@dataclass(frozen=True, slots=True)
class Judged:
    """What `judge` returns; arrays have a value a connection unless they say otherwise."""

    verdict: Array
    """Index in `rules.verdicts`."""
    view: Array
    """Index in the machine's views."""
    facts: Mapping[str, Array]
    """bool, by the names of opening.toml's [facts]."""
    numbers: Mapping[str, Array]
    """int64, -1 where unknown, by the names of opening.toml's [numbers]."""
    findings: pd.DataFrame
    """As `findings.table.tabulate` returns them; only what the rule set reports."""
    steps: Steps
    log: Trace
    """Per step: the row that fired and the states after it."""
    rows: tuple[Row, ...]
    """The rows that `log.row` counts."""
    cited: Array
    """Per step: whether a reported finding cites it."""
    not_evaluable: Mapping[str, Array]
    """By finding: the connections in which its check hung on options that were not captured."""


def judge(connections: Connections, rules: RuleSet, *, few: int = vector.MIN_VECTOR_FLOWS) -> Judged:
    """Return the verdict, findings and steps of every connection."""
    compiled = compiler.compile_(rules.machine, rules.findings.values())
    steps = steps_.select(connections)
    known = connection.ConnectionFacts(steps, connections, connection_facts(connections))
    log, blocks, facts = vector.run(compiled, steps, known, few=few)
    found: Conclusions = conclude.conclude(compiled, steps, facts, blocks, log)
    # What is done with goes at once: of a million connections it would be hundreds of megabytes.
    del blocks
    single = event.number_checks(rules, "segment", len(compiled.emissions))
    details = segment.SegmentFacts(steps, connections, facts, known)
    unknown = checks.run_segments(single, compiled, details, log)
    del details, facts
    group_wide = event.number_checks(rules, "correlation", len(compiled.emissions) + len(single))
    log.events += correlation.run(group_wide, rules.machine, _candidates(known, found))
    emissions = (*compiled.emissions, *(one.id for one in (*single, *group_wide)))
    reported = _reported(log, emissions, rules, evidence.StepEvidence(steps))
    captures = connections.flows["capture"].to_numpy()
    return Judged(
        verdict=found.verdict,
        view=found.view,
        facts=found.facts,
        numbers=found.numbers,
        findings=evidence.cite_sack_segments(table.tabulate(reported, captures), known, rules),
        steps=steps,
        log=log,
        rows=rules.machine.rows,
        cited=_cited(log, emissions, rules, len(steps)),
        not_evaluable=unknown,
    )


def _cited(log: Trace, emissions: tuple[str, ...], rules: RuleSet, size: int) -> Array:
    cited = np.zeros(size, bool)
    for one in log.events:
        if emissions[one.number] in rules.reported:
            cited[one.rows] = True
            for cite in one.cites:
                cited[cite[cite >= 0]] = True
    return cited


def _reported(log: Trace, emissions: tuple[str, ...], rules: RuleSet, rows: evidence.StepEvidence) -> list[table.Reported]:
    """Return the events of each rule that is reported."""
    events: dict[str, list[event.Event]] = {}
    for one in log.events:
        events.setdefault(emissions[one.number], []).append(one)
    return [table.Reported(rules.findings[id_], found, rows) for id_, found in events.items() if id_ in rules.reported]


def _candidates(facts: connection.ConnectionFacts, found: Conclusions) -> correlation.Candidates:
    """Return the connections as correlation groups them."""
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
    words = ["", *REUSE[1:]]
    return {
        "n_client": flows["client_segments"].to_numpy(),
        "n_server": flows["server_segments"].to_numpy(),
        "n_readable": np.bincount(readable, minlength=len(flows)),
        "client_bytes": flows["client_bytes"].to_numpy(),
        "server_bytes": flows["server_bytes"].to_numpy(),
        "capture_end": flows["capture_end"].to_numpy(),
        "reuse": np.array([words.index(word) for word in flows["reuse"].cat.categories], np.int8)[flows["reuse"].cat.codes],
    }
