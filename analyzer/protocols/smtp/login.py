"""Parse AUTH exchanges (RFC 4954): mechanism, user name, and the secrets in them.

A name is reported where the mechanism shows which part is one and, for LOGIN, the server's prompt requested it; everything else is a
secret. `secrets` returns every secret as it was sent and as it reads decoded.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from analyzer.protocols.redactor import Redactor
    from analyzer.protocols.smtp.vocabulary import Mechanism
    from analyzer.reassembly.reader import Line

MIN_SECRET: Final = 6
"""Bytes of an argument from which on it may be a secret rather than a number or a word."""
MAX_WORDS_ADDED: Final = 8
"""Words of an unknown line that are added to the redactor one by one."""
MAX_MECHANISM: Final = 40
"""Characters of the name of a mechanism that are kept."""
OTHER: Final = "(other)"
CANCEL: Final = b"*"
MAX_ANSWERS: Final = 16
"""Answers of one AUTH that are read."""
_BASE64: Final = re.compile(rb"[A-Za-z0-9+/]{2,}={0,2}")
_NAMES: Final = {
    "XOAUTH2": re.compile(rb"user=([^\x01]*)\x01"),
    "OAUTHBEARER": re.compile(rb"n,a=([^,\x01]*),"),
    "DIGEST-MD5": re.compile(rb'(?:^|[ ,])username="([^"]*)"'),
    "CRAM-MD5": re.compile(rb"(.*) [0-9a-fA-F]{32}\Z", re.DOTALL),
    "PLAIN": re.compile(rb"[^\0]*\0([^\0]+)\0[^\0]*\Z", re.DOTALL),
}
_SCRAM_NAME: Final = re.compile(rb"(?:[ny]|p=[^,]*),(?:a=[^,]*)?,n=([^,]*),r=")
_PASSWORD: Final = re.compile(rb"([^\0]*)\Z", re.DOTALL)
_BEARER: Final = re.compile(rb"auth=(?:Bearer +)?([^\x01]*)\x01", re.IGNORECASE)
_READABLE: Final = re.compile(rb"[!-~]{4,}")
_BETWEEN: Final = re.compile(rb"[\0-\x20]+")
"""What may stand between the parts of something whose form is not known."""
_SECRET_PROMPT: Final = re.compile(rb"pass|secret|pin\b|token", re.IGNORECASE)
_NAME_PROMPT: Final = re.compile(rb"user|name|login", re.IGNORECASE)


@dataclass(slots=True)
class Login:
    """One AUTH command and the answers that belong to it."""

    mechanism: str
    """In capitals; `OTHER` when it is unknown: it may be anything, a password too."""
    sends_secret: bool = False
    """Whether it is known to send the secret itself, or a token that is as good."""
    proves: bool = False
    """Whether it is known to send only a proof of the secret."""
    answers: int = 1
    """Answers that it takes, an initial one included."""
    token: bytes = b""
    """The word in the place of the mechanism."""
    name: bytes | None = None
    secret: bytes | None = None
    """The password or token, decoded where it can be."""
    sent: list[bytes] = field(default_factory=list)
    """Initial response and answers, as sent."""
    answered: int = 0
    """Answers to 334."""
    cancelled: bool = False

    @property
    def in_clear(self) -> bool:
        """Whether what was sent holds the secret itself."""
        return bool(self.sent) and not self.proves

    @property
    def due(self) -> int:
        """How many answers the mechanism still takes."""
        return max(self.answers - len(self.sent), 0)

    def add(self, data: bytes, prompt: bytes | None) -> None:
        """Take `data` as the initial response (`prompt` is None) or as the answer to a prompt, as it stood in the 334."""
        if data == CANCEL:
            self.cancelled = True
            return
        if data == b"=":
            data = b""
        first, plain = not self.sent, decoded(data)
        self.sent.append(data)
        if self.mechanism == "LOGIN":
            self._add_login(plain, data, decoded(prompt) if prompt is not None else None)
        elif first or self.mechanism == "DIGEST-MD5":
            self._add_named(plain, data)
        else:
            self.secret = self.secret or plain or data

    def _add_login(self, plain: bytes | None, data: bytes, prompt: bytes | None) -> None:
        """Take an answer of LOGIN: name and secret in the order of the prompts, which may be reversed."""
        requests_name = prompt is not None and _NAME_PROMPT.search(prompt) and not _SECRET_PROMPT.search(prompt)
        if requests_name and plain is not None and len(self.sent) == 1:
            self.name = plain
        elif len(self.sent) == 2 and prompt is not None and _SECRET_PROMPT.search(prompt) and self.name is None:  # noqa: PLR2004 - the second answer
            # The prompt shows that the first was the name; one that is no base64 may be anything.
            self.name, self.secret = decoded(self.sent[0]), plain or data
        else:
            self.secret = plain if plain is not None else data

    def _add_named(self, plain: bytes | None, data: bytes) -> None:
        pattern = _SCRAM_NAME if self.mechanism.startswith("SCRAM-") else _NAMES.get(self.mechanism)
        found = pattern.search(plain) if pattern is not None and plain is not None else None
        self.name = found[1] if found else self.name
        ends = {"PLAIN": _PASSWORD, "XOAUTH2": _BEARER, "OAUTHBEARER": _BEARER}.get(self.mechanism)
        secret = ends.search(plain) if found and ends is not None and plain is not None else None
        self.secret = secret[1] if secret else plain if plain is not None else data


def begin(argument: bytes, offered: list[bytes], mechanisms: Mapping[str, Mechanism]) -> Login:
    """Return the login that the argument of AUTH begins, where the server offers the mechanisms `offered`, in capitals."""
    token, _, initial = argument.strip(b" \t\r").partition(b" ")
    mechanism = token.upper().decode("ascii", "replace")
    listed = mechanisms.get(mechanism)
    known = listed is not None or mechanism.startswith("SCRAM-SHA-") or token.upper() in offered
    login = Login(
        mechanism[:MAX_MECHANISM] if known else OTHER,
        sends_secret=listed is not None and listed.secret,
        proves=(listed is not None and not listed.secret) or (known and mechanism.startswith("SCRAM-")),
        answers=listed.answers if listed is not None else 1,
        token=token,
    )
    if initial.strip():
        login.add(initial.strip(), None)
    return login


def decoded(data: bytes) -> bytes | None:
    """Return what base64 stands for, or None when it is none."""
    try:
        return base64.b64decode(data.strip(), validate=True)
    except (binascii.Error, ValueError):
        return None


def fragments(data: bytes) -> list[bytes]:
    """Return the text in a part of base64 whose group boundaries are unknown."""
    found = list[bytes]()
    for at in range(4):
        part = data[at:].rstrip(b"=")
        plain = decoded(part[: len(part) - len(part) % 4]) or b""
        found += _READABLE.findall(plain)
    return found


def is_answer(data: bytes) -> bool:
    """Return whether a line looks like an answer to 334."""
    return data == CANCEL or _BASE64.fullmatch(data.strip()) is not None


def secrets(login: Login) -> list[bytes | None]:
    """Return the secrets of a login: as sent, and decoded; every part of it where the secret cannot be identified."""
    sent = [one for one in login.sent if login.name is None or decoded(one) != login.name]
    found = [*sent, login.secret, login.token if login.mechanism == OTHER else None]
    if login.in_clear and login.name is None:
        found += [part for sent in login.sent for part in _BETWEEN.split(decoded(sent) or sent)]
    return found


def add_unknown_line(redactor: Redactor, line: Line) -> bool:
    """Add the secrets of a line that is no command; return whether it may be an answer to AUTH.

    A password typed in the place of a command is redacted too.
    """
    data = line.data.strip()
    word, _, argument = data.partition(b" ")
    redactor.add(data, argument if len(argument) >= MIN_SECRET else None, torn=line.end == "gap")
    redactor.add(*(part for part in argument.split()[:MAX_WORDS_ADDED] if len(part) >= MIN_SECRET))
    if argument or not is_answer(word):
        return False
    redactor.add(*(decoded(word) or b"").split(b"\0"))
    return True


def add_torn_line(redactor: Redactor, line: Line) -> None:
    """Add the secrets of a line of which a part was not captured: each word in base64 may be an answer to AUTH."""
    for word in line.data.split():
        if len(word) >= MIN_SECRET and is_answer(word):
            redactor.add(*(decoded(word) or b"").split(b"\0"))
            redactor.add(word, *fragments(word), torn=True)
