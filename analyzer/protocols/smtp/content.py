r"""The content of a message behind DATA: where it ends, and what its lines are like.

It ends with a line that holds a dot alone: CR LF . CR LF (RFC 5321 4.1.1.4). Dots between other line ends (\n.\n, \r\n.\n, \r.\r and the
like) end it only for some servers: they count as the end where the server took them for it, or the client said no more.

Promises: the same answer however the bytes are cut into segments; each byte is looked at a fixed number of times; behind bytes that were
not captured, the server's next reply tells that the content was over.
Must not know: replies, but that one was captured before a given spot.
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
_WINDOW: Final = 65_536
_KEEP: Final = 4
"""Bytes that may be the beginning of an end: CR LF . CR."""
_MANY: Final = 1_000
"""Dots alone after which only the strict end counts, and that of the stream."""
_DOT: Final = re.compile(rb"\.(\r\n|\n|\r)")
_STRICT: Final = b"\r\n.\r\n"
_LONG: Final = re.compile(rb"\n[^\n]{%d}" % (MAX_LINE - 1))
_BARE: Final = re.compile(rb"(?<!\r)\n|\r(?!\n)")


@dataclass(slots=True)
class Content:
    """What lies between DATA and the end of data."""

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
    holed: bool = False
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

    `is_answered(spot)` tells whether the server's next reply was captured before `spot`, or at all; `lax` that the client ends its
    commands with a bare LF, so that \n.\n is its end of data.
    """
    content = Content(client.at, client.position())
    scan = _Scan(client, content, is_answered, lax)
    while not content.ended and scan.step():
        pass
    if not content.ended and content.false_ends and not content.holed and is_answered(None):
        # The server heard an end where there is no strict one: the first that may pass for it.
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
        self.foreign = 2
        """Bytes at the head of `tail` that are not of the content."""
        self.before = b"\n"
        """The byte before those to be counted next."""
        self.line = 0
        """Octets of the line so far."""
        self.seen = 0
        """Offset behind the last dot alone that was judged."""

    def step(self) -> bool:
        """Look at the next window; return whether there may be another."""
        client = self.client
        data = client.take(_WINDOW)
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
                self._count(window[self.foreign : dot], base + self.foreign)
                client.at = base + found.end()
                return False
        # What may begin an end is kept and not counted yet; a CR LF is counted in one piece.
        cut = len(window) if not more else max(len(window) - _KEEP, self.foreign)
        cut -= more and cut > self.foreign and window[cut - 1 : cut] == b"\r"
        self._count(window[self.foreign : cut], base + self.foreign)
        self.tail, self.foreign = window[cut:], 0
        return more

    def _ends(self, stop: int, *, strict: bool) -> bool:
        """Return whether a dot alone, whose line ends before `stop`, is the end of data; note it when it is not."""
        content = self.content
        self.seen = stop
        if strict:
            content.ended = "strict"
        elif stop >= self.client.size or self.lax or (content.false_ends < _MANY and self._is_answered(stop)):
            content.ended = "lax"
        else:
            content.false_ends += 1
            content.false_end = content.false_end or self.client.position(stop - 1)
        return bool(content.ended)

    def _is_answered(self, stop: int) -> bool:
        follows = self.client.position(stop)
        return follows is not None and self.is_answered(follows)

    def _pass_gap(self) -> bool:
        """Move behind bytes that were not captured; return whether the content goes on there."""
        client, content = self.client, self.content
        self._count(self.tail[self.foreign :].rstrip(b"\r"), client.at - len(self.tail) + self.foreign)
        self.tail, self.foreign = b"", 0
        if not client.gap:
            return False
        content.holed = True
        content.size += client.jump()
        spot = client.position()
        if spot is None or self.is_answered(spot):
            content.ended = "gap" if spot is not None else ""
            return False
        self.line = 0
        # The CR of the first line end, and the line end before a dot, may have been lost with the rest.
        self.before = b"\r" if client.peek(1) == b"\n" else b""
        if client.peek(3) == b".\r\n":
            self.tail, self.foreign = b"\r\n", 2
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
