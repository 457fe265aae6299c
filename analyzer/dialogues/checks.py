"""Checks of finding files about what was said, run: over dialogues and over exchanges, whole arrays at a time.

Promises: a check fires where its condition is known to hold; a fact no reader gave is unknown. One finding a connection and rule, with
the frames that prove it and how often it was so.
Must not know: any check or protocol by name.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from analyzer.dialogues.tables import legible
from analyzer.dialogues.tunnels import unfold
from analyzer.findings import table
from analyzer.findings.event import Event
from analyzer.language.compile import vector
from analyzer.rules.check import DIALOGUE_SCOPES, dialogue_scope
from analyzer.rules.protocols import ANY, services

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from analyzer.dialogues.context import ConnectionContext
    from analyzer.language import Node, Scope
    from analyzer.protocols.api import Dialogue
    from analyzer.protocols.columnar import DialogueColumns, DictionaryColumn
    from analyzer.rules import RuleSet
    from analyzer.rules.check import Check
    from analyzer.rules.protocols import Protocol
    from analyzer.rules.vocabulary import Fact

Array = np.ndarray[Any, np.dtype[Any]]
Answer = tuple[Array, Array | None]

_MILLISECOND: Final = 1_000_000


def run(
    rules: RuleSet, ground: ConnectionContext, dialogues: Mapping[int, Dialogue], blocks: Sequence[DialogueColumns], captures: Array
) -> pd.DataFrame:
    """Return the findings as `findings.table.tabulate` does.

    `dialogues` are by connection, `blocks` hold those of other ones; `captures` is the capture of each connection.
    """
    chosen = [
        one for one in rules.findings.values() if one.check is not None and one.check.scope in DIALOGUE_SCOPES and one.id in rules.reported
    ]
    words = services(rules.protocols)
    subjects: dict[str, tuple[_Subject, dict[str, _View]]] = {}
    reported: list[table.Reported] = []
    for finding in chosen:
        about = finding.check.protocol  # type: ignore[union-attr] # chosen for having one
        if about not in subjects:
            subjects[about] = _Subject(rules.protocols[about], ground, dialogues, blocks, words), {}
        subject, views = subjects[about]
        view = subject.view(finding.check.scope, views)  # type: ignore[union-attr] # as above
        event = _evaluate(finding.check, view, words)  # type: ignore[arg-type] # as above
        if event is not None:
            reported.append(table.Reported(finding, [event], _ViewEvidence(view, finding.check.evidence)))  # type: ignore[union-attr] # as above
    return table.tabulate(reported, captures)


def _evaluate(check: Check, view: _View, words: tuple[str, ...]) -> Event | None:
    """Return where a check fires and the values for its message; None where it does not fire."""
    if not view.size:
        return None
    scope = dialogue_scope(check.scope, view.subject.protocol, words)
    holds, known = vector.compile_(check.when, scope)(view)
    hits = np.flatnonzero(np.broadcast_to(np.asarray(holds, bool) if known is None else np.asarray(holds, bool) & known, view.size))
    if not len(hits):
        return None
    numbers = {name: _message_values(node, scope, view, hits) for name, node in check.message_values}
    numbers |= {name: view.texts(fact, hits) for name, fact in check.texts}
    return Event(0, view.flow[hits], hits, (), {name: np.array(values, object) for name, values in numbers.items()})


@dataclass(frozen=True, slots=True)
class _ViewEvidence:
    """The rows of a view, as `findings.table.Evidence`: their frames are those that the check cites."""

    view: _View
    cited: tuple[str, ...]

    def frames(self, rows: Array) -> Array:
        """Return the frames of the cited evidence, -1 where there is none."""
        found = np.full((len(rows), len(self.cited)), -1, np.int64)
        for column, name in enumerate(self.cited):
            found[:, column] = self.view.frames(name)[rows]
        return found

    def repeats(self, rows: Array) -> Array:
        """Return 1 for each row."""
        return np.ones(len(rows), np.int64)

    def numbers(self, rows: Array, names: frozenset[str]) -> Mapping[str, Array]:  # noqa: ARG002 - the check gives all values
        """Return nothing."""
        return {}


def _message_values(node: Node, scope: Scope, view: _View, hits: Array) -> list[object]:
    """Return what a message states at each hit: a number, a time in ms, a member of an enumeration; None where it is unknown."""
    from analyzer.language import check

    type_ = check(node, scope)
    values, known = vector.compile_(node, scope)(view)
    values = np.broadcast_to(np.asarray(values), view.size)[hits]
    sure = np.ones(len(hits), bool) if known is None else np.broadcast_to(known, view.size)[hits]
    if type_ in scope.enums:
        texts: list[object] = [scope.enums[type_][int(value)] for value in values.tolist()]
    elif type_ == "time":
        texts = [round(int(value) / _MILLISECOND) for value in values.tolist()]
    else:
        texts = [int(value) for value in values.tolist()]
    return [text if one else None for text, one in zip(texts, sure.tolist(), strict=True)]


class _Subject:
    """All that was said in one protocol, or in any."""

    def __init__(
        self,
        protocol: Protocol,
        ground: ConnectionContext,
        dialogues: Mapping[int, Dialogue],
        blocks: Sequence[DialogueColumns],
        words: tuple[str, ...],
    ) -> None:
        """Take the dialogues of `protocol`: those read one by one, then those of blocks."""
        self.protocol, self.words = protocol, words
        own = [one for one in unfold(dialogues) if protocol.id in {ANY, one.dialogue.service}]
        self.dialogues = [one.dialogue for one in own]
        self.blocks = [one for one in blocks if protocol.id in {ANY, one.service}]
        self.flow = np.concatenate([np.array([one.flow for one in own], np.int64), *(one.flow for one in self.blocks)])
        self.outer = np.ones(len(self.flow), bool)
        """Whether each is a connection's own dialogue, not one inside of it."""
        self.outer[: len(own)] = [not one.inside for one in own]
        self.ground = ground

    def view(self, scope: str, made: dict[str, _View]) -> _View:
        """Return the environment of checks of a scope; `made` is those that were made before, by scope.

        They are not kept here: they know their subject, and what knows each other does not go when it is done with.
        """
        everyone = self.protocol.id == ANY
        if "dialogue" not in made:
            flow = np.arange(len(self.ground.opened_at)) if everyone else self.flow
            of = self.flow if everyone else np.arange(len(self.flow))
            made["dialogue"] = _Dialogues(self, flow, of, self.outer if everyone else np.ones(len(self.flow), bool))
        if scope not in made:
            made[scope] = _Exchanges(self, made["dialogue"], of=self.flow if everyone else np.arange(len(self.flow)))
        return made[scope]

    def answer(self, cells: Sequence[object], parts: Sequence[tuple[DictionaryColumn | None, int]], fact: Fact) -> Answer:
        """Return a fact of all rows: `cells`, then what the blocks have of it, with how many rows each has."""
        found = [self._convert(cells, fact), *(self._spread(part, size, fact) for part, size in parts)]
        return np.concatenate([values for values, _ in found]), np.concatenate([known for _, known in found])

    def _spread(self, cells: DictionaryColumn | None, size: int, fact: Fact) -> tuple[Array, Array]:
        values, known = self._convert([None] if cells is None else cells.there, fact)
        at = np.zeros(size, np.int64) if cells is None else cells.at
        return (values, known) if at is None else (values[at], known[at])

    def _convert(self, cells: Sequence[object] | Array, fact: Fact) -> tuple[Array, Array]:
        """Return cells as an array of the fact's kind, and which of them are known."""
        dtype = bool if fact.kind == "flag" else np.uint32 if fact.kind == "seq" else np.int64
        if isinstance(cells, np.ndarray):
            return cells.astype(dtype, copy=False), np.ones(len(cells), bool)
        known = np.array([cell is not None for cell in cells], bool)
        if fact.kind in {"int", "time", "seq", "flag"}:
            return np.array([0 if cell is None else cell for cell in cells], dtype), known
        words = self.words if fact.kind == "service" else self.protocol.enums[fact.kind]
        code = {word: place for place, word in enumerate(words)}
        codes = np.array([code.get(str(cell), -1) for cell in cells], np.int64)
        return np.maximum(codes, 0), codes >= 0


