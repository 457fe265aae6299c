"""Hold many dialogues of one protocol as columns, which take a fraction of the memory of `api.Dialogue` objects and pickle quickly."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from analyzer.protocols.api import Cell, Dialogue, Fact

Array = np.ndarray[Any, np.dtype[Any]]

_NUMBERS: Final = {int, float, bool}
_EXACT: Final = {int, bool, str, type(None)}
"""Types whose values are equal only where they are the same; 0.0 and -0.0 are equal, and so are (1,) and (True,)."""
_WIDE: Final = 1 << 62
"""From here on a number is left as Python has it."""


@dataclass(frozen=True, slots=True)
class DictionaryColumn:
    """A column of facts or of a table: the same for all rows, one of some, or one each."""

    there: Sequence[Fact | Cell] | Array
    """The values there are; an array holds numbers or truths, all of them known."""
    at: Array | None = None
    """Which of them each row has; None where each row has its own."""

    def spread(self) -> list[Any]:
        """Return the value of each row."""
        values = self.there.tolist() if isinstance(self.there, np.ndarray) else self.there
        return list(values) if self.at is None else [values[place] for place in self.at.tolist()]

    @classmethod
    def of(cls, values: list[Any]) -> DictionaryColumn:
        """Return a column with these values, held as what takes the least room."""
        types = set(map(type, values))
        if len(types) != 1:
            return cls(values)
        if types <= _EXACT and values.count(values[0]) == len(values):
            return cls((values[0],), np.zeros(len(values), np.int8))
        return cls(np.array(values) if types <= _NUMBERS and max(map(abs, values)) < _WIDE else values)

    @classmethod
    def join(cls, parts: Sequence[tuple[DictionaryColumn | None, int]]) -> DictionaryColumn:
        """Return columns as one, the rows of each behind those of the one before; with each column comes its number of rows."""
        columns = [(cls((None,), np.zeros(size, np.int8)) if one is None else one, size) for one, size in parts]
        there = [one.there for one, _ in columns]
        arrays = [one for one in there if isinstance(one, np.ndarray)]
        alike = len(arrays) == len(there) and len({one.dtype for one in arrays}) == 1
        values: Array | list[Any] = np.concatenate(arrays) if alike else list(chain.from_iterable(map(_values, there)))
        if all(one.at is None for one, _ in columns):
            return cls(values)
        starts = np.cumsum([0, *map(len, there)])[:-1]
        places = [np.arange(size) if one.at is None else one.at for one, size in columns]
        return cls(values, np.concatenate([start + place for start, place in zip(starts, places, strict=True)]))


def _values(there: Sequence[Fact | Cell] | Array) -> Sequence[Any]:
    values: Sequence[Any] = there.tolist() if isinstance(there, np.ndarray) else there
    return values


@dataclass(frozen=True, slots=True)
class DialogueColumns:
    """Plain dialogues of one protocol as columns (see `is_plain`).

    The columns hold the fields of `Dialogue` and `Exchange`, one element each; a fact without a column is unknown. Dialogues
    that are encrypted, announce other connections, carry another protocol or were cut are not held this way.
    """

    service: str
    flow: Array
    """The connection of each dialogue."""
    summary: Sequence[str]
    facts: Mapping[str, DictionaryColumn]
    evidence: Mapping[str, Array]
    """Frames, one element per dialogue, -1 for none."""
    count: Array
    """Exchanges of each dialogue; the exchanges' columns are in order of dialogue and exchange."""
    exchange_facts: Mapping[str, DictionaryColumn]
    exchange_evidence: Mapping[str, Array]
    """Frames, as above."""
    row_count: Array
    """Rows of the transactions table of each dialogue."""
    rows: Mapping[str, DictionaryColumn]
    """Their columns."""

    @classmethod
    def of(cls, service: str, parsed: Mapping[int, Dialogue]) -> DialogueColumns:
        """Return dialogues, by connection, as columns; see `is_plain`."""
        dialogues = list(parsed.values())
        exchanges = list(chain.from_iterable(one.exchanges for one in dialogues))
        return cls(
            service=service,
            flow=np.array(list(parsed), np.int64),
            summary=[one.summary for one in dialogues],
            facts=_columns([one.facts for one in dialogues]),
            evidence=_frames([one.evidence for one in dialogues]),
            count=np.array([len(one.exchanges) for one in dialogues], np.int64),
            exchange_facts=_columns([one.facts for one in exchanges]),
            exchange_evidence=_frames([one.evidence for one in exchanges]),
            row_count=np.array([len(one.rows) for one in dialogues], np.int64),
            rows=_columns(list(chain.from_iterable(one.rows for one in dialogues))),
        )

    @classmethod
    def join(cls, blocks: Sequence[DialogueColumns]) -> list[DialogueColumns]:
        """Return the columns of each protocol concatenated."""
        services = dict.fromkeys(one.service for one in blocks)
        return [cls._join([one for one in blocks if one.service == service]) for service in services]

    @classmethod
    def _join(cls, blocks: Sequence[DialogueColumns]) -> DialogueColumns:
        if len(blocks) == 1:
            return blocks[0]
        dialogues, exchanges, rows = ([size[kind] for size in map(cls._sizes, blocks)] for kind in range(3))
        return cls(
            service=blocks[0].service,
            flow=np.concatenate([one.flow for one in blocks]),
            summary=list(chain.from_iterable(one.summary for one in blocks)),
            facts=_join_columns([one.facts for one in blocks], dialogues),
            evidence=_join_frames([one.evidence for one in blocks], dialogues),
            count=np.concatenate([one.count for one in blocks]),
            exchange_facts=_join_columns([one.exchange_facts for one in blocks], exchanges),
            exchange_evidence=_join_frames([one.exchange_evidence for one in blocks], exchanges),
            row_count=np.concatenate([one.row_count for one in blocks]),
            rows=_join_columns([one.rows for one in blocks], rows),
        )

    def _sizes(self) -> tuple[int, int, int]:
        return len(self.flow), int(self.count.sum()), int(self.row_count.sum())


def is_plain(dialogue: Dialogue) -> bool:
    """Return whether columns can hold the whole dialogue."""
    special = dialogue.tls or dialogue.after or dialogue.inner or dialogue.announced or dialogue.dropped or dialogue.cut
    return bool(dialogue.facts) and not special


def _names(dicts: Sequence[Mapping[str, Any]]) -> dict[str, None]:
    """Return all keys; mostly many have the same."""
    return dict.fromkeys(chain.from_iterable(dict.fromkeys(map(tuple, dicts))))


def _columns(dicts: Sequence[Mapping[str, Any]]) -> dict[str, DictionaryColumn]:
    return {name: DictionaryColumn.of([one.get(name) for one in dicts]) for name in _names(dicts)}


def _frames(dicts: Sequence[Mapping[str, int | None]]) -> dict[str, Array]:
    return {name: np.array([-1 if (frame := one.get(name)) is None else frame for one in dicts], np.int64) for name in _names(dicts)}


def _join_columns(parts: Sequence[Mapping[str, DictionaryColumn]], sizes: Sequence[int]) -> dict[str, DictionaryColumn]:
    return {
        name: DictionaryColumn.join([(part.get(name), size) for part, size in zip(parts, sizes, strict=True)]) for name in _names(parts)
    }


def _join_frames(parts: Sequence[Mapping[str, Array]], sizes: Sequence[int]) -> dict[str, Array]:
    nowhere = np.int64(-1)
    return {
        name: np.concatenate([part[name] if name in part else np.full(size, nowhere) for part, size in zip(parts, sizes, strict=True)])
        for name in _names(parts)
    }
