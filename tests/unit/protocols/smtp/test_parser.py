"""SMTP sessions, read: what the standard says of each, told from the scripted bytes."""

from __future__ import annotations

import pytest

from tests.unit.protocols.smtp.scripts import EHLO, MAIL, QUIT, commands, exchange, read

HELLO = r"\x16\x03\x01\x00\x02\x01\x00"


def test_plain_session() -> None:
    dialogue = read(EHLO + MAIL + "C: Subject: x\nC: \nC: hi\nC: .\nS: 250 2.0.0 Ok: queued as 4CEF420E4E5" + QUIT)
    assert commands(dialogue) == [("ehlo", 250), ("mail", 250), ("rcpt", 250), ("data", 354), ("content", 250), ("quit", 221)]
    assert all(one.facts["replied"] and one.facts["reply_expected"] and not one.facts["pipelined"] for one in dialogue.exchanges)
    assert [(one.evidence["request"], one.evidence["reply"]) for one in dialogue.exchanges] == [(n, n + 1) for n in (2, 4, 6, 8, 10, 12)]
    assert dialogue.facts["greeting_code"] == 220
    assert dialogue.facts["greeting_expected"]
    assert dialogue.facts["early"] is False
    assert dialogue.facts["quit_seen"]
    (row,) = dialogue.rows
    assert (row["mail_from"], row["rcpt_to"], row["rcpt_codes"]) == ("a@c", ("b@mx",), (250,))
    assert (row["code"], row["queue_id"], row["complete"], row["message_size"]) == (250, "4CEF420E4E5", True, 18)
    assert (row["first_frame"], row["last_frame"], row["latency_ms"]) == (4, 11, 1.0)
    assert row["request_bytes"] == len("MAIL FROM:<a@c>..RCPT TO:<b@mx>..DATA..Subject: x....hi.....")
    assert dialogue.summary == "ESMTP mx, 1 recipient"


def test_recipients_have_their_own_replies() -> None:
    dialogue = read(
        EHLO
        + "C: MAIL FROM:<> SIZE=9\nS: 250 ok\nC: RCPT TO:<a@mx>\nS: 250 ok\nC: RCPT TO:<no@mx>\nS: 550 no such user\n"
        + "C: RCPT TO:<b@mx>\nS: 251 ok\nC: DATA\nS: 354 go\nC: .\nS: 250 ok"
    )
    (row,) = dialogue.rows
    assert row["mail_from"] == "<>"
    assert row["declared_size"] == 9
    assert row["rcpt_codes"] == (250, 550, 251)
    assert (row["recipients_accepted"], row["recipients_refused"], row["message_size"]) == (2, 1, 0)
    assert "3 recipients, 1 refused" in dialogue.summary


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("250 2.0.0 Ok: queued as 0371E20E454", "0371E20E454"),
        ("250 OK id=1pgobK-001mwq-ED", "1pgobK-001mwq-ED"),
        ("250 2.0.0 s26F4n1k012345 Message accepted for delivery", "s26F4n1k012345"),
        ("250 2.0.0 1f2e3d4c Message accepted for delivery", "1f2e3d4c"),
        ("250 ok 1184401929 qp 26211", "26211"),
        ("250 2.0.0 OK  1700000000 d9-20020a.123 - gsmtp", "1700000000 d9-20020a.123"),
        ("250 2.6.0 <abc@mx.example> [InternalId=1] Queued mail for delivery", "abc@mx.example"),
        ("250 ok", None),
    ],
)
def test_queue_ids(line: str, name: str | None) -> None:
    assert read(EHLO + MAIL + f"C: hi\nC: .\nS: {line}").rows[0]["queue_id"] == name


def test_a_message_that_was_refused_has_no_queue_id() -> None:
    assert read(EHLO + MAIL + "C: hi\nC: .\nS: 554 rejected, id=1pgobK-001mwq-ED").rows[0]["queue_id"] is None


def test_pipelined_group() -> None:
    dialogue = read(
        EHLO
        + "C: MAIL FROM:<a@c>\nC: RCPT TO:<b@mx>\nC: DATA\nS: 250 ok\nS: 250 ok\nS: 354 go\nC: hi\nC: .\nC: QUIT\nS: 250 ok\nS: 221 bye"
    )
    assert [one.facts["pipelined"] for one in dialogue.exchanges] == [False, False, True, True, False, True]
    assert commands(dialogue)[1:] == [("mail", 250), ("rcpt", 250), ("data", 354), ("content", 250), ("quit", 221)]


