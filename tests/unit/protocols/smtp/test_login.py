"""AUTH in every form: how it went, whose name it was, and that no secret gets out."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING

import pytest

from analyzer.protocols.smtp.login import decoded
from tests.unit.protocols.smtp.scripts import EHLO, MAIL, exchange, read

if TYPE_CHECKING:
    from analyzer.protocols.api import Dialogue

SECRET = "pa55-w0rd"  # noqa: S105 - planted
"""What must never be seen, as it is or in base64."""


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


PLAIN = b64(f"\0bob\0{SECRET}")
NAME, WORD = b64("bob"), b64(SECRET)
ASK_NAME, ASK_WORD = b64("Username:"), b64("Password:")
BEARER = b64(f"user=bob@mx\x01auth=Bearer {SECRET}\x01\x01")
OAUTH = b64(f"n,a=bob@mx,\x01host=mx\x01port=25\x01auth=Bearer {SECRET}\x01\x01")
CRAM = b64("bob " + "0123456789abcdef" * 2)
SCRAM = b64("n,,n=bob,r=fyko+d2lbbFgONRv9qkxdawL")
DIGEST = b64('username="bob",realm="mx",response=d388dad90d4bbd760a152321f2143af7')

LOGINS = {
    "plain, at once": (f"C: AUTH PLAIN {PLAIN}\nS: 235 ok", "PLAIN", "bob", True, 0, 235),
    "plain, asked for": (f"C: AUTH PLAIN\nS: 334 \nC: {PLAIN}\nS: 235 ok", "PLAIN", "bob", True, 1, 235),
    "plain for another": (f"C: AUTH PLAIN {b64(f'amy{chr(0)}bob{chr(0)}{SECRET}')}\nS: 535 no", "PLAIN", "bob", True, 0, 535),
    "plain, in one segment": (f"C: AUTH PLAIN\nC: {PLAIN}\nS: 334 \nS: 235 ok", "PLAIN", "bob", True, 1, 235),
    "plain, malformed": (f"C: AUTH PLAIN {b64('bob ' + SECRET)}\nS: 501 no", "PLAIN", None, True, 0, 501),
    "plain, no base64": (f"C: AUTH PLAIN {SECRET}\nS: 501 no", "PLAIN", None, True, 0, 501),
    "login": (f"C: AUTH LOGIN\nS: 334 {ASK_NAME}\nC: {NAME}\nS: 334 {ASK_WORD}\nC: {WORD}\nS: 235 ok", "LOGIN", "bob", True, 2, 235),
    "login, name at once": (f"C: AUTH LOGIN {NAME}\nS: 334 {ASK_WORD}\nC: {WORD}\nS: 235 ok", "LOGIN", "bob", True, 1, 235),
    "login, in one segment": (
        f"C: AUTH LOGIN\nC: {NAME}\nC: {WORD}\nS: 334 {ASK_NAME}\nS: 334 {ASK_WORD}\nS: 235 ok",
        "LOGIN",
        "bob",
        True,
        2,
        235,
    ),
    "login, password asked first": (
        f"C: AUTH LOGIN\nS: 334 {ASK_WORD}\nC: {WORD}\nS: 334 {ASK_NAME}\nC: {NAME}\nS: 235 ok",
        "LOGIN",
        None,
        True,
        2,
        235,
    ),
    "login, prompts that say nothing": (f"C: AUTH LOGIN\nS: 334 \nC: {NAME}\nS: 334 \nC: {WORD}\nS: 535 no", "LOGIN", None, True, 2, 535),
    "login, in the clear": (
        f"C: AUTH LOGIN\nS: 334 {ASK_NAME}\nC: {SECRET}\nS: 334 {ASK_WORD}\nC: {SECRET}\nS: 501 no",
        "LOGIN",
        None,
        True,
        2,
        501,
    ),
    "xoauth2": (f"C: AUTH XOAUTH2 {BEARER}\nS: 235 ok", "XOAUTH2", "bob@mx", True, 0, 235),
    "xoauth2, refused": (f"C: AUTH XOAUTH2 {BEARER}\nS: 334 eyJzdGF0dXMiOiI0MDAifQ==\nC: =\nS: 535 no", "XOAUTH2", "bob@mx", True, 1, 535),
    "oauthbearer": (f"C: AUTH OAUTHBEARER {OAUTH}\nS: 235 ok", "OAUTHBEARER", "bob@mx", True, 0, 235),
    "cram-md5": (f"C: AUTH CRAM-MD5\nS: 334 PDEyMz4=\nC: {CRAM}\nS: 235 ok", "CRAM-MD5", "bob", False, 1, 235),
    "scram": (
        f"C: AUTH SCRAM-SHA-256 {SCRAM}\nS: 334 cj0x\nC: Yz1iaXdz\nS: 334 dj0x\nC: \nS: 235 ok",
        "SCRAM-SHA-256",
        "bob",
        False,
        2,
        235,
    ),
    "digest-md5": (f"C: AUTH DIGEST-MD5\nS: 334 cj0x\nC: {DIGEST}\nS: 334 cj0y\nC: \nS: 235 ok", "DIGEST-MD5", "bob", False, 2, 235),
    "one nobody knows": (f"C: AUTH X-OWN {WORD}\nS: 504 no", "(other)", None, True, 0, 504),
    "refused before the answers": (
        f"C: AUTH LOGIN\nS: 538 not here\nC: {NAME}\nC: {WORD}\nS: 500 {NAME}?\nS: 500 {WORD}?",
        "LOGIN",
        None,
        False,
        0,
        538,
    ),
}


def told(dialogue: Dialogue) -> str:
    """Return all that a dialogue tells, as one text."""
    return repr((dialogue.summary, dialogue.facts, dialogue.rows, [one.facts for one in dialogue.exchanges]))


@pytest.mark.parametrize("form", LOGINS)
def test_logins(form: str) -> None:
    text, mechanism, name, clear, turns, code = LOGINS[form]
    dialogue = read(EHLO + text + MAIL + f"C: hi\nC: .\nS: 550 no, {PLAIN} {SECRET} {WORD}")
    facts = exchange(dialogue, "auth")
    assert (facts["credentials"], facts["turns"], facts["reply_code"], facts["cancelled"]) == (clear, turns, code, False)
    assert (dialogue.facts["logins"], dialogue.facts["login_code"]) == (1, code)
    assert (dialogue.rows[0]["auth_mechanism"], dialogue.rows[0]["auth_user"]) == (mechanism, name)
    assert dialogue.rows[0]["mail_from"] == "a@c"


@pytest.mark.parametrize("form", LOGINS)
def test_no_secret_gets_out(form: str) -> None:
    text = LOGINS[form][0]
    sent = {
        word for line in re.findall(r"C: (.*)", text) for word in line.split() if word not in {"AUTH", "X-OWN", LOGINS[form][1], NAME, "="}
    }
    if any(SECRET in word or SECRET.encode() in (decoded(word.encode()) or b"") for word in sent):
        sent |= {SECRET, WORD}
    dialogue = read(EHLO + text + MAIL + f"C: hi\nC: .\nS: 550 {' '.join(sorted(sent))}")
    assert dialogue.rows[0]["reply"] is not None
    for word in sent:
        assert word not in told(dialogue), word


def test_a_secret_may_be_asked_for() -> None:
    dialogue = read(EHLO + LOGINS["login"][0], secrets=True)
    assert SECRET in dialogue.summary
    assert SECRET not in told(read(EHLO + LOGINS["login"][0]))


def test_cancelled() -> None:
    dialogue = read(EHLO + f"C: AUTH LOGIN\nS: 334 {ASK_NAME}\nC: {NAME}\nS: 334 {ASK_WORD}\nC: *\nS: 501 cancelled\nC: NOOP\nS: 250 ok")
    facts = exchange(dialogue, "auth")
    assert (facts["cancelled"], facts["reply_code"], facts["turns"]) == (True, 501, 2)
    assert "cancelled" in dialogue.summary
    assert exchange(dialogue, "noop")["logged_in"] is False


def test_lines_behind_a_refused_login_are_credentials() -> None:
    dialogue = read(EHLO + f"C: AUTH LOGIN\nC: {NAME}\nC: {WORD}\nC: QUIT\nS: 503 no\nS: 500 no\nS: 500 no\nS: 221 bye")
    assert [one.facts["credentials"] for one in dialogue.exchanges] == [False, False, True, True, False]
    assert dialogue.facts["unknown_commands"] == 0


@pytest.mark.parametrize(
    "line", [SECRET, f"PASS {SECRET}", f"AUTHPLAIN {PLAIN}", WORD, f"LOGIN bob {SECRET}", f"AUTH {WORD}", f"AUTH {SECRET}"]
)
def test_a_password_where_a_command_belongs(line: str) -> None:
    sent = line.rsplit(maxsplit=1)[-1]
    dialogue = read(EHLO + f"C: {line}\nS: 500 what is {line}\nC: MAIL FROM:<a@c>\nS: 550 not after {line}" + "\nC: QUIT\nS: 221 bye")
    assert "(hidden)" in str(dialogue.rows[0]["reply"])
    assert sent not in told(dialogue)
    assert sent.upper() not in told(dialogue)


def test_the_state_a_login_leaves() -> None:
    text = (
        EHLO
        + f"C: AUTH PLAIN {PLAIN}\nS: 235 ok\nC: AUTH PLAIN {PLAIN}\nS: 503 no\nC: MAIL FROM:<a@c>\nS: 250 ok\nC: AUTH X {PLAIN}\nS: 503 no"
    )
    dialogue = read(text)
    assert [exchange(dialogue, "auth", number)["logged_in"] for number in (1, 2, 3)] == [False, True, True]
    assert [exchange(dialogue, "auth", number)["mechanism_offered"] for number in (1, 2, 3)] == [True, True, False]
    assert exchange(dialogue, "auth", 3)["mail_open"]


def test_only_the_client_was_captured() -> None:
    dialogue = read(f"C: EHLO c\nC: AUTH LOGIN\nC: {NAME}\nC: {WORD}\nC: MAIL FROM:<a@c>", one_sided=True)
    facts = exchange(dialogue, "auth")
    assert (facts["credentials"], facts["turns"], facts["replied"]) == (True, 2, None)
    assert dialogue.rows[0]["mail_from"] == "a@c"
    assert dialogue.rows[0]["auth_user"] is None
    assert SECRET not in told(dialogue)


def test_the_answer_is_not_there_yet() -> None:
    facts = exchange(read(EHLO + f"C: AUTH LOGIN\nS: 334 {ASK_NAME}"), "auth")
    assert (facts["reply_code"], facts["reply_expected"], facts["credentials"]) == (334, True, False)
