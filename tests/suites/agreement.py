"""When a peer and pcaplint agree about one connection: the relation, defined once, as tables.

Promises: each suite has one function that names the aspects of a row that can be compared, and for each what the peer
says, what pcaplint says and whether the two agree. Words that a peer uses for several things it cannot tell apart are
held to the meaning its documentation gives; where it uses them for more, that is a difference to be explained.
Must not know: how rows are matched, which differences are known.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tests.suites.rows import Row

OPENED: Final = frozenset({"complete", "fast-open", "simultaneous-open"})
LATE: Final = frozenset({"mid-stream", "one-sided"})

ZEEK_STATES: Final[Mapping[str, frozenset[str]]] = {
    "S0": frozenset({"unanswered", "unreachable", "unfinished"}),
    "S1": OPENED,
    "S2": OPENED,
    "S3": OPENED,
    "SF": OPENED,
    "RSTO": OPENED,
    "RSTR": OPENED,
    "REJ": frozenset({"refused"}),
    "RSTOS0": frozenset({"aborted"}),
    "SH": frozenset({"aborted", "one-sided"}),
    "SHR": frozenset({"one-sided"}),
    "RSTRH": frozenset({"one-sided", "unsolicited"}),
    "OTH": frozenset({"mid-stream", "one-sided", "unsolicited", "stray"}),
}
"""Zeek's documentation of conn.log: conn_state."""

ZEEK_HISTORIES: Final = (
    (re.compile(r"ShA"), OPENED),
    (re.compile(r"\^?h[AD]|Hc?A"), OPENED),
    (re.compile(r"Sr"), frozenset({"refused"})),
    (re.compile(r"S[AD]"), LATE),
    (re.compile(r"[AaDd]"), LATE),
)
"""Where a baseline has no conn_state: how the history begins."""

ARKIME: Final[Mapping[str, frozenset[str]]] = {
    "True True": OPENED,
    "True False": frozenset({"half-open", "aborted", "invalid", "unfinished"}),
    "False True": frozenset({"invalid", "half-open", "fast-open"}),
    "False False": frozenset({"refused", "unanswered", "unreachable", "aborted", "invalid", "stray", "unfinished"}),
    "- -": LATE | {"stray", "unsolicited"},
}
"""syn_validated and synack_validated: the SYN+ACK acknowledges SYN + 1; the third segment acknowledges SYN+ACK + 1. init_rtt
is half the time from the first to the third, in whole milliseconds."""

TCPTRACE: Final[Mapping[str, frozenset[str]]] = {
    "yes": OPENED,
    "RESET": OPENED | {"refused", "aborted", "mid-stream", "one-sided", "stray"},
    "no": OPENED | LATE | {"half-open", "unanswered", "unreachable", "aborted", "unsolicited", "stray", "unfinished"},
}
"""complete_conn: yes says a SYN and a FIN were seen of each side."""

SURICATA_STATES: Final[Mapping[str, frozenset[str]]] = {
    "syn_sent": frozenset({"unanswered", "unreachable", "unfinished"}),
    "syn_recv": frozenset({"half-open", "unfinished"}),
    "established": OPENED,
    "fin_wait1": OPENED,
    "fin_wait2": OPENED,
    "close_wait": OPENED,
    "last_ack": OPENED,
    "closed": OPENED | {"refused", "aborted"},
    "new": LATE | {"stray", "unanswered", "unreachable", "unsolicited", "undecidable", "unfinished"},
}
"""tcp.state, or flow.state where that alone is given; `new` also means that the stream engine took no segment."""

