"""Build a `Machine` from opening.toml: parse every expression and check its type.

A document that passed the schema becomes a complete `Machine`, or raises `RuleError` with file and row. Holds become ordinary rows here,
so that the implementations of the machine run rows only.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from analyzer.errors import RuleError
from analyzer.language import ExpressionError, check, parse, records_of, walk
from analyzer.language.syntax import Binary, Name, Not, RecordField, transform
from analyzer.language.types import NUMERIC
from analyzer.rules.machine import (
    INTRINSIC_CLASSES,
    REUSE,
    SIDES,
    STATES,
    Assignment,
    Choice,
    Emit,
    Hold,
    Machine,
    Observation,
    Record,
    Row,
    Verdict,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from analyzer.language import Node, Scope

_LETTERS: Final = "FSRPAUEW"


def build(document: dict[str, Any], path: Path) -> Machine:
    """Return the machine that `document`, read from `path`, describes. Raises `RuleError`."""
    variables, enums = _variables(document)
    records = {name: Record(name, entry["keep"], entry["fields"]) for name, entry in document.get("record", {}).items()}
    holds, rows = _rows(document, path, variables)
    machine = Machine(
        id=document["id"],
        title=document["title"],
        references=tuple(document.get("references", ())),
        start=(STATES.index(document["start"]["client"]), STATES.index(document["start"]["server"])),
        classes=tuple((entry["name"], tuple(_flags(test) for test in entry["flags"])) for entry in document["class"]),
        variables=variables,
        enums=enums,
        records=records,
        holds=holds,
        rows=rows,
        verdicts=tuple(_verdict(entry, path) for entry in document["verdict"]),
        observations=tuple(_observation(entry, path) for entry in document.get("observation", ())),
        views=tuple(Choice(entry["is"], _node(entry.get("when"), f"{path}: view {entry['is']}")) for entry in document["view"]),
        facts={name: _parse(text, f"{path}: facts.{name}") for name, text in document["facts"].items()},
        numbers={name: _parse(text, f"{path}: numbers.{name}") for name, text in document["numbers"].items()},
    )
    _check_kinds(machine, path)
    return machine


def _variables(document: dict[str, Any]) -> tuple[dict[str, str], dict[str, tuple[str, ...]]]:
    variables, enums = {}, {"state": STATES, "reuse": REUSE}
    for name, kind in document.get("variables", {}).items():
        if isinstance(kind, list):
            enums[name] = tuple(kind)
        variables[name] = name if isinstance(kind, list) else kind
    return variables, enums


def _flags(test: str) -> tuple[int, int]:
    """Return (set, mask) of `SA/SAR`: of the flags after the stroke, exactly those before it are set."""
    wanted, mask = test.split("/")
    return _bits(wanted), _bits(mask)


def _bits(letters: str) -> int:
    return sum(1 << _LETTERS.index(letter) for letter in letters if letter != "0")


def _parse(text: str, where: str) -> Node:
    try:
        return parse(text)
    except ExpressionError as error:
        message = f"{where}: {error}"
        raise RuleError(message) from None


def _node(text: str | None, where: str) -> Node | None:
    return None if text is None else _parse(text, where)


def _emits(entry: object, where: str) -> tuple[Emit, ...]:
    if entry is None:
        return ()
    if isinstance(entry, str):
        return (Emit(entry),)
    if isinstance(entry, dict):
        return tuple(Emit(id_, _parse(text, f"{where}: emit.{id_}")) for id_, text in entry.items())
    return tuple(Emit(id_) for id_ in entry)  # type: ignore[attr-defined]


def _verdict(entry: dict[str, Any], path: Path) -> Verdict:
    where = f"{path}: verdict {entry['is']}"
    if "failure" in entry and entry["outcome"] != "not-opened":
        message = f"{where}: failure needs outcome not-opened, not {entry['outcome']}"
        raise RuleError(message)
    return Verdict(
        name=entry["is"],
        outcome=entry["outcome"],
        counts_as=entry["counts_as"],
        meaning=entry["meaning"],
        when=_node(entry.get("when"), where),
        emits=_emits(entry.get("emit"), where),
        evidence=_words(entry.get("evidence")),
        opener_known=entry.get("opener", "unknown" if entry["outcome"] == "not-judged" else "known") == "known",
        failure=entry.get("failure", ""),
    )


def _observation(entry: dict[str, Any], path: Path) -> Observation:
    where = f"{path}: observation {entry['id']}"
    return Observation(entry["id"], _node(entry["when"], where), _emits(entry["emit"], where), _words(entry.get("evidence")))


def _rows(document: dict[str, Any], path: Path, variables: dict[str, str]) -> tuple[dict[str, Hold], tuple[Row, ...]]:
    """Return the holds, and all rows: those that settle a hold first, since a deferred decision comes before a new one."""
    holds: dict[str, Hold] = {}
    settling: list[Row] = []
    rows: list[Row] = []
    classes = [entry["name"] for entry in document["class"]]
    for entry in document["row"]:
        where = f"{path}: row {entry['id']}"
        row = _row(entry, where, classes)
        if "hold" in entry:
            row = replace(row, holds=row.id)
            holds[row.id] = _hold(row.id, entry["hold"], where, variables)
            settling += [
                replace(_row(_settlement(entry, how), where, classes, hold=row.id), settles=row.id)
                for how in ("explained", "confirmed")
                if how in entry["hold"]
            ]
        rows.append(row)
    return holds, (*settling, *rows)


def _settlement(entry: dict[str, Any], how: str) -> dict[str, Any]:
    """Return the entry of the row that settles the hold of `entry`; its evidence and values are the same unless it states others."""
    inherited = {key: entry[key] for key in ("evidence", "values") if key in entry}
    settled: dict[str, Any] = inherited | entry["hold"][how] | {"id": f"{entry['id']}.{how}"}
    return settled


def _hold(id_: str, entry: dict[str, Any], where: str, variables: dict[str, str]) -> Hold:
    """Return the hold; each of its values becomes a variable named ID.VALUE."""
    values = []
    for name, kind_and_text in entry.get("values", {}).items():
        kind, text = kind_and_text.split(":", 1)
        variables[f"{id_}.{name}"] = kind.strip()
        values.append((f"{id_}.{name}", _parse(text, f"{where}: hold.values.{name}")))
    at_end = tuple(Emit(emit.id, emit.when and _held(emit.when, id_)) for emit in _emits(entry.get("at_end"), where))
    return Hold(id_, tuple(values), at_end)


def _held(node: Node, hold: str) -> Node:
    """Replace `hold.x` by the variable that holds it."""
    return transform(node, lambda part: Name(f"{hold}.{part.name}") if isinstance(part, RecordField) and part.record == "hold" else part)


def _row(entry: dict[str, Any], where: str, classes: list[str], hold: str | None = None) -> Row:
    def node(text: str, key: str) -> Node:
        parsed = _parse(text, f"{where}: {key}")
        return parsed if hold is None else _held(parsed, hold)

    at, to = entry.get("at", {}), entry.get("to", {})
    when = node(entry["when"], "when") if "when" in entry else None
    proved = tuple(_state(to.get(side)) for side in SIDES)
    textbook = tuple(_state(entry.get("textbook", {}).get(side, to.get(side))) for side in SIDES)
    return Row(
        id=entry["id"],
        client=_states(at.get("client")),
        server=_states(at.get("server")),
        match=_match(entry["match"], classes, where),
        when=when,
        binds=() if when is None else records_of(when),
        to=(proved[0], proved[1]),
        textbook=(textbook[0], textbook[1]),
        add=_words(entry.get("add")),
        keep=_words(entry.get("keep")),
        set=tuple(_assignment(target, node(text, f"set.{target}")) for target, text in entry.get("set", {}).items()),
        emits=tuple(
            Emit(emit.id, emit.when if hold is None or emit.when is None else _held(emit.when, hold))
            for emit in _emits(entry.get("emit"), where)
        ),
        evidence=_words(entry.get("evidence")),
        message_values=tuple((name, node(text, f"values.{name}")) for name, text in entry.get("values", {}).items()),
    )


def _state(name: str | None) -> int | None:
    return None if name is None else STATES.index(name)


def _states(names: str | list[str] | None) -> frozenset[int]:
    return frozenset(range(len(STATES)) if names is None else (STATES.index(name) for name in _words(names)))


def _words(entry: str | list[str] | None) -> tuple[str, ...]:
    return (entry,) if isinstance(entry, str) else tuple(entry or ())


def _match(entry: str | list[str], classes: list[str], where: str) -> frozenset[tuple[bool, str]]:
    seen = set()
    for words in _words(entry):
        side, name = words.split()
        if name not in classes and name not in INTRINSIC_CLASSES:
            message = f"{where}: match: no segment class is called {name}"
            raise RuleError(message)
        seen |= {(by == "client", name) for by in (SIDES if side == "any" else (side,))}
    return frozenset(seen)


def _assignment(target: str, value: Node) -> Assignment:
    record, _, name = target.rpartition(".")
    return Assignment(record or None, name, value)


def _check_kinds(machine: Machine, path: Path) -> None:
    """Check every expression against its scope, and every target against what is declared."""
    row_scope, end_scope = machine.scope(), machine.scope(of="end")
    for row in machine.rows:
        where = f"{path}: row {row.id}"
        _check_row(row, row_scope, machine, where)
    for hold in machine.holds.values():
        for name, node in hold.values:
            _kind(node, row_scope, f"{path}: row {hold.id}: hold.values", machine.variables[name])
        _check_emits(hold.at_end, end_scope, f"{path}: row {hold.id}: hold.at_end")
    _check_endings(machine, end_scope, path)


def _check_endings(machine: Machine, end_scope: Scope, path: Path) -> None:
    for verdict in machine.verdicts:
        _check_condition(verdict.when, end_scope, f"{path}: verdict {verdict.name}")
        _check_emits(verdict.emits, end_scope, f"{path}: verdict {verdict.name}")
    for observation in machine.observations:
        _check_condition(observation.when, end_scope, f"{path}: observation {observation.id}")
        _check_emits(observation.emits, end_scope, f"{path}: observation {observation.id}")
    cited = [entry.evidence for entry in machine.verdicts] + [entry.evidence for entry in machine.observations]
    for record in {name for names in cited for name in names} - machine.records.keys():
        message = f"{path}: evidence: no record is called {record}"
        raise RuleError(message)
    for choice in machine.views:
        _check_condition(choice.when, end_scope, f"{path}: view {choice.name}")
    for name, node in machine.facts.items():
        _check_condition(node, end_scope, f"{path}: facts.{name}")
    for name, node in machine.numbers.items():
        _kind(node, end_scope, f"{path}: numbers.{name}", None)


def _check_row(row: Row, scope: Scope, machine: Machine, where: str) -> None:
    _check_condition(row.when, scope, f"{where}: when")
    if row.when is not None:
        _check_members(row.when, f"{where}: when")
    for record in (*row.add, *row.keep, *row.evidence):
        if record not in machine.records:
            message = f"{where}: no record is called {record}"
            raise RuleError(message)
    for target in row.set:
        kinds = machine.variables if target.record is None else scope.records.get(target.record, {})
        if target.name not in kinds:
            message = f"{where}: set: {target.record + '.' if target.record else ''}{target.name} is not declared"
            raise RuleError(message)
        _kind(target.value, scope, f"{where}: set.{target.name}", kinds[target.name])
    for name, node in row.message_values:
        _kind(node, scope, f"{where}: values.{name}", None)
    _check_emits(row.emits, scope, where)


def _check_members(node: Node, where: str) -> None:
    """Refuse a negation over a candidate: that one member differs implies nothing about the others."""
    for part in walk(node):
        negated = isinstance(part, Not) or (isinstance(part, Binary) and part.operator == "!=")
        if negated and records_of(part):
            message = f"{where}: a negation over the candidates of {records_of(part)[0]} would hold for almost any of them"
            raise RuleError(message)


def _check_emits(emits: Iterable[Emit], scope: Scope, where: str) -> None:
    for emit in emits:
        _check_condition(emit.when, scope, f"{where}: emit.{emit.id}")


def _check_condition(node: Node | None, scope: Scope, where: str) -> None:
    if node is not None:
        _kind(node, scope, where, "flag")


def _kind(node: Node, scope: Scope, where: str, wanted: str | None) -> None:
    try:
        found = check(node, scope, wanted=wanted if wanted in NUMERIC else None)
    except ExpressionError as error:
        message = f"{where}: {error}"
        raise RuleError(message) from None
    member = found.removeprefix("member:")
    fits = member in scope.enums.get(wanted or "", ()) if member != found else wanted not in scope.enums or found == wanted
    if not fits:
        message = f"{where}: {member} is not of {wanted}"
        raise RuleError(message)
