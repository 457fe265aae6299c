"""Compile a `Machine`: expressions to functions, rows to a table of those that may fire.

The table lists, for each combination of sender, segment class, client state and server state, the rows in the order of the file. Each
expression is compiled twice, for the vector and for the scalar implementation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from analyzer.language import check, records_of, walk
from analyzer.language.compile import scalar, vector
from analyzer.language.syntax import Binary, Literal, Name, RecordField, StateQuery
from analyzer.rules.machine import INTRINSIC_CLASSES, STATES, Emit

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from analyzer.language import Node, Scope
    from analyzer.rules.check import Check
    from analyzer.rules.finding import Finding
    from analyzer.rules.machine import Machine, Observation, Row, Verdict

NANOSECONDS_PER_MILLISECOND: Final = 1_000_000
JOINT_STATES: Final = len(STATES) * len(STATES)
"""Literal of joint states of client and server; the code of one is client * len(STATES) + server."""


def unit(type_: str) -> int:
    """Return the divisor that converts a value of `type_` to the unit of messages: durations are in milliseconds there."""
    return NANOSECONDS_PER_MILLISECOND if type_ == "time" else 1


@dataclass(frozen=True, slots=True)
class Expression:
    """One expression, compiled for both implementations."""

    vector: vector.EvaluateMachine
    scalar: scalar.Evaluate
    type: str

    @property
    def unit(self) -> int:
        """The divisor that converts a value to the unit of messages."""
        return unit(self.type)


@dataclass(frozen=True, slots=True)
class Emission:
    """A finding that a row may emit; `number` is its index in `Program.emissions`."""

    id: str
    when: Expression | None
    number: int


@dataclass(frozen=True, slots=True)
class Key:
    """An equation `record.field == value` in a row's condition, by which members of the record are filtered."""

    record: str
    field: str
    value: Expression


@dataclass(frozen=True, slots=True)
class CompiledRow:
    """One compiled row."""

    row: Row
    number: int
    """Index in `Program.steps`."""
    when: Expression | None
    key: Key | None
    """Where there is one, only members that satisfy it are tried."""
    set: tuple[tuple[str | None, str, Expression], ...]
    reports: tuple[Emission, ...]
    values: tuple[tuple[str, Expression], ...]
    """Values for messages, by placeholder."""
    hold_values: tuple[tuple[str, Expression], ...]
    """Values that are assigned when this row starts a hold."""


@dataclass(frozen=True, slots=True)
class CompiledEnding:
    """What is evaluated after the last step: a verdict, an observation or a view."""

    name: str
    when: Expression | None
    reports: tuple[Emission, ...] = ()
    evidence: tuple[str, ...] = ()
    values: tuple[tuple[str, Expression], ...] = ()
    conjuncts: tuple[Expression, ...] = ()
    """The condition as its conjuncts, each evaluated only where those before it hold; then `when` is None."""


@dataclass(frozen=True, slots=True)
class Program:
    """A compiled machine."""

    machine: Machine
    steps: tuple[CompiledRow, ...]
    classes: tuple[str, ...]
    table: tuple[tuple[CompiledRow, ...], ...]
    """The rows that may fire, by code (by_client * classes + class) * JOINT_STATES + joint state."""
    held: Mapping[str, tuple[Emission, ...]]
    """What each hold emits when no row settled it."""
    verdicts: tuple[CompiledEnding, ...]
    observations: tuple[CompiledEnding, ...]
    views: tuple[CompiledEnding, ...]
    facts: Mapping[str, Expression]
    numbers: Mapping[str, Expression]
    queried: frozenset[str]
    """Ids that a `seen` names."""
    emissions: tuple[str, ...]
    """Finding id of each emission."""


