"""Conclude a run after the last step: pending holds, verdicts, views, facts and numbers.

Every connection gets exactly one verdict, the first whose condition holds; an unknown condition does not hold.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from analyzer.findings.event import Event
from analyzer.openings.machine.vector import Group

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from analyzer._typing import BoolArray, IntArray
    from analyzer.openings.facts.machine import MachineFacts
    from analyzer.openings.machine.compiler import CompiledEnding, Expression, Program
    from analyzer.openings.machine.state import StateColumns
    from analyzer.openings.machine.trace import Trace
    from analyzer.openings.steps import Steps


@dataclass(frozen=True, slots=True)
class Conclusions:
    """The result; every array has one value per connection."""

    verdict: IntArray
    """Index in the machine's verdicts."""
    view: IntArray
    """Index in the machine's views."""
    facts: Mapping[str, BoolArray]
    numbers: Mapping[str, IntArray]
    """int64, -1 where unknown."""


def conclude(
    program: Program, steps: Steps, facts: MachineFacts, blocks: Iterator[tuple[IntArray, StateColumns]], trace: Trace
) -> Conclusions:
    """Return the conclusions of `blocks`, which run one after another, and add the events that conclusions emit to the trace."""
    size = len(steps.first) - 1
    found = Conclusions(
        np.zeros(size, np.int8),
        np.zeros(size, np.int8),
        {name: np.zeros(size, bool) for name in program.facts},
        {name: np.full(size, -1, np.int64) for name in program.numbers},
    )
    position, done = np.empty(size, np.int64), 0
    for rows, state in blocks:
        group = Group(state, facts, np.arange(len(rows)), np.zeros(0, np.int64), rows)
        group.at = slice(0, len(rows))
        position[rows] = group.flows
        held = [event for event in trace.events[done:] if event.hold]
        trace.events[done:] = [event for event in trace.events[done:] if not event.hold]
        _release(program, group, held, position, trace)
        _conclude_block(program, steps, group, found, trace)
        done = len(trace.events)
    return found


def _release(program: Program, group: Group, held: Iterable[Event], position: IntArray, trace: Trace) -> None:
    """Emit the events of holds that no row settled; `position` is the index of each connection in the group."""
    state = group.state
    for event in held:
        rows = position[event.flows]
        mine = np.flatnonzero(state.pending[event.hold][rows] & (state.held_step[event.hold][rows] == event.rows))
        rows = rows[mine]
        if not len(rows):
            continue
        part = group.without_step(rows)
        for report in program.held[event.hold]:
            chosen = np.flatnonzero(part.holds(report.when))
            picked = mine[chosen]
            if report.id in state.seen:
                state.seen[report.id][rows[chosen]] = True
            trace.events.append(
                replace(
                    event,
                    number=report.number,
                    flows=event.flows[picked],
                    rows=event.rows[picked],
                    cites=tuple(cite[picked] for cite in event.cites),
                    numbers={name: values[picked] for name, values in event.numbers.items()},
                    hold="",
                )
            )


def _conclude_block(program: Program, steps: Steps, group: Group, found: Conclusions, trace: Trace) -> None:
    rows = group.rows
    found.verdict[rows] = verdicts = _choose(program.verdicts, group)
    found.view[rows] = _choose(program.views, group)
    for name, expression in program.facts.items():
        found.facts[name][rows] = group.holds(expression)
    for name, expression in program.numbers.items():
        values, known = expression.vector(group)
        found.numbers[name][rows] = values if known is None else np.where(known, np.asarray(values).astype(np.int64), -1)
    first, last = steps.first[rows], np.maximum(steps.first[rows + 1] - 1, 0)
    for number, ending in enumerate(program.verdicts):
        _report(ending, np.flatnonzero(verdicts == number), last, group, trace)
    for ending in program.observations:
        _report(ending, _holding(ending, group), first, group, trace)


def _holding(ending: CompiledEnding, group: Group) -> IntArray:
    """Return the connections for which `ending` holds."""
    if not ending.conjuncts:
        return np.flatnonzero(group.holds(ending.when))
    rows = np.arange(len(group.flows))
    for number, expression in enumerate(ending.conjuncts):
        part = group if number == 0 else group.without_step(rows)
        values, known = expression.vector(part)
        rows = rows[np.broadcast_to(values if known is None else values & known, len(rows))]
        if not len(rows):
            break
    return rows


def _report(ending: CompiledEnding, rows: IntArray, evidence: IntArray, group: Group, trace: Trace) -> None:
    """Emit the findings of `ending` for the connections at `rows`; the evidence is what it cites, else the given step."""
    if not ending.reports or not len(rows):
        return
    part = group.without_step(rows)
    flows = group.rows[rows]
    key_steps = group.facts.connection_facts.key_steps
    cites = [part.cited(name) if name in group.state.records else key_steps.step(name)[flows] for name in ending.evidence]
    numbers = {name: _message_values(expression, part) for name, expression in ending.values}
    steps = evidence[rows] if not cites else np.where(cites[0] >= 0, cites[0], evidence[rows])
    for report in ending.reports:
        chosen = np.flatnonzero(part.holds(report.when))
        chosen_numbers = {name: values[chosen] for name, values in numbers.items()}
        trace.events.append(Event(report.number, flows[chosen], steps[chosen], tuple(cite[chosen] for cite in cites[1:]), chosen_numbers))


def _message_values(expression: Expression, part: Group) -> IntArray:
    """Return the values for a message, -1 where unknown; durations in milliseconds."""
    values, known = expression.vector(part)
    numbers = np.broadcast_to(np.asarray(values).astype(np.int64), len(part.flows))
    numbers = numbers // expression.unit
    return numbers if known is None else np.where(known, numbers, -1)


def _choose(endings: Sequence[CompiledEnding], group: Group) -> IntArray:
    """Return, per connection, the first ending that holds."""
    chosen = np.full(len(group.flows), -1, np.int8)
    for number, ending in enumerate(endings):
        chosen[(chosen < 0) & group.holds(ending.when)] = number
    return chosen
