"""Heads: what is right, what is a fault and where. Expected values are those of RFC 9112 2 to 5."""

from __future__ import annotations

import pytest

from analyzer.protocols.http import messages
from analyzer.protocols.http.messages import RequestLine, StatusLine
from analyzer.reassembly.reader import Reader
from tests.unit.protocols.http.scripts import GET, OK, facts, read

FAULTS = ("leading_empty", "bare_lf", "fold", "field", "control", "long")


def read_head(data: bytes) -> messages.Head:
    head = messages.read(Reader.of("client", [(0, data, 1, 0)]))
    assert head is not None
    return head


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"GET / HTTP/1.1", RequestLine("right", "GET", "/", 11)),
        (b"get /x?y HTTP/1.0", RequestLine("right", "get", "/x?y", 10)),
        (b"OPTIONS * HTTP/1.1", RequestLine("right", "OPTIONS", "*", 11)),
        (b"GET /\xc3\xa4 HTTP/1.1", RequestLine("right", "GET", "/ä", 11)),
        (b"GET /", RequestLine("simple", "GET", "/", 9)),
        (b"GET  / HTTP/1.1", RequestLine("malformed", "GET", "/", 11)),
        (b"GET\t/ HTTP/1.1", RequestLine("malformed", "GET", "/", 11)),
        (b"GET /a b HTTP/1.1", RequestLine("malformed", "GET", "/a b", 11)),
        (b"GET HTTP/1.1", RequestLine("malformed", "GET", "", 11)),
        (b"GET / http/1.1", RequestLine("right", "GET", "/", 11)),
        (b"GET /a  b\tc HTTP/1.1", RequestLine("malformed", "GET", "/a  b\tc", 11)),
        (b"GET / HTTP/01.1", RequestLine("malformed", "GET", "/", 11)),
        (b"GET / HTTP/1.1 ", RequestLine("malformed", "GET", "/", 11)),
        (b"  GET / HTTP/1.1", RequestLine("malformed", "GET", "/", 11)),
        (b"GET / HTTP/1.10", RequestLine("malformed", "GET", "/ HTTP/1.10", None)),
        (b"POST /", RequestLine("malformed", "POST", "/", None)),
        (b"(x) / HTTP/1.1", RequestLine("malformed", "", "", None)),
        (b"", RequestLine("malformed", "", "", None)),
    ],
)
def test_request_line(line: bytes, expected: RequestLine) -> None:
    assert messages.request_line(line) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"HTTP/1.1 200 OK", StatusLine("right", 11, 200, "OK")),
        (b"HTTP/1.0 404 Not Found", StatusLine("right", 10, 404, "Not Found")),
        (b"HTTP/1.1 200 ", StatusLine("right", 11, 200, "")),
        (b"HTTP/1.1 200", StatusLine("right", 11, 200, "")),
        (b"HTTP/1.1  200 OK", StatusLine("malformed", 11, 200, "OK")),
        (b"HTTP/1.1 20", StatusLine("malformed", 11, None, "20")),
        (b"HTTP/1.1 2000 OK", StatusLine("malformed", 11, None, "2000 OK")),
        (b"http/1.1 200 OK", StatusLine("right", 11, 200, "OK")),
        (b"HTTP/1.1\t200", StatusLine("malformed", 11, 200, "")),
        (b"HTTP/01.1 200 OK", StatusLine("malformed", 11, 200, "OK")),
        (b"HTTP/1.01 200 OK", StatusLine("malformed", 11, 200, "OK")),
        (b"HTTP/0.9 200 OK", StatusLine("right", 9, 200, "OK")),
        (b"HTTP/1 200 OK", StatusLine("malformed", 10, 200, "OK")),
        (b"HTTP/12.1 200 OK", StatusLine("malformed", None, 200, "OK")),
        (b" HTTP/1.1 200 OK", StatusLine("malformed", 11, 200, "OK")),
        (b"HTTP/1.1 200OK", StatusLine("malformed", 11, 200, "OK")),
        (b"HTTP/1.1 OK", StatusLine("malformed", 11, None, "OK")),
    ],
)
def test_status_line(line: bytes, expected: StatusLine) -> None:
    assert messages.status_line(line) == expected


