"""Parse the head of an HTTP/1.x message (RFC 9112): start line and header fields.

A head without a fault is recognised by one regular expression and split at its line ends; one with a fault is examined line by line, to
say which fault and where. Parsing stops behind the empty line, never raises, and is linear in the head, of which at most MAX_HEAD_BYTES
are read. What a field means is not known here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from analyzer.reassembly.reader import Position, Reader

MAX_HEAD_BYTES: Final = 262_144
"""Bytes of a head that are read; servers refuse much shorter ones (RFC 9110 5.4, RFC 9112 3)."""
MAX_TEXT: Final = 1_024
"""Characters of a text from a head that are kept."""

FIRST_READ_BYTES: Final = 2_048
"""Bytes read at first: most heads are shorter."""
MAX_METHOD: Final = 64
_TCHAR: Final = rb"!#$%&'*+\-.^_`|~0-9A-Za-z"
_BLANK: Final = re.compile(rb"\n\r?\n")
_CLEAN: Final = re.compile(rb"[^\r\n\x00]*+\r\n(?:[" + _TCHAR + rb"]++:[\t -~\x80-\xff]*+\r\n)*+")
_NAME: Final = re.compile(rb"[" + _TCHAR + rb"]+")
_CONTROL: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")

NAME: Final = b"HTTP/"
REQUEST_VERSION: Final = re.compile(rb" HTTP/\d\.\d\Z")
"""How a request line ends; the name is in capitals (RFC 9112 2.3)."""
_REQUEST: Final = re.compile(rb"([" + _TCHAR + rb"]+) ([!-~\x80-\xff]+) (?i:HTTP)/(\d)\.(\d)")
_SIMPLE: Final = re.compile(rb"(GET)[ \t]+([!-~\x80-\xff]+)[ \t]*")
_STATUS: Final = re.compile(rb"(?i:HTTP)/(\d)\.(\d) (\d{3})(?: ([^\r\n]*))?")
_ANY_STATUS: Final = re.compile(rb"[ \t]*HTTP/?(?:0*(\d)(?!\d))?(?:\.0*(\d)(?!\d))?\S*[ \t]*(\d{3}(?!\d))?[ \t]*([^\r\n]*)", re.IGNORECASE)
_VERSION: Final = re.compile(rb"[ \t]HTTP/0*(\d)\.0*(\d)[ \t]*\Z", re.IGNORECASE)


@dataclass(slots=True)
class Head:
    """A head as captured."""

    line: bytes
    """The start line without its line end."""
    fields: dict[bytes, list[bytes]]
    """Values by lower-case name, in order, stripped of blanks."""
    start: int
    """Offset of its first byte."""
    stop: int
    """Offset behind its empty line, or behind its last captured byte."""
    first: Position
    last: Position
    """Positions of its first and last byte."""
    whole: bool
    """Whether its empty line was captured."""
    faults: dict[str, int] = field(default_factory=dict)
    """Faults (bare_lf, fold, field, control, long) and the offset of the first occurrence of each."""

    def value(self, name: bytes) -> bytes | None:
        """Return a field's value, those of a repeated field joined by commas (RFC 9110 5.3); None without the field."""
        values = self.fields.get(name)
        if values is None:
            return None
        return values[0] if len(values) == 1 else b", ".join(values)

    def text(self, name: bytes) -> str | None:
        """Return a field's value as text, cut to MAX_TEXT characters; None without the field."""
        value = self.value(name)
        return None if value is None else value[:MAX_TEXT].decode("utf-8", "surrogateescape")

    def words(self, name: bytes) -> list[str]:
        """Return the members of a list field in lower case (RFC 9110 5.6.1)."""
        value = self.value(name)
        if value is None:
            return []
        return [word for part in value.decode("latin-1").split(",") if (word := part.strip(" \t").lower())]


@dataclass(frozen=True, slots=True)
class RequestLine:
    """A parsed request line."""

    form: str
    """As in the enumeration `request_line` of rules/protocols/http.toml."""
    method: str
    target: str
    version: int | None
    """Ten times the major version plus the minor one; None when there is none."""


@dataclass(frozen=True, slots=True)
class StatusLine:
    """A parsed status line."""

    form: str
    """As in the enumeration `status_line` of rules/protocols/http.toml."""
    version: int | None
    code: int | None
    phrase: str


def read(reader: Reader) -> Head | None:
    """Return the head at the reader and move behind it; None when its first byte was not captured."""
    size = FIRST_READ_BYTES
    data, first = reader.peek(size), reader.position()
    if not data or first is None:
        return None
    while (blank := _BLANK.search(data)) is None and len(data) == size and size < MAX_HEAD_BYTES:
        size *= 8
        data = reader.peek(size)
    start = reader.at
    stop = blank.end() if blank else min(len(data), MAX_HEAD_BYTES)
    end = blank.start() + 1 if blank else stop
    reader.at = start + stop
    faults = dict[str, int]()
    if blank and stop - end == len("\r\n") and _CLEAN.fullmatch(data, 0, end):
        lines = data[: end - 2].split(b"\r\n")
        line, fields = lines[0], _cut(lines, 1)
    else:
        line, fields = _inspect(data[:end], start, faults)
        if blank and stop - end == 1:
            faults.setdefault("bare_lf", start + end)
        if not blank and len(data) >= MAX_HEAD_BYTES:
            faults["long"] = start
    return Head(line, fields, start, reader.at, first, reader.position(reader.at - 1) or first, blank is not None, faults)