SURICATA_EVENTS: Final[Mapping[str, frozenset[str]]] = {
    "stream.3whs_synack_with_wrong_ack": frozenset({"synack-ack-wrong"}),
    "stream.3whs_synack_in_wrong_direction": frozenset({"synack-wrong-way"}),
    "stream.3whs_synack_toserver_on_syn_recv": frozenset({"synack-wrong-way"}),
    "stream.est_synack_toserver": frozenset({"synack-wrong-way"}),
    "stream.3whs_synack_resend_with_different_ack": frozenset({"synack-ack-changed"}),
    "stream.3whs_synack_flood": frozenset({"synack-isn-changed"}),
    "stream.3whs_synack_tfo_data_ignored": frozenset({"tfo-data-not-acked"}),
    "stream.3whs_right_seq_wrong_ack_evasion": frozenset({"ack3-ack-wrong"}),
    "stream.3whs_wrong_seq_wrong_ack": frozenset({"ack3-seq-wrong", "ack3-both-wrong"}),
    "stream.3whs_ack_data_inject": frozenset({"server-before-ack3"}),
    "stream.3whs_ack_in_wrong_dir": frozenset({"server-before-ack3"}),
    "stream.3whs_syn_flood": frozenset({"syn-flood-one-tuple"}),
    "stream.3whs_syn_resend_diff_seq_on_syn_recv": frozenset({"syn-isn-changed"}),
    "stream.3whs_syn_toclient_on_syn_recv": frozenset({"syn-from-server-in-established"}),
    "stream.4whs_synack_with_wrong_ack": frozenset({"cross-synack-ack-wrong"}),
    "stream.4whs_synack_with_wrong_syn": frozenset({"cross-synack-seq-wrong"}),
    "stream.4whs_wrong_seq": frozenset({"cross-ack-seq-wrong"}),
    "stream.4whs_invalid_ack": frozenset({"cross-ack-ack-wrong"}),
    "stream.est_synack_resend": frozenset({"synack-late-duplicate"}),
    "stream.est_synack_resend_with_different_ack": frozenset({"synack-ack-changed"}),
    "stream.est_synack_resend_with_diff_seq": frozenset({"synack-isn-changed"}),
    "stream.est_syn_resend": frozenset({"syn-in-established", "syn-retransmitted"}),
    "stream.est_syn_resend_diff_seq": frozenset({"syn-in-established"}),
    "stream.est_syn_toclient": frozenset({"syn-from-server-in-established"}),
    "stream.pkt_invalid_timestamp": frozenset({"rst-tsecr-bad", "synack-tsecr-mismatch", "ack3-tsval-backwards"}),
    "stream.rst_invalid_ack": frozenset({"rst-not-acceptable", "rst-outside-window"}),
    "stream.suspected_rst_inject": frozenset({"synack-after-rst", "data-after-rst"}),
    "stream.rst_but_no_session": frozenset({"stray-rst"}),
    "stream.fin_but_no_session": frozenset({"stray-fin"}),
}
"""Suricata's names for what a finding of ours means."""

_COMPLETENESS: Final = {"syn": 1, "synack": 2, "fin": 16, "rst": 32}


@dataclass(frozen=True, slots=True)
class Ours:
    """What pcaplint says of one connection."""

    flow: Any
    """A row of the report's flows."""
    findings: Mapping[str, frozenset[int]]
    """Finding id to the frames it cites."""
    syns: Mapping[str, int]
    """client and server to the SYN-bearing segments each sent."""

    def sides(self, row: Row) -> tuple[str, str]:
        """Return which of our sides are the peer's originator and responder."""
        if row.ends is None or row.ends[0][1] == "?":
            return "client", "server"
        same = (self.flow.client_ip, str(self.flow.client_port)) == row.ends[0]
        return ("client", "server") if same else ("server", "client")

    def has(self, kind: str) -> bool:
        """Return whether a segment of `kind` (syn, synack, fin, rst) was seen."""
        return bool(self.flow.tcp_completeness & _COMPLETENESS[kind])


@dataclass(frozen=True, slots=True)
class Comparison:
    """One aspect of one row."""

    aspect: str
    peer: str
    ours: str
    agrees: bool


def compare(row: Row, ours: Ours) -> list[Comparison]:
    """Return every aspect of `row` that can be compared."""
    return list(_ASPECTS[row.suite](row, ours))


def _verdict(peer: str, accepted: frozenset[str], ours: Ours) -> Comparison:
    return Comparison("verdict", peer, ours.flow.verdict, ours.flow.verdict in accepted)


def _text(aspect: str, peer: str, ours: str) -> Comparison:
    return Comparison(aspect, peer, ours, peer == ours)


def _segments(row: Row, ours: Ours, there: str, back: str) -> Comparison:
    counts = [getattr(ours.flow, f"{side}_segments") for side in ours.sides(row)]
    return _text("segments", f"{row.says[there]}/{row.says[back]}", f"{counts[0]}/{counts[1]}")


