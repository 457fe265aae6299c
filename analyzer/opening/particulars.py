"""Facts of single segments that only checks name: `vocabulary.STEP`, each made when it is first asked for.

Promises: a value a step, and whether it is known; what was not captured is unknown, and what depends on options is unknown
where they were cut.
Must not know: any check.
"""

from __future__ import annotations

import ipaddress
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from analyzer.opening.selection import NEAR, SEGMENT
from analyzer.rules.vocabulary import AGGREGATE
from analyzer.tables import ACK, AE, CHECKSUM_GOOD, CHECKSUM_PARTIAL, CWR, ECE, FIN, FLAG_LETTERS, PSH, RST, SYN, URG

if TYPE_CHECKING:
    from collections.abc import Callable

    from analyzer.flows import Connections
    from analyzer.opening.aggregates import Aggregates
    from analyzer.opening.facts import Facts
    from analyzer.opening.selection import Steps

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
LEAST_MACS: Final = 2
"""Distinct link addresses without which none can change."""
SHORTEST: Final = 20
"""Bytes of a header without options (RFC 9293 3.1)."""
_FIRST_TTLS: Final = np.array([64, 128, 255])
_MADE_UP: Final = 4
"""Segments of a connection from which on as many source addresses as segments were made up."""
_RESERVED_SHIFT: Final = len(FLAG_LETTERS)


