"""A `Machine` compiled: every expression a function, every row in the list of the places where it may fire.

Promises: for each (sender, class, client's state, server's state) the rows that may fire, in the file's order; expressions
compiled for arrays and for one flow alike. Enumeration members have become codes.
Must not know: how rows are run over flows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from analyzer.language import check, records_of, walk
from analyzer.language.compile import scalar, vector
from analyzer.language.syntax import Binary, Field, Name, Number, StateQuery
from analyzer.rules.machine import INTRINSIC_CLASSES, STATES, Emit

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from analyzer.language import Node, Scope
    from analyzer.rules.check import Check
    from analyzer.rules.finding import Finding
    from analyzer.rules.machine import Machine, Observation, Row, Verdict

NANOSECONDS: Final = 1_000_000
"""In a millisecond."""
EVIDENCE_SIDES: Final = len(STATES) * len(STATES)
"""Joint states of client and server; a joint state's code is client * len(STATES) + server."""


def unit(kind: str) -> int:
    """Return how many units of a value of `kind` make one of those a message speaks in."""
    return NANOSECONDS if kind == "time" else 1


@dataclass(frozen=True, slots=True)
class Expression:
    """One expression, compiled twice."""

    many: vector.EvaluateMachine
    one: scalar.Evaluate
    kind: str

    @property
    def unit(self) -> int:
        """How many of its units make one of those a message speaks in: durations are told in milliseconds."""
        return unit(self.kind)


@dataclass(frozen=True, slots=True)
class Emission:
    """A finding a row may emit; `number` indexes `Program.emissions`."""

    id: str
    when: Expression | None
    number: int


@dataclass(frozen=True, slots=True)
class Key:
    """An equation in a row's condition that tells a record's members apart: `record.field == value`."""

    record: str
    field: str
    value: Expression


@dataclass(frozen=True, slots=True)
class CompiledRow:
    """One row, ready to run."""

    row: Row
    number: int
    """Index in `Program.steps`."""
    when: Expression | None
    key: Key | None
    """When there is one, only members that satisfy it need be tried."""
    set: tuple[tuple[str | None, str, Expression], ...]
    reports: tuple[Emission, ...]
    say: tuple[tuple[str, Expression], ...]
    takes: tuple[tuple[str, Expression], ...]
    """Values the hold that this row starts takes along."""


@dataclass(frozen=True, slots=True)
class CompiledEnding:
    """Something evaluated when all steps are done: a verdict, an observation, a view."""

    name: str
    when: Expression | None
    reports: tuple[Emission, ...] = ()
    cite: tuple[str, ...] = ()
    say: tuple[tuple[str, Expression], ...] = ()
    parts: tuple[Expression, ...] = ()
    """The parts of `when` that must all hold, of what is tried on few connections after each part."""


@dataclass(frozen=True, slots=True)
class Program:
    """All of a machine, ready to run."""

    machine: Machine
    steps: tuple[CompiledRow, ...]
    classes: tuple[str, ...]
    table: tuple[tuple[CompiledRow, ...], ...]
    """By code ((by_client * classes + class) * PLACES + joint state): the rows that may fire there."""
    held: Mapping[str, tuple[Emission, ...]]
    """By hold: what it reports when nothing settled it."""
    verdicts: tuple[CompiledEnding, ...]
    observations: tuple[CompiledEnding, ...]
    views: tuple[CompiledEnding, ...]
    facts: Mapping[str, Expression]
    numbers: Mapping[str, Expression]
    asked: frozenset[str]
    """Ids that some `seen` asks for."""
    emissions: tuple[str, ...]
    """Finding id of each emission."""


class _Compiler:
    """Compiles expressions of one machine and numbers what they emit."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.row_scope, self.end_scope = machine.scope(), machine.scope(of="end")
        self.emissions: list[str] = []
        self.asked: set[str] = set()

    def expression(self, node: Node, scope: Scope, wanted: str | None = None) -> Expression:
        self.asked |= {part.id for part in walk(node) if isinstance(part, StateQuery) and part.what == "seen"}
        kind = check(node, scope)
        if kind.startswith("member:") and isinstance(node, Name):
            node, kind = Number(scope.enums[wanted or ""].index(node.name)), "int"
        return Expression(vector.compile_machine(node, scope), scalar.compile_(node, scope), kind)

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
            say=tuple((name, self.expression(node, self.row_scope)) for name, node in row.message_values),
            takes=tuple((name, self.expression(node, self.row_scope)) for name, node in (hold.values if hold else ())),
        )

    def key(self, row: Row) -> Key | None:
        """Return the first equation among the row's conjuncts between a record's field and what names no record."""
        for part in conjuncts(row.when):
            if not isinstance(part, Binary) or part.operator != "==":
                continue
            for one, other in ((part.left, part.right), (part.right, part.left)):
                if isinstance(one, Field) and not records_of(other):
                    return Key(one.record, one.name, self.expression(other, self.row_scope))
        return None

    def ending(self, name: str, entry: Verdict | Observation) -> CompiledEnding:
        return CompiledEnding(name, self.condition(entry.when, self.end_scope), self.reports(entry.emits, self.end_scope), entry.evidence)

    def check(self, id_: str, entry: Check) -> CompiledEnding:
        """Compile a check over one connection: it is an observation that a finding file makes."""
        say = tuple((name, self.expression(node, self.end_scope)) for name, node in entry.message_values)
        parts = tuple(self.expression(part, self.end_scope) for part in conjuncts(entry.when))
        return CompiledEnding(id_, None, self.reports([Emit(id_)], self.end_scope), entry.evidence, say, parts)

    def _wanted(self, record: str | None, name: str) -> str | None:
        return self.machine.variables[name] if record is None else None


def conjuncts(node: Node | None) -> Iterator[Node]:
    """Yield the parts that must all hold for `node` to hold."""
    if isinstance(node, Binary) and node.operator == "and":
        yield from conjuncts(node.left)
        yield from conjuncts(node.right)
    elif node is not None:
        yield node


def compile_(machine: Machine, findings: Iterable[Finding] = ()) -> Program:
    """Return `machine` compiled, with the checks over one connection that `findings` bring along."""
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
        asked=frozenset(compiler.asked),
        emissions=tuple(compiler.emissions),
    )


def _table(steps: tuple[CompiledRow, ...], classes: tuple[str, ...]) -> tuple[tuple[CompiledRow, ...], ...]:
    cells: list[tuple[CompiledRow, ...]] = []
    for by_client in (False, True):
        for name in classes:
            seeing = [step for step in steps if (by_client, name) in step.row.match]
            for place in range(EVIDENCE_SIDES):
                client, server = divmod(place, len(STATES))
                cells.append(tuple(step for step in seeing if client in step.row.client and server in step.row.server))
    return tuple(cells)
