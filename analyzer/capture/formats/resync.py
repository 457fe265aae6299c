"""Records that state their own length ─► where each begins, many parts of a window at once.

Exactly the records that a walk from the first to the last finds. A window is divided at places that look like
records, all parts are walked in parallel, and a part counts only if the part before ended where it begins; where it does
not, the walk goes on record by record until it does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

if TYPE_CHECKING:
    from analyzer._typing import Array, BoolArray, Int64Array
    from analyzer.capture.formats.model import Store


MIN_SEARCH_BYTES: Final = 1 << 18
"""Below this, parts cost more than they spare."""
CHUNK_BYTES: Final = 1 << 14
"""A part more costs a search for its beginning, a longer part more steps."""
HEAD_BYTES: Final = 32
"""Bytes of a record that others are compared with."""
_REACH_BYTES: Final = 1 << 11
"""How far behind the place where a part should begin a record is looked for, at first."""
_FURTHER: Final = 8
_HOPS: Final = 2


class RecordFormat(Protocol):
    """How records of one kind are recognised and walked."""

    def next_records(self, data: Array, at: Int64Array, size: int) -> Int64Array:
        """Return where the record after each of `at` begins; -1 where none whole and sound lies before `size`."""

    def next_record(self, store: Store, at: int, size: int) -> int:
        """Return the same of one record."""

    def signature(self, like: bytes) -> tuple[bytes, int]:
        """Return bytes that a record which begins with `like` shares with most others, and their offset in it."""

    def is_plausible(self, data: Array, at: Int64Array, like: bytes) -> BoolArray:
        """Return what of `at` might be records, given what another one begins with."""


def walk(kind: RecordFormat, store: Store, start: int, size: int) -> tuple[Int64Array, int]:
    """Return where the records from `start` on begin, and where the last ends.

    The walk ends before the first record that is not whole and sound before `size`, at which the end then points.
    """
    data = np.frombuffer(store, dtype=np.uint8)
    if size - start < MIN_SEARCH_BYTES:
        return _step(kind, store, start, size, frozenset())
    nominal = np.arange(start + CHUNK_BYTES, size - CHUNK_BYTES, CHUNK_BYTES)
    found = Search(kind, data, size, bytes(store[start : start + HEAD_BYTES])).find(nominal)
    starts = np.concatenate(([start], found[found >= 0]))
    return _walk_parts(kind, store, starts, size)


def cut(walked: tuple[Int64Array, int], base: int, stop: int | None) -> tuple[Int64Array, int]:
    """Return of what a walk found the records that begin before byte `stop` of the file, and where the last of them ends."""
    at, end = walked
    count = len(at) if stop is None else int(np.searchsorted(at, stop - base))
    return (at, end) if count == len(at) else (at[:count], int(at[count]))


@dataclass(frozen=True, slots=True)
class Search:
    """A search for the beginnings of records in bytes of which only some are known to be one."""

    kind: RecordFormat
    data: Array
    size: int
    like: bytes
    """What some record begins with, `HEAD_BYTES` of it."""
    hops: int = _HOPS
    """So many plausible records must follow each other."""

    def find(self, nominal: Int64Array) -> Int64Array:
        """Return the first place behind each of `nominal`, equally far apart, that looks like a record, -1 for none before the next."""
        found = np.full(len(nominal), -1, dtype=np.int64)
        if not len(nominal):
            return found
        first, apart = int(nominal[0]), int(nominal[1] - nominal[0]) if len(nominal) > 1 else self.size - int(nominal[0])
        reach = _REACH_BYTES
        while True:
            reach = min(reach, apart, self.size - int(nominal[-1]))
            rows, at = self._match(first, apart, len(nominal), reach)
            right = self._verify_chain(at)
            rows, leading = np.unique(rows[right], return_index=True)
            found[rows] = at[right][leading]
            # Some parts may do without a beginning of their own, if not too many.
            if reach * _FURTHER > apart or 4 * len(rows) >= 3 * len(nominal):
                return found
            reach *= _FURTHER

    def _match(self, first: int, apart: int, count: int, reach: int) -> tuple[Int64Array, Int64Array]:
        """Return where the mark of a record is found, and behind which of `count` places."""
        mark, offset = self.kind.signature(self.like)
        # One byte that is rarely 0 leaves few places to look at the others.
        rare = next((place for place, byte in enumerate(mark) if byte), 0)
        shape = count, max(reach - len(mark), 0)
        equal = np.ndarray(shape, dtype=np.uint8, buffer=self.data, offset=first + rare, strides=(apart, 1)) == mark[rare]
        rows, columns = np.divmod(np.flatnonzero(equal.reshape(-1)), max(shape[1], 1))
        at = first + apart * rows + columns
        for place, byte in enumerate(mark):
            same = self.data[at + place] == byte
            rows, at = rows[same], at[same]
        at -= offset
        return rows[at >= 0], at[at >= 0]

    def _verify_chain(self, at: Int64Array) -> BoolArray:
        """Return at which of `at` a chain of plausible records begins."""
        right = np.ones(len(at), dtype=bool)
        rows = np.arange(len(at))
        for _ in range(self.hops):
            sound = self.kind.is_plausible(self.data, at, self.like)
            after = self.kind.next_records(self.data, at[sound], self.size)
            right[rows[~sound]] = False
            right[rows[sound][after < 0]] = False
            rows, at = rows[sound][after >= 0], after[after >= 0]
        return right


def _step(kind: RecordFormat, store: Store, start: int, size: int, known: frozenset[int]) -> tuple[Int64Array, int]:
    """Walk record by record, to one that begins in `known` at the latest."""
    found: list[int] = []
    append, follow, at = found.append, kind.next_record, start
    while at not in known:
        after = follow(store, at, size)
        if after < 0:
            break
        append(at)
        at = after
    return np.array(found, dtype=np.int64), at


def _walk_parts(kind: RecordFormat, store: Store, starts: Int64Array, size: int) -> tuple[Int64Array, int]:
    """Return the records of all parts, which begin at `starts`, and where the last ends."""
    data = np.frombuffer(store, dtype=np.uint8)
    ends = starts.copy()
    rows, at, stop = np.arange(len(starts)), starts, np.append(starts[1:], size)
    steps: list[tuple[Int64Array, Int64Array]] = []
    while len(rows):
        after = kind.next_records(data, at, size)
        sound = after >= 0
        if not sound.all():
            ends[rows[~sound]] = at[~sound]
            rows, at, stop, after = rows[sound], at[sound], stop[sound], after[sound]
        steps.append((rows, at))
        on = after < stop
        if not on.all():
            ends[rows[~on]] = after[~on]
            rows, stop, after = rows[on], stop[on], after[on]
        at = after
    if (ends[:-1] == starts[1:]).all():
        return np.sort(np.concatenate([at for _, at in steps])), int(ends[-1])
    owner = np.concatenate([rows for rows, _ in steps])
    order = np.argsort(owner, kind="stable")
    parts = np.split(np.concatenate([at for _, at in steps])[order], np.cumsum(np.bincount(owner, minlength=len(starts)))[:-1])
    return _join(kind, store, size, (starts, parts, ends))


def _join(kind: RecordFormat, store: Store, size: int, walked: tuple[Int64Array, list[Int64Array], Int64Array]) -> tuple[Int64Array, int]:
    """Return the records of the parts that continue each other from the first on, with the walk between those that do not."""
    starts, parts, ends = walked
    places = {place: part for part, place in enumerate(starts.tolist())}
    known = frozenset(places)
    joined = [parts[0]]
    at = int(ends[0])
    while True:
        if at in known:
            part = places[at]
            if not len(parts[part]):
                break
            joined.append(parts[part])
            at = int(ends[part])
        else:
            between, after = _step(kind, store, at, size, known)
            joined.append(between)
            if after not in known:
                at = after
                break
            at = after
    return np.concatenate(joined), at
