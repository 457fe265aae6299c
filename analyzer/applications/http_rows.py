"""A turn of HTTP as a row of the transactions table.

Promises: the columns that rules/protocols/http.toml declares and the common ones that a reader fills; secrets hidden unless wanted.
Must not know: facts, rules.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from analyzer.applications import redaction
from analyzer.applications.http_facts import elapsed
from analyzer.applications.http_heads import CAP

if TYPE_CHECKING:
    from analyzer.applications.dialogue import Cell
    from analyzer.applications.http_heads import Head
    from analyzer.applications.http_turns import Reply, Request, Turn

_TEXT: Final = 200
_MOST_NAMES: Final = 100
_MOST_SECRETS: Final = 200
_NS_PER_MS: Final = 1_000_000

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


class Writer:
    """Writes rows, and remembers what must not be repeated from the requests it has seen."""

    def __init__(self, *, secrets: bool) -> None:
        self._shown = secrets
        self._secrets = dict[str, None]()

    def row(self, turn: Turn) -> dict[str, Cell]:
        """Return the row of a turn."""
        row = _EMPTY.copy()
        row["kind"], row["number"], row["pipelined"] = "request", turn.number, turn.pipelined
        request, reply = turn.request, turn.reply
        if request is not None:
            self._add_request(row, request)
        answers = [*turn.interim, reply] if reply is not None else turn.interim
        if answers:
            first, last = answers[0], answers[-1]
            row["response_bytes"] = max(last.body.stop, last.head.stop) - first.head.start
            if request is None:
                row["time"], row["first_frame"], row["last_frame"] = first.head.first.time, first.head.first.frame, last.last.frame
            else:
                row["last_frame"] = max(request.last.frame, last.last.frame)
            row["interim_codes"] = tuple(one.line.code or 0 for one in turn.interim)
        if reply is not None:
            self._add_reply(row, reply)
            latency = elapsed(request.last, reply.head.first) if request is not None else None
            if latency is not None and latency >= 0:
                row["latency_ms"] = latency / _NS_PER_MS
        row["complete"] = _complete(request) and _complete(reply)
        row["tunnel"] = turn.inner or None
        return row

    def _add_request(self, row: dict[str, Cell], request: Request) -> None:
        head, line, body = request.head, request.line, request.body
        target = line.target if self._shown else request.shown
        if request.shown is not line.target:
            self._remember(redaction.values(line.target))
        row["time"], row["first_frame"], row["last_frame"] = head.first.time, head.first.frame, request.last.frame
        row["request"] = f"{line.method} {target}".strip()[:_TEXT]
        row["method"], row["target"], row["version"] = line.method or None, target[:CAP] or None, _version(line.version)
        row["request_bytes"] = max(body.stop, head.stop) - head.start
        row["request_length"], row["request_body_bytes"] = body.stated, body.size
        fields = head.fields
        row["host"] = self._text(head, b"host")
        row["user_agent"] = self._text(head, b"user-agent")
        if b"referer" in fields:
            row["referrer"] = self._link(head, b"referer")
        if b"origin" in fields:
            row["origin"] = self._link(head, b"origin")
        if b"content-type" in fields:
            row["request_type"] = _media_type(head)
        if b"transfer-encoding" in fields:
            row["request_encoding"] = head.text(b"transfer-encoding")
        if b"expect" in fields:
            row["expect"] = self._text(head, b"expect")
        if b"authorization" in fields:
            row["auth_scheme"], row["auth_user"] = self._authorization(head, b"authorization")
        if b"proxy-authorization" in fields:
            row["proxy_auth_scheme"], row["proxy_auth_user"] = self._authorization(head, b"proxy-authorization")
        if b"cookie" in fields:
            row["cookies"] = self._cookies(head.fields[b"cookie"], b";")
        row["forwarded"] = self._text(head, b"forwarded") or self._text(head, b"x-forwarded-for")
        row["connection"] = self._text(head, b"connection")
        row["via"] = self._text(head, b"via")
        row["upgrade"] = self._text(head, b"upgrade")

    def _add_reply(self, row: dict[str, Cell], reply: Reply) -> None:
        head, line, body = reply.head, reply.line, reply.body
        phrase = self._told(line.phrase[:CAP])
        row["code"], row["phrase"], row["response_version"] = line.code, phrase, _version(line.version)
        if line.code is not None:
            row["reply"] = f"{line.code} {phrase}".strip()[:_TEXT]
        row["response_length"], row["response_body_bytes"] = body.stated, body.size
        fields = head.fields
        row["server"] = self._text(head, b"server")
        if b"content-type" in fields:
            row["response_type"] = _media_type(head)
        if b"content-encoding" in fields:
            row["content_encoding"] = head.text(b"content-encoding")
        if b"transfer-encoding" in fields:
            row["response_encoding"] = head.text(b"transfer-encoding")
            row["trailers"] = body.trailers
        if b"location" in fields:
            row["location"] = self._link(head, b"location")
        if b"www-authenticate" in fields or b"proxy-authenticate" in fields:
            row["auth_challenge"] = (head.words(b"www-authenticate") + head.words(b"proxy-authenticate"))[0].partition(" ")[0]
        if b"set-cookie" in fields:
            row["set_cookies"] = self._cookies(fields[b"set-cookie"], None)
        row["connection"] = self._text(head, b"connection") or row["connection"]
        row["via"] = row["via"] or self._text(head, b"via")
        row["upgrade"] = self._text(head, b"upgrade") or row["upgrade"]

    def _text(self, head: Head, name: bytes) -> str | None:
        """Return a field that holds no secret by its meaning."""
        if name not in head.fields:
            return None
        text = head.text(name) or ""
        return self._told(text if self._shown else redaction.uri(text))

    def _link(self, head: Head, name: bytes) -> str | None:
        text = head.text(name)
        return text if text is None else self._told(self._uri(text))

    def _told(self, text: str) -> str:
        """Hide what a request's secrets are repeated in."""
        return redaction.scrub(text, self._secrets) if self._secrets and not self._shown else text

    def _uri(self, text: str) -> str:
        if self._shown:
            return text
        hidden = redaction.uri(text)
        if hidden is not text:
            self._remember(redaction.values(text))
        return hidden

    def _authorization(self, head: Head, name: bytes) -> tuple[str | None, str | None]:
        scheme, user, secret = redaction.authorization(head.text(name) or "")
        if self._shown:
            return scheme or None, f"{user}:{secret}" if user and scheme == "basic" else user or secret or None
        self._remember((secret, (head.text(name) or "").partition(" ")[2].strip()))
        return scheme or None, user or (redaction.HIDDEN if secret else None)

    def _cookies(self, values: list[bytes], separator: bytes | None) -> tuple[str, ...]:
        """Return the names of cookies (RFC 6265 4.1, 4.2), with their values when secrets are shown."""
        pairs = [part for value in values for part in (value.split(separator) if separator else [value.partition(b";")[0]])]
        found = list[str]()
        for pair in pairs[:_MOST_NAMES]:
            name, equals, value = (part.strip() for part in pair[:CAP].decode("utf-8", "surrogateescape").partition("="))
            if self._shown:
                found.append(f"{name}{equals}{value}")
            else:
                self._remember((value if equals else name,))
                # What has no name is a value.
                found.append(name if equals else redaction.HIDDEN)
        return tuple(found)

    def _remember(self, secrets: tuple[str, ...]) -> None:
        if len(self._secrets) < _MOST_SECRETS:
            self._secrets.update(dict.fromkeys(secret for secret in secrets if len(secret) >= redaction.SHORTEST))


def _version(number: int | None) -> str | None:
    return None if number is None else f"{number // 10}.{number % 10}"


def _media_type(head: Head) -> str | None:
    text = head.text(b"content-type")
    return None if text is None else text.partition(";")[0].strip().lower()


def _complete(message: Request | Reply | None) -> bool:
    return message is not None and message.head.whole and message.body.whole and not message.body.missing
