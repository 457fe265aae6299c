"""The `[check]` table of a finding file: a condition over a segment, a connection, a group of connections, a dialogue or an exchange.

Every expression is parsed and its type checked; a fault names file and key.
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
"""Scopes of checks about dialogues: the whole dialogue of a connection; one exchange."""


@dataclass(frozen=True, slots=True)
class Check:
    """The condition of a finding that no row of the machine emits."""

    scope: str
    """segment, connection, correlation, dialogue or exchange."""
    match: frozenset[tuple[bool, str]]
    """Of a segment check: (sent by the client, segment class)."""
    rows: frozenset[str]
    """Of a segment check: rows of the machine; the segments they fired at match too."""
    when: Node
    message_values: tuple[tuple[str, Node], ...]
    evidence: tuple[str, ...]
    """Names of the evidence: for a connection check also records; their frames prove the finding."""
    group_by: str
    """Of a correlation check: how connections are grouped."""
    where: Node | None
    """Of a correlation check: which connections count."""
    protocol: str = ""
    """Of a dialogue or exchange check: its protocol, or `any`."""
    texts: tuple[tuple[str, str], ...] = ()
    """Of a dialogue or exchange check: placeholders of the message and the facts of type text that fill them."""


def scope_of(machine: Machine, scope: str) -> Scope:
    """Return what the condition and the values of a check of this `scope` may name."""
    if scope == "segment":
        names = dict(SEGMENT) | _kinds(vocabulary.SEGMENT_FACTS) | _connection_kinds()
        return Scope(names, {}, dict(machine.enums) | {"checksum": vocabulary.CHECKSUM})
    if scope == "correlation":
        return Scope(_kinds(vocabulary.GROUP_FACTS))
    return machine.scope(of="end")


def where_scope(machine: Machine) -> Scope:
    """Return what `where` of a correlation check may name, which chooses the connections it counts."""
    verdicts = tuple(verdict.name for verdict in machine.verdicts)
    return Scope(_connection_kinds() | {"verdict": "verdict"}, {}, {"verdict": verdicts, "reuse": REUSE})


def _connection_kinds() -> dict[str, str]:
    return dict(CONNECTION) | _kinds(vocabulary.CONNECTION_FACTS)


def dialogue_scope(scope: str, protocol: Protocol, services: tuple[str, ...]) -> Scope:
    """Return what the expressions of a dialogue or exchange check may name; an exchange also has the facts of its dialogue."""
    names = _kinds(protocol.dialogue) | (_kinds(protocol.exchange) if scope == "exchange" else {})
    return Scope({name: kind for name, kind in names.items() if kind != protocols.TEXT}, {}, {**protocol.enums, "service": services})


def _kinds(facts: Mapping[str, vocabulary.Fact]) -> dict[str, str]:
    return {name: fact.kind for name, fact in facts.items()}


def build(entry: dict[str, Any], machine: Machine, known: Mapping[str, Protocol], family: str, where: str) -> Check:
    """Return the check that `entry`, which passed its schema, describes. Raises `RuleError`.

    `known` are the protocols; `family` is the folder of the file, which may have the name of a protocol.
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
    protocol = entry.get("protocol", family if family in known else protocols.ANY)
    _refuse_unknown([protocol], known, f"{where}: check.protocol")
    scope = dialogue_scope(entry["scope"], known[protocol], protocols.services(known))
    texts = {name for name, fact in known[protocol].facts(entry["scope"]).items() if fact.kind == protocols.TEXT}
    evidence = {*known[protocol].dialogue_evidence, *(known[protocol].exchange_evidence if entry["scope"] == "exchange" else ())}
    _refuse_unknown(entry.get("evidence", ()), evidence, f"{where}: check.evidence")
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
        protocol=protocol,
        texts=tuple((name, text) for name, text in entry.get("values", {}).items() if text in texts),
    )


def _match(entries: Iterable[str], machine: Machine, where: str) -> tuple[frozenset[tuple[bool, str]], frozenset[str]]:
    classes = [name for name, _ in machine.classes]
    matched: set[tuple[bool, str]] = set()
    rows: set[str] = set()
    for entry in entries:
        side, name = entry.split()
        if side == "row":
            rows.add(name)
            continue
        if name != EVERY:
            _refuse_unknown([name], {*classes, *INTRINSIC_CLASSES}, f"{where}: check.match")
        matched |= {(by == "client", one) for by in (SIDES if side == EVERY else (side,)) for one in (classes if name == EVERY else [name])}
    _refuse_unknown(rows, {row.id for row in machine.rows}, f"{where}: check.match")
    return frozenset(matched), frozenset(rows)


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
