"""What is declared is emitted, and nothing else; secrets stay where they are."""

from __future__ import annotations

from base64 import b64encode
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

from analyzer import rules
from tests.unit.protocols.http.scripts import GET, OK, facts, of_script, read

if TYPE_CHECKING:
    from analyzer.protocols.api import Dialogue
    from analyzer.rules.protocols import Protocol

READER = {"number", "request_seen", "replied", "reply_code", "words", "latency", "pipelined", "credentials"}
"""Facts of any exchange that a reader fills in; and those of a dialogue that concern HTTP."""
READER_DIALOGUE = {"early_excused", "pushed", "tls_missing"}
COMMON = {
    "kind",
    "number",
    "time",
    "first_frame",
    "last_frame",
    "request",
    "code",
    "reply",
    "latency_ms",
    "request_bytes",
    "response_bytes",
    "complete",
}
SECRET = "s3cr3t-V4lue"  # noqa: S105 - nobody's
RICH = (
    b"POST http://jo:pw@a.example/x?token=t HTTP/1.1\r\nHost: b.example\r\nUser-Agent: u\r\nReferer: http://r.example/\r\n"
    b"Origin: http://o.example\r\nContent-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\n"
    b'Expect: 100-continue\r\nAuthorization: Basic am86cHc=\r\nProxy-Authorization: Digest username="jo"\r\nCookie: a=b; c=d\r\n'
    b"Forwarded: for=x\r\nVia: 1.1 p\r\nConnection: close\r\nX-Api-Key: k\r\n\r\n"
)
RICH_REPLY = (
    b"HTTP/1.1 302 Found\r\nServer: s\r\nLocation: /y?token=t\r\nSet-Cookie: e=f; Secure\r\nWWW-Authenticate: Basic realm=x\r\n"
    b"Content-Type: text/html\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nT: x\r\n\r\n"
)


@cache
def declared() -> Protocol:
    return rules.load(check=True).protocols["http"]


