"""Where one tuple's segments stop belonging to one connection and start the next: the numeric test, tuple by tuple.

Fed only the events of one tuple (segments with SYN, RST or FIN) in capture order, it finds the row at which a new
incarnation starts. A SYN whose number is no candidate of the running incarnation starts one when the running one is
finished, or idle for more than 240 s, or synchronized and the peer's SYN+ACK acknowledges the SYN: until then the SYN is
pending, and the cut is made at the pending SYN. A finished incarnation's own number starts one too, but shortly after
a refusal it is the client trying again. A SYN+ACK whose SYN was not captured starts one when its numbers fit
nothing known and the exchange goes on from it. (RFC 9293 3.5, 3.6.1, 3.10.7.)

Linear in the number of events; all arithmetic mod 2^32 by forward distance. Validity is not judged.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

IDLE_NS: Final = 240_000_000_000
"""2 MSL: after that much silence a new number means a new connection."""
RETRY_NS: Final = 75_000_000_000
"""How long after a refusal the same number is the client trying again: the longest gap of a stack's SYN schedule (64 s) and some."""

SYN: Final = 0
SYN_ACK: Final = 1
RESET: Final = 2
RESET_ACK: Final = 3
FINISH: Final = 4

NEVER: Final = -1
_MASK: Final = 0xFFFF_FFFF
_REORDERED_NS: Final = 1_000_000_000
_NEAR: Final = 1 << 16
_SPANS: Final = 16


class ReuseEvent(NamedTuple):
    """One segment with SYN, RST or FIN, and what the rows around it say."""

    row: int
    side: int
    """0 or 1: which end sent it."""
    kind: int
    seq: int
    ack: int
    length: int
    """Payload bytes."""
    time: int
    idle: int
    """Nanoseconds since the tuple's segment before."""
    near: bool
    """Its sequence number is where the sender's or the receiver's last segment puts the sender."""
    goes_on: int
    """First later row in which the sender continues right behind this SYN, or NEVER."""
    answered: int
    """First later row in which the peer acknowledges this SYN+ACK from the number it acknowledged, or NEVER."""


class TrackedOpening(NamedTuple):
    """What a tuple's captured segments begin with when that is no SYN: the first row's side and numbers."""

    side: int
    seq: int
    ack: int
    acknowledges: bool
    time: int


class Cut(NamedTuple):
    """Where a new incarnation starts, and how the one before had ended by then."""

    row: int
    finished: bool
    by_fins: bool
    """Finished by a FIN of each side: one of them is in TIME-WAIT."""


