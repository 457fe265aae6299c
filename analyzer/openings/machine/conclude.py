"""When all steps are done: what holds still keep back, verdicts, views, facts and numbers.

Promises: the first verdict whose condition holds, for every connection exactly one; what is unknown does not hold.
Must not know: any verdict by name.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from analyzer.findings.event import Event
from analyzer.openings.machine.vector import Group

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from analyzer.openings.facts.machine import MachineFacts
    from analyzer.openings.machine.compiler import CompiledEnding, Expression, Program
    from analyzer.openings.machine.state import StateColumns
    from analyzer.openings.machine.trace import Trace
    from analyzer.openings.steps import Steps

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True)
class Conclusions:
    """One value a connection in every array."""

    verdict: Array
    """Index in the machine's verdicts."""
    view: Array
    """Index in the machine's views."""
    facts: Mapping[str, Array]
    numbers: Mapping[str, Array]
    """int64, -1 where unknown."""


def conclude(program: Program, steps: Steps, facts: MachineFacts, blocks: Iterator[tuple[Array, StateColumns]], log: Trace) -> Conclusions:
    """Return the conclusions, and add to the log what only the end shows; `blocks` are run one after another."""
    size = len(steps.first) - 1
    found = Conclusions(
        np.zeros(size, np.int8),
        np.zeros(size, np.int8),
        {name: np.zeros(size, bool) for name in program.facts},
        {name: np.full(size, -1, np.int64) for name in program.numbers},
    )
    place, settled = np.empty(size, np.int64), 0
    for everyone, state in blocks:
        group = Group(state, facts, np.arange(len(everyone)), np.zeros(0, np.int64), everyone)
        group.at = slice(0, len(everyone))
        place[everyone] = group.flows
        kept_back = [event for event in log.events[settled:] if event.hold]
        log.events[settled:] = [event for event in log.events[settled:] if not event.hold]
        _release(program, group, kept_back, place, log)
        _conclude_block(program, steps, group, found, log)
        settled = len(log.events)
    return found


def _release(program: Program, group: Group, kept_back: Iterable[Event], place: Array, log: Trace) -> None:
    """Emit what the group held back and never settled; `place` is where each of its connections stands in it."""
    state = group.state
    for event in kept_back:
        rows = place[event.flows]
        mine = np.flatnonzero(state.pending[event.hold][rows] & (state.held_step[event.hold][rows] == event.rows))
        rows = rows[mine]
        if not len(rows):
            continue
        part = group.part_of_end(rows)
        for report in program.held[event.hold]:
            chosen = np.flatnonzero(part.holds(report.when))
            picked = mine[chosen]
            if report.id in state.seen:
                state.seen[report.id][rows[chosen]] = True
            log.events.append(
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


def _conclude_block(program: Program, steps: Steps, group: Group, found: Conclusions, log: Trace) -> None:
    everyone = group.everyone
    found.verdict[everyone] = verdicts = _choose(program.verdicts, group)
    found.view[everyone] = _choose(program.views, group)
    for name, expression in program.facts.items():
        found.facts[name][everyone] = group.holds(expression)
    for name, expression in program.numbers.items():
        values, known = expression.many(group)
        found.numbers[name][everyone] = values if known is None else np.where(known, np.asarray(values).astype(np.int64), -1)
    first, last = steps.first[everyone], np.maximum(steps.first[everyone + 1] - 1, 0)
    for number, ending in enumerate(program.verdicts):
        _report(ending, np.flatnonzero(verdicts == number), last, group, log)
    for ending in program.observations:
        _report(ending, _holding(ending, group), first, group, log)


def _holding(ending: CompiledEnding, group: Group) -> Array:
    """Return the connections for which `ending` holds, each part of its condition tried where those before it hold."""
    if not ending.parts:
        return np.flatnonzero(group.holds(ending.when))
    rows = np.arange(len(group.flows))
    for number, part in enumerate(ending.parts):
        some = group if number == 0 else group.part_of_end(rows)
        values, known = part.many(some)
        rows = rows[np.broadcast_to(values if known is None else values & known, len(rows))]
        if not len(rows):
            break
    return rows


def _report(ending: CompiledEnding, rows: Array, evidence: Array, group: Group, log: Trace) -> None:
    """Emit what `ending` reports of the connections at `rows`; what it cites is the evidence, else the step given."""
    if not ending.reports or not len(rows):
        return
    part = group.part_of_end(rows)
    flows = group.everyone[rows]
    key_steps = group.facts.connection_facts.key_steps
    cites = [part.cited(name) if name in group.state.records else key_steps.step(name)[flows] for name in ending.cite]
    numbers = {name: _said(expression, part) for name, expression in ending.say}
    steps = evidence[rows] if not cites else np.where(cites[0] >= 0, cites[0], evidence[rows])
    for report in ending.reports:
        chosen = np.flatnonzero(part.holds(report.when))
        said = {name: values[chosen] for name, values in numbers.items()}
        log.events.append(Event(report.number, flows[chosen], steps[chosen], tuple(cite[chosen] for cite in cites[1:]), said))


def _said(expression: Expression, part: Group) -> Array:
    """Return the numbers for a message; durations in milliseconds."""
    values, known = expression.many(part)
    numbers = np.broadcast_to(np.asarray(values).astype(np.int64), len(part.flows))
    numbers = numbers // expression.unit
    return numbers if known is None else np.where(known, numbers, -1)


def _choose(endings: Sequence[CompiledEnding], group: Group) -> Array:
    """Return, per connection, the first ending that holds."""
    chosen = np.full(len(group.flows), -1, np.int8)
    for number, ending in enumerate(endings):
        chosen[(chosen < 0) & group.holds(ending.when)] = number
    return chosen
