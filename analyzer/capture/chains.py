"""Records that state their own length ─► where each begins, many parts of a window at once.

Promises: exactly the records that a walk from the first to the last finds. A window is divided at places that look like
records, all parts are walked in lockstep, and a part counts only if the part before ended where it begins; where it does
not, the walk goes on record by record until it does.
Must not know: what a record holds.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]
    Ints = npt.NDArray[np.int64]

LEAST_BYTES: Final = 1 << 20
"""Below this, parts cost more than they spare."""
PART_SHARE: Final = 11.0
"""Bytes of a part over the root of all bytes. A part more costs a search for its beginning, a longer part more steps: the sum
is least near this."""
_TRIES: Final = 16
_HOPS: Final = 2


class Kind(Protocol):
    """How records of one kind are told and walked."""

    def following(self, data: Array, at: Ints, size: int) -> Ints:
        """Return where the record after each of `at` begins; -1 where none whole and sound lies before `size`."""

    def follow(self, store: bytearray, at: int, size: int) -> int:
        """Return the same of one record."""

    def mark(self, store: bytearray, at: int) -> tuple[bytes, int]:
        """Return bytes that the record at `at` shares with most others, and their offset in it."""

    def plausible(self, store: bytearray, at: int, like: int) -> bool:
        """Whether what is at `at` might be a record, given one at `like`."""


def walk(kind: Kind, store: bytearray, start: int, size: int) -> tuple[Ints, int]:
    """Return where the records from `start` on begin, and where the last ends.

    The walk ends before the first record that is not whole and sound before `size`, at which the end then points.
    """
    data = np.frombuffer(store, dtype=np.uint8)
    if size - start < LEAST_BYTES:
        return _step(kind, store, start, size, frozenset())
    starts = _divide(kind, store, start, size)
    parts, ends = _walk_parts(kind, data, starts, size)
    return _join(kind, store, size, (starts, parts, ends))


def _step(kind: Kind, store: bytearray, start: int, size: int, known: frozenset[int]) -> tuple[Ints, int]:
    """Walk record by record, to one that begins in `known` at the latest."""
    found: list[int] = []
    append, follow, at = found.append, kind.follow, start
    while at not in known:
        after = follow(store, at, size)
        if after < 0:
            break
        append(at)
        at = after
    return np.array(found, dtype=np.int64), at


def _divide(kind: Kind, store: bytearray, start: int, size: int) -> Ints:
    """Return `start` and places, about equally far from each other, that look like the beginning of a record."""
    starts = [start]
    mark, offset = kind.mark(store, start)
    part = int(PART_SHARE * math.sqrt(size - start))
    for nominal in range(start + part, size, part):
        found = nominal - 1
        for _ in range(_TRIES):
            found = store.find(mark, found + 1, min(nominal + part, size))
            place = found - offset
            if found < 0 or _looks_right(kind, store, place, starts[-1], size):
                break
        else:
            found = -1
        if found >= 0 and place > starts[-1]:
            starts.append(place)
    return np.array(starts, dtype=np.int64)


def _looks_right(kind: Kind, store: bytearray, place: int, like: int, size: int) -> bool:
    """Whether a chain of plausible records begins at `place`."""
    for _ in range(_HOPS):
        if place < 0 or not kind.plausible(store, place, like):
            return False
        place = kind.follow(store, place, size)
    return True


def _walk_parts(kind: Kind, data: Array, starts: Ints, size: int) -> tuple[list[Ints], Ints]:
    """Return the records of each part, and where its walk ended: at or beyond the next part, or at a record that is none."""
    stops = np.append(starts[1:], size)
    ends = starts.copy()
    rows = np.arange(len(starts))
    steps: list[tuple[Array, Ints]] = []
    while len(rows):
        at = ends[rows]
        after = kind.following(data, at, size)
        sound = after >= 0
        if not sound.all():
            rows, at, after = rows[sound], at[sound], after[sound]
        steps.append((rows, at))
        ends[rows] = after
        rows = rows[after < stops[rows]]
    owner = np.concatenate([rows for rows, _ in steps])
    at = np.concatenate([at for _, at in steps])
    at = at[np.argsort(owner, kind="stable")]
    edges = np.cumsum(np.bincount(owner, minlength=len(starts)))[:-1]
    return np.split(at, edges), ends


def _join(kind: Kind, store: bytearray, size: int, walked: tuple[Ints, list[Ints], Ints]) -> tuple[Ints, int]:
    """Return the records of the parts that continue each other from the first on, with the walk between those that do not."""
    starts, parts, ends = walked
    if (ends[:-1] == starts[1:]).all():
        return np.concatenate(parts), int(ends[-1])
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
