"""Find where the next HTTP/1.x message begins when the message before does not show it.

That is after a gap, at the start of a capture that begins in the middle of a connection, and behind content of unknown length. The search
uses the bytes alone, wherever segments were cut: a line that can only be a request line or a status line. It reads each byte at most
twice.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from analyzer.protocols.http.vocabulary import HttpVocabulary
    from analyzer.reassembly.reader import Reader

REQUEST: Final = re.compile(rb"(?<![A-Z-])[A-Z][A-Z-]{2,30} [!-~\x80-\xff]{1,4096} HTTP/1\.[01]\r?\n")
RESPONSE: Final = re.compile(rb"HTTP/1\.[01] [1-5]\d\d(?: [^\r\n]{0,256})?\r?\n[!-~\r\n]")

WINDOW_BYTES: Final = 65_536
OVERLAP_BYTES: Final = 8_192
"""More bytes than either pattern matches."""
_LINE: Final = re.compile(rb"[ \t]*[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,64}[ \t][^\r\n]*HTTP/", re.IGNORECASE)
_EMPTY: Final = re.compile(rb"(?:\r?\n)+")
LINE_READ_BYTES: Final = 8_192


def find(reader: Reader, pattern: re.Pattern[bytes]) -> bool:
    """Move to the next match of `pattern`, across gaps, and return True; without one, move to the end and return False."""
    while True:
        data = reader.peek(WINDOW_BYTES)
        match = pattern.search(data)
        if match:
            reader.skip(match.start())
            return True
        if len(data) == WINDOW_BYTES:
            reader.skip(WINDOW_BYTES - OVERLAP_BYTES)
            continue
        reader.skip(len(data))
        if reader.ended:
            return False
        reader.jump()


def begins_request(data: bytes, vocabulary: HttpVocabulary) -> bool:
    """Return whether `data` begins like a request: with a registered method, or a line from a method to a version."""
    return bool(vocabulary.begins.match(data) or _LINE.match(data[:LINE_READ_BYTES]))


def skip_empty_lines(reader: Reader) -> int:
    """Skip line ends before a message (RFC 9112 2.2) and return the number of bytes skipped."""
    start = reader.at
    while match := _EMPTY.match(reader.peek(LINE_READ_BYTES)):
        reader.skip(match.end())
    return reader.at - start
