"""Run the state machine over many connections at once: step k of all of them together.

The first row that matches is applied, for every connection as if it were alone; all expressions of a row read the state before it.
Connections are divided into blocks of similar length. A step takes a few array operations for each group of connections that have the
same segment class in the same states. `scalar` is the specification.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from analyzer.findings.event import Event
from analyzer.openings.facts.machine import MachineFacts
from analyzer.openings.machine import scalar
from analyzer.openings.machine.block import StepBlock
from analyzer.openings.machine.compiler import JOINT_STATES
from analyzer.openings.machine.state import StateColumns
from analyzer.openings.machine.trace import Trace
from analyzer.openings.steps import ICMP, UNREADABLE
from analyzer.rules.machine import STATES
from analyzer.schema import NO_TIME

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from analyzer._typing import BoolArray, IntArray
    from analyzer.openings.facts.connection import ConnectionFacts
    from analyzer.openings.machine.compiler import CompiledRow, Emission, Expression, Program
    from analyzer.openings.steps import Steps

Computed: TypeAlias = tuple[Any, Any]
"""Values, arrays or scalars, and where they are known."""

BLOCK_FLOWS: Final = 32_768
"""Connections of a block, which bounds the memory of their state."""
MIN_VECTOR_FLOWS: Final = 48
"""With fewer connections left, the scalar implementation is faster."""


@dataclass(frozen=True, slots=True)
class Firing:
    """A row applied to a group: what its findings cite, and the values of their messages."""

    group: Group
    evidence: IntArray
    cites: tuple[IntArray, ...]
    numbers: Mapping[str, IntArray]


class Group:
    """Connections with the same segment class in the same states: the environment of the conditions of their rows."""

    def __init__(self, state: StateColumns, facts: MachineFacts, flows: IntArray, steps: IntArray, rows: IntArray) -> None:
        """Take positions in the block, the current step of each, and the row of every connection of the block."""
        self.state, self.facts, self.flows, self.steps, self.rows = state, facts, flows, steps, rows
        self.at: IntArray | slice = flows
        """Index into the columns of the state: a slice, which avoids copies, where the group is the first part of the block."""
        self.bound: dict[str, IntArray] = {}
        self.cache: dict[str, Computed] = {}
        self._group_rows: IntArray | None = None

    def name(self, name: str) -> Computed:
        """Return the values of a fact of the segment, a variable or a fact of the connection, and where they are known."""
        if name not in self.cache:
            self.cache[name] = self._gather(name)
        return self.cache[name]

    def _gather(self, name: str) -> Computed:
        if name in self.state.values:
            known = self.state.known.get(name)
            return self.state.values[name][self.at], None if known is None else known[self.at]
        if name in self.facts.values:
            known = self.facts.known.get(name)
            return self.facts.values[name][self.steps], None if known is None else known[self.steps]
        if name in {"client", "server"}:
            return getattr(self.state, name)[self.at], None
        if self._group_rows is None:
            self._group_rows = self.rows[self.at]
        rows = self._group_rows
        if name in self.facts.connection_columns:
            values = self.facts.connection_columns[name][rows]
            return values, None if name != "capture_end" else values != NO_TIME
        values, known = self.facts.connection_facts.answer(name)
        return values[rows], None if known is None else known[rows]

    def field(self, record: str, name: str) -> Computed:
        """Return a field of the bound member, of the newest where none is bound, and where it is known."""
        columns = self.state.records[record]
        if columns.width == 1:
            return columns.values[name][0, self.at], columns.known[name][0, self.at]
        slot = self.slot(record)
        known = columns.known[name][slot, self.flows] & (columns.count[self.flows] > slot)
        return columns.values[name][slot, self.flows], known

    def slot(self, record: str) -> IntArray:
        """Return the bound member of `record` of each connection, the newest where none is bound."""
        return self.bound[record] if record in self.bound else self.state.records[record].newest[self.flows]

    def cited(self, record: str) -> IntArray:
        """Return the step that added the member which `slot` returns, -1 where there is none."""
        columns, slot = self.state.records[record], self.slot(record)
        step: IntArray = np.where(columns.count[self.flows] > slot, columns.step[slot, self.flows], -1)
        return step

    def seen(self, id_: str) -> BoolArray:
        """Return whether the row has fired, or the finding was emitted."""
        return self.state.seen[id_][self.at]

    def lost(self, record: str) -> BoolArray:
        """Return whether a member of the record was evicted."""
        return self.state.records[record].lost[self.at]

    def part(self, chosen: IntArray) -> Group:
        """Return the group of the `chosen` connections of this one."""
        part = Group(self.state, self.facts, self.flows[chosen], self.steps[chosen], self.rows)
        part.bound = {record: slot[chosen] for record, slot in self.bound.items()}
        return part

    def without_step(self, chosen: IntArray) -> Group:
        """Return the group of the `chosen` connections, after their last step."""
        return Group(self.state, self.facts, self.flows[chosen], self.steps, self.rows)

    def holds(self, condition: Expression | None) -> BoolArray:
        """Return where `condition` holds."""
        if condition is None:
            return np.ones(len(self.flows), bool)
        values, _ = condition.vector(self)
        return np.broadcast_to(np.asarray(values, bool), len(self.flows))


def run(
    program: Program, steps: Steps, connection_facts: ConnectionFacts, *, min_vector_flows: int = MIN_VECTOR_FLOWS
) -> tuple[Trace, Iterator[tuple[IntArray, StateColumns]], MachineFacts]:
    """Return the trace, an iterator that runs `program` block by block, and the facts it reads.

    The iterator yields the rows of a block's connections and their last state; one state is in memory at a time. The trace is complete
    when the iterator is exhausted. With fewer than `min_vector_flows` connections left, `scalar` finishes a block.
    """
    size = len(steps)
    client, server, client_textbook, server_textbook = (np.zeros(size, np.int8) for _ in range(4))
    trace = Trace(classes_of(program, steps), np.full(size, -1, np.int16), client, server, client_textbook, server_textbook)
    facts = MachineFacts(steps, connection_facts)
    return trace, _run_blocks(program, steps, facts, trace, min_vector_flows), facts


def _run_blocks(
    program: Program, steps: Steps, facts: MachineFacts, trace: Trace, min_vector_flows: int
) -> Iterator[tuple[IntArray, StateColumns]]:
    codes = trace.class_codes * np.int32(JOINT_STATES)
    order = np.argsort(-steps.counts, kind="stable")
    for begin in range(0, len(order), BLOCK_FLOWS):
        flows = order[begin : begin + BLOCK_FLOWS]
        state = StateColumns(program, len(flows))
        _run_block(StepBlock(program, facts, codes, flows, steps.counts[flows], steps.first[flows], state, trace), min_vector_flows)
        yield flows, state
        del state


def classes_of(program: Program, steps: Steps) -> IntArray:
    """Return by_client * classes + class of each step."""
    columns = steps.columns
    classes = np.full(4096, len(program.machine.classes) - 1, np.int16)
    assigned = np.zeros(4096, bool)
    flags = np.arange(4096)
    for number, (_, tests) in enumerate(program.machine.classes):
        for wanted, mask in tests:
            fits = ~assigned & (flags & mask == wanted)
            classes[fits] = number
            assigned |= fits
    found = classes[columns["flags"] & 0xFFF]
    found[columns["kind"] == ICMP] = program.classes.index("icmp")
    found[columns["kind"] == UNREADABLE] = program.classes.index("unreadable")
    codes: IntArray = (columns["by_client"] * len(program.classes) + found).astype(np.int32)
    return codes


def _run_block(block: StepBlock, min_vector_flows: int) -> None:
    state, trace = block.state, block.trace
    for done in range(int(block.counts.max(initial=0))):
        live = int(np.searchsorted(-block.counts, -done, side="left"))
        if live < min_vector_flows:
            scalar.finish(block, range(live), done)
            return
        positions = block.first[:live] + done
        keys = block.codes[positions] + state.client[:live] * np.int32(len(STATES)) + state.server[:live]
        order = np.argsort(keys, kind="stable")
        ordered = keys[order]
        cuts = np.flatnonzero(ordered[1:] != ordered[:-1]) + 1
        for begin, end in zip((0, *cuts), (*cuts, live), strict=True):
            flows = order[begin:end]
            group = Group(state, block.facts, flows, positions[flows], block.rows)
            if len(flows) == live:
                group.at = slice(0, live)
            _fire(block.program.table[ordered[begin]], group, trace)
        for name in ("client", "server", "client_textbook", "server_textbook"):
            getattr(trace, name)[positions] = getattr(state, name)[:live]


def _fire(candidates: Sequence[CompiledRow], group: Group, trace: Trace) -> None:
    """Apply the first row that matches, for every connection of the group."""
    for step in candidates:
        hit, bound = _match(step, group)
        if not len(hit):
            continue
        all_match = len(hit) == len(group.flows)
        chosen = group if all_match and not bound else group.part(hit)
        chosen.bound = bound
        _apply(step, chosen, trace)
        if all_match:
            return
        left = np.ones(len(group.flows), bool)
        left[hit] = False
        group = group.part(np.flatnonzero(left))


def _match(step: CompiledRow, group: Group) -> tuple[IntArray, dict[str, IntArray]]:
    """Return which connections of the group the row matches, and the members it binds there."""
    size = len(group.flows)
    open_rows = np.arange(size)
    if step.row.settles is not None:
        open_rows = np.flatnonzero(group.state.pending[step.row.settles][group.flows])
    if step.when is None or not len(open_rows):
        return open_rows, {}
    if not step.row.binds:
        part = group if len(open_rows) == size else group.part(open_rows)
        return open_rows[part.holds(step.when)], {}
    hits: list[IntArray] = []
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
    return _concatenate(step, hits, slots)


def _concatenate(step: CompiledRow, hits: list[IntArray], slots: list[tuple[int, ...]]) -> tuple[IntArray, dict[str, IntArray]]:
    if not hits:
        return np.zeros(0, np.int64), {}
    hit = np.concatenate(hits)
    bound = {
        name: np.concatenate([np.full(len(found), members[place], np.int16) for found, members in zip(hits, slots, strict=True)])
        for place, name in enumerate(step.row.binds)
    }
    return hit, bound


def _apply(step: CompiledRow, group: Group, trace: Trace) -> None:
    """Apply the row to every connection of the group."""
    row, state, flows = step.row, group.state, group.flows
    assigned = [(record, name, *_copied(expression.vector(group))) for record, name, expression in step.set]
    hold_values = [(name, *_copied(expression.vector(group))) for name, expression in step.hold_values]
    emitted = [(report, group.holds(report.when).copy()) for report in step.reports]
    numbers = {name: _number(expression.vector(group)) // expression.unit for name, expression in step.values} if step.values else {}
    cites = tuple(group.cited(record) for record in row.evidence)
    evidence = group.steps
    if row.settles is not None:
        cites, evidence = (*cites, group.steps), state.held_step[row.settles][flows]
    firing = Firing(group, evidence, cites, numbers)
    for report, where in emitted:
        _emit(report, where, firing, trace)
    if row.holds is not None:
        _hold(row.holds, hold_values, firing, trace)
    if row.settles is not None:
        state.pending[row.settles][flows] = False
    trace.row[group.steps] = step.number
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
        columns, slot = group.state.records[record], group.slot(record)
        columns.values[name][slot, group.flows] = values
        columns.known[name][slot, group.flows] = True if known is None else known


def _copied(answer: Computed) -> Computed:
    """Return values that later assignments to the state do not change: views are copied."""
    values, known = (part.copy() if isinstance(part, np.ndarray) and part.base is not None else part for part in answer)
    return values, known


def _number(answer: Computed) -> IntArray:
    """Return values as int64, -1 where unknown."""
    values, known = answer
    values = np.asarray(values).astype(np.int64)
    return values if known is None else np.where(known, values, -1)


def _emit(report: Emission, where: BoolArray, firing: Firing, trace: Trace) -> None:
    rows = np.flatnonzero(where)
    group = firing.group
    if not len(rows):
        return
    if report.id in group.state.seen:
        group.state.seen[report.id][group.flows[rows]] = True
    trace.events.append(_event(report.number, rows, firing))


def _hold(name: str, hold_values: Sequence[tuple[str, Any, Any]], firing: Firing, trace: Trace) -> None:
    """Start the hold where it is not pending."""
    group, state = firing.group, firing.group.state
    rows = np.flatnonzero(~state.pending[name][group.flows])
    flows = group.flows[rows]
    state.pending[name][flows] = True
    state.held_step[name][flows] = group.steps[rows]
    for variable, values, known in hold_values:
        chosen = np.broadcast_to(values, len(group.flows))[rows]
        state.assign(variable, flows, chosen, None if known is None else known[rows])
    trace.events.append(_event(-1, rows, firing, name))


def _event(number: int, rows: IntArray, firing: Firing, hold: str = "") -> Event:
    group = firing.group
    numbers = {name: np.broadcast_to(values, len(group.flows))[rows] for name, values in firing.numbers.items()}
    cites = tuple(cite[rows] for cite in firing.cites)
    return Event(number, group.rows[group.flows[rows]], firing.evidence[rows], cites, numbers, hold)
