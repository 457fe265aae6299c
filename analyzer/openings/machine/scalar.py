"""Run the state machine over one connection at a time, with plain integers: the specification of `vector`.

In production it finishes the few connections that are much longer than the others. Time is linear in their steps.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from analyzer.findings.event import Event
from analyzer.rules.machine import STATES
from analyzer.schema import NO_TIME

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from analyzer.openings.facts.machine import MachineFacts
    from analyzer.openings.machine.block import StepBlock
    from analyzer.openings.machine.compiler import CompiledRow, Expression, Program
    from analyzer.openings.machine.state import RecordColumns, StateColumns
    from analyzer.openings.machine.trace import Trace

Member: TypeAlias = dict[str, int | None]
Hits: TypeAlias = dict[tuple[int, str], list[tuple[int, int, tuple[int, ...], tuple[int, ...]]]]
"""By emission and row: connection, evidence, cited steps and message values of each hit."""

_UNBOUND: dict[str, int] = {}


class ScalarFlow:
    """One connection: its state as plain values, and the current step."""

    def __init__(self, facts: MachineFacts, state: StateColumns, number: int, row: int) -> None:
        self.facts, self.row, self.position = facts, row, 0
        self.current: dict[str, int | None] = {}
        self.client, self.server = int(state.client[number]), int(state.server[number])
        self.client_textbook, self.server_textbook = int(state.client_textbook[number]), int(state.server_textbook[number])
        self.values: dict[str, int | None] = {
            name: int(column[number]) if name not in state.known or state.known[name][number] else None
            for name, column in state.values.items()
        }
        self.always_known = state.values.keys() - state.known.keys()
        self.seen_ids = {id_ for id_, column in state.seen.items() if column[number]}
        self.queried = state.seen.keys()
        self.members = {name: _members(columns, number) for name, columns in state.records.items()}
        self.newest = {name: int(columns.newest[number]) for name, columns in state.records.items()}
        self.lost_records = {name for name, columns in state.records.items() if columns.lost[number]}
        self.blank: dict[str, Member] = {name: dict.fromkeys(columns.record.fields) for name, columns in state.records.items()}
        self.keeps = {name: columns.record.keep for name, columns in state.records.items()}
        self.pending = {hold for hold, column in state.pending.items() if column[number]}
        self.held_step = {hold: int(column[number]) for hold, column in state.held_step.items()}
        self.bound = _UNBOUND

    def move_to(self, position: int) -> None:
        """Make the step at `position` the current one."""
        self.position = position
        self.current = {}

    def name(self, name: str) -> int | None:
        """Return the value of a name, None where unknown."""
        if name in self.current:
            return self.current[name]
        if name in self.values:
            return self.values[name]
        if name in {"client", "server"}:
            return int(getattr(self, name))
        value = self.current[name] = self._look_up(name)
        return value

    def _look_up(self, name: str) -> int | None:
        if name in self.facts.values:
            known = self.facts.known.get(name)
            return int(self.facts.values[name][self.position]) if known is None or known[self.position] else None
        value = int(self.facts.connection_columns[name][self.row])
        return None if name == "capture_end" and value == NO_TIME else value

    def field(self, record: str, name: str) -> int | None:
        """Return a field of the bound member, of the newest where none is bound."""
        members = self.members[record]
        return members[self.slot(record)].get(name) if members else None

    def slot(self, record: str) -> int:
        """Return the bound member of `record`, the newest where none is bound."""
        return self.bound.get(record, self.newest[record])

    def seen(self, id_: str) -> bool:
        """Return whether the row has fired, or the finding was emitted."""
        return id_ in self.seen_ids

    def lost(self, record: str) -> bool:
        """Return whether a member of the record was evicted."""
        return record in self.lost_records

    def mark_seen(self, id_: str) -> None:
        """Record that the row fired, or the finding was emitted."""
        if id_ in self.queried:
            self.seen_ids.add(id_)

    def add(self, record: str) -> None:
        """Add a member, evicting one where the record is full; it becomes the newest."""
        members, keep = self.members[record], self.keeps[record]
        if len(members) < keep:
            slot = len(members)
            members.append({})
        else:
            slot = self.newest[record] % (keep - 1) + 1
            members[slot] = {}
            self.lost_records.add(record)
        members[slot].update(self.blank[record], step=self.position)
        self.newest[record] = slot

    def keep(self, record: str) -> None:
        """Remove every member but the one that `slot` returns."""
        self.members[record] = [self.members[record][self.slot(record)]]
        self.newest[record] = 0


def _members(columns: RecordColumns, number: int) -> list[Member]:
    found: list[Member] = []
    for slot in range(int(columns.count[number])):
        member: Member = {
            name: int(column[slot, number]) if columns.known[name][slot, number] else None for name, column in columns.values.items()
        }
        member["step"] = int(columns.step[slot, number])
        found.append(member)
    return found


def finish(block: StepBlock, numbers: Iterable[int], done: int) -> None:
    """Run the connections `numbers` of a block, `done` steps of which have run, to their last step, and write back their state."""
    events: Hits = {}
    trace = block.trace
    for number in numbers:
        flow = ScalarFlow(block.facts, block.state, number, int(block.rows[number]))
        begin, end = int(block.first[number]) + done, int(block.first[number]) + int(block.counts[number])
        rows: list[int] = []
        states: list[tuple[int, int, int, int]] = []
        for position, code in zip(range(begin, end), block.codes[begin:end].tolist(), strict=True):
            flow.move_to(position)
            rows.append(_fire(block.program.table[code + flow.client * len(STATES) + flow.server], flow, events))
            states.append((flow.client, flow.server, flow.client_textbook, flow.server_textbook))
        trace.row[begin:end] = rows
        columns = np.array(states, np.int8).reshape(-1, 4).T
        for name, column in zip(("client", "server", "client_textbook", "server_textbook"), columns, strict=True):
            getattr(trace, name)[begin:end] = column
        _write_back(flow, block.state, number)
    _append_events(block.program, events, trace)


def _fire(candidates: Sequence[CompiledRow], flow: ScalarFlow, events: Hits) -> int:
    """Apply the first row that matches; return its number, -1 where none does."""
    for step in candidates:
        if step.row.settles is not None and step.row.settles not in flow.pending:
            continue
        if _matches(step, flow):
            _apply(step, flow, events)
            flow.bound = _UNBOUND
            return step.number
    return -1


def _matches(step: CompiledRow, flow: ScalarFlow) -> bool:
    if step.when is None:
        return True
    if not step.row.binds:
        return bool(step.when.scalar(flow))
    for members in product(*(_matching_members(step, name, flow) for name in step.row.binds)):
        flow.bound = dict(zip(step.row.binds, members, strict=True))
        if step.when.scalar(flow):
            return True
    flow.bound = _UNBOUND
    return False


def _matching_members(step: CompiledRow, record: str, flow: ScalarFlow) -> Iterable[int]:
    """Return the members of `record` that satisfy the row's key."""
    members = flow.members[record]
    if step.key is None or step.key.record != record:
        return range(len(members))
    value, field = step.key.value.scalar(flow), step.key.field
    return [slot for slot, member in enumerate(members) if member[field] == value and value is not None]


