"""Checks over groups of connections: reused and stepping ISNs, floods, scans, one connection captured twice.

Connections are grouped within a capture, by the key that the check names. A group that fires gives one event, on its first connection,
which cites the first rows of its first connections. Time is that of a few sorts.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np

from analyzer.connections.tuple_key import PORT_BITS, pack
from analyzer.findings.event import Event
from analyzer.language.compile import vector
from analyzer.rules.check import scope_of, where_scope
from analyzer.schema import NO_TIME

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import pandas as pd

    from analyzer._typing import Answer, BoolArray, IntArray
    from analyzer.findings.event import NumberedCheck
    from analyzer.rules.machine import Machine

MAX_CITED: Final = 8
"""Connections of a group whose first rows are cited."""
SECOND: Final = 10**9
"""In nanoseconds."""
MIN_GROUP: Final = 2
"""Connections of a group."""


def run(checks: Iterable[NumberedCheck], machine: Machine, candidates: Candidates) -> list[Event]:
    """Return an event for each check that fires on at least one group of connections."""
    candidate_scope, scope = where_scope(machine), scope_of(machine, "correlation")
    events = []
    for one in checks:
        chosen = np.ones(len(candidates.verdict), bool)
        if one.check.where is not None:
            values, known = vector.compile_(one.check.where, candidate_scope)(candidates)
            chosen &= np.asarray(values, bool) if known is None else np.asarray(values, bool) & known
        groups = Groups(candidates, candidates.key(one.check.group_by), chosen)
        if not groups.size:
            continue
        values, known = vector.compile_(one.check.when, scope)(groups)
        hits = np.flatnonzero(np.broadcast_to(values if known is None else values & known, groups.size))
        if not len(hits):
            continue
        firsts = groups.rows[groups.begin[hits]].astype(np.int64)
        numbers = {
            name: np.asarray(vector.compile_(node, scope)(groups)[0])[hits].astype(np.int64) for name, node in one.check.message_values
        }
        events.append(Event(one.number, firsts, candidates.first_row[firsts], groups.cites(hits), numbers))
    return events


@dataclass(frozen=True, slots=True)
class Candidates:
    """All connections with what was concluded of them; every array has one value per connection.

    The environment of the condition that selects the connections of a check, and the keys to group by.
    """

    flows: pd.DataFrame
    """Table CONNECTIONS."""
    verdict: IntArray
    """Index in the machine's verdicts."""
    fact: Callable[[str], Answer]
    """Returns the values of a fact of connections."""
    first_row: IntArray
    """Row of the evidence table where the connection begins."""
    client_isn: IntArray
    """From a SYN-bearing segment of the client, -1 where none was captured; so for the server."""
    server_isn: IntArray
    has_syn: BoolArray
    """Whether a SYN of the client was captured."""

    def name(self, name: str) -> Answer:
        """Return values and known of a fact."""
        if name == "verdict":
            return self.verdict, None
        return self.fact(name)

    def column(self, name: str) -> IntArray:
        """Return a column of the connections table as numbers; of a category its codes."""
        column = self.flows[name]
        values = column.cat.codes if column.dtype.name == "category" else column
        return values.to_numpy().astype(np.int64)

    def key(self, group_by: str) -> tuple[list[IntArray], BoolArray]:
        """Return the columns of a group's key, the most selective first, and which connections have the key."""
        client, server = self.column("client_ip"), self.column("server_ip")
        every = np.ones(len(client), bool)
        match group_by:
            case "client-isn":
                return [self.client_isn, client], self.has_syn
            case "client":
                return [client], self.has_syn
            case "server":
                return [server, self.column("server_port")], every
            case "openings":
                value, known = self.fact("syn_tsval")
                stamp = value.astype(np.int64) if known is None else np.where(known, value.astype(np.int64), -1)
                return [self.client_isn, self.server_isn, stamp], (self.client_isn >= 0) & (self.server_isn >= 0) & self.has_syn
            case _:
                return [client << PORT_BITS | self.column("client_port"), server << PORT_BITS | self.column("server_port")], every


