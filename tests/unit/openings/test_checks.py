"""Checks of finding files: what is unknown neither holds nor passes, and what groups connections stays inside a capture."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import pytest

from analyzer import connections, notation, openings, rules

if TYPE_CHECKING:
    from analyzer.rules import RuleSet

OPENING = """
> S 100:100(0) win 64240 <{syn}>{cut}
< S. 300:300(0) ack 101 win 65535 <mss 1460>
> . 101:101(0) ack 301
"""


@cache
def _shipped() -> RuleSet:
    return rules.load(select=["*"])


def _judge(*scripts: str) -> openings.Judged:
    return openings.judge(connections.group([notation.capture(notation.parse(script)) for script in scripts]), _shipped())


@pytest.mark.parametrize(
    ("syn", "cut", "found", "unknown"),
    [
        ("nop,nop,sackOK,mss 1460", "", False, False),
        ("nop,nop,sackOK", "", True, False),
        # Behind what was captured there may be one: RFC 9293 3.1 sets no order.
        ("nop,nop,sackOK,mss 1460", " cut 24", False, True),
        ("nop,nop,sackOK", " cut 20", False, True),
        # It was captured before the cut, so it is known to be there.
        ("mss 1460,nop,nop,sackOK", " cut 24", False, False),
    ],
)
def test_an_option_behind_the_cut_is_unknown_not_absent(syn: str, cut: str, *, found: bool, unknown: bool) -> None:
    judged = _judge(OPENING.format(syn=syn, cut=cut))
    assert ("mss-absent" in set(judged.findings["id"])) == found
    assert ("mss-absent" in judged.not_evaluable) == unknown
    if unknown:
        assert judged.not_evaluable["mss-absent"].tolist() == [0]


def test_an_offer_that_was_not_captured_accuses_nobody() -> None:
    """RFC 7323 2.2: a window scale on the SYN+ACK needs one on the SYN, but this SYN's options are not in the capture."""
    answer = "< S. 300:300(0) ack 101 <mss 1460,nop,wscale 7>\n"
    asked = "> S 100:100(0) win 64240 <mss 1460,nop,wscale 7>"
    assert "synack-option-unoffered" not in set(_judge(f"{asked}\n{answer}").findings["id"])
    assert "synack-option-unoffered" not in set(_judge(f"{asked} cut 24\n{answer}").findings["id"])
    assert "synack-option-unoffered" in set(_judge(f"> S 100:100(0) win 64240 <mss 1460>\n{answer}").findings["id"])


def test_connections_of_two_captures_are_no_group() -> None:
    """Fixtures share addresses and ISNs; each file is a world of its own."""
    three = "".join(f"{number}> S 5000:5000(0) win 1024\n" for number in (1, 2, 3))
    two = "".join(f"{number}> S 5000:5000(0) win 1024\n" for number in (1, 2))
    assert "isn-reused" not in set(_judge(two, two).findings["id"])
    assert list(_judge(three, two).findings["id"]).count("isn-reused") == 1


def test_a_group_is_one_finding_that_cites_its_connections() -> None:
    judged = _judge("".join(f"{number}> S 5000:5000(0) win 1024\n" for number in range(1, 13)))
    found = judged.findings[judged.findings["id"] == "isn-reused"]
    assert found["flow"].tolist() == [0]
    assert found["frames"].tolist() == [tuple((0, frame) for frame in range(1, 9))]
    assert found["message"].tolist() == ["12 connections of the client begin with the same ISN."]


def test_a_segment_of_a_folded_run_of_repeats_keeps_its_own_facts() -> None:
    """The third SYN stands for the rest of its run; what follows must not be read from another segment's row."""
    syn = "> S 100:100(0) win 64240 <mss 1460>\n"
    judged = _judge(syn * 4 + "< S. 300:300(0) ack 101 <mss 100>\n")
    found = judged.findings[judged.findings["id"] == "mss-too-small"]
    assert found["frames"].tolist() == [((0, 5),)]
    assert found["message"].tolist() == ["The MSS of 100 is below the default of 536 bytes (1220 for IPv6)."]


def test_an_icmp_error_between_segments_shifts_no_facts() -> None:
    judged = _judge("> S 100:100(0) win 64240 <mss 1460>\n< icmp 3/1 quote 100\n< S. 300:300(0) ack 101 <mss 100>\n")
    found = judged.findings[judged.findings["id"] == "mss-too-small"]
    assert found["frames"].tolist() == [((0, 3),)]
