"""Parse the command lines of an SMTP client.

Any bytes are some command; a line that is none of the known ones has the verb `other`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_NAME: Final = 1_000
"""Bytes of an address or a name that are kept."""
MAX_CHUNK: Final = 2**63 - 1
"""Octets of a BDAT chunk; a larger number counts as an overflow."""

_CERTAIN: Final = re.compile(
    rb"(?:(?:EHLO|HELO|LHLO)[ \t]+\S+|MAIL[ \t]+FROM:.*|RCPT[ \t]+TO:.*|DATA|RSET|QUIT|NOOP|STARTTLS|BDAT[ \t]+[0-9]+(?:[ \t]+LAST)?"
    rb"|AUTH[ \t]+[A-Z0-9_-]+(?:[ \t]+[A-Z0-9+/=]+)?)[ \t]*\r?",
    re.IGNORECASE | re.DOTALL,
)
_PATH: Final = re.compile(rb'[ \t]*<((?:"(?:[^"\\]|\\.)*"|[^>"])*)>?|[ \t]*([^ \t]+)', re.DOTALL)
_CHUNK: Final = re.compile(rb"([0-9]+)(?:[ \t]+LAST)?[ \t\r]*", re.IGNORECASE)
_LAST: Final = re.compile(rb"[ \t]LAST[ \t\r]*\Z", re.IGNORECASE)
_BODIES: Final = {b"8BITMIME": "eightbitmime", b"BINARYMIME": "binarymime"}
_DSN: Final = {b"RET", b"ENVID", b"NOTIFY", b"ORCPT"}
_NEEDS: Final = {"starttls": "starttls", "auth": "auth", "bdat": "chunking", "etrn": "etrn", "expn": "none"}


class SmtpCommand(NamedTuple):
    """A command line."""

    verb: str
    """In small letters; `other` when it is none that is known."""
    argument: bytes


class Chunk(NamedTuple):
    """The argument of BDAT (RFC 3030 2)."""

    size: int | None
    """Octets that follow the line; None when that is no number, or none that can be."""
    last: bool
    fault: str
    """none, negative, overflow, syntax."""


def parse(data: bytes, verbs: Mapping[bytes, str]) -> SmtpCommand:
    """Return the command that a line is; `verbs` are the known ones, in capitals, and their names."""
    word, _, argument = data.strip(b" \t\r").partition(b" ")
    verb = verbs.get(word) or verbs.get(word.upper())
    if verb is None:
        word, _, argument = data.strip(b" \t\r").partition(b"\t")
        verb = verbs.get(word.upper(), "other")
    return SmtpCommand(verb, argument)


def is_certain(data: bytes) -> bool:
    """Return whether a line is certainly a command, as required of the first line behind a gap."""
    return _CERTAIN.fullmatch(data) is not None


def split_path(argument: bytes) -> tuple[str | None, list[bytes]]:
    """Return the address and the parameters of MAIL or RCPT (RFC 5321 4.1.1.2); None and [] when there is none."""
    _, colon, text = argument.partition(b":")
    found = _PATH.match(text) if colon else None
    if found is None:
        return None, []
    inside, plain = found.groups()
    path = decode(inside or b"<>") if inside is not None else decode(plain)
    return path, text[found.end() :].split()


def needs(command: SmtpCommand, parameters: list[bytes]) -> list[str]:
    """Return the extensions that a command and its parameters belong to, as words of the enumeration `extension`."""
    needed = [_NEEDS[command.verb]] if command.verb in _NEEDS and _NEEDS[command.verb] != "none" else []
    for parameter in parameters:
        name, _, value = parameter.upper().partition(b"=")
        if name == b"SIZE":
            needed.append("size")
        elif name == b"BODY" and value in _BODIES:
            needed.append(_BODIES[value])
        elif name == b"SMTPUTF8":
            needed.append("smtputf8")
        elif name in _DSN:
            needed.append("dsn")
        elif name == b"AUTH":
            needed.append("auth")
    return needed


def declared_size(parameters: list[bytes]) -> int | None:
    """Return the value of the SIZE parameter of MAIL (RFC 1870); None without one."""
    for parameter in parameters:
        name, _, value = parameter.partition(b"=")
        if name.upper() == b"SIZE" and value.isdigit() and len(value) <= 20:  # noqa: PLR2004 - RFC 1870: at most 20 digits
            return int(value)
    return None


def chunk(argument: bytes) -> Chunk:
    """Parse the argument of BDAT."""
    last = _LAST.search(b" " + argument) is not None
    found = _CHUNK.fullmatch(argument.strip(b" \t"))
    if found is None:
        negative = argument.strip().startswith(b"-") and argument.strip()[1:2].isdigit()
        return Chunk(None, last, "negative" if negative else "syntax")
    digits = found[1].lstrip(b"0") or b"0"
    if len(digits) > 19 or int(digits) > MAX_CHUNK:  # noqa: PLR2004 - the digits of MAX_CHUNK
        return Chunk(None, last, "overflow")
    return Chunk(int(digits), last, "none")


def decode(data: bytes, limit: int = MAX_NAME) -> str:
    """Return text from the capture."""
    return data[:limit].decode("utf-8", "surrogateescape")
