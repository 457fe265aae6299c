"""Pseudonyms for people and machines in payload: host names, users, mail addresses, address literals, secrets.

A pseudonym has the length of what it replaces, letters for letters and digits for digits, so that lengths that a protocol states stay
true; the same word has the same pseudonym wherever the same key is used. Only addresses in FTP's PORT, EPRT and 227 may change their
length: they must name the endpoint that the frames of the data connection name.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from functools import lru_cache
from ipaddress import AddressValueError
from typing import TYPE_CHECKING, Final

from analyzer.anonymize.streams import Edit
from analyzer.protocols.redactor import Redactor

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from analyzer.anonymize.addresses import AddressMap

_OCTET: Final = rb"(?:25[0-5]|2[0-4]\d|1?\d?\d)"
_FTP_HOST: Final = re.compile(
    rb"(?im)^(?:PORT[ ]+|227[ -][^\r\n]*?(?=\d))(?P<four>" + _OCTET + rb"(?:," + _OCTET + rb"){3})(?=,\d)"
    rb"|^EPRT[ ]+(?P<mark>[!-~])[12](?P=mark)(?P<any>[0-9A-Fa-f:.]+)(?=(?P=mark))"
)
_HOST: Final = re.compile(rb"(?i)(?<![a-z0-9.-])(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+(?P<last>[a-z]{2,24})(?![a-z0-9-])")
_MAIL: Final = re.compile(rb"(?i)(?P<local>[a-z0-9!#$%&'*+/=?^_`{|}~.-]+)@(?=[a-z0-9\[])")
_IPV4: Final = re.compile(rb"(?<![\d.])" + _OCTET + rb"(?:\." + _OCTET + rb"){3}(?![\d.]?\d)")
_IPV6: Final = re.compile(rb"(?i)(?<![0-9a-f:.])(?=[0-9a-f:]*::|(?:[0-9a-f]{1,4}:){7})[0-9a-f:]{3,39}(?![0-9a-f:])")
_BASE64: Final = re.compile(
    rb"(?im)(?:^AUTH[ ]+[A-Z0-9-]+[ ]+|\bBasic[ ]+|^)(?P<data>(?:[A-Za-z0-9+/]{4}){2,}(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?)\r?$"
)
_WORD: Final = re.compile(rb"[A-Za-z0-9]+")
_HEX: Final = re.compile(rb"[0-9a-f]+|[0-9A-F]+")
_NEUTRAL: Final = frozenset({b"anonymous", b"ftp", b"localhost", b"postmaster", b"guest"})
"""Names that identify no person or host, and that findings depend on."""
_CODE: Final = re.compile(rb"\d{3}-")
_LABELS: Final = frozenset({b"www", b"mail", b"smtp", b"ftp"})


class NameMap:
    """What is replaced in the streams of one run."""

    def __init__(self, key: bytes, addresses: AddressMap, words: Iterable[str], secrets: Iterable[str]) -> None:
        """Begin with names of hosts and users, and with secrets, that are looked for wherever they stand."""
        self._key, self._addresses = key, addresses
        known = {word.encode("utf-8", "surrogateescape").lower() for word in words} - _NEUTRAL
        alternatives = b"|".join(re.escape(word) for word in sorted(known, key=len, reverse=True) if len(word) > 1)
        # A word at the beginning of a line is a command, whatever else is called so.
        self._words = re.compile(rb"(?i)(?<![a-z0-9])(?<!\A)(?<!\n)(?:" + alternatives + rb")(?![a-z0-9])") if alternatives else None
        self._secrets = Redactor()
        self._secrets.add(*secrets, words=True)
        self.word = lru_cache(maxsize=65_536)(self._word)
        """A word of letters and digits to its pseudonym, which keeps upper and lower case."""

    def search(self, run: bytes) -> list[Edit]:
        """Return the edits of a run of payload, in order and apart from each other; of two that overlap the first found counts."""
        found = list[Edit]()
        for edits in (self._ftp(run), self._encoded(run), self._hidden(run), self._literals(run), self._named(run)):
            taken = sorted((start, end) for start, end, _ in found)
            found += [edit for edit in edits if not _overlaps(taken, edit[0], edit[1])]
        return sorted(found)

    def _ftp(self, run: bytes) -> Iterator[Edit]:
        for match in _FTP_HOST.finditer(run):
            name = "four" if match["four"] else "any"
            text = match[name].decode().replace(",", ".")
            try:
                new = self._addresses.text(text)
            except ValueError:
                continue
            yield *match.span(name), (new.replace(".", ",") if name == "four" else new).encode()

    def _encoded(self, run: bytes) -> Iterator[Edit]:
        for match in _BASE64.finditer(run):
            try:
                plain = base64.b64decode(match["data"], validate=True)
            except binascii.Error:
                continue
            if plain.isascii() and all(byte >= 0x20 or byte in b"\0\r\n\t\1" for byte in plain):  # noqa: PLR2004 - blank
                yield *match.span("data"), base64.b64encode(self._scramble(plain))

    def _hidden(self, run: bytes) -> Iterator[Edit]:
        for start, end in self._secrets.find(run):
            yield start, end, self._scramble(run[start:end])

    def _literals(self, run: bytes) -> Iterator[Edit]:
        for match in _IPV4.finditer(run):
            yield *match.span(), self._same_length(match[0], self._addresses.text(match[0].decode()).encode())
        for match in _IPV6.finditer(run):
            try:
                new = self._addresses.text(match[0].decode()).encode()
            except (ValueError, AddressValueError):
                continue
            yield *match.span(), new if len(new) == len(match[0]) else re.sub(rb"[0-9A-Fa-f]+", lambda hit: self._hex(hit[0]), match[0])

    def _same_length(self, old: bytes, new: bytes) -> bytes:
        """Return the pseudonym of an IPv4 literal where it is as long, else octets of as many digits each."""
        if len(new) == len(old):
            return new
        return b".".join(self._octet(octet) for octet in old.split(b"."))

    def _octet(self, octet: bytes) -> bytes:
        low, high = {1: (0, 9), 2: (10, 99), 3: (100, 255)}[len(octet)]
        drawn = int.from_bytes(self._draw(b"octet" + octet, 4))
        return str(low + drawn % (high - low + 1)).encode()

    def _named(self, run: bytes) -> Iterator[Edit]:
        found = list[tuple[int, int]]()
        for match in _MAIL.finditer(run):
            if match["local"].lower() not in _NEUTRAL:
                found.append(match.span("local"))
                yield *match.span("local"), self._scramble(match["local"])
        for match in _HOST.finditer(run):
            start, end = match.span()
            # The code of a reply of several lines is no part of the name behind it.
            start += len(code[0]) if (code := _CODE.match(run, start)) and run[start - 1 : start] in {b"", b"\n"} else 0
            host = run[start : match.start("last")]
            if not _overlaps(sorted(found), start, end) and match[0].lower() not in _NEUTRAL:
                found.append((start, end))
                yield start, end, self._host(host) + match["last"]
        for match in self._words.finditer(run) if self._words else ():
            if not _overlaps(sorted(found), *match.span()):
                yield *match.span(), self._scramble(match[0])

    def _host(self, labels: bytes) -> bytes:
        """Return the labels before the last one, each replaced; those that say what a machine is for stay."""
        return b".".join(label if label.lower() in _LABELS else self._scramble(label) for label in labels.split(b"."))

    def _scramble(self, text: bytes) -> bytes:
        """Return text with each word in it replaced."""
        return _WORD.sub(lambda match: self._hex(match[0]) if _is_digest(match[0]) else self.word(match[0]), text)

    def _word(self, word: bytes) -> bytes:
        drawn = self._draw(word.lower(), len(word))
        return bytes(map(_letter, word, drawn))

    def _hex(self, digits: bytes) -> bytes:
        alphabet = b"0123456789ABCDEF" if digits.isupper() else b"0123456789abcdef"
        return bytes(alphabet[byte & 15] for byte in self._draw(digits.lower(), len(digits)))

    def _draw(self, seed: bytes, size: int) -> bytes:
        """Return `size` bytes that depend on the key and the seed alone."""
        parts = -(-size // 64)
        return b"".join(
            hashlib.blake2b(seed, digest_size=64, key=self._key, person=b"word", salt=part.to_bytes(8)).digest() for part in range(parts)
        )[:size]


def _letter(old: int, drawn: int) -> int:
    """Return a letter for a letter and a digit for a digit."""
    if 0x30 <= old <= 0x39:  # noqa: PLR2004 - ASCII digits
        return 0x30 + drawn % 10
    return (0x41 if old < 0x61 else 0x61) + drawn % 26  # noqa: PLR2004 - ASCII letters


def _is_digest(word: bytes) -> bool:
    return len(word) >= 16 and _HEX.fullmatch(word) is not None  # noqa: PLR2004 - shorter ones are words


def _overlaps(taken: Sequence[tuple[int, int]], start: int, end: int) -> bool:
    return any(first < end and start < last for first, last in taken)
