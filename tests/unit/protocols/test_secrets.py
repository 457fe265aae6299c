"""No password, token or key of a capture is in anything this program writes, unless it is asked to show them, and then it says so.

Every secret is planted in a connection of its own. What is written is searched for each of them as it is and in the encodings that a
careless program would carry it in.
"""

from __future__ import annotations

import base64
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from analyzer import analyze, notation
from analyzer.cli import run
from analyzer.cli.commands.show import explanations
from analyzer.protocols import http
from analyzer.report import CSV_TABLES, FORMATS, Layout, render
from analyzer.report.terminal import ladder
from analyzer.rules import load
from tests.unit.protocols.scripted import Talk, Turn, turns
from tests.unit.protocols.scripted import notation as script

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from analyzer.model import Report

pytestmark = pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@dataclass(frozen=True, slots=True)
class Planted:
    """A secret, and the connection it is sent over."""

    name: str
    secret: str
    talk: Talk
    shown: bool = False
    """Whether --show-secrets has to show it, as it is."""


Make = tuple[str, int, str, bool]
"""Name, port, lines with {s} for the secret (or {b:…} made beforehand), whether it is shown on request."""

FTP = "S: 220 (vsFTPd 3.0.3)\n"
SMTP = "S: 220 mx.example ESMTP\nC: EHLO c.example\nS: 250-mx.example\nS: 250-PIPELINING\nS: 250 AUTH PLAIN LOGIN CRAM-MD5 XOAUTH2\n"
MAIL = (
    "\nC: MAIL FROM:<a@b.example>\nS: 250 ok\n"
    "C: RCPT TO:<c@d.example>\nS: 250 ok\nC: DATA\nS: 354 go\nC: hi\nC: .\nS: 250 queued\nC: QUIT\nS: 221 bye"
)
GET = "C: GET / HTTP/1.1\nC: Host: h.example\n"
OK = "C: \nS: HTTP/1.1 200 OK\nS: Content-Length: 0\nS: "


def header(line: str) -> str:
    return f"{GET}C: {line}\n{OK}"


def target(uri: str) -> str:
    return f"C: GET {uri} HTTP/1.1\nC: Host: h.example\n{OK}"


def answered(field: str, status: str = "302 Found") -> str:
    return f"{GET}C: \nS: HTTP/1.1 {status}\nS: {field}\nS: Content-Length: 0\nS: "


def posted(kind: str, body: str) -> str:
    """Return a POST with content of lines."""
    size = len(body.replace("\nC: ", "\r\n")) + 2
    head = f"C: POST /login HTTP/1.1\nC: Host: h.example\nC: Content-Type: {kind}\nC: Content-Length: {size}"
    return f"{head}\nC: \nC: {body}\nS: HTTP/1.1 204 No\nS: "


def echoed(line: str, echo: str) -> str:
    """Return a request with a header field, and a reply whose phrase and Location repeat a secret."""
    return f"{GET}C: {line}\nC: \nS: HTTP/1.1 401 not {echo}\nS: Location: /why/{echo}\nS: Content-Length: 0\nS: "


def answers(field: str) -> str:
    return f"S: HTTP/1.1 401 No\nS: {field}\nS: Content-Length: 0\nS: "


def said_again(before: str, secret: str) -> str:
    """Return a dialogue, and a request and reply behind it that repeat a secret."""
    return f"{before}\nC: GET /{secret} HTTP/1.1\nC: Host: h.example\nC: \nS: HTTP/1.1 404 no {secret}\nS: Content-Length: 0\nS: "


def again(times: int) -> str:
    return "".join(f"C: PASS w{number}-qq\nS: 530 no\n" for number in range(times))


def percent(text: str) -> str:
    return "".join(f"%{byte:02x}" for byte in text.encode())


def references(text: str) -> str:
    return "".join(f"&#{byte};" for byte in text.encode())