class _Compiler:
    """Compiles the expressions of one machine and numbers its emissions."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.row_scope, self.end_scope = machine.scope(), machine.scope(of="end")
        self.emissions: list[str] = []
        self.queried: set[str] = set()

    def expression(self, node: Node, scope: Scope, wanted: str | None = None) -> Expression:
        self.queried |= {part.id for part in walk(node) if isinstance(part, StateQuery) and part.what == "seen"}
        type_ = check(node, scope)
        if type_.startswith("member:") and isinstance(node, Name):
            node, type_ = Literal(scope.enums[wanted or ""].index(node.name)), "int"
        return Expression(vector.compile_machine(node, scope), scalar.compile_(node, scope), type_)

    def condition(self, node: Node | None, scope: Scope) -> Expression | None:
        return None if node is None else self.expression(node, scope)

    def reports(self, emits: Iterable[Emit], scope: Scope) -> tuple[Emission, ...]:
        found = []
        for emit in emits:
            found.append(Emission(emit.id, self.condition(emit.when, scope), len(self.emissions)))
            self.emissions.append(emit.id)
        return tuple(found)

    def step(self, row: Row, number: int) -> CompiledRow:
        hold = self.machine.holds.get(row.holds or "")
        return CompiledRow(
            row=row,
            number=number,
            when=self.condition(row.when, self.row_scope),
            key=self.key(row),
            set=tuple(
                (one.record, one.name, self.expression(one.value, self.row_scope, self._wanted(one.record, one.name))) for one in row.set
            ),
            reports=self.reports(row.emits, self.row_scope),
            values=tuple((name, self.expression(node, self.row_scope)) for name, node in row.message_values),
            hold_values=tuple((name, self.expression(node, self.row_scope)) for name, node in (hold.values if hold else ())),
        )

    def key(self, row: Row) -> Key | None:
        """Return the first conjunct that equates a field of a record and an expression without records."""
        for part in conjuncts(row.when):
            if not isinstance(part, Binary) or part.operator != "==":
                continue
            for one, other in ((part.left, part.right), (part.right, part.left)):
                if isinstance(one, RecordField) and not records_of(other):
                    return Key(one.record, one.name, self.expression(other, self.row_scope))
        return None

    def ending(self, name: str, entry: Verdict | Observation) -> CompiledEnding:
        return CompiledEnding(name, self.condition(entry.when, self.end_scope), self.reports(entry.emits, self.end_scope), entry.evidence)

    def check(self, id_: str, entry: Check) -> CompiledEnding:
        """Compile a check over one connection: an observation declared in a finding file."""
        values = tuple((name, self.expression(node, self.end_scope)) for name, node in entry.message_values)
        parts = tuple(self.expression(part, self.end_scope) for part in conjuncts(entry.when))
        return CompiledEnding(id_, None, self.reports([Emit(id_)], self.end_scope), entry.evidence, values, parts)

    def _wanted(self, record: str | None, name: str) -> str | None:
        return self.machine.variables[name] if record is None else None


def conjuncts(node: Node | None) -> Iterator[Node]:
    """Yield the operands of the conjunction that `node` is; `node` itself where it is none."""
    if isinstance(node, Binary) and node.operator == "and":
        yield from conjuncts(node.left)
        yield from conjuncts(node.right)
    elif node is not None:
        yield node


def compile_(machine: Machine, findings: Iterable[Finding] = ()) -> Program:
    """Return `machine` compiled, with those checks of `findings` whose scope is one connection."""
    compiler = _Compiler(machine)
    end = compiler.end_scope
    steps = tuple(compiler.step(row, number) for number, row in enumerate(machine.rows))
    classes = (*(name for name, _ in machine.classes), *INTRINSIC_CLASSES)
    return Program(
        machine=machine,
        steps=steps,
        classes=classes,
        table=_table(steps, classes),
        held={hold.id: compiler.reports(hold.at_end, end) for hold in machine.holds.values()},
        verdicts=tuple(compiler.ending(verdict.name, verdict) for verdict in machine.verdicts),
        observations=(
            *(compiler.ending(observation.id, observation) for observation in machine.observations),
            *(compiler.check(one.id, one.check) for one in findings if one.check is not None and one.check.scope == "connection"),
        ),
        views=tuple(CompiledEnding(view.name, compiler.condition(view.when, end)) for view in machine.views),
        facts={name: compiler.expression(node, end) for name, node in machine.facts.items()},
        numbers={name: compiler.expression(node, end) for name, node in machine.numbers.items()},
        queried=frozenset(compiler.queried),
        emissions=tuple(compiler.emissions),
    )


def _table(steps: tuple[CompiledRow, ...], classes: tuple[str, ...]) -> tuple[tuple[CompiledRow, ...], ...]:
    table: list[tuple[CompiledRow, ...]] = []
    for by_client in (False, True):
        for name in classes:
            matching = [step for step in steps if (by_client, name) in step.row.match]
            for joint in range(JOINT_STATES):
                client, server = divmod(joint, len(STATES))
                table.append(tuple(step for step in matching if client in step.row.client and server in step.row.server))
    return tuple(table)
