"""BDAT that the server refuses, and what is said after it: the reader stays with the dialogue, as the server read it (RFC 3030)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.protocols.smtp.scripts import EHLO, QUIT, commands, read

if TYPE_CHECKING:
    from analyzer.protocols.api import Dialogue

ENVELOPE = "C: MAIL FROM:<a@c>\nS: 250 ok\nC: RCPT TO:<b@mx>\nS: 250 ok\n"
NEXT = "C: RSET\nS: 250 ok\n" + ENVELOPE + "C: DATA\nS: 354 go\nC: hi\nC: .\nS: 250 queued" + QUIT


def follows(dialogue: Dialogue) -> None:
    """Assert that the mail behind the refused chunk is read: by DATA, to the reply that takes it, and QUIT."""
    assert commands(dialogue)[-5:] == [("mail", 250), ("rcpt", 250), ("data", 354), ("content", 250), ("quit", 221)]
    row = dialogue.rows[-1]
    assert (row["mail_from"], row["rcpt_to"], row["code"], row["reply"], row["complete"]) == ("a@c", ("b@mx",), 250, "queued", True)
    assert dialogue.facts["unfinished"] is False
    assert not [one for one in dialogue.exchanges if one.facts["request_seen"] is False]


@pytest.mark.parametrize(
    "refused",
    [
        # The client was refused before it sent an octet, and sends none.
        "C: BDAT 14 LAST\nS: 503 MAIL first\n",
        ENVELOPE + "C: BDAT 14 LAST\nS: 554 no\n",
        ENVELOPE + "C: BDAT 99999999 LAST\nS: 552 5.3.4 too big\n",
        ENVELOPE + "C: BDAT 14\nS: 452 full\n",
        ENVELOPE + "C: BDAT 4\nC: hi\nS: 250 ok\nC: BDAT 4000 LAST\nS: 552 too big\n",
        # It sends them all the same, and the server throws them away.
        ENVELOPE + "C: BDAT 14 LAST\nS: 554 no\nC: twelve bytes\n",
        # They were under way when the server refused.
        ENVELOPE + "C: BDAT 14 LAST\nC: twelve bytes\nS: 554 no\n",
        ENVELOPE + "C: BDAT 4\nC: hi\nC: BDAT 4 LAST\nC: ho\nS: 554 no\nS: 503 no\n",
        ENVELOPE + "C: BDAT 4\nC: hi\nC: BDAT 4\nC: ho\nC: BDAT 4 LAST\nC: hu\nS: 250 ok\nS: 452 full\nS: 503 no\n",
        # A chunk that holds what looks like commands, under way when the server refused.
        ENVELOPE + "C: BDAT 12 LAST\nC: RSET\nC: QUIT\nS: 554 no\n",
        # A server that does not know BDAT reads the octets as commands.
        ENVELOPE + "C: BDAT 14 LAST\nS: 502 what\nC: twelve bytes\nS: 500 what\n",
        ENVELOPE + "C: BDAT 14 LAST\nC: twelve bytes\nS: 500 what\nS: 500 what\n",
        ENVELOPE + "C: BDAT 8 LAST\nC: hi\nC: ho\nS: 503 no\nS: 500 what\nS: 500 what\n",
        # The client was refused in the middle of a chunk, and leaves it.
        ENVELOPE + "C: BDAT 9999 LAST\nC: one line\nS: 552 too big\n",
    ],
)
def test_a_refused_chunk_does_not_take_what_follows(refused: str) -> None:
    follows(read(EHLO + refused + NEXT, closing=("fin", "fin")))


def test_octets_that_were_thrown_away_are_no_commands() -> None:
    dialogue = read(EHLO + ENVELOPE + "C: BDAT 12 LAST\nC: RSET\nC: QUIT\nS: 554 no" + QUIT)
    assert commands(dialogue)[3:] == [("bdat", 554), ("quit", 221)]
    assert dialogue.facts["unknown_commands"] == 0


def test_octets_that_were_taken_are_no_commands() -> None:
    dialogue = read(EHLO + ENVELOPE + "C: BDAT 12\nC: RSET\nC: QUIT\nS: 250 ok\nC: BDAT 0 LAST\nS: 250 queued" + QUIT)
    assert commands(dialogue)[3:] == [("bdat", 250), ("bdat", 250), ("quit", 221)]
    assert (dialogue.rows[0]["message_size"], dialogue.rows[0]["chunks"]) == (12, 2)


def test_a_refusal_without_octets_is_no_message_cut_short() -> None:
    dialogue = read(EHLO + ENVELOPE + "C: BDAT 14 LAST\nS: 554 no\nC: QUIT\nS: 221 bye", closing=("fin", "fin"))
    assert (dialogue.facts["unfinished"], dialogue.facts["quit_seen"]) == (False, True)
