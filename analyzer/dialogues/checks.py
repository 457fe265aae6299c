"""Evaluate the checks of scope dialogue and exchange, whole arrays at a time.

A check fires where its condition is known to hold; a fact that no parser gave is unknown. No check or protocol is named here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Final

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

    from analyzer._typing import Answer, Array, IntArray
    from analyzer.dialogues.context import ConnectionContext
    from analyzer.dialogues.dispatch import DialogueBatch
    from analyzer.language import Node, Scope
    from analyzer.protocols.columnar import DictionaryColumn
    from analyzer.rules import RuleSet
    from analyzer.rules.check import Check
    from analyzer.rules.protocols import Protocol
    from analyzer.rules.vocabulary import Fact

_MILLISECOND: Final = 1_000_000


def run(rules: RuleSet, context: ConnectionContext, batch: DialogueBatch, captures: Array) -> pd.DataFrame:
    """Return the findings as `findings.table.tabulate` does; `captures` is the capture of each connection."""
    chosen = [
        one for one in rules.findings.values() if one.check is not None and one.check.scope in DIALOGUE_SCOPES and one.id in rules.reported
    ]
    words = services(rules.protocols)
    subjects: dict[str, tuple[_Subject, dict[str, _ScopeView]]] = {}
    reported: list[table.Reported] = []
    for finding in chosen:
        about = finding.check.protocol  # type: ignore[union-attr] # chosen for having one
        if about not in subjects:
            subjects[about] = _Subject(rules.protocols[about], context, batch, words), {}
        subject, views = subjects[about]
        view = subject.view(finding.check.scope, views)  # type: ignore[union-attr] # as above
        event = _evaluate(finding.check, view, words)  # type: ignore[arg-type] # as above
        if event is not None:
            reported.append(table.Reported(finding, [event], _ViewEvidence(view, finding.check.evidence)))  # type: ignore[union-attr] # as above
    return table.tabulate(reported, captures)


def _evaluate(check: Check, view: _ScopeView, words: tuple[str, ...]) -> Event | None:
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

    view: _ScopeView
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


def _message_values(node: Node, scope: Scope, view: _ScopeView, hits: Array) -> list[object]:
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
    """All dialogues of one protocol, or of any."""

    def __init__(self, protocol: Protocol, context: ConnectionContext, batch: DialogueBatch, words: tuple[str, ...]) -> None:
        """Take the dialogues of `protocol`: single ones first, then those held as columns; `words` is the enumeration `service`."""
        self.protocol, self.words = protocol, words
        own = [one for one in unfold(batch.dialogues) if protocol.id in {ANY, one.dialogue.service}]
        self.dialogues = [one.dialogue for one in own]
        self.columns = [one for one in batch.columns if protocol.id in {ANY, one.service}]
        self.flow = np.concatenate([np.array([one.flow for one in own], np.int64), *(one.flow for one in self.columns)])
        self.outer = np.ones(len(self.flow), bool)
        """Whether each is a connection's own dialogue, not one inside it."""
        self.outer[: len(own)] = [not one.inside for one in own]
        self.context = context

    def view(self, scope: str, made: dict[str, _ScopeView]) -> _ScopeView:
        """Return the environment of checks of a scope; `made` holds those that were made before, by scope.

        Not cached on self: a view refers back to its subject, and the cycle would keep both alive until the next garbage collection.
        """
        any_protocol = self.protocol.id == ANY
        if "dialogue" not in made:
            flow = np.arange(len(self.context)) if any_protocol else self.flow
            rows = self.flow if any_protocol else np.arange(len(self.flow))
            made["dialogue"] = _DialogueView(self, flow, rows, self.outer if any_protocol else np.ones(len(self.flow), bool))
        if scope not in made:
            made[scope] = _ExchangeView(self, made["dialogue"], rows=self.flow if any_protocol else np.arange(len(self.flow)))
        return made[scope]

    def answer(self, values: Sequence[object], parts: Sequence[tuple[DictionaryColumn | None, int]], fact: Fact) -> Answer:
        """Return a fact of all rows: `values`, then those of each columnar part, given with its number of rows."""
        found = [self._convert(values, fact), *(self._to_array(part, size, fact) for part, size in parts)]
        return np.concatenate([converted for converted, _ in found]), np.concatenate([known for _, known in found])

    def _to_array(self, column: DictionaryColumn | None, size: int, fact: Fact) -> tuple[Array, Array]:
        values, known = self._convert([None] if column is None else column.there, fact)
        indices = np.zeros(size, np.int64) if column is None else column.at
        return (values, known) if indices is None else (values[indices], known[indices])

    def _convert(self, values: Sequence[object] | Array, fact: Fact) -> tuple[Array, Array]:
        """Return values as an array of the fact's type, and which of them are known."""
        dtype = bool if fact.kind == "flag" else np.uint32 if fact.kind == "seq" else np.int64
        if isinstance(values, np.ndarray):
            return values.astype(dtype, copy=False), np.ones(len(values), bool)
        known = np.array([value is not None for value in values], bool)
        if fact.kind in {"int", "time", "seq", "flag"}:
            return np.array([0 if value is None else value for value in values], dtype), known
        words = self.words if fact.kind == "service" else self.protocol.enums[fact.kind]
        code = {word: index for index, word in enumerate(words)}
        codes = np.array([code.get(str(value), -1) for value in values], np.int64)
        return np.maximum(codes, 0), codes >= 0


