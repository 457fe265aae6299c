"""Tuples ─► incarnations: which tuples need a look, what their events are, where they are cut.

A tuple whose only SYN comes first, repeated or not, and whose only SYN+ACK comes from the other end, costs
whole-array work alone; the rest goes event by event through `port_reuse.IncarnationTracker`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from analyzer import schema
from analyzer.connections import port_reuse, port_reuse_fast
from analyzer.kernels.groups import first_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from analyzer.connections.concat import Array
    from analyzer.connections.tuple_key import Bools, Ints

_SYN_BITS: Final = schema.SYN | schema.ACK | schema.RST
_AHEAD: Final = np.uint32(1 << 24)
"""How far beyond the expected number a RST or FIN may lie: more than any window in use."""
_BEHIND: Final = np.uint32(1 << 16)
_CHUNK: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class TupleRows:
    """The kept segments, tuple by tuple, in capture order inside each."""

    code: Ints
    """The tuple; dense and rising."""
    forward: Bools
    flags: Array
    """uint16, 0 where the header was cut before them."""
    seq: Array
    """uint32."""
    ack: Array
    """uint32."""
    length: Array
    """Payload bytes, uint32."""
    time: Ints

    def renamed(self, code: Ints) -> TupleRows:
        """Return the same rows under other codes."""
        return replace(self, code=code)

    def take(self, rows: Ints) -> TupleRows:
        """Return these rows alone; tuple codes stay as they are."""
        return TupleRows(*(getattr(self, name)[rows] for name in ("code", "forward", "flags", "seq", "ack", "length", "time")))


@dataclass(frozen=True, slots=True)
class Cuts:
    """Where new incarnations start, rising by row."""

    rows: Ints
    finished: Bools
    by_fins: Bools


def find(rows: TupleRows, count: int, self_connected: Bools) -> Cuts:
    """Find the rows of `rows` that start a new incarnation; `count` tuples, of which some connect to themselves."""
    where = np.flatnonzero(_suspects(rows, count, self_connected)[rows.code])
    cuts_found, found = _turnover(rows, where, count, self_connected)
    where = where[~cuts_found.clean[rows.code[where]]]
    cuts: list[port_reuse.Cut] = []
    if len(where):
        for tuple_, events in _events(rows.take(where), self_connected):
            cuts.extend(tuple_.feed(events))
    starts = np.concatenate([found, where[np.array([cut.row for cut in cuts], np.int64)]])
    finished = np.concatenate([np.ones(len(found), bool), np.array([cut.finished for cut in cuts], bool)])
    by_fins = np.concatenate([cuts_found.by_fins, np.array([cut.by_fins for cut in cuts], bool)])
    order = np.argsort(starts)
    return Cuts(starts[order], finished[order], by_fins[order])


def _turnover(rows: TupleRows, where: Ints, count: int, self_connected: Bools) -> tuple[port_reuse_fast.ReuseCuts, Ints]:
    """Find the tuples among `rows[where]` that are in good order, and the rows of their cuts."""
    few = rows.take(where)
    starts = np.concatenate(([True], few.code[1:] != few.code[:-1]))[: len(where)]
    begin = np.flatnonzero(starts)[np.cumsum(starts) - 1]
    kind = _kinds(few.flags)
    places = np.flatnonzero(kind >= 0)
    near = _near(few, begin, places, self_connected[few.code])
    numbers = (few.forward[places], few.seq[places], few.ack[places], few.length[places])
    ahead = np.bincount(few.code, weights=few.forward, minlength=count)
    both_sides = (ahead > 0) & (ahead < np.bincount(few.code, minlength=count))
    cuts_found = port_reuse_fast.find(
        port_reuse_fast.TurnoverEvents(places, few.code[places], kind[places], *numbers, near), starts[places], both_sides
    )
    return cuts_found, where[cuts_found.rows]


def _suspects(rows: TupleRows, count: int, self_connected: Bools) -> Bools:
    """Whether each tuple may hold more than one incarnation."""
    kind = rows.flags & _SYN_BITS
    syn, synack = np.flatnonzero(kind == schema.SYN), np.flatnonzero(kind == schema.SYN | schema.ACK)
    ending = np.flatnonzero(rows.flags & (schema.FIN | schema.RST))
    first_syn, first_synack, first_ending = (first_of(some, rows.code, count) for some in (syn, synack, ending))
    suspects = np.zeros(count, bool)
    for some, first in ((syn, first_syn), (synack, first_synack)):
        expected = first[rows.code[some]]
        other = (rows.seq[some] != rows.seq[expected]) | (rows.forward[some] != rows.forward[expected])
        suspects[rows.code[some[other]]] = True
    ended = first_ending[rows.code[syn]]
    suspects[rows.code[syn[(ended >= 0) & (syn > ended)]]] = True
    begin = first_of(np.arange(len(rows.code)), rows.code, count)
    suspects |= (first_syn > begin) | ((first_syn < 0) & (first_synack > begin))
    both = (first_syn >= 0) & (first_synack >= 0)
    suspects[both] |= (rows.forward[first_syn[both]] == rows.forward[first_synack[both]]) & ~self_connected[both]
    return suspects & _has_more_than_syns(rows, syn, count)


def _has_more_than_syns(rows: TupleRows, syn: Ints, count: int) -> Bools:
    """Whether anything but SYNs in close succession is there: these alone are one client trying."""
    more = np.ones(len(rows.code), bool)
    more[syn] = False
    more[1:] |= (rows.time[1:] - rows.time[:-1] > port_reuse.IDLE_NS) & (rows.code[1:] == rows.code[:-1])
    found = np.zeros(count, bool)
    found[rows.code[more]] = True
    return found


def _events(rows: TupleRows, self_connected: Bools) -> Iterator[tuple[port_reuse.IncarnationTracker, Iterator[port_reuse.ReuseEvent]]]:
    """Yield each tuple of `rows` with its events; event rows count within `rows`."""
    starts = np.flatnonzero(np.concatenate(([True], rows.code[1:] != rows.code[:-1])))
    ends = np.append(starts[1:], len(rows.code))
    begin = np.repeat(starts, ends - starts)
    kind = _kinds(rows.flags)
    places = np.flatnonzero(kind >= 0)
    columns = _columns(rows, begin, places, kind, self_connected[rows.code])
    bounds = np.searchsorted(places, np.append(starts, len(rows.code)))
    ahead = np.add.reduceat(rows.forward.astype(np.int64), starts)
    one_sided = (ahead == 0) | (ahead == ends - starts)
    bears_syn = rows.flags[starts] & schema.SYN != 0
    for number, start in enumerate(starts.tolist()):
        opening = None if bears_syn[number] else _opening(rows, start)
        looped = bool(self_connected[rows.code[start]])
        tuple_ = port_reuse.IncarnationTracker(opening=opening, one_sided=bool(one_sided[number]), self_connected=looped)
        yield tuple_, _stream(columns, int(bounds[number]), int(bounds[number + 1]))


def _stream(columns: list[Array], start: int, end: int) -> Iterator[port_reuse.ReuseEvent]:
    for part in range(start, end, _CHUNK):
        yield from map(port_reuse.ReuseEvent, *(column[part : min(part + _CHUNK, end)].tolist() for column in columns))


def _kinds(flags: Array) -> Array:
    """Return each row's kind of event, -1 for none; flag sets no endpoint acts on are none."""
    kind = np.full(len(flags), -1, np.int8)
    kind[flags & _SYN_BITS == schema.SYN] = port_reuse.SYN
    kind[flags & _SYN_BITS == schema.SYN | schema.ACK] = port_reuse.SYN_ACK
    ending = flags & (schema.SYN | schema.FIN | schema.RST | schema.ACK)
    kind[ending == schema.RST] = port_reuse.RESET
    kind[ending == schema.RST | schema.ACK] = port_reuse.RESET_ACK
    kind[ending == schema.FIN | schema.ACK] = port_reuse.FINISH
    return kind


