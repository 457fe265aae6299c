"""The state machine of `rules/opening.toml` as frozen values: states, classes, variables, records, rows, verdicts.

Every expression is parsed and checked. What a row may name is listed once, in `SEGMENT` (facts of the current segment) and `CONNECTION`
(facts of the whole connection).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from analyzer.language import Scope
from analyzer.rules.vocabulary import CONNECTION_FACTS, MACHINE_CONNECTION_FACTS, MACHINE_SEGMENT_FACTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from analyzer.language import Node

STATES: Final = ("CLOSED", "LISTEN", "SYN_SENT", "SYN_RECEIVED", "ESTABLISHED")
"""The states of RFC 9293 section 3.3.2 that an opening passes through; a state's code is its index."""

SIDES: Final = ("client", "server")

SEGMENT: Final[Mapping[str, str]] = {name: fact.kind for name, fact in MACHINE_SEGMENT_FACTS.items()}
CONNECTION: Final[Mapping[str, str]] = {name: fact.kind for name, fact in MACHINE_CONNECTION_FACTS.items()}
REUSE: Final = ("first", "closed", "active", "early")

INTRINSIC_CLASSES: Final = ("icmp", "unreadable")
"""Classes that no flags define: an ICMP error that quotes a segment (seen from the side that did not send the quoted
segment), and a segment whose flags were not captured."""


@dataclass(frozen=True, slots=True)
class Emit:
    """Report `id` when the condition holds (always, when there is none)."""

    id: str
    when: Node | None = None


@dataclass(frozen=True, slots=True)
class Assignment:
    """Give a variable, or a field of a record's member, a value."""

    record: str | None
    name: str
    value: Node


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the machine: the states it applies in, what it matches, and its actions."""

    id: str
    client: frozenset[int]
    """Codes of the client's states it applies in."""
    server: frozenset[int]
    match: frozenset[tuple[bool, str]]
    """(sent by the client, segment class)."""
    when: Node | None
    binds: tuple[str, ...]
    """Records that `when` names: the row fires if one member of each satisfies it, and these are the bound members."""
    to: tuple[int | None, int | None]
    """New states of client and server as their own segments prove them; None keeps the old one."""
    textbook: tuple[int | None, int | None]
    """New states as the textbook draws them, which takes every segment for delivered."""
    add: tuple[str, ...] = ()
    """Records that get a new member, which `set` fills."""
    keep: tuple[str, ...] = ()
    """Records of which only the bound member stays."""
    set: tuple[Assignment, ...] = ()
    emits: tuple[Emit, ...] = ()
    evidence: tuple[str, ...] = ()
    """Records whose bound (else newest) member's frame is evidence too."""
    message_values: tuple[tuple[str, Node], ...] = ()
    """Numbers for the finding's message."""
    holds: str | None = None
    """The hold this row starts, unless it is pending already."""
    settles: str | None = None
    """The hold this row ends; the row applies only while it is pending, and the held segment is evidence of its findings."""


@dataclass(frozen=True, slots=True)
class Hold:
    """A decision deferred until a later segment explains or confirms it."""

    id: str
    values: tuple[tuple[str, Node], ...]
    at_end: tuple[Emit, ...]


@dataclass(frozen=True, slots=True)
class Record:
    """A kind of candidate: each member holds all of `fields`; the first member is never evicted."""

    name: str
    keep: int
    fields: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Verdict:
    """One verdict: when it holds, what it means, and how it counts for a check."""

    name: str
    outcome: str
    counts_as: str
    """pass, warning, error or nothing."""
    meaning: str
    when: Node | None
    emits: tuple[Emit, ...] = ()
    evidence: tuple[str, ...] = ()
    """Records whose newest member is the evidence; without any it is the connection's last step."""
    opener_known: bool = True
    """Whether the capture shows which end opened the connection."""
    failure: str = ""
    """How the opening failed: refused or unanswered; empty for any other verdict."""


@dataclass(frozen=True, slots=True)
class Observation:
    """Something true of a connection as a whole, whatever its verdict."""

    id: str
    when: Node | None
    emits: tuple[Emit, ...]
    evidence: tuple[str, ...] = ()
    """Records whose newest member is the evidence; without any it is the connection's first step."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A value of a report column, chosen by the first condition that holds."""

    name: str
    when: Node | None


@dataclass(frozen=True, slots=True)
class Machine:
    """The whole of opening.toml."""

    id: str
    title: str
    references: tuple[str, ...]
    start: tuple[int, int]
    classes: tuple[tuple[str, tuple[tuple[int, int], ...]], ...]
    """(name, alternatives of (set, mask)); the first class that fits is the segment's."""
    variables: Mapping[str, str]
    enums: Mapping[str, tuple[str, ...]]
    records: Mapping[str, Record]
    holds: Mapping[str, Hold]
    rows: tuple[Row, ...]
    verdicts: tuple[Verdict, ...]
    observations: tuple[Observation, ...]
    views: tuple[Choice, ...]
    facts: Mapping[str, Node]
    """Conditions evaluated at the end, by the report's column name."""
    numbers: Mapping[str, Node]
    """Numbers evaluated at the end, by name: sequence numbers and nanoseconds."""

    def scope(self, *, of: str = "row") -> Scope:
        """Return what an expression may name: in a `row` the segment at hand too, at the `end` only the connection."""
        names = dict(self.variables) | {"client": "state", "server": "state"} | dict(CONNECTION)
        names |= SEGMENT if of == "row" else {name: fact.kind for name, fact in CONNECTION_FACTS.items()}
        return Scope(
            names,
            {record.name: record.fields for record in self.records.values()},
            self.enums,
            frozenset({row.id for row in self.rows} | emitted(self)),
        )


def emitted(machine: Machine) -> frozenset[str]:
    """Return every finding id that a row, a hold or a verdict can emit."""
    groups = [row.emits for row in machine.rows]
    groups += [hold.at_end for hold in machine.holds.values()]
    groups += [verdict.emits for verdict in machine.verdicts]
    groups += [observation.emits for observation in machine.observations]
    return frozenset(emit.id for group in groups for emit in group)
