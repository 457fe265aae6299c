"""What is known of a session when bytes were not captured: at the beginning, in between, or of one side altogether."""

from __future__ import annotations

import pytest

from tests.unit.protocols.smtp.scripts import EHLO, MAIL, QUIT, commands, exchange, read


def test_a_command_that_was_not_captured() -> None:
    dialogue = read(EHLO + "C? MAIL FROM:<a@c>\nS: 250 ok\nC: RCPT TO:<b@mx>\nS: 550 no\nC: DATA\nS: 354 go\nC: hi\nC: .\nS: 250 ok" + QUIT)
    assert commands(dialogue) == [("ehlo", 250), ("rcpt", 550), ("data", 354), ("content", 250), ("quit", 221)]
    assert exchange(dialogue, "rcpt")["mail_open"] is None
    assert exchange(dialogue, "rcpt")["previous"] is None
    assert exchange(dialogue, "rcpt")["pipelined"] is None
    assert all(one.facts["request_seen"] for one in dialogue.exchanges)


def test_a_reply_that_was_not_captured() -> None:
    dialogue = read(EHLO + "C: MAIL FROM:<a@c>\nS? 250 ok\nC: RCPT TO:<b@mx>\nS: 550 no\nC: NOOP\nS: 250 ok")
    assert commands(dialogue)[1:] == [("mail", None), ("rcpt", 550), ("noop", 250)]
    assert exchange(dialogue, "mail")["replied"] is None
    assert exchange(dialogue, "rcpt")["mail_open"] is None


def test_replies_to_a_group_that_were_not_all_captured() -> None:
    dialogue = read(EHLO + "C: MAIL FROM:<a@c>\nC: RCPT TO:<b@mx>\nC: DATA\nS? 250 ok\nS: 550 no\nS: 503 no\nC: RSET\nS: 250 ok")
    assert commands(dialogue)[1:] == [("mail", None), ("rcpt", None), ("data", 503), ("rset", 250)]


def test_a_gap_inside_the_reply_to_ehlo() -> None:
    dialogue = read("S: 220 mx\nC: EHLO c\nS= 250-mx\\r\\n250-PIPE\nS? LINING\nS: 250 SIZE\nC: STARTTLS\nS: 454 no")
    assert commands(dialogue) == [("ehlo", 250), ("starttls", 454)]
    assert dialogue.facts["starttls_offered"] is None
    assert exchange(dialogue, "starttls")["unoffered"] is None
    assert dialogue.facts["malformed_replies"] == 0


def test_every_segment_is_cut() -> None:
    dialogue = read(
        "S= 220 mx\nS? ESMTP\nC: EHLO c\nS= 250-mx\\r\\n250-PIPE\nS? LINING\n"
        "C= MAIL FROM:<a@c>\\r\nC? x\nS= 250 o\nS? k\nC= RCPT TO:<b@\nC? mx>\n"
        "S= 550 n\nS? o\nC= DATA\\r\\n\nS= 354\nS? go\nC= hi\nC? .\nS= 250 Ok: qu\nS? eued\nC= QUI\nC? T\nS= 221\nS? bye"
    )
    *asked, last = dialogue.exchanges
    assert commands(dialogue)[:-1] == [("ehlo", 250), ("mail", 250), ("rcpt", 550), ("data", 354), ("content", 250)]
    assert not any(one.facts["pipelined"] for one in asked)
    assert (last.facts["request_seen"], last.facts["reply_code"]) == (None, 221)
    assert (dialogue.facts["bare_cr"], dialogue.facts["malformed_replies"]) == (0, 0)
    assert dialogue.rows[0]["rcpt_to"] == ("b@…",)


def test_a_gap_in_the_content() -> None:
    dialogue = read(EHLO + MAIL + "C: hi\nC? there\nC: you\nC: .\nS: 250 Ok: queued as 4CEF420E4E5" + QUIT)
    (row,) = dialogue.rows
    assert (row["code"], row["complete"], row["message_size"]) == (250, False, None)
    assert commands(dialogue)[-2:] == [("content", 250), ("quit", 221)]
    assert exchange(dialogue, "content")["content_size"] is None


def test_the_end_of_data_was_not_captured() -> None:
    dialogue = read(EHLO + MAIL + "C: hi\nC? .\nS: 250 ok" + QUIT)
    assert commands(dialogue)[-2:] == [("content", 250), ("quit", 221)]
    assert exchange(dialogue, "content")["end_strict"] is None