def of_fields(block: bytes, position: Position) -> Head:
    """Return the fields of a head without faults, whose lines end with CR LF."""
    return Head(b"", _cut(block.split(b"\r\n")[:-1], 0), 0, len(block), position, position, whole=True)


def read_line(reader: Reader) -> Head | None:
    """Return the next line as a head without fields, and move behind it: a simple request (HTTP/0.9)."""
    line = reader.line(MAX_HEAD_BYTES)
    if line is None:
        return None
    faults = {"bare_lf": line.start} if line.end == "lf" else {}
    return Head(line.data, {}, line.start, line.stop, line.first, line.last, line.whole, faults)


def request_line(line: bytes) -> RequestLine:
    """Return a parsed request line (RFC 9112 3), malformed ones as far as they can be parsed."""
    match = _REQUEST.fullmatch(line)
    if match:
        method, target, major, minor = match.groups()
        return RequestLine("right", method.decode("ascii"), _text(target), int(major) * 10 + int(minor))
    match = _SIMPLE.fullmatch(line)
    if match and not match[2].upper().startswith(b"HTTP/"):
        return RequestLine("simple", "GET", _text(match[2]), 9)
    return _malformed(line)


def _malformed(line: bytes) -> RequestLine:
    """Return a malformed request line: a method at the start, a version at the end, a target between."""
    method, *rest = line.split(maxsplit=1) or [b""]
    if not _NAME.fullmatch(method) or len(method) > MAX_METHOD:
        return RequestLine("malformed", "", "", None)
    behind = b" " + rest[0] if rest else b""
    version = _VERSION.search(behind)
    target = behind[: version.start()] if version else behind
    number = int(version[1]) * 10 + int(version[2]) if version else None
    return RequestLine("malformed", method.decode("ascii"), _text(target.strip()), number)


def begins_response(data: bytes) -> bool:
    """Return whether `data` begins like a status line, in any case of letters, or is too short to exclude it."""
    name = data.lstrip(b" \t")[: len(NAME)].upper()
    return bool(name) and NAME.startswith(name)


def status_line(line: bytes) -> StatusLine:
    """Return a parsed status line (RFC 9112 4), malformed ones as far as they can be parsed; the space behind the code may be missing."""
    match = _STATUS.fullmatch(line)
    if match:
        major, minor, code, phrase = match.groups()
        return StatusLine("right", int(major) * 10 + int(minor), int(code), _text(phrase or b""))
    match = _ANY_STATUS.match(line)
    if match is None:
        return StatusLine("malformed", None, None, "")
    version = int(match[1]) * 10 + int(match[2] or 0) if match[1] else None
    return StatusLine("malformed", version, int(match[3]) if match[3] else None, _text(match[4]))


def _text(data: bytes) -> str:
    return data[: 8 * MAX_TEXT].decode("utf-8", "surrogateescape")


def _cut(lines: list[bytes], first: int) -> dict[bytes, list[bytes]]:
    """Return the fields in `lines` from number `first` on."""
    fields = dict[bytes, list[bytes]]()
    for line in lines[first:]:
        name, _, value = line.partition(b":")
        name = name.lower()
        if name in fields:
            fields[name].append(value.strip(b" \t"))
        else:
            fields[name] = [value.strip(b" \t")]
    return fields


def _inspect(data: bytes, start: int, faults: dict[str, int]) -> tuple[bytes, dict[bytes, list[bytes]]]:
    """Return start line and fields of a head with faults, and add them to `faults`."""
    lines = data.split(b"\n")
    unended = lines.pop()
    fields, first, at, last = dict[bytes, list[bytes]](), b"", start, None
    for number, line_data in enumerate(lines):
        line, place = line_data, at
        at += len(line_data) + 1
        if line.endswith(b"\r"):
            line = line[:-1]
        else:
            faults.setdefault("bare_lf", place)
        if _CONTROL.search(line):
            faults.setdefault("control", place)
        if number == 0:
            first = line
            continue
        last = _field(line, place, fields, last, faults)
    if not lines:
        first = unended
    return first, fields


def _field(
    line: bytes, place: int, fields: dict[bytes, list[bytes]], last: list[bytes] | None, faults: dict[str, int]
) -> list[bytes] | None:
    """Add one field line; return the values that a folded line would continue."""
    if line[:1] in {b" ", b"\t"}:
        if last is None:
            faults.setdefault("field", place)
            return None
        faults.setdefault("fold", place)
        last[-1] = (last[-1] + b" " + line.strip(b" \t")).strip()
        return last
    name, colon, value = line.partition(b":")
    if not colon or not _NAME.fullmatch(name):
        faults.setdefault("field", place)
    values = fields.setdefault(name.strip().lower(), [])
    values.append(value.strip(b" \t"))
    return values
