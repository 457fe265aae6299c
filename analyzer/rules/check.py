"""The `[check]` table of a finding file: a condition over a segment, a connection, the connections of a job, a dialogue or an exchange.

Promises: a `Check` is complete and frozen, every expression parsed and its kind checked; a fault names file and key.
Must not know: how a check is run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from analyzer.errors import RuleError
from analyzer.language import ExpressionError, Scope, check, parse
from analyzer.rules import protocols, vocabulary
from analyzer.rules.machine import CONNECTION, INTRINSIC_CLASSES, REUSE, SEGMENT, SIDES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from analyzer.language import Node
    from analyzer.rules.machine import Machine
    from analyzer.rules.protocols import Protocol

EVERY: Final = "any"
"""In `match`, stands for every class of segments with readable flags, or for both sides."""
DIALOGUE_SCOPES: Final = ("dialogue", "exchange")
"""Scopes of checks about what the endpoints said: of a whole connection, of a request and its answer."""


@dataclass(frozen=True, slots=True)
class Check:
    """When a finding is there, without any row saying so."""

    scope: str
    """segment, connection, correlation, dialogue or exchange."""
    match: frozenset[tuple[bool, str]]
    """Of a segment check: (sent by the client, segment class)."""
    rows: frozenset[str]
    """Of a segment check: rows of the machine; the segments they fired at are seen too."""
    when: Node
    message_values: tuple[tuple[str, Node], ...]
    evidence: tuple[str, ...]
    """Of a connection check: places or records whose frames are evidence; of one about what was said, places."""
    group_by: str
    """Of a correlation check: how connections are grouped."""
    where: Node | None
    """Of a correlation check: which connections count."""
    protocol: str = ""
    """Of a check about what was said: the protocol it is about, or `any`."""
    texts: tuple[tuple[str, str], ...] = ()
    """Of a check about what was said: places in the message and the facts of kind text that fill them."""


def scope_of(machine: Machine, scope: str) -> Scope:
    """Return what the condition and the values of a check of this `scope` may name."""
    if scope == "segment":
        names = dict(SEGMENT) | _kinds(vocabulary.STEP) | _connection_kinds()
        return Scope(names, {}, dict(machine.enums) | {"checksum": vocabulary.CHECKSUM})
    if scope == "correlation":
        return Scope(_kinds(vocabulary.GROUP))
    return machine.scope(of="end")


def where_scope(machine: Machine) -> Scope:
    """Return what `where` of a correlation check may name, which chooses the connections it counts."""
    verdicts = tuple(verdict.name for verdict in machine.verdicts)
    return Scope(_connection_kinds() | {"verdict": "verdict"}, {}, {"verdict": verdicts, "reuse": REUSE})


def _connection_kinds() -> dict[str, str]:
    return dict(CONNECTION) | _kinds(vocabulary.AGGREGATE)


def dialogue_scope(scope: str, protocol: Protocol, services: tuple[str, ...]) -> Scope:
    """Return what the expressions of a check about what was said may name; an exchange knows its dialogue's facts too."""
    names = _kinds(protocol.dialogue) | (_kinds(protocol.exchange) if scope == "exchange" else {})
    return Scope({name: kind for name, kind in names.items() if kind != protocols.TEXT}, {}, {**protocol.enums, "service": services})


def _kinds(facts: Mapping[str, vocabulary.Fact]) -> dict[str, str]:
    return {name: fact.kind for name, fact in facts.items()}


def build(entry: dict[str, Any], machine: Machine, known: Mapping[str, Protocol], family: str, where: str) -> Check:
    """Return the check that `entry`, which passed its schema, describes. Raises `RuleError`.

    `known` are the protocols, `family` is the folder the file lies in: of a protocol, if it is called like one.
    """
    if entry["scope"] in DIALOGUE_SCOPES:
        return _build_dialogue(entry, known, family, where)
    scope = scope_of(machine, entry["scope"])
    match, rows = _match(entry.get("match", ()), machine, where)
    _refuse_unknown(entry.get("evidence", ()), {*vocabulary.EVIDENCE, *machine.records}, f"{where}: check.evidence")
    return Check(
        scope=entry["scope"],
        match=match,
        rows=rows,
        when=_condition(entry["when"], scope, f"{where}: check.when"),
        message_values=tuple(
            (name, _number(text, scope, f"{where}: check.values.{name}")) for name, text in entry.get("values", {}).items()
        ),
        evidence=tuple(entry.get("evidence", ())),
        group_by=entry.get("group_by", ""),
        where=_condition(entry["where"], where_scope(machine), f"{where}: check.where") if "where" in entry else None,
    )


def _build_dialogue(entry: dict[str, Any], known: Mapping[str, Protocol], family: str, where: str) -> Check:
    about = entry.get("protocol", family if family in known else protocols.ANY)
    _refuse_unknown([about], known, f"{where}: check.protocol")
    scope = dialogue_scope(entry["scope"], known[about], protocols.services(known))
    texts = {name for name, fact in known[about].facts(entry["scope"]).items() if fact.kind == protocols.TEXT}
    places = {*known[about].dialogue_evidence, *(known[about].exchange_evidence if entry["scope"] == "exchange" else ())}
    _refuse_unknown(entry.get("evidence", ()), places, f"{where}: check.evidence")
    return Check(
        scope=entry["scope"],
        match=frozenset(),
        rows=frozenset(),
        when=_condition(entry["when"], scope, f"{where}: check.when"),
        message_values=tuple(
            (name, _checked(text, scope, f"{where}: check.values.{name}", None))
            for name, text in entry.get("values", {}).items()
            if text not in texts
        ),
        evidence=tuple(entry.get("evidence", ())),
        group_by="",
        where=None,
        protocol=about,
        texts=tuple((name, text) for name, text in entry.get("values", {}).items() if text in texts),
    )


def _match(entries: Iterable[str], machine: Machine, where: str) -> tuple[frozenset[tuple[bool, str]], frozenset[str]]:
    classes = [name for name, _ in machine.classes]
    seen: set[tuple[bool, str]] = set()
    rows: set[str] = set()
    for entry in entries:
        side, name = entry.split()
        if side == "row":
            rows.add(name)
            continue
        if name != EVERY:
            _refuse_unknown([name], {*classes, *INTRINSIC_CLASSES}, f"{where}: check.match")
        seen |= {(by == "client", one) for by in (SIDES if side == EVERY else (side,)) for one in (classes if name == EVERY else [name])}
    _refuse_unknown(rows, {row.id for row in machine.rows}, f"{where}: check.match")
    return frozenset(seen), frozenset(rows)


def _refuse_unknown(names: Iterable[str], known: Iterable[str], where: str) -> None:
    unknown = sorted(set(names) - set(known))
    if unknown:
        message = f"{where}: {unknown[0]} does not exist"
        raise RuleError(message)


def _condition(text: str, scope: Scope, where: str) -> Node:
    return _checked(text, scope, where, "flag")


def _number(text: str, scope: Scope, where: str) -> Node:
    return _checked(text, scope, where, None)


def _checked(text: str, scope: Scope, where: str, wanted: str | None) -> Node:
    try:
        node = parse(text)
        check(node, scope, wanted=wanted)
    except ExpressionError as error:
        message = f"{where}: {error}"
        raise RuleError(message) from None
    return node