def _holds(condition: Expression | None, flow: ScalarFlow) -> bool:
    return condition is None or bool(condition.scalar(flow))


def _apply(step: CompiledRow, flow: ScalarFlow, events: Hits) -> None:
    row = step.row
    assigned = [(record, name, expression.scalar(flow)) for record, name, expression in step.set]
    emitted = [report for report in step.reports if _holds(report.when, flow)]
    if emitted or (row.holds is not None and row.holds not in flow.pending):
        values = tuple(-1 if (value := expression.scalar(flow)) is None else int(value) // expression.unit for _, expression in step.values)
        cites = tuple(_cited(flow, record) for record in row.evidence)
        evidence = flow.position
        if row.settles is not None:
            cites, evidence = (*cites, flow.position), flow.held_step[row.settles]
        for report in emitted:
            flow.mark_seen(report.id)
            events.setdefault((report.number, row.id), []).append((flow.row, evidence, cites, values))
        if row.holds is not None and row.holds not in flow.pending:
            _hold(step, flow)
            events.setdefault((-1, row.id), []).append((flow.row, flow.position, cites, values))
    if row.settles is not None:
        flow.pending.discard(row.settles)
    flow.mark_seen(row.id)
    for name in row.add:
        flow.add(name)
    if row.add:
        flow.bound = flow.bound | {name: flow.newest[name] for name in row.add}
    for record, name, value in assigned:
        _assign(flow, record, name, value)
    for name in row.keep:
        flow.keep(name)
    _move(step, flow)


def _assign(flow: ScalarFlow, record: str | None, name: str, value: int | None) -> None:
    if record is not None:
        if flow.members[record]:
            flow.members[record][flow.slot(record)][name] = value
    else:
        flow.values[name] = 0 if value is None and name in flow.always_known else value


def _move(step: CompiledRow, flow: ScalarFlow) -> None:
    (client, server), (client_textbook, server_textbook) = step.row.to, step.row.textbook
    if client is not None:
        flow.client = client
    if server is not None:
        flow.server = server
    if client_textbook is not None:
        flow.client_textbook = client_textbook
    if server_textbook is not None:
        flow.server_textbook = server_textbook


def _hold(step: CompiledRow, flow: ScalarFlow) -> None:
    name = step.row.holds or ""
    flow.pending.add(name)
    flow.held_step[name] = flow.position
    for variable, expression in step.hold_values:
        flow.values[variable] = expression.scalar(flow)


def _cited(flow: ScalarFlow, record: str) -> int:
    members = flow.members[record]
    return int(members[flow.slot(record)]["step"] or 0) if members else -1


def _write_back(flow: ScalarFlow, state: StateColumns, number: int) -> None:
    for name in ("client", "server", "client_textbook", "server_textbook"):
        getattr(state, name)[number] = getattr(flow, name)
    for name, value in flow.values.items():
        state.values[name][number] = value or 0
        if name in state.known:
            state.known[name][number] = value is not None
    for id_ in flow.seen_ids:
        state.seen[id_][number] = True
    for name, columns in state.records.items():
        _write_members(flow, columns, name, number)
    for hold in state.pending:
        state.pending[hold][number] = hold in flow.pending
        state.held_step[hold][number] = flow.held_step[hold]


def _write_members(flow: ScalarFlow, columns: RecordColumns, name: str, number: int) -> None:
    members = flow.members[name]
    columns.widen(len(members))
    columns.count[number] = len(members)
    columns.newest[number] = flow.newest[name]
    columns.lost[number] = name in flow.lost_records
    for slot, member in enumerate(members):
        step = member["step"]
        columns.step[slot, number] = -1 if step is None else step
        for field, column in columns.values.items():
            value = member.get(field)
            column[slot, number] = 0 if value is None else value
            columns.known[field][slot, number] = value is not None


def _append_events(program: Program, events: Hits, trace: Trace) -> None:
    rows = {step.row.id: step for step in program.steps}
    for (number, row), found in events.items():
        step = rows[row]
        flows, steps, cites, values = zip(*found, strict=True)
        columns = np.array(cites, np.int64).reshape(len(found), -1).T
        numbers = np.array(values, np.int64).reshape(len(found), -1).T
        trace.events.append(
            Event(
                number,
                np.array(flows, np.int64),
                np.array(steps, np.int64),
                tuple(columns),
                {name: column for (name, _), column in zip(step.values, numbers, strict=True)},
                "" if number >= 0 else row,
            )
        )
