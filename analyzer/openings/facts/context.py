"""Facts of a few segments that need every segment of their connections, not only the steps: `segment` has the others.

Promises: values and known, one per step asked for; time grows with the segments of the connections concerned, times the
logarithm of a sort; whole arrays throughout.
Must not know: any check.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from analyzer.capture.decode import tcp_options
from analyzer.openings.steps import FLAGS_END
from analyzer.schema import ACK, CHECKSUM_BAD, CHECKSUM_PARTIAL, FIN, RST, SYN

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from analyzer.connections import Connections
    from analyzer.openings.facts.connection import ConnectionFacts
    from analyzer.openings.steps import Steps

Array = np.ndarray[Any, np.dtype[Any]]
Answer = tuple[Array, Array | None]

_SEQ_BITS: Final = 32
_WRAP: Final = 1 << _SEQ_BITS
_AHEAD: Final = 1 << 30
"""How far beyond a segment's end an acknowledgment may lie and still count as one of it: the largest window (RFC 7323 2.3)."""


class StepFacts(Protocol):
    """What is needed here of the facts of all steps (`segment.SegmentFacts`)."""

    steps: Steps
    connections: Connections
    aggregates: ConnectionFacts
    of_syns: dict[str, Array]
    """Columns of each side's first SYN-bearing segment, by name."""

    def answer(self, name: str, at: Array) -> Answer:
        """Return values and known of a fact at some steps."""

    def column(self, name: str) -> Array:
        """Return a column of the segments table, one value per step."""

    def codes(self, name: str) -> Array:
        """Return the category codes of a column, one per step."""

    def option(self, name: str) -> Array:
        """Return a column of the decoded options, one value per step."""

    def of_syn(self, name: str) -> Array:
        """Return a column of each side's first SYN-bearing segment."""

    def peer_mss(self, at: Array) -> Answer:
        """Return the MSS that the other side offered."""

    def ttl_change(self, at: Array) -> Answer:
        """Return the distance from the TTL of the side's first SYN-bearing segment."""


class Whole:
    """All segments of the connections of some steps, in the order of the segments table."""

    def __init__(self, its: StepFacts, at: Array) -> None:
        self.its, self.at = its, at
        table = its.connections.segments
        flow = table["flow"].to_numpy()
        wanted = np.unique(its.steps.columns["flow"][at])
        begin, end = np.searchsorted(flow, wanted), np.searchsorted(flow, wanted, side="right")
        sizes = end - begin
        self.rows = np.arange(int(sizes.sum())) + np.repeat(begin - (np.cumsum(sizes) - sizes), sizes)
        self.side = flow[self.rows].astype(np.int64) * 2 + table["by_client"].to_numpy()[self.rows]
        readable = table["header_captured"].to_numpy()[self.rows] >= FLAGS_END
        self.flags = np.where(readable, table["flags"].to_numpy()[self.rows], 0)

    def column(self, name: str) -> Array:
        """Return a column of the segments table."""
        found: Array = self.its.connections.segments[name].to_numpy()[self.rows]
        return found

    def codes(self, name: str) -> Array:
        """Return the category codes of a column of the segments table."""
        found: Array = self.its.connections.segments[name].cat.codes.to_numpy()[self.rows]
        return found

    def occupied(self) -> Array:
        """Return how many sequence numbers each segment takes: payload, SYN and FIN (RFC 9293 3.4)."""
        length: Array = np.maximum(self.column("payload_length"), 0).astype(np.int64)
        length += (self.flags & SYN != 0).astype(np.int64) + (self.flags & FIN != 0)
        return length


