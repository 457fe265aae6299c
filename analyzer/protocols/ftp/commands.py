"""A line of an FTP client: the command it holds, without the TELNET commands in it, and what the protocol file knows of it.

Promises: any bytes are a command; nothing here decides whether it was right to send it.
Must not know: replies, rules.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple

from analyzer.rules import toml_loader

if TYPE_CHECKING:
    from collections.abc import Mapping

_IAC: Final = b"\xff"
_TELNET: Final = re.compile(rb"\xff(?:\xff|\xfa.*?(?:\xff\xf0|$)|[\xfb-\xfe].?|[\xf0-\xf9])", re.DOTALL)
"""A TELNET command: a subnegotiation, an option, or one byte (RFC 854). IAC IAC is the byte 255, and so is IAC before anything else."""
_PADDING: Final = b"\r\0"
"""What may stand around a command: ends that other servers, or clients, know."""
_PADDED: Final = frozenset({b"\r", b"\0"})
_ESCAPED: Final = b"\xff\xff"
_WORDS: Final = re.compile(rb"[ \t]*([^ \t\x00]*)[ \t]?(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class CommandSpec:
    """What the protocol file says of a command."""

    name: str
    replies: frozenset[int]
    """Codes that may end it, those any command may have included."""
    marks: frozenset[int]
    """Codes 1yz that may come before."""
    data: str
    """Which way its data connection's bytes go: up, down, list; empty when it has none."""


@dataclass(frozen=True, slots=True)
class CommandTable:
    """The part of rules/protocols/ftp.toml that its reader needs."""

    commands: Mapping[str, CommandSpec]
    other: CommandSpec
    greetings: frozenset[int]
    refusals: frozenset[int]
    guests: frozenset[str]


class FtpCommand(NamedTuple):
    """A client's line, taken apart."""

    verb: str
    """Its first word in capitals, whatever it is."""
    known: CommandSpec
    argument: bytes
    telnet: bool = False
    """Whether TELNET commands stood in the line."""
    inside: bool = False
    """Whether one of them stood behind the first letter."""


@cache
def table() -> CommandTable:
    """Return what the shipped protocol file knows of commands and greetings."""
    data = toml_loader.read(toml_loader.shipped() / "protocols" / "ftp.toml")["data"]
    common = frozenset(data["common"])
    commands: dict[str, CommandSpec] = {
        name: CommandSpec(name, common | frozenset(entry["replies"]), frozenset(entry.get("marks", ())), entry.get("data", ""))
        for name, entry in data["commands"].items()
    }
    commands |= {alias: commands[name] for alias, name in data["aliases"].items()}
    other = CommandSpec("other", frozenset(), frozenset(), "")
    return CommandTable(commands, other, frozenset(data["greetings"]), frozenset(data["refusals"]), frozenset(data["guests"]))


def parse(line: bytes) -> FtpCommand:
    """Return the command in `line`, which comes without its line end."""
    telnet = inside = False
    line = line.strip(_PADDING) if line[:1] in _PADDED or line[-1:] in _PADDED else line
    if _IAC in line:
        found = [match.start() for match in _TELNET.finditer(line) if match[0] != _ESCAPED]
        telnet = bool(found)
        inside = telnet and found[-1] > _lead(line)
        line = _TELNET.sub(lambda match: _IAC if match[0] == _ESCAPED else b"", line)
    match = _WORDS.match(line)
    word, argument = match.groups() if match else (line, b"")
    verb = word.upper().decode("latin-1")
    known = table()
    return FtpCommand(verb, known.commands.get(verb, known.other), argument, telnet, inside)


def _lead(line: bytes) -> int:
    """Return where the first byte that is neither blank nor TELNET stands."""
    at = 0
    while at < len(line):
        match = _TELNET.match(line, at)
        if match and match[0] != _ESCAPED:
            at = match.end()
        elif line[at : at + 1] in b" \t":
            at += 1
        else:
            break
    return at
