"""Facts of single segments that only checks name (`vocabulary.SEGMENT_FACTS`), each computed on first use.

One value per step, and where it is known: what was not captured is unknown, and what depends on options is unknown where they were cut.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np

from analyzer.openings.facts import context
from analyzer.openings.facts.addresses import Addresses
from analyzer.openings.steps import MAX_PLAIN_SEGMENTS, SEGMENT, take
from analyzer.rules.vocabulary import CONNECTION_FACTS
from analyzer.schema import ACK, AE, CHECKSUM_GOOD, CHECKSUM_PARTIAL, CWR, ECE, FIN, FLAG_LETTERS, PSH, RST, SYN, URG

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from analyzer._typing import Answer, Array, BoolArray, IntArray
    from analyzer.connections import Connections
    from analyzer.openings.facts.connection import ConnectionFacts
    from analyzer.openings.facts.key_steps import KeySteps
    from analyzer.openings.facts.machine import MachineFacts
    from analyzer.openings.facts.options import OptionFacts
    from analyzer.openings.steps import Steps

_FLAGS: Final = {"syn": SYN, "ack": ACK, "fin": FIN, "rst": RST, "psh": PSH, "urg": URG, "ece": ECE, "cwr": CWR, "ae": AE}
_SEGMENT_COLUMNS: Final = ("urgent", "header_length", "src_port", "dst_port", "ip_ecn")
_TIMESTAMPS: Final = ("ts_val", "ts_ecr")
_NUMBER_COLUMNS: Final = {
    "has_mss": "mss",
    "has_wscale": "window_scale",
    "has_tfo": "tfo_cookie_length",
    "has_ts": "ts_val",
}
_FLAG_COLUMNS: Final = {
    "has_sack": "sack_permitted",
    "has_md5": "md5",
    "has_ao": "ao",
    "has_mptcp": "mptcp",
    "has_accecn": "accecn",
    "option_ttcp": "ttcp",
    "option_experimental": "experimental",
    "option_repeated": "repeated",
    "after_end": "after_end",
}
FLAG_FACTS: Final = frozenset({"reserved", *(f"flag_{name}" for name in _FLAGS)})
"""Facts that the flags alone determine."""
MIN_MACS: Final = 2
"""Distinct link addresses that a change needs."""
MIN_HEADER_BYTES: Final = 20
"""A header without options (RFC 9293 3.1)."""
_INITIAL_TTLS: Final = np.array([64, 128, 255])
_MIN_SYNTHETIC_SEGMENTS: Final = 4
"""A connection of at least so many segments, each with another source MAC, was written with synthetic addresses."""
_RESERVED_SHIFT: Final = len(FLAG_LETTERS)


class SegmentFacts:
    """The facts of all steps, by name."""

    def __init__(self, steps: Steps, connections: Connections, machine_facts: MachineFacts, connection_facts: ConnectionFacts) -> None:
        self.steps, self.connections = steps, connections
        self.machine_facts, self.connection_facts = machine_facts, connection_facts
        self.key_steps: KeySteps = connection_facts.key_steps
        self.options: OptionFacts = connection_facts.options
        self._answers: dict[str, Answer] = {}
        self._possible: dict[tuple[str, bool], IntArray] = {}
        self.by_side: dict[str, Array] = {}
        """Columns with one entry per side, by name."""

    def answer(self, name: str, at: IntArray) -> Answer:
        """Return the values of `name` at the steps `at`, and where they are known.

        A fact that depends on other steps or on the connection is computed for those steps alone, which are few.
        """
        if name in _FACTS_OF_SOME:
            return _FACTS_OF_SOME[name](self, at)
        if name not in self._answers and self.is_connection_fact(name):
            values, known = self.connection_facts.answer(name)
            flow = self.steps.columns["flow"][at]
            return values[flow], None if known is None else known[flow]
        if name not in self._answers:
            self._answers[name] = self._compute(name)
        values, known = self._answers[name]
        if len(at) == len(self.steps):
            return values, known
        return values[at], None if known is None else known[at]

    def possible(self, name: str, *, flag: bool) -> Array | None:
        """Return the steps at which a fact is known (and holds, for a `flag`), and those at which a cut header leaves it unknown.

        None for a fact that is computed for some steps alone, and for one that is known at most steps.
        """
        if name in _FACTS_OF_SOME or self.is_connection_fact(name):
            return None
        if (name, flag) not in self._possible:
            if name not in self._answers:
                self._answers[name] = self._compute(name)
            values, known = self._answers[name]
            if not flag and (known is None or 2 * np.count_nonzero(known) > len(known)):
                return None
            holds = known if not flag else values if known is None else values & known
            unsure = known is not None and self.cut is not None
            self._possible[name, flag] = np.flatnonzero(holds | (~known & self.cut) if unsure else holds)  # type: ignore[operator,arg-type]
        return self._possible[name, flag]

    def never(self, name: str) -> bool:
        """Return whether a flag of connections is known to hold in no connection."""
        if self.cut is not None or not self.is_connection_fact(name):
            return False
        values, known = self.connection_facts.answer(name)
        return not (values if known is None else values & known).any()

    def of_flags(self, name: str, flags: IntArray) -> Array:
        """Return fact `name`, one of `FLAG_FACTS`, for each set of flags."""
        found: Array = flags >> _RESERVED_SHIFT if name == "reserved" else flags & _FLAGS[name.removeprefix("flag_")] != 0
        return found

    def is_connection_fact(self, name: str) -> bool:
        """Return whether `name` is a fact of whole connections."""
        return name in CONNECTION_FACTS or name in self.connection_facts.columns

    def _compute(self, name: str) -> Answer:
        if name in _FACTS_OF_ALL:
            return _FACTS_OF_ALL[name](self)
        if name in FLAG_FACTS:
            return self.of_flags(name, self.flags), self.is_segment
        if name in _SEGMENT_COLUMNS:
            values = self.column(name)
            return values, None if values.dtype.kind == "u" else values >= 0
        if name in _NUMBER_COLUMNS:
            found = self.options.column(_NUMBER_COLUMNS[name]) >= 0
            return found, self.known_if(found)
        if name in _FLAG_COLUMNS:
            found = self.options.column(_FLAG_COLUMNS[name])
            return found, self.known_if(found)
        if name in _TIMESTAMPS:
            number = self.options.column(name)
            return number.astype(np.uint32), number >= 0
        return self.machine_facts.values[name], self.machine_facts.known.get(name)

    # ── Columns ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    @cached_property
    def flags(self) -> Array:
        """Flag bits."""
        return self.steps.columns["flags"]

    @cached_property
    def flag_sets(self) -> Array:
        """The distinct sets of flags, rising."""
        return np.flatnonzero(np.bincount(self.flags)).astype(self.flags.dtype)

    @cached_property
    def cut(self) -> BoolArray | None:
        """Whether the header was not captured whole; None where all were."""
        found: Array = self.steps.columns["header_cut"]
        return found if found.any() else None

    @cached_property
    def is_segment(self) -> BoolArray | None:
        """Whether the step is a segment with readable flags; None where all are."""
        found: Array = self.steps.columns["kind"] == SEGMENT
        return None if found.all() else found

    @cached_property
    def uncut(self) -> BoolArray | None:
        """Whether the header was captured whole; None where all were."""
        if self.cut is None:
            return self.is_segment
        whole: Array = ~self.cut & (True if self.is_segment is None else self.is_segment)
        return whole

    def known_if(self, found: BoolArray) -> BoolArray | None:
        """Return where an option is known: it is present, or the whole header was captured."""
        return None if self.uncut is None else self.uncut | found

    def column(self, name: str) -> Array:
        """Return a column of the segments table, one value per step; that of an ICMP error has no meaning."""
        values = take(self.connections.segments[name].to_numpy(), self.steps.segments)
        return values if self.options.all_are_steps else values[self.steps.picked]

    def codes(self, name: str) -> Array:
        """Return the category codes of a column of the segments table, one per step."""
        codes = take(self.connections.segments[name].cat.codes.to_numpy(), self.steps.segments)
        return codes if self.options.all_are_steps else codes[self.steps.picked]

    @cached_property
    def addresses(self) -> Addresses:
        """The addresses that the codes of `src` and `dst` stand for."""
        return Addresses(self.connections.segments["dst"].cat.categories.to_list())

    def of_address(self, name: str, holds: BoolArray) -> BoolArray:
        """Return whether the address in column `name` has a property; `holds` has one entry per address."""
        found: BoolArray = holds[self.codes(name)] if holds.any() else np.zeros(len(self.steps), bool)
        return found

    # ── Facts ────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def same_ends(self) -> Answer:
        """Return whether source and destination are equal; both columns share their categories."""
        return (self.codes("src") == self.codes("dst")) & (self.column("src_port") == self.column("dst_port")), None

    def destination(self, at: IntArray) -> Answer:
        """Return the IPv4 destination as a number."""
        if "dst" not in self._answers:
            self._answers["dst"] = self.codes("dst"), None
        found = self.addresses.ipv4_numbers[self._answers["dst"][0][at]]
        return found.astype(np.uint32), found >= 0

    def obsolete(self) -> Answer:
        """Return whether an obsolete option is present; those of T/TCP have a fact of their own."""
        found = self.options.column("obsolete") & ~self.options.column("ttcp")
        return found, self.known_if(found)

    @cached_property
    def is_plain(self) -> Array:
        """Whether the step is a segment with neither SYN, RST nor FIN."""
        found: Array = (self.flags & (SYN | RST | FIN) == 0) & (self.steps.columns["kind"] == SEGMENT)
        return found

    @cached_property
    def plain_before(self) -> tuple[Array, Array]:
        """How many plain segments of servers, and of clients, precede each step; one more entry than steps."""
        by_client = self.steps.columns["by_client"]
        counts = [np.cumsum(self.is_plain & side, dtype=np.int32) for side in (~by_client, by_client)]
        return tuple(np.concatenate((np.zeros(1, np.int32), count)) for count in counts)  # type: ignore[return-value]

    def nth(self, at: IntArray) -> Answer:
        """Return the rank among the side's segments with neither SYN, RST nor FIN; unknown beyond the number that is selected."""
        begin, by_client = self.steps.first[self.steps.columns["flow"][at]], self.steps.columns["by_client"][at]
        of_server, of_client = (before[at + 1] - before[begin] for before in self.plain_before)
        total = np.where(by_client, of_client, of_server)
        return total, self.is_plain[at] & (total <= MAX_PLAIN_SEGMENTS) & (self.key_steps.of_sender(self.key_steps.isn_step, at) >= 0)

    def of_first_syn(self, name: str) -> Array:
        """Return a column of each side's first SYN-bearing segment, -1 where it has none."""
        if name not in self.by_side:
            step = self.key_steps.isn_step
            values = self.steps.columns[name]
            self.by_side[name] = np.where(step >= 0, values[step].astype(np.int64), -1) if len(values) else step
        return self.by_side[name]

    def offset(self, at: IntArray) -> Answer:
        """Return the distance from the side's ISN."""
        isn = self.key_steps.of_sender(self.of_first_syn("seq"), at)
        return (self.steps.columns["seq"][at] - isn.astype(np.uint32)).astype(np.int64), (isn >= 0) & self.readable(at)

    def peer_mss(self, at: IntArray) -> Answer:
        """Return the MSS that the peer offered on its first SYN-bearing segment."""
        mss = self.key_steps.of_sender(self.of_first_syn("mss"), at, other=True)
        return mss, mss >= 0

    def readable(self, at: IntArray) -> BoolArray | bool:
        """Return which of the steps are segments with readable flags."""
        return True if self.is_segment is None else self.is_segment[at]

    @cached_property
    def syn_tsvals(self) -> tuple[Array, Array]:
        """Side and TSval of SYN-bearing segments as one sorted number, and which sides sent one."""
        value = self.options.column("ts_val")
        source = np.flatnonzero((self.flags & SYN != 0) & (value >= 0) & (self.steps.columns["kind"] == SEGMENT))
        sides = self.key_steps.sides[source]
        has_tsval = np.zeros(2 * len(self.steps.first), bool)
        has_tsval[sides] = True
        return np.unique(sides << 32 | value[source]), has_tsval

    def tsecr_answers(self, at: IntArray) -> Answer:
        """Return whether TSecr is the TSval of a SYN-bearing segment of the peer; unknown where none of these carries one."""
        pairs, has_tsval = self.syn_tsvals
        if not len(pairs):
            return np.zeros(len(at), bool), np.zeros(len(at), bool)
        echo, other = self.options.column("ts_ecr")[at], self.key_steps.sides[at] ^ 1
        known = (echo >= 0) & has_tsval[other]
        place = np.searchsorted(pairs, other << 32 | echo)
        return known & (np.append(pairs, -1)[place] == other << 32 | echo), known

    def ttl_change(self, at: IntArray) -> Answer:
        """Return the distance from the TTL of the side's first SYN-bearing segment."""
        one, other = self.steps.columns["ttl"][at], self.key_steps.of_sender(self.of_first_syn("ttl"), at)
        return abs(one - other), (one >= 0) & (other >= 0)

    def hops_change(self, at: IntArray) -> Answer:
        """Return the distance from the hops of the side's first SYN-bearing segment."""
        _, known = self.ttl_change(at)
        ttl = self.steps.columns["ttl"]
        step = self.key_steps.of_sender(self.key_steps.isn_step, at)
        return abs(_hops(ttl[at]) - _hops(ttl[step])), known

    @cached_property
    def valid_checksums(self) -> BoolArray:
        """Which sides sent a checksum that is correct, or that was left to a network card."""
        state = self.column("checksum_state")
        valid = np.flatnonzero(((state == CHECKSUM_GOOD) | (state == CHECKSUM_PARTIAL)) & (self.steps.columns["kind"] == SEGMENT))
        found = np.zeros(2 * self.connection_facts.size, bool)
        found[self.key_steps.sides[valid]] = True
        return found

    @cached_property
    def acked_sides(self) -> BoolArray:
        """Which sides had a number acknowledged beyond that of their first segment."""
        columns, sides = self.steps.columns, self.key_steps.sides
        rows = np.flatnonzero((columns["flags"] & ACK != 0) & (columns["kind"] == SEGMENT))
        first = self.key_steps.of_sender(self.key_steps.first_step, rows, other=True)
        ahead = (columns["ack"][rows] - columns["seq"][first]).view(np.int32) > 0
        found = np.zeros(2 * self.connection_facts.size, bool)
        found[sides[rows[ahead & (first >= 0)]] ^ 1] = True
        return found

    @cached_property
    def real_macs(self) -> BoolArray:
        """Connections whose source MACs are those of devices: of few segments, or with a MAC that occurs twice."""
        codes, flow = self.codes("src_mac").astype(np.int64), self.steps.columns["flow"].astype(np.int64)
        rows = np.flatnonzero(self.steps.columns["kind"] == SEGMENT)
        pairs = np.unique(flow[rows] << 32 | codes[rows] + 1)
        distinct, sent = (np.bincount(values, minlength=self.connection_facts.size) for values in (pairs >> 32, flow[rows]))
        found: Array = (sent < _MIN_SYNTHETIC_SEGMENTS) | (distinct < sent)
        return found

    def mac_change(self, at: IntArray) -> Answer:
        """Return whether the source MAC differs from that of the side's first step; unknown without MACs."""
        if len(self.connections.segments["src_mac"].cat.categories) < MIN_MACS:
            return np.zeros(len(at), bool), np.zeros(len(at), bool)
        step = self.key_steps.of_sender(self.key_steps.first_step, at)
        if "mac" not in self._answers:
            self._answers["mac"] = self.codes("src_mac"), None
        codes, _ = self._answers["mac"]
        categories = self.connections.segments["src_mac"].cat.categories
        empty = categories.get_loc("") if "" in categories else -1
        known = (step >= 0) & (codes[at] != empty) & (codes[step] != empty)
        changed = codes[at] != codes[step]
        if (changed & known).any():
            known &= self.real_macs[self.steps.columns["flow"][at]]
        return changed, known & self.readable(at)


