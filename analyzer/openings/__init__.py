"""Connections ─► verdicts: the machine of rules/opening.toml run over all of them at once.

Promises: every connection gets exactly one verdict, whatever its segments are; time grows with the steps alone. No
transition, verdict or finding is named in Python: the rules are the only place that knows them.
Must not know: files, output formats, application protocols.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from analyzer.openings import checks, correlation, findings
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
    """Columns flow, id, severity, step, frames, message; only what the rule set reports."""
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
    single = checks.entries(rules, "segment", len(compiled.emissions))
    details = segment.SegmentFacts(steps, connections, facts, known)
    unknown = checks.run_segments(single, compiled, details, log)
    del details, facts
    group_wide = checks.entries(rules, "job", len(compiled.emissions) + len(single))
    correlation.run(group_wide, compiled, known, found, log)
    emissions = (*compiled.emissions, *(entry.id for entry in (*single, *group_wide)))
    table = findings.cite_rows(findings.tabulate(log.events, emissions, steps, rules), known, rules)
    return Judged(
        verdict=found.verdict,
        view=found.view,
        facts=found.facts,
        numbers=found.numbers,
        findings=table[table["id"].isin(rules.reported)].reset_index(drop=True),
        steps=steps,
        log=log,
        rows=rules.machine.rows,
        cited=_cited(log, emissions, rules, len(steps)),
        not_evaluable=unknown,
    )


def _cited(log: Trace, emissions: tuple[str, ...], rules: RuleSet, size: int) -> Array:
    cited = np.zeros(size, bool)
    for event in log.events:
        if emissions[event.number] in rules.reported:
            cited[event.steps] = True
            for cite in event.cites:
                cited[cite[cite >= 0]] = True
    return cited


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
