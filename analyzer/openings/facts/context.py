"""Facts of a few segments that need every segment of their connections, not only the steps; `segment` has the others.

Each function returns the values at some steps, and where they are known. Time is O(n log n) in the segments of the connections concerned.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from analyzer.capture.decode import tcp_options
from analyzer.openings.steps import FLAGS_END
from analyzer.schema import ACK, CHECKSUM_BAD, CHECKSUM_PARTIAL, FIN, RST, SYN

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from analyzer._typing import Answer, Array, BoolArray, IntArray
    from analyzer.connections import Connections
    from analyzer.openings.facts.key_steps import KeySteps
    from analyzer.openings.facts.options import OptionFacts
    from analyzer.openings.steps import Steps

_SEQ_BITS: Final = 32
_WRAP: Final = 1 << _SEQ_BITS
_MAX_WINDOW: Final = 1 << 30
"""Bytes that an acknowledgment may lie beyond a segment's end and still acknowledge it (RFC 7323 2.3)."""


class StepFacts(Protocol):
    """The part of `segment.SegmentFacts` that these facts are computed from."""

    steps: Steps
    connections: Connections
    key_steps: KeySteps
    options: OptionFacts
    by_side: dict[str, Array]
    """Columns with one entry per side, by name."""

    def answer(self, name: str, at: IntArray) -> Answer:
        """Return the values of a fact at some steps, and where they are known."""

    def column(self, name: str) -> Array:
        """Return a column of the segments table, one value per step."""

    def codes(self, name: str) -> Array:
        """Return the category codes of a column, one per step."""

    def of_first_syn(self, name: str) -> Array:
        """Return a column of each side's first SYN-bearing segment."""

    def peer_mss(self, at: IntArray) -> Answer:
        """Return the MSS that the peer offered."""

    def ttl_change(self, at: IntArray) -> Answer:
        """Return the distance from the TTL of the side's first SYN-bearing segment."""


class AllSegments:
    """All segments of the connections of some steps, in the order of the segments table."""

    def __init__(self, facts: StepFacts, at: IntArray) -> None:
        self.facts = facts
        table = facts.connections.segments
        flow = table["flow"].to_numpy()
        wanted = np.unique(facts.steps.columns["flow"][at])
        begin, end = np.searchsorted(flow, wanted), np.searchsorted(flow, wanted, side="right")
        sizes = end - begin
        self.rows = np.arange(int(sizes.sum())) + np.repeat(begin - (np.cumsum(sizes) - sizes), sizes)
        self.side = flow[self.rows].astype(np.int64) * 2 + table["by_client"].to_numpy()[self.rows]
        readable = table["header_captured"].to_numpy()[self.rows] >= FLAGS_END
        self.flags = np.where(readable, table["flags"].to_numpy()[self.rows], 0)

    def column(self, name: str) -> Array:
        """Return a column of the segments table."""
        found: Array = self.facts.connections.segments[name].to_numpy()[self.rows]
        return found

    def codes(self, name: str) -> Array:
        """Return the category codes of a column of the segments table."""
        found: Array = self.facts.connections.segments[name].cat.codes.to_numpy()[self.rows]
        return found

    def occupied(self) -> IntArray:
        """Return how many sequence numbers each segment occupies: payload, SYN and FIN (RFC 9293 3.4)."""
        length: IntArray = np.maximum(self.column("payload_length"), 0).astype(np.int64)
        length += (self.flags & SYN != 0).astype(np.int64) + (self.flags & FIN != 0)
        return length


def tsecr_sent(facts: StepFacts, at: IntArray) -> Answer:
    """Return whether TSecr is a TSval that the peer sent, which TS.Recent may hold (RFC 7323 4.3); unknown without TSecr."""
    segments = AllSegments(facts, at)
    decoded = tcp_options.decode(facts.connections.option_bytes, segments.column("option_start"), segments.column("option_length"))
    value = decoded["ts_val"].to_numpy()
    carries = value >= 0
    sent = np.unique(segments.side[carries] << _SEQ_BITS | value[carries])
    echo = facts.options.column("ts_ecr")[at]
    wanted = (facts.key_steps.sides[at] ^ 1) << _SEQ_BITS | echo
    return np.isin(wanted, sent), echo >= 0


