"""Find random-looking strings in a text: tokens, keys and hashes, whatever their names.

A run of letters and digits is random when it changes between small letters, capitals and digits far more often than words, dates and
numbers do: about every second character, where words change every fourth or later. Hexadecimal digits, UUIDs (RFC 9562), JSON Web Tokens
(RFC 7519) and the tokens of services are recognised by their form. Digits alone, words, host names and message identifiers are not random;
neither is anything shorter than `SecretPatterns.dense`. Linear in the text.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from analyzer.protocols.redactor import HIDDEN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from analyzer.rules.secrets import SecretPatterns

JWT: Final = re.compile(r"eyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]*)?")
_LONG: Final = re.compile(r"[A-Za-z0-9_+~-]{16}")
"""Without this nothing in a text is random but a token of a service."""
_TOKEN: Final = re.compile(r"[A-Za-z0-9_.-]{8}")
"""Without this there is no such token either."""
_RUN: Final = re.compile(r"[A-Za-z0-9_+~-]{8,}={0,2}")
_HOST: Final = re.compile(r"(?<![\w.%-])(?:[a-z0-9-]{1,63}\.){2,}[a-z]{2,24}(?![\w-]|\.\w)")
"""A name with three labels or more (RFC 1123 2.1)."""
_UUID: Final = re.compile(r"(?<![0-9A-Fa-f])[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}(?![0-9A-Fa-f])")
_HEX: Final = re.compile(r"[0-9A-Fa-f]+")
_WORD: Final = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|[0-9]+")
_ENCODED: Final = re.compile(r"[A-Za-z0-9+/_-]{20,}={0,2}")
_LETTER: Final = re.compile(r"[A-Za-z]")
_DIGIT: Final = re.compile(r"[0-9]")
_MAX_WORD_OF_TOKEN: Final = 5
"""Letters and digits for each change, at the most, in what is random."""
_MAX_WORD_OF_DENSE: Final = 3
MIN_CHANGES: Final = 4
MIN_LETTERS: Final = 3


def hide(text: str, patterns: SecretPatterns) -> str:
    """Return a text with what looks random in it hidden."""
    spans = tuple(_spans(text, patterns)) if may_have(text, patterns) else ()
    for begin, end in reversed(spans):
        text = text[:begin] + HIDDEN + text[end:]
    return text


def values(text: str, patterns: SecretPatterns) -> tuple[str, ...]:
    """Return what looks random in a text."""
    return tuple(text[begin:end] for begin, end in _spans(text, patterns)) if may_have(text, patterns) else ()


def is_random(value: str, patterns: SecretPatterns) -> bool:
    """Return whether a value as a whole looks random: one in base64 with its slashes, too."""
    return _ENCODED.fullmatch(value) is not None and _is_random(re.sub(r"[/=]", "", value), patterns)


def may_have(text: str, patterns: SecretPatterns) -> bool:
    """Return whether something in a text may be random, at a quick look."""
    if _LONG.search(text) is not None:
        return True
    return _TOKEN.search(text) is not None and ("eyJ" in text or any(prefix in text for prefix in patterns.prefixes))


def _spans(text: str, patterns: SecretPatterns) -> Iterator[tuple[int, int]]:
    """Yield where something random begins and ends, in order, none over another."""
    hosts = [match.span() for match in _HOST.finditer(text)]
    found = [match.span() for pattern in (patterns.prefix, JWT, _UUID) for match in pattern.finditer(text)]
    found += [
        match.span()
        for match in _RUN.finditer(text)
        if _is_random(match[0].rstrip("="), patterns) and not any(first <= match.start() < last for first, last in hosts)
    ]
    first = last = -1
    for begin, end in sorted(found):
        if begin > last:
            if first >= 0:
                yield first, last
            first = begin
        last = max(last, end)
    if first >= 0:
        yield first, last


def _is_random(run: str, patterns: SecretPatterns) -> bool:
    size = len(run)
    if size < patterns.dense:
        return False
    words = list(_WORD.finditer(run))
    digits = any(word[0][0].isdigit() for word in words)
    letters = sum(len(word[0]) for word in words if not word[0][0].isdigit())
    if digits and letters and size >= patterns.hex and _HEX.fullmatch(run):
        return True
    # Between words there is something else; within what is random, mostly nothing.
    changes = sum(one.end() == other.start() for one, other in pairwise(words))
    plain = sum(len(word[0]) for word in words)
    if letters < MIN_LETTERS or changes < MIN_CHANGES:
        return False
    if size >= patterns.random:
        return changes * (_MAX_WORD_OF_TOKEN if digits else _MAX_WORD_OF_DENSE) >= plain
    mixed = digits and any(word[0][0].islower() for word in words) and any(word[0][0].isupper() for word in words)
    return mixed and changes * _MAX_WORD_OF_DENSE >= plain