def lines(number: int) -> Iterator[tuple[str, int, str, bool]]:
    """Yield each way to send a secret in lines; the secret is made from the number of the case."""

    def secret(offset: int) -> str:
        return f"Zq{number + offset:03d}vK-x8Tw.{number + offset:03d}jR"

    cases: list[tuple[str, int, Callable[[str], str], bool]] = [
        ("ftp pass", 21, lambda s: f"{FTP}C: USER bob\nS: 331 Please\nC: PASS {s}\nS: 230 in", True),
        ("ftp pass, small letters", 21, lambda s: f"{FTP}C: user bob\nS: 331 Please\nC: pass {s}\nS: 530 no", True),
        ("ftp pass, echoed", 21, lambda s: f"{FTP}C: USER bob\nS: 331 Please\nC: PASS {s}\nS: 530 wrong password {s} for bob", False),
        ("ftp acct", 21, lambda s: f"{FTP}C: USER bob\nS: 332 account\nC: ACCT {s}\nS: 230 in", True),
        ("ftp pass before user", 21, lambda s: f"{FTP}C: PASS {s}\nS: 503 first USER\nC: USER bob\nS: 331 now", False),
        ("ftp password as a line", 21, lambda s: f"{FTP}C: USER bob\nS: 331 Please\nC: {s}\nS: 500 {s}: unknown command", False),
        ("ftp pass misspelt", 21, lambda s: f"{FTP}C: USER bob\nS: 331 Please\nC: PAS {s}\nS: 500 PAS {s} unknown", False),
        ("ftp pass and a tab", 21, lambda s: f"{FTP}C: USER bob\nS: 331 Please\nC: PASS\t{s}\nS: 230 in", False),
        ("ftp pass pipelined", 21, lambda s: f"{FTP}C: USER bob\nC: PASS {s}\nC: PWD\nS: 331 ok\nS: 230 in\nS: 257 / is it", True),
        ("ftp adat", 21, lambda s: f"{FTP}C: AUTH GSSAPI\nS: 334 go\nC: ADAT {b64(s)}\nS: 535 bad {b64(s)}", False),
        (
            "ftp site pswd",
            21,
            lambda s: f"{FTP}C: USER bob\nS: 331 ok\nC: PASS x1y2z3\nS: 230 in\nC: SITE PSWD x1y2z3 {s}\nS: 200 ok",
            False,
        ),
        ("ftp on another port", 8021, lambda s: f"{FTP}C: USER bob\nS: 331 Please\nC: PASS {s}\nS: 230 in", True),
        ("smtp plain", 25, lambda s: SMTP + f"C: AUTH PLAIN {b64(chr(0) + 'bob' + chr(0) + s)}\nS: 235 in", False),
        ("smtp plain, asked for", 587, lambda s: SMTP + f"C: AUTH PLAIN\nS: 334 \nC: {b64(chr(0) + 'bob' + chr(0) + s)}\nS: 535 no", False),
        ("smtp plain, small letters", 25, lambda s: SMTP + f"C: auth plain {b64(chr(0) + 'bo' + chr(0) + s)}\nS: 235 in", False),
        ("smtp plain, not encoded", 25, lambda s: SMTP + f"C: AUTH PLAIN {s}\nS: 501 cannot decode {s}", False),
        (
            "smtp login",
            25,
            lambda s: SMTP + f"C: AUTH LOGIN\nS: 334 VXNlcm5hbWU6\nC: {b64('bob')}\nS: 334 UGFzc3dvcmQ6\nC: {b64(s)}\nS: 235 in",
            False,
        ),
        (
            "smtp login, cancelled",
            25,
            lambda s: SMTP + f"C: AUTH LOGIN {b64('bob')}\nS: 334 UGFzc3dvcmQ6\nC: {b64(s)}\nC: *\nS: 501 off",
            False,
        ),
        (
            "smtp login, password first",
            25,
            lambda s: SMTP + f"C: AUTH LOGIN\nS: 334 UGFzc3dvcmQ6\nC: {b64(s)}\nS: 334 VXNlcm5hbWU6\nC: {b64('bob')}\nS: 235 in",
            False,
        ),
        (
            "smtp login, in the clear",
            25,
            lambda s: SMTP + f"C: AUTH LOGIN\nS: 334 VXNlcm5hbWU6\nC: bob\nS: 334 UGFzc3dvcmQ6\nC: {s}\nS: 535 {s} no",
            False,
        ),
        ("smtp cram-md5", 25, lambda s: SMTP + f"C: AUTH CRAM-MD5\nS: 334 PDEyMz4=\nC: {b64('bob ' + s)}\nS: 235 in", False),
        (
            "smtp xoauth2",
            25,
            lambda s: SMTP + f"C: AUTH XOAUTH2 {b64('user=bob' + chr(1) + 'auth=Bearer ' + s + chr(1) * 2)}\nS: 235 in",
            False,
        ),
        ("smtp unknown mechanism", 25, lambda s: SMTP + f"C: AUTH FOO {s}\nS: 504 FOO {s}?", False),
        (
            "smtp pipelined",
            25,
            lambda s: SMTP + f"C: AUTH LOGIN\nC: {b64('bob')}\nC: {b64(s)}\nC: MAIL FROM:<a@b>\nS: 334 \nS: 334 \nS: 235 in\nS: 250 ok",
            False,
        ),
        ("smtp before ehlo", 25, lambda s: f"S: 220 mx ESMTP\nC: AUTH PLAIN {b64(chr(0) + 'b' + chr(0) + s)}\nS: 503 first EHLO", False),
        ("smtp unknown command", 25, lambda s: SMTP + f"C: LOGIN bob {s}\nS: 500 LOGIN bob {s}: what", False),
        (
            "smtp answer without auth",
            25,
            lambda s: SMTP + f"C: AUTH\nS: 501 what\nC: {b64(chr(0) + 'bob' + chr(0) + s)}\nS: 500 {s}?",
            False,
        ),
        ("http basic", 80, lambda s: header(f"Authorization: Basic {b64('bob:' + s)}"), False),
        ("http basic, capitals", 80, lambda s: header(f"AUTHORIZATION: BASIC {b64('bo:' + s)}"), False),
        ("http basic, no blank", 80, lambda s: header(f"authorization:basic {b64('b:' + s)}"), False),
        ("http basic, no colon", 80, lambda s: header(f"Authorization: Basic {b64(s)}"), False),
        ("http bearer", 80, lambda s: header(f"Authorization: Bearer {s}"), False),
        ("http no scheme", 80, lambda s: header(f"Authorization: {s}"), False),
        ("http digest", 80, lambda s: header(f'Authorization: Digest username="bob", nonce="n", response="{s}"'), False),
        ("http negotiate", 80, lambda s: header(f"Authorization: Negotiate {b64(s)}"), False),
        ("http ntlm", 80, lambda s: header(f"Authorization: NTLM {b64('NTLMSSP' + s)}"), False),
        (
            "http proxy",
            3128,
            lambda s: f"C: CONNECT h.example:443 HTTP/1.1\nC: Host: h.example:443\nC: Proxy-Authorization: Basic {b64('bob:' + s)}\n{OK}",
            False,
        ),
        ("http cookie", 80, lambda s: header(f"Cookie: sid={s}; theme=dark"), False),
        ("http cookie without a name", 80, lambda s: header(f"Cookie: {s}"), False),
        ("http set-cookie", 80, lambda s: answered(f"Set-Cookie: sid={s}; Path=/; HttpOnly"), False),
        ("http set-cookie without a name", 80, lambda s: answered(f"Set-Cookie: {s}; Path=/"), False),
        ("http api key", 80, lambda s: header(f"X-Api-Key: {s}"), False),
        ("http auth token", 80, lambda s: header(f"X-Auth-Token: {s}"), False),
        ("http userinfo", 8080, lambda s: target(f"http://bob:{s}@h.example/a"), True),
        ("http referrer", 80, lambda s: header(f"Referer: https://bob:{s}@h.example/"), True),
        ("http referrer's fragment", 80, lambda s: header(f"Referer: https://h.example/#access_token={s}&x=1"), True),
        ("http location", 80, lambda s: answered(f"Location: https://h.example/cb?code={s}&state=1"), True),
        ("http query", 80, lambda s: target(f"/a?user=bob&password={s}"), True),
        ("http query, capitals", 80, lambda s: target(f"/a?Access_Token={s}"), True),
        ("http query, encoded", 80, lambda s: target("/a?token=" + "".join(f"%{ord(letter):02X}" for letter in s)), False),
        ("http query, name encoded", 80, lambda s: target(f"/a?p%61ssword={s}"), True),
        ("http query, nested", 80, lambda s: target("/a?next=" + quote(f"https://bob:{s}@h.example/?token={s}", safe="")), False),
        ("http path parameter", 80, lambda s: target(f"/a;jsessionid={s}"), True),
        ("http form", 80, lambda s: posted("application/x-www-form-urlencoded", f"user=bob&password={s}"), False),
        ("http json", 80, lambda s: posted("application/json", json.dumps({"user": "bob", "password": s})), False),
        (
            "http echoed phrase",
            80,
            lambda s: f"{GET}C: Authorization: Bearer {s}\nC: \nS: HTTP/1.1 401 token {s} is not known\nS: Content-Length: 0\nS: ",
            False,
        ),
        ("http own key field", 80, lambda s: echoed(f"X-Acme-Api-Key: {s}", s), False),
        ("http subscription key", 80, lambda s: echoed(f"Ocp-Apim-Subscription-Key: {s}", s), False),
        ("http private token", 80, lambda s: echoed(f"PRIVATE-TOKEN: {s}", s), False),
        ("http cookie, echoed", 80, lambda s: echoed(f"Cookie: lang=en-US; prefs={s}", s), False),
        ("http basic, echoed", 80, lambda s: echoed(f"Authorization: Basic {b64('bob:' + s)}", s), False),
        ("http bearer, echoed in base64", 80, lambda s: echoed(f"Authorization: Bearer {s}", b64("x" + s)), False),
        ("http bearer, echoed in percent", 80, lambda s: echoed(f"Authorization: Bearer {s}", percent(s)), False),
        ("http bearer, echoed in hexadecimal", 80, lambda s: echoed(f"Authorization: Bearer {s}", s.encode().hex()), False),
        ("http bearer, echoed in capitals", 80, lambda s: echoed(f"Authorization: Bearer {s}", s.upper()), False),
        ("http bearer, echoed in references", 80, lambda s: echoed(f"Authorization: Bearer {s}", references(s)), False),
        ("http digest cnonce", 80, lambda s: echoed(f'Authorization: Digest username="bob", cnonce="{s}", response="1"', s), False),
        (
            "http aws signature",
            80,
            lambda s: echoed(f"Authorization: AWS4-HMAC-SHA256 Credential=id/20201128/x/s3/aws4_request, Signature={s}", s),
            False,
        ),
        ("http aws credential", 80, lambda s: echoed(f"Authorization: AWS4-HMAC-SHA256 Credential={s}/20201128/x, Signature=00", s), False),
        ("http proxy, echoed", 80, lambda s: echoed(f"Proxy-Authorization: Basic {b64('bob:' + s)}", s), False),
        (
            "http set-cookie, echoed",
            80,
            lambda s: f"{answered(f'Set-Cookie: prefs={s}; Path=/')}\nC: GET /{s} HTTP/1.1\nC: Host: h\n{OK}",
            False,
        ),
        ("http form, echoed", 80, lambda s: said_again(posted("application/x-www-form-urlencoded", f"a=b&pswd={s}"), s), False),
        ("http form with an ampersand", 80, lambda s: target(f"/x?kennwort=q;{s}&page=2"), False),
        ("http query, after a number sign", 80, lambda s: target(f"/x?token=q#{s}"), False),
        ("http query, after a blank", 80, lambda s: target(f"/x?token=q {s}"), False),
        ("http json, echoed", 80, lambda s: said_again(posted("application/json", json.dumps({"a": {"clientSecret": s}})), s), False),
        (
            "http multipart, echoed",
            80,
            lambda s: said_again(
                posted("multipart/form-data; boundary=b", f'--b\nC: Content-Disposition: form-data; name="mdp"\nC: \nC: {s}\nC: --b--'), s
            ),
            False,
        ),
        ("http form without a type, echoed", 80, lambda s: said_again(posted("text/plain", f"senha={s}"), s), False),
        (
            "http form in chunks, echoed",
            80,
            lambda s: said_again(
                "C: POST / HTTP/1.1\nC: Host: h\nC: Content-Type: application/x-www-form-urlencoded\nC: Transfer-Encoding: chunked\nC: \n"
                f"C: {len(s[:5]) + 9:x}\nC: password={s[:5]}\nC: {len(s[5:]):x}\nC: {s[5:]}\nC: 0\nC: \nS: HTTP/1.1 204 No\nS: ",
                s,
            ),
            False,
        ),
        ("http host", 80, lambda s: f"C: GET / HTTP/1.1\nC: Host: bob:{s}@h.example\n{OK}", False),
        ("http host alone", 80, lambda s: f"C: GET / HTTP/1.1\nC: Host: {s}@h.example\n{OK}", False),
        ("http connect", 3128, lambda s: f"C: CONNECT bob:{s}@h.example:443 HTTP/1.1\nC: Host: h.example:443\n{OK}", False),
        ("http via", 80, lambda s: header(f"Via: 1.1 bob:{s}@p.example"), False),
        ("http referrer without a scheme", 80, lambda s: header(f"Referer: bob:{s}@h.example/"), False),
        ("http server", 80, lambda s: f"{GET}C: Authorization: Bearer {s}\nC: \n{answers(f'Server: x {s}')}", False),
        ("http challenge", 80, lambda s: f"{GET}C: Authorization: Bearer {s}\nC: \n{answers(f'WWW-Authenticate: {s} realm=x')}", False),
        ("http location repeats", 80, lambda s: f"{GET}C: Authorization: Bearer {s}\nC: \n{answers(f'Location: /u/{s}/x')}", False),
        ("http earlier request", 80, lambda s: f"C: GET /u/{s} HTTP/1.1\nC: Host: h\n{OK}\n{header(f'Authorization: Bearer {s}')}", False),
        ("http cut target", 80, lambda s: f"C: GET /{'a' * 1010}/{s} HTTP/1.1\nC: Host: h\nC: X-Api-Key: {s}\n{OK}", False),
        ("http many cookies", 80, lambda s: echoed("Cookie: " + "; ".join(f"c{n}=zz-{n}x" for n in range(150)) + f"; z={s}", s), False),
        ("http relay state", 80, lambda s: target(f"/acs?RelayState={s}"), True),
        ("http session id", 80, lambda s: target(f"/a?connect.sid={s}"), True),
        ("http oob code", 80, lambda s: target(f"/a?oobCode={s}"), True),
        ("http spanish", 80, lambda s: target(f"/a?contrase%C3%B1a={s}"), True),
        ("http shared access", 80, lambda s: target(f"/a?sv=1&sig={s}"), True),
        (
            "http in a tunnel",
            3128,
            lambda s: (
                "C: CONNECT h.example:80 HTTP/1.1\nC: Host: h.example\nC: \nS: HTTP/1.1 200 OK\nS: \n"
                + echoed(f"Authorization: Bearer {s}", s)
            ),
            False,
        ),
        (
            "http smtp in a tunnel",
            3128,
            lambda s: (
                "C: CONNECT h.example:25 HTTP/1.1\nC: Host: h.example\nC: \nS: HTTP/1.1 200 OK\nS: \n"
                + SMTP
                + f"C: AUTH PLAIN {b64(chr(0) + 'bob' + chr(0) + s)}\nS: 535 {s} no"
            ),
            False,
        ),
        ("ftp pass, echoed in base64", 21, lambda s: f"{FTP}C: USER bob\nS: 331 x\nC: PASS {s}\nS: 530 {b64(s)} for bob", False),
        (
            "ftp file named like the password",
            21,
            lambda s: f"{FTP}C: USER b\nS: 331 x\nC: PASS {s}\nS: 230 in\nC: RETR /a/{s}\nS: 550 no",
            False,
        ),
        ("ftp before pass", 21, lambda s: f"{FTP}C: CWD /{s}\nS: 550 no\nC: USER b\nS: 331 x\nC: PASS {s}\nS: 230 in", False),
        ("ftp many passwords", 21, lambda s: FTP + f"C: PASS {s}\nS: 530 no\n" + again(40) + f"C: NOOP\nS: 200 {s}", False),
        (
            "smtp login over lines, echoed",
            25,
            lambda s: (
                SMTP + f"C: AUTH LOGIN\nS: 334 VXNlcm5hbWU6\nC: {b64('alice')}\nS: 334 UGFzc3dvcmQ6\nC: {b64(s)}\nS: 235 in\n"
                f"C: MAIL FROM:<a@b.example>\nS: 550 no {percent(s)}"
            ),
            False,
        ),
        ("http behind a NUL", 80, lambda s: echoed(f"X-Api-Key: abcd\0{s}", s), False),
        ("http path behind a name", 80, lambda s: target(f"/reset/token/{s}/x"), True),
        ("http xml, echoed", 80, lambda s: said_again(posted("text/xml", f"<a><password>{s}</password></a>"), s), False),
        ("http folded, echoed", 80, lambda s: echoed(f"Authorization: Bearer\nC:  {s}", s), False),
        ("ftp site passwd", 21, lambda s: f"{FTP}C: USER b\nS: 331 x\nC: PASS q1\nS: 230 x\nC: SITE EXEC passwd {s}\nS: 200 {s}", False),
        ("ftp pass and a NUL", 21, lambda s: f"{FTP}C: USER b\nS: 331 x\nC: PASS {s}\0\nS: 530 no {s}", False),
        ("http other port", 9999, lambda s: header(f"Authorization: Bearer {s}"), False),
    ]
    for offset, (name, port, write, shown) in enumerate(cases):
        yield name, port, secret(offset) + "|" + write(secret(offset)), shown


