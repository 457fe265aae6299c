r"""Find the end of a message's content behind DATA, and measure its lines.

It ends with a line that holds only a dot: CR LF . CR LF (RFC 5321 4.1.1.4). Dots between other line ends (\n.\n, \r\n.\n, \r.\r and so
on) end it only for some servers: they count as the end where the server replied to them, or the client sent nothing more. The result does
not depend on the segmentation; each byte is examined a fixed number of times; behind a gap the server's next reply shows that the content
was over.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from analyzer.reassembly.reader import Position, Reader

MAX_LINE: Final = 1_000
"""Octets of a text line, with its end (RFC 5321 4.5.3.1.6)."""
_WINDOW_BYTES: Final = 65_536
_KEEP_BYTES: Final = 4
"""Bytes that may be the beginning of an end: CR LF . CR."""
MAX_FALSE_ENDS: Final = 1_000
"""Lax ends that are examined; behind them only the strict end counts, and the end of the stream."""
_DOT: Final = re.compile(rb"\.(\r\n|\n|\r)")
_STRICT: Final = b"\r\n.\r\n"
_LONG: Final = re.compile(rb"\n[^\n]{%d}" % (MAX_LINE - 1))
_BARE: Final = re.compile(rb"(?<!\r)\n|\r(?!\n)")


@dataclass(slots=True)
class Content:
    """The content between DATA and the end of data."""

    start: int
    first: Position | None = None
    last: Position | None = None
    """Where its last byte was captured, its end included."""
    stop: int = 0
    """Offset behind its end."""
    size: int = 0
    """Octets of the message: without the dots that hide dots, and without the line of the end."""
    ended: str = ""
    """strict, lax, gap (the end was not captured); empty when there was none."""
    never_strict: bool = False
    """No strict end follows in the whole stream."""
    has_gap: bool = False
    """Bytes of it were not captured."""
    bare_lf: int = 0
    bare_cr: int = 0
    bare: Position | None = None
    false_ends: int = 0
    """Dots alone between line ends that are not CR LF, and that did not end it."""
    false_end: Position | None = None
    longest: int = 0
    """Octets of its longest line, with its end, when that is over `MAX_LINE`; else 0."""
    long: Position | None = None


def read(client: Reader, is_answered: Callable[[Position | None], bool], *, lax: bool = False) -> Content:
    r"""Read from where `client` stands to behind the end of data.

    `is_answered(position)` returns whether the server's next reply was captured before `position`, or at all. With `lax` the client ends
    its commands with a bare LF, so that \n.\n is its end of data.
    """
    content = Content(client.at, client.position())
    scan = _Scan(client, content, is_answered, lax)
    while not content.ended and scan.step():
        pass
    if not content.ended and content.false_ends and not content.has_gap and is_answered(None):
        # The server took a lax end for the end of data: the first that may be it.
        client.at = content.start
        found = read(client, is_answered, lax=True)
        found.never_strict = True
        return found
    content.stop = client.at
    content.last = client.position(content.stop - 1) if content.stop > content.start else content.first
    return content


class _Scan:
    """One pass over a content, a window at a time."""

    def __init__(self, client: Reader, content: Content, is_answered: Callable[[Position | None], bool], lax: bool) -> None:  # noqa: FBT001 - private
        self.client, self.content, self.is_answered, self.lax = client, content, is_answered, lax
        self.tail = b"\r\n"
        """Bytes before the window that may begin an end; at first a line end, as behind the DATA line."""
        self.carried = 2
        """Bytes at the head of `tail` that are not part of the content."""
        self.before = b"\n"
        """The byte before those to be counted next."""
        self.line = 0
        """Octets of the line so far."""
        self.seen = 0
        """Offset behind the last dot alone that was judged."""

    def step(self) -> bool:
        """Look at the next window; return whether there may be another."""
        client = self.client
        data = client.take(_WINDOW_BYTES)
        if not data:
            return self._pass_gap()
        window = self.tail + data
        base, more, at = client.at - len(window), client.left > 0, 0
        while found := _DOT.search(window, at):
            at, dot = found.start(1), found.start()
            if not dot or window[dot - 1] not in b"\r\n" or base + found.end() <= self.seen:
                continue
            if more and found.end() == len(window) and found[1] == b"\r" and not client.gap:
                break  # an LF may follow in the next window
            if self._ends(base + found.end(), strict=window[max(dot - 2, 0) : found.end()] == _STRICT):
                self._count(window[self.carried : dot], base + self.carried)
                client.at = base + found.end()
                return False
        # What may begin an end is kept and not counted yet; a CR LF is counted at once.
        cut = len(window) if not more else max(len(window) - _KEEP_BYTES, self.carried)
        cut -= more and cut > self.carried and window[cut - 1 : cut] == b"\r"
        self._count(window[self.carried : cut], base + self.carried)
        self.tail, self.carried = window[cut:], 0
        return more

    def _ends(self, stop: int, *, strict: bool) -> bool:
        """Return whether a line with only a dot, ending before `stop`, is the end of data; count it when it is not."""
        content = self.content
        self.seen = stop
        if strict:
            content.ended = "strict"
        elif stop >= self.client.size or self.lax or (content.false_ends < MAX_FALSE_ENDS and self._is_answered(stop)):
            content.ended = "lax"
        else:
            content.false_ends += 1
            content.false_end = content.false_end or self.client.position(stop - 1)
        return bool(content.ended)

    def _is_answered(self, stop: int) -> bool:
        follows = self.client.position(stop)
        return follows is not None and self.is_answered(follows)

    def _pass_gap(self) -> bool:
        """Move behind a gap; return whether the content continues there."""
        client, content = self.client, self.content
        self._count(self.tail[self.carried :].rstrip(b"\r"), client.at - len(self.tail) + self.carried)
        self.tail, self.carried = b"", 0
        if not client.gap:
            return False
        content.has_gap = True
        content.size += client.jump()
        position = client.position()
        if position is None or self.is_answered(position):
            content.ended = "gap" if position is not None else ""
            return False
        self.line = 0
        # The CR of the first line end, and the line end before a dot, may have been lost with the rest.
        self.before = b"\r" if client.peek(1) == b"\n" else b""
        if client.peek(3) == b".\r\n":
            self.tail, self.carried = b"\r\n", 2
        return True

    def _count(self, data: bytes, offset: int) -> None:
        """Count what `data`, the next bytes of the content, holds."""
        if not data:
            return
        content, joined = self.content, self.before + data
        pairs = joined.count(b"\r\n")
        feeds, returns = data.count(b"\n"), joined.count(b"\r")
        content.size += len(data) - joined.count(b"\n.")
        if feeds != pairs or returns != pairs:
            content.bare_lf += feeds - pairs
            content.bare_cr += returns - pairs
            found = _BARE.search(joined, len(self.before))
            if content.bare is None and found:
                content.bare = self.client.position(offset + found.start() - len(self.before))
        self._measure(data, offset)
        self.before = data[-1:]

    def _measure(self, data: bytes, offset: int) -> None:
        """Find the longest line that ends in `data`, or is still going on, if one is too long."""
        first = data.find(b"\n") + 1
        longest = self.line + (first or len(data))
        if first and _LONG.search(data, first - 1):
            longest = max(longest, *(len(line) + 1 for line in data[first:].split(b"\n")))
        self.line = len(data) - data.rfind(b"\n") - 1 if first else longest
        if longest > MAX_LINE:
            self.content.longest = max(self.content.longest, longest)
            self.content.long = self.content.long or self.client.position(offset)
