"""Find the connections that dialogues announce among all connections.

A dialogue announces an address and port on which one endpoint listens; nothing in the connection that follows names the dialogue. It is
searched by capture, address and port, in the order of frames: an announcement owns the connections opened to its address until the next
announcement of the same address. A connection belongs to one announcement at most; one whose opening was not captured is no evidence of
who opened it. Linear in announcements and connections except for sorting.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import numpy.typing as npt

    from analyzer.protocols.api import AnnouncedConnection

_FOREVER: Final = 2**63 - 1

_Key: TypeAlias = tuple[int, str, int]


@dataclass(frozen=True, slots=True)
class Flows:
    """All connections, one element per connection in each column."""

    capture: npt.NDArray[np.integer[Any]]
    client_ip: Sequence[str]
    client_port: npt.NDArray[np.integer[Any]]
    server_ip: Sequence[str]
    server_port: npt.NDArray[np.integer[Any]]
    first_frame: npt.NDArray[np.integer[Any]]
    last_frame: npt.NDArray[np.integer[Any]]
    verdict: Sequence[str]
    """How each was opened, by the names of rules/opening.toml."""
    opened: npt.NDArray[np.bool_]
    """Whether the opening was completed."""
    opener_known: npt.NDArray[np.bool_]
    """Whether the capture shows which end opened it."""
    failure: Sequence[str]
    """How the opening failed: refused, unanswered, or empty."""
    client_bytes: npt.NDArray[np.integer[Any]]
    server_bytes: npt.NDArray[np.integer[Any]]
    reset: npt.NDArray[np.bool_]
    """Whether a RST ended it where the other side had not sent its FIN."""
    encrypted: npt.NDArray[np.bool_]
    """Whether its first bytes are TLS."""


@dataclass(frozen=True, slots=True)
class LinkedConnection:
    """The result of the search for an announced connection."""

    control: int
    """The connection that announced it."""
    announcement: AnnouncedConnection
    flow: int = -1
    """The connection it announced; -1 when none was captured."""
    again: int = -1
    """Another one that was opened to the same address; -1 when none was."""
    openings: int = 0
    """How many were opened to it."""
    early: bool = False
    """Its first segment came before the announcement was complete."""
    wrong_opener: bool | None = False
    """The endpoint that was to listen opened it; None when its opening was not captured."""
    other_address: bool = False
    """Its other endpoint has another address than the other end of the dialogue."""


@dataclass(frozen=True, slots=True)
class _Sought:
    """A announcement with the addresses that may stand for it."""

    control: int
    announcement: AnnouncedConnection
    capture: int
    peer: str
    """Who is to open it."""
    keys: tuple[_Key, ...]
    """Where it is opened to: the address announced, then the one its end has in the dialogue (address translation)."""


def find(announced: Mapping[int, Sequence[AnnouncedConnection]], flows: Flows) -> list[LinkedConnection]:
    """Return the result for each announcement in `announced` (by number of the announcing connection), in order of announcement."""
    sought = [_search_for(control, announcement, flows) for control, announcements in announced.items() for announcement in announcements]
    sought.sort(key=lambda one: (one.capture, one.announcement.frame))
    if not sought:
        return []
    search = _Search(sought, flows)
    first = [search.after(one) for one in sought]
    return [found if found.flow >= 0 else search.before(one) for found, one in zip(first, sought, strict=True)]


def _search_for(control: int, announcement: AnnouncedConnection, flows: Flows) -> _Sought:
    capture = int(flows.capture[control])
    client, server = flows.client_ip[control], flows.server_ip[control]
    own, peer = (server, client) if announcement.opener == "client" else (client, server)
    ips = dict.fromkeys((announcement.ip or own, own))
    return _Sought(control, announcement, capture, peer, tuple((capture, ip, announcement.port) for ip in ips))


def _index(flows: Flows, keys: set[_Key]) -> tuple[Mapping[_Key, list[int]], Mapping[_Key, list[int]]]:
    """Return the connections to each of `keys`, and those from it, in the order of their first frames."""
    ports = np.array(sorted({port for _, _, port in keys}))
    tables = []
    for port, ip in ((flows.server_port, flows.server_ip), (flows.client_port, flows.client_ip)):
        table = defaultdict[_Key, list[int]](list)
        for row in np.flatnonzero(np.isin(port, ports)).tolist():
            key = (int(flows.capture[row]), ip[row], int(port[row]))
            if key in keys:
                table[key].append(row)
        for rows in table.values():
            rows.sort(key=lambda row: int(flows.first_frame[row]))
        tables.append(table)
    return tables[0], tables[1]


def _announced_at(sought: Iterable[_Sought]) -> Mapping[_Key, list[int]]:
    """Return the frames at which each address was announced, rising."""
    announced_at = defaultdict[_Key, list[int]](list)
    for one in sought:
        for key in one.keys:
            announced_at[key].append(one.announcement.frame)
    return announced_at


class _Search:
    """Looks for the connections that announcements announced; each is found for one announcement only."""

    def __init__(self, sought: Sequence[_Sought], flows: Flows) -> None:
        self.flows = flows
        self.by_server, self.by_client = _index(flows, {key for one in sought for key in one.keys})
        self.announced_at = _announced_at(sought)
        self.taken: set[int] = set()

    def after(self, one: _Sought) -> LinkedConnection:
        """Look for connections that began behind the announcement: to the address, else from it, else to it from elsewhere."""
        flows, others = self.flows, list[int]()
        for key in one.keys:
            stop = self._next(key, one.announcement.frame)
            rows = self._until(stop, one, self.by_server.get(key, ()))
            expected = [row for row in rows if flows.client_ip[row] == one.peer]
            if expected:
                return self._choose(one, expected)
            others += [row for row in rows if flows.first_frame[row] <= _end(one, flows) and flows.opener_known[row]]
            for row in self._until(stop, one, self.by_client.get(key, ())):
                if flows.server_ip[row] == one.peer:
                    self.taken.add(row)
                    wrong = True if flows.opener_known[row] else None
                    return LinkedConnection(one.control, one.announcement, row, openings=self._opened([row]), wrong_opener=wrong)
        if others:
            self.taken.add(others[0])
            return LinkedConnection(one.control, one.announcement, others[0], openings=self._opened(others), other_address=True)
        return LinkedConnection(one.control, one.announcement)

    def before(self, one: _Sought) -> LinkedConnection:
        """Look for a connection that began before the announcement and was still there when it came."""
        flows, frame = self.flows, one.announcement.frame
        for key in one.keys:
            rows = self.by_server.get(key, ())
            place = bisect_left(rows, frame, key=self._begins) - 1
            if place < 0:
                continue
            # The last one only: an earlier one that lasted as long belongs to an earlier announcement.
            row = rows[place]
            lives = flows.first_frame[row] > flows.first_frame[one.control] and flows.last_frame[row] > frame
            if row not in self.taken and lives and flows.client_ip[row] == one.peer and flows.opener_known[row]:
                self.taken.add(row)
                return LinkedConnection(one.control, one.announcement, row, openings=self._opened([row]), early=True)
        return LinkedConnection(one.control, one.announcement)

    def _choose(self, one: _Sought, rows: Sequence[int]) -> LinkedConnection:
        """Take one that opened rather than an attempt before it."""
        opened = [row for row in rows if self.flows.opened[row]]
        row = (opened or rows)[0]
        self.taken.add(row)
        again = opened[1] if len(opened) > 1 else -1
        wrong = False if self.flows.opener_known[row] else None
        return LinkedConnection(one.control, one.announcement, row, again, len(opened), wrong_opener=wrong)

    def _opened(self, rows: Sequence[int]) -> int:
        return sum(bool(self.flows.opened[row]) for row in rows)

    def _begins(self, row: int) -> int:
        return int(self.flows.first_frame[row])

    def _next(self, key: _Key, frame: int) -> int:
        """Return the frame of the next announcement of an address."""
        frames = self.announced_at[key]
        place = bisect_right(frames, frame)
        return frames[place] if place < len(frames) else _FOREVER

    def _until(self, stop: int, one: _Sought, rows: Sequence[int]) -> Sequence[int]:
        """Return those of `rows` that began behind the announcement and before `stop`, and are no one else's."""
        first = bisect_right(rows, one.announcement.frame, key=self._begins)
        last = bisect_left(rows, stop, key=self._begins)
        return [row for row in rows[first:last] if row not in self.taken and row != one.control]


def _end(one: _Sought, flows: Flows) -> int:
    """Return the frame behind which a connection from another address is not taken for the announced one."""
    return one.announcement.until if one.announcement.until is not None else int(flows.last_frame[one.control])
