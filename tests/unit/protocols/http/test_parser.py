"""Requests matched to replies: expected values are those of RFC 9110 and RFC 9112."""

from __future__ import annotations

import pytest

from analyzer.protocols.api import Dialogue, ParserContext
from analyzer.reassembly.reader import Reader
from tests.unit.protocols.http.scripts import FIRST_FRAME, GET, OK, START, STEP, codes, facts, read, readers

HEAD = b"HEAD / HTTP/1.1\r\nHost: a.example\r\n\r\n"
POST = b"POST /form HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5\r\n\r\nabcde"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
EXPECT = b"POST /up HTTP/1.1\r\nHost: a.example\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
GET_B = b"GET /b HTTP/1.1\r\nHost: a.example\r\n\r\n"
NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"


def test_a_request_and_its_reply() -> None:
    dialogue = read(("client", GET), ("server", OK))
    row = dialogue.rows[0]
    assert codes(dialogue) == [("GET /", 200)]
    assert (row["number"], row["method"], row["target"], row["version"], row["host"]) == (1, "GET", "/", "1.1", "a.example")
    assert (row["phrase"], row["reply"], row["response_length"], row["response_body_bytes"]) == ("OK", "200 OK", 2, 2)
    assert (row["time"], row["first_frame"], row["last_frame"], row["latency_ms"]) == (START, FIRST_FRAME, FIRST_FRAME + 1, 1.0)
    assert (row["request_bytes"], row["response_bytes"], row["complete"]) == (len(GET), len(OK), True)
    assert facts(dialogue)["latency"] == STEP
    assert dialogue.exchanges[0].evidence == {"request": 4, "request_end": 4, "reply": 5, "reply_end": 5}
    assert dialogue.summary == "1 request (GET / 200)"


def test_the_summary_names_the_first_three_and_the_server() -> None:
    ok = b"HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nContent-Length: 0\r\n\r\n"
    dialogue = read(*[part for _ in range(4) for part in (("client", GET), ("server", ok))])
    assert dialogue.summary == "4 requests (GET / 200, GET / 200, GET / 200, …), nginx/1.22.1"


def test_pipelined_requests_are_answered_in_order() -> None:
    dialogue = read(("client", GET + GET_B + GET), ("server", OK + NOT_FOUND + OK))
    assert codes(dialogue) == [("GET /", 200), ("GET /b", 404), ("GET /", 200)]
    assert [one.facts["pipelined"] for one in dialogue.exchanges] == [False, True, True]
    assert dialogue.facts["pipelined_most"] == 3


def test_a_client_that_waits_does_not_pipeline() -> None:
    dialogue = read(("client", GET), ("server", OK), ("client", GET_B), ("server", OK))
    assert [one.facts["pipelined"] for one in dialogue.exchanges] == [False, False]
    assert dialogue.facts["pipelined_most"] == 1


def test_interim_replies_do_not_close_a_request() -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"
    dialogue = read(("client", EXPECT), ("server", CONTINUE), ("client", b"abcde"), ("server", early + OK), ("client", GET), ("server", OK))
    assert codes(dialogue) == [("POST /up", 200), ("GET /", 200)]
    assert dialogue.rows[0]["interim_codes"] == (100, 103)
    assert (facts(dialogue)["interim"], facts(dialogue)["continued"], facts(dialogue)["continue_wait"]) == (2, True, None)


def test_content_sent_before_any_response_gives_how_long_the_client_waited() -> None:
    dialogue = read(("client", EXPECT), ("client", b"abcde"), ("server", CONTINUE + OK))
    assert facts(dialogue)["continue_wait"] == STEP
    assert facts(dialogue)["request_body"] == 5


def test_content_that_was_refused_is_not_waited_for() -> None:
    refused = b"HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n"
    dialogue = read(("client", EXPECT), ("server", refused), ("client", GET), ("server", OK))
    assert codes(dialogue) == [("POST /up", 417), ("GET /", 200)]
    assert facts(dialogue)["content_withheld"] is True


