"""Read the parts of an exchange: a request or a response, head and content.

Each function reads from the first byte of a message, where the reader must be, to behind its last. The order of requests and responses
is not known here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from analyzer.protocols import redaction, tls
from analyzer.protocols.http import bodies, credentials, messages, resync
from analyzer.protocols.http import secrets as secrets_
from analyzer.protocols.http.bodies import Body
from analyzer.protocols.http.messages import Head, StatusLine
from analyzer.protocols.http.model import Request, Response

if TYPE_CHECKING:
    from analyzer.protocols.redactor import Redactor
    from analyzer.reassembly.reader import Position, Reader

MAX_FORM_BYTES: Final = 4_096
"""Bytes of a form that are searched for names of parameters."""


def read_request(reader: Reader, redactor: Redactor) -> Request | None:
    """Return the request that begins here, and move behind its head; `finish_request` reads the content."""
    data = reader.peek(messages.FIRST_READ_BYTES)
    stop = data.find(b"\n")
    if stop < 0 or b" HTTP/" in data[:stop].upper() or messages.request_line(data[:stop].rstrip(b"\r")).form != "simple":
        head = messages.read(reader)
    else:
        head = messages.read_line(reader)
    if head is None:
        return None
    line = messages.request_line(head.line)
    if line.form == "right" and not messages.REQUEST_VERSION.search(head.line):
        head.faults["version_case"] = head.start
    if line.form == "simple":
        body = Body(stop=reader.at)
    elif head.whole:
        body = bodies.frame(head, line.version, response=False)
    else:
        body = Body("unknown", whole=False, lost=not reader.ended)
    hide = redaction.authority if line.method == "CONNECT" and "/" not in line.target else redaction.uri
    return Request(head, line, body, head.last, hide(line.target, redactor.patterns))


def finish_request(request: Request, reader: Reader, redactor: Redactor) -> None:
    """Move behind the content of a request."""
    body = request.body
    if body.framing == "none" or (body.framing == "length" and not body.stated):
        body.stop = reader.at
        return
    kind = (request.head.text(b"content-type") or "").partition(";")[0].strip().lower()
    # Before the content is skipped: only the reader gives its bytes.
    if kind:
        request.secrets = _form(reader, body, kind, redactor)
    if secrets_.may_be_form(kind, reader.peek(MAX_FORM_BYTES)):
        secrets_.add_body(bodies.parts(reader, body), kind, redactor)
    bodies.skip(reader, body, request.head.faults)
    request.last = (reader.position(reader.at - 1) if reader.at else None) or request.last


def _form(reader: Reader, body: Body, kind: str, redactor: Redactor) -> tuple[str, ...]:
    size = MAX_FORM_BYTES if body.framing != "length" else min(body.stated or 0, MAX_FORM_BYTES)
    return credentials.form(reader.peek(size), kind, redactor.patterns)


def read_response(reader: Reader, request: Request | None) -> Response | None:
    """Return the response that begins here, and move behind its head; `finish_response` reads the content."""
    head = messages.read(reader)
    if head is None:
        return None
    line = messages.status_line(head.line)
    if line.form == "right" and not head.line.startswith(messages.NAME):
        head.faults["version_case"] = head.start
    return Response(head, line, _framing(head, line, request, reader), head.last)


def read_simple_response(reader: Reader) -> Response | None:
    """Return a response without a head (HTTP/0.9): content until the server closes, or a TLS record."""
    first = reader.position()
    if first is None or reader.gap:
        return None
    form = "tls" if tls.begins(reader.peek(tls.HEAD_BYTES)) else "simple"
    return Response(Head(b"", {}, reader.at, reader.at, first, first, whole=True), StatusLine(form, None, None, ""), Body("close"), first)


def _framing(head: Head, line: StatusLine, request: Request | None, reader: Reader) -> Body:
    """Return the framing of a response (RFC 9112 6.3), by request method, status code and fields."""
    code = line.code
    if code is None or not head.whole:
        return Body("unknown", whole=False, lost=not reader.ended)
    method = request.line.method if request else ""
    tunnel = method == "CONNECT" and code // 100 == 2  # noqa: PLR2004
    if tunnel or 100 <= code < 200 or code in bodies.BODILESS:  # noqa: PLR2004
        if code != 304 and bodies.announces_content(head):  # noqa: PLR2004
            head.faults["length_forbidden"] = head.start
        return Body("tunnel" if tunnel else "none")
    body = bodies.frame(head, line.version, response=True)
    if method == "HEAD":
        return Body("none", body.stated)
    if request is None and body.framing in {"length", "chunked"} and reader.peek(7) == b"HTTP/1.":
        # The request, which was not captured, was a HEAD.
        return Body("none", body.stated)
    return body


def finish_response(response: Response, reader: Reader, next_request: Position | None) -> bool:
    """Move behind the content of a response; return whether it is framed by close although another response follows.

    That is the case when the client sent `next_request` and a status line was captured after it.
    """
    body = response.body
    if body.framing in {"none", "tunnel"}:
        body.stop = reader.at
        return False
    unframed = body.framing == "close" and next_request is not None and _cut_short(response, reader, next_request)
    if not unframed:
        bodies.skip(reader, body, response.head.faults)
    response.last = (reader.position(reader.at - 1) if reader.at else None) or response.last
    return unframed


def _cut_short(response: Response, reader: Reader, next_request: Position) -> bool:
    """Move to the status line that follows `next_request` and count the bytes before it; without one, do not move."""
    start = reader.at
    while resync.find(reader, resync.RESPONSE):
        position = reader.position()
        if position is not None and position.frame > next_request.frame:
            body = response.body
            body.size, body.stop, body.missing = reader.at - start, reader.at, reader.missing(start, reader.at)
            return True
        reader.skip(1)
    reader.at = start
    return False
