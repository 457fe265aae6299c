"""Run the machine over many connections at once: at step k, the k-th segment of each.

Promises: the first row that fits fires, for every connection as if it were alone; all expressions of a row read the state
before it. Connections are taken in blocks of similar length, and the work of a step is a few array operations for each
group of connections that see the same class in the same states.
Must not know: any row by name.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from analyzer.findings.event import Event
from analyzer.openings.facts.machine import MachineFacts
from analyzer.openings.machine import scalar
from analyzer.openings.machine.block import StepBlock
from analyzer.openings.machine.compiler import EVIDENCE_SIDES
from analyzer.openings.machine.state import StateColumns
from analyzer.openings.machine.trace import Trace
from analyzer.openings.steps import ICMP, UNREADABLE
from analyzer.rules.machine import STATES
from analyzer.schema import NO_TIME

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from analyzer.openings.facts.connection import ConnectionFacts
    from analyzer.openings.machine.compiler import CompiledRow, Emission, Expression, Program
    from analyzer.openings.steps import Steps

Array = np.ndarray[Any, np.dtype[Any]]
Answer = tuple[Any, Any]

BLOCK: Final = 32_768
MIN_VECTOR_FLOWS: Final = 48
"""With fewer connections left than this, one at a time is quicker than arrays."""


@dataclass(frozen=True, slots=True)
class Firing:
    """A row fired for a group: what its findings cite and say."""

    group: Group
    evidence: Array
    cites: tuple[Array, ...]
    numbers: Mapping[str, Array]


class Group:
    """Connections that see the same class in the same states; the environment their rows are evaluated in."""

    def __init__(self, state: StateColumns, facts: MachineFacts, flows: Array, steps: Array, everyone: Array) -> None:
        self.state, self.facts, self.flows, self.steps, self.everyone = state, facts, flows, steps, everyone
        self.at: Array | slice = flows
        """Where the state of these connections stands; a slice spares copies where they are the first of their block."""
        self.bound: dict[str, Array] = {}
        self.cache: dict[str, Answer] = {}
        self.ids: Array | None = None

    def name(self, name: str) -> Answer:
        """Return values and known of a segment's, variable's or connection's name."""
        if name not in self.cache:
            self.cache[name] = self._gather(name)
        return self.cache[name]

    def _gather(self, name: str) -> Answer:
        if name in self.state.values:
            known = self.state.known.get(name)
            return self.state.values[name][self.at], None if known is None else known[self.at]
        if name in self.facts.values:
            known = self.facts.known.get(name)
            return self.facts.values[name][self.steps], None if known is None else known[self.steps]
        if name in {"client", "server"}:
            return getattr(self.state, name)[self.at], None
        if self.ids is None:
            self.ids = self.everyone[self.at]
        flows = self.ids
        if name in self.facts.connection_columns:
            values = self.facts.connection_columns[name][flows]
            return values, None if name != "capture_end" else values != NO_TIME
        values, known = self.facts.connection_facts.answer(name)
        return values[flows], None if known is None else known[flows]

    def field(self, record: str, name: str) -> Answer:
        """Return values and known of the bound member, else of the newest."""
        candidates = self.state.records[record]
        if candidates.width == 1:
            return candidates.values[name][0, self.at], candidates.known[name][0, self.at]
        slot = self.slot(record)
        known = candidates.known[name][slot, self.flows] & (candidates.count[self.flows] > slot)
        return candidates.values[name][slot, self.flows], known

    def slot(self, record: str) -> Array:
        """Return the member of `record` that is meant, per connection."""
        return self.bound[record] if record in self.bound else self.state.records[record].newest[self.flows]

    def cited(self, record: str) -> Array:
        """Return the step that added the member that is meant, -1 when there is none."""
        candidates, slot = self.state.records[record], self.slot(record)
        step: Array = np.where(candidates.count[self.flows] > slot, candidates.step[slot, self.flows], -1)
        return step

    def seen(self, id_: str) -> Array:
        """Return whether the row or finding has been seen."""
        return self.state.seen[id_][self.at]

    def lost(self, record: str) -> Array:
        """Return whether a member of the record had to make room."""
        return self.state.records[record].lost[self.at]

    def part(self, rows: Array) -> Group:
        """Return the group of the connections at `rows` of this one."""
        part = Group(self.state, self.facts, self.flows[rows], self.steps[rows], self.everyone)
        part.bound = {record: slot[rows] for record, slot in self.bound.items()}
        return part

    def part_of_end(self, rows: Array) -> Group:
        """Return the group of the connections at `rows`, when there is no step at hand."""
        return Group(self.state, self.facts, self.flows[rows], self.steps, self.everyone)

    def holds(self, condition: Expression | None) -> Array:
        """Return where `condition` holds."""
        if condition is None:
            return np.ones(len(self.flows), bool)
        values, _ = condition.many(self)
        return np.broadcast_to(np.asarray(values, bool), len(self.flows))


