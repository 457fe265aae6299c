"""Rows of the transactions table, one per HTTP exchange.

The columns are those that rules/protocols/http.toml declares and the common ones that a parser fills. Secrets are redacted unless asked
for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from analyzer.protocols import redaction, timing
from analyzer.protocols.http import credentials
from analyzer.protocols.http.messages import MAX_TEXT
from analyzer.protocols.redactor import HIDDEN

if TYPE_CHECKING:
    from collections.abc import Callable

    from analyzer.protocols.api import Cell
    from analyzer.protocols.http.messages import Head, StatusLine
    from analyzer.protocols.http.model import HttpExchange, Request, Response
    from analyzer.protocols.redactor import Redactor
    from analyzer.rules.secrets import SecretPatterns

MAX_REQUEST_TEXT: Final = 200
MAX_COOKIE_NAMES: Final = 100

_EMPTY: Final[dict[str, Cell]] = dict.fromkeys(
    (
        "kind", "number", "time", "first_frame", "last_frame", "request", "code", "reply", "latency_ms", "request_bytes", "response_bytes",
        "complete", "method", "target", "version", "host", "user_agent", "referrer", "origin", "request_type", "request_length",
        "request_body_bytes", "request_encoding", "expect", "auth_scheme", "auth_user", "proxy_auth_scheme", "proxy_auth_user", "cookies",
        "forwarded", "response_version", "phrase", "interim_codes", "response_type", "content_encoding", "response_length",
        "response_body_bytes", "response_encoding", "trailers", "server", "location", "auth_challenge", "set_cookies", "via", "connection",
        "upgrade", "tunnel", "pipelined",
    )
)  # fmt: skip


class RowWriter:
    """Makes rows; secrets repeated elsewhere in them are redacted when the dialogue is complete."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._shown = not redactor.enabled

    def row(self, exchange: HttpExchange) -> dict[str, Cell]:
        """Return the row of an exchange."""
        row = _EMPTY.copy()
        row["kind"], row["number"], row["pipelined"] = "request", exchange.number, exchange.pipelined
        request, response = exchange.request, exchange.response
        if request is not None:
            self._add_request(row, request)
        responses = [*exchange.interim, response] if response is not None else exchange.interim
        if responses:
            first, last = responses[0], responses[-1]
            row["response_bytes"] = max(last.body.stop, last.head.stop) - first.head.start
            if request is None:
                row["time"], row["first_frame"], row["last_frame"] = first.head.first.time, first.head.first.frame, last.last.frame
            else:
                row["last_frame"] = max(request.last.frame, last.last.frame)
            row["interim_codes"] = tuple(one.line.code or 0 for one in exchange.interim)
        if response is not None:
            self._add_response(row, response)
            row["latency_ms"] = timing.milliseconds(timing.latency(request.last, response.head.first)) if request is not None else None
        row["complete"] = _complete(request) and _complete(response)
        row["tunnel"] = exchange.inner or None
        return row

    def _add_request(self, row: dict[str, Cell], request: Request) -> None:
        head, line, body = request.head, request.line, request.body
        target = line.target if self._shown else request.shown
        row["time"], row["first_frame"], row["last_frame"] = head.first.time, head.first.frame, request.last.frame
        row["request"] = request_line(line.method, target)
        row["method"], row["target"], row["version"] = line.method or None, target[:MAX_TEXT] or None, version(line.version)
        row["request_bytes"] = max(body.stop, head.stop) - head.start
        row["request_length"], row["request_body_bytes"] = body.stated, body.size
        self.add_request_fields(row, head)

    def add_request_fields(self, row: dict[str, Cell], head: Head) -> None:
        """Fill the columns of a request's header fields."""
        fields = head.fields
        for column, name, write in _REQUEST_FIELDS:
            if name in fields and row[column] is None:
                row[column] = write(self, head, name)
        for column, name in _AUTHORIZATIONS:
            if name in fields:
                row[f"{column}_scheme"], row[f"{column}_user"] = self._authorization(head, name)

    def _add_response(self, row: dict[str, Cell], response: Response) -> None:
        head, line, body = response.head, response.line, response.body
        self.add_status(row, line)
        row["response_length"], row["response_body_bytes"] = body.stated, body.size
        if body.framing == "chunked":
            row["trailers"] = body.trailers
        self.add_response_fields(row, head)

    def add_status(self, row: dict[str, Cell], line: StatusLine) -> None:
        """Fill the columns of a status line."""
        phrase = line.phrase if self._shown else redaction.text(line.phrase, self._redactor.patterns)
        phrase = phrase[:MAX_TEXT]
        row["code"], row["phrase"], row["response_version"] = line.code, phrase, version(line.version)
        if line.code is not None:
            row["reply"] = f"{line.code} {phrase}".strip()[:MAX_REQUEST_TEXT]

    def add_response_fields(self, row: dict[str, Cell], head: Head) -> None:
        """Fill the columns of a response's header fields."""
        fields = head.fields
        for column, name, write in _RESPONSE_FIELDS:
            if name in fields:
                row[column] = write(self, head, name)
        if b"via" in fields and row["via"] is None:
            row["via"] = self.text(head, b"via")

    def text(self, head: Head, name: bytes) -> str:
        """Return a field that is text."""
        return self._shown_of(redaction.text, head, name)

    def link(self, head: Head, name: bytes) -> str:
        """Return a field that is a URI."""
        return self._shown_of(redaction.uri, head, name)

    def authority(self, head: Head, name: bytes) -> str:
        """Return a field that is a host and a port."""
        return self._shown_of(redaction.authority, head, name)

    def _shown_of(self, hide: Callable[[str, SecretPatterns], str], head: Head, name: bytes) -> str:
        """Return a field without its secrets, redacted before it is cut."""
        value = (head.value(name) or b"")[: MAX_TEXT * 8].decode("utf-8", "surrogateescape")
        return (value if self._shown else hide(value, self._redactor.patterns))[:MAX_TEXT]

    def _authorization(self, head: Head, name: bytes) -> tuple[str | None, str | None]:
        scheme, user, secret = credentials.authorization(head.text(name) or "")
        if self._shown:
            return scheme or None, f"{user}:{secret}" if user and scheme == "basic" else user or secret or None
        return scheme or None, user or (HIDDEN if secret else None)

    def media_type(self, head: Head, name: bytes) -> str:
        """Return a media type without its parameters (RFC 9110 8.3.1)."""
        return self.text(head, name).partition(";")[0].strip().lower()

    def challenge(self, head: Head, name: bytes) -> str | None:
        """Return the first authentication scheme that a challenge names (RFC 9110 11.6.1)."""
        return next((word.partition(" ")[0][:MAX_REQUEST_TEXT] for word in head.words(name)), None)

    def cookies_sent(self, head: Head, name: bytes) -> tuple[str, ...]:
        """Return the names in Cookie (RFC 6265 4.2)."""
        return self._cookies([part for value in head.fields[name] for part in value.split(b";")])

    def cookies_set(self, head: Head, name: bytes) -> tuple[str, ...]:
        """Return the names in Set-Cookie (RFC 6265 4.1)."""
        return self._cookies([value.partition(b";")[0] for value in head.fields[name]])

    def _cookies(self, pairs: list[bytes]) -> tuple[str, ...]:
        """Return the names of cookies, with their values when secrets are shown."""
        found = list[str]()
        for pair in pairs[:MAX_COOKIE_NAMES]:
            name, equals, value = (part.strip() for part in pair[:MAX_TEXT].decode("utf-8", "surrogateescape").partition("="))
            if self._shown:
                found.append(f"{name}{equals}{value}")
            else:
                # A cookie without a name is a value.
                found.append(name if equals else HIDDEN)
        return tuple(found)


