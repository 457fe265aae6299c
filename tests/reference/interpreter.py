"""The machine of opening.toml, run the plain way: one connection, one segment, one row at a time.

A second opinion for the tests. It reads the same rules, as parsed trees, and shares nothing else with the program: it
selects the steps of a connection itself, evaluates trees itself, and keeps its own state in dictionaries.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING, Any

from analyzer.language.syntax import Binary, Literal, Name, Node, Not, OneOf, RecordField, StateQuery, Within
from analyzer.rules.machine import CONNECTION, SEGMENT, STATES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from analyzer.rules.machine import Emit, Machine, Observation, Row, Verdict

Facts = dict[str, Any]
"""Names of the rule language to values; None is unknown."""
CIRCLE = 2**32
COMPARE = {"==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


class Seq(int):
    """A sequence number: sums of it wrap, and the difference of two is the way forward from one to the other."""

    __slots__ = ()


@dataclass(frozen=True)
class ReuseEvent:
    """A finding: where its evidence lies, and what else it cites."""

    id: str
    step: int
    cites: tuple[int, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """All that is said of one connection."""

    verdict: str
    view: str
    facts: dict[str, bool]
    numbers: dict[str, int]
    findings: dict[str, tuple[tuple[int, int], ...]]
    """Rule to the frames that prove it."""
    steps: list[tuple[str, ...]]
    """Row that fired (or empty), client's and server's state, and both as the textbook draws them."""


@dataclass
class Memory:
    """What is remembered of one connection."""

    machine: Machine
    connection: Facts
    states: list[str]
    textbook: list[str]
    variables: Facts = field(default_factory=dict)
    members: dict[str, list[Facts]] = field(default_factory=dict)
    newest: dict[str, int] = field(default_factory=dict)
    lost: set[str] = field(default_factory=set)
    seen: set[str] = field(default_factory=set)
    held: dict[str, ReuseEvent] = field(default_factory=dict)
    """Hold to the evidence it keeps back."""
    events: list[ReuseEvent] = field(default_factory=list)


@dataclass(frozen=True)
class View:
    """What an expression sees: the memory, the segment at hand, and the members that are meant."""

    memory: Memory
    segment: Facts
    bound: Mapping[str, int] = field(default_factory=dict)

    def member(self, record: str) -> Facts | None:
        """Return the member of `record` that is meant: the bound one, else the newest."""
        members = self.memory.members[record]
        return members[self.bound.get(record, self.memory.newest[record])] if members else None


def evaluate(node: Node, view: View) -> Any:  # noqa: ANN401 - a value of any kind
    """Return the value of `node`, None when it is unknown."""
    match node:
        case Literal():
            return bool(node.value) if node.type == "flag" else node.value
        case Name():
            return _named(node.name, view)
        case RecordField():
            member = view.member(node.record)
            return None if member is None else member[node.name]
        case StateQuery():
            return node.id in (view.memory.seen if node.what == "seen" else view.memory.lost)
        case Not():
            value = evaluate(node.operand, view)
            return None if value is None else not value
        case OneOf():
            value = evaluate(node.operand, view)
            return None if value is None else value in node.names
        case Within():
            return _within(node, *(evaluate(part, view) for part in (node.operand, node.low, node.high)))
        case Binary():
            return _binary(node.operator, evaluate(node.left, view), evaluate(node.right, view))


def _named(name: str, view: View) -> Any:  # noqa: ANN401 - a value of any kind
    memory = view.memory
    for place, side in enumerate(("client", "server")):
        if name == side:
            return memory.states[place]
    if name in memory.variables:
        return memory.variables[name]
    if name in CONNECTION:
        return memory.connection[name]
    if name in SEGMENT:
        return view.segment[name]
    return name  # a word of an enumeration means itself


def _within(node: Within, value: Any, low: Any, high: Any) -> bool | None:  # noqa: ANN401 - values of any kind
    if value is None or low is None or high is None:
        return None
    if isinstance(value, Seq):
        value, high, low = (value - low) % CIRCLE, (high - low) % CIRCLE, 0
        if high >= CIRCLE // 2:
            return False
    above = value > low if node.open_low else value >= low
    return bool(above and (value < high if node.open_high else value <= high))


def _binary(sign: str, left: Any, right: Any) -> Any:  # noqa: ANN401 - values of any kind
    if sign == "and":
        return False if left is False or right is False else None if left is None or right is None else True
    if sign == "or":
        return True if left is True or right is True else None if left is None or right is None else False
    if left is None or right is None:
        return None
    if sign in COMPARE:
        return COMPARE[sign](left, right)
    total = int(left) + int(right) if sign == "+" else int(left) - int(right)
    if isinstance(left, Seq):
        return total % CIRCLE if isinstance(right, Seq) else Seq(total % CIRCLE)
    return total


def holds(node: Node | None, view: View) -> bool:
    """Return whether a condition holds; what is unknown does not."""
    return node is None or evaluate(node, view) is True


def run(machine: Machine, connection: Facts, steps: Sequence[Facts]) -> Outcome:
    """Judge one connection of the given `steps`."""
    memory = _begin(machine, connection)
    trace = []
    for number, step in enumerate(steps):
        fired = _take(memory, step, number)
        trace.append((fired, *memory.states, *memory.textbook))
    _release(memory)
    verdict = _conclude(memory, len(steps) - 1)
    end = View(memory, {})
    return Outcome(
        verdict=verdict,
        view=next(choice.name for choice in machine.views if holds(choice.when, end)),
        facts={name: holds(node, end) for name, node in machine.facts.items()},
        numbers={name: -1 if (value := evaluate(node, end)) is None else int(value) for name, node in machine.numbers.items()},
        findings=_findings(memory.events, steps),
        steps=trace,
    )


def _begin(machine: Machine, connection: Facts) -> Memory:
    words = [STATES[code] for code in machine.start]
    start: Facts = {}
    for name, kind in machine.variables.items():
        start[name] = False if kind == "flag" else machine.enums[kind][0] if kind in machine.enums else None
    return Memory(
        machine,
        connection,
        list(words),
        list(words),
        start,
        members={name: [] for name in machine.records},
        newest=dict.fromkeys(machine.records, 0),
    )


def _class(machine: Machine, step: Facts) -> str:
    if step["kind"] != "segment":
        return str(step["kind"])
    for name, tests in machine.classes:
        if any(step["flags"] & mask == wanted for wanted, mask in tests):
            return name
    return machine.classes[-1][0]


def _take(memory: Memory, step: Facts, number: int) -> str:
    """Let the first row that fits fire, and return its id."""
    place = (step["by_client"], _class(memory.machine, step))
    client, server = (STATES.index(state) for state in memory.states)
    for row in memory.machine.rows:
        if place not in row.match or client not in row.client or server not in row.server:
            continue
        if row.settles is not None and row.settles not in memory.held:
            continue
        view = _fit(memory, row, step)
        if view is not None:
            _fire(row, view, number)
            return row.id
    return ""


def _fit(memory: Memory, row: Row, step: Facts) -> View | None:
    """Return what the row sees when it fits: the first members, in order, that satisfy it."""
    for chosen in product(*(range(len(memory.members[name])) for name in row.binds)):
        view = View(memory, step, dict(zip(row.binds, chosen, strict=True)))
        if holds(row.when, view):
            return view
    return None


def _fire(row: Row, before: View, number: int) -> None:
    memory = before.memory
    values = [evaluate(target.value, before) for target in row.set]
    cites, evidence = _cites(row.evidence, before), number
    if row.settles is not None:
        cites, evidence = (*cites, number), memory.held[row.settles].step
    emitted = [ReuseEvent(emit.id, evidence, cites) for emit in row.emits if holds(emit.when, before)]
    if row.holds is not None and row.holds not in memory.held:
        taken = {name: evaluate(node, before) for name, node in memory.machine.holds[row.holds].values}
        memory.held[row.holds] = ReuseEvent(row.holds, number, cites)
        memory.variables |= taken
    if row.settles is not None:
        del memory.held[row.settles]
    memory.events += emitted
    memory.seen |= {row.id, *(event.id for event in emitted)}
    for name in row.add:
        _add(memory, name, number)
    after = View(memory, before.segment, {**before.bound, **{name: memory.newest[name] for name in row.add}})
    for target, value in zip(row.set, values, strict=True):
        _assign(after, target.record, target.name, value)
    for name in row.keep:
        memory.members[name] = [member for member in (after.member(name),) if member is not None]
        memory.newest[name] = 0
    for states, codes in ((memory.states, row.to), (memory.textbook, row.textbook)):
        states[:] = [state if code is None else STATES[code] for state, code in zip(states, codes, strict=True)]


def _cites(records: Sequence[str], view: View) -> tuple[int, ...]:
    return tuple(member["step"] for member in map(view.member, records) if member is not None)


def _add(memory: Memory, name: str, number: int) -> None:
    """Make room for a member: when there is none, the oldest but the first goes."""
    record, members = memory.machine.records[name], memory.members[name]
    fresh: Facts = {**dict.fromkeys(record.fields), "step": number}
    if len(members) < record.keep:
        members.append(fresh)
        memory.newest[name] = len(members) - 1
        return
    memory.lost.add(name)
    following = memory.newest[name] + 1
    memory.newest[name] = following if following < record.keep else 1
    members[memory.newest[name]] = fresh


def _assign(view: View, record: str | None, name: str, value: Any) -> None:  # noqa: ANN401 - a value of any kind
    memory = view.memory
    if record is not None:
        member = view.member(record)
        if member is not None:
            member[name] = value
        return
    memory.variables[name] = False if value is None and memory.machine.variables[name] == "flag" else value


def _release(memory: Memory) -> None:
    """Report what was kept back and never settled."""
    end = View(memory, {})
    for event in list(memory.held.values()):
        _report(memory.machine.holds[event.id].at_end, event.step, event.cites, end)


def _report(emits: Sequence[Emit], step: int, cites: tuple[int, ...], end: View) -> None:
    found = [ReuseEvent(emit.id, step, cites) for emit in emits if holds(emit.when, end)]
    end.memory.events += found
    end.memory.seen |= {event.id for event in found}


def _conclude(memory: Memory, last: int) -> str:
    end = View(memory, {})
    verdict = next(verdict for verdict in memory.machine.verdicts if holds(verdict.when, end))
    _conclusion(verdict, last, end)
    for observation in memory.machine.observations:
        if holds(observation.when, end):
            _conclusion(observation, 0, end)
    return verdict.name


def _conclusion(entry: Verdict | Observation, step: int, end: View) -> None:
    cites = _cites(entry.evidence, end)
    # The first record named is the evidence, if it has a member at all.
    first = entry.evidence[:1] and end.member(entry.evidence[0])
    _report(entry.emits, cites[0] if first else step, cites[1:] if first else cites, end)


def _findings(events: Sequence[ReuseEvent], steps: Sequence[Facts]) -> dict[str, tuple[tuple[int, int], ...]]:
    """Return the frames by rule: what the earliest event cites, and the evidence of all, twelve steps at most."""
    found = {}
    for id_ in {event.id for event in events}:
        mine = sorted((event for event in events if event.id == id_), key=lambda event: event.step)
        cited = [*mine[0].cites, *(event.step for event in mine)]
        if len(cited) > 12:
            cited = [*cited[:11], cited[-1]]
        frames = {(steps[step]["capture"], steps[step][name]) for step in cited for name in ("frame", "last_frame")}
        found[id_] = tuple(sorted(frames))
    return found
