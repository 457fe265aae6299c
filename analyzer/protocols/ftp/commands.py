"""Parse the lines of an FTP client into commands, with what the protocol file lists about each.

TELNET commands (RFC 854) are removed from the line. Any bytes are some command; whether it was right to send it is not decided here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from analyzer.protocols import vocabulary

if TYPE_CHECKING:
    from collections.abc import Mapping

    from analyzer.rules.protocols import Protocol

_IAC: Final = b"\xff"
_TELNET: Final = re.compile(rb"\xff(?:\xff|\xfa.*?(?:\xff\xf0|$)|[\xfb-\xfe].?|[\xf0-\xf9])", re.DOTALL)
"""A TELNET command: a subnegotiation, an option, or one byte (RFC 854). IAC IAC is the byte 255, and so is IAC before anything else."""
_PADDING: Final = b"\r\0"
"""Bytes around a command that some clients and servers take for line ends."""
_PADDED: Final = frozenset({b"\r", b"\0"})
_ESCAPED: Final = b"\xff\xff"
_WORDS: Final = re.compile(rb"[ \t]*([^ \t\x00]*)[ \t]?(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class CommandSpec:
    """The entry of a command in the protocol file."""

    name: str
    replies: frozenset[int]
    """Codes of its final reply, those that any command may have included."""
    marks: frozenset[int]
    """Codes 1yz that may come before."""
    data: str
    """Which way its data connection's bytes go: up, down, list; empty when it has none."""
    mode: str = ""
    """How it sets up a data connection: a word of the enumeration `mode`; empty when it sets up none."""
    secret: bool = False
    """Whether its argument is a secret."""


@dataclass(frozen=True, slots=True)
class CommandTable:
    """What the protocol file, with the layers of the user's rules, holds for this parser."""

    commands: Mapping[str, CommandSpec]
    other: CommandSpec
    """The command of a line that the protocol file does not list."""
    greetings: frozenset[int]
    """Codes that a greeting may have."""
    refusals: frozenset[int]
    """Codes of greetings that refuse the service."""
    guests: frozenset[str]
    """Users without an account of their own, in lower case."""
    site_commands: frozenset[bytes]
    """Words that may follow SITE and take no secret, in capitals."""
    protected_replies: frozenset[int]
    """Codes of replies that hold another one, encrypted or signed."""
    no_login_refusals: frozenset[int]
    """Codes that refuse USER, PASS or ACCT for another reason than the user or the password."""
    protections: Mapping[bytes, str]
    """Argument of PROT to the word of the enumeration `protection`."""


class FtpCommand(NamedTuple):
    """A parsed line of a client."""

    verb: str
    """Its first word in capitals, whatever it is."""
    known: CommandSpec
    argument: bytes
    telnet: bool = False
    """Whether the line held TELNET commands."""
    inside: bool = False
    """Whether one of them was behind the first letter."""


def _build(protocol: Protocol) -> CommandTable:
    data = protocol.data
    common = frozenset(data["common"])
    commands: dict[str, CommandSpec] = {
        name: CommandSpec(
            name,
            replies=common | frozenset(entry.get("replies", ())),
            marks=frozenset(entry.get("marks", ())),
            data=entry.get("data", ""),
            mode=entry.get("mode", ""),
            secret=entry.get("secret", False),
        )
        for name, entry in data["commands"].items()
    }
    other = CommandSpec("other", frozenset(), frozenset(), "")
    commands |= {alias: commands.get(name, other) for alias, name in data["aliases"].items()}
    return CommandTable(
        commands=commands,
        other=other,
        greetings=frozenset(data["greetings"]),
        refusals=frozenset(data["refusals"]),
        guests=frozenset(data["guests"]),
        site_commands=frozenset(word.encode("ascii") for word in data["site_commands"]),
        protected_replies=frozenset(data["protected_replies"]),
        no_login_refusals=frozenset(data["no_login_refusals"]),
        protections={level.encode("ascii"): word for level, word in data["protections"].items()},
    )


table_of = vocabulary.cached(_build, "ftp")
"""Return the command table of a protocol, of the shipped one for None."""


def parse(line: bytes, table: CommandTable) -> FtpCommand:
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
    return FtpCommand(verb, table.commands.get(verb, table.other), argument, telnet, inside)


def _lead(line: bytes) -> int:
    """Return the index of the first byte that is neither blank nor TELNET."""
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