def planted() -> tuple[Planted, ...]:
    found = []
    for name, port, text, shown in lines(10):
        secret, _, said = text.partition("|")
        found.append(Planted(name, secret, Talk(port, turns(said + (MAIL if name.startswith("smtp") else ""))), shown))
    return (*found, *_disturbed(), *_torn())


def _disturbed() -> Iterator[Planted]:
    """Yield secrets whose segments are split, sent again, behind a gap, or without the beginning of their connection."""
    writers: tuple[tuple[str, int, Callable[[str], str]], ...] = (
        ("ftp", 21, lambda s: f"C: USER bob\nS: 331 Please\nC: PASS {s}\nS: 530 {s} is wrong"),
        ("smtp", 25, lambda s: f"C: AUTH LOGIN {b64('bob')}\nS: 334 UGFzc3dvcmQ6\nC: {b64(s)}\nS: 235 in" + MAIL),
        ("http", 80, lambda s: f"C: GET /?token={s} HTTP/1.1\nC: Host: h\nC: Authorization: Bearer {s}\nC: Cookie: a={s}\n{OK}"),
    )
    for number, (name, port, write) in enumerate(writers):
        greeting = turns({"ftp": FTP, "smtp": SMTP}[name]) if name != "http" else ()
        for place, way in enumerate(("split", "again", "gap", "middle", "late")):
            secret = f"Yw{number}{place}pL-c6Hn.{place}{number}sD"
            said = turns(write(secret))
            yield Planted(f"{name}, {way}", secret, _disturb(way, port, greeting, said))


