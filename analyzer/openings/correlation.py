"""Checks of finding files over many connections: reused and stepping ISNs, floods, scans, one connection seen twice.

Promises: connections are grouped inside a capture as the check says; a group that fires is one finding, on its first
connection, that cites its first ones and says how many there are. Time is that of a few sorts.
Must not know: any check by name.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from analyzer.connections.tuple_key import PORT_BITS, pack
from analyzer.language.compile import vector
from analyzer.openings.machine.trace import Event
from analyzer.rules.check import scope_of
from analyzer.schema import NO_TIME

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from analyzer.openings.checks import Entry
    from analyzer.openings.facts.connection import ConnectionFacts
    from analyzer.openings.machine.compiler import Program
    from analyzer.openings.machine.conclude import Conclusions
    from analyzer.openings.machine.trace import Trace

Array = np.ndarray[Any, np.dtype[Any]]
Answer = tuple[Array, Array | None]

CITED: Final = 8
"""Connections of a group whose first frames are cited."""
SECOND: Final = 10**9
MIN_GROUP: Final = 2
"""Connections a group must have to be one."""


def run(found: Iterable[Entry], program: Program, aggregates: ConnectionFacts, conclusions: Conclusions, log: Trace) -> None:
    """Add an event for each check that fires on a group of connections."""
    of_scope, scope = scope_of(program.machine, "job of"), scope_of(program.machine, "job")
    ends = Candidates(aggregates, conclusions)
    for entry in found:
        chosen = np.ones(aggregates.size, bool)
        if entry.check.of is not None:
            values, known = vector.compile_(entry.check.of, of_scope)(ends)
            chosen &= np.asarray(values, bool) if known is None else np.asarray(values, bool) & known
        groups = Groups(ends, ends.key(entry.check.over), chosen)
        if not groups.size:
            continue
        values, known = vector.compile_(entry.check.when, scope)(groups)
        hits = np.flatnonzero(np.broadcast_to(values if known is None else values & known, groups.size))
        if not len(hits):
            continue
        firsts = groups.rows[groups.begin[hits]]
        numbers = {name: np.asarray(vector.compile_(node, scope)(groups)[0])[hits].astype(np.int64) for name, node in entry.check.say}
        log.events.append(Event(entry.number, firsts.astype(np.int64), ends.step[firsts], groups.cites(hits), numbers))


class Candidates:
    """All connections as concluded: the environment of a check's `of`, and the keys to group by."""

    def __init__(self, aggregates: ConnectionFacts, conclusions: Conclusions) -> None:
        self.aggregates, self.conclusions = aggregates, conclusions
        self.flows = aggregates.connections.flows
        self.step = np.minimum(aggregates.steps.first[:-1], max(len(aggregates.steps) - 1, 0))

    def name(self, name: str) -> Answer:
        """Return values and known of a name, a value a connection."""
        if name == "verdict":
            return self.conclusions.verdict, None
        return self.aggregates.answer(name)

    def column(self, name: str) -> Array:
        """Return a column of the connections table as numbers; of a category its codes."""
        column = self.flows[name]
        values = column.cat.codes if column.dtype.name == "category" else column
        return values.to_numpy().astype(np.int64)

    def isn(self, side: str) -> Array:
        """Return the ISN of one side, -1 where it is not known from a SYN-bearing segment of its own."""
        step = self.aggregates.isn_step[side == "client" :: 2]
        if not len(self.aggregates.steps):
            return step
        found: Array = np.where(step >= 0, self.aggregates.steps.columns["seq"][step].astype(np.int64), -1)
        return found

    def key(self, over: str) -> tuple[list[Array], Array]:
        """Return the columns that make a group, the most distinguishing first, and which connections can be in one."""
        client, server = self.column("client_ip"), self.column("server_ip")
        everyone = np.ones(len(client), bool)
        asked = self.aggregates.first_syn >= 0
        match over:
            case "client-isn":
                return [self.isn("client"), client], asked
            case "client":
                return [client], asked
            case "server":
                return [server, self.column("server_port")], everyone
            case "openings":
                value, known = self.aggregates.answer("syn_tsval")
                both = (self.isn("client") >= 0) & (self.isn("server") >= 0) & asked
                stamp = value.astype(np.int64) if known is None else np.where(known, value.astype(np.int64), -1)
                return [self.isn("client"), self.isn("server"), stamp], both
            case _:
                return [client << PORT_BITS | self.column("client_port"), server << PORT_BITS | self.column("server_port")], everyone


