"""One request and what answered it: the values that the reader of HTTP fills, message by message.

Promises: a message is read from where its reader stands, which is its first byte, to behind its last.
Must not know: the order of requests and replies.
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

_FORM_LOOK: Final = 4_096
"""Bytes of a form that are looked at for the names of its parameters."""


def read_request(reader: Reader, redactor: Redactor) -> Request | None:
    """Return the request that begins here, and move behind its head: the content is `finish_request`'s."""
    data = reader.peek(messages.FIRST_LOOK)
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
        body = bodies.frame(head, line.version, reply=False)
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
    # Here, since there is no way back to the bytes of a content but through the reader.
    if kind:
        request.secrets = _form(reader, body, kind, redactor)
    if secrets_.may_be_form(kind, reader.peek(_FORM_LOOK)):
        secrets_.add_body(bodies.pieces(reader, body), kind, redactor)
    bodies.skip(reader, body, request.head.faults)
    request.last = (reader.spot(reader.at - 1) if reader.at else None) or request.last


def _form(reader: Reader, body: Body, kind: str, redactor: Redactor) -> tuple[str, ...]:
    size = _FORM_LOOK if body.framing != "length" else min(body.stated or 0, _FORM_LOOK)
    return credentials.form(reader.peek(size), kind, redactor.patterns)


def read_response(reader: Reader, request: Request | None) -> Response | None:
    """Return the reply that begins here, and move behind its head: the content is `finish_reply`'s."""
    head = messages.read(reader)
    if head is None:
        return None
    line = messages.status_line(head.line)
    if line.form == "right" and not head.line.startswith(messages.NAME):
        head.faults["version_case"] = head.start
    return Response(head, line, _framing(head, line, request, reader), head.last)


def read_simple_response(reader: Reader) -> Response | None:
    """Return a reply without a head, as HTTP/0.9 has it: content until the server closes, or an alert of TLS."""
    first = reader.spot()
    if first is None or reader.gap:
        return None
    form = "tls" if tls.begins(reader.peek(tls.HEAD_BYTES)) else "simple"
    return Response(Head(b"", {}, reader.at, reader.at, first, first, whole=True), StatusLine(form, None, None, ""), Body("close"), first)


def _framing(head: Head, line: StatusLine, request: Request | None, reader: Reader) -> Body:
    """Return the framing of a reply (RFC 9112 6.3): by the method that it answers, by its code, by its fields."""
    code = line.code
    if code is None or not head.whole:
        return Body("unknown", whole=False, lost=not reader.ended)
    method = request.line.method if request else ""
    tunnel = method == "CONNECT" and code // 100 == 2  # noqa: PLR2004
    if tunnel or 100 <= code < 200 or code in bodies.BODILESS:  # noqa: PLR2004
        if code != 304 and bodies.announces_content(head):  # noqa: PLR2004
            head.faults["length_forbidden"] = head.start
        return Body("tunnel" if tunnel else "none")
    body = bodies.frame(head, line.version, reply=True)
    if method == "HEAD":
        return Body("none", body.stated)
    if request is None and body.framing in {"length", "chunked"} and reader.peek(7) == b"HTTP/1.":
        # The request, which was not captured, was a HEAD.
        return Body("none", body.stated)
    return body


def finish_response(reply: Response, reader: Reader, next_request: Position | None) -> bool:
    """Move behind the content of a reply; return whether it lasted until the server closed though another reply follows.

    That is so when the client went on with `next_request`, and a status line was captured after it.
    """
    body = reply.body
    if body.framing in {"none", "tunnel"}:
        body.stop = reader.at
        return False
    unframed = body.framing == "close" and next_request is not None and _cut_short(reply, reader, next_request)
    if not unframed:
        bodies.skip(reader, body, reply.head.faults)
    reply.last = (reader.spot(reader.at - 1) if reader.at else None) or reply.last
    return unframed


def _cut_short(reply: Response, reader: Reader, next_request: Position) -> bool:
    """Move to the status line that follows `next_request` and count what lies before; without one move nowhere."""
    start = reader.at
    while resync.find(reader, resync.REPLY):
        spot = reader.spot()
        if spot is not None and spot.frame > next_request.frame:
            body = reply.body
            body.size, body.stop, body.missing = reader.at - start, reader.at, reader.missing(start, reader.at)
            return True
        reader.skip(1)
    reader.at = start
    return False