def _torn() -> Iterator[Planted]:
    """Yield secrets in lines of which some bytes were not captured, and that the server repeats whole."""
    writers: tuple[tuple[str, int, Callable[[str], str], int, tuple[tuple[int, int], ...]], ...] = (
        (
            "http",
            80,
            lambda s: echoed(f"Authorization: Bearer {s}", s),
            2,
            ((3, 6), (28, 6)),
        ),
        ("ftp", 21, lambda s: f"{FTP}C: USER bob\nS: 331 x\nC: PASS {s}\nS: 530 {s} no\nC: RETR {s}\nS: 550 {s}", 3, ((0, 3), (11, 6))),
        ("smtp", 25, lambda s: SMTP + f"C: AUTH PLAIN {b64(chr(0) + 'bob' + chr(0) + s)}\nS: 535 {s}" + MAIL, 6, ((0, 4), (22, 6))),
    )
    for number, (name, port, write, line, places) in enumerate(writers):
        for place, (at, size) in enumerate(places):
            secret = f"Xv{number}{place}qT-b5Km.{place}{number}wF"
            said = list(turns(write(secret)))
            whole = said[line]
            pieces = [Turn(whole.by, whole.payload[:at])] if at else []
            pieces += [Turn(whole.by, whole.payload[at : at + size], lost=True), Turn(whole.by, whole.payload[at + size :])]
            yield Planted(f"{name}, torn {place}", secret, Talk(port, (*said[:line], *pieces, *said[line + 1 :])))