class Groups:
    """Connections grouped: the environment of a check's `when`."""

    def __init__(self, ends: Candidates, key: tuple[list[Array], Array], chosen: Array) -> None:
        self.ends = ends
        columns, possible = key
        rows = np.flatnonzero(chosen & possible)
        keys = [column[rows] for column in (*columns, ends.column("capture"))]
        alike = _shared(keys[0])
        rows, keys = rows[alike], [key[alike] for key in keys]
        one, _ = pack([(key + 1, int(key.max(initial=0)) + 2) for key in keys])
        order = np.argsort(one, kind="stable")
        rows, one = rows[order], one[order]
        fresh = np.ones(len(rows), bool)
        fresh[1:] = one[1:] != one[:-1]
        group = np.cumsum(fresh) - 1
        keep = np.bincount(group, minlength=1)[group] >= MIN_GROUP if len(rows) else fresh
        self.rows = rows[keep]
        kept = fresh[keep]
        self.begin = np.flatnonzero(kept)
        self.group = np.cumsum(kept) - 1
        self.size = len(self.begin)

    def name(self, name: str) -> Answer:
        """Return values and known of a name, a value a group."""
        return _MAKERS[name](self)

    @property
    def counts(self) -> Array:
        """Connections a group."""
        return np.diff(np.append(self.begin, len(self.rows)))

    @cached_property
    def isn(self) -> Array:
        """The client's ISN, a value a connection."""
        return self.ends.isn("client")[self.rows]

    def distinct(self, *names: str) -> Array:
        """Return how many distinct combinations of columns each group has."""
        return self.count_distinct([self.ends.column(name)[self.rows] for name in names])

    def count_distinct(self, values: list[Array]) -> Array:
        """Return how many distinct combinations of values each group has."""
        if len(values) == 1:
            return self.count_pairs(self.group, values[0])
        order = np.lexsort((*values, self.group))
        group = self.group[order]
        fresh = np.ones(len(order), bool)
        fresh[1:] = group[1:] != group[:-1]
        for column in values:
            fresh[1:] |= column[order][1:] != column[order][:-1]
        return np.bincount(group[fresh], minlength=self.size)

    def count_pairs(self, group: Array, value: Array) -> Array:
        """Return how many distinct values of 32 bits each group has; one sort of one number each."""
        pairs = np.sort(group << 32 | value)
        fresh = np.ones(len(pairs), bool)
        fresh[1:] = pairs[1:] != pairs[:-1]
        return np.bincount(pairs[fresh] >> 32, minlength=self.size)

    def isn_steps(self) -> Answer:
        """Differences mod 2^32 from each connection to the next."""
        same = np.flatnonzero(self.group[1:] == self.group[:-1]) + 1
        step = (self.isn[same] - self.isn[same - 1]) & 0xFFFFFFFF
        return self.count_pairs(self.group[same], step), None

    def peak(self) -> Array:
        """Most connections that begin within a second of each other."""
        start = self.ends.column("start_time")[self.rows]
        dated = np.flatnonzero(start != NO_TIME)
        order = dated[np.lexsort((start[dated], self.group[dated]))]
        group, start = self.group[order], start[order]
        found = np.zeros(self.size, np.int64)
        if not len(order):
            return found
        # One number line for all groups: a group's times, counted from the earliest of all, and room between groups.
        room = int(start.max() - start.min()) // 1000 + 2 * SECOND // 1000
        line = group * room + (start - start.min()) // 1000
        within = np.arange(len(line)) - np.searchsorted(line, line - SECOND // 1000, side="right") + 1
        np.maximum.at(found, group, within)
        return found

    def overlapping(self) -> Answer:
        """Whether a connection begins before one on another VLAN or tunnel has ended."""
        start, end = self.ends.column("start_time")[self.rows], self.ends.column("end_time")[self.rows]
        path = self.ends.column("vlan")[self.rows] << 32 | self.ends.column("tunnel")[self.rows]
        near = np.flatnonzero((self.group[1:] == self.group[:-1]) & (path[1:] != path[:-1])) + 1
        near = near[(start[near] != NO_TIME) & (start[near] <= end[near - 1])]
        found = np.zeros(self.size, bool)
        found[self.group[near]] = True
        return found, None

    def cites(self, hits: Array) -> tuple[Array, ...]:
        """Return the first steps of the next connections of each group, -1 where it has no more."""
        found = []
        for place in range(1, CITED):
            at = self.begin[hits] + place
            inside = place < self.counts[hits]
            found.append(np.where(inside, self.ends.step[self.rows[np.minimum(at, len(self.rows) - 1)]], -1))
        return tuple(found)


_MAKERS: Final[Mapping[str, Callable[[Groups], Answer]]] = {
    "connections": lambda its: (its.counts, None),
    "pairs": lambda its: (its.distinct("client_ip", "server_ip"), None),
    "tuples": lambda its: (its.distinct("client_ip", "server_ip", "client_port", "server_port"), None),
    "ports": lambda its: (its.distinct("server_port"), None),
    "clients": lambda its: (its.distinct("client_ip"), None),
    "servers": lambda its: (its.distinct("server_ip"), None),
    "paths": lambda its: (its.distinct("vlan", "tunnel"), None),
    "isns": lambda its: (its.count_distinct([its.isn]), None),
    "isn_steps": Groups.isn_steps,
    "peak": lambda its: (its.peak(), None),
    "overlapping": Groups.overlapping,
}
"""How each fact of a group is made."""


def _shared(key: Array) -> Array:
    """Return where the key is one that others have, too: most connections share none, and sorting the rest is what takes time."""
    ordered = np.sort(key)
    same = ordered[1:][ordered[1:] == ordered[:-1]]
    return np.flatnonzero(np.isin(key, same)) if len(same) else np.zeros(0, np.intp)
