"""The facts that conditions of rules may name, by scope, with kind, unit, meaning and an example of a condition."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from analyzer.rules import protocols, vocabulary
from analyzer.rules.check import DIALOGUE_SCOPES
from analyzer.rules.machine import REUSE, SIDES, STATES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from analyzer.rules import RuleSet
    from analyzer.rules.vocabulary import Fact

SCOPES: Final = ("segment", "connection", "correlation", *DIALOGUE_SCOPES)
_TABLES: Final = (
    (vocabulary.MACHINE_SEGMENT_FACTS, ("segment",)),
    (vocabulary.SEGMENT_FACTS, ("segment",)),
    (vocabulary.MACHINE_CONNECTION_FACTS, ("segment", "connection", "correlation")),
    (vocabulary.CONNECTION_FACTS, ("segment", "connection", "correlation")),
    (vocabulary.GROUP_FACTS, ("correlation",)),
)
_LIMITS: Final = {"bytes": "> 1000", "%": "> 50", "": "> 3"}


@dataclass(frozen=True, slots=True)
class FactEntry:
    """One fact of one protocol, or of connections."""

    name: str
    scopes: tuple[str, ...]
    protocol: str
    """The protocol that declares it; empty for facts of openings."""
    kind: str
    unit: str
    members: tuple[str, ...]
    """Of an enumeration: its values."""
    meaning: str
    example: str
    """A condition that names it; empty for a text, which only a message can contain."""


def facts(rules: RuleSet, pattern: str = "*", scope: str | None = None) -> list[FactEntry]:
    """Return the facts whose names match a shell pattern, of one scope or of all, in the order of the reference."""
    found = (*_openings(rules), *_dialogues(rules))
    return [entry for entry in found if fnmatchcase(entry.name, pattern) and scope in {None, *entry.scopes}]


def _openings(rules: RuleSet) -> Iterator[FactEntry]:
    enums = {**rules.machine.enums, "checksum": vocabulary.CHECKSUM, "reuse": REUSE}
    for table, scopes in _TABLES:
        for name, fact in table.items():
            yield _entry(name, fact, scopes, "", enums)
    for side in SIDES:
        fact = vocabulary.Fact("state", f"state of the {side} at the end, as its own segments prove it")
        yield _entry(side, fact, ("connection",), "", {"state": STATES})


def _dialogues(rules: RuleSet) -> Iterator[FactEntry]:
    common = rules.protocols[protocols.ANY]
    for protocol in rules.protocols.values():
        enums = {**protocol.enums, "service": protocols.services(rules.protocols)}
        for scope in DIALOGUE_SCOPES:
            inherited = {} if protocol is common else common.facts(scope)
            scopes = DIALOGUE_SCOPES if scope == "dialogue" else (scope,)
            for name, fact in protocol.facts(scope).items():
                if name not in inherited:
                    yield _entry(name, fact, scopes, protocol.id, enums)


def _entry(name: str, fact: Fact, scopes: Sequence[str], protocol: str, enums: Mapping[str, Sequence[str]]) -> FactEntry:
    members = tuple(enums.get(fact.kind, ()))
    return FactEntry(
        name, tuple(scopes), protocol, fact.kind, fact.unit, members, fact.meaning.removeprefix("(parser) "), _example(name, fact, members)
    )


def _example(name: str, fact: Fact, members: Sequence[str]) -> str:
    if members:
        return f"{name} != {members[0]}"
    return {
        "flag": f"not {name}",
        "time": f"{name} > 500ms",
        "int": f"{name} {_LIMITS.get(fact.unit, '> 3')}",
        "seq": f"{name} in [1, 1000)",
    }.get(fact.kind, "")
