"""Where the next HTTP/1.x message begins, when the message before it does not say.

That is after a gap, in the middle of a capture, behind content whose length is not known. A start is looked for in the bytes alone,
wherever segments were cut: a line that can only be a request line or a status line.

Promises: reads each byte at most twice; linear.
Must not know: what messages mean.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from analyzer.protocols.http.vocabulary import HttpVocabulary
    from analyzer.reassembly.reader import Reader

REQUEST: Final = re.compile(rb"(?<![A-Z-])[A-Z][A-Z-]{2,30} [!-~\x80-\xff]{1,4096} HTTP/1\.[01]\r?\n")
REPLY: Final = re.compile(rb"HTTP/1\.[01] [1-5]\d\d(?: [^\r\n]{0,256})?\r?\n[!-~\r\n]")

_WINDOW: Final = 65_536
_OVERLAP: Final = 8_192
"""Longer than what the patterns match."""
_LINE: Final = re.compile(rb"[ \t]*[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,64}[ \t][^\r\n]*HTTP/", re.IGNORECASE)
_EMPTY: Final = re.compile(rb"(?:\r?\n)+")
_LOOK: Final = 8_192


def find(reader: Reader, pattern: re.Pattern[bytes]) -> bool:
    """Move to the next match of `pattern`, over gaps too, and return True; without one move to the end and return False."""
    while True:
        data = reader.peek(_WINDOW)
        match = pattern.search(data)
        if match:
            reader.skip(match.start())
            return True
        if len(data) == _WINDOW:
            reader.skip(_WINDOW - _OVERLAP)
            continue
        reader.skip(len(data))
        if reader.ended:
            return False
        reader.jump()


def begins_request(data: bytes, vocabulary: HttpVocabulary) -> bool:
    """Return whether `data` begins like a request: a registered method, or a line with a method in front and a version behind."""
    return bool(vocabulary.begins.match(data) or _LINE.match(data[:_LOOK]))


def pass_empty_lines(reader: Reader) -> int:
    """Move over line ends in front of a message (RFC 9112 2.2) and return how many bytes that were."""
    start = reader.at
    while match := _EMPTY.match(reader.peek(_LOOK)):
        reader.skip(match.end())
    return reader.at - start