class _View(ABC):
    """What expressions are evaluated in."""

    def __init__(self, subject: _Subject, flow: Array) -> None:
        """Begin with nothing looked up; `flow` is the connection of each row, rising."""
        self.subject, self.flow = subject, flow
        self.size = len(flow)
        self._answers: dict[str, Answer] = {}
        self._places: dict[str, Array] = {}

    def name(self, name: str) -> Answer:
        """Return values and known of a fact, looked up once."""
        if name not in self._answers:
            self._answers[name] = self._look_up(name)
        return self._answers[name]

    @abstractmethod
    def _look_up(self, name: str) -> Answer:
        """Return values and known of a fact."""

    def texts(self, name: str, hits: Array) -> list[object]:  # noqa: ARG002 - for those that have texts
        """Refuse: only exchanges have facts of kind text."""
        raise KeyError(name)

    def frames(self, place: str) -> Array:
        """Return the frames of a place, -1 where it has none, looked up once."""
        if place not in self._places:
            self._places[place] = self._locate(place)
        return self._places[place]

    @abstractmethod
    def _locate(self, place: str) -> Array:
        """Return the frames of a place."""


class _Dialogues(_View):
    """A row a connection."""

    def __init__(self, subject: _Subject, flow: Array, of: Array, chosen: Array) -> None:
        """Take the connections `flow`; `of` says at which row each dialogue that was read stands, if it is `chosen`."""
        super().__init__(subject, flow)
        self.at, self.chosen = of[chosen], chosen

    def _look_up(self, name: str) -> Answer:
        ground = self.subject.ground.facts.get(name)
        if ground is not None:
            values, known = ground
            return values[self.flow], None if known is None else known[self.flow]
        subject = self.subject
        read, there = subject.answer(
            [one.facts.get(name) for one in subject.dialogues],
            [(block.facts.get(name), len(block.flow)) for block in subject.blocks],
            subject.protocol.dialogue[name],
        )
        values, known = np.zeros(self.size, read.dtype), np.zeros(self.size, bool)
        values[self.at], known[self.at] = read[self.chosen], True if there is None else there[self.chosen]
        return values, known

    def _locate(self, place: str) -> Array:
        ground = self.subject.ground.places.get(place)
        if ground is not None:
            held: Array = ground[self.flow]
            return held
        found = np.full(self.size, -1, np.int64)
        parts = [(block.places.get(place), len(block.flow)) for block in self.subject.blocks]
        found[self.at] = _frames([one.places.get(place) for one in self.subject.dialogues], parts)[self.chosen]
        return found


