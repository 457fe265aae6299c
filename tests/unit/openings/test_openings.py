"""Openings and what each must come out as: a row a case, in segment notation.

Expected values come from RFC 9293 and from what the verdicts are defined to mean, never from a run. Findings are exact:
whatever else is reported is a fault.
"""

from __future__ import annotations

from functools import cache

import pytest

from tests.unit.openings.scripts import Case, Found, judge, loaded

SYN = "> S 100:100(0) win 64240\n"
SYNACK = "< S. 300:300(0) ack 101 win 1000\n"
ACK3 = "> . 101:101(0) ack 301\n"
OPEN = SYN + SYNACK + ACK3
CROSSED = "> S 100:100(0)\n< S 300:300(0)\n"
COOKIE = "<tfo 0102030405060708>"
FAST = f"> S 100:110(10) {COOKIE}\n"

VERDICTS: dict[str, Case] = {
    # -- undecidable, mid-stream, one-sided
    "no flags captured": Case("> S 100:100(0) cut 8\n< S. 300:300(0) ack 101 cut 8\n", "undecidable", "segment-truncated"),
    "the capture begins after the opening": Case("> P. 500:510(10) ack 900\n< . 900:900(0) ack 510\n", "mid-stream"),
    "after the opening, to both FINs": Case(
        "< P. 900:910(10) ack 500\n> F. 500:500(0) ack 910\n< F. 910:910(0) ack 501\n> . 501:501(0) ack 911\n", "mid-stream"
    ),
    "after the opening, one side alone": Case("> P. 500:510(10) ack 900\n> P. 510:520(10) ack 950\n", "mid-stream"),
    "only the client's side": Case(SYN + ACK3 + "> P. 101:111(10) ack 301\n> F. 111:111(0) ack 340\n", "one-sided"),
    "only the server's side": Case(SYNACK + "< . 301:301(0) ack 111\n< P. 301:340(39) ack 111\n", "one-sided"),
    # -- unsolicited, stray
    "a SYN+ACK alone": Case(SYNACK, "unsolicited", "synack-unsolicited"),
    "a SYN+ACK alone, again and again": Case(
        SYNACK + "+1 " + SYNACK + "+2 " + SYNACK + "+4 " + SYNACK, "unsolicited", "synack-unsolicited synack-retransmitted"
    ),
    "a SYN+ACK and the reset it deserves": Case(SYNACK + "> R 101:101(0)\n", "unsolicited", "synack-unsolicited"),
    "a RST alone": Case("> R 100:100(0)\n", "stray", "stray-rst"),
    "a RST with ACK alone": Case("< R. 300:300(0) ack 101\n", "stray", "stray-rst"),
    "a FIN alone": Case("> F. 100:100(0) ack 300\n", "stray", "stray-fin"),
    "no flags at all": Case("> none 100:100(0)\n", "stray", "flags-impossible"),
    "SYN with RST": Case("> SR 100:100(0)\n", "stray", "flags-impossible"),
    "SYN with FIN": Case("> SF 100:100(0)\n", "stray", "flags-impossible"),
    "FIN, PSH and URG without ACK": Case("> FPU 100:100(0)\n", "stray", "flags-impossible"),
    # -- refused, unreachable, unanswered
    "refused as RFC 9293 3.10.7.1 says": Case(SYN + "< R. 0:0(0) ack 101\n", "refused"),
    "refused, the sequence number not zero": Case(SYN + "< R. 300:300(0) ack 101\n", "refused", "rst-seq-not-zero"),
    "refused, all data of the SYN acknowledged": Case("> S 100:110(10)\n< R. 0:0(0) ack 111\n", "refused", "syn-data"),
    "refused, the second SYN acknowledged": Case(SYN + "+1 > S 7000:7000(0)\n< R. 0:0(0) ack 7001\n", "refused", "syn-isn-changed"),
    "port unreachable": Case(SYN + "< icmp 3/3 quote 100\n", "unreachable"),
    "host unreachable after three tries": Case(
        SYN + "+1 " + SYN + "+2 " + SYN + "< icmp 3/1 quote 100\n", "unreachable", "syn-retransmitted"
    ),
    "time exceeded": Case(SYN + "< icmp 11/0 quote 100 from 203.0.113.9\n", "unreachable"),
    "an ICMP error about no SYN of this connection": Case(SYN + "+1 < icmp 3/3 quote 5000\n", "unanswered", "icmp-quote-mismatch"),
    "an ICMP error, and an answer after all": Case(SYN + "< icmp 3/1 quote 100\n" + SYNACK + ACK3, "complete"),
    "a SYN alone, the capture ends": Case(SYN, "unfinished"),
    "a SYN again, the capture ends within a second": Case(SYN + "+0.999 " + SYN, "unfinished", "syn-retransmitted"),
    "a SYN again after a second": Case(SYN + "+1 " + SYN, "unanswered", "syn-retransmitted"),
    "an ICMP error about no SYN, the capture ends": Case(SYN + "< icmp 3/3 quote 5000\n", "unfinished", "icmp-quote-mismatch"),
    "an ACK of an older connection, the capture ends": Case(SYN + "< . 900:900(0) ack 700\n", "unfinished", "ack-answers-syn"),
    "it is reset, the capture ends": Case(
        SYN + "< . 900:900(0) ack 700\n> R 700:700(0)\n", "unfinished", "ack-answers-syn half-open-recovery"
    ),
    "crossing SYNs, the capture ends": Case(CROSSED, "unfinished", "syns-crossed"),
    "crossing SYNs, data that fits neither": Case(CROSSED + "> P. 100:110(10) ack 200\n", "invalid", "syns-crossed"),
    "crossing SYNs, one SYN+ACK, the capture ends": Case(CROSSED + "> S. 100:100(0) ack 301\n", "unfinished", "syns-crossed"),
    "crossing SYNs, nothing for a second": Case(CROSSED + "+1 > S 100:100(0)\n", "invalid", "syns-crossed syn-retransmitted"),
    "a SYN four times": Case(SYN + "+1 " + SYN + "+2 " + SYN + "+4 " + SYN, "unanswered", "syn-retransmitted"),
    "a SYN with data, again without": Case("> S 100:110(10)\n+1 > S 100:100(0)\n", "unanswered", "syn-data syn-retransmitted"),
    # -- split handshake, simultaneous open (RFC 9293 figure 7)
    "split handshake in four": Case(
        CROSSED + "> S. 100:100(0) ack 301\n< . 301:301(0) ack 101\n", "split-handshake", "syns-crossed split-handshake"
    ),
    "split handshake in five": Case(
        SYN + "< . 300:300(0) ack 101\n< S 300:300(0)\n> S. 100:100(0) ack 301\n< . 301:301(0) ack 101\n",
        "split-handshake",
        "ack-answers-syn syns-crossed split-handshake",
    ),
    "simultaneous open": Case(
        CROSSED + "> S. 100:100(0) ack 301\n< S. 300:300(0) ack 101\n", "simultaneous-open", "syns-crossed simultaneous-open"
    ),
    "simultaneous open, the server's SYN+ACK first": Case(
        CROSSED + "< S. 300:300(0) ack 101\n> S. 100:100(0) ack 301\n", "simultaneous-open", "syns-crossed simultaneous-open"
    ),
    "crossed, SYN+ACK acknowledges the wrong number": Case(
        CROSSED + "> S. 100:100(0) ack 999\n", "invalid", "syns-crossed cross-synack-ack-wrong"
    ),
    "crossed, SYN+ACK has another sequence number": Case(
        CROSSED + "> S. 999:999(0) ack 301\n", "invalid", "syns-crossed cross-synack-seq-wrong"
    ),
    # -- fast open (RFC 7413)
    "fast open": Case(FAST + "< S. 300:300(0) ack 111\n> . 111:111(0) ack 301\n", "fast-open", "tfo-syn-data fast-open"),
    "fast open, the server answers at once": Case(
        FAST + "< S. 300:300(0) ack 111\n< P. 301:321(20) ack 111\n> . 111:111(0) ack 321\n", "fast-open", "tfo-syn-data fast-open"
    ),
    "part of the SYN's data taken": Case(
        FAST + "< S. 300:300(0) ack 105\n> P. 105:111(6) ack 301\n", "fast-open", "tfo-syn-data fast-open tfo-data-part-acked ack3-data"
    ),
    "data of the SYN not taken": Case(
        FAST + "< S. 300:300(0) ack 101\n> P. 101:111(10) ack 301\n", "complete", "tfo-syn-data tfo-data-not-acked ack3-data"
    ),
    "no data, an ACK as if there was": Case(SYN + "< S. 300:300(0) ack 111\n", "invalid", "synack-ack-wrong"),
    # -- complete
    "three segments": Case(OPEN, "complete"),
    "data with the third segment": Case(SYN + SYNACK + "> P. 101:111(10) ack 301\n", "complete", "ack3-data"),
    "the third segment is a FIN": Case(SYN + SYNACK + "> F. 101:101(0) ack 301\n", "complete", "ack3-fin"),
    "SYN and SYN+ACK sent again": Case(
        SYN + "+1 " + SYN + SYNACK + "+1 " + SYNACK + ACK3, "complete", "syn-retransmitted synack-retransmitted"
    ),
    "the SYN+ACK again after the third segment": Case(OPEN + "+1 " + SYNACK + ACK3, "complete", "synack-late-duplicate"),
    "reset at once": Case(OPEN + "< R. 301:301(0) ack 101\n", "complete", "server-rst-in-syn-received"),
    "closed at once": Case(OPEN + "> F. 101:101(0) ack 301\n< F. 301:301(0) ack 102\n> . 102:102(0) ack 302\n", "complete"),
    "the SYN not captured": Case(SYNACK + ACK3, "complete", "syn-not-captured"),
    "the SYN after the SYN+ACK in the file": Case(SYNACK + SYN + ACK3, "complete", "capture-out-of-order"),
    # -- aborted
    "client resets before any answer": Case(SYN + "> R 101:101(0)\n", "aborted", "client-rst-before-synack"),
    "client resets after the SYN+ACK": Case(SYN + SYNACK + "> R 101:101(0)\n", "aborted", "client-rst-after-synack"),
    "client closes before any answer": Case(SYN + "> F. 101:101(0) ack 0\n", "aborted", "fin-in-syn-sent"),
    "server resets after its SYN+ACK": Case(SYN + SYNACK + "< R 301:301(0)\n", "aborted", "server-rst-in-syn-received"),
    "client resets, the SYN+ACK comes again, the server acknowledges": Case(
        SYN + SYNACK + "> R 101:101(0)\n+1 " + SYNACK + "+1 < . 301:301(0) ack 101\n",
        "aborted",
        "client-rst-after-synack synack-retransmitted",
    ),
    # -- half-open
    "no third segment, the capture ends": Case(SYN + SYNACK, "unfinished"),
    "no third segment, and a second": Case(SYN + SYNACK + "+1 " + SYNACK, "half-open", "synack-retransmitted"),
    "a slow SYN+ACK, and the capture ends": Case(SYN + "+5 " + SYNACK, "unfinished"),
    "no third segment for long": Case(SYN + SYNACK + "+4 " + SYNACK, "half-open", "synack-retransmitted ack3-missing"),
    "third segment acknowledges the wrong number": Case(SYN + SYNACK + "> . 101:101(0) ack 999\n", "half-open", "ack3-ack-wrong"),
    "third segment acknowledges the ISN": Case(SYN + SYNACK + "> . 101:101(0) ack 300\n", "half-open", "ack3-ack-wrong"),
    "third segment starts at the ISN": Case(SYN + SYNACK + "> . 100:100(0) ack 301\n", "half-open", "ack3-seq-wrong"),
    "third segment wrong in both": Case(SYN + SYNACK + "> . 77:77(0) ack 999\n", "half-open", "ack3-both-wrong"),
    # -- invalid
    "SYN+ACK acknowledges the wrong number": Case(SYN + "< S. 300:300(0) ack 102\n", "invalid", "synack-ack-wrong"),
    "SYN+ACK acknowledges the ISN": Case(SYN + "< S. 300:300(0) ack 100\n", "invalid", "synack-ack-wrong synack-ack-is-isn"),
    "a wrong SYN+ACK, refused by the client as it must": Case(
        SYN + "< S. 300:300(0) ack 500\n> R 500:500(0)\n", "invalid", "synack-ack-wrong"
    ),
    "RST acknowledges the wrong number": Case(SYN + "< R. 0:0(0) ack 500\n", "invalid", "rst-not-acceptable"),
    "RST acknowledges the ISN": Case(SYN + "< R. 0:0(0) ack 100\n", "invalid", "rst-not-acceptable"),
    "RST without ACK": Case(SYN + "< R 0:0(0)\n", "invalid", "rst-not-acceptable"),
}