def _opening(rows: TupleRows, row: int) -> port_reuse.TrackedOpening:
    return port_reuse.TrackedOpening(
        0 if rows.forward[row] else 1,
        int(rows.seq[row]),
        int(rows.ack[row]),
        bool(rows.flags[row] & schema.ACK),
        int(rows.time[row]),
    )


def _columns(rows: TupleRows, begin: Ints, places: Ints, kind: Array, looped: Bools) -> list[Array]:
    """Return the fields of `port_reuse.ReuseEvent`, in its order, for the rows at `places`."""
    before = np.maximum(places - 1, begin[places])
    known = (rows.time[places] != schema.NO_TIME) & (rows.time[before] != schema.NO_TIME)
    idle = np.where(known, rows.time[places] - np.where(known, rows.time[before], 0), 0)
    goes_on, answered = _continuations(rows, places[kind[places] <= port_reuse.SYN_ACK], looped)
    side = np.where(rows.forward, 0, 1)
    near = _near(rows, begin, places, looped)
    fields = (side, kind, rows.seq, rows.ack, rows.length, rows.time)
    return [places, *(field[places] for field in fields), idle, near, goes_on[places], answered[places]]


def _near(rows: TupleRows, begin: Ints, places: Ints, looped: Bools) -> Bools:
    """Whether each sequence number at `places` is near the number that earlier rows give for its sender; True where none gives one."""
    end = rows.seq + rows.length + (rows.flags & (schema.SYN | schema.FIN) != 0)
    carries_ack = rows.flags & (schema.ACK | schema.RST) == schema.ACK
    near = np.zeros(len(places), bool)
    known = np.zeros(len(places), bool)
    for own, number in ((rows.forward[places], end), (rows.forward[places] ^ ~looped[places], rows.ack)):
        row = np.where(own, _last_before(carries_ack & rows.forward, places), _last_before(carries_ack & ~rows.forward, places))
        there = row >= begin[places]
        off = rows.seq[places] - number[np.maximum(row, 0)] + _BEHIND
        near |= there & (off < _AHEAD + _BEHIND)
        known |= there
    return near | ~known