def test_starttls_was_not_captured() -> None:
    dialogue = read(EHLO + "C? STARTTLS\nS: 220 go\nC= \\x16\\x03\\x01\\x00\\x02\\x01\\x00")
    assert dialogue.tls == "starttls"
    assert not dialogue.facts["tls_unagreed"]


def test_the_reply_to_starttls_was_not_captured() -> None:
    dialogue = read(EHLO + "C: STARTTLS\nS? 220 go\nC= \\x16\\x03\\x01\\x00\\x02\\x01\\x00")
    assert dialogue.tls == "starttls"
    assert exchange(dialogue, "starttls")["injected"] == 0


def test_the_client_hello_was_not_captured() -> None:
    dialogue = read(EHLO + "C: STARTTLS\nS: 220 go\nC? hello\nS= \\x16\\x03\\x03\\x00\\x01\\x02")
    assert dialogue.tls == "starttls"
    assert dialogue.facts["tls_missing"] is False


def test_mid_stream() -> None:
    dialogue = read("S= 0 ok\\r\\n\nC: RCPT TO:<b@mx>\nS: 250 ok\nC: DATA\nS: 354 go\nC: hi\nC: .\nS: 250 ok" + QUIT, whole=False)
    assert commands(dialogue) == [("rcpt", 250), ("data", 354), ("content", 250), ("quit", 221)]
    assert [
        exchange(dialogue, "rcpt")[fact] for fact in ("greeted", "mail_open", "recipients", "pipelining_offered", "pipelined", "unoffered")
    ] == [
        None,
        None,
        None,
        None,
        None,
        "none",
    ]
    assert dialogue.facts["greeting_code"] is None
    assert dialogue.facts["early"] is None
    (row,) = dialogue.rows
    assert (row["mail_from"], row["rcpt_to"], row["code"]) == (None, ("b@mx",), 250)


def test_mid_content() -> None:
    dialogue = read("C: QUITE a text\nC: help me\nC: .\nS: 250 Ok: queued as 4CEF420E4E5" + QUIT, whole=False)
    assert commands(dialogue) == [("content", 250), ("quit", 221)]
    assert dialogue.facts["unknown_commands"] == 0
    (row,) = dialogue.rows
    assert (row["code"], row["complete"]) == (250, False)


def test_only_the_client_was_captured() -> None:
    dialogue = read(
        "C: EHLO c\n--\nC: MAIL FROM:<a@c>\n--\nC: RCPT TO:<b@mx>\n--\nC: DATA\n--\nC: hi\nC: .\n--\nC: QUIT",
        one_sided=True,
        closing=("fin", ""),
    )
    assert commands(dialogue) == [(verb, None) for verb in ("ehlo", "mail", "rcpt", "data", "content", "quit")]
    for one in dialogue.exchanges:
        assert one.facts["replied"] is None
        assert one.facts["latency"] is None
    assert exchange(dialogue, "mail")["greeted"] is None
    assert exchange(dialogue, "rcpt")["mail_open"] is None
    (row,) = dialogue.rows
    assert (row["mail_from"], row["rcpt_to"], row["rcpt_codes"], row["message_size"], row["code"]) == ("a@c", ("b@mx",), (-1,), 4, None)


def test_only_the_client_was_captured_and_data_was_refused() -> None:
    dialogue = read("C: EHLO c\nC: MAIL FROM:<a@c>\nC: DATA\nC: RSET\nC: QUIT", one_sided=True)
    assert [verb for verb, _ in commands(dialogue)] == ["ehlo", "mail", "data", "rset", "quit"]


def test_only_the_server_was_captured() -> None:
    dialogue = read(
        "S: 220 mx ESMTP\n--\nS: 250-mx\nS: 250 SIZE\n--\nS: 250 ok\n--\nS: 354 go\n--\nS: 250 Ok: queued as 4CEF420E4E5", one_sided=True
    )
    assert dialogue.facts["greeting_code"] == 220
    assert dialogue.facts["early"] is None
    assert [(one.facts["request_seen"], one.facts["reply_code"]) for one in dialogue.exchanges] == [
        (None, 250),
        (None, 250),
        (None, 354),
        (None, 250),
    ]
    assert [(row["code"], row["reply"]) for row in dialogue.rows] == [(250, "Ok: queued as 4CEF420E4E5")]


def test_the_server_was_cut_short() -> None:
    dialogue = read(EHLO + "C: NOOP\nS? 250 ok", closing=("", "fin"))
    assert exchange(dialogue, "noop")["replied"] is None