def test_pipelined_data_refused_makes_what_follows_commands() -> None:
    dialogue = read(
        EHLO
        + "C: MAIL FROM:<a@c>\nC: RCPT TO:<b@mx>\nC: DATA\nC: RSET\nC: hello there\nS: 250 ok\nS: 550 no\nS: 554 no\nS: 250 ok\nS: 500 what"
    )
    assert commands(dialogue)[1:] == [("mail", 250), ("rcpt", 550), ("data", 554), ("rset", 250), ("other", 500)]
    assert dialogue.rows[0]["code"] == 554


def test_what_the_client_could_not_know_is_unknown() -> None:
    dialogue = read(EHLO + "C: MAIL FROM:<a@c>\nC: RCPT TO:<b@mx>\nC: DATA\nS: 550 no\nS: 503 no\nS: 503 no\nC: RCPT TO:<b@mx>\nS: 503 no")
    assert exchange(dialogue, "rcpt")["mail_open"] is None
    assert exchange(dialogue, "data")["recipients"] is None
    assert exchange(dialogue, "rcpt", 2)["mail_open"] is False
    assert (dialogue.rows[0]["code"], dialogue.rows[0]["rcpt_codes"]) == (550, (503, 503))


def test_chunks() -> None:
    dialogue = read(
        EHLO
        + "C: MAIL FROM:<a@c>\nC: RCPT TO:<b@mx>\nC: BDAT 4\nC= a\\r\\nb\nC= BDAT 3 LAST\\r\\n\\r\\n.\n"
        + "S: 250 ok\nS: 250 ok\nS: 250 4 octets\nS: 250 OK id=1pgobK-001mwq-ED"
        + QUIT
    )
    assert commands(dialogue)[1:] == [("mail", 250), ("rcpt", 250), ("bdat", 250), ("bdat", 250), ("quit", 221)]
    (row,) = dialogue.rows
    assert (row["data_verb"], row["chunks"], row["message_size"], row["complete"]) == ("BDAT", 2, 7, True)
    assert row["queue_id"] == "1pgobK-001mwq-ED"
    assert dialogue.facts["bare_lf"] == 0


@pytest.mark.parametrize(
    ("size", "fault"), [("-1 LAST", "negative"), ("15555555557777777777 LAST", "overflow"), ("LAST", "syntax"), ("0x10", "syntax")]
)
def test_chunk_sizes_that_are_none(size: str, fault: str) -> None:
    dialogue = read(EHLO + f"C: MAIL FROM:<a@c>\nS: 250 ok\nC: BDAT {size}\nC: hi\nC: there\nS: 521 what\nS: 500 what\nS: 500 what" + QUIT)
    assert exchange(dialogue, "bdat")["chunk_fault"] == fault
    assert commands(dialogue)[-1] == ("quit", 221)


def test_a_refused_chunk_is_passed_over() -> None:
    dialogue = read(EHLO + "C: MAIL FROM:<a@c>\nS: 250 ok\nC= BDAT 6 LAST\\r\\nQUIT\\r\\nRSET\\r\\n\nS: 503 no\nS: 250 ok")
    assert commands(dialogue)[-2:] == [("bdat", 503), ("rset", 250)]


def test_lmtp_has_a_reply_for_each_recipient() -> None:
    dialogue = read(
        "S: 220 mx LMTP\nC: LHLO c\nS: 250 mx\nC: MAIL FROM:<a@c>\nS: 250 ok\nC: RCPT TO:<b@mx>\nS: 250 ok\nC: RCPT TO:<no@mx>\nS: 550 no\n"
        "C: RCPT TO:<d@mx>\nS: 250 ok\nC: DATA\nS: 354 go\nC: hi\nC: .\nS: 250 ok\nS: 452 full" + QUIT
    )
    assert commands(dialogue)[-2:] == [("content", 452), ("quit", 221)]
    assert dialogue.rows[0]["delivery_codes"] == (250, 452)
    assert dialogue.summary.startswith("LMTP mx")


def test_starttls() -> None:
    dialogue = read(EHLO + f"C: STARTTLS\nS: 220 go\nC= {HELLO}\nS= \\x16\\x03\\x03\\x00\\x01\\x02", closing=("fin", "fin"))
    assert dialogue.tls == "starttls"
    assert dialogue.tls_position is not None
    assert dialogue.tls_position.frame == 6
    assert dialogue.facts["starttls_code"] == 220
    assert dialogue.facts["tls_missing"] is False
    assert exchange(dialogue, "starttls")["injected"] == 0
    assert len(dialogue.exchanges) == 2


def test_bytes_behind_starttls_are_injected() -> None:
    dialogue = read(EHLO + f"C: STARTTLS\nC: MAIL FROM:<x@y>\nS: 220 go\nC= {HELLO}")
    assert exchange(dialogue, "starttls")["injected"] == len("MAIL FROM:<x@y>\r\n")
    assert dialogue.evidence["injected"] == 4
    assert dialogue.tls == "starttls"


