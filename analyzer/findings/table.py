"""Build the findings table from events.

One finding per connection and rule; findings are sorted by connection, first frame and id. A rule that fires several times on a
connection gives one finding that states how often. Whole arrays; time is that of a sort of the hits.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise, starmap
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from analyzer._typing import Array, BoolArray, IntArray
    from analyzer.findings.event import Event
    from analyzer.rules import Finding

MAX_FRAMES: Final = 12
"""Frames that one finding cites: the first ones, and the last."""
FRAME_BITS: Final = 32
_NO_FRAME: Final = 1 << FRAME_BITS


class Evidence(Protocol):
    """The rows that events cite."""

    def frames(self, rows: IntArray, /) -> IntArray:
        """Return the frames of each row, shape (rows, k), -1 where there are fewer."""

    def repeats(self, rows: IntArray, /) -> IntArray:
        """Return how many occurrences each row stands for."""

    def numbers(self, rows: IntArray, names: frozenset[str], /) -> Mapping[str, IntArray]:
        """Return those of the placeholders `names` that the rows themselves give, -1 where unknown."""


@dataclass(frozen=True, slots=True)
class Reported:
    """A rule, its events and the rows they cite."""

    finding: Finding
    events: Sequence[Event]
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class _Hits:
    """All hits of one rule, sorted by connection and row."""

    flows: IntArray
    rows: IntArray
    source: IntArray
    """Index of each hit's event."""
    place: IntArray
    """Index of each hit in its event."""
    begins: IntArray
    """First hit of each finding."""

    @property
    def firsts(self) -> tuple[IntArray, IntArray]:
        """Event of each finding's first hit, and its index in it."""
        return self.source[self.begins], self.place[self.begins]


@dataclass(frozen=True, slots=True)
class _Rows:
    """The findings of one rule, as columns."""

    flow: IntArray
    first: IntArray
    """First frame of the hits, by which findings are sorted; 0 where there is none."""
    frames: list[tuple[tuple[int, int], ...]]
    messages: list[str]


def tabulate(reported: Iterable[Reported], captures: IntArray) -> pd.DataFrame:
    """Return the findings: flow (int64), id, severity, capture (int64), frames, message.

    `captures` is the capture of each connection; frames is a tuple of (capture, frame) in rising order.
    """
    rules = sorted((one for one in reported if any(len(event.flows) for event in one.events)), key=lambda one: one.finding.id)
    found = [_of_rule(one, captures) for one in rules]
    empty = np.zeros(0, np.int64)
    flow = np.concatenate([empty, *(one.flow for one in found)])
    first = np.concatenate([empty, *(one.first for one in found)])
    rule = np.repeat(np.arange(len(rules)), [len(one.flow) for one in found])
    order = np.lexsort((rule, first, flow))
    flow, rule = flow[order], rule[order]
    return pd.DataFrame(
        {
            "flow": flow,
            "id": pd.Series(_objects([one.finding.id for one in rules])[rule], dtype="str"),
            "severity": pd.Series(_objects([one.finding.severity for one in rules])[rule], dtype="str"),
            "capture": captures[flow].astype(np.int64),
            "frames": pd.Series(_objects([frames for one in found for frames in one.frames])[order], dtype="object"),
            "message": pd.Series(_objects([message for one in found for message in one.messages])[order], dtype="str"),
        }
    )


def _objects(values: Sequence[object]) -> Array:
    """Return values as an array of objects, tuples included."""
    found = np.empty(len(values), object)
    found[:] = values
    return found


def _of_rule(one: Reported, captures: IntArray) -> _Rows:
    hits = _sort(one.events)
    flow = hits.flows[hits.begins].astype(np.int64)
    own = one.evidence.frames(hits.rows)
    lowest = np.where(own < 0, _NO_FRAME, own).min(axis=1, initial=_NO_FRAME)
    first = np.minimum.reduceat(lowest, hits.begins)
    times = np.add.reduceat(one.evidence.repeats(hits.rows), hits.begins).tolist()
    frames = _frames(one, hits, own, captures[flow])
    return _Rows(flow, np.where(first == _NO_FRAME, 0, first), frames, _messages(one, hits, times))


