"""Split the bytes of an FTP client into commands that do not end with LF: with NUL, with CR alone, or with nothing.

RFC 959 5.3.1 ends a command with CR LF. Many servers accept other ends, and some take whatever a segment carries: where the server
replies in the middle of a line and no command waits, the bytes sent until then were a command. A password behind such an end is the
argument of its own command, never a part of the command before.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from analyzer.protocols.ftp.commands import CommandTable
    from analyzer.reassembly.reader import Line, Reader

_ENDS: Final = re.compile(rb"\r?\x00+|\r+")
_WORD: Final = re.compile(rb"([A-Za-z@]{3,4})(?=[ \t\r\x00]|$)")
_LOGIN: Final = re.compile(rb"(?i)(?:USER|PASS|ACCT)[ \t]")
"""Commands that may begin at a segment boundary although the command before has no end and no reply came."""
MAX_PARTS: Final = 100
"""Commands that one line is split into."""


def answered(client: Reader, line: Line, frame: int) -> Line | None:
    """Return the part of `line` captured before `frame` and move `client` behind it; None when that is nothing or the whole line."""
    stop = client.reached(line.start, frame)
    if not line.start < stop < line.stop:
        return None
    client.at = stop
    return _part(client, line, line.start, stop)


def parts(client: Reader, line: Line, table: CommandTable) -> list[Line]:
    """Return the commands in `line`, split behind NUL and CR where a command follows, and at a segment that begins a login."""
    marks = [found.end() for found in _ENDS.finditer(line.data)] if b"\r" in line.data or b"\0" in line.data else []
    cuts = {at for at in marks if (word := _WORD.match(line.data, at)) and word[1].upper().decode() in table.commands}
    cuts |= {at - line.start for at in client.begins(line.start, line.stop) if _LOGIN.match(line.data, at - line.start)}
    if not cuts:
        return [line]
    edges = [0, *sorted(cuts)[: MAX_PARTS - 1], line.stop - line.start]
    found = [_part(client, line, line.start + start, line.start + stop) for start, stop in pairwise(edges)]
    return [*found[:-1], found[-1]._replace(end=line.end)]


def _part(client: Reader, line: Line, start: int, stop: int) -> Line:
    data = line.data[start - line.start : stop - line.start]
    first, last = client.position(start) or line.first, client.position(stop - 1) or line.last
    return line._replace(data=data, end="taken", start=start, stop=stop, first=first, last=last)