def test_starttls_accepted_and_clear_text_after() -> None:
    dialogue = read(EHLO + "C: STARTTLS\nS: 220 go\nC: MAIL FROM:<x@y>\nS: 250 ok")
    assert dialogue.facts["tls_missing"]
    assert dialogue.evidence["tls_missing"]
    assert dialogue.tls == ""
    assert commands(dialogue)[-1] == ("mail", 250)


def test_starttls_refused() -> None:
    dialogue = read(EHLO + "C: STARTTLS\nS: 454 not now\nC: MAIL FROM:<x@y>\nS: 250 ok")
    assert dialogue.facts["clear_after_refusal"]
    assert dialogue.evidence["clear_after_refusal"] == 6
    assert "STARTTLS refused" in dialogue.summary
    assert not read(EHLO + "C: STARTTLS\nS: 454 not now" + QUIT).facts["clear_after_refusal"]


def test_tls_after_a_refusal_is_no_text() -> None:
    dialogue = read(EHLO + f"C: STARTTLS\nS: 454 not now\nC= {HELLO}\\r\\nMAIL\\r\\n")
    assert dialogue.facts["tls_unagreed"]
    assert dialogue.tls == ""
    assert commands(dialogue)[-1] == ("starttls", 454)


def test_starttls_and_the_capture_ends() -> None:
    dialogue = read(EHLO + "C: STARTTLS\nS: 220 go")
    assert dialogue.facts["tls_missing"] is None


def test_early_talker() -> None:
    dialogue = read("C: EHLO c\nS: 220 mx ESMTP\nS: 250-mx\nS: 250 SIZE")
    assert dialogue.facts["early"]
    assert dialogue.facts["early_excused"] is False
    assert dialogue.evidence["early"] == 1
    assert commands(dialogue) == [("ehlo", 250)]
    assert read("C: EHLO c\nS: 220 mx ESMTP\nS: 250-mx\nS: 250 PIPE_CONNECT").facts["early_excused"]


def test_tls_from_the_first_byte_is_neither_early_nor_a_breach() -> None:
    dialogue = read(f"C= {HELLO}\nS: 220 mx ESMTP")
    assert dialogue.facts["early"] is None
    assert dialogue.facts["tls_unagreed"] is False
    assert (dialogue.tls, dialogue.exchanges) == ("", [])


def test_a_server_that_does_not_greet() -> None:
    dialogue = read("C: EHLO c\nS: 250-mx\nS: 250 SIZE" + QUIT)
    assert dialogue.facts["early"]
    assert dialogue.facts["greeting_code"] is None
    assert commands(dialogue) == [("ehlo", 250), ("quit", 221)]


def test_the_greeting_is_complete_with_its_last_line() -> None:
    assert read("S: 220-mx\nC: EHLO c\nS: 220 ESMTP\nS: 250 mx").facts["early"]


@pytest.mark.parametrize(
    ("code", "refusal", "expected"), [(220, False, True), (554, True, True), (521, True, True), (421, True, True), (250, False, False)]
)
def test_greetings(code: int, refusal: bool, expected: bool) -> None:  # noqa: FBT001 - parametrized
    facts = read(f"S: {code} mx" + QUIT).facts
    assert (facts["greeting_code"], facts["greeting_refusal"], facts["greeting_expected"]) == (code, refusal, expected)


def test_a_server_that_says_421_unasked() -> None:
    dialogue = read(EHLO + "S: 421 timeout\nC: QUIT", closing=("", "fin"))
    assert dialogue.facts["shut_down"]
    assert commands(dialogue)[-1] == ("quit", None)
    assert read(EHLO + "C: NOOP\nS: 421 closing\nC: NOOP\nS: 250 ok").facts["went_on"]


def test_a_reply_too_many() -> None:
    dialogue = read(EHLO + "--\nS: 250 what else\nC: MAIL FROM:<a@c>\nS: 550 no\nC: NOOP\nS: 250 ok")
    requested_at = [(one.facts["request_seen"], one.facts["reply_code"]) for one in dialogue.exchanges]
    assert requested_at == [(True, 250), (False, 250), (True, 550), (True, 250)]


def test_unanswered_requests() -> None:
    assert exchange(read(EHLO + "C: NOOP"), "noop")["replied"] is False
    assert exchange(read(EHLO + "C: NOOP", end_time=5 * 10**6), "noop")["replied"] is None
    assert exchange(read(EHLO + "C: NOOP", closing=("", "fin")), "noop")["replied"] is False
    assert exchange(read(EHLO + "C: QUIT", closing=("fin", "fin")), "quit")["replied"] is None