def _last_before(marked: Bools, places: Ints) -> Ints:
    """Return the last marked row before each of `places`, -1 where there is none."""
    rows = np.flatnonzero(marked)
    found = np.searchsorted(rows, places) - 1
    return np.where(found >= 0, np.append(rows, -1)[found], -1)


def _continuations(rows: TupleRows, openers: Ints, looped: Bools) -> tuple[Ints, Ints]:
    """Return, per row, the first later row that goes on behind a SYN, and the first that answers a SYN+ACK; else NEVER."""
    goes_on, answered = np.full(len(rows.code), port_reuse.NEVER, np.int64), np.full(len(rows.code), port_reuse.NEVER, np.int64)
    plain = np.flatnonzero(rows.flags & _SYN_BITS == schema.ACK)
    code = np.cumsum(np.concatenate(([0], rows.code[1:] != rows.code[:-1])))
    place = code << 33 | rows.forward.astype(np.int64) << 32
    peer = place ^ (~looped).astype(np.int64) << 32
    fin = (rows.flags & schema.FIN != 0).astype(np.uint32)
    begun = rows.seq + np.uint32(1)
    for number in (begun, begun + rows.length + fin):
        later = _next_equal(place[openers] | number[openers], openers, place[plain] | rows.seq[plain], plain)
        goes_on[openers] = np.where(goes_on[openers] == port_reuse.NEVER, later, goes_on[openers])
        later = _next_equal(peer[openers] | number[openers], openers, place[plain] | rows.ack[plain], plain)
        later[(later >= 0) & (rows.seq[later] != rows.ack[openers])] = port_reuse.NEVER
        answered[openers] = np.where(answered[openers] == port_reuse.NEVER, later, answered[openers])
    return goes_on, answered


def _next_equal(keys: Ints, rows: Ints, found_keys: Ints, found_rows: Ints) -> Ints:
    """Return, for each (key, row), the first found row beyond it with the same key, or NEVER."""
    every_key, every_row = np.concatenate([keys, found_keys]), np.concatenate([rows, found_rows])
    order = np.lexsort((every_row, every_key))
    is_found = order >= len(keys)
    place = np.where(is_found, np.arange(len(order)), len(order))
    following = np.minimum.accumulate(place[::-1])[::-1]
    hit = np.append(order, -1)[following]
    same = (hit >= 0) & (np.append(every_key, -1)[hit] == every_key[order])
    answer = np.empty(len(order), np.int64)
    answer[order] = np.where(same, every_row[np.maximum(hit, 0)], port_reuse.NEVER)
    return answer[: len(keys)]
