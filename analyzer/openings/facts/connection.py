"""Facts of whole connections that only checks name: `vocabulary.AGGREGATE`, each made when it is first asked for.

Promises: a value a connection, and whether it is known; whole arrays throughout. Places are steps: -1 where there is none.
Must not know: any check.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from analyzer.capture.decode import tcp_options
from analyzer.openings.facts import sack
from analyzer.openings.steps import SEGMENT
from analyzer.rules.vocabulary import OPTIONS
from analyzer.schema import ACK, AE, CWR, ECE, FIN, NO_TIME, RST, SYN

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from analyzer.connections import Connections
    from analyzer.openings.steps import Steps

Array = np.ndarray[Any, np.dtype[Any]]
Answer = tuple[Array, Array | None]

_OPENING: Final = SYN | ACK | RST | FIN
_PRESENT: Final = {"mss": "mss", "wscale": "window_scale", "ts": "ts_val", "tfo": "tfo_cookie_length"}
_SAID: Final = {"sack": "sack_permitted", "mptcp": "mptcp", "accecn": "accecn", "md5": "md5", "ao": "ao"}
_ONE_KEY, _BOTH_KEYS = 12, 20
"""Lengths of MP_CAPABLE from which it holds one key, and both (RFC 8684 3.1)."""
_FIRST_KEY, _SECOND_KEY = slice(4, 12), slice(12, 20)
_STEADY: Final = (900_000_000, 1_300_000_000)
"""Gaps between SYNs that some systems keep at a second for a while before they back off, in ns."""


class ConnectionFacts:
    """The facts of all connections."""

    def __init__(self, steps: Steps, connections: Connections, plain: Mapping[str, Array]) -> None:
        self.steps, self.connections, self.plain = steps, connections, plain
        self.size = len(steps.first) - 1
        self.whole = np.array_equal(steps.picked, np.arange(len(steps.segments)))
        """Each segment is one step, so nothing need be looked up."""
        self.made: dict[str, Answer] = {}
        self.carrying: dict[str, tuple[Array, Array, Array]] = {}

    def answer(self, name: str) -> Answer:
        """Return values and known of `name`, a value a connection."""
        if name not in self.made:
            self.made[name] = self._make(name)
        return self.made[name]

    def _make(self, name: str) -> Answer:
        if name in self.plain:
            return self.plain[name], None if name != "capture_end" else self.plain[name] != NO_TIME
        if name in _MAKERS:
            return _MAKERS[name](self)
        place, _, option = name.partition("_has_")
        return self.carries(place, option)

    # ── Places ───────────────────────────────────────────────────────────────────────────────────────────────────────────

    def place(self, name: str) -> Array:
        """Return the step of each connection that `vocabulary.PLACES` calls so, -1 where there is none."""
        found: Array = getattr(self, name)
        return found

    @cached_property
    def kinds(self) -> Array:
        """SYN, ACK, RST and FIN of each step; of what is no readable segment: all of them, which no segment has that counts."""
        columns = self.steps.columns
        return np.where(columns["kind"] == SEGMENT, columns["flags"] & _OPENING, _OPENING).astype(np.int16)

    @cached_property
    def syn_steps(self) -> Array:
        """SYNs of clients."""
        return np.flatnonzero((self.kinds == SYN) & self.steps.columns["by_client"])

    @cached_property
    def synack_steps(self) -> Array:
        """SYN+ACKs of servers."""
        return np.flatnonzero((self.kinds & ~FIN == SYN | ACK) & ~self.steps.columns["by_client"])

    @cached_property
    def first_syn(self) -> Array:
        """See `vocabulary.PLACES`; so for the others."""
        return self.first_of(self.syn_steps)

    @cached_property
    def last_syn(self) -> Array:
        """The last one."""
        found = np.full(self.size, -1, np.int64)
        found[self.steps.columns["flow"][self.syn_steps]] = self.syn_steps
        return found

    @cached_property
    def first_synack(self) -> Array:
        """The first one."""
        return self.first_of(self.synack_steps)

    @cached_property
    def other_synack(self) -> Array:
        """The first with another ISN."""
        columns, steps = self.steps.columns, self.synack_steps
        first = self.first_synack[columns["flow"][steps]]
        return self.first_of(steps[columns["seq"][steps] != columns["seq"][first]])

    @cached_property
    def third(self) -> Array:
        """The client's first after the SYN+ACK."""
        columns = self.steps.columns
        candidates = np.flatnonzero((self.kinds & ~FIN == ACK) & columns["by_client"])
        after = self.first_synack[columns["flow"][candidates]]
        return self.first_of(candidates[(after >= 0) & (candidates > after)])

    @cached_property
    def isn_step(self) -> Array:
        """First SYN-bearing step of each side: server's and client's of connection n at 2n and 2n + 1."""
        return self.first_by_side((self.kinds & SYN != 0) & (self.kinds != _OPENING))

    @cached_property
    def first_step(self) -> Array:
        """First segment of each side, in the same order."""
        return self.first_by_side(self.kinds != _OPENING)

    def first_by_side(self, mask: Array) -> Array:
        """Return the first step of `mask` of each side."""
        chosen = np.flatnonzero(mask)[::-1]
        found = np.full(2 * self.size, -1, np.int64)
        found[self.sides[chosen]] = chosen
        return found

    @cached_property
    def sides(self) -> Array:
        """Which side of which connection sent each step: 2n or 2n + 1."""
        return self.steps.columns["flow"].astype(np.int64) * 2 + self.steps.columns["by_client"]

    def own(self, of_side: Array, at: Array, *, other: bool = False) -> Array:
        """Return, for each of the steps `at`, the value of `of_side` that belongs to its sender, or to the other side."""
        found: Array = of_side[self.sides[at] ^ 1 if other else self.sides[at]]
        return found

    def first_of(self, steps: Array) -> Array:
        """Return the first of `steps` of each connection."""
        found = np.full(self.size, -1, np.int64)
        found[self.steps.columns["flow"][steps[::-1]]] = steps[::-1]
        return found

    @cached_property
    def sacks(self) -> sack.Outside:
        """SACK blocks outside all that was sent."""
        return sack.find(self.connections)

    @cached_property
    def outside_sack(self) -> Array:
        """No step: `findings.cite_rows` cites the segment itself."""
        return np.full(self.size, -1, np.int64)

    # ── SYNs ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

    @cached_property
    def syns(self) -> dict[str, Array]:
        """Every SYN of a client, none folded: flow, seq, time."""
        table = self.connections.segments
        rows = np.flatnonzero((table["flags"].to_numpy() & (SYN | ACK | RST) == SYN) & table["by_client"].to_numpy())
        return {name: table[name].to_numpy()[rows] for name in ("flow", "seq", "time")}

    @cached_property
    def gaps(self) -> tuple[Array, Array, Array]:
        """First gap between SYNs of one ISN in ns, and the least and greatest ratio of gaps in percent; -1 where unknown."""
        syns = self.syns
        found = tuple(np.full(self.size, -1, np.int64) for _ in range(3))
        pair = np.flatnonzero((syns["flow"][1:] == syns["flow"][:-1]) & (syns["seq"][1:] == syns["seq"][:-1])) + 1
        dated = (syns["time"][pair] != NO_TIME) & (syns["time"][pair - 1] != NO_TIME)
        pair = pair[dated]
        gap, flow = syns["time"][pair] - syns["time"][pair - 1], syns["flow"][pair]
        found[0][flow[::-1]] = gap[::-1]
        next_ = np.flatnonzero((pair[1:] == pair[:-1] + 1) & (flow[1:] == flow[:-1]) & (gap[:-1] > 0)) + 1
        steady = [(_STEADY[0] <= gap[at]) & (gap[at] <= _STEADY[1]) for at in (next_, next_ - 1)]
        next_ = next_[~(steady[0] & steady[1])]
        ratio = gap[next_] * 100 // np.maximum(gap[next_ - 1], 1)
        found[1][flow[next_]] = np.iinfo(np.int64).max
        np.minimum.at(found[1], flow[next_], ratio)
        np.maximum.at(found[2], flow[next_], ratio)
        return found[0], found[1], found[2]

    def syn_span(self) -> Answer:
        """From first to last, by time."""
        syns = self.syns
        first, last = np.full(self.size, NO_TIME), np.full(self.size, NO_TIME)
        first[syns["flow"][::-1]] = syns["time"][::-1]
        last[syns["flow"]] = syns["time"]
        known = (first != NO_TIME) & (last != NO_TIME)
        return np.where(known, last - np.where(known, first, last), 0), known

    def since_syn(self) -> Answer:
        """How long the capture went on."""
        end, step = self.plain["capture_end"], self.first_syn
        begin = self.steps.columns["time"][step] if len(self.steps) else np.full(self.size, NO_TIME)
        known = (step >= 0) & (end != NO_TIME) & (begin != NO_TIME)
        return np.where(known, end - np.where(known, begin, 0), 0), known

    def distinct(self, steps: Array, name: str) -> Array:
        """Return how many distinct values of a column the given steps of each connection have."""
        flow = self.steps.columns["flow"][steps]
        count = np.bincount(flow, minlength=self.size)
        several = count[flow] > 1
        if several.any():
            pairs = np.unique(flow[several].astype(np.int64) << 32 | self.steps.columns[name][steps[several]])
            distinct = np.bincount(pairs >> 32, minlength=self.size)
            count = np.where(distinct > 0, distinct, count)
        return count

    def syn_options_changed(self) -> Answer:
        """Whether two SYNs differ in what they offer; TSval apart."""
        columns, steps = self.steps.columns, self.syn_steps
        first = self.first_syn[columns["flow"][steps]]
        differs = np.zeros(len(steps), bool)
        again = np.flatnonzero(steps != first)
        for values in (columns["mss"], columns["window_scale"], columns["flags"] & (ECE | CWR | AE)):
            differs[again] |= values[steps[again]] != values[first[again]]
        differs[again] |= (self.bits(steps[again]) ^ self.bits(first[again])) > 1
        changed = np.zeros(self.size, bool)
        changed[columns["flow"][steps[differs]]] = True
        return changed, None if not self.cut_steps.any() else ~self.touched(self.syn_steps[self.cut_steps[self.syn_steps]])

    def all_set(self, mask: int) -> Array:
        """Return whether a SYN of the client has all of the flags in `mask`."""
        steps = self.syn_steps
        return self.touched(steps[self.steps.columns["flags"][steps] & mask == mask])

    def touched(self, steps: Array) -> Array:
        """Return which connections the steps belong to."""
        found = np.zeros(self.size, bool)
        found[self.steps.columns["flow"][steps]] = True
        return found

    # ── SYN+ACK and third segment ────────────────────────────────────────────────────────────────────────────────────────

    def ace(self, place: str) -> Answer:
        """AE, CWR, ECE as three bits."""
        step = self.place(place)
        flags = self.steps.columns["flags"][step].astype(np.int64) if len(self.steps) else step
        return (flags >> 6) & 7, step >= 0

    def synack_ip_ecn(self) -> Answer:
        """IP ECN bits; from the segments table, which has them."""
        step = self.first_synack
        chosen = self.steps.segments[np.maximum(self.steps.picked[step], 0)] if len(self.steps) else step
        values = self.connections.segments["ip_ecn"].to_numpy()[chosen].astype(np.int64)
        return values, (step >= 0) & (values >= 0)

    def third_after(self) -> Answer:
        """The last SYN+ACK before the third segment; a repeated one restarts the clock."""
        columns, steps = self.steps.columns, self.synack_steps
        before = steps[steps < self.third[columns["flow"][steps]]]
        last = np.full(self.size, -1, np.int64)
        last[columns["flow"][before]] = before
        return self.difference(last, self.third, columns["time"])

    def between(self, one: str, other: str, values: Array) -> Answer:
        """Return how far `values` at two places are apart."""
        return self.difference(self.place(one), self.place(other), values)

    def difference(self, one: Array, other: Array, values: Array) -> Answer:
        """Return how far `values` at two steps are apart; unknown where there is no step or no value."""
        if not len(self.steps):
            return np.zeros(self.size, np.int64), np.zeros(self.size, bool)
        known = (one >= 0) & (other >= 0)
        left, right = values[one], values[other]
        known &= (left >= 0) & (right >= 0)
        return np.where(known, abs(np.where(known, right, 0) - np.where(known, left, 0)), 0), known

    def race_options(self) -> Answer:
        """Which options they carry, and the values that do not change with time."""
        one, other = self.first_synack, self.other_synack
        known = (one >= 0) & (other >= 0)
        columns = self.steps.columns
        differs = np.zeros(self.size, bool)
        both = np.flatnonzero(known)
        for values in (columns["mss"], columns["window_scale"]):
            differs[both] |= values[one[both]] != values[other[both]]
        differs[both] |= (self.bits(one[both]) ^ self.bits(other[both])) > 1
        known[both] &= ~(self.cut_steps[one[both]] | self.cut_steps[other[both]])
        return differs, known

    def tsval(self, place: str) -> Answer:
        """TSval of the segment at a place."""
        step = self.place(place)
        if not len(self.steps):
            return np.zeros(self.size, np.uint32), np.zeros(self.size, bool)
        values = self.option("ts_val")[step]
        return values.astype(np.uint32), (step >= 0) & (values >= 0)

    @cached_property
    def last_acks(self) -> Answer:
        """What each side acknowledged last, server's and client's of connection n at 2n and 2n + 1."""
        table = self.connections.segments
        rows = np.flatnonzero(table["flags"].to_numpy() & (SYN | RST | ACK) == ACK)
        side = table["flow"].to_numpy()[rows].astype(np.int64) * 2 + table["by_client"].to_numpy()[rows]
        found = np.full(2 * self.size, -1, np.int64)
        found[side] = table["ack"].to_numpy()[rows]
        return found.astype(np.uint32), found >= 0

    def last_ack(self, *, by_client: bool) -> Answer:
        """One side of every connection."""
        values, known = self.last_acks
        assert known is not None  # noqa: S101 - for the type checker
        return values[int(by_client) :: 2], known[int(by_client) :: 2]

    def times_backwards(self) -> Answer:
        """Over all segments, in the order of the file."""
        table = self.connections.segments
        flow, time = table["flow"].to_numpy(), table["time"].to_numpy()
        back = (flow[1:] == flow[:-1]) & (time[1:] < time[:-1]) & (time[1:] != NO_TIME)
        return np.bincount(flow[1:][back], minlength=self.size), None

    # ── Options ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    def option(self, name: str) -> Array:
        """Return a column of the decoded options, a value a step."""
        values = self.steps.options[name].to_numpy()
        if self.whole:
            return values
        picked = self.steps.picked
        nothing = -1 if values.dtype.kind == "i" else 0
        found: Array = np.where(picked >= 0, values[picked] if len(values) else nothing, nothing).astype(values.dtype)
        return found

    def mptcp_keys_echoed(self) -> Answer:
        """MP_CAPABLE of the third segment holds the client's key and the server's; a SYN holds one before version 1 only."""
        echoed, known = np.zeros(self.size, bool), np.zeros(self.size, bool)
        flows = np.flatnonzero(self.carries("third", "mptcp")[0] & self.carries("synack", "mptcp")[0])
        if not len(flows):
            return echoed, known
        syn, synack, third = (self.mp_capable(place, flows) for place in ("first_syn", "first_synack", "third"))
        given = syn[:, 1] >= _ONE_KEY
        same = (third[:, _SECOND_KEY] == synack[:, _FIRST_KEY]).all(axis=1)
        same &= ~given | (third[:, _FIRST_KEY] == syn[:, _FIRST_KEY]).all(axis=1)
        echoed[flows] = same
        known[flows] = (third[:, 1] >= _BOTH_KEYS) & (synack[:, 1] >= _ONE_KEY)
        return echoed, known

    def mp_capable(self, place: str, flows: Array) -> Array:
        """Return the MP_CAPABLE option of the segments at a place, a row of bytes each; zeros where there is none."""
        step = self.place(place)[flows]
        rows = self.steps.segments[np.maximum(self.steps.picked[step], 0)]
        table = self.connections.segments
        start, length = (table[name].to_numpy()[rows] for name in ("option_start", "option_length"))
        found = tcp_options.find(self.connections.option_bytes, start, np.where(step >= 0, length, 0), tcp_options.MPTCP)
        # The subtype is the upper half of the third byte, and MP_CAPABLE is subtype 0 (RFC 8684 3).
        return np.where(found[:, 2:3] >> 4 == 0, found, 0)

    @cached_property
    def cut_steps(self) -> Array:
        """Headers that were not captured whole."""
        found: Array = self.steps.columns["header_cut"]
        return found

    def bits(self, steps: Array) -> Array:
        """Return one bit an option, in the order of `vocabulary.OPTIONS`, above a bit that is set where the header was cut."""
        total: Array = self.cut_steps[steps].astype(np.int16)
        for place, name in enumerate(OPTIONS):
            found = self.option(_PRESENT[name])[steps] >= 0 if name in _PRESENT else self.option(_SAID[name])[steps]
            total |= found.astype(np.int16) << (place + 1)
        return total

    def carriers(self, place: str) -> tuple[Array, Array, Array]:
        """Return the segments called `place`, the bits of each, and the connections that have any."""
        if place not in self.carrying:
            steps = {"syn": self.syn_steps, "synack": self.synack_steps, "third": self.third[self.third >= 0]}[place]
            self.carrying[place] = steps, self.bits(steps), self.touched(steps)
        return self.carrying[place]

    def carries(self, place: str, option: str) -> Answer:
        """Whether one of the segments called `place` carries the option: any SYN, any SYN+ACK, the third segment."""
        steps, bits, known = self.carriers(place)
        found = self.touched(steps[bits & 2 << list(OPTIONS).index(option) != 0])
        if self.cut_steps.any():
            known = known & (found | ~self.touched(steps[self.cut_steps[steps]]))
        return found, known