_FACTS_OF_SOME: Final[Mapping[str, Callable[[SegmentFacts, Array], Answer]]] = {
    "offset": SegmentFacts.offset,
    "peer_mss": SegmentFacts.peer_mss,
    "side_sums_wrong": lambda facts, at: (~facts.valid_checksums[facts.key_steps.sides[at]], None),
    "side_acked": lambda facts, at: (facts.acked_sides[facts.key_steps.sides[at]], None),
    "ttl_change": SegmentFacts.ttl_change,
    "hops": lambda facts, at: (_hops(facts.steps.columns["ttl"][at]), facts.steps.columns["ttl"][at] >= 0),
    "hops_change": SegmentFacts.hops_change,
    "mac_change": SegmentFacts.mac_change,
    "destination": SegmentFacts.destination,
    "nth": SegmentFacts.nth,
    "tsecr_answers": SegmentFacts.tsecr_answers,
    **context.FACTS,
}
"""Facts that are computed for some steps alone."""

_FACTS_OF_ALL: Final[Mapping[str, Callable[[SegmentFacts], Answer]]] = {
    "by_client": lambda facts: (facts.steps.columns["by_client"], None),
    "ack_field": lambda facts: (facts.steps.columns["ack"], facts.is_segment),
    "overlong": lambda facts: (facts.column("payload_length") < 0, facts.column("header_length") >= MIN_HEADER_BYTES),
    "checksum_field": lambda facts: (facts.column("checksum"), facts.column("checksum") >= 0),
    "checksum": lambda facts: (facts.column("checksum_state"), None),
    "ipv6": lambda facts: (facts.of_address("src", facts.addresses.is_ipv6), None),
    "fragment": lambda facts: (facts.column("fragment"), None),
    "same_ends": SegmentFacts.same_ends,
    "loopback": lambda facts: (facts.of_address("dst", facts.addresses.is_loopback), None),
    "to_group": lambda facts: (facts.of_address("dst", facts.addresses.is_group), None),
    "option_obsolete": SegmentFacts.obsolete,
    "option_malformed": lambda facts: (facts.options.column("malformed"), facts.uncut),
    "sack_blocks": lambda facts: (facts.options.column("sack_blocks"), facts.known_if(facts.options.column("sack_blocks") > 0)),
    "nop_run": lambda facts: (facts.options.column("longest_nop_run"), facts.uncut),
}
"""Facts of all steps that are not a column."""


def _hops(ttl: IntArray) -> IntArray:
    """Return how many routers forwarded a packet, by the usual initial TTLs: 64 (Unix), 128 (Windows) and 255 (routers)."""
    values = ttl.astype(np.int64)
    found: Array = _INITIAL_TTLS[np.searchsorted(_INITIAL_TTLS, values)] - values
    return found
