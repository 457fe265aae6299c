"""Redact and decode the text of FTP commands and replies.

Secrets are the arguments of commands marked `secret` in the protocol file, lines that are no command where a password may have been typed,
passwords in URLs, and the server's replies where they repeat one. Each is added to the redactor, which hides it in all text of the
dialogue.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from analyzer.protocols import redaction
from analyzer.protocols.redactor import HIDDEN

if TYPE_CHECKING:
    from analyzer.protocols.ftp.commands import CommandTable, FtpCommand
    from analyzer.protocols.redactor import Redactor

MAX_TEXT: Final = 200
"""Characters of a text that are kept."""
_VERB: Final = re.compile(r"[A-Z]{1,4}")
"""What a command looks like: up to four letters (RFC 959 5.3); a longer word may be a password typed in the wrong place."""
_TOKEN: Final = re.compile(rb"(ADAT=)\S+")
_MAX_FRAGMENT: Final = 512
"""Bytes beyond which the rest of a line is data and no password."""
_MAX_WORDS: Final = 4
"""Words of a secret line that are added to the redactor one by one."""


def argument(command: FtpCommand, table: CommandTable, redactor: Redactor, *, torn: bool = False) -> str:
    """Return a command's argument; `torn` if its end was not captured."""
    given, verb = command.argument, command.verb
    if not redactor.enabled or not given:
        return text(given)
    if command.known.secret or command.known.name == "other" or _is_secret_site(command, table, redactor):
        if given.decode("latin-1").lower() not in table.guests:
            _remember(given, redactor, words=command.known.name != "other")
        redactor.add(given if torn else None, torn=True)
        return HIDDEN
    if verb == "USER":
        return _user(given, redactor)
    redactor.add(*redaction.named(_whole(given), redactor.patterns))
    return redaction.text(_whole(given), redactor.patterns)[:MAX_TEXT]


def add_fragment(line: bytes, redactor: Redactor) -> None:
    """Add what is left of a line whose beginning was not captured: its words, since one may be a password."""
    if len(line) <= _MAX_FRAGMENT:
        redactor.add(line, *line.split()[:_MAX_WORDS], torn=True)


def verb(command: FtpCommand, redactor: Redactor, *, trusted: bool) -> str:
    """Return a command's first word; `trusted` if the user is logged in, so that an unknown word is no password in the wrong place."""
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
    return redaction.text(_whole(data), redactor.patterns)[:MAX_TEXT]


def _user(given: bytes, redactor: Redactor) -> str:
    """Return a user's name; the part behind a blank or a colon is a password for a gateway."""
    parts = re.split(rb"([ \t:]+)", given, maxsplit=1)
    if len(parts) == 1 or not parts[2]:
        redactor.show(given)
        return text(given)
    _remember(parts[2], redactor, words=True)
    return text(parts[0] + parts[1]) + HIDDEN


def _is_secret_site(command: FtpCommand, table: CommandTable, redactor: Redactor) -> bool:
    if command.known.name != "SITE":
        return False
    words = command.argument.split()
    named = any(redactor.patterns.is_credential(word.decode("latin-1")) for word in words[1:])
    return bool(words) and (words[0].upper() not in table.site_commands or named)


def _remember(secret: bytes, redactor: Redactor, *, words: bool) -> None:
    redactor.add(secret, *secret.split()[:_MAX_WORDS], words=words)


def text(data: bytes) -> str:
    """Return bytes of the capture as a text of at most `MAX_TEXT` characters; what is not UTF-8 is kept by surrogates."""
    return data[: MAX_TEXT * 4].decode("utf-8", "surrogateescape")[:MAX_TEXT]


def _whole(data: bytes) -> str:
    """Return a text that is not cut yet, so that secrets are redacted before they are cut."""
    return data[: MAX_TEXT * 8].decode("utf-8", "surrogateescape")
