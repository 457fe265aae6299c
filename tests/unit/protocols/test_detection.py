"""Protocols told by first bytes: tables of what is said, and that nothing but what is said counts."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analyzer import rules
from analyzer.dialogues import context
from analyzer.protocols.detection import Detector, skip_proxy
from analyzer.reassembly.reader import Reader
from analyzer.rules.protocols import services

if TYPE_CHECKING:
    from collections.abc import Mapping

    from analyzer.protocols.detection import Detection
    from analyzer.reassembly.reader import Side
    from analyzer.rules.protocols import Protocol

CLIENT_HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(40)
SERVER_HELLO = b"\x16\x03\x03\x00\x7a\x02\x00\x00\x76\x03\x03" + bytes(40)
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = b"\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x64"
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


@cache
def protocols() -> Mapping[str, Protocol]:
    return rules.load().protocols


@cache
def detector() -> Detector:
    return Detector(protocols())


def reader(side: Side, data: bytes, cuts: tuple[int, ...] = ()) -> Reader:
    """Return a reader of `data` in segments that end at `cuts`."""
    ends = sorted({cut for cut in cuts if 0 < cut < len(data)} | {len(data)})
    begins = [0, *ends[:-1]]
    return Reader.of(
        side, [(begin, data[begin:end], number, number) for number, (begin, end) in enumerate(zip(begins, ends, strict=True), 1)]
    )


def hear(client: bytes, server: bytes, by_port: str = "none") -> Detection:
    return detector().detect(reader("client", client), reader("server", server), by_port)


RTSP = b"OPTIONS rtsp://h/a RTSP/1.0\r\nCSeq: 1\r\n\r\n"
RTP = b"$\x00\x00\x20\x80\x60" + bytes(30)
"""Interleaved binary data (RFC 7826 14)."""

BOTH = [
    (b"EHLO c\r\n", b"220 mx\r\n", "smtp"),
    (b"HELO c\r\n", b"220 mx\r\n", "smtp"),
    (b"LHLO c\r\n", b"220 mx\r\n", "smtp"),
    (b"ehlo c\r\n", b"220-mx\r\n220 ready\r\n", "smtp"),
    (b"MAIL FROM:<a>\r\n", b"220 mx\r\n", "smtp"),
    (b"STARTTLS\r\n", b"220 mx\r\n", "smtp"),
    (b"EHLO c\r\n", b"554 no\r\n", "smtp"),
    (b"USER jo\r\n", b"220 ready\r\n", "ftp"),
    (b"AUTH TLS\r\n", b"220 ready\r\n", "ftp"),
    (b"FEAT\r\n", b"220 ready\r\n", "ftp"),
    (b"QUIT\r\n", b"220 (vsFTPd 3.0.3)\r\n", "ftp"),
    (b"QUIT\r\n", b"220 mx ESMTP\r\n", "smtp"),
    (b"USER jo\r\n", b"120 FTP in a minute\r\n", "ftp"),
    (b"USER jo\r\n", b"+OK ready\r\n", "pop3"),
    (b"USER jo\r\nPASS x\r\n", b"+OK ready\r\n", "pop3"),
    (b"CAPA\r\n", b"+OK\r\n", "pop3"),
    (b"AUTH PLAIN\r\n", b"+OK ready\r\n", "pop3"),
    (b"QUIT\r\n", b"-ERR busy\r\n", "pop3"),
    (b"a1 LOGIN jo x\r\n", b"* OK IMAP4rev1\r\n", "imap"),
    (b"1 CAPABILITY\r\n", b"* PREAUTH ready\r\n", "imap"),
    (b"a LOGOUT\r\n", b"* BYE busy\r\n", "imap"),
    (b"SSH-2.0-OpenSSH_9.6\r\n", b"SSH-2.0-OpenSSH_9.2p1 Debian\r\n", "ssh"),
    (b"SSH-1.99-x\r\n", b"SSH-1.5-y\r\n", "ssh"),
    (GET, b"HTTP/1.1 200 OK\r\n", "http"),
    (b"\r\n" + GET, b"HTTP/1.0 404 No\r\n", "http"),
    (b"M-SEARCH * HTTP/1.1\r\n", b"HTTP/1.1 200 OK\r\n", "http"),
    (b"GET /" + b"x" * 600 + b" HTTP/1.1\r\n", b"HTTP/1.1 414 Long\r\n", "http"),
    (PREFACE, SETTINGS, "http2"),
    (PREFACE, b"\x00\x00\x00\x04\x00\x00\x00\x00\x00", "http2"),
    (CLIENT_HELLO, SERVER_HELLO, "tls"),
    (CLIENT_HELLO, b"\x15\x03\x01\x00\x02\x02\x28", "tls"),
    (b"\x80\x2e\x01\x03\x01\x00\x15\x00\x00\x00\x10" + bytes(40), SERVER_HELLO, "tls"),
    (b"\x17\x03\x03\x00\x20" + bytes(32), b"\x17\x03\x03\x01\x00" + bytes(64), "tls"),
    (RTSP, b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n", "rtsp"),
    (b"OPTIONS rtsp://h/" + b"a" * 600 + b" RTSP/1.0\r\n", b"RTSP/1.0 454 Session Not Found\r\n", "rtsp"),
    (b"POST /fp-setup RTSP/1.0\r\nX-Apple-ET: 32\r\n", b"RTSP/1.0 200 OK\r\n", "rtsp"),
    (b"SETUP rtsp://192.0.2.1/1 HTTP/1.1\r\nCSeq: 3\r\n\r\n", b"HTTP/1.1 200 OK\r\nCSeq: 3\r\n", "rtsp"),
    (b"RECORD /stream HTTP/1.1\r\nHost: a\r\nCSeq: 3\r\n\r\n", b"HTTP/1.1 200 OK\r\nCSeq: 3\r\n", "rtsp"),
    (b"RTSP/1.0 200 OK\r\n", b"ANNOUNCE rtsp://h/a RTSP/1.0\r\n", "rtsp"),
    (RTP, b"RTSP/1.0 200 OK\r\n", "rtsp"),
    (RTP, RTP, "rtsp"),
    (b"OPTIONS sip:h SIP/2.0\r\nVia: SIP/2.0/TCP a\r\n", b"SIP/2.0 200 OK\r\n", "sip"),
    (b"\r\n\r\n", b"\r\nOPTIONS sip:h SIP/2.0\r\n", "sip"),
    (b"SIP/2.0 200 OK\r\n", b"INVITE sip:h SIP/2.0\r\n", "sip"),
    (b"REQMOD icap://i/x ICAP/1.0\r\n\r\nGET / HTTP/1.1\r\n", b"ICAP/1.0 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n", "icap"),
    (b"OPTIONS icap://i/x ICAP/1.0\r\n", b"ICAP/1.0 404 Not Found\r\n", "icap"),
    (b"MSRP a786hjs2 SEND\r\n", b"MSRP a786hjs2 200 OK\r\n", "msrp"),
    (b"GET / HTTP/1.0\r\nIcy-MetaData: 1\r\n\r\n", b"ICY 200 OK\r\n", "icy"),
    (b"GNUTELLA CONNECT/0.6\r\n", b"GNUTELLA/0.6 200 OK\r\n", "gnutella"),
    (b"GET /x FOO/1.0\r\n", b"FOO/1.0 200 OK\r\n", "unknown"),
    (GET, b"FOO/1.0 200 OK\r\n", "http"),
    (b"OPTIONS /x FOO/1.0\r\n", b"FOO/1.0 200 OK\r\n", "unknown"),
    (b"OPTIONS /" + b"x" * 600, b"FOO/1.0 200 OK\r\n", "unknown"),
    (b"GET /x FOO/1.0\r\n", b"HTTP/1.1 400 Bad Request\r\n", "http"),
    (b"GET / HTPP/1.1\r\n", b"HTTP/1.1 400 Bad Request\r\n", "http"),
    (b"GET /a b c HTTP/1.1\r\n", b"HTTP/1.1\t200\r\n", "http"),
    (b"get / http/1.1\r\n", b"http/1.1 200 ok\r\n", "http"),
    (GET, b"HTTP/01.1  200 OK\r\n", "http"),
    (b"STARTTLS\r\n", b":irc.example.org 670 * :go ahead\r\n", "irc"),
    (b"STARTTLS\r\n", b":irc.example.org NOTICE * :*** Looking up your hostname\r\n", "irc"),
    (b"USER jo +iw jo :Jo\r\nNICK jo\r\n", b"ERROR :closing link\r\n", "irc"),
    (b"CAP LS 302\r\nNICK jo\r\n", b":h CAP * LS :sasl\r\n", "irc"),
    (b"STARTTLS\r\n", b"200 news.example.org ready\r\n382 go ahead\r\n", "nntp"),
    (b"MODE READER\r\n", b"201 no posting\r\n", "nntp"),
    (b"STARTTLS\r\n", b'"IMPLEMENTATION" "x"\r\nOK\r\nOK "go"\r\n', "managesieve"),
    (b"STARTTLS\r\n", b'OK "go"\r\n', "managesieve"),
    (b"STLS\r\n", b"+OK\r\n", "pop3"),
    (b"a STARTTLS\r\n", b"* OK ready\r\n", "imap"),
    (b"<stream:stream xmlns='jabber:client'>", b"<?xml version='1.0'?><stream:stream xmlns='jabber:client'>", "xmpp"),
    (b"0\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037", b"0\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00", "ldap"),
    (b"\x00\x00\x00\x08\x04\xd2\x16\x2f", b"S", "postgresql"),
    (b"STARTTLS\r\n", b"welcome\r\n", "unknown"),
    (b"\x01\x02\x03\x04", b"\x05\x06\x07\x08", "unknown"),
    (b"PING\r\n", b"+OK\r\n", "unknown"),
    (b"", b"", "none"),
]


@pytest.mark.parametrize(("client", "server", "service"), BOTH)
def test_what_both_say_decides(client: bytes, server: bytes, service: str) -> None:
    assert hear(client, server).service == service


@pytest.mark.parametrize("port", ["smtp", "ftp", "http", "none", "https"])
@pytest.mark.parametrize(("client", "server", "service"), [row for row in BOTH if row[2] not in {"unknown", "none"}])
def test_no_port_outweighs_what_is_said(client: bytes, server: bytes, service: str, port: str) -> None:
    assert hear(client, server, port).service == service


ONE = [
    (b"EHLO c\r\n", b"", "smtp", ("smtp",), ()),
    (b"", b"220 mx ESMTP ready\r\n", "smtp", (), ("smtp",)),
    (b"", b"220 FileZilla Server\r\n", "ftp", (), ("ftp",)),
    (b"", b"220 ready\r\n", "unknown", (), ("ftp", "smtp")),
    (b"", b"421 busy\r\n", "unknown", (), ("ftp", "smtp")),
    (b"USER jo\r\n", b"", "unknown", ("ftp", "pop3"), ()),
    (b"QUIT\r\n", b"", "unknown", ("ftp", "pop3", "smtp"), ()),
    (b"VRFY jo\r\n", b"", "unknown", ("smtp",), ()),
    (GET, b"", "http", ("http",), ()),
    (b"", b"HTTP/1.1 200 OK\r\n", "http", (), ("http",)),
    (b"", b"HTTP/1.x 200 OK\r\n", "unknown", (), ("http",)),
    (b"", b"+OK ready\r\n", "pop3", (), ("pop3",)),
    (b"", b"+OK\r\n", "unknown", (), ("pop3",)),
    (b"", b"* OK ready\r\n", "imap", (), ("imap",)),
    (CLIENT_HELLO, b"", "tls", ("tls",), ()),
    (b"", SERVER_HELLO, "tls", (), ("tls",)),
    (b"SSH-2.0-x\r\n", b"", "ssh", ("ssh",), ()),
    (b"\x17\x03\x03\x00\x20", b"", "unknown", ("tls",), ()),
    (RTSP, b"", "rtsp", ("rtsp",), ()),
    (b"", b"RTSP/1.0 200 OK\r\n", "rtsp", (), ("rtsp",)),
    (b"", b"OPTIONS sip:h SIP/2.0\r\n", "sip", (), ("sip",)),
    (b"", b"ICY 200 OK\r\n", "icy", (), ("icy",)),
    (b"GET /x FOO/1.0\r\n", b"", "unknown", (), ()),
    (b"", b"FOO/1.0 200 OK\r\n", "unknown", (), ()),
    (b"GET /a b HTTP/1.0\r\n", b"", "http", ("http",), ()),
    (b"", b":h 001 jo :Welcome\r\n", "irc", (), ("irc",)),
]


@pytest.mark.parametrize(("client", "server", "service", "from_client", "from_server"), ONE)
def test_one_direction_alone(
    client: bytes, server: bytes, service: str, from_client: tuple[str, ...], from_server: tuple[str, ...]
) -> None:
    found = hear(client, server)
    assert (found.service, tuple(sorted(found.client)), tuple(sorted(found.server))) == (service, from_client, from_server)
    assert (found.client_spoke, found.server_spoke) == (bool(client), bool(server))


@pytest.mark.parametrize(
    ("client", "server", "port", "service"),
    [
        (b"", b"220 ready\r\n", "ftp", "ftp"),
        (b"", b"220 ready\r\n", "smtp", "smtp"),
        (b"", b"220 ready\r\n", "http", "unknown"),
        (b"NOOP\r\n", b"220 ready\r\n", "ftp", "ftp"),
        (b"NOOP\r\n", b"220 ready\r\n", "smtp", "smtp"),
        (b"NOOP\r\n", b"220 ready\r\n", "none", "unknown"),
        (b"USER jo\r\n", b"", "ftp", "ftp"),
        (b"USER jo\r\n", b"", "pop3", "pop3"),
        (b"a LOGIN jo x\r\n", b"", "imap", "imap"),
        (b"GET /old\r\n", b"<html>", "http", "http"),
        (b"STARTTLS\r\n", b"", "smtp", "smtp"),
        (b"STARTTLS\r\n", b"welcome\r\n", "smtp", "unknown"),
        (b"USER jo\r\n", b"welcome\r\n", "ftp", "unknown"),
        (b"USER jo\r\n", b"welcome\r\n220 ready\r\n", "ftp", "ftp"),
        (b"USER jo\r\n", b"220ready\r\n", "ftp", "ftp"),
        (b"QUIT\r\n", b"220ready\r\n", "smtp", "smtp"),
        (b"QUIT\r\n", b"2", "smtp", "smtp"),
    ],
)
def test_the_port_decides_between_what_is_likely(client: bytes, server: bytes, port: str, service: str) -> None:
    assert hear(client, server, port).service == service


@pytest.mark.parametrize(
    ("client", "server", "port", "service", "sides"),
    [
        (GET, b"SSH-2.0-x\r\n", "ssh", "http", ("http", "ssh")),
        (GET, b"SSH-2.0-x\r\n", "http", "http", ("http", "ssh")),
        (GET, b"SSH-2.0-x\r\n", "none", "http", ("http", "ssh")),
        (CLIENT_HELLO, b"HTTP/1.1 400 Bad Request\r\n", "https", "tls", ("tls", "http")),
        (GET, b"\x15\x03\x01\x00\x02\x02\x46", "https", "http", ("http", "tls")),
        (b"EHLO c\r\n", b"+OK ready\r\n", "smtp", "smtp", ("smtp", "pop3")),
        (GET, b"RTSP/1.0 400 Bad Request\r\n", "http", "rtsp", ("http", "rtsp")),
        (RTSP, b"HTTP/1.1 400 Bad Request\r\n", "http", "rtsp", ("rtsp", "http")),
        (b"GET /info HTTP/1.1\r\nCSeq: 1\r\n\r\n", b"RTSP/1.0 200 OK\r\n", "http", "rtsp", ("rtsp", "rtsp")),
        (GET, b"ICY 200 OK\r\n", "http", "icy", ("http", "icy")),
        (b"SOURCE /m ICE/1.0\r\n", b"HTTP/1.0 200 OK\r\n", "http", "icy", ("icy", "http")),
    ],
)
def test_both_languages_are_told_where_two_are_spoken(
    client: bytes, server: bytes, port: str, service: str, sides: tuple[str, str]
) -> None:
    found = hear(client, server, port)
    assert (found.service, found.client, found.server) == (service, (sides[0],), (sides[1],))


@pytest.mark.parametrize(
    "data",
    [
        CLIENT_HELLO[:3] + b"\x48\x01" + CLIENT_HELLO[5:],
        b"\x16\x03\x05" + CLIENT_HELLO[3:],
        b"\x16\x02\x01" + CLIENT_HELLO[3:],
        CLIENT_HELLO[:5] + b"\x03" + CLIENT_HELLO[6:],
    ],
    ids=["record too long", "version 3.5", "version 2.1", "no ClientHello"],
)
def test_what_only_looks_like_tls_is_not_sure(data: bytes) -> None:
    assert hear(data, b"").service == "unknown"


def test_a_record_may_be_as_long_as_one_of_tls_1_2() -> None:
    assert hear(CLIENT_HELLO[:3] + b"\x48\x00" + CLIENT_HELLO[5:], b"").service == "tls"


VERSION_2 = b"\r\n\r\n\x00\r\nQUIT\n"


@pytest.mark.parametrize(
    ("header", "is_one"),
    [
        (b"PROXY TCP4 192.0.2.1 198.51.100.1 40000 25\r\n", True),
        (b"PROXY TCP6 2001:db8::1 2001:db8::2 40000 25\r\n", True),
        (b"PROXY UNKNOWN\r\n", True),
        (b"PROXY UNKNOWN " + b"f" * 90 + b"\r\n", True),
        (VERSION_2 + b"\x21\x11\x00\x0c" + bytes(12), True),
        (VERSION_2 + b"\x20\x00\x00\x00", True),
        (VERSION_2 + b"\x21\x21\x03\x00" + bytes(0x300), True),
        (b"PROXY TCP5 192.0.2.1\r\n", False),
        (b"PROXY TCP4 192.0.2.1 198.51.100.1 40000 25\n", False),
        (b"PROXY UNKNOWN " + b"f" * 200 + b"\r\n", False),
        (VERSION_2 + b"\x11\x11\x00\x0c" + bytes(12), False),
        (VERSION_2 + b"\x21\x11", False),
    ],
)
def test_a_proxy_header_is_passed_over(header: bytes, *, is_one: bool) -> None:
    """Versions 1 and 2 of the PROXY protocol; what is no header stays."""
    client = reader("client", header + (b"EHLO c\r\n" if is_one else b""))
    assert skip_proxy(client) is is_one
    assert client.at == (len(header) if is_one else 0)
    if is_one:
        assert detector().detect(client, reader("server", b""), "none").service == "smtp"


WORDS = [word for row in BOTH for word in row[:2]] + [b"PROXY TCP4 ", VERSION_2, b"220 ", b"\r\n", b"\x16\x03\x01", b"HTTP/1."]
SAID = st.lists(st.sampled_from(WORDS) | st.binary(max_size=30), max_size=4).map(b"".join)
CUTS = st.lists(st.integers(1, 120), max_size=12).map(tuple)
PORTS = st.sampled_from(["none", "smtp", "ftp", "http", "https", "pop3"])


@settings(deadline=None, max_examples=300)
@given(SAID, SAID, CUTS, CUTS, PORTS)
def test_no_bytes_are_too_odd_and_how_they_are_cut_does_not_matter(
    client: bytes, server: bytes, asked: tuple[int, ...], answered: tuple[int, ...], port: str
) -> None:
    whole = reader("client", client), reader("server", server)
    parts = reader("client", client, asked), reader("server", server, answered)
    assert skip_proxy(whole[0]) == skip_proxy(parts[0])
    assert whole[0].at == parts[0].at
    found = detector().detect(*whole, port)
    assert found == detector().detect(*parts, port)
    assert found.service in {"none", "unknown", *protocols()} - {"any"}
    assert (parts[0].at, parts[1].at) == (whole[0].at, 0)


def test_what_ports_stand_for() -> None:
    """By the IANA registry of service names, and the alternative ports in common use."""
    known = {
        25: "smtp",
        587: "smtp",
        2525: "smtp",
        465: "smtps",
        21: "ftp",
        990: "ftps",
        20: "ftp-data",
        80: "http",
        8080: "http",
        443: "https",
    }
    words = services(protocols())
    facts = context.by_port(np.array([*known, 0, 40000]), protocols())
    assert [words[code] for code in facts["service_by_port"][0]] == [*known.values(), "none", "none"]
    expected = {465: "tls", 990: "tls", 443: "tls"}
    assert [words[code] for code in facts["service_expected"][0]] == [
        *(expected.get(port, name) for port, name in known.items()),
        "none",
        "none",
    ]
