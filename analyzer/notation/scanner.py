"""A line of a script under the reader's finger: tokens taken left to right, and errors that say where.

Every error carries line and column; nothing is taken twice.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from analyzer.notation.values import LIMITS, NotationError, check_tags

_BLANKS = re.compile(r"[ \t]*(?:#[^\n]*)?")
_NUMBER = re.compile(r"([+-]?)([0-9]+)")
_ROUND = re.compile(r"[0-9]+")
_SECONDS = re.compile(r"()([0-9]{1,10})(?:\.([0-9]{1,9}))?(?=[ \t]|$)")
_SIGNED_SECONDS = re.compile(r"([+-])([0-9]{1,10})(?:\.([0-9]{1,9}))?(?=[ \t]|$)")
_MACS = re.compile(r"([0-9a-f:]+)>([0-9a-f:]+)")
_VLAN = re.compile(r"-|[0-9]{1,4}(?:\.[0-9]{1,4})*")
_TEXT = re.compile(r'"((?:[^"\\\x00-\x1f]|\\.)*)"')
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|.)")
_SHORT: Final = {"r": "\r", "n": "\n", "t": "\t", "\\": "\\", '"': '"'}
_CYCLE: Final = 2**32
_MAX_DIGITS: Final = 10
"""Of any number in the notation: 32 bits have no more."""


@dataclass(frozen=True, slots=True)
class Number:
    """A number as written: relative ones wait for the ISN they are relative to."""

    value: int
    relative: bool
    column: int


@dataclass(slots=True)
class ScriptLine:
    """One line and the place reached in it; `at` counts from 0, columns in messages from 1."""

    text: str
    number: int
    where: str = ""
    at: int = 0

    def error(self, sentence: str, at: int | None = None) -> NotationError:
        """Return the error `sentence` at that place, or at the place reached."""
        return NotationError(sentence, where=self.where, line=self.number, column=(self.at if at is None else at) + 1)

    def take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """Take what matches here and the blanks after it, or nothing."""
        found = pattern.match(self.text, self.at)
        if found:
            self.at = found.end()
            self.skip()
        return found

    def need(self, pattern: re.Pattern[str], what: str) -> re.Match[str]:
        """Take what matches here; raise when nothing does."""
        found = self.take(pattern)
        if found is None:
            rest = self.text[self.at :].split(None, 1)
            message = f"{what} must stand here, not {rest[0][:40]!r}" if rest else f"{what} must follow"
            raise self.error(message)
        return found

    def skip(self) -> None:
        """Pass blanks and, where one begins, the comment that ends the line."""
        if blanks := _BLANKS.match(self.text, self.at):
            self.at = blanks.end()

    @property
    def ended(self) -> bool:
        """Whether nothing is left."""
        return self.at >= len(self.text)


def integer(line: ScriptLine, name: str) -> int:
    """Take a plain number within the limits of field `name`."""
    start = line.at
    digits = line.need(_ROUND, "a number").group()
    low, high = LIMITS[name]
    if len(digits) > _MAX_DIGITS or not low <= int(digits) <= high:
        message = f"{digits[:12]} is not in {low}..{high}"
        raise line.error(message, start)
    return int(digits)


def sequence(line: ScriptLine) -> Number:
    """Take a sequence number, absolute or with a sign and relative to an ISN."""
    start = line.at
    sign, digits = line.need(_NUMBER, "a sequence number").groups()
    if len(digits) > _MAX_DIGITS or int(digits) >= _CYCLE:
        message = f"{digits[:12]} is no 32-bit number"
        raise line.error(message, start)
    return Number(int(sign + digits), bool(sign), start + 1)


def seconds(line: ScriptLine, *, signed: bool) -> int | None:
    """Take seconds to the nanosecond, with or without a sign, if they stand here; as ns."""
    found = line.take(_SIGNED_SECONDS if signed else _SECONDS)
    if found is None:
        return None
    sign, whole, fraction = found.groups(default="")
    return int(sign + "1") * (int(whole) * 10**9 + int(fraction.ljust(9, "0")))


def tags(line: ScriptLine) -> tuple[int, ...]:
    """Take a VLAN stack: ids joined by dots, from the outside in, or - for none."""
    start = line.at
    text = line.need(_VLAN, "VLAN ids joined by dots, or - for none,").group()
    vlan = () if text == "-" else tuple(int(tag) for tag in text.split("."))
    try:
        check_tags(vlan)
    except NotationError as error:
        raise line.error(error.sentence, start) from None
    return vlan


def macs(line: ScriptLine) -> tuple[str, str]:
    """Take two link addresses joined by >."""
    found = line.need(_MACS, "two MAC addresses as 02:00:00:00:00:01>02:00:00:00:00:02")
    return found[1], found[2]


def string(line: ScriptLine) -> bytes:
    r"""Take a quoted text: printable characters as UTF-8, the rest as \r \n \t \\ \" \xHH."""
    start = line.at
    found = line.take(_TEXT)
    if found is None:
        message = (
            "the text does not end on this line, or holds a control character: write \\r \\n \\t \\xHH (and in TOML put the script in ''')"
        )
        raise line.error(message)
    parts, at = [], 0
    for escape in _ESCAPE.finditer(found[1]):
        parts.append(_encoded(found[1][at : escape.start()], line, start))
        if escape[1] not in _SHORT and len(escape[1]) == 1:
            message = f'\\{escape[1]} is no escape: \\r \\n \\t \\\\ \\" or \\xHH'
            raise line.error(message, start + 1 + escape.start())
        parts.append(_SHORT[escape[1]].encode() if escape[1] in _SHORT else bytes.fromhex(escape[1][1:]))
        at = escape.end()
    parts.append(_encoded(found[1][at:], line, start))
    return b"".join(parts)


def _encoded(text: str, line: ScriptLine, start: int) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        message = "the text holds half a surrogate pair: write its bytes as \\xHH"
        raise line.error(message, start) from None
