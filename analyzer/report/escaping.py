r"""Escape text from captures, paths and rule files, so that it is safe to write.

`printable` replaces characters that control a terminal, are invisible or reorder text by visible escapes (`\x1b`, `\u202e`).
`unicode` replaces those that strict UTF-8 cannot encode. `disarm` prefixes text that a spreadsheet would evaluate.
"""

from __future__ import annotations

import re
from typing import Final

_UNSAFE: Final = re.compile(
    "["
    "\x00-\x1f\x7f-\x9f"  # C0 controls, DEL, C1 controls
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\ufeff\uffa0"  # invisible
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f"  # zero width, line separators, bidirectional controls
    "\ufff9-\ufffb"  # interlinear annotation
    "\ud800-\udfff"  # surrogates: bytes of a file name that were no UTF-8
    "\U000e0000-\U000e0fff"  # tags and further variation selectors
    "]",
)
_SHORT: Final = {"\t": r"\t", "\n": r"\n", "\r": r"\r"}
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_FORMULA: Final = re.compile(r"[\s\"']*[=+\-@\t\r\0]")
RISKY_STARTS: Final = frozenset(" \"'=+-@")
"""Printable first characters of texts that `disarm` may change."""
_NUMBER: Final = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?")

_UNDECODED: Final = range(0xDC80, 0xDD00)
"""Surrogates that stand for the undecodable bytes 0x80 to 0xff of a name (PEP 383)."""


def _escape(match: re.Match[str]) -> str:
    character = match.group()
    number = ord(character)
    if number in _UNDECODED:
        number -= 0xDC00
    if number < 0x100:  # noqa: PLR2004 - where two hexadecimal digits end
        return _SHORT.get(character, f"\\x{number:02x}")
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"  # noqa: PLR2004 - where four digits end


def printable(text: str) -> str:
    """Return `text` with every control, invisible and undecodable character as a visible escape."""
    return text if text.isascii() and text.isprintable() else _UNSAFE.sub(_escape, text)


def unicode(text: str) -> str:
    r"""Return `text` with undecodable bytes as `\xff`, so that it can be encoded as strict UTF-8."""
    return text if text.isascii() else _SURROGATE.sub(_escape, text)


def disarm(text: str) -> str:
    """Return `text` so that no spreadsheet reads it as a formula (CWE-1236); numbers stay numbers.

    A cell is a formula when it begins, after blanks and quotes, with one of = + - @ TAB CR; an apostrophe is put before such a cell.
    """
    if _FORMULA.match(text) and not _NUMBER.fullmatch(text):
        return "'" + text
    return text
