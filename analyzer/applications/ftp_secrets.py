"""What of an FTP dialogue may be shown: requests and replies as text, without passwords.

A password goes with PASS and ACCT, in a line that is no command but stands where one of them should, in a URL, and in the server's answer
when it repeats what it was sent.

Promises: unless told to keep secrets, none that was recognised as such leaves this module, however the server echoes it.
Must not know: states, rules.
"""

from __future__ import annotations

import re
from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from analyzer.applications.ftp_commands import Command

HIDDEN: Final = "(hidden)"
LONGEST: Final = 200
"""Characters of a text that are kept."""
_SECRET: Final = frozenset({"PASS", "ACCT", "ADAT", "MIC", "CONF", "ENC"})
"""Commands whose argument is a secret, or protects one (RFC 959 4.1.1, RFC 2228 3)."""
_SITES: Final = frozenset({b"CHMOD", b"UMASK", b"HELP", b"IDLE", b"UTIME", b"SYMLINK", b"CHGRP", b"ZONE", b"EXEC", b"WHO", b"INDEX"})
"""What SITE may be followed by without being a secret; others set passwords."""
_USERINFO: Final = re.compile(rb"(://[^/@\s:]*):[^/@\s]*@")
_VERB: Final = re.compile(r"[A-Z]{1,4}")
"""What a command looks like: up to four letters (RFC 959 5.3); a longer word may be a password typed in the wrong place."""
_PROTECTED: Final = frozenset({631, 632, 633})
"""Replies that hold another one, encrypted or signed."""
_TOKEN: Final = re.compile(rb"(ADAT=)\S+")
_REMEMBERED: Final = 16
_SHORT: Final = 4
"""A secret with fewer bytes is looked for as a word of its own: it would be found in the middle of any text."""


class Veil:
    """Shows requests and replies, and remembers what must not be seen in the replies that follow."""

    __slots__ = ("_keep", "_secrets")

    def __init__(self, *, keep: bool) -> None:
        """With `keep` everything is shown."""
        self._keep = keep
        self._secrets: deque[bytes] = deque(maxlen=_REMEMBERED)

    def argument(self, command: Command) -> str:
        """Return a command's argument."""
        argument, verb = command.argument, command.verb
        if self._keep or not argument:
            return text(argument)
        if command.known.name in _SECRET or command.known.name == "other" or self._is_secret_site(command):
            self._remember(argument)
            return HIDDEN
        if verb == "USER":
            return self._user(argument)
        return text(_without_userinfo(argument))

    def verb(self, command: Command, *, trusted: bool) -> str:
        """Return a command's first word; `trusted` says that the user is logged in, so that an odd word is no password out of place."""
        if self._keep or command.known.name != "other" or (trusted and _VERB.fullmatch(command.verb)):
            return text(command.verb.encode("latin-1"))
        if command.verb:
            self._remember(command.verb.encode("latin-1"))
            return HIDDEN
        return ""

    def reply(self, data: bytes, code: int) -> str:
        """Return the text of a reply without what it repeats of the secrets before it, and without security data (RFC 2228 7, 8)."""
        if self._keep:
            return text(data)
        if code in _PROTECTED:
            return HIDDEN
        if b"=" in data:
            data = _TOKEN.sub(rb"\1(hidden)", data)
        folded = data.lower()
        for secret in self._secrets:
            if secret in folded:
                data = _mask(data, secret)
        return text(_without_userinfo(data))

    def _user(self, argument: bytes) -> str:
        """Return a user's name; what follows a blank or a colon in it is a password for a gateway."""
        parts = re.split(rb"([ \t:]+)", argument, maxsplit=1)
        if len(parts) == 1 or not parts[2]:
            return text(argument)
        self._remember(parts[2])
        return text(parts[0] + parts[1]) + HIDDEN

    def _is_secret_site(self, command: Command) -> bool:
        words = command.argument.split(None, 1)
        return command.known.name == "SITE" and bool(words) and words[0].upper() not in _SITES

    def _remember(self, secret: bytes) -> None:
        whole = secret.strip().lower()
        for part in (whole, *whole.split()[:_SHORT]):
            if part and part not in self._secrets:
                self._secrets.append(part)


def text(data: bytes) -> str:
    """Return bytes of the capture as a text of at most `LONGEST` characters; what is not UTF-8 is kept by surrogates."""
    return data[: LONGEST * 4].decode("utf-8", "surrogateescape")[:LONGEST]


def _without_userinfo(data: bytes) -> bytes:
    return _USERINFO.sub(rb"\1:(hidden)@", data) if b"@" in data else data


def _mask(data: bytes, secret: bytes) -> bytes:
    found = re.escape(secret)
    pattern = found if len(secret) >= _SHORT else rb"(?<![A-Za-z0-9])" + found + rb"(?![A-Za-z0-9])"
    return re.sub(pattern, HIDDEN.encode(), data, flags=re.IGNORECASE)