TWELVE = "".join(f"> S {1000 + 70_000 * number}:{1000 + 70_000 * number}(0)\n+1 " for number in range(12))
TWENTY = "".join(f"> S {1000 + 70_000 * number}:{1000 + 70_000 * number}(0)\n+1 " for number in range(20))

SUBTLE: dict[str, Case] = {
    # -- candidates are records: an ISN of one SYN is never mixed with the end of another
    "an answer between two SYNs": Case(
        "> S 1000:1000(0)\n> S 500000:500000(0)\n< S. 300:300(0) ack 300000\n", "invalid", "syn-isn-changed synack-ack-wrong"
    ),
    "an answer between two SYNs with data": Case(
        "> S 1000:1010(10)\n> S 2000:2010(10)\n< S. 300:300(0) ack 1500\n", "invalid", "syn-data syn-isn-changed synack-ack-wrong"
    ),
    "twelve SYNs, the first answered": Case(TWELVE + "< S. 300:300(0) ack 1001\n> . 1001:1001(0) ack 301\n", "complete", "syn-isn-changed"),
    "twelve SYNs, the sixth answered": Case(
        TWELVE + "< S. 300:300(0) ack 351001\n> . 351001:351001(0) ack 301\n", "complete", "syn-isn-changed"
    ),
    "twelve SYNs, none answered": Case(TWELVE + "< S. 300:300(0) ack 4711\n", "invalid", "syn-isn-changed synack-ack-wrong"),
    "twenty SYNs, the first answered": Case(TWENTY + "< S. 300:300(0) ack 1001\n> . 1001:1001(0) ack 301\n", "complete", "syn-isn-changed"),
    "twenty SYNs, the last answered": Case(
        TWENTY + "< S. 300:300(0) ack 1331001\n> . 1331001:1331001(0) ack 301\n", "complete", "syn-isn-changed"
    ),
    "two SYN+ACKs, the first confirmed": Case(SYN + SYNACK + "< S. 9000:9000(0) ack 101\n" + ACK3, "complete", "synack-isn-changed"),
    "two SYN+ACKs, the second confirmed": Case(
        SYN + SYNACK + "< S. 9000:9000(0) ack 101\n> . 101:101(0) ack 9001\n", "complete", "synack-isn-changed"
    ),
    "two SYN+ACKs, a number between confirmed": Case(
        SYN + SYNACK + "< S. 9000:9000(0) ack 101\n> . 101:101(0) ack 5000\n", "half-open", "synack-isn-changed ack3-ack-wrong"
    ),
    "two SYNs, both answered, the second taken up": Case(
        SYN + "> S 7000:7000(0)\n" + SYNACK + "< S. 9000:9000(0) ack 7001\n> . 7001:7001(0) ack 9001\n",
        "complete",
        "syn-isn-changed synack-isn-changed",
    ),
    "two SYNs, both answered, the first taken up": Case(
        SYN + "> S 7000:7000(0)\n" + SYNACK + "< S. 9000:9000(0) ack 7001\n" + ACK3, "complete", "syn-isn-changed synack-isn-changed"
    ),
    "two SYNs, both answered, one's number with the other's acknowledgment": Case(
        SYN + "> S 7000:7000(0)\n" + SYNACK + "< S. 9000:9000(0) ack 7001\n> . 101:101(0) ack 9001\n",
        "half-open",
        "syn-isn-changed synack-isn-changed ack3-ack-wrong",
    ),
    "a second SYN+ACK that fits no SYN": Case(SYN + SYNACK + "< S. 300:300(0) ack 500\n" + ACK3, "complete", "synack-ack-changed"),
    # -- put off until later segments explain or confirm
    "third segment and greeting lost, the server goes on from there": Case(
        SYN + SYNACK + "> . 101:101(0) ack 321\n< P. 321:331(10) ack 101\n", "complete", "ack3-not-captured"
    ),
    "third segment and greeting lost, the client goes on too": Case(
        SYN + SYNACK + "> P. 101:111(10) ack 321\n< P. 321:331(10) ack 111\n> . 111:111(0) ack 331\n", "complete", "ack3-not-captured"
    ),
    "the greeting before the third segment, out of order": Case(
        SYN + SYNACK + "> . 101:101(0) ack 321\n< P. 301:321(20) ack 101\n", "complete", "ack3-not-captured"
    ),
    "a reset names the wrong number": Case(SYN + SYNACK + "> . 101:101(0) ack 999\n< R 999:999(0)\n", "aborted", "ack3-ack-wrong"),
    "a gap larger than the window": Case(
        SYN + SYNACK + "> P. 50101:50201(100) ack 40301\n< . 40301:40301(0) ack 50201\n", "complete", "ack3-not-captured"
    ),
    "a gap larger than the window, the acknowledgment right": Case(
        SYN + SYNACK + "> P. 50101:50201(100) ack 301\n< . 301:301(0) ack 50201\n", "complete", "ack3-not-captured"
    ),
    "the third segment lost, data within the window": Case(SYN + SYNACK + "> P. 111:121(10) ack 301\n", "complete", "ack3-not-captured"),
    "the third segment's first byte of data at the window's end": Case(
        SYN + SYNACK + "> P. 1101:1102(1) ack 301\n", "complete", "ack3-not-captured"
    ),
    "data beyond the window": Case(SYN + SYNACK + "> P. 1102:1103(1) ack 301\n", "half-open", "ack3-seq-wrong"),
    # -- resets and what comes after
    "refused, tried again with the same number, accepted": Case(
        SYN + "< R. 0:0(0) ack 101\n+0.5 " + SYN + SYNACK + ACK3, "complete", "refused-retried"
    ),
    "refused three times": Case(
        SYN + "< R. 0:0(0) ack 101\n+0.5 " + SYN + "< R. 0:0(0) ack 101\n+0.5 " + SYN + "< R. 0:0(0) ack 101\n",
        "refused",
        "refused-retried",
    ),
    "a forged refusal, then the SYN+ACK": Case(SYN + "< R. 0:0(0) ack 101\n" + SYNACK + ACK3, "complete", "synack-after-rst"),
    "an unacceptable RST changes nothing": Case(SYN + "< R. 0:0(0) ack 500\n" + SYNACK + ACK3, "complete", "rst-not-acceptable"),
    "a wrong SYN+ACK, then the right one": Case(SYN + "< S. 300:300(0) ack 500\n" + SYNACK + ACK3, "complete", "synack-ack-wrong"),
    "half-open recovery": Case(
        "> S 400:400(0)\n< . 300:300(0) ack 100\n> R 100:100(0)\n+1 > S 400:400(0)\n< S. 900:900(0) ack 401\n> . 401:401(0) ack 901\n",
        "complete",
        "ack-answers-syn half-open-recovery syn-retransmitted",
    ),
    "data from the server before its SYN+ACK": Case(SYN + "< P. 300:310(10) ack 101\n", "invalid", "server-data-before-synack"),
    "who sent a RST goes on": Case(
        SYN + SYNACK + "< R 301:301(0)\n< P. 301:311(10) ack 101\n", "aborted", "server-rst-in-syn-received data-after-rst"
    ),
    "a SYN+ACK from the side that sent the SYN": Case(SYN + "+1 > S. 100:100(0) ack 301\n", "unanswered", "synack-wrong-way"),
    "a SYN of the client after the opening": Case(OPEN + "> S 7000:7000(0)\n", "complete", "syn-in-established"),
    "a SYN of the server after the opening": Case(OPEN + "< S 7000:7000(0)\n", "complete", "syn-from-server-in-established"),
    # -- the SYN+ACK carries data or a FIN: both count in what must be acknowledged (RFC 9293 3.10.7.3)
    "data with the SYN+ACK": Case(SYN + "< S. 300:310(10) ack 101\n> . 101:101(0) ack 311\n", "complete", "synack-data"),
    "data with the SYN+ACK, not acknowledged": Case(SYN + "< S. 300:310(10) ack 101\n> . 101:101(0) ack 301\n", "complete", "synack-data"),
    "a FIN with the SYN+ACK": Case(SYN + "< SF. 300:300(0) ack 101\n> . 101:101(0) ack 302\n", "complete", "synack-fin"),
}