def _seen(row: Row, ours: Ours, columns: Mapping[str, tuple[str, ...]]) -> Iterator[Comparison]:
    for kind, names in columns.items():
        counts = [int(row.says[name]) for name in names if row.says[name] != "-"]
        if counts:
            yield _text(kind, "seen" if sum(counts) else "none", "seen" if ours.has(kind) else "none")


def _zeek(row: Row, ours: Ours) -> Iterator[Comparison]:
    state, history = row.says["conn_state"], row.says["history"]
    if state != "?":
        yield _verdict(state, ZEEK_STATES[state], ours)
        yield _text("conn_state", state, ours.flow.zeek_conn_state)
    else:
        accepted = next((verdicts for pattern, verdicts in ZEEK_HISTORIES if pattern.match(history)), frozenset[str]())
        yield _verdict(history, accepted, ours)


def _arkime(row: Row, ours: Ours) -> Iterator[Comparison]:
    yield _segments(row, ours, "src_pkts", "dst_pkts")
    if row.says["src_pkts"] == row.says["dst_pkts"] == "0":
        return  # a record of no packets: all else in it is said of none
    yield _verdict(row.word, ARKIME[row.word], ours)
    for theirs, flag in (("syn_validated", ours.flow.syn_validated), ("synack_validated", ours.flow.ack_synchronized)):
        if row.says[theirs] != "-":
            yield _text(theirs, row.says[theirs], str(bool(flag)))
    if row.says["init_rtt"] != "-" and ours.flow.ack_synchronized:
        half = ours.flow.rtt_ms / 2
        yield Comparison("init_rtt", row.says["init_rtt"], f"{half:.1f}", abs(half - int(row.says["init_rtt"])) <= 1)
    yield from _seen(row, ours, {"syn": ("syn",), "synack": ("syn_ack",), "fin": ("fin",), "rst": ("rst",)})


def _tcptrace(row: Row, ours: Ours) -> Iterator[Comparison]:
    yield _verdict(row.word, TCPTRACE[row.word], ours)
    yield _segments(row, ours, "pkts_ab", "pkts_ba")
    there, back = (str(ours.syns[side]) for side in ours.sides(row))
    yield _text("syns", f"{row.says['syn_ab']}/{row.says['syn_ba']}", f"{there}/{back}")
    yield from _seen(row, ours, {"fin": ("fin_ab", "fin_ba"), "rst": ("rst_ab", "rst_ba")})


def _suricata(row: Row, ours: Ours) -> Iterator[Comparison]:
    event = row.says["expected_event"]
    if event.startswith("flow:"):
        if row.word in SURICATA_STATES:
            yield _verdict(row.word, SURICATA_STATES[row.word], ours)
        if "flow.pkts_toserver" in row.says and "flow.pkts_toclient" in row.says:
            yield _segments(row, ours, "flow.pkts_toserver", "flow.pkts_toclient")
        yield from _seen_by_suricata(row, ours)
        return
    for name in re.findall(r"stream\.\w+", event):
        if name not in SURICATA_EVENTS:
            continue  # about reassembly, later than an opening
        found = sorted(SURICATA_EVENTS[name] & ours.findings.keys())
        expected = row.says.get("count", "1") != "0"
        where = f" frame {row.says['pcap_cnt']}" if "pcap_cnt" in row.says else ""
        yield Comparison("event", f"{'' if expected else 'no '}{name}{where}", " ".join(found) or "-", bool(found) == expected)


def _seen_by_suricata(row: Row, ours: Ours) -> Iterator[Comparison]:
    if row.says.get("tcp.tcp_flags", "00") == "00":
        return  # the stream engine took no segment of it
    for kind in ("syn", "fin", "rst"):
        yield _text(kind, "seen" if row.says.get(f"tcp.{kind}") == "True" else "none", "seen" if ours.has(kind) else "none")


_ASPECTS: Final[Mapping[str, Callable[[Row, Ours], Iterator[Comparison]]]] = {
    "zeek": _zeek,
    "arkime": _arkime,
    "suricata": _suricata,
    "tcptrace": _tcptrace,
}