def tsecr_sent(its: StepFacts, at: Array) -> Answer:
    """Whether TSecr is the TSval of some segment of the other side (RFC 7323 4.3: what TS.Recent may hold); unknown without TSecr."""
    whole = Whole(its, at)
    decoded = tcp_options.decode(its.connections.option_bytes, whole.column("option_start"), whole.column("option_length"))
    value = decoded["ts_val"].to_numpy()
    carries = value >= 0
    sent = np.unique(whole.side[carries] << _SEQ_BITS | value[carries])
    echo = its.option("ts_ecr")[at]
    wanted = (its.aggregates.sides[at] ^ 1) << _SEQ_BITS | echo
    return np.isin(wanted, sent), echo >= 0


def taken_whole(its: StepFacts, at: Array) -> Answer:
    """Whether the other side acknowledged all of a segment that takes sequence numbers, and none of these were sent another time."""
    if not len(at):
        return np.zeros(0, bool), None
    whole = Whole(its, at)
    return _acknowledged(its, at, whole) & _sent_once(its, at, whole), None


def _ends(its: StepFacts, at: Array) -> Array:
    columns = its.steps.columns
    marks = (columns["flags"][at] & SYN != 0).astype(np.int64) + (columns["flags"][at] & FIN != 0)
    found: Array = columns["seq"][at].astype(np.int64) + np.maximum(columns["length"][at], 0) + marks
    return found


def _acknowledged(its: StepFacts, at: Array, whole: Whole) -> Array:
    """Whether an acknowledgment of the other side lies at most 2^30 at or beyond each segment's end."""
    speaks = whole.flags & (ACK | RST) == ACK
    acks = np.unique(whole.side[speaks] << _SEQ_BITS | whole.column("ack")[speaks].astype(np.int64))
    acks = np.append(acks, np.iinfo(np.int64).max)
    other, end = (its.aggregates.sides[at] ^ 1) << _SEQ_BITS, _ends(its, at) % _WRAP
    # The window may run over 2^32: then its rest begins at 0.
    within = acks[np.searchsorted(acks, other | end)] <= (other | np.minimum(end + _AHEAD, _WRAP - 1))
    rest = end + _AHEAD - _WRAP
    found: Array = within | ((rest >= 0) & (acks[np.searchsorted(acks, other)] <= other + rest))
    return found


def _sent_once(its: StepFacts, at: Array, whole: Whole) -> Array:
    """Whether each step takes sequence numbers, and no other segment of its side takes one of them."""
    size = whole.occupied()
    rows = np.flatnonzero(size > 0)
    side, size = whole.side[rows], size[rows]
    seq = whole.column("seq")[rows].astype(np.int64)
    base = np.zeros(2 * its.aggregates.size, np.int64)
    base[side[::-1]] = seq[::-1]
    begin = (seq - base[side] + (_WRAP >> 1)) % _WRAP
    order = np.lexsort((begin, side))
    line = (side[order] << (_SEQ_BITS + 1)) + begin[order]
    reach = np.maximum.accumulate(line + size[order])
    alone = np.ones(len(order), bool)
    alone[1:] &= line[1:] >= reach[:-1]
    alone[:-1] &= line[1:] >= line[:-1] + size[order][:-1]
    single = np.zeros(len(whole.rows) + 1, bool)
    single[rows[order]] = alone
    place = np.searchsorted(whole.rows, its.steps.segments[its.steps.picked[at]])
    found: Array = single[place]
    return found


def zero_sums_taken(its: StepFacts, at: Array) -> Answer:
    """Whether its side sent a segment with checksum field 0 that was merged after it had arrived, or was acknowledged as a whole."""
    key = "zero_sums_taken"
    if key not in its.of_syns:
        columns = its.steps.columns
        empty = np.flatnonzero((its.column("checksum_state") == CHECKSUM_BAD) & (its.column("checksum") == 0) & (columns["length"] > 0))
        taken = over_mss(its, empty)[0] | taken_whole(its, empty)[0]
        found = np.zeros(2 * its.aggregates.size, bool)
        found[its.aggregates.sides[empty[taken]]] = True
        its.of_syns[key] = found
    return its.of_syns[key][its.aggregates.sides[at]], None