FORGOTTEN: dict[str, Case] = {
    # -- more SYNs than are remembered: what fits none of them may answer a forgotten one
    "twenty SYNs, the second answered": Case(
        TWENTY + "< S. 300:300(0) ack 71001\n> . 71001:71001(0) ack 301\n", "invalid", "syn-isn-changed"
    ),
    "twenty SYNs, none answered": Case(TWENTY + "< S. 300:300(0) ack 4711\n", "invalid", "syn-isn-changed"),
    "twenty SYNs, none refused": Case(TWENTY + "< R. 0:0(0) ack 4711\n", "invalid", "syn-isn-changed"),
}

CASES = VERDICTS | SUBTLE | FORGOTTEN


@cache
def _judged() -> dict[str, Found]:
    """Judge every case, in one call."""
    return judge(CASES)


@pytest.mark.parametrize("name", CASES)
def test_opening_comes_out_right(name: str) -> None:
    case, found = CASES[name], _judged()[name]
    assert (found.verdicts, sorted(found.findings)) == ([case.verdict], sorted(case.findings.split())), case.script


def test_all_sixteen_verdicts_are_reached() -> None:
    assert {case.verdict for case in VERDICTS.values()} == {
        *("undecidable", "mid-stream", "one-sided", "unsolicited", "stray", "refused", "unreachable", "unfinished"),
        *("unanswered", "split-handshake", "simultaneous-open", "fast-open", "complete", "aborted", "half-open", "invalid"),
    }
    assert {verdict.name for verdict in loaded().verdicts} == {case.verdict for case in VERDICTS.values()}


