"""Determine the length of the content of an HTTP/1.x message (RFC 9112 6 and 7), and skip it without copying it.

Content of known length is skipped by arithmetic, captured or not; chunked content by its size lines. Which request a response answers is
not known here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from analyzer.protocols.http.messages import Head
    from analyzer.reassembly.reader import Reader

BODILESS: Final = frozenset({204, 304})
"""Final codes whose responses have no content, whatever their fields (RFC 9112 6.3)."""
_DIGITS: Final = re.compile(rb"0*([0-9]{1,18})")
"""A number (RFC 9110 8.6: 1*DIGIT, leading zeros allowed) that fits into 64 bits."""
_ZERO: Final = re.compile(rb"0+")
_CHUNK: Final = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;.*)?", re.DOTALL)
_ZEROS: Final = re.compile(rb"\A0+(?=[0-9A-Fa-f])")
MAX_CHUNK_LINE_BYTES: Final = 16_384
READ_BYTES: Final = 65_536
"""Bytes of content per read."""
_CODINGS: Final = frozenset({"chunked", "compress", "deflate", "gzip", "identity", "x-compress", "x-gzip"})
"""Transfer codings that are registered (RFC 9112 7, with `identity` of RFC 2616)."""


@dataclass(slots=True)
class Body:
    """The content of a message."""

    framing: str = "none"
    """As in the enumeration `framing` of rules/protocols/http.toml."""
    stated: int | None = None
    """Bytes by Content-Length; None without a valid one."""
    size: int = 0
    """Bytes of content, captured or not; of chunked content the data alone."""
    missing: int = 0
    """Bytes of content and framing that were not captured."""
    whole: bool = True
    """Whether the content is complete."""
    lost: bool = False
    """Whether the next message has to be searched for."""
    trailers: int = 0
    stop: int = 0
    """Offset behind its last byte."""


def frame(head: Head, version: int | None, *, response: bool) -> Body:
    """Return the framing that a message's fields state; faults such as length_malformed are added to the head's.

    A response without one lasts until its sender closes, a request has no content (RFC 9112 6.3, 7 and 8).
    """
    fields = head.fields
    stated = _length(head) if b"content-length" in fields else None
    if b"transfer-encoding" in fields:
        return _encoded(head, version, stated, response=response)
    if b"content-length" in fields:
        return Body("length", stated) if stated is not None else Body("unknown")
    return Body("close" if response else "none")


def _encoded(head: Head, version: int | None, stated: int | None, *, response: bool) -> Body:
    codings = [word.partition(";")[0].rstrip(" \t") for word in head.words(b"transfer-encoding")]
    faults, place = head.faults, head.start
    if b"content-length" in head.fields:
        faults["encoding_and_length"] = place
    if version is not None and version < 11:  # noqa: PLR2004
        faults["encoding_old"] = place
    if any(coding not in _CODINGS for coding in codings):
        faults["encoding_unknown"] = place
    if codings and codings[-1] == "chunked":
        return Body("chunked", stated)
    if codings == ["identity"]:
        # RFC 2616 4.4: as if the field were not there.
        return Body("length", stated) if stated is not None else Body("close" if response else "none")
    faults["encoding_not_chunked"] = place
    return Body("close" if response else "unknown", stated)


def _length(head: Head) -> int | None:
    """Return the value of Content-Length; None, and a fault, where it is not one number (RFC 9110 8.6, RFC 9112 6.3)."""
    values = head.fields[b"content-length"]
    if len(values) == 1 and (match := _DIGITS.fullmatch(values[0])):
        return int(match[1])
    parts = [_DIGITS.fullmatch(part.strip(b" \t")) for value in values for part in value.split(b",")]
    numbers = {int(match[1]) for match in parts if match}
    if None in parts:
        head.faults["length_malformed"] = head.start
        return None
    if len(numbers) > 1:
        head.faults["length_differs"] = head.start
        return None
    head.faults["length_repeated"] = head.start
    return numbers.pop()


def announces_content(head: Head) -> bool:
    """Return whether the fields announce content: a transfer coding, or a length other than 0."""
    lengths = head.fields.get(b"content-length", ())
    return b"transfer-encoding" in head.fields or len(lengths) > 1 or not all(map(_ZERO.fullmatch, lengths))


def skip(reader: Reader, body: Body, faults: dict[str, int]) -> None:
    """Move behind the content, and set in `body` what there was of it."""
    start = reader.at
    if body.framing == "length" and body.stated:
        body.size = reader.skip(body.stated)
        body.whole = body.size == body.stated
    elif body.framing == "chunked":
        _skip_chunks(reader, body, faults)
    elif body.framing == "close":
        body.size = reader.skip(reader.left)
        body.whole = reader.closing == "fin"
    elif body.framing == "unknown":
        body.lost, body.whole = True, False
    body.stop = reader.at
    if body.stop > start:
        body.missing = reader.missing(start, body.stop)


def parts(reader: Reader, body: Body) -> Iterator[bytes]:
    """Yield the captured content that begins here, in contiguous parts; the reader is left where it is."""
    start = reader.at
    try:
        if body.framing == "chunked":
            while (line := reader.line(MAX_CHUNK_LINE_BYTES)) is not None and line.whole:
                match = _CHUNK.fullmatch(_ZEROS.sub(b"", line.data))
                if match is None or not int(match[1], 16):
                    return
                yield from _captured(reader, int(match[1], 16))
                _skip_line_end(reader, {})
        elif body.framing == "length":
            yield from _captured(reader, body.stated or 0)
        elif body.framing == "unknown":
            yield reader.peek(READ_BYTES)
    finally:
        reader.at = start


def _captured(reader: Reader, size: int) -> Iterator[bytes]:
    """Yield the captured ones of the next `size` bytes, and move behind them."""
    stop = min(reader.at + size, reader.size)
    while reader.at < stop:
        if reader.gap:
            reader.skip(min(reader.gap, stop - reader.at))
        elif data := reader.take(min(stop - reader.at, READ_BYTES)):
            yield data
        else:
            return


def _skip_chunks(reader: Reader, body: Body, faults: dict[str, int]) -> None:
    """Move from size line to size line (RFC 9112 7.1); `lost` is set where one is missing or malformed."""
    while True:
        line = reader.line(MAX_CHUNK_LINE_BYTES)
        if line is None or not line.whole:
            body.whole, body.lost = False, not reader.ended
            if line is not None and line.end == "long":
                faults.setdefault("chunk", line.start)
            return
        if line.end == "lf":
            faults.setdefault("chunk_lf", line.start)
        match = _CHUNK.fullmatch(_ZEROS.sub(b"", line.data))
        if match is None:
            body.whole, body.lost = False, True
            faults.setdefault("chunk", line.start)
            return
        size = int(match[1], 16)
        if size == 0:
            _skip_trailers(reader, body, faults)
            return
        moved = reader.skip(size)
        body.size += moved
        if moved < size or reader.ended:
            body.whole = False
            return
        if not _skip_line_end(reader, faults):
            body.whole, body.lost = False, True
            faults.setdefault("chunk", reader.at)
            return


def _skip_line_end(reader: Reader, faults: dict[str, int]) -> bool:
    """Skip the line end behind a chunk, assuming one that was not captured; return whether there is one."""
    mark = reader.peek(2)
    if mark == b"\r\n":
        reader.skip(2)
        return True
    if mark[:1] == b"\n":
        faults.setdefault("chunk_lf", reader.at)
        reader.skip(1)
        return True
    if mark in {b"", b"\r"}:
        reader.skip(2)
        return True
    return False


def _skip_trailers(reader: Reader, body: Body, faults: dict[str, int]) -> None:
    while True:
        line = reader.line()
        if line is None or not line.whole:
            body.whole, body.lost = False, not reader.ended
            return
        if line.end == "lf":
            faults.setdefault("chunk_lf", line.start)
        if not line.data:
            return
        body.trailers += 1