class _ScopeView(ABC):
    """What expressions of one scope are evaluated in: one row per dialogue or exchange."""

    def __init__(self, subject: _Subject, flow: Array) -> None:
        """Begin with nothing looked up; `flow` is the connection of each row, rising."""
        self.subject, self.flow = subject, flow
        self.size = len(flow)
        self._answers: dict[str, Answer] = {}
        self._frames: dict[str, Array] = {}

    def name(self, name: str) -> Answer:
        """Return values and known of a fact, looked up once."""
        if name not in self._answers:
            self._answers[name] = self._look_up(name)
        return self._answers[name]

    @abstractmethod
    def _look_up(self, name: str) -> Answer:
        """Return values and known of a fact."""

    def texts(self, name: str, hits: Array) -> list[object]:  # noqa: ARG002 - for scopes that have texts
        """Raise `KeyError`: only exchanges have facts of type text."""
        raise KeyError(name)

    def frames(self, name: str) -> Array:
        """Return the frames of an evidence name, -1 where there is none, looked up once."""
        if name not in self._frames:
            self._frames[name] = self._locate(name)
        return self._frames[name]

    @abstractmethod
    def _locate(self, name: str) -> Array:
        """Return the frames of an evidence name."""


class _DialogueView(_ScopeView):
    """One row per connection, or per dialogue of a protocol."""

    def __init__(self, subject: _Subject, flow: Array, rows: IntArray, chosen: Array) -> None:
        """Take the connections `flow`; `rows` is the row of each dialogue of the subject, which counts where it is `chosen`."""
        super().__init__(subject, flow)
        self.rows, self.chosen = rows[chosen], chosen

    def _look_up(self, name: str) -> Answer:
        shared = self.subject.context.facts.get(name)
        if shared is not None:
            values, known = shared
            return values[self.flow], None if known is None else known[self.flow]
        subject = self.subject
        parsed, is_known = subject.answer(
            [one.facts.get(name) for one in subject.dialogues],
            [(one.facts.get(name), len(one.flow)) for one in subject.columns],
            subject.protocol.dialogue[name],
        )
        values, known = np.zeros(self.size, parsed.dtype), np.zeros(self.size, bool)
        values[self.rows], known[self.rows] = parsed[self.chosen], True if is_known is None else is_known[self.chosen]
        return values, known

    def _locate(self, name: str) -> Array:
        shared = self.subject.context.evidence.get(name)
        if shared is not None:
            frames: Array = shared[self.flow]
            return frames
        found = np.full(self.size, -1, np.int64)
        parts = [(one.evidence.get(name), len(one.flow)) for one in self.subject.columns]
        found[self.rows] = _concat_frames([one.evidence.get(name) for one in self.subject.dialogues], parts)[self.chosen]
        return found


class _ExchangeView(_ScopeView):
    """One row per exchange."""

    def __init__(self, subject: _Subject, dialogues: _ScopeView, *, rows: IntArray) -> None:
        """Take the exchanges of all dialogues; `rows` is the row in `dialogues` of each dialogue of the subject."""
        counts = np.concatenate(
            [np.array([len(one.exchanges) for one in subject.dialogues], np.int64), *(one.count for one in subject.columns)]
        )
        super().__init__(subject, np.repeat(subject.flow, counts))
        self.exchanges = list(chain.from_iterable(one.exchanges for one in subject.dialogues))
        self.dialogues = dialogues
        self.owner = np.repeat(rows, counts)

    def texts(self, name: str, hits: Array) -> list[object]:
        """Return a fact of type text at each of `hits`, which rise; ? where it is unknown."""
        begin, found = len(self.exchanges), list[object]()
        found += [self.exchanges[row].facts.get(name) for row in hits[hits < begin].tolist()]
        for one in self.subject.columns:
            end, column = begin + int(one.count.sum()), one.exchange_facts.get(name)
            found += _texts(column, hits[(hits >= begin) & (hits < end)] - begin)
            begin = end
        return ["?" if text is None else legible(str(text)) for text in found]

    def _look_up(self, name: str) -> Answer:
        fact = self.subject.protocol.exchange.get(name)
        if fact is not None:
            parts = [(one.exchange_facts.get(name), int(one.count.sum())) for one in self.subject.columns]
            return self.subject.answer([one.facts.get(name) for one in self.exchanges], parts, fact)
        values, known = self.dialogues.name(name)
        return values[self.owner], None if known is None else known[self.owner]

    def _locate(self, name: str) -> Array:
        if name not in self.subject.protocol.exchange_evidence:
            frames: Array = self.dialogues.frames(name)[self.owner]
            return frames
        parts = [(one.exchange_evidence.get(name), int(one.count.sum())) for one in self.subject.columns]
        return _concat_frames([one.evidence.get(name) for one in self.exchanges], parts)


def _texts(column: DictionaryColumn | None, rows: IntArray) -> list[object]:
    """Return the values of some rows of a column; None for each row without a column."""
    if column is None:
        return [None] * len(rows)
    distinct = column.at
    indices = rows if distinct is None else distinct[rows]
    return [column.there[index] for index in indices.tolist()]


def _concat_frames(found: Sequence[int | None], parts: Sequence[tuple[Array | None, int]]) -> IntArray:
    """Return the frames `found`, then those of each columnar part, given with its number of rows; -1 where there is none."""
    single = np.array([-1 if frame is None else frame for frame in found], np.int64)
    return np.concatenate([single, *(np.full(size, -1, np.int64) if part is None else part for part, size in parts)])