OUTCOMES = {
    "opened": {"complete", "fast-open", "simultaneous-open"},
    "not-opened": {"refused", "unreachable", "unanswered", "aborted", "half-open"},
    "broken": {"invalid", "split-handshake"},
    "not-judged": {"unfinished", "mid-stream", "one-sided", "unsolicited", "stray", "undecidable"},
}


def test_outcome_of_every_verdict() -> None:
    counts = {"opened": "pass", "not-opened": "warning", "broken": "error", "not-judged": "nothing"}
    for verdict in loaded().verdicts:
        assert verdict.name in OUTCOMES[verdict.outcome]
        assert verdict.counts_as == counts[verdict.outcome]


VIEWS = {
    "three segments": "both",
    "a SYN alone, the capture ends": "client-only",
    "only the client's side": "client-only",
    "only the server's side": "server-only",
    "a SYN+ACK alone": "server-only",
    "the capture begins after the opening": "starts-late",
    "the SYN not captured": "starts-late",
}


@pytest.mark.parametrize("name", VIEWS)
def test_view(name: str) -> None:
    assert _judged()[name].views == [VIEWS[name]]


CONFIRMED = {
    # a server segment with neither SYN nor RST, from Es on and acknowledging Uc or more, is the only proof
    "three segments": False,
    "the SYN+ACK again after the third segment": False,
    "reset at once": False,
    "closed at once": True,
    "third segment and greeting lost, the client goes on too": True,
    "simultaneous open": False,
    "no third segment, and a second": False,
}


