"""Mail, recipients, logins and transfers that the server refused: one finding each, with the server's words and no secret in them."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import pytest

from analyzer import api, notation, rules
from tests.unit.protocols.scripted import Talk, turns
from tests.unit.protocols.scripted import notation as script

if TYPE_CHECKING:
    from analyzer.model import Report
    from analyzer.rules import RuleSet

HELLO = "S: 220 mx ESMTP\nC: EHLO c\nS: 250-mx\nS: 250-CHUNKING\nS: 250-PIPELINING\nS: 250 AUTH PLAIN LOGIN\n"
MAIL = HELLO + "C: MAIL FROM:<a@c.example>\nS: 250 ok\n"
TAKEN = MAIL + "C: RCPT TO:<b@mx.example>\nS: 250 ok\n"
DATA = TAKEN + "C: DATA\nS: 354 go\nC: hi\nC: .\n"
LMTP = "S: 220 mx LMTP\nC: LHLO c\nS: 250 mx\nC: MAIL FROM:<a@c>\nS: 250 ok\nC: RCPT TO:<b@mx>\nS: 250 ok\nC: RCPT TO:<d@mx>\nS: 250 ok\n"
LOGIN = "S: 220 ready\nC: USER jo\nS: 331 password\nC: PASS x\nS: 230 in\n"
QUIT = "C: QUIT\nS: 221 bye\n"

MAILS = [
    # One or several recipients, all refused, in every order of commands and replies.
    (MAIL + "C: RCPT TO:<n@mx>\nS: 550 5.1.1 unknown\n" + QUIT, {"smtp-recipients-refused": "550 5.1.1 unknown"}),
    (
        MAIL + "C: RCPT TO:<n@mx>\nC: RCPT TO:<o@mx>\nS: 550 5.1.1 n\nS: 551 5.1.6 o\n" + QUIT,
        {"smtp-recipients-refused": "550 5.1.1 n (2 times)"},
    ),
    (
        MAIL + "C: RCPT TO:<n@mx>\nS: 550-5.7.1 not\nS: 550 5.7.1 wanted\nC: RSET\nS: 250 ok\n",
        {"smtp-recipients-refused": "550 5.7.1 not 5.7.1 wanted"},
    ),
    (
        HELLO + "C: MAIL FROM:<a@c>\nC: RCPT TO:<n@mx>\nC: DATA\nS: 250 ok\nS: 550 no\nS: 554 no valid recipients\n",
        {"smtp-recipients-refused": "550 no"},
    ),
    (MAIL + "C: RCPT TO:<n@mx>\nS: 550 no\n", {"smtp-recipients-refused": "550 no"}),
    (MAIL + "C: RCPT TO:<n@mx>\nS: 530 5.7.0 STARTTLS first\n", {"smtp-recipients-refused": "530 5.7.0 STARTTLS first"}),
    # Another recipient is accepted, before it or after it.
    (TAKEN + "C: RCPT TO:<n@mx>\nS: 550 no\nC: DATA\nS: 354 go\nC: .\nS: 250 ok\n", {"smtp-recipient-refused": "550 no"}),
    (MAIL + "C: RCPT TO:<n@mx>\nS: 550 no\nC: RCPT TO:<b@mx>\nS: 250 ok\n", {"smtp-recipient-refused": "550 no"}),
    # In two messages of one connection each is looked at by itself.
    (DATA + "S: 250 ok\nC: MAIL FROM:<a@c>\nS: 250 ok\nC: RCPT TO:<n@mx>\nS: 550 no\n", {"smtp-recipients-refused": "550 no"}),
    # For now: greylisting, too many recipients.
    (MAIL + "C: RCPT TO:<b@mx>\nS: 451 4.7.1 greylisted\n" + QUIT, {"smtp-refused-for-now": "451 4.7.1 greylisted"}),
    (TAKEN + "C: RCPT TO:<d@mx>\nS: 452 4.5.3 too many\n", {"smtp-refused-for-now": "452 4.5.3 too many"}),
    (
        MAIL + "C: RCPT TO:<b@mx>\nS: 450 later\nC: RCPT TO:<n@mx>\nS: 550 no\n",
        {"smtp-refused-for-now": "450 later", "smtp-recipients-refused": "550 no"},
    ),
    (DATA + "S: 451 4.3.0 later\n", {"smtp-refused-for-now": "451 4.3.0 later"}),
    (HELLO + "C: MAIL FROM:<a@c>\nS: 452 4.3.1 no space\n", {"smtp-refused-for-now": "452 4.3.1 no space"}),
    (MAIL + "C: RCPT TO:<b@mx>\nS: 421 4.7.0 too many\n", {}),
    # The sender and the message.
    (HELLO + "C: MAIL FROM:<a@c>\nS: 550 5.7.1 no\n" + QUIT, {"smtp-mail-refused": "550 5.7.1 no"}),
    (HELLO + "C: MAIL FROM:<a@c>\nC: RCPT TO:<b@mx>\nC: DATA\nS: 550 no\nS: 503 no\nS: 503 no\n", {"smtp-mail-refused": "550 no"}),
    (TAKEN + "C: DATA\nS: 554 5.5.1 no\n", {"smtp-mail-refused": "554 5.5.1 no"}),
    (DATA + "S: 552 5.3.4 too big\n", {"smtp-mail-refused": "552 5.3.4 too big"}),
    (TAKEN + "C: BDAT 4\nC: hi\nS: 554 spam\n", {"smtp-mail-refused": "554 spam"}),
    (HELLO + "C: MAIL FROM:<a@c>\nS: 503 log in first\n", {"smtp-mail-refused": "503 log in first"}),
    ("S: 220 mx ESMTP\nC: EHLO c\nS: 504 5.5.2 bad name\n" + QUIT, {"smtp-hello-refused": "504 5.5.2 bad name"}),
    ("S: 220 mx ESMTP\nC: EHLO c\nS: 502 what\nC: HELO c\nS: 250 mx\n", {}),
    # LMTP's replies to the content.
    (LMTP + "C: DATA\nS: 354 go\nC: .\nS: 552 full\nS: 250 ok\n", {"smtp-recipient-refused": "552 full"}),
    (LMTP + "C: DATA\nS: 354 go\nC: .\nS: 552 full\nS: 554 no\n", {"smtp-mail-refused": "554 no"}),
    # What refuses and is no mail.
    (HELLO + "C: VRFY root\nS: 550 5.1.1 unknown\n", {"smtp-lookup-refused": "550 5.1.1 unknown"}),
    (HELLO + "C: VRFY root\nS: 252 try\nC: EXPN all\nS: 502 no\n", {"smtp-lookup-refused": "502 no"}),
    (HELLO + "C: NOOP\nS: 500 what\n" + QUIT, {}),
    (DATA + "S: 250 ok\n" + QUIT, {}),
    (
        HELLO + "C: AUTH PLAIN AGpvAHNlY3JldC13b3Jk\nS: 535 5.7.8 jo with secret-word\n",
        {"smtp-login-refused": "535 5.7.8 jo with (hidden)"},
    ),
    (
        HELLO + "C: AUTH PLAIN AGpvAHNlY3JldC13b3Jk\nS: 535 no\nC: AUTH PLAIN AGpvAHNlY3JldC13b3Jr\nS: 235 ok\n",
        {"smtp-login-refused-first": "535 no"},
    ),
]
FILES = [
    (LOGIN + "C: PASV\nS: 227 (198,51,100,1,195,80)\nC: RETR a\nS: 550 a: none\n", {"ftp-transfer-refused": "550 a: none"}),
    (LOGIN + "C: PASV\nS: 227 (198,51,100,1,195,80)\nC: STOR a\nS: 553 no\n", {"ftp-transfer-refused": "553 no"}),
    (LOGIN + "C: PASV\nS: 227 (198,51,100,1,195,80)\nC: RETR a\nS: 150 go\nS: 451 disk\n", {"ftp-transfer-refused": "451 disk"}),
    (LOGIN + "C: PASV\nS: 227 (198,51,100,1,195,80)\nC: NLST\nS: 550 none\n", {"ftp-listing-refused": "550 none"}),
    (LOGIN + "C: CWD /a\nS: 550 none\n", {}),
    (LOGIN + "C: PASV\nS: 227 (198,51,100,1,195,80)\nC: RETR a\nS: 425 no\n", {}),
    (
        "S: 220 ready\nC: USER jo\nS: 331 p\nC: PASS secret-word\nS: 530 secret-word is wrong\n",
        {"ftp-login-refused": "530 (hidden) is wrong"},
    ),
    ("S: 220 ready\nC: USER jo\nS: 530 no such user\n", {"ftp-login-refused": "530 no such user"}),
    (
        "S: 220 ready\nC: USER jo\nS: 331 p\nC: PASS a\nS: 530 no\nC: USER jo\nS: 331 p\nC: PASS b\nS: 230 in\n",
        {"ftp-login-refused-first": "530 no"},
    ),
]


@cache
def _rules() -> RuleSet:
    return rules.load()


@cache
def _report() -> Report:
    """Return the report on all dialogues, a connection each: enough of them that blocks are made."""
    talks = [Talk(port, turns(text)) for port, cases in ((25, MAILS), (21, FILES)) for text, _ in cases]
    return api.analyze_script(notation.parse(script(talks)), _rules())


@pytest.mark.parametrize("number", range(len(MAILS) + len(FILES)))
def test_one_finding_says_what_was_refused_in_the_words_of_the_server(number: int) -> None:
    _, expected = (MAILS + FILES)[number]
    table = _report().findings
    own = table[(table["flow_id"] == f"f{number + 1}") & table["id"].str.contains("-refused")]
    assert {id_: message.partition(": ")[2] for id_, message in zip(own["id"], own["message"], strict=True)} == expected


def test_words_come_from_dialogues_read_alone_as_from_many() -> None:
    text, _ = MAILS[0]
    alone = api.analyze_script(notation.parse(script([Talk(25, turns(text))])), _rules()).findings.query("id == 'smtp-recipients-refused'")
    together = _report().findings
    assert alone["message"].tolist() == together.query("flow_id == 'f1' and id == 'smtp-recipients-refused'")["message"].tolist() != []


def test_a_condition_cannot_ask_for_words() -> None:
    from analyzer.errors import RuleError
    from analyzer.rules import check

    entry = {"scope": "exchange", "when": "words == words", "evidence": ["request"]}
    with pytest.raises(RuleError, match="words is not declared"):
        check.build(entry, _rules().machine, _rules().protocols, "smtp", "here")


def test_refusals_that_did_not_settle_a_message_stand_in_its_row() -> None:
    place = next(number for number, (text, _) in enumerate(MAILS) if text.startswith(TAKEN + "C: RCPT TO:<n@mx>"))
    rows = _report().transactions
    (row,) = rows[rows["flow_id"] == f"f{place + 1}"].to_dict("records")
    assert (row["code"], row["refusals"], row["complete"]) == (250, ("550 no",), True)
    (first,) = rows[rows["flow_id"] == "f1"].to_dict("records")
    assert (first["code"], first["reply"], first["refusals"], first["complete"]) == (550, "5.1.1 unknown", (), True)
