"""Framing: what counts, what is a fault. Expected values are those of RFC 9112 6 and 7."""

from __future__ import annotations

import pytest

from tests.unit.protocols.http.scripts import GET, OK, facts, read

FAULTS = (
    "length_malformed", "length_differs", "length_repeated", "length_forbidden", "encoding_and_length", "encoding_old", "encoding_unknown",
    "encoding_not_chunked", "chunk", "chunk_lf",
)  # fmt: skip


def reply(fields: bytes, content: bytes = b"", *, version: bytes = b"1.1") -> dict[str, object]:
    head = b"HTTP/" + version + b" 200 OK\r\n" + fields + b"\r\n"
    return facts(read(("client", GET), ("server", head + content)))


def faults(found: dict[str, object]) -> set[str]:
    return {name for name in FAULTS if found[name] not in {None, "none"}}


@pytest.mark.parametrize(
    ("fields", "content", "framing", "size", "wrong"),
    [
        (b"Content-Length: 3\r\n", b"abc", "length", 3, set()),
        (b"Content-Length: 3\r\nContent-Length: 3\r\n", b"abc", "length", 3, {"length_repeated"}),
        (b"Content-Length: 3, 3\r\n", b"abc", "length", 3, {"length_repeated"}),
        (b"Content-Length: 3\r\nContent-Length: 4\r\n", b"abcd", "unknown", 0, {"length_differs"}),
        (b"Content-Length: 3, 4\r\n", b"abcd", "unknown", 0, {"length_differs"}),
        (b"Content-Length: 03\r\n", b"abc", "length", 3, set()),
        (b"Content-Length: " + b"0" * 40 + b"3\r\n", b"abc", "length", 3, set()),
        (b"Content-Length: " + b"0" * 9_000 + b"3\r\n", b"abc", "length", 3, set()),
        (b"Content-Length: 03, 3\r\n", b"abc", "length", 3, {"length_repeated"}),
        (b"Content-Length: " + b"9" * 9_000 + b"\r\n", b"abc", "unknown", 0, {"length_malformed"}),
        (b"Content-Length: 0x3\r\n", b"abc", "unknown", 0, {"length_malformed"}),
        (b"Content-Length: \r\n", b"abc", "unknown", 0, {"length_malformed"}),
        (b"Transfer-Encoding: chunked\r\n", b"3\r\nabc\r\n0\r\n\r\n", "chunked", 3, set()),
        (b"Transfer-Encoding: CHUNKED\r\n", b"3\r\nabc\r\n0\r\n\r\n", "chunked", 3, set()),
        (b"Transfer-Encoding: gzip, chunked\r\n", b"3\r\nabc\r\n0\r\n\r\n", "chunked", 3, set()),
        (b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", b"3\r\nabc\r\n0\r\n\r\n", "chunked", 3, {"encoding_and_length"}),
        (b"Transfer-Encoding: chunked, gzip\r\n", b"abc", "close", 3, {"encoding_not_chunked"}),
        (b"Transfer-Encoding: cow\r\n", b"abc", "close", 3, {"encoding_not_chunked", "encoding_unknown"}),
        (b"Transfer-Encoding: identity\r\n", b"abc", "close", 3, set()),
        (b"", b"abc", "close", 3, set()),
    ],
)
def test_framing(fields: bytes, content: bytes, framing: str, size: int, wrong: set[str]) -> None:
    found = reply(fields, content)
    assert (found["reply_framing"], found["reply_body"], faults(found)) == (framing, size, wrong)


def test_transfer_encoding_in_http_1_0() -> None:
    assert faults(reply(b"Transfer-Encoding: chunked\r\n", b"0\r\n\r\n", version=b"1.0")) == {"encoding_old"}


@pytest.mark.parametrize(
    ("content", "size", "wrong"),
    [
        (b"5;a=b\r\nhello\r\n0\r\n\r\n", 5, set()),
        (b"5 ;a\r\nhello\r\n0\r\n\r\n", 5, set()),
        (b"00005\r\nhello\r\n000\r\n\r\n", 5, set()),
        (b"A\r\n0123456789\r\n1\r\nx\r\n0\r\n\r\n", 11, set()),
        (b"5\nhello\r\n0\r\n\r\n", 5, {"chunk_lf"}),
        (b"5\r\nhello\n0\r\n\r\n", 5, {"chunk_lf"}),
        (b"5\r\nhello!\r\n0\r\n\r\n", 5, {"chunk"}),
        (b"x\r\nhello\r\n0\r\n\r\n", 0, {"chunk"}),
        (b"-5\r\nhello\r\n0\r\n\r\n", 0, {"chunk"}),
        (b"\r\n5\r\nhello\r\n0\r\n\r\n", 0, {"chunk"}),
        (b"10000000000000000\r\nhello\r\n0\r\n\r\n", 0, {"chunk"}),
    ],
)
def test_chunks(content: bytes, size: int, wrong: set[str]) -> None:
    found = reply(b"Transfer-Encoding: chunked\r\n", content)
    assert (found["reply_body"], faults(found)) == (size, wrong)


def test_trailers_belong_to_the_message() -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nDigest: x\r\nDate: y\r\n\r\n"
    dialogue = read(("client", GET + GET), ("server", chunked + OK))
    assert [row["trailers"] for row in dialogue.rows] == [2, None]
    assert [row["complete"] for row in dialogue.rows] == [True, True]


def test_a_gap_inside_a_chunk_loses_nothing_but_its_bytes() -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n400\r\n"
    dialogue = read(("client", GET + GET), ("server", head), ("server", 1_020), ("server", b"abcd\r\n0\r\n\r\n" + OK))
    assert [row["response_body_bytes"] for row in dialogue.rows] == [1_024, 2]
    assert [row["complete"] for row in dialogue.rows] == [False, True]


def test_a_gap_over_a_size_line_is_passed_to_the_next_reply() -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
    dialogue = read(("client", GET), ("server", head), ("server", 10), ("server", b"x\r\n0\r\n\r\n"), ("client", GET), ("server", OK))
    assert [row["code"] for row in dialogue.rows] == [200, 200]
    assert dialogue.rows[0]["complete"] is False


@pytest.mark.parametrize("code", [b"204 No Content", b"199 Odd"])
def test_a_length_where_no_content_can_be(code: bytes) -> None:
    dialogue = read(("client", GET), ("server", b"HTTP/1.1 " + code + b"\r\nContent-Length: 2\r\n\r\n" + OK), closing=("fin", ""))
    assert facts(dialogue)["length_forbidden"] == "server"


def test_a_request_without_a_length_has_no_content() -> None:
    dialogue = read(("client", b"POST / HTTP/1.1\r\nHost: a.example\r\n\r\n" + GET), ("server", OK + OK))
    assert [row["method"] for row in dialogue.rows] == ["POST", "GET"]


def test_content_of_a_request_in_chunks() -> None:
    post = b"POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    dialogue = read(("client", post + GET), ("server", OK + OK))
    assert [(row["method"], row["request_body_bytes"]) for row in dialogue.rows] == [("POST", 3), ("GET", 0)]