@pytest.mark.parametrize(
    ("lines", "fault", "place"),
    [
        (b"GET / HTTP/1.1\r\nA: b\nC: d\r\n\r\n", "bare_lf", 16),
        (b"GET / HTTP/1.1\nA: b\r\n\r\n", "bare_lf", 0),
        (b"GET / HTTP/1.1\r\nA: b\r\n\n", "bare_lf", 22),
        (b"GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n", "fold", 22),
        (b"GET / HTTP/1.1\r\n A: b\r\n\r\n", "field", 16),
        (b"GET / HTTP/1.1\r\nA b\r\n\r\n", "field", 16),
        (b"GET / HTTP/1.1\r\nA : b\r\n\r\n", "field", 16),
        (b"GET / HTTP/1.1\r\n: b\r\n\r\n", "field", 16),
        (b"GET / HTTP/1.1\r\nA: b\rc\r\n\r\n", "control", 16),
        (b"GET / HTTP/1.1\r\nA: \x00\r\n\r\n", "control", 16),
        (b"GET /\x00 HTTP/1.1\r\nA: b\r\n\r\n", "control", 0),
    ],
)
def test_fault(lines: bytes, fault: str, place: int) -> None:
    assert read_head(lines).faults == {fault: place}


def test_a_folded_value_is_one_value() -> None:
    assert read_head(b"GET / HTTP/1.1\r\nA: b\r\n\t c \r\nD: e\r\n\r\n").fields == {b"a": [b"b c"], b"d": [b"e"]}


def test_clean_head() -> None:
    head = read_head(b"GET / HTTP/1.1\r\nHost:  a.example \r\nAccept: x\r\naccept: y\r\nEmpty:\r\nH: \xe4\t\r\n\r\nrest")
    assert head.faults == {}
    assert head.fields == {b"host": [b"a.example"], b"accept": [b"x", b"y"], b"empty": [b""], b"h": [b"\xe4"]}
    assert (head.value(b"accept"), head.words(b"accept"), head.whole) == (b"x, y", ["x", "y"], True)


def test_a_head_that_is_cut_keeps_its_whole_lines() -> None:
    head = read_head(b"GET / HTTP/1.1\r\nHost: a.example\r\nUser-Ag")
    assert (head.whole, head.fields, head.line) == (False, {b"host": [b"a.example"]}, b"GET / HTTP/1.1")


def test_a_head_without_end_is_cut() -> None:
    endless = b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 100_000
    head = read_head(endless)
    assert head.faults == {"long": 0}
    assert head.stop == messages.MAX_HEAD_BYTES


def test_which_side_a_fault_is_of() -> None:
    lf = b"HTTP/1.1 200 OK\nContent-Length: 0\n\n"
    assert facts(read(("client", GET), ("server", lf)))["bare_lf"] == "server"
    both = read(("client", GET.replace(b"\r\n", b"\n")), ("server", lf))
    assert (facts(both)["bare_lf"], both.exchanges[0].evidence["bare_lf"]) == ("client", 4)


def test_empty_lines_before_a_message() -> None:
    dialogue = read(("client", b"\r\n\r\n" + GET), ("server", OK), ("client", b"\n" + GET), ("server", OK))
    assert [one.facts["leading_empty"] for one in dialogue.exchanges] == ["client", "client"]
    assert dialogue.facts["client_excess"] == 0


@pytest.mark.parametrize(
    ("request_", "hosts", "differs", "invalid"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 0, False, False),
        (b"GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n", 2, False, False),
        (b"GET http://a.example/x HTTP/1.1\r\nHost: A.example:80\r\n\r\n", 1, False, False),
        (b"GET http://u:p@a.example HTTP/1.1\r\nHost: a.example\r\n\r\n", 1, False, False),
        (b"GET http://a.example/ HTTP/1.1\r\nHost: b.example\r\n\r\n", 1, True, False),
        (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 1, False, True),
    ],
)
def test_host(request_: bytes, hosts: int, differs: bool, invalid: bool) -> None:  # noqa: FBT001
    found = facts(read(("client", request_), ("server", OK)))
    assert (found["hosts"], found["host_differs"], found["host_invalid"]) == (hosts, differs, invalid)


@pytest.mark.parametrize(
    ("line", "form"),
    [
        (b"GET /a", "origin"),
        (b"GET http://a.example/", "absolute"),
        (b"CONNECT a.example:443", "authority"),
        (b"OPTIONS *", "asterisk"),
        (b"GET a.example", "other"),
    ],
)
def test_target_form(line: bytes, form: str) -> None:
    assert facts(read(("client", line + b" HTTP/1.1\r\nHost: a\r\n\r\n"), ("server", OK)))["target_form"] == form