def test_nothing_at_all() -> None:
    dialogue = read("S? 220 mx\nC? EHLO c")
    assert dialogue.exchanges == []
    assert dialogue.facts["greeting_code"] is None


FIRST = EHLO + "C: MAIL FROM:<one@c>\nS: 250 ok\nC: RCPT TO:<b@mx>\nS: 250 ok\n"
TAKEN = "C: DATA\nS: 354 go\nC: first\n"
LOST_END = "C? .\nS? 250 queued 1\n"
LOST_ENVELOPE = "C? MAIL FROM:<two@c>\nS? 250 ok\nC? RCPT TO:<d@mx>\nS? 250 ok\n"
ENDED = "C? .\nS: 250 queued 1\nC? MAIL FROM:<two@c>\nS: 250 ok\nC? RCPT TO:<d@mx>\nS: 250 ok\n"
LOST_DATA = "C? DATA\nS? 354 go\n"


@pytest.mark.parametrize(
    "lost",
    [
        # The gap begins in the content of one message and ends in that of the next,
        TAKEN + LOST_END + LOST_ENVELOPE + LOST_DATA + "C? second\nC: second\nC: .\nS: 250 queued 2\n",
        # right before the end of data,
        TAKEN + LOST_END + LOST_ENVELOPE + LOST_DATA + "C: .\nS: 250 queued 2\n",
        # in the envelope of one and in front of the next one's DATA, RCPT, or chunk.
        "C? DATA\nS? 354 go\nC? first\n" + LOST_END + LOST_ENVELOPE + "C: DATA\nS: 354 go\nC: second\nC: .\nS: 250 queued 2\n",
        "C? DATA\nS? 354 go\nC? first\n"
        + LOST_END
        + "C? MAIL FROM:<two@c>\nS? 250 ok\nC: RCPT TO:<d@mx>\nS: 250 ok\nC: DATA\nS: 354 go\nC: .\nS: 250 queued 2\n",
        "C? BDAT 4 LAST\nC? hi\nS? 250 queued 1\n" + LOST_ENVELOPE + "C: BDAT 4 LAST\nC: ho\nS: 250 queued 2\n",
        # Of the server's side all is there.
        "C? DATA\nS: 354 go\n" + ENDED + "C: DATA\nS: 354 go\nC: .\nS: 250 queued 2\n",
        TAKEN + ENDED + "C? DATA\nS: 354 go\nC: x\nC: .\nS: 250 queued 2\n",
    ],
)
def test_the_envelope_of_one_message_and_the_reply_to_another_are_not_joined(lost: str) -> None:
    dialogue = read(FIRST + lost + QUIT)
    rows = [(row["mail_from"], row["reply"]) for row in dialogue.rows]
    assert rows[0][0] == "one@c"
    assert rows[-1] == (None, "queued 2")
    assert ("one@c", "queued 2") not in rows
    assert commands(dialogue)[-1] == ("quit", 221)


def test_one_message_with_a_gap_is_still_one() -> None:
    for lost in (
        "C: DATA\nS: 354 go\nC? " + "x" * 200 + "\nC: .\nS: 250 queued",
        "C? RCPT TO:<d@mx>\nS: 250 ok\nC: DATA\nS: 354 go\nC: .\nS: 250 queued",
    ):
        dialogue = read(FIRST + lost + QUIT)
        assert [(row["mail_from"], row["reply"]) for row in dialogue.rows] == [("one@c", "queued")]


def test_all_recipients_are_listed_as_far_as_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    many = "".join(f"C: RCPT TO:<u{number}@mx>\n" for number in range(12_000)) + "S: 250 ok\n" * 12_000
    text = EHLO + "C: MAIL FROM:<a@c>\nS: 250 ok\n" + many + "C: DATA\nS: 354 go\nC: .\nS: 250 ok"
    (row,) = read(text).rows
    assert row["rcpt_to"] == tuple(f"u{number}@mx" for number in range(12_000))
    assert (row["recipients_accepted"], row["code"]) == (12_000, 250)
    monkeypatch.setattr("analyzer.protocols.smtp.session.MAX_LISTED_BYTES", 100_000)
    dialogue = read(text)
    (row,) = dialogue.rows
    assert isinstance(row["rcpt_to"], tuple)
    assert 1_000 < len(row["rcpt_to"]) < 12_000
    assert row["recipients_accepted"] == 12_000
    assert dialogue.cut