def _disturb(way: str, port: int, greeting: tuple[Turn, ...], said: tuple[Turn, ...]) -> Talk:
    if way == "split":
        return Talk(
            port, (*greeting, *(Turn(turn.by, turn.payload[at : at + 3]) for turn in said for at in range(0, len(turn.payload), 3)))
        )
    if way == "again":
        return Talk(port, (*greeting, *(Turn(turn.by, turn.payload, copies=3) for turn in said)))
    if way == "gap":
        at = 0 if greeting else 1
        return Talk(port, (*greeting, *said[:at], Turn(said[at].by, said[at].payload, lost=True), *said[at + 1 :]))
    if way == "middle":
        return Talk(port, (*greeting, *said), opened=False)
    return Talk(port, said[1:], opened=False)


PLANTED = planted()


def forms(secret: str) -> Iterator[bytes]:
    """Yield what a secret looks like as it is and in encodings; base64 at each of the three places it may begin in a group."""
    raw = secret.encode()
    yield raw
    yield raw[::-1]
    yield from (raw.hex().encode(), raw.hex().upper().encode(), raw.hex(":").encode())
    yield from ("".join(f"%{byte:{form}}" for byte in raw).encode() for form in ("02x", "02X"))
    yield from (secret.upper().encode(), secret.lower().encode(), "".join(f"&#{byte};" for byte in raw).encode())
    # As much of it as a field that is cut may show.
    yield raw[:9]
    yield from (secret.encode("utf-16-le"), secret.encode("utf-16-be"))
    for before in range(3):
        text = base64.b64encode(b"\0" * before + raw)
        # The first and the last group depend on what stands around the secret.
        yield text[4 if before else 0 : -4]