@pytest.mark.parametrize(
    ("reply", "fault", "code"),
    [
        (r"250-a\r\n250 b\r\n", "none", 250),
        (r"250\r\n", "none", 250),
        (r"what\r\n", "code", None),
        (r"999 a\r\n", "code", 999),
        (r"250_a\r\n", "separator", 250),
        (r"250-a\r\n251 b\r\n", "mixed-codes", 251),
        (r"250-a\r\nb\r\n250 c\r\n", "code", 250),
        (r"250-a\r\n", "unfinished", 250),
        (r"250 a", "unfinished", 250),
    ],
)
def test_forms_of_replies(reply: str, fault: str, code: int | None) -> None:
    dialogue = read("S: 220 mx\nC: EHLO c\nS= " + reply, closing=("", "fin"))
    assert (dialogue.facts["reply_fault"], dialogue.facts["malformed_replies"]) == (fault, int(fault != "none"))
    assert exchange(dialogue, "ehlo")["reply_code"] == code


def test_line_ends_and_lengths() -> None:
    dialogue = read("S: 220 mx\nC= EHLO c\\n\nS= 250 mx\\r\\r\\n\nC: NOOP " + "x" * 600 + "\nS: 250 " + "y" * 700)
    assert (dialogue.facts["bare_lf"], dialogue.facts["bare_cr"]) == (1, 1)
    assert dialogue.evidence["bare"] == 2
    assert (dialogue.facts["longest_command"], dialogue.facts["longest_reply"]) == (607, 706)


def test_a_line_longer_than_any_buffer() -> None:
    dialogue = read("S: 220 mx\nC: NOOP " + "x" * 200_000 + "\nS: 250 " + "y" * 200_000 + QUIT)
    assert commands(dialogue) == [("noop", 250), ("quit", 221)]
    assert (dialogue.facts["longest_command"], dialogue.facts["longest_reply"]) == (200_007, 200_006)


def test_transactions_given_up() -> None:
    dialogue = read(
        EHLO
        + "C: MAIL FROM:<a@c>\nS: 250 ok\nC: RSET\nS: 250 ok\n"
        + "C: MAIL FROM:<b@c>\nS: 250 ok\nC: EHLO c\nS: 250 mx\nC: MAIL FROM:<d@c>\nS: 250 ok"
        + QUIT
    )
    assert [(row["mail_from"], row["complete"]) for row in dialogue.rows] == [("a@c", False), ("b@c", False), ("d@c", False)]
    assert [one.facts["mail_open"] for one in dialogue.exchanges] == [False, False, True, False, True, False, True]


def test_a_nested_mail_does_not_end_the_open_one() -> None:
    dialogue = read(
        EHLO
        + "C: MAIL FROM:<a@c>\nS: 250 ok\nC: MAIL FROM:<b@c>\nS: 503 no\nC: RCPT TO:<b@mx>\nS: 250 ok\nC: DATA\nS: 354 go\nC: .\nS: 250 ok"
    )
    assert [(row["mail_from"], row["complete"]) for row in dialogue.rows] == [("a@c", True)]


def test_extensions_that_were_not_offered() -> None:
    dialogue = read(
        "S: 220 mx\nC: EHLO c\nS: 250-mx\nS: 250 SIZE\nC: MAIL FROM:<a@c> SIZE=1 BODY=8BITMIME\nS: 250 ok\nC: STARTTLS\nS: 502 no"
    )
    assert exchange(dialogue, "mail")["unoffered"] == "eightbitmime"
    assert exchange(dialogue, "starttls")["unoffered"] == "starttls"


def test_content_sent_after_a_refusal() -> None:
    dialogue = read(EHLO + "C: DATA\nS: 503 no\nC: Hello, Alice\nS: 500 what\nC: .\nS: 500 what\nC: RSET\nS: 250 ok\nC: FOO\nS: 500 what")
    assert dialogue.facts["content_refused"]
    assert dialogue.facts["unknown_commands"] == 1
    assert dialogue.evidence["unknown"] == 12


def test_rows_and_exchanges_are_capped() -> None:
    count = 10_050
    text = "S: 220 mx\nC: EHLO c\nS: 250 mx\n" + "C: MAIL FROM:<a@c>\n" * count + "S: 250 ok\n" * count
    dialogue = read(text.rstrip("\n"))
    assert (len(dialogue.rows), len(dialogue.exchanges)) == (10_000, 10_000)
    assert dialogue.facts["messages"] == count
    assert (dialogue.dropped, dialogue.facts["unchecked"]) == (50, 51)
