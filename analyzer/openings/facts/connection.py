"""Facts of whole connections: those that only checks name (`vocabulary.CONNECTION_FACTS`), and those given as columns.

One value per connection, and where it is known; whole arrays. Each fact is computed on first use.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np

from analyzer.openings.facts import sack
from analyzer.openings.facts.key_steps import KeySteps
from analyzer.openings.facts.options import OptionFacts
from analyzer.schema import ACK, AE, CWR, ECE, NO_TIME, RST, SYN

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from analyzer._typing import Answer, Array, BoolArray, IntArray
    from analyzer.connections import Connections
    from analyzer.openings.steps import Steps

_STEADY_GAP: Final = (900_000_000, 1_300_000_000)
"""Bounds in ns of gaps between SYNs that some systems keep at a second for a while before they back off."""


class ConnectionFacts:
    """The facts of all connections, by name."""

    def __init__(self, steps: Steps, connections: Connections, columns: Mapping[str, Array]) -> None:
        self.steps, self.connections, self.columns = steps, connections, columns
        self.key_steps = KeySteps(steps)
        self.options = OptionFacts(steps, connections, self.key_steps)
        self.size = self.key_steps.size
        self._answers: dict[str, Answer] = {}

    def answer(self, name: str) -> Answer:
        """Return the values of `name`, one per connection, and where they are known."""
        if name not in self._answers:
            self._answers[name] = self._compute(name)
        return self._answers[name]

    def _compute(self, name: str) -> Answer:
        if name in self.columns:
            return self.columns[name], None if name != "capture_end" else self.columns[name] != NO_TIME
        if name in _FACTS:
            return _FACTS[name](self)
        role, _, option = name.partition("_has_")
        return self.options.carries(role, option)

    @cached_property
    def sacks(self) -> sack.Outside:
        """Segments with SACK blocks outside all that the peer can have sent."""
        return sack.find(self.connections)

    # ── SYNs ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

    @cached_property
    def syns(self) -> dict[str, Array]:
        """Every SYN of a client, repeats included: columns flow, seq, time."""
        table = self.connections.segments
        rows = np.flatnonzero((table["flags"].to_numpy() & (SYN | ACK | RST) == SYN) & table["by_client"].to_numpy())
        return {name: table[name].to_numpy()[rows] for name in ("flow", "seq", "time")}

    @cached_property
    def gaps(self) -> tuple[Array, Array, Array]:
        """First gap between SYNs of one ISN in ns, and the minimum and maximum ratio of successive gaps in percent; -1 where unknown."""
        syns = self.syns
        found = tuple(np.full(self.size, -1, np.int64) for _ in range(3))
        pair = np.flatnonzero((syns["flow"][1:] == syns["flow"][:-1]) & (syns["seq"][1:] == syns["seq"][:-1])) + 1
        dated = (syns["time"][pair] != NO_TIME) & (syns["time"][pair - 1] != NO_TIME)
        pair = pair[dated]
        gap, flow = syns["time"][pair] - syns["time"][pair - 1], syns["flow"][pair]
        found[0][flow[::-1]] = gap[::-1]
        next_ = np.flatnonzero((pair[1:] == pair[:-1] + 1) & (flow[1:] == flow[:-1]) & (gap[:-1] > 0)) + 1
        steady = [(_STEADY_GAP[0] <= gap[at]) & (gap[at] <= _STEADY_GAP[1]) for at in (next_, next_ - 1)]
        next_ = next_[~(steady[0] & steady[1])]
        ratio = gap[next_] * 100 // np.maximum(gap[next_ - 1], 1)
        found[1][flow[next_]] = np.iinfo(np.int64).max
        np.minimum.at(found[1], flow[next_], ratio)
        np.maximum.at(found[2], flow[next_], ratio)
        return found[0], found[1], found[2]

    def syn_span(self) -> Answer:
        """Return the time from the first SYN to the last."""
        syns = self.syns
        first, last = np.full(self.size, NO_TIME), np.full(self.size, NO_TIME)
        first[syns["flow"][::-1]] = syns["time"][::-1]
        last[syns["flow"]] = syns["time"]
        known = (first != NO_TIME) & (last != NO_TIME)
        return np.where(known, last - np.where(known, first, last), 0), known

    def since_syn(self) -> Answer:
        """Return the time from the first SYN to the end of the capture."""
        end, step = self.columns["capture_end"], self.key_steps.first_syn
        begin = self.steps.columns["time"][step] if len(self.steps) else np.full(self.size, NO_TIME)
        known = (step >= 0) & (end != NO_TIME) & (begin != NO_TIME)
        return np.where(known, end - np.where(known, begin, 0), 0), known

    def distinct(self, steps: IntArray, name: str) -> IntArray:
        """Return how many distinct values of a column `steps` have in each connection."""
        flow = self.steps.columns["flow"][steps]
        count = np.bincount(flow, minlength=self.size)
        several = count[flow] > 1
        if several.any():
            pairs = np.unique(flow[several].astype(np.int64) << 32 | self.steps.columns[name][steps[several]])
            distinct = np.bincount(pairs >> 32, minlength=self.size)
            count = np.where(distinct > 0, distinct, count)
        return count

    def syn_options_changed(self) -> Answer:
        """Return whether two SYNs offer different options or ECN flags; TSval is not compared."""
        columns, steps = self.steps.columns, self.key_steps.syn_steps
        first = self.key_steps.first_syn[columns["flow"][steps]]
        differs = np.zeros(len(steps), bool)
        again = np.flatnonzero(steps != first)
        for values in (columns["mss"], columns["window_scale"], columns["flags"] & (ECE | CWR | AE)):
            differs[again] |= values[steps[again]] != values[first[again]]
        differs[again] |= (self.options.bits(steps[again]) ^ self.options.bits(first[again])) > 1
        changed = np.zeros(self.size, bool)
        changed[columns["flow"][steps[differs]]] = True
        cut = self.options.cut_steps
        return changed, ~self.key_steps.has_any(steps[cut[steps]]) if cut.any() else None

    def all_set(self, mask: int) -> BoolArray:
        """Return whether a SYN of the client has all of the flags in `mask`."""
        steps = self.key_steps.syn_steps
        return self.key_steps.has_any(steps[self.steps.columns["flags"][steps] & mask == mask])

    # ── SYN+ACK and third segment ────────────────────────────────────────────────────────────────────────────────────────

    def ace(self, name: str) -> Answer:
        """Return AE, CWR and ECE of a key step as a number of three bits."""
        step = self.key_steps.step(name)
        flags = self.steps.columns["flags"][step].astype(np.int64) if len(self.steps) else step
        return (flags >> 6) & 7, step >= 0

    def synack_ip_ecn(self) -> Answer:
        """Return the IP ECN bits of the first SYN+ACK, from the segments table."""
        step = self.key_steps.first_synack
        chosen = self.steps.segments[np.maximum(self.steps.picked[step], 0)] if len(self.steps) else step
        values = self.connections.segments["ip_ecn"].to_numpy()[chosen].astype(np.int64)
        return values, (step >= 0) & (values >= 0)

    def third_after(self) -> Answer:
        """Return the time from the last SYN+ACK before the third segment to that segment."""
        columns, steps = self.steps.columns, self.key_steps.synack_steps
        before = steps[steps < self.key_steps.third[columns["flow"][steps]]]
        last = np.full(self.size, -1, np.int64)
        last[columns["flow"][before]] = before
        return self.difference(last, self.key_steps.third, columns["time"])

    def between(self, one: str, other: str, values: Array) -> Answer:
        """Return the absolute difference of `values` at two key steps."""
        return self.difference(self.key_steps.step(one), self.key_steps.step(other), values)

    def difference(self, one: IntArray, other: IntArray, values: Array) -> Answer:
        """Return the absolute difference of `values` at two steps; unknown where a step or a value is missing."""
        if not len(self.steps):
            return np.zeros(self.size, np.int64), np.zeros(self.size, bool)
        known = (one >= 0) & (other >= 0)
        left, right = values[one], values[other]
        known &= (left >= 0) & (right >= 0)
        return np.where(known, abs(np.where(known, right, 0) - np.where(known, left, 0)), 0), known

    def race_options(self) -> Answer:
        """Return whether SYN+ACKs with different ISNs carry different options; values that change with time are not compared."""
        one, other = self.key_steps.first_synack, self.key_steps.other_synack
        known = (one >= 0) & (other >= 0)
        columns = self.steps.columns
        differs = np.zeros(self.size, bool)
        both = np.flatnonzero(known)
        for values in (columns["mss"], columns["window_scale"]):
            differs[both] |= values[one[both]] != values[other[both]]
        differs[both] |= (self.options.bits(one[both]) ^ self.options.bits(other[both])) > 1
        known[both] &= ~(self.options.cut_steps[one[both]] | self.options.cut_steps[other[both]])
        return differs, known

    def tsval(self, name: str) -> Answer:
        """Return the TSval of a key step."""
        step = self.key_steps.step(name)
        if not len(self.steps):
            return np.zeros(self.size, np.uint32), np.zeros(self.size, bool)
        values = self.options.column("ts_val")[step]
        return values.astype(np.uint32), (step >= 0) & (values >= 0)

    @cached_property
    def last_acks(self) -> Answer:
        """Last acknowledgment number of each side; index 2n is the server of connection n, 2n + 1 its client."""
        table = self.connections.segments
        rows = np.flatnonzero(table["flags"].to_numpy() & (SYN | RST | ACK) == ACK)
        side = table["flow"].to_numpy()[rows].astype(np.int64) * 2 + table["by_client"].to_numpy()[rows]
        found = np.full(2 * self.size, -1, np.int64)
        found[side] = table["ack"].to_numpy()[rows]
        return found.astype(np.uint32), found >= 0

    def last_ack(self, *, by_client: bool) -> Answer:
        """Return the last acknowledgment number of one side."""
        values, known = self.last_acks
        assert known is not None  # noqa: S101 - for the type checker
        return values[int(by_client) :: 2], known[int(by_client) :: 2]

    def times_backwards(self) -> Answer:
        """Return how many segments have an earlier time than the one before, in capture order."""
        table = self.connections.segments
        flow, time = table["flow"].to_numpy(), table["time"].to_numpy()
        back = (flow[1:] == flow[:-1]) & (time[1:] < time[:-1]) & (time[1:] != NO_TIME)
        return np.bincount(flow[1:][back], minlength=self.size), None


_FACTS: Final[Mapping[str, Callable[[ConnectionFacts], Answer]]] = {
    "copies": lambda facts: (facts.connections.flows["duplicate_frames"].to_numpy(), None),
    "routed_copies": lambda facts: (facts.connections.flows["routed_frames"].to_numpy(), None),
    "n_syn": lambda facts: (np.bincount(facts.syns["flow"], minlength=facts.size), None),
    "n_isn": lambda facts: (facts.distinct(facts.key_steps.syn_steps, "seq"), None),
    "n_synack_isn": lambda facts: (facts.distinct(facts.key_steps.synack_steps, "seq"), None),
    "syn_span": ConnectionFacts.syn_span,
    "syn_gap": lambda facts: (facts.gaps[0], facts.gaps[0] >= 0),
    "syn_ratio_low": lambda facts: (facts.gaps[1], facts.gaps[1] >= 0),
    "syn_ratio_high": lambda facts: (facts.gaps[2], facts.gaps[2] >= 0),
    "since_syn": ConnectionFacts.since_syn,
    "syn_options_changed": ConnectionFacts.syn_options_changed,
    "syn_ecn": lambda facts: (facts.all_set(ECE | CWR), facts.key_steps.step("first_syn") >= 0),
    "syn_accecn": lambda facts: (facts.all_set(AE | ECE | CWR), facts.key_steps.step("first_syn") >= 0),
    "synack_ace": lambda facts: facts.ace("first_synack"),
    "synack_ece": lambda facts: (facts.ace("first_synack")[0] & 1 != 0, facts.key_steps.step("first_synack") >= 0),
    "synack_ip_ecn": ConnectionFacts.synack_ip_ecn,
    "third_ace": lambda facts: facts.ace("third"),
    "third_after": ConnectionFacts.third_after,
    "syn_tsval": lambda facts: facts.tsval("first_syn"),
    "third_tsval": lambda facts: facts.tsval("third"),
    "race_gap": lambda facts: facts.between("first_synack", "other_synack", facts.steps.columns["time"]),
    "race_ttl": lambda facts: facts.between("first_synack", "other_synack", facts.steps.columns["ttl"].astype(np.int64)),
    "race_options": ConnectionFacts.race_options,
    "client_last_ack": lambda facts: facts.last_ack(by_client=True),
    "server_last_ack": lambda facts: facts.last_ack(by_client=False),
    "mptcp_keys_echoed": lambda facts: facts.options.mptcp_keys_echoed(),
    "sack_outside": lambda facts: (facts.sacks.count, None),
    "times_backwards": ConnectionFacts.times_backwards,
}
"""How each fact that is not a column is computed."""