class IncarnationTracker:
    """The incarnations of one tuple, found event by event."""

    __slots__ = (
        "_accepted", "_by_fins", "_ends", "_finished_at", "_fins", "_inferred", "_isns", "_old_isns", "_old_synacks", "_opening", "_other",
        "_pending", "_refused_at", "_sides", "_spans", "_synacks", "_synchronized_from", "cuts",
    )  # fmt: skip

    def __init__(self, *, opening: TrackedOpening | None, one_sided: bool, self_connected: bool) -> None:
        """Begin with no segment seen; `opening` is the first row where that bears no SYN."""
        self.cuts: list[Cut] = []
        self._other = (0, 1) if self_connected else (1, 0)
        self._sides = 1 if one_sided or self_connected else 2
        self._opening = opening
        self._old_isns: tuple[set[int], set[int]] = (set(), set())
        self._old_synacks: tuple[set[int], set[int]] = (set(), set())
        self._start()
        # Segments before any SYN belong to a connection that was open when the capture began.
        self._accepted = opening is not None

    def _start(self) -> None:
        self._isns: tuple[set[int], set[int]] = (set(), set())
        self._ends: tuple[set[int], set[int]] = (set(), set())
        # Only SYNs with data leave room between ISN + 1 and the end; a stack never has more of them open than this.
        self._spans: deque[tuple[int, ReuseEvent]] = deque(maxlen=_SPANS)
        self._synacks: tuple[set[int], set[int]] = (set(), set())
        # ISNs known so far from a SYN+ACK alone: the SYN may come later in the file.
        self._inferred: set[tuple[int, int]] = set()
        self._pending: dict[tuple[int, int], ReuseEvent] = {}
        self._fins: set[int] = set()
        self._accepted = False
        self._finished_at = NEVER
        self._by_fins = False
        self._refused_at: int | None = None
        self._synchronized_from = NEVER

    def feed(self, events: Iterable[ReuseEvent]) -> list[Cut]:
        """Take all events in capture order and return the cuts, rising by row."""
        for event in events:
            if event.kind == SYN:
                self._syn(event)
            elif event.kind == SYN_ACK:
                self._synack(event)
            elif event.kind == FINISH:
                self._fin(event)
            else:
                self._reset(event)
        return self.cuts

    # -- SYN

    def _syn(self, event: ReuseEvent) -> None:
        key = (event.side, event.seq)
        late = self._came_late(event)
        self._inferred.discard(key)
        if late:
            self._candidate(event)
        elif event.seq in self._isns[event.side]:
            if self._finished_at != NEVER and not self._retried(event):
                self._cut(event)
        elif self._finished_at != NEVER:
            # The SYN whose challenge ACK made its sender reset the old connection is the one that opens the new.
            self._cut(self._pending.get(key, event))
        elif event.idle > IDLE_NS:
            self._cut(event)
        elif not self._synchronized(event.row):
            self._candidate(event)
        elif self._sides == 1 and event.goes_on != NEVER:
            self._cut(event)
        elif key not in self._pending:
            self._pending[key] = event
            if event.length:
                self._spans.append((event.side, event))

    def _retried(self, event: ReuseEvent) -> bool:
        """Whether a finished incarnation's own SYN is its client trying again; if so the incarnation is open again."""
        if self._refused_at is None or event.time - self._refused_at > RETRY_NS:
            return False
        self._finished_at = NEVER
        return True

    def _came_late(self, event: ReuseEvent) -> bool:
        """Whether this SYN opened the very connection whose later segments the file shows first.

        A SYN whose SYN+ACK came before is recognised by its number: the file has no pause there,
        and its sender does not continue from here.
        """
        if (event.side, event.seq) in self._inferred and event.goes_on == NEVER and event.idle <= _REORDERED_NS:
            return True
        first = self._opening
        if first is None or self.cuts or abs(event.time - first.time) > _REORDERED_NS:
            return False
        begun = (event.seq + 1) & _MASK
        if first.side == event.side:
            return (first.seq - begun) & _MASK < _NEAR
        return first.acknowledges and (first.ack - begun) & _MASK < _NEAR

    def _candidate(self, event: ReuseEvent) -> None:
        self._isns[event.side].add(event.seq)
        self._ends[event.side].add((event.seq + 1 + event.length) & _MASK)
        if event.length:
            self._spans.append((event.side, event))
        if event.goes_on != NEVER and (self._synchronized_from == NEVER or event.goes_on < self._synchronized_from):
            self._synchronized_from = event.goes_on

    # -- SYN+ACK

    def _synack(self, event: ReuseEvent) -> None:
        peer = self._other[event.side]
        if self._acknowledges(peer, event.ack):
            self._accept(event)
            return
        opener = self._pending_opener(peer, event.ack)
        if opener is not None:
            # A crossing SYN repeats its number on the SYN+ACK: the earlier of the two opened the connection.
            own = self._pending.get((event.side, event.seq), opener)
            self._cut(min(own, opener))
            self._accept(event)
        elif self._known(event, peer):
            return
        elif not self._begun() or self._synack_came_late(event):
            self._infer(event)
        elif self._lost_its_syn(event):
            self._cut(event)
            self._infer(event)

    def _accept(self, event: ReuseEvent) -> None:
        self._synacks[event.side].add(event.seq)
        self._accepted = True
        if self._refused_at is not None:
            self._refused_at = None
            self._finished_at = NEVER

    def _acknowledges(self, side: int, ack: int) -> bool:
        """Whether `ack` lies in (ISN, end] of a candidate SYN of `side`."""
        isns = self._isns[side]
        if (ack - 1) & _MASK in isns or ack in self._ends[side]:
            return True
        return any(event.seq in isns for event in self._spanning(side, ack))

    def _pending_opener(self, side: int, ack: int) -> ReuseEvent | None:
        """Return the pending SYN of `side` that `ack` acknowledges, all or part of its data included."""
        exact = self._pending.get((side, (ack - 1) & _MASK))
        if exact is not None:
            return exact
        return next((event for event in self._spanning(side, ack) if (side, event.seq) in self._pending), None)

    def _spanning(self, side: int, ack: int) -> Iterator[ReuseEvent]:
        """Yield SYNs with data of `side` that `ack` acknowledges, all or part of their data."""
        for sender, event in self._spans:
            if sender == side and 0 < (ack - event.seq) & _MASK <= event.length + 1:
                yield event

    def _known(self, event: ReuseEvent, peer: int) -> bool:
        """Whether it repeats a SYN+ACK of this incarnation, or is an old duplicate from an earlier one."""
        return (
            event.seq in self._synacks[event.side]
            or event.seq in self._old_synacks[event.side]
            or (event.ack - 1) & _MASK in self._old_isns[peer]
        )

    def _begun(self) -> bool:
        if self._opening is not None and not self.cuts:
            return True
        return bool(self._isns[0] or self._isns[1])

    def _synack_came_late(self, event: ReuseEvent) -> bool:
        """Whether this SYN+ACK opened the very connection whose later segments the file shows first."""
        first = self._opening
        if first is None or self.cuts or self._synacks[event.side] or abs(event.time - first.time) > _REORDERED_NS:
            return False
        ours, theirs = (first.seq, first.ack) if first.side == event.side else (first.ack, first.seq)
        return first.acknowledges and (ours - event.seq - 1) & _MASK < _NEAR and (theirs - event.ack) & _MASK < _NEAR

    def _lost_its_syn(self, event: ReuseEvent) -> bool:
        """Whether a SYN+ACK that fits nothing is the start of a connection whose SYN was not captured."""
        if event.idle > IDLE_NS:
            return True
        goes_on = (event.goes_on if self._sides == 1 else event.answered) != NEVER
        finished, synchronized = self._finished_at != NEVER, self._synchronized(event.row)
        return (goes_on and (finished or synchronized)) or (finished and synchronized)

    def _infer(self, event: ReuseEvent) -> None:
        peer = self._other[event.side]
        self._isns[peer].add((event.ack - 1) & _MASK)
        self._inferred.add((peer, (event.ack - 1) & _MASK))
        self._ends[peer].add(event.ack)
        self._synacks[event.side].add(event.seq)
        self._accepted = True

    # -- the end of an incarnation

    def _synchronized(self, row: int) -> bool:
        """Whether a SYN+ACK was accepted, or the SYN's sender went on as only an accepted one lets it."""
        return self._accepted or NEVER < self._synchronized_from < row

    def _reset(self, event: ReuseEvent) -> None:
        if self._synchronized(event.row):
            if event.near:
                self._finish(event)
        elif event.kind == RESET_ACK and self._acknowledges(self._other[event.side], event.ack):
            self._finish(event)
            self._refused_at = event.time
        elif event.seq in self._isns[event.side] or self._acknowledges(event.side, event.seq):
            self._finish(event)

    def _fin(self, event: ReuseEvent) -> None:
        if event.near:
            self._fins.add(event.side)
            if len(self._fins) >= self._sides and self._finished_at == NEVER:
                self._finish(event)
                self._by_fins = True

    def _finish(self, event: ReuseEvent) -> None:
        if self._finished_at == NEVER:
            self._finished_at = event.row
        self._refused_at = None

    def _cut(self, opener: ReuseEvent) -> None:
        """Begin a new incarnation at `opener`; SYNs that were pending since are its candidates."""
        finished = NEVER < self._finished_at < opener.row
        self.cuts.append(Cut(opener.row, finished, finished and self._by_fins))
        for side in (0, 1):
            self._old_isns[side].update(self._isns[side])
            self._old_synacks[side].update(self._synacks[side])
        waiting = [event for event in self._pending.values() if event.row > opener.row]
        self._start()
        for event in [opener, *waiting]:
            if event.kind == SYN:
                self._candidate(event)