class _Exchanges(_View):
    """A row a request or command and its answer."""

    def __init__(self, subject: _Subject, dialogues: _View, *, of: Array) -> None:
        """Take the exchanges of all dialogues; `of` is the row of `dialogues` that each one's stand for."""
        counts = np.concatenate(
            [np.array([len(one.exchanges) for one in subject.dialogues], np.int64), *(block.count for block in subject.blocks)]
        )
        super().__init__(subject, np.repeat(subject.flow, counts))
        self.exchanges = list(chain.from_iterable(one.exchanges for one in subject.dialogues))
        self.dialogues = dialogues
        self.owner = np.repeat(of, counts)

    def texts(self, name: str, hits: Array) -> list[object]:
        """Return a fact of kind text at each of `hits`, which rise; None where it is unknown."""
        begin, found = len(self.exchanges), list[object]()
        found += [self.exchanges[row].facts.get(name) for row in hits[hits < begin].tolist()]
        for block in self.subject.blocks:
            end, cells = begin + int(block.count.sum()), block.exchange_facts.get(name)
            found += _texts(cells, hits[(hits >= begin) & (hits < end)] - begin)
            begin = end
        return [None if text is None else legible(str(text)) for text in found]

    def _look_up(self, name: str) -> Answer:
        fact = self.subject.protocol.exchange.get(name)
        if fact is not None:
            parts = [(block.exchange_facts.get(name), int(block.count.sum())) for block in self.subject.blocks]
            return self.subject.answer([one.facts.get(name) for one in self.exchanges], parts, fact)
        values, known = self.dialogues.name(name)
        return values[self.owner], None if known is None else known[self.owner]

    def _locate(self, place: str) -> Array:
        if place not in self.subject.protocol.exchange_evidence:
            held: Array = self.dialogues.frames(place)[self.owner]
            return held
        parts = [(block.exchange_places.get(place), int(block.count.sum())) for block in self.subject.blocks]
        return _frames([one.places.get(place) for one in self.exchanges], parts)


def _texts(cells: DictionaryColumn | None, rows: Array) -> list[object]:
    """Return the values that some rows of a block have; None where the block has none."""
    if cells is None:
        return [None] * len(rows)
    distinct = cells.at
    places = rows if distinct is None else distinct[rows]
    return [cells.there[place] for place in places.tolist()]


def _frames(found: Sequence[int | None], parts: Sequence[tuple[Array | None, int]]) -> Array:
    """Return the frames of a place: those `found`, then what blocks have of it, with how many rows each has; -1 where there is none."""
    own = np.array([-1 if frame is None else frame for frame in found], np.int64)
    return np.concatenate([own, *(np.full(size, -1, np.int64) if part is None else part for part, size in parts)])
