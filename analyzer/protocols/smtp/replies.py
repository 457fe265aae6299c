"""Read the replies of an SMTP server, of one line or several, in order.

Each reply is returned once, however it was segmented; a reply with a gap in it or before it is marked; reading ends where TLS begins.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from analyzer.protocols import tls

if TYPE_CHECKING:
    from collections.abc import Callable

    from analyzer.reassembly.reader import Line, Position, Reader

MAX_LINES: Final = 256
"""Lines of a reply that are kept; more are read and left out."""
MAX_TEXT: Final = 512
"""Bytes of a line that are kept."""
_LINE: Final = re.compile(rb"([0-9]{3})([ -]|$|.)", re.DOTALL)
_CODES: Final = re.compile(rb"[2-5][0-5][0-9]")
"""RFC 5321 4.2: the first digit is 2 to 5, the second 0 to 5."""


@dataclass(frozen=True, slots=True)
class SmtpReply:
    """A whole reply."""

    code: int | None
    """Of its last line; None when that line has none."""
    lines: tuple[bytes, ...]
    """What stands behind the codes, without line ends."""
    first: Position
    last: Position
    start: int
    stop: int
    fault: str = "none"
    """What is wrong with its form: none, code, separator, mixed-codes, unfinished."""
    has_gap: bool = False
    """Bytes of it were not captured."""
    gap: int = 0
    """How many bytes right before it were not captured."""

    @property
    def text(self) -> bytes:
        """The first line, behind its code."""
        return self.lines[0] if self.lines else b""

    @property
    def after_gap(self) -> bool:
        """Whether bytes right before it were not captured."""
        return self.gap > 0

    @property
    def words(self) -> bytes:
        """The code and all lines in one, cut at `MAX_TEXT` bytes."""
        return b" ".join((b"%d" % self.code if self.code is not None else b"", *(line.strip() for line in self.lines)))[:MAX_TEXT].strip()

    @property
    def positive(self) -> bool:
        """Whether it accepts (2yz)."""
        return self.code is not None and self.code // 100 == 2  # noqa: PLR2004 - the first digit of a success

    @property
    def refusing(self) -> bool:
        """Whether it refuses, for now (4yz) or for good (5yz)."""
        return self.code is not None and self.code >= 400  # noqa: PLR2004 - the first of the codes that refuse


@dataclass(slots=True)
class LineEnds:
    """Counts of line ends of a dialogue, both directions and the content together."""

    bare_lf: int = 0
    bare_cr: int = 0
    first: Position | None = None
    """Where the first line end that is not CR LF was captured."""
    commands_crlf: int = 0
    """Commands that ended with CR LF."""
    commands_lf: int = 0

    @property
    def only_lf(self) -> bool:
        """Whether the client ends its commands with a bare LF."""
        return self.commands_lf > 0 and not self.commands_crlf

    def count(self, line: Line) -> None:
        """Count the line end of `line`."""
        # What stands behind a last CR may not have been captured.
        stray = line.data.count(b"\r") - (line.end in {"gap", "end"} and line.data.endswith(b"\r"))
        if line.end != "lf" and not stray:
            return
        self.add(int(line.end == "lf"), stray, line.last)

    def add(self, bare_lf: int, bare_cr: int, position: Position | None) -> None:
        """Add counts; `position` is where the first of them was captured."""
        self.bare_lf += bare_lf
        self.bare_cr += bare_cr
        self.first = self.first or position


def rest(reader: Reader, line: Line) -> int:
    """Move to the end of a line of which `line` is the first part; return how many bytes that were."""
    if line.end == "long":
        reader.skip_past(b"\n")
    return reader.at - line.start


@dataclass(slots=True)
class Replies:
    """The server's replies, read on demand."""

    reader: Reader
    ends: LineEnds
    is_interrupted: Callable[[Position], bool]
    """Whether the client sent more before a given position."""
    malformed: int = 0
    fault: str = "none"
    """The first fault of form, and where it was captured."""
    fault_at: Position | None = None
    longest: int = 0
    """Octets of the longest reply line, with its end."""
    longest_at: Position | None = None
    tls: Position | None = None
    """Where the server's first byte of TLS was captured."""
    gap_behind: bool = False
    """Bytes behind the last reply were not captured."""
    _waiting: deque[SmtpReply] = field(default_factory=deque)
    _pushed: Line | None = None

    def peek(self, ahead: int = 0) -> SmtpReply | None:
        """Return the next reply, or one further ahead; None when there is none."""
        while len(self._waiting) <= ahead:
            reply = self._read()
            if reply is None:
                return None
            self._waiting.append(reply)
        return self._waiting[ahead]

    def take(self) -> SmtpReply | None:
        """Return the next reply and move behind it."""
        reply = self.peek()
        if reply is not None:
            self._waiting.popleft()
        return reply

    def _line(self) -> Line | None:
        """Return the next line; None at a gap, at the end, and where TLS begins."""
        pushed, self._pushed = self._pushed, None
        if pushed is not None:
            return pushed
        line = self.reader.line()
        if line is None:
            return None
        if tls.begins(line.data):
            self.reader.at, self.tls = line.start, line.first
            return None
        size = rest(self.reader, line)
        if size > self.longest and self.tls is None:
            self.longest, self.longest_at = size, line.first
        self.ends.count(line)
        return line

    def _read(self) -> SmtpReply | None:
        if self.tls is not None:
            return None
        line, gap = self._next()
        if gap:
            # What stands before the first code is the rest of a line that was lost.
            while line is not None and not _LINE.match(line.data):
                line, more = self._next()
                gap += more
            self.gap_behind |= line is None
        return None if line is None else self._gather(line, gap)

    def _gather(self, line: Line, gap: int) -> SmtpReply:
        """Return the reply that begins with `line`."""
        first, start, texts = line.first, line.start, [line.data[:MAX_TEXT]]
        code, more, fault = _parse(line)
        has_gap = self._is_cut(line)
        while more:
            following, lost = self._next()
            has_gap |= lost > 0
            if following is None:
                has_gap |= not self.reader.closing
                fault = fault if has_gap or fault != "none" else "unfinished"
                break
            found, further, wrong = _parse(following)
            if has_gap and (found not in {None, code} or self.is_interrupted(following.first)):
                # The end of this reply and perhaps whole ones after it were lost: this line begins another.
                self._pushed = following
                break
            if found not in {None, code}:
                code, wrong = found, "mixed-codes"
            # A line without a code in the middle of a reply is a part of it: only one with a code ends it.
            more, line = further or found is None, following
            fault = wrong if fault == "none" else fault
            has_gap |= self._is_cut(line)
            if len(texts) < MAX_LINES:
                texts.append(line.data[:MAX_TEXT])
        if line.end == "end" and not has_gap and fault == "none":
            fault = "unfinished"
        self._note(fault, first)
        lines = tuple(text[4:] if _LINE.match(text) else text for text in texts)
        return SmtpReply(code, lines, first, line.last, start, line.stop, fault, has_gap, gap)

    def _next(self) -> tuple[Line | None, int]:
        """Return the next line, behind a gap if there is one, and how many bytes that was."""
        line = self._line()
        if line is None and self.tls is None and (gap := self.reader.jump()):
            return self._line(), gap
        return line, 0

    def _is_cut(self, line: Line) -> bool:
        """Return whether the rest of `line` may have been sent and was not captured."""
        return line.end == "gap" or (line.end == "end" and not self.reader.closing)

    def _note(self, fault: str, position: Position) -> None:
        if fault != "none":
            self.malformed += 1
            if self.fault == "none":
                self.fault, self.fault_at = fault, position


def _parse(line: Line) -> tuple[int | None, bool, str]:
    """Return the code of a reply line, whether another line follows, and what is wrong with its form."""
    found = _LINE.match(line.data)
    if found is None:
        partial = line.end in {"gap", "end"}
        return None, False, "none" if partial else "code"
    code, mark = found.groups()
    if mark not in {b" ", b"-", b""}:
        return int(code), False, "separator"
    return int(code), mark == b"-", "none" if _CODES.match(code) else "code"