@pytest.mark.parametrize("name", CONFIRMED)
def test_confirmed_by_the_server_alone(name: str) -> None:
    assert [facts["confirmed"] for facts in _judged()[name].facts] == [CONFIRMED[name]]


INFERRED = {"three segments": False, "the SYN not captured": True, "the third segment lost, data within the window": True}


@pytest.mark.parametrize("name", INFERRED)
def test_evidence_is_inferred_where_a_segment_is_missing(name: str) -> None:
    assert [facts["inferred"] for facts in _judged()[name].facts] == [INFERRED[name]]


@pytest.mark.parametrize("name", CASES)
def test_what_cannot_be_checked_is_inconclusive(name: str) -> None:
    expected = name in {*FORGOTTEN, "no flags captured"}
    assert [facts["inconclusive"] for facts in _judged()[name].facts] == [expected]


ARKIME = {
    # (SYN+ACK.ack == SYN.seq + 1, ACK.ack == SYN+ACK.seq + 1 and ACK.seq == SYN.seq + 1), as Arkime defines them
    "three segments": (True, True),
    "two SYNs, both answered, the second taken up": (True, True),
    "no third segment, and a second": (True, False),
    "SYN+ACK acknowledges the wrong number": (False, False),
    "third segment acknowledges the wrong number": (True, False),
    "fast open": (False, False),
    "data of the SYN not taken": (True, True),
    "data with the SYN+ACK": (True, False),
}


@pytest.mark.parametrize("name", ARKIME)
def test_arkimes_fields(name: str) -> None:
    found = [(facts["syn_validated"], facts["ack_synchronized"]) for facts in _judged()[name].facts]
    assert found == [ARKIME[name]]
