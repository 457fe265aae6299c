"""The key steps of connections written in segment notation; a step is counted from 0 over all of them."""

from __future__ import annotations

from analyzer import connections as connections_
from analyzer import notation
from analyzer.openings import steps as steps_
from analyzer.openings.facts.key_steps import KeySteps

OPENED = """> S 100:100(0) win 64240
> S 100:100(0) win 64240 <mss 1460>
< S. 300:300(0) ack 101 win 65160
< S. 900:900(0) ack 101 win 65160
> . 101:101(0) ack 301 win 502
"""
ANSWER_ALONE = "2< S. 300:300(0) ack 101 win 65160\n"


def _key_steps(text: str) -> KeySteps:
    return KeySteps(steps_.select(connections_.group([notation.capture(notation.parse(text))])))


def test_each_name_is_the_step_that_the_vocabulary_describes() -> None:
    key = _key_steps(OPENED)
    assert {name: key.step(name).tolist() for name in ("first_syn", "last_syn", "first_synack", "other_synack", "third")} == {
        "first_syn": [0],
        "last_syn": [1],
        "first_synack": [2],
        "other_synack": [3],
        "third": [4],
    }


def test_a_step_that_a_connection_lacks_is_minus_one() -> None:
    key = _key_steps(OPENED + ANSWER_ALONE)
    assert key.first_syn.tolist() == [0, -1]
    assert key.first_synack.tolist() == [2, 5]
    assert key.third.tolist() == [4, -1]


def test_sides_are_the_server_then_the_client_of_each_connection() -> None:
    key = _key_steps(OPENED + ANSWER_ALONE)
    assert key.sides.tolist() == [1, 1, 0, 0, 1, 2]
    assert key.isn_step.tolist() == [2, 0, 5, -1]
    assert key.of_sender(key.isn_step, key.syn_steps, other=True).tolist() == [2, 2]