_MAKERS: Final[Mapping[str, Callable[[ConnectionFacts], Answer]]] = {
    "copies": lambda its: (its.connections.flows["duplicate_frames"].to_numpy(), None),
    "routed_copies": lambda its: (its.connections.flows["routed_frames"].to_numpy(), None),
    "n_syn": lambda its: (np.bincount(its.syns["flow"], minlength=its.size), None),
    "n_isn": lambda its: (its.distinct(its.syn_steps, "seq"), None),
    "n_synack_isn": lambda its: (its.distinct(its.synack_steps, "seq"), None),
    "syn_span": ConnectionFacts.syn_span,
    "syn_gap": lambda its: (its.gaps[0], its.gaps[0] >= 0),
    "syn_ratio_low": lambda its: (its.gaps[1], its.gaps[1] >= 0),
    "syn_ratio_high": lambda its: (its.gaps[2], its.gaps[2] >= 0),
    "since_syn": ConnectionFacts.since_syn,
    "syn_options_changed": ConnectionFacts.syn_options_changed,
    "syn_ecn": lambda its: (its.all_set(ECE | CWR), its.place("first_syn") >= 0),
    "syn_accecn": lambda its: (its.all_set(AE | ECE | CWR), its.place("first_syn") >= 0),
    "synack_ace": lambda its: its.ace("first_synack"),
    "synack_ece": lambda its: (its.ace("first_synack")[0] & 1 != 0, its.place("first_synack") >= 0),
    "synack_ip_ecn": ConnectionFacts.synack_ip_ecn,
    "third_ace": lambda its: its.ace("third"),
    "third_after": ConnectionFacts.third_after,
    "syn_tsval": lambda its: its.tsval("first_syn"),
    "third_tsval": lambda its: its.tsval("third"),
    "race_gap": lambda its: its.between("first_synack", "other_synack", its.steps.columns["time"]),
    "race_ttl": lambda its: its.between("first_synack", "other_synack", its.steps.columns["ttl"].astype(np.int64)),
    "race_options": ConnectionFacts.race_options,
    "client_last_ack": lambda its: its.last_ack(by_client=True),
    "server_last_ack": lambda its: its.last_ack(by_client=False),
    "mptcp_keys_echoed": ConnectionFacts.mptcp_keys_echoed,
    "sack_outside": lambda its: (its.sacks.count, None),
    "times_backwards": ConnectionFacts.times_backwards,
}
"""How each fact that is not simply a column is made."""