class Particulars:
    """The facts of all steps."""

    def __init__(self, steps: Steps, connections: Connections, facts: Facts, aggregates: Aggregates) -> None:
        self.steps, self.connections, self.facts, self.aggregates = steps, connections, facts, aggregates
        self.made: dict[str, Answer] = {}
        self.whole = aggregates.whole
        self.makers: dict[str, Callable[[], Answer]] = {
            "by_client": lambda: (steps.columns["by_client"], None),
            "reserved": lambda: (steps.columns["flags"] >> _RESERVED_SHIFT, self.is_segment),
            "ack_field": lambda: (steps.columns["ack"], self.is_segment),
            "overlong": lambda: (self.column("payload_length") < 0, self.column("header_length") >= SHORTEST),
            "checksum_field": lambda: (self.column("checksum"), self.column("checksum") >= 0),
            "checksum": lambda: (self.column("checksum_state"), None),
            "ipv6": lambda: (self.ends("src", lambda text: ":" in text), None),
            "fragment": lambda: (self.column("fragment"), None),
            "same_ends": self.same_ends,
            "loopback": lambda: (self.ends("dst", _is_loopback), None),
            "to_group": lambda: (self.ends("dst", _is_group), None),
            "destination": self.destination,
            "option_obsolete": self.obsolete,
            "option_malformed": lambda: (self.option("malformed"), self.uncut),
            "sack_blocks": lambda: (self.option("sack_blocks"), self.known_if(self.option("sack_blocks") > 0)),
            "nop_run": lambda: (self.option("longest_nop_run"), self.uncut),
            "nth": self.nth,
            "tsecr_answers": self.tsecr_answers,
        }
        self.partial: dict[str, Callable[[Array], Answer]] = {
            "offset": self.offset,
            "peer_mss": self.peer_mss,
            "side_sums_wrong": lambda at: (~self.right_sums[self.aggregates.sides[at]], None),
            "side_acked": lambda at: (self.acked_sides[self.aggregates.sides[at]], None),
            "ttl_change": self.ttl_change,
            "hops": lambda at: (_hops(self.steps.columns["ttl"][at]), self.steps.columns["ttl"][at] >= 0),
            "hops_change": self.hops_change,
            "mac_change": self.mac_change,
        }

    def answer(self, name: str, at: Array) -> Answer:
        """Return values and known of `name` at the steps `at`.

        What depends on other steps or on the connection is made for those steps alone: few are left to ask by then.
        """
        if name in self.partial:
            return self.partial[name](at)
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

    def of_connection(self, name: str) -> bool:
        """Return whether `name` is a fact of the whole connection."""
        return name in AGGREGATE or name in self.aggregates.plain

    def _make(self, name: str) -> Answer:
        if name in self.makers:
            return self.makers[name]()
        if name.startswith("flag_"):
            return self.flags & _FLAGS[name.removeprefix("flag_")] != 0, self.is_segment
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
    def is_segment(self) -> Array | None:
        """Whether the step is a segment with readable flags; None when all are."""
        found: Array = self.steps.columns["kind"] == SEGMENT
        return None if found.all() else found

    @cached_property
    def uncut(self) -> Array | None:
        """Whether the header was captured whole; None when all were."""
        cut = self.steps.columns["header_cut"]
        if not cut.any() and self.is_segment is None:
            return None
        whole: Array = ~cut & (True if self.is_segment is None else self.is_segment)
        return whole

    def known_if(self, found: Array) -> Array | None:
        """Return where an option is known: it is there, or it could have been seen."""
        return None if self.uncut is None else self.uncut | found

    def column(self, name: str) -> Array:
        """Return a column of the segments table, a value a step; an ICMP error has that of some segment."""
        values = self.connections.segments[name].to_numpy()[self.steps.segments]
        return values if self.whole else values[self.steps.picked]

    def option(self, name: str) -> Array:
        """Return a column of the decoded options, a value a step; an ICMP error has none."""
        return self.aggregates.option(name)

    def codes(self, name: str) -> Array:
        """Return the category codes of a column, a value a step."""
        codes = self.connections.segments[name].cat.codes.to_numpy()[self.steps.segments]
        return codes if self.whole else codes[self.steps.picked]

    def ends(self, name: str, holds: Callable[[str], bool]) -> Array:
        """Return whether `holds` of the address in column `name`; it is asked once an address."""
        of_category = np.array([holds(text) for text in self.connections.segments[name].cat.categories], bool)
        found: Array = of_category[self.codes(name)] if len(of_category) else np.zeros(len(self.steps), bool)
        return found

    # ── Facts ────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def same_ends(self) -> Answer:
        """Source and destination are one; both columns share their categories."""
        return (self.codes("src") == self.codes("dst")) & (self.column("src_port") == self.column("dst_port")), None

    def destination(self) -> Answer:
        """IPv4 destination as a number."""
        categories = self.connections.segments["dst"].cat.categories
        numbers = np.array([int(ipaddress.IPv4Address(text)) if text and ":" not in text else -1 for text in categories], np.int64)
        found = numbers[self.codes("dst")] if len(numbers) else np.zeros(len(self.steps), np.int64)
        return found.astype(np.uint32), found >= 0

    def obsolete(self) -> Answer:
        """Kinds that are obsolete, T/TCP's left out."""
        found = self.option("obsolete") & ~self.option("ttcp")
        return found, self.known_if(found)

    def nth(self) -> Answer:
        """Rank among the side's segments with neither SYN, RST nor FIN; unknown once there are as many as are selected."""
        columns = self.steps.columns
        plain = (self.flags & (SYN | RST | FIN) == 0) & (columns["kind"] == SEGMENT)
        total = np.zeros(len(self.steps), np.int64)
        for side in (columns["by_client"], ~columns["by_client"]):
            mine = plain & side
            count = np.cumsum(mine)
            before = np.concatenate(([0], count))[self.steps.first[:-1]]
            total[mine] = (count - before[columns["flow"]])[mine]
        return total, plain & (total <= NEAR) & (self.aggregates.isn_step[self.aggregates.sides] >= 0)

    def offset(self, at: Array) -> Answer:
        """Distance from the side's ISN."""
        step = self.aggregates.own(self.aggregates.isn_step, at)
        seq = self.steps.columns["seq"]
        return (seq[at] - seq[step]).astype(np.int64), (step >= 0) & self.readable(at)

    def peer_mss(self, at: Array) -> Answer:
        """MSS the other side offered on its first SYN-bearing segment."""
        step = self.aggregates.own(self.aggregates.isn_step, at, other=True)
        mss = self.steps.columns["mss"][step].astype(np.int64)
        return mss, (step >= 0) & (mss >= 0)

    def readable(self, at: Array) -> Array | bool:
        """Return which of the steps are segments with readable flags."""
        return True if self.is_segment is None else self.is_segment[at]

    def tsecr_answers(self) -> Answer:
        """Look TSecr up among the TSvals of the other side's SYN-bearing segments; unknown when none carries one."""
        columns = self.steps.columns
        value, echo = self.option("ts_val").astype(np.int64), self.option("ts_ecr").astype(np.int64)
        place = columns["flow"].astype(np.int64) * 2 + columns["by_client"]
        source = (self.flags & SYN != 0) & (value >= 0) & (columns["kind"] == SEGMENT)
        if not source.any():
            return np.zeros(len(place), bool), np.zeros(len(place), bool)
        speaks = np.zeros(2 * len(self.steps.first), bool)
        speaks[place[source]] = True
        other = place ^ 1
        asked = np.flatnonzero((echo >= 0) & speaks[other])
        found, known = np.zeros(len(place), bool), np.zeros(len(place), bool)
        known[asked] = True
        found[asked] = np.isin(other[asked] << 32 | echo[asked], place[source] << 32 | value[source])
        return found, known

    def ttl_change(self, at: Array) -> Answer:
        """Distance from the TTL of the side's first SYN-bearing segment."""
        step = self.aggregates.own(self.aggregates.isn_step, at)
        ttl = self.steps.columns["ttl"]
        one, other = ttl[at].astype(np.int64), ttl[step].astype(np.int64)
        return abs(one - other), (step >= 0) & (one >= 0) & (other >= 0)

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
        if len(self.connections.segments["src_mac"].cat.categories) < LEAST_MACS:
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


def _hops(ttl: Array) -> Array:
    """Return how many routers have passed a packet on, by the usual first TTLs: 64 (Unix), 128 (Windows) and 255 (routers)."""
    values = ttl.astype(np.int64)
    found: Array = _FIRST_TTLS[np.searchsorted(_FIRST_TTLS, values)] - values
    return found


def _is_loopback(text: str) -> bool:
    return bool(text) and ipaddress.ip_address(text).is_loopback


def _is_group(text: str) -> bool:
    """RFC 9293 3.9.2.3: multicast or broadcast; a network's own broadcast address cannot be told without its mask."""
    return bool(text) and (ipaddress.ip_address(text).is_multicast or text == "255.255.255.255")
