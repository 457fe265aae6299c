"""What of an FTP dialogue may be shown: requests and replies as text, without passwords.

A password goes with PASS and ACCT, in a line that is no command but stands where one of them should, in a URL, and in the server's answer
when it repeats what it was sent.

Promises: whatever is recognised as a secret is given to the redactor, which finds it in all other text of the dialogue.
Must not know: states, rules.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from analyzer.protocols import redaction
from analyzer.protocols.redactor import HIDDEN

if TYPE_CHECKING:
    from analyzer.protocols.ftp.commands import CommandTable, FtpCommand
    from analyzer.protocols.redactor import Redactor

LONGEST: Final = 200
"""Characters of a text that are kept."""
_VERB: Final = re.compile(r"[A-Z]{1,4}")
"""What a command looks like: up to four letters (RFC 959 5.3); a longer word may be a password typed in the wrong place."""
_TOKEN: Final = re.compile(rb"(ADAT=)\S+")
_MAX_FRAGMENT: Final = 512
"""Bytes beyond which what is left of a line is no password, but data."""
_PARTS: Final = 4
"""Words of a line that is a secret that are looked for each."""


def argument(command: FtpCommand, table: CommandTable, redactor: Redactor, *, torn: bool = False) -> str:
    """Return a command's argument; `torn` says that its end was not captured."""
    said, verb = command.argument, command.verb
    if not redactor.enabled or not said:
        return text(said)
    if command.known.secret or command.known.name == "other" or _is_secret_site(command, table, redactor):
        if said.decode("latin-1").lower() not in table.guests:
            _remember(said, redactor, words=command.known.name != "other")
        redactor.add(said if torn else None, torn=True)
        return HIDDEN
    if verb == "USER":
        return _user(said, redactor)
    redactor.add(*redaction.named(_whole(said), redactor.patterns))
    return redaction.text(_whole(said), redactor.patterns)[:LONGEST]


def add_fragment(line: bytes, redactor: Redactor) -> None:
    """Add what is left of a line whose beginning was not captured: its words, since one may be a password."""
    if len(line) <= _MAX_FRAGMENT:
        redactor.add(line, *line.split()[:_PARTS], torn=True)


def verb(command: FtpCommand, redactor: Redactor, *, trusted: bool) -> str:
    """Return a command's first word; `trusted` says that the user is logged in, so that an odd word is no password out of place."""
    if not redactor.enabled or command.known.name != "other" or (trusted and _VERB.fullmatch(command.verb)):
        return text(command.verb.encode("latin-1"))
    if command.verb:
        _remember(command.verb.encode("latin-1"), redactor, words=True)
        return HIDDEN
    return ""


def reply(data: bytes, redactor: Redactor, *, protected: bool = False) -> str:
    """Return the text of a reply without security data (RFC 2228 7, 8) and passwords in URLs."""
    if not redactor.enabled:
        return text(data)
    if protected:
        return HIDDEN
    if b"=" in data:
        data = _TOKEN.sub(rb"\1" + HIDDEN.encode(), data)
    return redaction.text(_whole(data), redactor.patterns)[:LONGEST]


def _user(said: bytes, redactor: Redactor) -> str:
    """Return a user's name; what follows a blank or a colon in it is a password for a gateway."""
    parts = re.split(rb"([ \t:]+)", said, maxsplit=1)
    if len(parts) == 1 or not parts[2]:
        redactor.show(said)
        return text(said)
    _remember(parts[2], redactor, words=True)
    return text(parts[0] + parts[1]) + HIDDEN


def _is_secret_site(command: FtpCommand, table: CommandTable, redactor: Redactor) -> bool:
    if command.known.name != "SITE":
        return False
    words = command.argument.split()
    named = any(redactor.patterns.is_credential(word.decode("latin-1")) for word in words[1:])
    return bool(words) and (words[0].upper() not in table.site_commands or named)


def _remember(secret: bytes, redactor: Redactor, *, words: bool) -> None:
    redactor.add(secret, *secret.split()[:_PARTS], words=words)


def text(data: bytes) -> str:
    """Return bytes of the capture as a text of at most `LONGEST` characters; what is not UTF-8 is kept by surrogates."""
    return data[: LONGEST * 4].decode("utf-8", "surrogateescape")[:LONGEST]


def _whole(data: bytes) -> str:
    """Return a text before it is cut, so that no secret is cut before it is hidden."""
    return data[: LONGEST * 8].decode("utf-8", "surrogateescape")