def _sort(events: Sequence[Event]) -> _Hits:
    """Return the hits of `events` by connection and row; hits of one row stay in the order of events."""
    flows = np.concatenate([event.flows for event in events])
    rows = np.concatenate([event.rows for event in events])
    sizes = [len(event.flows) for event in events]
    order = np.lexsort((rows, flows))
    flows = flows[order]
    begins = np.concatenate(([0], np.flatnonzero(flows[1:] != flows[:-1]) + 1))
    source, place = np.repeat(np.arange(len(events)), sizes)[order], np.concatenate([np.arange(size) for size in sizes])[order]
    return _Hits(flows, rows[order], source, place, begins)


def _frames(one: Reported, hits: _Hits, own: IntArray, captures: IntArray) -> list[tuple[tuple[int, int], ...]]:
    """Return the frames that each finding cites: those of its hits, and what its first hit cites; at most MAX_FRAMES."""
    size = len(hits.begins)
    sizes = np.diff(np.append(hits.begins, len(hits.flows)))
    parts = [_pairs(np.repeat(np.arange(size), sizes), own)]
    source, place = hits.firsts
    order = np.argsort(source, kind="stable")
    bounds = np.searchsorted(source[order], np.arange(len(one.events) + 1))
    for event, (begin, end) in zip(one.events, pairwise(bounds), strict=True):
        mine = order[begin:end]
        for cite in event.cites if len(mine) else ():
            rows = cite[place[mine]]
            parts.append(_pairs(mine[rows >= 0], one.evidence.frames(rows[rows >= 0])))
    pairs = np.unique(np.concatenate(parts))
    owner = pairs >> FRAME_BITS
    kept = _within_limit(owner, size)
    owner, frame = owner[kept], (pairs & (_NO_FRAME - 1))[kept]
    cited = list(zip(captures[owner].tolist(), frame.tolist(), strict=True))
    ends = np.searchsorted(owner, np.arange(size + 1)).tolist()
    return [tuple(cited[begin:end]) for begin, end in pairwise(ends)]


def _pairs(owner: IntArray, frames: IntArray) -> IntArray:
    """Return finding and frame as one number for each of `frames`, shape (owners, k), that there is."""
    pairs = owner[:, None] << FRAME_BITS | frames
    return pairs[frames >= 0]


def _within_limit(owner: IntArray, size: int) -> BoolArray:
    """Return which frames are cited, given the finding of each, rising: the first MAX_FRAMES - 1 and the last where there are more."""
    bounds = np.searchsorted(owner, np.arange(size + 1))
    rank = np.arange(len(owner)) - bounds[:-1][owner]
    left = np.diff(bounds)[owner] - rank
    kept: BoolArray = (rank < MAX_FRAMES - 1) | (left == 1)
    return kept


def _messages(one: Reported, hits: _Hits, times: list[int]) -> list[str]:
    finding, placeholders = one.finding, one.finding.placeholders
    suffixes = ["" if count == 1 or "times" in placeholders else f" ({count} times)" for count in times]
    if not placeholders:
        return [finding.message + suffix for suffix in suffixes]
    given = {name: _unknown_to_none(values) for name, values in one.evidence.numbers(hits.rows[hits.begins], placeholders).items()}
    source, place = (values.tolist() for values in hits.firsts)
    stated = {number: {name: _unknown_to_none(values) for name, values in one.events[number].numbers.items()} for number in set(source)}

    def message(number: int, count: int) -> str:
        known = {name: values[number] for name, values in given.items() if values[number] is not None}
        row = place[number]
        known |= {name: values[row] for name, values in stated[source[number]].items() if values[row] is not None}
        return finding.fill_message(known | {"times": count})

    return list(map(str.__add__, starmap(message, enumerate(times)), suffixes))


def _unknown_to_none(values: Array) -> list[object]:
    """Return values with None where unknown."""
    found: list[object] = values.tolist()
    return found if values.dtype == object else [None if unknown else value for value, unknown in zip(found, values < 0, strict=True)]