def side_offloads(its: StepFacts, at: Array) -> Answer:
    """Whether its side sent a segment whose checksum was left to a network card."""
    key = "side_offloads"
    if key not in its.of_syns:
        found = np.zeros(2 * its.aggregates.size, bool)
        found[its.aggregates.sides[np.flatnonzero(its.column("checksum_state") == CHECKSUM_PARTIAL)]] = True
        its.of_syns[key] = found
    return its.of_syns[key][its.aggregates.sides[at]] | zero_sums_taken(its, at)[0], None


def over_mss(its: StepFacts, at: Array) -> Answer:
    """Whether it carries more payload than the other side's MSS; False where that was not captured."""
    mss, _ = its.peer_mss(at)
    return (mss >= 0) & (its.steps.columns["length"][at] > mss), None


def _settled(its: StepFacts, at: Array, whole: Whole, values: Array, of_step: tuple[Array, Array]) -> Array:
    """Return how many segments with neither SYN, RST nor FIN each step's side sent with the step's value.

    0 where a segment behind the step has the value of the side's SYN again, and where there is no SYN; `of_step` are the step's value
    and that SYN's.
    """
    own, first = of_step
    sides = its.aggregates.sides[at]
    later = np.flatnonzero((whole.flags & (SYN | RST) == 0) & (whole.flags & ACK != 0))
    plain = later[whole.flags[later] & FIN == 0]
    pairs, counts = np.unique(whole.side[plain] << _SEQ_BITS | values[plain].astype(np.int64) + 1, return_counts=True)
    place = np.minimum(np.searchsorted(pairs, sides << _SEQ_BITS | own + 1), max(len(pairs) - 1, 0))
    if not len(pairs):
        return np.zeros(len(at), np.int64)
    found = np.where(pairs[place] == (sides << _SEQ_BITS | own + 1), counts[place], 0)
    last = np.full(2 * its.aggregates.size, -1, np.int64)
    own_first = np.full(2 * its.aggregates.size, -1, np.int64)
    own_first[sides] = first
    like_syn = later[values[later] == own_first[whole.side[later]]]
    last[whole.side[like_syn]] = whole.rows[like_syn]
    back = last[sides] > its.steps.segments[its.steps.picked[at]]
    return np.where(back | (first < 0), 0, found)


def ttl_settled(its: StepFacts, at: Array) -> Answer:
    """Return how many segments its side sent with its TTL, unless the TTL of the SYN comes back."""
    whole = Whole(its, at)
    first = its.aggregates.own(its.of_syn("ttl"), at)
    return _settled(its, at, whole, whole.column("ttl"), (its.steps.columns["ttl"][at].astype(np.int64), first)), None


def mac_settled(its: StepFacts, at: Array) -> Answer:
    """Return how many segments its side sent from its MAC address, unless that of the SYN comes back."""
    whole = Whole(its, at)
    step = its.aggregates.own(its.aggregates.isn_step, at)
    codes = its.codes("src_mac").astype(np.int64)
    return _settled(its, at, whole, whole.codes("src_mac"), (codes[at], np.where(step >= 0, codes[step], -1))), None


def farther(its: StepFacts, at: Array) -> Answer:
    """Whether it has crossed more routers than its side's first SYN-bearing segment, as their TTLs tell."""
    _, known = its.ttl_change(at)
    step = its.aggregates.own(its.aggregates.isn_step, at)
    return its.answer("hops", at)[0] > its.answer("hops", np.maximum(step, 0))[0], known


FACTS: Final[Mapping[str, Callable[[StepFacts, Array], Answer]]] = {
    "tsecr_sent": tsecr_sent,
    "taken_whole": taken_whole,
    "zero_sums_taken": zero_sums_taken,
    "side_offloads": side_offloads,
    "over_mss": over_mss,
    "ttl_settled": ttl_settled,
    "mac_settled": mac_settled,
    "farther": farther,
}
"""How facts are made that need all segments of their connections, or those of a whole side."""