def fully_acknowledged(facts: StepFacts, at: IntArray) -> Answer:
    """Return whether the peer acknowledged all sequence numbers of a segment, each of which was sent once."""
    if not len(at):
        return np.zeros(0, bool), None
    segments = AllSegments(facts, at)
    return _acknowledged(facts, at, segments) & _sent_once(facts, at, segments), None


def _ends(facts: StepFacts, at: IntArray) -> IntArray:
    """Return the sequence number after each step, not reduced mod 2^32."""
    columns = facts.steps.columns
    controls = (columns["flags"][at] & SYN != 0).astype(np.int64) + (columns["flags"][at] & FIN != 0)
    found: IntArray = columns["seq"][at].astype(np.int64) + np.maximum(columns["length"][at], 0) + controls
    return found


def _acknowledged(facts: StepFacts, at: IntArray, segments: AllSegments) -> BoolArray:
    """Return whether an acknowledgment of the peer lies at most 2^30 at or beyond each segment's end."""
    is_ack = segments.flags & (ACK | RST) == ACK
    acks = np.unique(segments.side[is_ack] << _SEQ_BITS | segments.column("ack")[is_ack].astype(np.int64))
    acks = np.append(acks, np.iinfo(np.int64).max)
    other, end = (facts.key_steps.sides[at] ^ 1) << _SEQ_BITS, _ends(facts, at) % _WRAP
    # A window that wraps at 2^32 continues at 0.
    within = acks[np.searchsorted(acks, other | end)] <= (other | np.minimum(end + _MAX_WINDOW, _WRAP - 1))
    rest = end + _MAX_WINDOW - _WRAP
    found: BoolArray = within | ((rest >= 0) & (acks[np.searchsorted(acks, other)] <= other + rest))
    return found


def _sent_once(facts: StepFacts, at: IntArray, segments: AllSegments) -> BoolArray:
    """Return whether each step occupies sequence numbers that no other segment of its side occupies."""
    size = segments.occupied()
    rows = np.flatnonzero(size > 0)
    side, size = segments.side[rows], size[rows]
    seq = segments.column("seq")[rows].astype(np.int64)
    base = np.zeros(2 * facts.key_steps.size, np.int64)
    base[side[::-1]] = seq[::-1]
    begin = (seq - base[side] + (_WRAP >> 1)) % _WRAP
    order = np.lexsort((begin, side))
    line = (side[order] << (_SEQ_BITS + 1)) + begin[order]
    reach = np.maximum.accumulate(line + size[order])
    alone = np.ones(len(order), bool)
    alone[1:] &= line[1:] >= reach[:-1]
    alone[:-1] &= line[1:] >= line[:-1] + size[order][:-1]
    single = np.zeros(len(segments.rows) + 1, bool)
    single[rows[order]] = alone
    place = np.searchsorted(segments.rows, facts.steps.segments[facts.steps.picked[at]])
    found: BoolArray = single[place]
    return found


def zero_checksum_accepted(facts: StepFacts, at: IntArray) -> Answer:
    """Return whether the side sent a segment with checksum field 0 that exceeds the MSS (merged on receipt) or was fully acknowledged."""
    key = "zero_checksum_accepted"
    if key not in facts.by_side:
        columns = facts.steps.columns
        empty = np.flatnonzero((facts.column("checksum_state") == CHECKSUM_BAD) & (facts.column("checksum") == 0) & (columns["length"] > 0))
        taken = over_mss(facts, empty)[0] | fully_acknowledged(facts, empty)[0]
        found = np.zeros(2 * facts.key_steps.size, bool)
        found[facts.key_steps.sides[empty[taken]]] = True
        facts.by_side[key] = found
    return facts.by_side[key][facts.key_steps.sides[at]], None


