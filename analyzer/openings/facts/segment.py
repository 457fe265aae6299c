"""Facts of single segments that only checks name: `vocabulary.STEP`, each made when it is first asked for.

Promises: a value a step, and whether it is known; what was not captured is unknown, and what depends on options is unknown
where they were cut.
Must not know: any check.
"""

from __future__ import annotations

from functools import cached_property
from socket import AF_INET, AF_INET6, inet_pton
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from analyzer.openings.facts import context
from analyzer.openings.steps import NEAR, SEGMENT, take
from analyzer.rules.vocabulary import AGGREGATE
from analyzer.schema import ACK, AE, CHECKSUM_GOOD, CHECKSUM_PARTIAL, CWR, ECE, FIN, FLAG_LETTERS, PSH, RST, SYN, URG

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from analyzer.connections import Connections
    from analyzer.openings.facts.connection import ConnectionFacts
    from analyzer.openings.facts.machine import MachineFacts
    from analyzer.openings.steps import Steps

Array = np.ndarray[Any, np.dtype[Any]]
Answer = tuple[Array, Array | None]

_FLAGS: Final = {"syn": SYN, "ack": ACK, "fin": FIN, "rst": RST, "psh": PSH, "urg": URG, "ece": ECE, "cwr": CWR, "ae": AE}
_COLUMNS: Final = ("urgent", "header_length", "src_port", "dst_port", "ip_ecn")
_ABSENT: Final = ("ts_val", "ts_ecr")
_PRESENT: Final = {
    "has_mss": "mss",
    "has_wscale": "window_scale",
    "has_tfo": "tfo_cookie_length",
    "has_ts": "ts_val",
}
_SAID: Final = {
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
OF_FLAGS: Final = frozenset({"reserved", *(f"flag_{name}" for name in _FLAGS)})
"""Facts that flags alone decide."""
MIN_MACS: Final = 2
"""Distinct link addresses without which none can change."""
SHORTEST: Final = 20
"""Bytes of a header without options (RFC 9293 3.1)."""
_ADDRESS: Final = 16
"""Bytes of an address."""
_IPV4: Final = 12
"""Where an IPv4 address begins in them."""
_LOOPBACK: Final = np.frombuffer(bytes(15) + b"\1", np.uint8)
_LOOPBACK_NET: Final = 127
_MULTICAST_NET: Final = 224
_ALL_ONES: Final = 255
_FIRST_TTLS: Final = np.array([64, 128, 255])
_MADE_UP: Final = 4
"""Segments of a connection from which on as many source addresses as segments were made up."""
_RESERVED_SHIFT: Final = len(FLAG_LETTERS)


class SegmentFacts:
    """The facts of all steps."""

    def __init__(self, steps: Steps, connections: Connections, facts: MachineFacts, aggregates: ConnectionFacts) -> None:
        self.steps, self.connections, self.facts, self.aggregates = steps, connections, facts, aggregates
        self.made: dict[str, Answer] = {}
        self.places: dict[tuple[str, bool], Array] = {}
        self.of_syns: dict[str, Array] = {}
        self.whole = aggregates.whole

    def answer(self, name: str, at: Array) -> Answer:
        """Return values and known of `name` at the steps `at`.

        What depends on other steps or on the connection is made for those steps alone: few are left to ask by then.
        """
        if name in _PARTIAL:
            return _PARTIAL[name](self, at)
        if name not in self.made and self.of_connection(name):
            values, known = self.aggregates.answer(name)
            flow = self.steps.columns["flow"][at]
            return values[flow], None if known is None else known[flow]
        if name not in self.made:
            self.made[name] = self._make(name)
        values, known = self.made[name]
        if len(at) == len(self.steps):
            return values, known
        return values[at], None if known is None else known[at]

    def possible(self, name: str, *, flag: bool) -> Array | None:
        """Return the steps at which a fact is known (and holds, if it is a `flag`), and those whose header was cut, where it is not.

        None for a fact that is made for some steps alone, and for one that is known nearly everywhere.
        """
        if name in _PARTIAL or self.of_connection(name):
            return None
        if (name, flag) not in self.places:
            if name not in self.made:
                self.made[name] = self._make(name)
            values, known = self.made[name]
            if not flag and (known is None or 2 * np.count_nonzero(known) > len(known)):
                return None
            holds = known if not flag else values if known is None else values & known
            unsure = known is not None and self.cut is not None
            self.places[name, flag] = np.flatnonzero(holds | (~known & self.cut) if unsure else holds)  # type: ignore[operator,arg-type]
        return self.places[name, flag]

    def never(self, name: str) -> bool:
        """Return whether a flag of connections is known to hold in none."""
        if self.cut is not None or not self.of_connection(name):
            return False
        values, known = self.aggregates.answer(name)
        return not (values if known is None else values & known).any()

    def of_flags(self, name: str, flags: Array) -> Array:
        """Return what each of the sets of flags says of `name`, which is one of `OF_FLAGS`."""
        found: Array = flags >> _RESERVED_SHIFT if name == "reserved" else flags & _FLAGS[name.removeprefix("flag_")] != 0
        return found

    def of_connection(self, name: str) -> bool:
        """Return whether `name` is a fact of the whole connection."""
        return name in AGGREGATE or name in self.aggregates.plain

    def _make(self, name: str) -> Answer:
        if name in _MAKERS:
            return _MAKERS[name](self)
        if name in OF_FLAGS:
            return self.of_flags(name, self.flags), self.is_segment
        if name in _COLUMNS:
            values = self.column(name)
            return values, None if values.dtype.kind == "u" else values >= 0
        if name in _PRESENT:
            found = self.option(_PRESENT[name]) >= 0
            return found, self.known_if(found)
        if name in _SAID:
            found = self.option(_SAID[name])
            return found, self.known_if(found)
        if name in _ABSENT:
            number = self.option(name)
            return number.astype(np.uint32), number >= 0
        return self.facts.values[name], self.facts.known.get(name)

    # ── Where facts come from ────────────────────────────────────────────────────────────────────────────────────────────

    @cached_property
    def flags(self) -> Array:
        """Flag bits."""
        return self.steps.columns["flags"]

    @cached_property
    def flag_sets(self) -> Array:
        """The sets of flags that occur."""
        return np.flatnonzero(np.bincount(self.flags)).astype(self.flags.dtype)

    @cached_property
    def cut(self) -> Array | None:
        """Whether the header was not captured whole; None when all were."""
        found: Array = self.steps.columns["header_cut"]
        return found if found.any() else None

    @cached_property
    def is_segment(self) -> Array | None:
        """Whether the step is a segment with readable flags; None when all are."""
        found: Array = self.steps.columns["kind"] == SEGMENT
        return None if found.all() else found

    @cached_property
    def uncut(self) -> Array | None:
        """Whether the header was captured whole; None when all were."""
        if self.cut is None:
            return self.is_segment
        whole: Array = ~self.cut & (True if self.is_segment is None else self.is_segment)
        return whole

    def known_if(self, found: Array) -> Array | None:
        """Return where an option is known: it is there, or it could have been seen."""
        return None if self.uncut is None else self.uncut | found

    def column(self, name: str) -> Array:
        """Return a column of the segments table, a value a step; an ICMP error has that of some segment."""
        values = take(self.connections.segments[name].to_numpy(), self.steps.segments)
        return values if self.whole else values[self.steps.picked]

    def option(self, name: str) -> Array:
        """Return a column of the decoded options, a value a step; an ICMP error has none."""
        return self.aggregates.option(name)

    def codes(self, name: str) -> Array:
        """Return the category codes of a column, a value a step."""
        codes = take(self.connections.segments[name].cat.codes.to_numpy(), self.steps.segments)
        return codes if self.whole else codes[self.steps.picked]

    @cached_property
    def addresses(self) -> Array:
        """The addresses that the codes of `src` and `dst` stand for, 16 bytes each: of IPv4 the last four, where none is all zeros."""
        packed = b"".join(map(_pack, self.categories("dst")))
        return np.frombuffer(packed, np.uint8).reshape(-1, _ADDRESS)

    @cached_property
    def is_ipv6(self) -> Array:
        """Whether it is an IPv6 address."""
        return np.array([":" in text for text in self.categories("dst")], bool)

    @cached_property
    def is_loopback(self) -> Array:
        """Whether it is 127.0.0.0/8 (RFC 1122 3.2.1.3) or ::1 (RFC 4291 2.5.3)."""
        lone = (self.addresses == _LOOPBACK).all(axis=1)
        found: Array = np.where(self.is_ipv6, lone, self.addresses[:, _IPV4] == _LOOPBACK_NET)
        return found

    @cached_property
    def is_group(self) -> Array:
        """RFC 9293 3.9.2.3: multicast or broadcast; a network's own broadcast address cannot be told without its mask."""
        first = self.addresses[:, _IPV4]
        of_ipv4 = (first >> 4 == _MULTICAST_NET >> 4) | (self.addresses[:, _IPV4:] == _ALL_ONES).all(axis=1)
        found: Array = np.where(self.is_ipv6, self.addresses[:, 0] == _ALL_ONES, of_ipv4)
        return found

    def categories(self, name: str) -> list[str]:
        """Return the texts that the codes of a column stand for."""
        texts: list[str] = self.connections.segments[name].cat.categories.to_list()
        return texts

    def ends(self, name: str, holds: Array) -> Array:
        """Return what is said of the address in column `name`; `holds` says it of each code."""
        found: Array = holds[self.codes(name)] if holds.any() else np.zeros(len(self.steps), bool)
        return found

    # ── Facts ────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def same_ends(self) -> Answer:
        """Source and destination are one; both columns share their categories."""
        return (self.codes("src") == self.codes("dst")) & (self.column("src_port") == self.column("dst_port")), None

    @cached_property
    def destinations(self) -> Array:
        """IPv4 addresses as numbers, -1 for others, by their codes."""
        numbers = np.ascontiguousarray(self.addresses[:, _IPV4:]).view(">u4")[:, 0].astype(np.int64)
        return np.where(self.is_ipv6 | (numbers == 0), -1, numbers)

    def destination(self, at: Array) -> Answer:
        """IPv4 destination as a number."""
        if "dst" not in self.made:
            self.made["dst"] = self.codes("dst"), None
        found = self.destinations[self.made["dst"][0][at]]
        return found.astype(np.uint32), found >= 0

    def obsolete(self) -> Answer:
        """Kinds that are obsolete, T/TCP's left out."""
        found = self.option("obsolete") & ~self.option("ttcp")
        return found, self.known_if(found)

    @cached_property
    def plain(self) -> Array:
        """Segments with neither SYN, RST nor FIN."""
        found: Array = (self.flags & (SYN | RST | FIN) == 0) & (self.steps.columns["kind"] == SEGMENT)
        return found

    @cached_property
    def plain_before(self) -> tuple[Array, Array]:
        """How many plain segments of servers, and of clients, stand before each step; one more entry than steps."""
        by_client = self.steps.columns["by_client"]
        counts = [np.cumsum(self.plain & side, dtype=np.int32) for side in (~by_client, by_client)]
        return tuple(np.concatenate((np.zeros(1, np.int32), count)) for count in counts)  # type: ignore[return-value]

    def nth(self, at: Array) -> Answer:
        """Rank among the side's segments with neither SYN, RST nor FIN; unknown once there are as many as are selected."""
        begin, by_client = self.steps.first[self.steps.columns["flow"][at]], self.steps.columns["by_client"][at]
        of_server, of_client = (before[at + 1] - before[begin] for before in self.plain_before)
        total = np.where(by_client, of_client, of_server)
        return total, self.plain[at] & (total <= NEAR) & (self.aggregates.own(self.aggregates.isn_step, at) >= 0)

    def of_syn(self, name: str) -> Array:
        """Return a column of each side's first SYN-bearing segment, -1 where it has none; 2n and 2n + 1 are connection n's sides."""
        if name not in self.of_syns:
            step = self.aggregates.isn_step
            values = self.steps.columns[name]
            self.of_syns[name] = np.where(step >= 0, values[step].astype(np.int64), -1) if len(values) else step
        return self.of_syns[name]

    def offset(self, at: Array) -> Answer:
        """Distance from the side's ISN."""
        isn = self.aggregates.own(self.of_syn("seq"), at)
        return (self.steps.columns["seq"][at] - isn.astype(np.uint32)).astype(np.int64), (isn >= 0) & self.readable(at)

    def peer_mss(self, at: Array) -> Answer:
        """MSS the other side offered on its first SYN-bearing segment."""
        mss = self.aggregates.own(self.of_syn("mss"), at, other=True)
        return mss, mss >= 0

    def readable(self, at: Array) -> Array | bool:
        """Return which of the steps are segments with readable flags."""
        return True if self.is_segment is None else self.is_segment[at]

    @cached_property
    def stamps(self) -> tuple[Array, Array]:
        """Sides and TSvals of SYN-bearing segments, as one number each, and which sides have any."""
        value = self.option("ts_val")
        source = np.flatnonzero((self.flags & SYN != 0) & (value >= 0) & (self.steps.columns["kind"] == SEGMENT))
        sides = self.aggregates.sides[source]
        speaks = np.zeros(2 * len(self.steps.first), bool)
        speaks[sides] = True
        return np.unique(sides << 32 | value[source]), speaks

    def tsecr_answers(self, at: Array) -> Answer:
        """Look TSecr up among the TSvals of the other side's SYN-bearing segments; unknown when none carries one."""
        stamps, speaks = self.stamps
        if not len(stamps):
            return np.zeros(len(at), bool), np.zeros(len(at), bool)
        echo, other = self.option("ts_ecr")[at], self.aggregates.sides[at] ^ 1
        known = (echo >= 0) & speaks[other]
        place = np.searchsorted(stamps, other << 32 | echo)
        return known & (np.append(stamps, -1)[place] == other << 32 | echo), known

    def ttl_change(self, at: Array) -> Answer:
        """Distance from the TTL of the side's first SYN-bearing segment."""
        one, other = self.steps.columns["ttl"][at], self.aggregates.own(self.of_syn("ttl"), at)
        return abs(one - other), (one >= 0) & (other >= 0)

    def hops_change(self, at: Array) -> Answer:
        """Distance from the hops of the side's first SYN-bearing segment."""
        _, known = self.ttl_change(at)
        ttl = self.steps.columns["ttl"]
        step = self.aggregates.own(self.aggregates.isn_step, at)
        return abs(_hops(ttl[at]) - _hops(ttl[step])), known

    @cached_property
    def right_sums(self) -> Array:
        """Which sides sent a checksum that is right, or that a network card was to make right."""
        state = self.column("checksum_state")
        right = np.flatnonzero(((state == CHECKSUM_GOOD) | (state == CHECKSUM_PARTIAL)) & (self.steps.columns["kind"] == SEGMENT))
        found = np.zeros(2 * self.aggregates.size, bool)
        found[self.aggregates.sides[right]] = True
        return found

    @cached_property
    def acked_sides(self) -> Array:
        """Sides of which the other side acknowledged a number beyond their first segment's."""
        columns, sides = self.steps.columns, self.aggregates.sides
        rows = np.flatnonzero((columns["flags"] & ACK != 0) & (columns["kind"] == SEGMENT))
        first = self.aggregates.own(self.aggregates.first_step, rows, other=True)
        ahead = (columns["ack"][rows] - columns["seq"][first]).view(np.int32) > 0
        found = np.zeros(2 * self.aggregates.size, bool)
        found[sides[rows[ahead & (first >= 0)]] ^ 1] = True
        return found

    @cached_property
    def real_macs(self) -> Array:
        """Connections of few segments, or of which two share a source MAC: of the rest no frame's address is a device's."""
        codes, flow = self.codes("src_mac").astype(np.int64), self.steps.columns["flow"].astype(np.int64)
        rows = np.flatnonzero(self.steps.columns["kind"] == SEGMENT)
        pairs = np.unique(flow[rows] << 32 | codes[rows] + 1)
        distinct, sent = (np.bincount(values, minlength=self.aggregates.size) for values in (pairs >> 32, flow[rows]))
        found: Array = (sent < _MADE_UP) | (distinct < sent)
        return found

    def mac_change(self, at: Array) -> Answer:
        """Whether the source MAC differs from that of the side's first step; unknown without MACs."""
        if len(self.connections.segments["src_mac"].cat.categories) < MIN_MACS:
            return np.zeros(len(at), bool), np.zeros(len(at), bool)
        step = self.aggregates.own(self.aggregates.first_step, at)
        if "mac" not in self.made:
            self.made["mac"] = self.codes("src_mac"), None
        codes, _ = self.made["mac"]
        categories = self.connections.segments["src_mac"].cat.categories
        empty = categories.get_loc("") if "" in categories else -1
        known = (step >= 0) & (codes[at] != empty) & (codes[step] != empty)
        changed = codes[at] != codes[step]
        if (changed & known).any():
            known &= self.real_macs[self.steps.columns["flow"][at]]
        return changed, known & self.readable(at)


_PARTIAL: Final[Mapping[str, Callable[[SegmentFacts, Array], Answer]]] = {
    "offset": SegmentFacts.offset,
    "peer_mss": SegmentFacts.peer_mss,
    "side_sums_wrong": lambda its, at: (~its.right_sums[its.aggregates.sides[at]], None),
    "side_acked": lambda its, at: (its.acked_sides[its.aggregates.sides[at]], None),
    "ttl_change": SegmentFacts.ttl_change,
    "hops": lambda its, at: (_hops(its.steps.columns["ttl"][at]), its.steps.columns["ttl"][at] >= 0),
    "hops_change": SegmentFacts.hops_change,
    "mac_change": SegmentFacts.mac_change,
    "destination": SegmentFacts.destination,
    "nth": SegmentFacts.nth,
    "tsecr_answers": SegmentFacts.tsecr_answers,
    **context.FACTS,
}
"""How facts are made that are made for some steps alone."""

_MAKERS: Final[Mapping[str, Callable[[SegmentFacts], Answer]]] = {
    "by_client": lambda its: (its.steps.columns["by_client"], None),
    "ack_field": lambda its: (its.steps.columns["ack"], its.is_segment),
    "overlong": lambda its: (its.column("payload_length") < 0, its.column("header_length") >= SHORTEST),
    "checksum_field": lambda its: (its.column("checksum"), its.column("checksum") >= 0),
    "checksum": lambda its: (its.column("checksum_state"), None),
    "ipv6": lambda its: (its.ends("src", its.is_ipv6), None),
    "fragment": lambda its: (its.column("fragment"), None),
    "same_ends": SegmentFacts.same_ends,
    "loopback": lambda its: (its.ends("dst", its.is_loopback), None),
    "to_group": lambda its: (its.ends("dst", its.is_group), None),
    "option_obsolete": SegmentFacts.obsolete,
    "option_malformed": lambda its: (its.option("malformed"), its.uncut),
    "sack_blocks": lambda its: (its.option("sack_blocks"), its.known_if(its.option("sack_blocks") > 0)),
    "nop_run": lambda its: (its.option("longest_nop_run"), its.uncut),
}
"""How facts of all steps are made that are not simply a column."""


def _hops(ttl: Array) -> Array:
    """Return how many routers have passed a packet on, by the usual first TTLs: 64 (Unix), 128 (Windows) and 255 (routers)."""
    values = ttl.astype(np.int64)
    found: Array = _FIRST_TTLS[np.searchsorted(_FIRST_TTLS, values)] - values
    return found


def _pack(text: str) -> bytes:
    """Return an address as 16 bytes, IPv4 as the last four of them, none as zeros."""
    return inet_pton(AF_INET6 if ":" in text else AF_INET, text or "0.0.0.0").rjust(_ADDRESS, b"\0")  # noqa: S104 - no socket is bound
