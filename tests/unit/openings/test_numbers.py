"""Numbers at the edges of the circle, and wrong by every power of two.

Everything follows from RFC 9293 3.4 and 3.10.7: a SYN+ACK must acknowledge one of the numbers behind the ISN up to what the
SYN held, the third segment must start where the SYN+ACK's acknowledgment left it and acknowledge the server's SYN.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import product
from typing import TYPE_CHECKING, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analyzer import connections as connections_
from analyzer import openings, rules
from analyzer.rules.machine import emitted
from analyzer.schema import ACK, PSH, SYN
from tests.reference import exchanges
from tests.reference.exchanges import CIRCLE, EDGES, FROM_CLIENT, FROM_SERVER, Sent, Side

if TYPE_CHECKING:
    from collections.abc import Sequence

    from analyzer.rules import RuleSet
    from tests.reference.exchanges import Exchange

PAIRS = list(product(EDGES, EDGES))
POWERS = [sign * 2**power for power in range(32) for sign in (1, -1)]
"""Every power of two on the circle, both ways round; the two of 2^31 meet."""
WINDOW = 1000


class Found(NamedTuple):
    verdict: str
    findings: set[str]


@cache
def loaded() -> RuleSet:
    """Return the rules; of the findings only those of the machine, since checks move nothing and have their own examples."""
    return rules.load(select=sorted(emitted(rules.load().machine)))


def judge(batch: Sequence[Exchange]) -> list[Found]:
    """Return what is found of each exchange, each being exactly one connection."""
    connections, verdicts = connections_.group([exchanges.capture(batch)]), loaded().verdicts
    assert connections.flows["client_port"].tolist() == [1024 + number for number in range(len(batch))]
    judged = openings.judge(connections, loaded())
    found = [Found(verdicts[number].name, set()) for number in judged.verdict.tolist()]
    for flow, id_ in zip(judged.findings["flow"], judged.findings["id"], strict=True):
        found[flow].findings.add(id_)
    return found


def sides(isns: tuple[int, int]) -> tuple[Side, Side]:
    return Side(FROM_CLIENT, isns[0]), Side(FROM_SERVER, isns[1])


def opened(isns: tuple[int, int]) -> Exchange:
    """Return the three segments and a byte from each side."""
    c, s = sides(isns)
    three = [c.send(SYN, 0), s.send(SYN | ACK, 0, c, 1), c.send(ACK, 1, s, 1)]
    return [*three, c.send(PSH | ACK, 1, s, 1, 1), s.send(PSH | ACK, 1, c, 2, 1), c.send(ACK, 2, s, 2)]


def test_all_pairs_of_edge_isns_open() -> None:
    assert judge([opened(isns) for isns in PAIRS]) == [Found("complete", set())] * 49


def test_all_pairs_of_edge_isns_open_when_sent_again() -> None:
    batch = [[syn, replace(syn, delay=10**9), synack, replace(synack, delay=10**9), *rest] for syn, synack, *rest in map(opened, PAIRS)]
    assert judge(batch) == [Found("complete", {"syn-retransmitted", "synack-retransmitted"})] * 49


def test_all_pairs_of_edge_isns_cross() -> None:
    batch = []
    for isns in PAIRS:
        c, s = sides(isns)
        batch.append([c.send(SYN, 0), s.send(SYN, 0), c.send(SYN | ACK, 0, s, 1), s.send(SYN | ACK, 0, c, 1)])
    assert judge(batch) == [Found("simultaneous-open", {"syns-crossed", "simultaneous-open"})] * 49


def test_data_of_the_syn_wraps() -> None:
    """Ten bytes on SYNs whose ISN is at most ten short of the end: all, part or none of them acknowledged."""
    expected = {
        1: ("complete", {"tfo-data-not-acked"}),
        6: ("fast-open", {"fast-open", "tfo-data-part-acked"}),
        11: ("fast-open", {"fast-open"}),
    }
    for taken, (verdict, findings) in expected.items():
        batch = []
        for short in range(12):
            c, s = sides((CIRCLE - 1 - short, 300))
            batch.append([c.send(SYN, 0, length=10), s.send(SYN | ACK, 0, c, taken), c.send(ACK, taken, s, 1)])
        assert judge(batch) == [Found(verdict, {"syn-data", *findings})] * 12


@pytest.mark.parametrize("follow", [False, True])
def test_synack_wrong_by_a_power_of_two(*, follow: bool) -> None:
    """Whether or not the client goes on, which it would not, nothing was opened."""
    batch, expected = [], []
    for isns, off in product(PAIRS, POWERS):
        c, s = sides(isns)
        batch.append([c.send(SYN, 0), s.send(SYN | ACK, 0, c, 1 + off), *([c.send(ACK, 1, s, 1)] if follow else [])])
        expected.append({"synack-ack-wrong", "synack-ack-is-isn"} if off == -1 else {"synack-ack-wrong"})
    assert judge(batch) == [Found("invalid", findings) for findings in expected]


def test_refusal_wrong_by_a_power_of_two() -> None:
    batch = []
    for isn, off in product(EDGES, POWERS):
        c, s = sides((isn, 0))
        batch.append([c.send(SYN, 0), s.send(0x14, 0, c, 1 + off)])
    assert judge(batch) == [Found("invalid", {"rst-not-acceptable"})] * len(batch)


def test_third_acknowledgment_wrong_by_a_power_of_two() -> None:
    batch = []
    for isns, off in product(PAIRS, POWERS):
        c, s = sides(isns)
        batch.append([c.send(SYN, 0), s.send(SYN | ACK, 0, c, 1), c.send(ACK, 1, s, 1 + off)])
    assert judge(batch) == [Found("half-open", {"ack3-ack-wrong"})] * len(batch)


def test_third_sequence_number_wrong_by_a_power_of_two() -> None:
    """Inside the SYN+ACK's window it is a later segment, and the third one is missing from the capture; outside it is wrong."""
    batch, expected = [], []
    for isns, off in product(PAIRS, POWERS):
        c, s = sides(isns)
        batch.append([c.send(SYN, 0), replace(s.send(SYN | ACK, 0, c, 1), window=WINDOW), c.send(ACK, 1 + off, s, 1)])
        expected.append(Found("complete", {"ack3-not-captured"}) if 0 < off <= WINDOW else Found("half-open", {"ack3-seq-wrong"}))
    assert judge(batch) == expected


