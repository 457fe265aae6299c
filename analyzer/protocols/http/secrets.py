"""Give a redactor all secrets in HTTP messages, whether a report shows their place or not.

Targets, header fields, content that is a form, JSON or XML, and lines of bytes that belong to no message are searched: behind a gap the
end of a head remains, and the server may repeat what is secret in it. Readers are left where they were; every byte is read a bounded
number of times.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from analyzer.protocols import redaction
from analyzer.protocols.http import credentials

if TYPE_CHECKING:
    from collections.abc import Iterator

    from analyzer.protocols.http.messages import Head
    from analyzer.protocols.http.model import Request, Response
    from analyzer.protocols.redactor import Redactor
    from analyzer.reassembly.reader import Reader

MAX_SEARCH_BYTES: Final = 1_048_576
"""Bytes of content that are searched together."""
OVERLAP_BYTES: Final = 8_192
"""Bytes of them that are searched again with those that follow."""
_MAX_URI: Final = 65_536
_URIS: Final = frozenset({b"referer", b"location", b"origin", b"content-location"})
_AUTHORITIES: Final = frozenset({b"host", b"x-forwarded-host"})
_CREDENTIALS: Final = frozenset({b"authorization", b"proxy-authorization"})
_COOKIES: Final = frozenset({b"cookie", b"cookie2"})
_SET_COOKIES: Final = frozenset({b"set-cookie", b"set-cookie2"})
_LINE: Final = re.compile(rb"^[ \t]*([!#$%&'*+.^_`|~0-9A-Za-z-]{1,200})[ \t]*:[ \t]*([^\r\n]*)", re.MULTILINE)
_MIN_WORD: Final = 8
_FRAGMENT: Final = re.compile(rb"[!-~]{4,}")
_FORM: Final = re.compile(rb"\s*(?:[{\[<]|[\w.%\[\]-]{1,200}=)")
_FILES: Final = re.compile(r"(?:image|audio|video|font)/")


def add_request(request: Request, redactor: Redactor) -> None:
    """Add the secrets of a request's head."""
    target = request.line.target
    if request.shown is not target:
        whole = target if len(request.head.line) < _MAX_URI else request.head.line.decode("utf-8", "surrogateescape")
        redactor.add(*redaction.values(f"//{whole}" if request.line.method == "CONNECT" else whole, redactor.patterns))
    add_head(request.head, redactor)


def add_response(response: Response, redactor: Redactor) -> None:
    """Add the secrets of a response's head."""
    add_head(response.head, redactor)


def add_head(head: Head, redactor: Redactor) -> None:
    """Add the secrets of the fields of a head."""
    if not redactor.enabled:
        return
    for name, values in head.fields.items():
        for value in values:
            redactor.add(*_of_field(name, value, redactor))


def _of_field(name: bytes, value: bytes, redactor: Redactor) -> Iterator[bytes | str]:
    patterns = redactor.patterns
    if name in _CREDENTIALS:
        yield from credentials.of_field(value, patterns)
    elif name in _COOKIES:
        yield from credentials.of_cookies(value, patterns)
    elif name in _SET_COOKIES:
        yield from credentials.of_cookies(value.partition(b";")[0], patterns)
    elif patterns.is_secret_field(name):
        yield from credentials.of_field(value, patterns)
    elif name in _URIS:
        yield from redaction.values(_text(value), patterns)
    elif name in _AUTHORITIES:
        yield from redaction.values(f"//{_text(value)}", patterns) if b"@" in value else ()
    elif b"=" in value or b"@" in value:
        yield from redaction.named(_text(value), patterns)


def _text(value: bytes) -> str:
    return value[:_MAX_URI].decode("utf-8", "surrogateescape")


def add_body(parts: Iterator[bytes], kind: str, redactor: Redactor) -> None:
    """Add the secrets of content of a media type, given in contiguous parts."""
    if not redactor.enabled or _FILES.match(kind):
        return
    held = b""
    for part in parts:
        held += part
        if len(held) >= MAX_SEARCH_BYTES:
            redactor.add(*credentials.of_body(held, kind, redactor.patterns))
            held = held[-OVERLAP_BYTES:]
    redactor.add(*credentials.of_body(held, kind, redactor.patterns))


def may_be_form(kind: str, begins: bytes) -> bool:
    """Return whether content may have parameters, by its media type, or by its first bytes where that does not decide."""
    if kind in {"application/x-www-form-urlencoded", "multipart/form-data"} or credentials.is_json(kind) or kind.endswith(("/xml", "+xml")):
        return True
    return (not kind or kind.startswith("text/")) and _FORM.match(begins) is not None


def add_skipped(reader: Reader, start: int, stop: int, redactor: Redactor) -> None:
    """Add the secrets between two offsets, in bytes that belong to no message; the reader is left where it was."""
    if not redactor.enabled or stop <= start:
        return
    stood, reader.at = reader.at, start
    while reader.at < stop:
        if reader.gap:
            reader.jump()
        at = reader.at
        data = reader.peek(min(stop - at, MAX_SEARCH_BYTES)) if at < stop else b""
        if not data:
            break
        _add_lines(data, redactor, torn=at + len(data) >= stop or len(data) < MAX_SEARCH_BYTES)
        reader.at = at + len(data) if len(data) <= OVERLAP_BYTES or at + len(data) >= stop else at + len(data) - OVERLAP_BYTES
        if reader.gap == 0 and reader.at < stop and len(data) < MAX_SEARCH_BYTES:
            reader.at = at + len(data)
    reader.at = stood


def _add_lines(data: bytes, redactor: Redactor, *, torn: bool) -> None:
    """Add the secrets of header field lines in bytes that may begin and end within one."""
    for match in _LINE.finditer(data):
        name = match[1].lower()
        found = tuple(_of_field(name, match[2].strip(), redactor))
        redactor.add(*found)
        if torn and match.end() == len(data):
            # Its end was not captured: what follows it in a text belongs to it.
            redactor.add(*found, torn=True)
    begins = data.partition(b"\n")[0].strip()
    if b":" not in begins and _FRAGMENT.fullmatch(begins):
        redactor.add(begins, torn=True)
    # The name of the field may have been lost.
    redactor.add(*(word for word in begins.split() if len(word) >= _MIN_WORD and not word.isalpha() and b":" not in word))