FORMS = [(one.name, form) for one in PLANTED for form in forms(one.secret)]


def leaks(data: bytes) -> list[str]:
    """Return which secrets are in what was written."""
    return list(dict.fromkeys(name for name, form in FORMS if form in data))


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A capture of all of them, a connection each."""
    path = tmp_path_factory.mktemp("secrets") / "secrets.pcap"
    path.write_bytes(notation.build(notation.parse(script([one.talk for one in PLANTED]))))
    return path


def test_the_secrets_are_in_the_capture_and_are_found_in_every_form(capture: Path) -> None:
    assert len(PLANTED) >= 40
    assert len({one.secret for one in PLANTED}) == len(PLANTED)
    for one in PLANTED:
        assert all(one.name in leaks(b"before" + form + b"after") for form in forms(one.secret))
    missing = {one.name for one in PLANTED} - set(leaks(capture.read_bytes()))
    assert missing <= {one.name for one in PLANTED if "split" in one.name or "torn" in one.name}


@pytest.mark.parametrize("engine", ["pyshark", "native"])
def test_nothing_that_check_writes_holds_a_secret(
    capture: Path, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes], engine: str
) -> None:
    reports = [part for name in FORMATS if name != "csv" for part in ("--report", f"{name}={tmp_path / name}")]
    run(["--debug", "check", "--engine", engine, "-v", "--all", *reports, str(capture)])
    out, err = capfdbinary.readouterr()
    assert b"f60 " in out
    assert leaks(out + err) == []
    written = {path.name: leaks(path.read_bytes()) for path in tmp_path.iterdir()}
    assert written == {name: [] for name in FORMATS if name != "csv"}
    document = json.loads((tmp_path / "json").read_text())
    assert document["secrets"] is False
    services = {one.name: flow["service"] for one, flow in zip(PLANTED, document["flows"], strict=True)}
    # What begins amid a message is of no known protocol, and is shown nowhere.
    read = [name for name in services if not name.endswith(", late")]
    assert [name for name in read if services[name] != name.partition(" ")[0].rstrip(",")] == []
    told = {row["flow_id"] for row in document["transactions"]}
    assert [one.name for number, one in enumerate(PLANTED, 1) if one.name in read and f"f{number}" not in told] == []


@pytest.fixture(scope="module")
def report(capture: Path) -> Report:
    return analyze(capture, engine="native")


@pytest.mark.parametrize("table", CSV_TABLES)
def test_no_table_holds_a_secret(report: Report, table: str) -> None:
    assert leaks("".join(render(report, "csv", Layout(table=table))).encode()) == []
    assert leaks(getattr(report, table).to_json().encode()) == []


def test_no_ladder_shows_a_secret(report: Report) -> None:
    said = explanations(load())
    drawn = "".join(ladder.render(report, flow, said, Layout(width=300)) for flow in report.flows["flow_id"])
    assert "C: PASS (hidden)" in drawn
    assert leaks(drawn.encode()) == []


def test_no_other_command_tells_a_secret(capture: Path, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    run(["show", str(capture), "f1"])
    run(["flows", str(capture), "--format", "jsonl"])
    run(["report", str(capture), "-o", str(tmp_path / "out")])
    run(["extract", str(capture), "f1", "f2", "-o", str(tmp_path / "own.pcapng")])
    run(["expect", "write", str(capture)])
    out, err = capfdbinary.readouterr()
    assert b"C: PASS (hidden)" in out
    assert leaks(out + err) == []
    assert {path.name: leaks(path.read_bytes()) for path in (tmp_path / "out").iterdir() if leaks(path.read_bytes())} == {}
    assert "transactions.csv" in {path.name for path in (tmp_path / "out").iterdir()}


@pytest.mark.parametrize("debug", [[], ["--debug"]])
def test_an_internal_error_tells_where_it_was_and_not_what_was_said(
    capture: Path, capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch, debug: list[str]
) -> None:
    def fail(client: Any, server: Any, setting: Any) -> None:  # noqa: ANN401, ARG001 - a reader's arguments
        try:
            int(client.take(100_000))
        except ValueError as error:
            raise KeyError(bytes(server.take(100_000))) from error

    monkeypatch.setattr(http, "read", fail)
    status = run([*debug, "check", "--engine", "native", str(capture)])
    out, err = capfdbinary.readouterr()
    assert status == 70
    assert b"internal error: KeyError" in err
    assert (b"test_secrets.py" in err) == bool(debug)
    assert leaks(out + err) == []
    assert b"HTTP/1.1" not in err


def test_secrets_that_are_asked_for_are_shown_and_every_format_says_so(
    capture: Path, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    reports = [part for name in FORMATS for part in ("--report", f"{name}={tmp_path / name}")]
    run(["check", "--engine", "native", "--show-secrets", "--all", *reports, str(capture)])
    out, err = capfdbinary.readouterr()
    assert out.startswith(b"passwords, tokens and the like are shown in this report (--show-secrets)\n")
    assert b"pcaplint: warning: passwords, tokens and the like are shown" in err
    document = json.loads((tmp_path / "json").read_text())
    assert document["secrets"] is True
    told = json.dumps(document["transactions"])
    assert [one.name for one in PLANTED if one.shown and one.secret not in told] == []
    assert json.loads((tmp_path / "jsonl").read_text().splitlines()[0])["secrets"] is True
    assert json.loads((tmp_path / "sarif").read_text())["runs"][0]["properties"] == {"secrets": True}
    assert '<property name="secrets" value="shown"/>' in (tmp_path / "junit").read_text()
    header, first = (tmp_path / "csv").read_text().splitlines()[:2]
    assert (header.rpartition(",")[2], first.rpartition(",")[2]) == ("secrets", "true")
    for name in ("text", "markdown", "github"):
        assert "are shown in this report (--show-secrets)" in (tmp_path / name).read_text()


@pytest.mark.parametrize("command", [["show", "{}", "f1"], ["flows", "{}"], ["report", "{}", "-o", "{}.out"]])
def test_every_command_that_shows_text_can_be_asked(capture: Path, capfdbinary: pytest.CaptureFixture[bytes], command: list[str]) -> None:
    run([command[0], "--show-secrets", *(part.format(capture) for part in command[1:])])
    out, err = capfdbinary.readouterr()
    assert b"are shown in this report (--show-secrets)" in out + err
    if command[0] == "report":
        folder = Path(f"{capture}.out")
        assert json.loads((folder / "report.json").read_text())["secrets"] is True
        assert PLANTED[0].secret in (folder / "transactions.csv").read_text()