def run(
    program: Program, steps: Steps, connection_facts: ConnectionFacts, *, few: int = MIN_VECTOR_FLOWS
) -> tuple[Trace, Iterator[tuple[Array, StateColumns]], MachineFacts]:
    """Begin to run `program` over all `steps`; return the log, and each block's connections with their last state.

    A block runs when it is asked for, so that no more than one state has to be kept; the log is complete when all have run.
    `few` is the number of connections below which they are finished one at a time.
    """
    size = len(steps)
    client, server, client_textbook, server_textbook = (np.zeros(size, np.int8) for _ in range(4))
    log = Trace(classes_of(program, steps), np.full(size, -1, np.int16), client, server, client_textbook, server_textbook)
    facts = MachineFacts(steps, connection_facts)
    return log, _run_blocks(program, steps, facts, log, few), facts


def _run_blocks(program: Program, steps: Steps, facts: MachineFacts, log: Trace, few: int) -> Iterator[tuple[Array, StateColumns]]:
    codes = log.seen * np.int32(EVIDENCE_SIDES)
    order = np.argsort(-steps.counts, kind="stable")
    for begin in range(0, len(order), BLOCK):
        flows = order[begin : begin + BLOCK]
        state = StateColumns(program, len(flows))
        _run_block(StepBlock(program, facts, codes, flows, steps.counts[flows], steps.first[flows], state, log), few)
        yield flows, state
        del state


def classes_of(program: Program, steps: Steps) -> Array:
    """Return, per step, by_client * classes + class."""
    columns = steps.columns
    kinds = np.full(4096, len(program.machine.classes) - 1, np.int16)
    settled = np.zeros(4096, bool)
    flags = np.arange(4096)
    for number, (_, tests) in enumerate(program.machine.classes):
        for wanted, mask in tests:
            fits = ~settled & (flags & mask == wanted)
            kinds[fits] = number
            settled |= fits
    found = kinds[columns["flags"] & 0xFFF]
    found[columns["kind"] == ICMP] = program.classes.index("icmp")
    found[columns["kind"] == UNREADABLE] = program.classes.index("unreadable")
    codes: Array = (columns["by_client"] * len(program.classes) + found).astype(np.int32)
    return codes


def _run_block(block: StepBlock, few: int) -> None:
    state, log = block.state, block.log
    for place in range(int(block.counts.max(initial=0))):
        live = int(np.searchsorted(-block.counts, -place, side="left"))
        if live < few:
            scalar.finish(block, range(live), place)
            return
        positions = block.first[:live] + place
        cells = block.codes[positions] + state.client[:live] * np.int32(len(STATES)) + state.server[:live]
        order = np.argsort(cells, kind="stable")
        ordered = cells[order]
        cuts = np.flatnonzero(ordered[1:] != ordered[:-1]) + 1
        for begin, end in zip((0, *cuts), (*cuts, live), strict=True):
            flows = order[begin:end]
            group = Group(state, block.facts, flows, positions[flows], block.everyone)
            if len(flows) == live:
                group.at = slice(0, live)
            _fire(block.program.table[ordered[begin]], group, log)
        for name in ("client", "server", "client_textbook", "server_textbook"):
            getattr(log, name)[positions] = getattr(state, name)[:live]


def _fire(candidates: Sequence[CompiledRow], group: Group, log: Trace) -> None:
    """Let the first row that fits fire, for every connection of the group."""
    for step in candidates:
        hit, bound = _match(step, group)
        if not len(hit):
            continue
        everyone = len(hit) == len(group.flows)
        chosen = group if everyone and not bound else group.part(hit)
        chosen.bound = bound
        _apply(step, chosen, log)
        if everyone:
            return
        left = np.ones(len(group.flows), bool)
        left[hit] = False
        group = group.part(np.flatnonzero(left))


def _match(step: CompiledRow, group: Group) -> tuple[Array, dict[str, Array]]:
    """Return which connections of the group the row fits, and the members it binds there."""
    size = len(group.flows)
    open_rows = np.arange(size)
    if step.row.settles is not None:
        open_rows = np.flatnonzero(group.state.pending[step.row.settles][group.flows])
    if step.when is None or not len(open_rows):
        return open_rows, {}
    if not step.row.binds:
        part = group if len(open_rows) == size else group.part(open_rows)
        return open_rows[part.holds(step.when)], {}
    hits: list[Array] = []
    slots: list[tuple[int, ...]] = []
    records = [group.state.records[name] for name in step.row.binds]
    for members in product(*(range(record.width) for record in records)):
        rows = open_rows
        for record, member in zip(records, members, strict=True):
            rows = rows[record.count[group.flows[rows]] > member]
        if not len(rows):
            continue
        part = group if len(rows) == size else group.part(rows)
        part.bound = {name: np.full(len(rows), member, np.int16) for name, member in zip(step.row.binds, members, strict=True)}
        found = rows[part.holds(step.when)]
        part.bound = {}
        hits.append(found)
        slots.append(members)
        open_rows = np.setdiff1d(open_rows, found, assume_unique=True)
    return _gathered(step, hits, slots)