@cache
def dialogues() -> tuple[Dialogue, ...]:
    """Return the dialogues of all examples of the rules, and more: together they have every fact."""
    examples = [example.segments for finding in rules.load().findings.values() if finding.family == "http" for example in finding.examples]
    more = (
        read(("client", RICH), ("client", b"0\r\n\r\n"), ("server", b"HTTP/1.1 100 Continue\r\n\r\n" + RICH_REPLY)),
        read(("client", GET), ("server", OK), ("client", GET), ("server", 60), ("client", GET), ("server", OK)),
        read(("client", b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 60_000), ("server", OK)),
        read(
            ("client", b"OPTIONS * HTTP/1.1\r\nUpgrade: tls/1.0\r\n\r\n"),
            ("server", b"HTTP/1.1 101 S\r\nUpgrade: tls/1.0\r\n\r\n"),
            ("client", GET),
        ),
        read(("client", b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Type: multipart/form-data; boundary=x\r\n\r\nx"), ("server", OK)),
    )
    return (*(of_script(example) for example in examples), *more)


def _emitted(part: str) -> dict[str, set[Any]]:
    found: dict[str, set[Any]] = {}
    for dialogue in dialogues():
        items = [getattr(dialogue, part)] if part in {"facts", "evidence"} else [getattr(one, part[9:]) for one in dialogue.exchanges]
        for item in items:
            for name, value in item.items():
                found.setdefault(name, set()).add(value)
    return found


def test_every_fact_of_an_exchange_is_declared_and_filled() -> None:
    own, emitted = set(declared().exchange) - set(rules.load().protocols["any"].exchange), _emitted("exchange_facts")
    assert set(emitted) == own | READER
    assert [name for name, values in emitted.items() if values <= {None}] == []


def test_every_fact_of_a_dialogue_is_declared_and_filled() -> None:
    own, emitted = set(declared().dialogue) - set(rules.load().protocols["any"].dialogue), _emitted("facts")
    assert set(emitted) == own | READER_DIALOGUE
    assert [name for name, values in emitted.items() if values <= {None}] == []


def test_words_are_those_of_the_enumeration() -> None:
    for name, values in ({**_emitted("exchange_facts"), **_emitted("facts")}).items():
        kind = {**declared().exchange, **declared().dialogue}[name].kind
        if kind == "text":
            assert all(value is None or isinstance(value, str) for value in values), name
        elif kind in declared().enums:
            assert values <= {None, *declared().enums[kind]}, name
        elif kind == "flag":
            assert values <= {None, True, False}, name
        else:
            assert {type(value) for value in values} <= {int, type(None)}, name


def test_every_place_is_declared_and_filled() -> None:
    own = set(declared().exchange_evidence) - set(rules.load().protocols["any"].exchange_evidence)
    emitted = _emitted("exchange_evidence")
    assert {"request", "request_end", "reply", "reply_end", *own} == set(emitted)
    own_evidence = set(declared().dialogue_evidence) - set(rules.load().protocols["any"].dialogue_evidence)
    assert set(_emitted("evidence")) == own_evidence | {"tls_missing"}


def test_every_column_is_declared_and_filled() -> None:
    found: dict[str, set[type]] = {}
    for dialogue in dialogues():
        for row in dialogue.rows:
            for name, value in row.items():
                found.setdefault(name, set()).add(type(value))
    assert set(found) == COMMON | set(declared().transaction)
    dtypes = {"str": str, "int": int, "flag": bool, "list": tuple, "float": float}
    for name, column in declared().transaction.items():
        assert found[name] - {type(None)} == {dtypes[column.kind]}, name


@pytest.mark.parametrize(
    ("lines", "sends"),
    [
        (b"Authorization: Basic am86cHc=", True),
        (b"Authorization: Bearer abc", True),
        (b"Authorization: abc", True),
        (b"Proxy-Authorization: Basic am86cHc=", True),
        (b"X-Api-Key: abc", True),
        (b'Authorization: Digest username="jo", response="00"', False),
        (b"Authorization: Negotiate YII=", False),
        (b"Cookie: session=abc", False),
        (b"Accept: */*", False),
    ],
)
def test_which_requests_send_credentials(lines: bytes, sends: bool) -> None:  # noqa: FBT001
    assert facts(read(("client", GET[:-2] + lines + b"\r\n\r\n"), ("server", OK)))["credentials"] is sends


def test_a_form_with_a_password_sends_credentials() -> None:
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded; charset=utf-8\r\nContent-Length: %d\r\n\r\n"
    for form, sends in ((b"user=jo&pass=x", True), (b"user=jo&page=x", False)):
        found = facts(read(("client", head % len(form) + form), ("server", OK)))
        assert (found["credentials"], found["form_secret"]) == (sends, sends)


def hiding_places() -> dict[str, bytes]:
    """Return requests and replies that hold SECRET, by where."""
    secret = SECRET.encode()
    basic = b64encode(b"jo:" + secret)
    request = {
        "basic": b"Authorization: Basic " + basic,
        "basic without a colon": b"Authorization: Basic " + b64encode(secret),
        "basic, cut": b"Authorization: Basic " + basic[:-3],
        "scheme in capitals": b"AUTHORIZATION: BASIC " + basic,
        "bearer": b"Authorization: Bearer " + secret,
        "no scheme": b"Authorization: " + secret,
        "digest": b'Authorization: Digest username="jo", response="' + secret + b'"',
        "ntlm": b"Authorization: NTLM " + secret,
        "negotiate": b"Authorization: Negotiate " + secret,
        "proxy": b"Proxy-Authorization: Basic " + basic,
        "cookie": b"Cookie: a=b; session=" + secret,
        "cookie without a name": b"Cookie: " + secret,
        "referrer userinfo": b"Referer: http://jo:" + secret + b"@r.example/",
        "referrer query": b"Referer: http://r.example/?token=" + secret,
        "referrer fragment": b"Referer: http://r.example/#access_token=" + secret,
        "origin": b"Origin: http://jo:" + secret + b"@r.example",
        "api key": b"X-Api-Key: " + secret,
        "folded": b"Authorization: Bearer\r\n " + secret,
        "space before the colon": b"Authorization : Bearer " + secret,
        "line without a colon": b"Authorization Bearer " + secret,
        "via": b"Via: http://jo:" + secret + b"@p.example",
        "user agent": b"User-Agent: x (http://jo:" + secret + b"@p.example)",
        "forwarded": b"X-Forwarded-For: http://h/?token=" + secret,
        "host": b"Host: http://jo:" + secret + b"@h",
    }
    found = {f"field: {name}": GET[:-2] + line + b"\r\n\r\n" for name, line in request.items()}
    target = {
        "query": b"/?token=" + secret,
        "path": b"/a;jsessionid=" + secret + b"/b",
        "userinfo": b"http://jo:" + secret + b"@a.example/",
        "token as userinfo": b"http://" + secret + b"@a.example/",
        "encoded uri": b"/?next=http%3A%2F%2Fjo%3A" + secret + b"%40a.example",
        "encoded query": b"/?next=%2F%3Fpassword%3D" + secret,
        "authority": b"//jo:" + secret + b"@a.example/",
        "with a space": b"/ ?password=" + secret,
    }
    found |= {f"target: {name}": b"GET " + text + b" HTTP/1.1\r\nHost: a\r\n\r\n" for name, text in target.items()}
    form = b"user=jo&password=" + secret
    head = b"POST /login HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    found["form"] = head + b"Content-Length: %d\r\n\r\n" % len(form) + form
    found["form in chunks"] = head + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(form) + form + b"\r\n0\r\n\r\n"
    found["form behind its end"] = head + b"Content-Length: 2\r\n\r\n" + form
    found["simple request"] = b"GET /?token=" + secret + b"\r\n"
    found["password as a line"] = b"PASS " + secret + b"\r\n\r\n"
    found["cut head"] = b"GET / HTTP/1.1\r\nAuthorization: Bearer " + secret
    return found


@pytest.mark.parametrize("where", hiding_places())
def test_no_secret_leaves_the_reader(where: str) -> None:
    dialogue = read(("client", hiding_places()[where]), ("server", OK))
    text = repr(dialogue)
    for form in (SECRET, b64encode(SECRET.encode()).decode()[:12], b64encode(f"jo:{SECRET}".encode()).decode()[:12], SECRET.encode().hex()):
        assert form not in text


@pytest.mark.parametrize(
    "line",
    [
        b"HTTP/1.1 401 no %s here\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: /welcome/%s\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://jo:%s@a.example/\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: /cb#id_token=%s\r\n",
        b"HTTP/1.1 200 OK\r\nSet-Cookie: session=%s; HttpOnly\r\n",
        b"HTTP/1.1 200 OK\r\nServer: echo %s\r\n",
    ],
)
@pytest.mark.parametrize("sent", ["field: bearer", "field: basic", "field: cookie", "target: query"])
def test_a_reply_that_repeats_a_secret_is_hidden(line: bytes, sent: str) -> None:
    reply = line % SECRET.encode() + b"Content-Length: 0\r\n\r\n"
    assert SECRET not in repr(read(("client", hiding_places()[sent]), ("server", reply)))


def test_secrets_are_kept_when_wanted() -> None:
    dialogue = read(("client", hiding_places()["field: basic"]), ("server", OK), secrets=True)
    assert dialogue.rows[0]["auth_user"] == f"jo:{SECRET}"
    assert read(("client", hiding_places()["field: cookie"]), ("server", OK), secrets=True).rows[0]["cookies"] == (
        "a=b",
        f"session={SECRET}",
    )
    assert read(("client", hiding_places()["target: query"]), ("server", OK), secrets=True).rows[0]["target"] == f"/?token={SECRET}"


def test_names_stay() -> None:
    row = read(("client", RICH), ("client", b"0\r\n\r\n"), ("server", RICH_REPLY)).rows[0]
    assert (row["auth_scheme"], row["auth_user"], row["proxy_auth_scheme"], row["proxy_auth_user"]) == ("basic", "jo", "digest", "jo")
    assert (row["cookies"], row["set_cookies"]) == (("a", "c"), ("e",))
    assert (row["target"], row["location"]) == ("http://jo:(hidden)@a.example/x?token=(hidden)", "/y?token=(hidden)")
