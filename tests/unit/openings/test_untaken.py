"""A server that does not take the third segment: what Linux does when its accept queue is full, and what only looks like it."""

from __future__ import annotations

from functools import cache

import pytest

from tests.unit.openings.scripts import Case, Found, judge

HEAD = "> S 1000:1000(0) win 64240\n+0.02 < S. 5000:5000(0) ack 1001 win 64240\n"
OPEN = HEAD + "+0.02 > . 1001:1001(0) ack 5001\n"
DATA = "> P. 1001:1011(10) ack 5001\n"
SYNACK = "< S. 5000:5000(0) ack 1001 win 64240\n"
ACK = "> . 1011:1011(0) ack 5001\n"
SERVES = "+0.02 < . 5001:5001(0) ack 1011\n< P. 5001:5021(20) ack 1011\n"
LATE = "synack-late-duplicate"
BACKOFF = ("+0.22", "+0.45", "+0.9", "+1.8")

UNTAKEN: dict[str, Case] = {
    "data, the SYN+ACK again and again, then a reset": Case(
        OPEN + DATA + f"+1 {SYNACK}{ACK}+1 {DATA}+1 {SYNACK}{ACK}+4 {SYNACK}{ACK}+5 < R 5001:5001(0)\n",
        "complete",
        f"{LATE} accept-queue-full",
    ),
    "data, the SYN+ACK again and again, then silence": Case(
        OPEN + DATA + f"+1 {SYNACK}{ACK}+2 {SYNACK}{ACK}{DATA}+4 {SYNACK}{ACK}", "complete", f"{LATE} accept-queue-full"
    ),
    "data, the SYN+ACK once more, then a reset": Case(
        OPEN + DATA + f"+1 {SYNACK}{ACK}{DATA}+1 < R 5001:5001(0)\n", "complete", f"{LATE} accept-queue-full"
    ),
    "data, the SYN+ACK once more, then silence": Case(
        OPEN + DATA + f"+1 {SYNACK}{ACK}" + "".join(f"{gap} {DATA}" for gap in BACKOFF), "complete", f"{LATE} accept-queue-full"
    ),
    "the data is in the third segment": Case(
        HEAD + f"+0.02 {DATA}+1 {SYNACK}{ACK}+2 {SYNACK}{ACK}", "complete", f"ack3-data {LATE} accept-queue-full"
    ),
    "the SYN was not captured": Case(
        SYNACK + "+0.02 > . 1001:1001(0) ack 5001\n" + DATA + f"+1 {SYNACK}{ACK}+2 {SYNACK}{ACK}",
        "complete",
        f"syn-not-captured {LATE} accept-queue-full",
    ),
    "the client gives up by a FIN": Case(
        OPEN + DATA + f"+1 {SYNACK}{ACK}+1 > F. 1011:1011(0) ack 5001\n+1 {SYNACK}+1 < R 5001:5001(0)\n",
        "complete",
        f"{LATE} accept-queue-full",
    ),
    "no data, the FIN is not taken": Case(
        OPEN + f"+1 {SYNACK}> . 1001:1001(0) ack 5001\n+2 {SYNACK}> . 1001:1001(0) ack 5001\n> F. 1001:1001(0) ack 5001\n+4 {SYNACK}",
        "complete",
        f"{LATE} accept-queue-full",
    ),
    "no SYN+ACK again, the data again and again": Case(
        OPEN + DATA + "".join(f"{gap} {DATA}" for gap in BACKOFF), "complete", "never-confirmed"
    ),
    "forgotten, and the data reset at last": Case(
        OPEN + DATA + "".join(f"{gap} {DATA}" for gap in BACKOFF) + "< R 5001:5001(0)\n", "complete", "never-confirmed"
    ),
    "two segments of data, only the first again": Case(
        OPEN + DATA + "> P. 1011:1021(10) ack 5001\n+0.22 " + DATA + "+3.5 > R. 1021:1021(0) ack 5001\n", "complete", "never-confirmed"
    ),
}

SERVED: dict[str, Case] = {
    "the third segment was lost, and the server goes on": Case(OPEN + DATA + f"+1 {SYNACK}{ACK}{DATA}" + SERVES, "complete", LATE),
    "it was lost twice": Case(OPEN + DATA + f"+1 {SYNACK}{ACK}+2 {SYNACK}{ACK}{DATA}" + SERVES, "complete", LATE),
    "deferred accept, then data and an answer": Case(
        OPEN + f"+1 {SYNACK}> . 1001:1001(0) ack 5001\n+2 {SYNACK}> . 1001:1001(0) ack 5001\n+1 {DATA}" + SERVES, "complete", LATE
    ),
    "deferred accept, no data yet": Case(OPEN + f"+1 {SYNACK}> . 1001:1001(0) ack 5001\n+2 {SYNACK}", "complete", LATE),
    "deferred accept, data at last, the capture ends": Case(
        OPEN + f"+1 {SYNACK}> . 1001:1001(0) ack 5001\n+2 {SYNACK}> . 1001:1001(0) ack 5001\n+1 {DATA}", "complete", LATE
    ),
    "a copy of the SYN+ACK behind the data": Case(OPEN + DATA + f"+0.001 {SYNACK}+9 {ACK}", "complete", LATE),
    "a round trip of two seconds: the SYN+ACK was sent before the ACK came": Case(
        "> S 1000:1000(0)\n+2 < S. 5000:5000(0) ack 1001\n> . 1001:1001(0) ack 5001\n"
        + DATA
        + f"+1 {SYNACK}{ACK}+0.9 < . 5001:5001(0) ack 1011\n",
        "complete",
        LATE,
    ),
    "the SYN+ACK once more, the capture ends": Case(OPEN + DATA + f"+1 {SYNACK}{ACK}", "complete", LATE),
    "the data was taken, then a reset": Case(OPEN + DATA + f"+1 {SYNACK}{ACK}< R. 5001:5001(0) ack 1011\n", "complete", LATE),
    "the data again once, then an answer": Case(OPEN + DATA + "+0.22 " + DATA + SERVES + "+9 " + ACK, "complete"),
    "the data again once, the capture ends": Case(OPEN + DATA + "+0.22 " + DATA, "complete"),
    "a copy of the data, and silence": Case(OPEN + DATA + "+0.01 " + DATA + "+9 > R. 1011:1011(0) ack 5001\n", "complete"),
    "no data, and silence": Case(OPEN + "+9 > . 1000:1000(0) ack 5001\n", "complete"),
}


@cache
def _judged(min_vector_flows: int) -> dict[str, Found]:
    return judge(UNTAKEN | SERVED, min_vector_flows=min_vector_flows)


@pytest.mark.parametrize("min_vector_flows", [0, 10**9])
@pytest.mark.parametrize("name", UNTAKEN | SERVED)
def test_only_an_untaken_connection_is_called_so(name: str, min_vector_flows: int) -> None:
    case, found = (UNTAKEN | SERVED)[name], _judged(min_vector_flows)[name]
    assert (found.verdicts, sorted(found.findings)) == ([case.verdict], sorted(case.findings.split())), case.script


@pytest.mark.parametrize("name", UNTAKEN)
def test_an_untaken_connection_is_not_confirmed(name: str) -> None:
    assert [facts["confirmed"] for facts in _judged(0)[name].facts] == [False]