def _gathered(step: CompiledRow, hits: list[Array], slots: list[tuple[int, ...]]) -> tuple[Array, dict[str, Array]]:
    if not hits:
        return np.zeros(0, np.int64), {}
    hit = np.concatenate(hits)
    bound = {
        name: np.concatenate([np.full(len(found), members[place], np.int16) for found, members in zip(hits, slots, strict=True)])
        for place, name in enumerate(step.row.binds)
    }
    return hit, bound


def _apply(step: CompiledRow, group: Group, log: Trace) -> None:
    """Do what the row says for every connection of the group."""
    row, state, flows = step.row, group.state, group.flows
    assigned = [(record, name, *_settled(expression.many(group))) for record, name, expression in step.set]
    taken = [(name, *_settled(expression.many(group))) for name, expression in step.takes]
    emitted = [(report, group.holds(report.when).copy()) for report in step.reports]
    numbers = {name: _number(expression.many(group)) // expression.unit for name, expression in step.say} if step.say else {}
    cites = tuple(group.cited(record) for record in row.evidence)
    evidence = group.steps
    if row.settles is not None:
        cites, evidence = (*cites, group.steps), state.held_step[row.settles][flows]
    firing = Firing(group, evidence, cites, numbers)
    for report, where in emitted:
        _emit(report, where, firing, log)
    if row.holds is not None:
        _hold(row.holds, taken, firing, log)
    if row.settles is not None:
        state.pending[row.settles][flows] = False
    log.row[group.steps] = step.number
    if row.id in state.seen:
        state.seen[row.id][flows] = True
    for name in row.add:
        state.records[name].add(flows, group.steps)
        group.bound[name] = state.records[name].newest[flows]
    _assign(group, assigned)
    for name in row.keep:
        state.records[name].keep(flows, group.slot(name))
    for column, code in (
        (state.client, row.to[0]),
        (state.server, row.to[1]),
        (state.client_textbook, row.textbook[0]),
        (state.server_textbook, row.textbook[1]),
    ):
        if code is not None:
            column[flows] = code


def _assign(group: Group, assigned: Sequence[tuple[str | None, str, Any, Any]]) -> None:
    for record, name, values, known in assigned:
        if record is None:
            group.state.assign(name, group.flows, values, known)
            continue
        candidates, slot = group.state.records[record], group.slot(record)
        candidates.values[name][slot, group.flows] = values
        candidates.known[name][slot, group.flows] = True if known is None else known


def _settled(answer: Answer) -> Answer:
    """Return the answer as it is now, whatever is assigned to what it may be a view of."""
    values, known = (part.copy() if isinstance(part, np.ndarray) and part.base is not None else part for part in answer)
    return values, known


def _number(answer: Answer) -> Array:
    """Return values as int64, -1 where unknown."""
    values, known = answer
    values = np.asarray(values).astype(np.int64)
    return values if known is None else np.where(known, values, -1)


def _emit(report: Emission, where: Array, firing: Firing, log: Trace) -> None:
    rows = np.flatnonzero(where)
    group = firing.group
    if not len(rows):
        return
    if report.id in group.state.seen:
        group.state.seen[report.id][group.flows[rows]] = True
    log.events.append(_event(report.number, rows, firing))


def _hold(name: str, taken: Sequence[tuple[str, Any, Any]], firing: Firing, log: Trace) -> None:
    """Start the hold where none is pending."""
    group, state = firing.group, firing.group.state
    rows = np.flatnonzero(~state.pending[name][group.flows])
    flows = group.flows[rows]
    state.pending[name][flows] = True
    state.held_step[name][flows] = group.steps[rows]
    for variable, values, known in taken:
        chosen = np.broadcast_to(values, len(group.flows))[rows]
        state.assign(variable, flows, chosen, None if known is None else known[rows])
    log.events.append(_event(-1, rows, firing, name))


def _event(number: int, rows: Array, firing: Firing, hold: str = "") -> Event:
    group = firing.group
    said = {name: np.broadcast_to(values, len(group.flows))[rows] for name, values in firing.numbers.items()}
    cites = tuple(cite[rows] for cite in firing.cites)
    return Event(number, group.everyone[group.flows[rows]], firing.evidence[rows], cites, said, hold)