@pytest.mark.parametrize(
    ("request_", "reply"),
    [
        (HEAD, b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n"),
        (HEAD, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        (GET, b"HTTP/1.1 204 No Content\r\n\r\n"),
        (GET, b"HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n"),
        (GET, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ],
)
def test_a_reply_without_content_ends_with_its_head(request_: bytes, reply: bytes) -> None:
    dialogue = read(("client", request_), ("server", reply), ("client", GET_B), ("server", NOT_FOUND))
    assert [row["code"] for row in dialogue.rows][1:] == [404]
    assert dialogue.rows[0]["response_body_bytes"] == 0
    assert all(row["complete"] for row in dialogue.rows)


def test_a_reply_without_a_length_lasts_until_the_server_closes() -> None:
    reply = b"HTTP/1.0 200 OK\r\n\r\n" + b"x" * 5_000
    dialogue = read(("client", GET), ("server", reply))
    assert (dialogue.rows[0]["response_body_bytes"], dialogue.rows[0]["complete"], facts(dialogue)["reply_framing"]) == (
        5_000,
        True,
        "close",
    )
    reset = read(("client", GET), ("server", reply), closing=("fin", "rst"))
    assert reset.rows[0]["complete"] is False


def test_a_response_framed_by_close_that_another_response_follows_is_noted() -> None:
    dialogue = read(("client", GET), ("server", b"HTTP/1.1 200 OK\r\n\r\nhi"), ("client", GET_B), ("server", NOT_FOUND))
    assert codes(dialogue) == [("GET /", 200), ("GET /b", 404)]
    assert facts(dialogue)["unframed"] is True
    assert dialogue.rows[0]["response_body_bytes"] == 2


def test_less_content_than_announced_is_noted_when_the_server_closed() -> None:
    part = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhi"
    assert facts(read(("client", GET), ("server", part)))["body_short"] == "server"
    assert facts(read(("client", GET), ("server", part), closing=("rst", "")))["body_short"] == "none"


@pytest.mark.parametrize(("code", "unanswered"), [(b"408", True), (b"400", True), (b"200", False)])
def test_only_408_and_400_may_end_an_idle_connection(code: bytes, unanswered: bool) -> None:  # noqa: FBT001
    pushed = b"HTTP/1.1 " + code + b" X\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    dialogue = read(("client", GET), ("server", OK), ("server", pushed))
    assert facts(dialogue, 2)["unasked"] is True
    assert facts(dialogue, 2)["pushed_reply"] is unanswered
    assert (dialogue.facts["pushed"], dialogue.facts["early_excused"], dialogue.evidence["pushed"]) == (
        unanswered,
        unanswered,
        FIRST_FRAME + 2 if unanswered else None,
    )


def test_a_reply_that_crossed_its_request_in_the_capture_answers_it() -> None:
    client = Reader.of("client", [(0, GET, 5, START + 500_000)])
    server = Reader.of("server", [(0, OK, 4, START)])
    assert codes(_read(client, server)) == [("GET /", 200)]


def test_a_reply_before_any_request_answers_none() -> None:
    dialogue = read(("server", OK), ("client", GET), ("server", NOT_FOUND))
    assert codes(dialogue) == [(None, 200), ("GET /", 404)]
    assert [one.facts["unasked"] for one in dialogue.exchanges] == [True, False]
    assert dialogue.facts["unasked_replies"] == 1


def test_a_request_certainly_without_a_response_is_noted() -> None:
    assert facts(read(("client", GET)))["replied"] is False
    assert facts(read(("client", GET), one_sided=True))["replied"] is None
    assert facts(read(("client", GET), closing=("", ""), end_time=START + STEP))["replied"] is None
    assert facts(read(("client", GET), closing=("", ""), end_time=START + 2_000 * STEP))["replied"] is False
    assert read(("client", GET)).summary == "1 request (GET / unanswered)"


def test_a_lost_reply_is_that_of_the_request_before() -> None:
    parts = [("client", GET), ("server", OK), ("client", GET_B), ("server", 50), ("client", GET), ("server", NOT_FOUND)]
    dialogue = read(*parts)  # type: ignore[arg-type]
    assert codes(dialogue) == [("GET /", 200), ("GET /b", None), ("GET /", 404)]
    assert [one.facts["reply_lost"] for one in dialogue.exchanges] == [False, True, False]
    assert [one.facts["replied"] for one in dialogue.exchanges] == [True, None, True]
    assert dialogue.facts["lost_replies"] == 1


def test_one_of_pipelined_replies_is_lost() -> None:
    dialogue = read(("client", GET + GET_B + GET), ("server", OK), ("server", 45), ("server", OK))
    assert codes(dialogue) == [("GET /", 200), ("GET /b", None), ("GET /", 200)]


def test_a_gap_in_content_of_known_length_loses_nothing() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
    dialogue = read(("client", GET), ("server", head), ("server", 900), ("server", b"x" * 100), ("client", GET_B), ("server", NOT_FOUND))
    assert codes(dialogue) == [("GET /", 200), ("GET /b", 404)]
    assert (dialogue.rows[0]["response_body_bytes"], dialogue.rows[0]["complete"]) == (1_000, False)


def test_a_gap_inside_a_head_is_passed_to_the_next_reply() -> None:
    dialogue = read(
        ("client", GET),
        ("server", b"HTTP/1.1 200 OK\r\nSer"),
        ("server", 30),
        ("server", b"ab: c\r\n\r\nhi"),
        ("client", GET_B),
        ("server", OK),
    )
    assert codes(dialogue) == [("GET /", 200), ("GET /b", 200)]
    assert facts(dialogue)["body_short"] is None


def test_a_lost_request_does_not_shift_the_replies() -> None:
    parts = [("client", GET), ("server", OK), ("client", len(GET)), ("server", NOT_FOUND), ("client", GET_B), ("server", OK)]
    dialogue = read(*parts)  # type: ignore[arg-type]
    assert codes(dialogue) == [("GET /", 200), (None, 404), ("GET /b", 200)]
    assert facts(dialogue, 2)["unasked"] is None


def test_a_capture_that_starts_late_finds_the_next_request() -> None:
    dialogue = read(("server", b"the rest of some content" + OK), ("client", b"rest of a form" + GET), ("server", NOT_FOUND), whole=False)
    assert codes(dialogue) == [(None, 200), ("GET /", 404)]
    assert facts(dialogue, 1)["unasked"] is None
    assert dialogue.facts["unasked_replies"] is None
    assert (dialogue.facts["client_excess"], dialogue.facts["server_excess"]) == (0, 0)


def test_one_direction_alone() -> None:
    client = read(("client", GET + GET_B), one_sided=True)
    assert codes(client) == [("GET /", None), ("GET /b", None)]
    assert client.summary == "2 requests (GET / ?, GET /b ?)"
    server = read(("server", OK + NOT_FOUND), one_sided=True)
    assert codes(server) == [(None, 200), (None, 404)]
    assert facts(server)["unasked"] is None
    assert server.summary == "2 replies without a captured request"


def test_a_reply_to_an_unseen_head_request_has_no_content() -> None:
    server = read(("server", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n" + OK), one_sided=True)
    assert [row["response_body_bytes"] for row in server.rows] == [0, 2]


def test_http_0_9() -> None:
    dialogue = read(("client", b"GET /old\r\n"), ("server", b"<p>hello"), ("server", b"</p>"))
    assert (facts(dialogue)["request_line"], facts(dialogue)["status_line"], facts(dialogue)["reply_body"]) == ("simple", "simple", 12)
    assert (dialogue.rows[0]["version"], dialogue.rows[0]["code"], dialogue.rows[0]["complete"]) == ("0.9", None, True)


def test_bytes_that_belong_to_no_message() -> None:
    dialogue = read(("client", POST + b"extra\r\n"), ("server", OK + b"more of it"), ("client", GET), ("server", OK))
    assert codes(dialogue) == [("POST /form", 200), ("GET /", 200)]
    assert (dialogue.facts["client_excess"], dialogue.facts["server_excess"]) == (7, 10)
    assert (facts(dialogue)["request_excess"], facts(dialogue)["reply_excess"]) == (7, 10)
    assert dialogue.evidence["client_excess"] == FIRST_FRAME


def test_a_response_to_garbage_is_not_unrequested() -> None:
    dialogue = read(("client", b"\x00\x01\x02\x03"), ("server", b"HTTP/1.1 400 Bad\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"))
    assert (facts(dialogue)["unasked"], facts(dialogue)["pushed_reply"]) == (None, False)


def test_a_server_of_tls_is_recognised_by_its_alert() -> None:
    assert facts(read(("client", GET), ("server", b"\x15\x03\x01\x00\x02\x02\x16")))["status_line"] == "tls"


@pytest.mark.parametrize("zeros", [b"", b"0", b"0" * 40, b"0" * 9_000])
def test_what_follows_content_of_a_length_with_zeros_is_a_second_message(zeros: bytes) -> None:
    """RFC 9110 8.6: Content-Length = 1*DIGIT."""
    post = b"POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: " + zeros + b"3\r\n\r\nabc"
    parsed = read(("client", post + GET), ("server", OK.replace(b"h: 2", b"h: " + zeros + b"2") + b"HTTP/1.1 204 No\r\n\r\n"))
    assert codes(parsed) == [("POST /", 200), ("GET /", 204)]
    assert [(row["request_length"], row["response_length"]) for row in parsed.rows] == [(3, 2), (None, None)]
    assert [facts(parsed, number)["length_malformed"] for number in (1, 2)] == ["none", "none"]


@pytest.mark.parametrize("zeros", [b"0", b"000"])
def test_a_length_of_zero_announces_no_content(zeros: bytes) -> None:
    parsed = read(("client", GET), ("server", b"HTTP/1.1 204 No\r\nContent-Length: " + zeros + b"\r\n\r\n"))
    assert facts(parsed)["length_forbidden"] == "none"


@pytest.mark.parametrize(
    ("line", "code", "malformed", "side"),
    [
        (b"http/1.1 200 ok", 200, "right", "server"),
        (b"Http/1.0 404 no", 404, "right", "server"),
        (b"HTTP/1.1 200", 200, "right", "none"),
        (b"HTTP/1.1\t200", 200, "malformed", "none"),
        (b"HTTP/1.1   200   OK", 200, "malformed", "none"),
        (b"HTTP/01.1 200 OK", 200, "malformed", "none"),
        (b" HTTP/1.1 200 OK", 200, "malformed", "none"),
        (b"http/1.1\t503 no", 503, "malformed", "none"),
    ],
)
def test_a_status_is_read_whatever_is_wrong_with_its_line(line: bytes, code: int, malformed: str, side: str) -> None:
    parsed = read(("client", GET), ("server", line + b"\r\nContent-Length: 2\r\n\r\nhi"), ("client", GET), ("server", OK))
    assert codes(parsed) == [("GET /", code), ("GET /", 200)]
    assert (facts(parsed)["status_line"], facts(parsed)["version_case"]) == (malformed, side)
    assert parsed.rows[0]["response_body_bytes"] == 2


def test_a_request_is_read_whatever_the_case_of_its_version() -> None:
    parsed = read(("client", GET.replace(b"HTTP", b"http")), ("server", OK), ("client", GET), ("server", OK))
    assert codes(parsed) == [("GET /", 200), ("GET /", 200)]
    assert [facts(parsed, number)["version_case"] for number in (1, 2)] == ["client", "none"]
    assert (facts(parsed)["request_line"], facts(parsed)["hosts"]) == ("right", 1)
    assert parsed.exchanges[0].evidence["version_case"] == 4


def test_a_target_with_blanks_is_kept() -> None:
    parsed = read(("client", b"POST /a b  c HTTP/1.1\r\nHost: a.example\r\nContent-Length: 2\r\n\r\nhi" + GET), ("server", OK + OK))
    assert codes(parsed) == [("POST /a b  c", 200), ("GET /", 200)]
    assert (facts(parsed)["request_line"], parsed.rows[0]["target"], parsed.rows[0]["host"]) == ("malformed", "/a b  c", "a.example")


def test_a_tunnel_is_handed_on() -> None:
    connect = b"CONNECT mx.example:25 HTTP/1.1\r\nHost: mx.example:25\r\n\r\n"
    seen: list[tuple[bytes, bytes]] = []

    def nested(client: Reader, server: Reader, _setting: ParserContext) -> Dialogue:
        seen.append((client.peek(4), server.peek(4)))
        return Dialogue("smtp", summary="mx, 1 message")

    parts = [
        ("client", connect),
        ("server", b"HTTP/1.1 200 Established\r\n\r\n"),
        ("server", b"220 mx ESMTP\r\n"),
        ("client", b"EHLO me\r\n"),
    ]
    dialogue = read(*parts, nested=nested)  # type: ignore[arg-type]
    assert seen == [(b"EHLO", b"220 ")]
    assert (dialogue.after, dialogue.rows[0]["tunnel"], facts(dialogue)["tunnel_opened"]) == ("smtp", "smtp", True)
    assert dialogue.summary == "1 request (CONNECT mx.example:25 200), then smtp: mx, 1 message"


def test_tls_in_a_tunnel() -> None:
    connect = b"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n"
    hello = b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00"
    dialogue = read(("client", connect), ("server", b"HTTP/1.1 200 OK\r\n\r\n"), ("client", hello))
    assert (dialogue.tls, dialogue.after, dialogue.tls_position and dialogue.tls_position.frame) == ("connect", "tls", FIRST_FRAME + 2)


def test_a_refused_tunnel_is_none() -> None:
    connect = b"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n"
    dialogue = read(("client", connect), ("server", NOT_FOUND), ("client", GET), ("server", OK))
    assert codes(dialogue) == [("CONNECT a.example:443", 404), ("GET /", 200)]
    assert dialogue.after == ""


def test_an_upgrade_ends_http() -> None:
    asks = (
        b"GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    # Key and answer are the example of RFC 6455 1.3.
    gives = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
    dialogue = read(("client", asks), ("server", gives + b"\x81\x02hi"), ("client", b"GET / HTTP/1.1\r\n\r\n"))
    assert codes(dialogue) == [("GET /chat", 101)]
    assert (facts(dialogue)["upgraded_to"], facts(dialogue)["accept_wrong"], dialogue.after) == ("websocket", False, "websocket")
    wrong = read(("client", asks), ("server", gives.replace(b"s3pP", b"AAAA")))
    assert facts(wrong)["accept_wrong"] is True


def test_an_upgrade_to_tls_that_does_not_come() -> None:
    asks = b"OPTIONS * HTTP/1.1\r\nHost: a.example\r\nConnection: Upgrade\r\nUpgrade: TLS/1.0\r\n\r\n"
    gives = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: TLS/1.0, HTTP/1.1\r\n\r\n"
    assert read(("client", asks), ("server", gives), ("client", GET)).facts["tls_missing"] is True
    clean = read(("client", asks), ("server", gives), ("client", b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00"))
    assert (clean.facts["tls_missing"], clean.tls) == (False, "upgrade")


def test_a_request_after_close_was_announced() -> None:
    closes = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    assert facts(read(("client", GET), ("server", closes), ("client", GET)), 2)["after_close"] is True
    assert facts(read(("client", GET), ("client", GET), ("server", closes)), 2)["after_close"] is False


def test_rows_beyond_the_most_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analyzer.protocols.http.summary.MAX_EXCHANGES", 3)
    dialogue = read(("client", GET * 5), ("server", OK * 5))
    assert (len(dialogue.rows), len(dialogue.exchanges), dialogue.dropped, dialogue.facts["requests"]) == (3, 3, 2, 5)


def test_a_hundred_thousand_requests_stay_linear() -> None:
    client, server = readers([("client", GET * 20_000), ("server", OK * 20_000)])
    dialogue = _read(client, server)
    assert (dialogue.facts["requests"], dialogue.facts["replies"], dialogue.dropped) == (20_000, 20_000, 10_000)


def _read(client: Reader, server: Reader) -> Dialogue:
    from analyzer.protocols.http import parser

    return parser.read(client, server, ParserContext())
