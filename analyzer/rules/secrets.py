"""The patterns of rules/secrets.toml: names and forms of secrets.

A user's file adds to the shipped one; a fault names file and entry.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote_plus

from analyzer.errors import RuleError
from analyzer.rules import toml_loader

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

FILE: Final = "secrets.toml"
MAX_NAME_LENGTH: Final = 200
"""Characters of a name that are matched."""
_LISTS: Final = {
    "names": ("contains", "whole", "ends", "plain"),
    "usable": ("contains", "whole", "ends", "plain"),
    "fields": ("keys", "plain", "parameters"),
    "shape": ("prefixes",),
}
_NUMBERS: Final = ("hex", "random", "dense")
_PUNCTUATION: Final = re.compile(r"[^a-z0-9]")
_LETTERS: Final = str.maketrans({"ł": "l", "ø": "o", "đ": "d", "\u0131": "i", "ß": "ss", "æ": "ae", "œ": "oe"})
"""Letters that Unicode does not decompose."""
_OTHER_PUNCTUATION: Final = re.compile(r"[\W_]")


@dataclass(frozen=True, slots=True)
class SecretNames:
    """A pattern of names."""

    pattern: re.Pattern[str]
    plain: re.Pattern[str] | None
    """What is removed from a name before it is matched against `pattern`."""


@dataclass(frozen=True, slots=True, eq=False)
class SecretPatterns:
    """Names and forms of secrets."""

    names: SecretNames
    usable: SecretNames
    """Names whose value can be used by anyone who reads it."""
    harmless: re.Pattern[str] | None
    """Names that are never usable."""
    keys: frozenset[bytes]
    """Header fields whose value is a key or a token."""
    plain_fields: frozenset[bytes]
    """Header fields whose value is no secret, whatever their name."""
    parameters: frozenset[str]
    """Parameters of Authorization that are no secret."""
    prefix: re.Pattern[str]
    """A token of a service, recognised by its prefix."""
    prefixes: tuple[str, ...]
    """The prefixes of such tokens."""
    hex: int
    random: int
    dense: int

    def is_secret(self, name: str) -> bool:
        """Return whether a parameter of this name holds a secret, going by the name."""
        return _is_secret(self, name[:MAX_NAME_LENGTH])

    def is_credential(self, name: str) -> bool:
        """Return whether a parameter of this name holds a secret that anyone who reads it can use; fewer do than are redacted."""
        return _is_credential(self, name[:MAX_NAME_LENGTH])

    def is_secret_field(self, name: bytes) -> bool:
        """Return whether a header field of this name, in small letters, holds a secret."""
        return name in self.keys or (name not in self.plain_fields and _is_secret(self, name[:MAX_NAME_LENGTH].decode("latin-1")))


@lru_cache(maxsize=4_096)
def _is_secret(patterns: SecretPatterns, name: str) -> bool:
    return _fits(patterns.names, plain_name(name))


@lru_cache(maxsize=4_096)
def _is_credential(patterns: SecretPatterns, name: str) -> bool:
    plain = plain_name(name)
    return _fits(patterns.usable, plain) and not (patterns.harmless and patterns.harmless.search(plain))


def _fits(names: SecretNames, plain: str) -> bool:
    if names.plain is not None:
        plain = names.plain.sub(" ", plain)
    return names.pattern.search(plain) is not None


def plain_name(name: str) -> str:
    """Return a name in small letters without percent encoding, punctuation and accents."""
    text = unquote_plus(name).lower()
    if text.isascii():
        return _PUNCTUATION.sub("", text)
    decomposed = unicodedata.normalize("NFKD", text.translate(_LETTERS))
    return unicodedata.normalize("NFC", _OTHER_PUNCTUATION.sub("", "".join(one for one in decomposed if not unicodedata.combining(one))))


def load(home: Path, extra: Sequence[Mapping[str, Any]] = (), *, check: bool = False) -> SecretPatterns:
    """Return the patterns of `home`/secrets.toml with users' documents added, in order. Raises `RuleError`."""
    if not extra and not check and home == toml_loader.shipped():
        return shipped()
    return _load(home, extra, check=check)


def _load(home: Path, extra: Sequence[Mapping[str, Any]] = (), *, check: bool = False) -> SecretPatterns:
    path = home / FILE
    document = toml_loader.read(path)
    if check:
        toml_loader.check(document, "secrets", path)
        _lint(document, path)
    merged = {section: {key: list(document[section][key]) for key in keys} for section, keys in _LISTS.items()}
    numbers = {key: document["shape"][key] for key in _NUMBERS}
    for one in extra:
        for section, keys in _LISTS.items():
            for key in keys:
                merged[section][key] += one.get(section, {}).get(key, [])
        numbers |= {key: one["shape"][key] for key in _NUMBERS if key in one.get("shape", {})}
    return _build(merged, numbers)


def _lint(document: Mapping[str, Any], path: Path) -> None:
    """Refuse words without effect, since they contain another one of their list. Raises `RuleError`."""
    for section in ("names", "usable"):
        for key in ("contains", "plain"):
            words = document.get(section, {}).get(key, [])
            for word in words:
                contained = next((one for one in words if one != word and one in word), None)
                if contained is not None:
                    message = f"{path}: {section}.{key}: {word} has no effect: it contains {contained}"
                    raise RuleError(message)


def _build(lists: Mapping[str, Mapping[str, list[Any]]], numbers: Mapping[str, int]) -> SecretPatterns:
    names, usable, fields = lists["names"], lists["usable"], lists["fields"]
    prefixes = sorted({(str(prefix), int(min_length)) for prefix, min_length in lists["shape"]["prefixes"]}, reverse=True)
    return SecretPatterns(
        names=SecretNames(_pattern(names), _any(names["plain"])),
        usable=SecretNames(_pattern(usable), _any(names["plain"])),
        harmless=_any(usable["plain"]),
        keys=frozenset(name.encode() for name in fields["keys"]),
        plain_fields=frozenset(name.encode() for name in fields["plain"]),
        parameters=frozenset(fields["parameters"]),
        prefix=re.compile(
            r"(?<![A-Za-z0-9])(?:"
            + "|".join(f"{re.escape(prefix)}[A-Za-z0-9_.-]{{{min_length},}}" for prefix, min_length in prefixes)
            + ")"
        ),
        prefixes=tuple(prefix for prefix, _ in prefixes),
        **numbers,
    )


def _pattern(lists: Mapping[str, list[str]]) -> re.Pattern[str]:
    words = {key: "|".join(map(re.escape, sorted(set(lists[key]), reverse=True))) for key in ("contains", "whole", "ends")}
    return re.compile(f"(?:{words['contains']})|^(?:{words['whole']})$|(?:{words['ends']})$")


def _any(words: list[str]) -> re.Pattern[str] | None:
    return re.compile("|".join(map(re.escape, sorted(set(words), reverse=True)))) if words else None


def read_layer(path: Path) -> dict[str, Any]:
    """Return a user's document. Raises `RuleError` where it does not fit the schema, or adds nothing."""
    document = toml_loader.read(path)
    toml_loader.check(document, "secrets", path)
    _lint(document, path)
    if not set(document) - {"schema"}:
        message = f"{path}: adds nothing"
        raise RuleError(message)
    return document


@cache
def shipped() -> SecretPatterns:
    """Return the patterns that come with the program."""
    return _load(toml_loader.shipped())