def test_third_segment_wrong_in_both_by_powers_of_two() -> None:
    """Below the ISNs or far above them: nothing could have been sent there."""
    batch = []
    for off, ack_off in product([off for off in POWERS if not 0 < off <= WINDOW], [off for off in POWERS if not 0 < off <= 2**16]):
        c, s = sides((2**32 - 1, 2**31 - 1))
        batch.append([c.send(SYN, 0), replace(s.send(SYN | ACK, 0, c, 1), window=WINDOW), c.send(ACK, 1 + off, s, 1 + ack_off)])
    assert judge(batch) == [Found("half-open", {"ack3-both-wrong"})] * len(batch)


OPENED = {"complete", "fast-open", "simultaneous-open"}
NUMBERS = st.integers(0, CIRCLE - 1) | st.sampled_from(EDGES)
ISNS = st.lists(NUMBERS, min_size=2, max_size=4, unique=True)
BATCH = 30


def forward(start: int, number: int) -> int:
    return (number - start) % CIRCLE


@given(st.lists(st.tuples(ISNS, st.sampled_from((0, 1, 10)), NUMBERS, NUMBERS), min_size=BATCH, max_size=BATCH))
@settings(deadline=None, max_examples=40)
def test_a_synack_that_answers_none_of_several_syns_opens_nothing(drawn: list[tuple[list[int], int, int, int]]) -> None:
    batch = []
    for isns, length, server_isn, ack in drawn:
        if any(0 < forward(isn, ack) <= length + 1 for isn in isns):
            continue
        syns = [Sent(FROM_CLIENT, SYN, isn, length=length, delay=10**9) for isn in isns]
        third = Sent(FROM_CLIENT, ACK, (isns[0] + 1) % CIRCLE, (server_isn + 1) % CIRCLE)
        batch.append([*syns, Sent(FROM_SERVER, SYN | ACK, server_isn, ack), third])
    for exchange, found in zip(batch, judge(batch), strict=True):
        assert found.verdict not in OPENED, exchange
        assert "synack-ack-wrong" in found.findings, exchange


@given(st.lists(st.tuples(ISNS, NUMBERS, NUMBERS), min_size=BATCH, max_size=BATCH))
@settings(deadline=None, max_examples=40)
def test_a_third_segment_that_confirms_none_of_several_synacks_opens_nothing(drawn: list[tuple[list[int], int, int]]) -> None:
    batch = []
    for isns, client_isn, ack in drawn:
        if any(forward(isn, ack) == 1 for isn in isns):
            continue
        synacks = [Sent(FROM_SERVER, SYN | ACK, isn, (client_isn + 1) % CIRCLE) for isn in isns]
        batch.append([Sent(FROM_CLIENT, SYN, client_isn), *synacks, Sent(FROM_CLIENT, ACK, (client_isn + 1) % CIRCLE, ack)])
    for exchange, found in zip(batch, judge(batch), strict=True):
        assert found == Found("half-open", {"synack-isn-changed", "ack3-ack-wrong"}), exchange