class Groups:
    """Connections by group: the environment of a check's condition."""

    def __init__(self, candidates: Candidates, key: tuple[list[IntArray], BoolArray], chosen: BoolArray) -> None:
        self.candidates = candidates
        columns, possible = key
        rows = np.flatnonzero(chosen & possible)
        keys = [column[rows] for column in (*columns, candidates.column("capture"))]
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
        """Return values and known of a fact, one per group."""
        return _FACTS[name](self)

    @property
    def counts(self) -> IntArray:
        """Connections of each group."""
        return np.diff(np.append(self.begin, len(self.rows)))

    @cached_property
    def isn(self) -> IntArray:
        """The client's ISN, one per connection."""
        return self.candidates.client_isn[self.rows]

    def distinct(self, *names: str) -> IntArray:
        """Return how many distinct combinations of columns each group has."""
        return self.count_distinct([self.candidates.column(name)[self.rows] for name in names])

    def count_distinct(self, values: list[IntArray]) -> IntArray:
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

    def count_pairs(self, group: IntArray, value: IntArray) -> IntArray:
        """Return how many distinct values of 32 bits each group has, by one sort of packed pairs."""
        pairs = np.sort(group << 32 | value)
        fresh = np.ones(len(pairs), bool)
        fresh[1:] = pairs[1:] != pairs[:-1]
        return np.bincount(pairs[fresh] >> 32, minlength=self.size)

    def isn_steps(self) -> Answer:
        """Return how many distinct differences mod 2^32 there are between ISNs of successive connections."""
        same = np.flatnonzero(self.group[1:] == self.group[:-1]) + 1
        step = (self.isn[same] - self.isn[same - 1]) & 0xFFFFFFFF
        return self.count_pairs(self.group[same], step), None

    def peak(self) -> IntArray:
        """Return the maximum number of connections that begin within one second."""
        start = self.candidates.column("start_time")[self.rows]
        dated = np.flatnonzero(start != NO_TIME)
        order = dated[np.lexsort((start[dated], self.group[dated]))]
        group, start = self.group[order], start[order]
        found = np.zeros(self.size, np.int64)
        if not len(order):
            return found
        # Times of all groups on one axis: groups are separated by more than a second, so that one search serves all.
        span = int(start.max() - start.min()) // 1000 + 2 * SECOND // 1000
        line = group * span + (start - start.min()) // 1000
        within = np.arange(len(line)) - np.searchsorted(line, line - SECOND // 1000, side="right") + 1
        np.maximum.at(found, group, within)
        return found

    def overlapping(self) -> Answer:
        """Return whether a connection begins before the previous one, on another VLAN or tunnel, has ended."""
        start, end = self.candidates.column("start_time")[self.rows], self.candidates.column("end_time")[self.rows]
        path = self.candidates.column("vlan")[self.rows] << 32 | self.candidates.column("tunnel")[self.rows]
        successive = np.flatnonzero((self.group[1:] == self.group[:-1]) & (path[1:] != path[:-1])) + 1
        successive = successive[(start[successive] != NO_TIME) & (start[successive] <= end[successive - 1])]
        found = np.zeros(self.size, bool)
        found[self.group[successive]] = True
        return found, None

    def cites(self, hits: IntArray) -> tuple[IntArray, ...]:
        """Return the first rows of the second, third, ... connection of each group, -1 where it has fewer."""
        found = []
        for place in range(1, MAX_CITED):
            at = self.begin[hits] + place
            inside = place < self.counts[hits]
            found.append(np.where(inside, self.candidates.first_row[self.rows[np.minimum(at, len(self.rows) - 1)]], -1))
        return tuple(found)


_FACTS: Final[Mapping[str, Callable[[Groups], Answer]]] = {
    "connections": lambda groups: (groups.counts, None),
    "pairs": lambda groups: (groups.distinct("client_ip", "server_ip"), None),
    "tuples": lambda groups: (groups.distinct("client_ip", "server_ip", "client_port", "server_port"), None),
    "ports": lambda groups: (groups.distinct("server_port"), None),
    "clients": lambda groups: (groups.distinct("client_ip"), None),
    "servers": lambda groups: (groups.distinct("server_ip"), None),
    "paths": lambda groups: (groups.distinct("vlan", "tunnel"), None),
    "isns": lambda groups: (groups.count_distinct([groups.isn]), None),
    "isn_steps": Groups.isn_steps,
    "peak": lambda groups: (groups.peak(), None),
    "overlapping": Groups.overlapping,
}
"""How each fact of a group is computed."""


def _shared(key: IntArray) -> IntArray:
    """Return the rows whose key occurs more than once: few do, so that the sorts that follow are short."""
    ordered = np.sort(key)
    same = ordered[1:][ordered[1:] == ordered[:-1]]
    return np.flatnonzero(np.isin(key, same)) if len(same) else np.zeros(0, np.intp)
