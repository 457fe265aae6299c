"""Commands that do not end with LF, taken as the server took them; and answers without a code (RFC 959 5.3.1, 4.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.protocols.ftp.scripts import LOGIN, facts, messages, requests, talk

if TYPE_CHECKING:
    from collections.abc import Iterable

    from analyzer.protocols.api import Dialogue
    from tests.unit.protocols.ftp.scripts import Message

SECRET = "planted-secret"  # noqa: S105 - of no one
SAID = [
    ("client", "USER jo"),
    ("server", "331 p"),
    ("client", f"PASS {SECRET}"),
    ("server", "230 in"),
    ("client", "PWD"),
    ("server", '257 "/"'),
]
LOGGED_IN = [("USER jo", 331), ("PASS (hidden)", 230), ("PWD", 257)]


def ended(end: bytes, said: Iterable[tuple[str, str]] = SAID) -> list[Message]:
    """Return a dialogue in which the client's commands end with `end`."""
    found: list[Message] = [("server", b"220 ready\r\n")]
    for side, text in said:
        found.append(("client", text.encode() + end) if side == "client" else ("server", text.encode() + b"\r\n"))
    return found


def shown(dialogue: Dialogue) -> str:
    """Return all text of a dialogue."""
    return dialogue.summary + repr(dialogue.rows) + repr([one.facts for one in dialogue.exchanges])


@pytest.mark.parametrize("end", [b"\r\n", b"\n", b"\0", b"\r", b"\r\0", b"\0\0", b""])
def test_a_command_ends_where_the_server_answers_it(end: bytes) -> None:
    dialogue = talk(ended(end))
    assert requests(dialogue) == LOGGED_IN
    assert [one.facts.get("credentials") for one in dialogue.exchanges] == [None, True, None]
    assert all(one.facts["request_seen"] and one.facts["replied"] for one in dialogue.exchanges)
    assert dialogue.facts["login"] == "accepted"
    assert SECRET not in shown(dialogue)


@pytest.mark.parametrize("end", [b"\0", b"\r", b"\r\0"])
def test_commands_of_one_segment_end_as_the_server_takes_them(end: bytes) -> None:
    at_once = [("client", end.join((b"USER jo", f"PASS {SECRET}".encode(), b"PWD")) + end)]
    replies = [("server", b"331 p\r\n"), ("server", b"230 in\r\n"), ("server", b'257 "/"\r\n')]
    dialogue = talk([("server", b"220 ready\r\n"), *at_once, *replies])  # type: ignore[list-item] # sides are literals
    assert requests(dialogue) == LOGGED_IN
    assert SECRET not in shown(dialogue)


def test_a_server_that_ends_lines_with_lf_only_takes_it_for_one_command() -> None:
    dialogue = talk(LOGIN + "C: CWD a\\rPWD\nS: 250 ok\nC: NOOP\nS: 200 ok\nC: QUIT\nS: 221 bye\n")
    assert [code for _, code in requests(dialogue)][-3:] == [None, 200, 221]
    assert facts(dialogue, "PWD")["replied"] is None
    assert facts(dialogue, "CWD")["reply_code"] == 250


def test_a_password_stays_hidden_where_no_reply_was_captured() -> None:
    dialogue = talk([("client", b"USER jo"), ("client", f"PASS {SECRET}".encode()), ("client", b"PWD\r\n")], one_sided=True)
    assert SECRET not in shown(dialogue)
    assert requests(dialogue)[0][0] == "USER jo"


def test_a_command_in_several_segments_is_one() -> None:
    said = messages(LOGIN + "C: NOOP\nS: 200 ok\nC: QUIT\nS: 221 bye\n")
    whole = requests(talk(said))
    for sizes in ((1,), (3,), (2, 5)):
        assert requests(talk(said, sizes=sizes)) == whole


def test_a_421_in_the_middle_of_a_command_answers_nothing() -> None:
    dialogue = talk([*messages(LOGIN), ("client", b"NO"), ("server", b"421 timeout\r\n"), ("client", b"OP\r\n")])
    assert "NOOP" in [one.facts["command"] for one in dialogue.exchanges]


@pytest.mark.parametrize("sizes", [(), (1,), (4,)])
def test_a_line_without_a_code_answers_the_command_it_follows(sizes: tuple[int, ...]) -> None:
    dialogue = talk(LOGIN + "C: SYST\nS: UNIX Type: L8\nC: QUIT\nS: 221 bye\n", sizes=sizes)
    assert requests(dialogue)[-2:] == [("SYST", None), ("QUIT", 221)]
    assert facts(dialogue, "SYST")["replied"] is True
    assert dialogue.rows[-2]["reply"] == "UNIX Type: L8"
    assert dialogue.facts["stray_line"] is True


def test_a_line_without_a_code_before_the_reply_is_none() -> None:
    dialogue = talk(LOGIN + "C: SYST\nS: a word first\nS: 215 UNIX\nC: QUIT\nS: 221 bye\n")
    assert requests(dialogue)[-2:] == [("SYST", 215), ("QUIT", 221)]


@pytest.mark.parametrize(
    ("script", "codes"),
    [
        # The transfer's end comes behind the reply to a later command,
        ("C: LIST\nS: 150 go\nC: NOOP\nS: 200 ok\nS: 226 done\nC: QUIT\nS: 221 bye\n", [("LIST", 226), ("NOOP", 200), ("QUIT", 221)]),
        # is announced twice,
        ("C: LIST\nS: 150 go\nS: 150 still\nS: 226 done\nC: QUIT\nS: 221 bye\n", [("LIST", 226), ("QUIT", 221)]),
        # is cut off and said to be complete,
        ("C: RETR a\nS: 150 go\nC: ABOR\nS: 426 cut\nS: 226 done\nC: QUIT\nS: 221 bye\n", [("RETR a", 426), ("ABOR", 226), ("QUIT", 221)]),
        # or by the service's.
        ("C: LIST\nS: 150 go\nS: 421 closing\n", [("LIST", 421)]),
    ],
)
def test_replies_that_do_not_wait_find_their_command(script: str, codes: list[tuple[str, int]]) -> None:
    assert requests(talk(LOGIN + script))[2:] == codes
