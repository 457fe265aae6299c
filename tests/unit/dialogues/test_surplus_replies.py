"""Replies that answer nothing: a command answered twice, and replies put between the agreement on TLS and TLS (RFC 3207 4, RFC 4217 4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.protocols.ftp import scripts
from tests.unit.protocols.smtp.scripts import EHLO, MAIL, QUIT, commands, exchange, read

if TYPE_CHECKING:
    from analyzer.protocols.api import Fact

HELLO = r"\x16\x03\x01\x00\x02\x01\x00"
SERVER_HELLO = r"\x16\x03\x03\x00\x02\x02\x00"
TLS = f"C= {HELLO}\nS= {SERVER_HELLO}\n"


def surplus(text: str, *, whole: bool = True) -> list[Fact]:
    """Return the codes of the replies that answer no command."""
    return [one.facts["reply_code"] for one in read(text, whole=whole).exchanges if one.facts["request_seen"] is False]


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        (EHLO + "C: NOOP\nS: 250 ok\nS: 251 again\n" + MAIL + "C: hi\nC: .\nS: 250 ok" + QUIT, [251]),
        (EHLO + "C: NOOP\nS: 250 ok\n--\nS: 251 again\n" + MAIL + "C: hi\nC: .\nS: 250 ok" + QUIT, [251]),
        (EHLO + "C: NOOP\nS: 250 ok\nS: 251 a\nS: 252 b\nC: NOOP\nS: 250 ok" + QUIT, [251, 252]),
        (EHLO + MAIL + "C: hi\nC: .\nS: 250 ok\nS: 251 again\nC: RSET\nS: 250 ok" + QUIT, [251]),
        ("S: 220 mx\nS: 220 mx again\nC: EHLO c\nS: 250 mx" + QUIT, [220]),
        (EHLO + QUIT + "S: 221 again", [221]),
        (EHLO + "C: NOOP\nS: 250-ok\nS: 250 again" + QUIT, []),
        (EHLO + "S: 421 timeout", []),
        (EHLO + "S: 451 timeout", []),
        (EHLO + "C: NOOP\nC: NOOP\nS: 250 ok\nS: 250 ok" + QUIT, []),
    ],
)
def test_one_reply_a_command(text: str, codes: list[int]) -> None:
    assert surplus(text) == codes


def test_what_follows_a_surplus_reply_is_paired_as_before() -> None:
    dialogue = read(EHLO + "C: NOOP\nS: 250 ok\nS: 251 again\n" + MAIL + "C: hi\nC: .\nS: 250 queued" + QUIT)
    answered = [(one.facts["command"], one.facts["reply_code"]) for one in dialogue.exchanges if one.facts["request_seen"]]
    assert answered == [("EHLO", 250), ("NOOP", 250), ("MAIL", 250), ("RCPT", 250), ("DATA", 354), ("content", 250), ("QUIT", 221)]
    assert [(row["code"], row["reply"]) for row in dialogue.rows] == [(250, "queued")]


def test_where_something_was_not_captured_nothing_is_known_to_be_surplus() -> None:
    assert surplus(EHLO + "C? NOOP\nS: 250 ok\nC: RSET\nS: 250 ok" + QUIT) == []
    assert surplus("C: RSET\nS: 250 ok\nS: 250 again\nC: NOOP\nS: 250 ok", whole=False) == []


@pytest.mark.parametrize(
    ("text", "count", "frame"),
    [
        ("C: STARTTLS\nS: 220 go\nS: 250-evil\nS: 250 AUTH PLAIN\n" + TLS, 1, 5),
        ("C: STARTTLS\nS: 220 go\nS: 250 evil\nS: 250 ok\n" + TLS, 2, 5),
        ("C: STARTTLS\nS: 220 go\n--\nS: 250 evil\n" + TLS, 1, 6),
        (f"C: STARTTLS\nS: 220 go\nC= {HELLO}\nS: 250 evil\n--\nS= {SERVER_HELLO}\n", 1, 7),
        (f"C: STARTTLS\nS: 220 go\nS= what\\n\nC= {HELLO}\nS= {SERVER_HELLO}\n", 1, 5),
        (f"C: STARTTLS\nS: 220 go\nC= {HELLO}\nS: 454 no TLS here\n", 1, 7),
        ("C: STARTTLS\nS: 220 go\n" + TLS, 0, None),
        ("C: STARTTLS\nC: RSET\nS: 220 go\nS: 250 ok\n" + TLS, 0, None),
    ],
)
def test_replies_between_the_220_and_tls(text: str, count: int, frame: int | None) -> None:
    dialogue = read(EHLO + text)
    assert dialogue.tls == "starttls"
    assert exchange(dialogue, "starttls")["injected_replies"] == count
    assert next(one for one in dialogue.exchanges if one.facts["command"] == "STARTTLS").evidence.get("injected_reply") == frame
    assert commands(dialogue)[-1] == ("starttls", 220)


@pytest.mark.parametrize(
    ("sent", "injected"),
    [
        ("S: 234 go\nS: 230 in\n", True),
        ("S: 234 go\nS: 230-in\nS: 230 again\n", True),
        ("S: 234 go\n", False),
    ],
)
@pytest.mark.parametrize("sizes", [(), (1,), (7,)])
def test_replies_between_the_234_and_tls(sent: str, injected: bool, sizes: tuple[int, ...]) -> None:  # noqa: FBT001 - drawn
    script = scripts.messages("S: 220 x\nC: AUTH TLS\n" + sent)
    tls: list[scripts.Message] = [("client", b"\x16\x03\x01\x00\x02\x01\x00"), ("server", b"\x16\x03\x03\x00\x02\x02\x00")]
    dialogue = scripts.talk([*script, *tls], sizes=sizes)
    assert dialogue.facts["auth_reply_injection"] is injected
    assert dialogue.tls == "auth-tls"
    assert scripts.requests(dialogue) == [("AUTH TLS", 234)]


@pytest.mark.parametrize("sizes", [(), (1,), (5,)])
def test_ftp_commands_behind_a_surplus_reply_have_their_own(sizes: tuple[int, ...]) -> None:
    dialogue = scripts.talk(scripts.LOGIN + 'C: NOOP\nS: 200 ok\nS: 250 again\nC: PWD\nS: 257 "/"\nC: QUIT\nS: 221 bye\n', sizes=sizes)
    assert scripts.requests(dialogue)[2:] == [("NOOP", 200), ("", 250), ("PWD", 257), ("QUIT", 221)]
    assert [one.facts["request_seen"] for one in dialogue.exchanges][2:] == [True, False, True, True]