def request_line(method: str, target: str) -> str:
    """Return a request in one line; secrets in `target` must be redacted already."""
    return f"{method} {target}".strip()[:MAX_REQUEST_TEXT]


def version(number: int | None) -> str | None:
    """Return a version as text."""
    return None if number is None else f"{number // 10}.{number % 10}"


def _complete(message: Request | Response | None) -> bool:
    return message is not None and message.head.whole and message.body.whole and not message.body.missing


_REQUEST_FIELDS: Final = (
    ("host", b"host", RowWriter.authority),
    ("user_agent", b"user-agent", RowWriter.text),
    ("referrer", b"referer", RowWriter.link),
    ("origin", b"origin", RowWriter.link),
    ("request_type", b"content-type", RowWriter.media_type),
    ("request_encoding", b"transfer-encoding", RowWriter.text),
    ("expect", b"expect", RowWriter.text),
    ("cookies", b"cookie", RowWriter.cookies_sent),
    ("forwarded", b"forwarded", RowWriter.text),
    ("forwarded", b"x-forwarded-for", RowWriter.text),
    ("via", b"via", RowWriter.text),
    ("connection", b"connection", RowWriter.text),
    ("upgrade", b"upgrade", RowWriter.text),
)
"""Column, header field, and the function that makes the value; the first field present counts."""
_AUTHORIZATIONS: Final = (("auth", b"authorization"), ("proxy_auth", b"proxy-authorization"))
_RESPONSE_FIELDS: Final = (
    ("server", b"server", RowWriter.text),
    ("response_type", b"content-type", RowWriter.media_type),
    ("content_encoding", b"content-encoding", RowWriter.text),
    ("response_encoding", b"transfer-encoding", RowWriter.text),
    ("location", b"location", RowWriter.link),
    ("auth_challenge", b"www-authenticate", RowWriter.challenge),
    ("auth_challenge", b"proxy-authenticate", RowWriter.challenge),
    ("set_cookies", b"set-cookie", RowWriter.cookies_set),
    ("connection", b"connection", RowWriter.text),
    ("upgrade", b"upgrade", RowWriter.text),
)
"""The same for responses; the last field present counts, before the request's."""
REQUEST_COLUMNS: Final = (
    *dict.fromkeys(column for column, *_ in _REQUEST_FIELDS),
    *(f"{a}_{b}" for a, _ in _AUTHORIZATIONS for b in ("scheme", "user")),
)
"""Columns of a request's header fields."""
RESPONSE_COLUMNS: Final = (*dict.fromkeys(column for column, *_ in _RESPONSE_FIELDS), "via")
"""Columns of a response's header fields."""
STATUS_COLUMNS: Final = ("code", "phrase", "response_version", "reply")
"""Columns of a status line."""