def side_offloads(facts: StepFacts, at: IntArray) -> Answer:
    """Return whether the side sent a segment whose checksum was left to a network card."""
    key = "side_offloads"
    if key not in facts.by_side:
        found = np.zeros(2 * facts.key_steps.size, bool)
        found[facts.key_steps.sides[np.flatnonzero(facts.column("checksum_state") == CHECKSUM_PARTIAL)]] = True
        facts.by_side[key] = found
    return facts.by_side[key][facts.key_steps.sides[at]] | zero_checksum_accepted(facts, at)[0], None


def over_mss(facts: StepFacts, at: IntArray) -> Answer:
    """Return whether the segment carries more payload than the peer's MSS; False where that was not captured."""
    mss, _ = facts.peer_mss(at)
    return (mss >= 0) & (facts.steps.columns["length"][at] > mss), None


def _settled(facts: StepFacts, at: IntArray, segments: AllSegments, values: IntArray, of_step: tuple[IntArray, IntArray]) -> IntArray:
    """Return how many segments with neither SYN, RST nor FIN each step's side sent with the step's value.

    0 where a later segment has the value of the side's SYN, and where there is no SYN. `values` has one entry per segment; `of_step` is
    the step's value and that of the SYN.
    """
    own, first = of_step
    sides = facts.key_steps.sides[at]
    later = np.flatnonzero((segments.flags & (SYN | RST) == 0) & (segments.flags & ACK != 0))
    plain = later[segments.flags[later] & FIN == 0]
    pairs, counts = np.unique(segments.side[plain] << _SEQ_BITS | values[plain].astype(np.int64) + 1, return_counts=True)
    place = np.minimum(np.searchsorted(pairs, sides << _SEQ_BITS | own + 1), max(len(pairs) - 1, 0))
    if not len(pairs):
        return np.zeros(len(at), np.int64)
    found = np.where(pairs[place] == (sides << _SEQ_BITS | own + 1), counts[place], 0)
    last = np.full(2 * facts.key_steps.size, -1, np.int64)
    own_first = np.full(2 * facts.key_steps.size, -1, np.int64)
    own_first[sides] = first
    like_syn = later[values[later] == own_first[segments.side[later]]]
    last[segments.side[like_syn]] = segments.rows[like_syn]
    back = last[sides] > facts.steps.segments[facts.steps.picked[at]]
    return np.where(back | (first < 0), 0, found)


def ttl_settled(facts: StepFacts, at: IntArray) -> Answer:
    """Return how many segments the side sent with the step's TTL, 0 if the TTL of the SYN recurs later."""
    segments = AllSegments(facts, at)
    first = facts.key_steps.of_sender(facts.of_first_syn("ttl"), at)
    return _settled(facts, at, segments, segments.column("ttl"), (facts.steps.columns["ttl"][at].astype(np.int64), first)), None


def mac_settled(facts: StepFacts, at: IntArray) -> Answer:
    """Return how many segments the side sent from the step's MAC address, 0 if that of the SYN recurs later."""
    segments = AllSegments(facts, at)
    step = facts.key_steps.of_sender(facts.key_steps.isn_step, at)
    codes = facts.codes("src_mac").astype(np.int64)
    return _settled(facts, at, segments, segments.codes("src_mac"), (codes[at], np.where(step >= 0, codes[step], -1))), None


def farther(facts: StepFacts, at: IntArray) -> Answer:
    """Return whether the segment crossed more routers than the side's first SYN-bearing segment, judged by their TTLs."""
    _, known = facts.ttl_change(at)
    step = facts.key_steps.of_sender(facts.key_steps.isn_step, at)
    return facts.answer("hops", at)[0] > facts.answer("hops", np.maximum(step, 0))[0], known


FACTS: Final[Mapping[str, Callable[[StepFacts, Array], Answer]]] = {
    "tsecr_sent": tsecr_sent,
    "taken_whole": fully_acknowledged,
    "zero_sums_taken": zero_checksum_accepted,
    "side_offloads": side_offloads,
    "over_mss": over_mss,
    "ttl_settled": ttl_settled,
    "mac_settled": mac_settled,
    "farther": farther,
}
"""Facts that need all segments of their connections, or of a side."""
