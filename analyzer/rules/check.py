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
"""In `see`, stands for every class of segments with readable flags, or for both sides."""
DIALOGUE_SCOPES: Final = ("dialogue", "exchange")
"""Scopes of checks about what the endpoints said: of a whole connection, of a request and its answer."""


@dataclass(frozen=True, slots=True)
class Check:
    """When a finding is there, without any row saying so."""

    scope: str
    """segment, connection, job, dialogue or exchange."""
    see: frozenset[tuple[bool, str]]
    """Of a segment check: (sent by the client, segment class)."""
    rows: frozenset[str]
    """Of a segment check: rows of the machine; the segments they fired at are seen too."""
    when: Node
    say: tuple[tuple[str, Node], ...]
    cite: tuple[str, ...]
    """Of a connection check: places or records whose frames are evidence; of one about what was said, places."""
    over: str
    """Of a job check: how connections are grouped."""
    of: Node | None
    """Of a job check: which connections count."""
    protocol: str = ""
    """Of a check about what was said: the protocol it is about, or `any`."""
    texts: tuple[tuple[str, str], ...] = ()
    """Of a check about what was said: places in the message and the facts of kind text that fill them."""


def scope_of(machine: Machine, scope: str) -> Scope:
    """Return what the expressions of a check of this `scope` may name; `job of` is for the connections a job check counts."""
    aggregates = dict(CONNECTION) | _kinds(vocabulary.AGGREGATE)
    if scope == "segment":
        return Scope(dict(SEGMENT) | _kinds(vocabulary.STEP) | aggregates, {}, dict(machine.enums) | {"checksum": vocabulary.CHECKSUM})
    if scope == "job":
        return Scope(_kinds(vocabulary.GROUP))
    if scope == "job of":
        verdicts = tuple(verdict.name for verdict in machine.verdicts)
        return Scope(aggregates | {"verdict": "verdict"}, {}, {"verdict": verdicts, "reuse": REUSE})
    return machine.scope(of="end")


def spoken_scope(scope: str, protocol: Protocol, services: tuple[str, ...]) -> Scope:
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
        return _build_spoken(entry, known, family, where)
    scope = scope_of(machine, entry["scope"])
    see, rows = _see(entry.get("see", ()), machine, where)
    _refuse_strangers(entry.get("cite", ()), {*vocabulary.EVIDENCE, *machine.records}, f"{where}: check.cite")
    return Check(
        scope=entry["scope"],
        see=see,
        rows=rows,
        when=_condition(entry["when"], scope, f"{where}: check.when"),
        say=tuple((name, _number(text, scope, f"{where}: check.say.{name}")) for name, text in entry.get("say", {}).items()),
        cite=tuple(entry.get("cite", ())),
        over=entry.get("over", ""),
        of=_condition(entry["of"], scope_of(machine, "job of"), f"{where}: check.of") if "of" in entry else None,
    )


def _build_spoken(entry: dict[str, Any], known: Mapping[str, Protocol], family: str, where: str) -> Check:
    about = entry.get("protocol", family if family in known else protocols.ANY)
    _refuse_strangers([about], known, f"{where}: check.protocol")
    scope = spoken_scope(entry["scope"], known[about], protocols.services(known))
    texts = {name for name, fact in known[about].facts(entry["scope"]).items() if fact.kind == protocols.TEXT}
    places = {*known[about].dialogue_places, *(known[about].exchange_places if entry["scope"] == "exchange" else ())}
    _refuse_strangers(entry.get("cite", ()), places, f"{where}: check.cite")
    return Check(
        scope=entry["scope"],
        see=frozenset(),
        rows=frozenset(),
        when=_condition(entry["when"], scope, f"{where}: check.when"),
        say=tuple(
            (name, _checked(text, scope, f"{where}: check.say.{name}", None))
            for name, text in entry.get("say", {}).items()
            if text not in texts
        ),
        cite=tuple(entry.get("cite", ())),
        over="",
        of=None,
        protocol=about,
        texts=tuple((name, text) for name, text in entry.get("say", {}).items() if text in texts),
    )


def _see(entries: Iterable[str], machine: Machine, where: str) -> tuple[frozenset[tuple[bool, str]], frozenset[str]]:
    classes = [name for name, _ in machine.classes]
    seen: set[tuple[bool, str]] = set()
    rows: set[str] = set()
    for entry in entries:
        side, name = entry.split()
        if side == "row":
            rows.add(name)
            continue
        if name != EVERY:
            _refuse_strangers([name], {*classes, *INTRINSIC_CLASSES}, f"{where}: check.see")
        seen |= {(by == "client", one) for by in (SIDES if side == EVERY else (side,)) for one in (classes if name == EVERY else [name])}
    _refuse_strangers(rows, {row.id for row in machine.rows}, f"{where}: check.see")
    return frozenset(seen), frozenset(rows)


def _refuse_strangers(names: Iterable[str], known: Iterable[str], where: str) -> None:
    strangers = sorted(set(names) - set(known))
    if strangers:
        message = f"{where}: {strangers[0]} does not exist"
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
