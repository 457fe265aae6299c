"""Read the replies of an FTP server, each with all its lines.

Any bytes are read to their end, in linear time. A reply of several lines ends with its code and a blank (RFC 959 4.2), or, from servers
that end it with another code, with that one.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from analyzer.reassembly.reader import Line, Position, Reader

_CODE: Final = re.compile(rb"([0-9]{3})(?![0-9])")
_LOWEST, _HIGHEST = 100, 699
"""Replies are 1yz to 5yz (RFC 959 4.2.1), and 6yz when they are protected (RFC 2228 7)."""
MAX_MORE: Final = 8_192
MAX_LINES_AFTER_END: Final = 200
"""Lines between a possible wrong end of a reply and its right end."""


class FtpReply(NamedTuple):
    """A reply of a server; its code is None for a line that is no reply."""

    code: int | None
    text: bytes
    """Behind the code of its first line, or of the last one when the first line is empty."""
    first: Position
    last: Position
    start: int
    stop: int
    lines: int
    malformed: bool = False
    """Its code is out of range, or something else than a blank or a hyphen follows it."""
    end_odd: bool = False
    unended: bool = False
    whole: bool = True
    """Whether its last line has its end."""
    more: bytes = b""
    """The lines behind the first, without its code where they begin with it, cut at `MAX_MORE` bytes."""

    @property
    def body(self) -> bytes:
        """All lines, the first of them behind its code."""
        return self.text + b"\n" + self.more if self.more else self.text

    @property
    def order(self) -> int:
        """The frame it is complete with."""
        return self.last.frame


def read(server: Reader, before: int | None, lookahead: int = MAX_LINES_AFTER_END) -> FtpReply | None:
    """Return the next reply; None at a gap and at the end.

    `before` is the frame of the client's next line, if one is known; `lookahead` is how many lines are read behind a line that may end
    a reply wrongly. They are read again if it did, so the caller lowers it with each such reply.
    """
    line = server.line()
    if line is None:
        return None
    found = _CODE.match(line.data)
    if not found:
        return FtpReply(None, line.data, line.first, line.last, line.start, line.stop, 1, whole=line.whole)
    code = int(found[1])
    mark = line.data[3:4]
    malformed = mark not in {b" ", b"-", b""} or not _LOWEST <= code <= _HIGHEST
    if mark != b"-" or not line.whole:
        return FtpReply(code, line.data[4:], line.first, line.last, line.start, line.stop, 1, malformed, whole=line.whole)
    return _several(server, line, code, malformed=malformed, before=before, lookahead=lookahead)


def _several(server: Reader, first: Line, code: int, *, malformed: bool, before: int | None, lookahead: int) -> FtpReply:  # noqa: PLR0913
    """Read on to the line that ends the reply that `first` begins, or to where it must have ended."""
    begins = first.data[:3]
    last, lines, more = first, 1, _More(begins)
    wrong: tuple[Line, int] | None = None
    until = 0
    while (line := server.line()) is not None:
        if before is not None and line.first.frame > before and (wrong or _is_end(line.data)) and not _is_end(line.data, begins):
            server.at = line.start
            break
        last, lines = line, lines + 1
        more.add(line.data)
        if _is_end(line.data, begins):
            return _ended(first, line, code, lines, malformed=malformed)._replace(more=more.data)
        if wrong is None and _is_end(line.data):
            wrong = (line, lines)
            until = len(more.data)
        elif wrong is not None and lines - wrong[1] > lookahead:
            break
    if wrong is not None:
        server.at = wrong[0].stop
        return _ended(first, wrong[0], code, wrong[1], malformed=malformed, end_odd=True)._replace(more=more.data[:until])
    text = _text_of(first, last)
    return FtpReply(code, text, first.first, last.last, first.start, last.stop, lines, malformed, unended=True, whole=False, more=more.data)


class _More:
    """The lines of a reply behind its first, as far as they are kept."""

    __slots__ = ("_begins", "data")

    def __init__(self, begins: bytes) -> None:
        self._begins, self.data = begins, b""

    def add(self, line: bytes) -> None:
        """Take a line, without the code where it begins with it."""
        if len(self.data) < MAX_MORE:
            inside = line[4:] if line[:3] == self._begins and line[3:4] in {b" ", b"-"} else line
            self.data = (self.data + inside + b"\n")[:MAX_MORE]


def _ended(first: Line, last: Line, code: int, lines: int, *, malformed: bool, end_odd: bool = False) -> FtpReply:  # noqa: PLR0913 - a reply's parts
    return FtpReply(
        code, _text_of(first, last), first.first, last.last, first.start, last.stop, lines, malformed, end_odd, whole=last.whole
    )


def _text_of(first: Line, last: Line) -> bytes:
    return first.data[4:] if first.data[4:].strip() else last.data[4:] if _CODE.match(last.data) else b""


def _is_end(data: bytes, begins: bytes = b"") -> bool:
    """Return whether a line inside a reply looks like the last line of one: of any, or of the one that `begins` so."""
    if begins:
        return data[:3] == begins and data[3:4] in {b" ", b""}
    return bool(_CODE.match(data)) and data[3:4] == b" " and _LOWEST <= int(data[:3]) <= _HIGHEST
