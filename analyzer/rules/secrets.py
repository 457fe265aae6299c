"""rules/secrets.toml to frozen patterns: how secrets are named, and what they look like.

Promises: a user's file adds to the shipped one; a fault names file and entry.
Must not know: protocols, texts.
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
MAX_NAME: Final = 200
"""Characters of a name that are looked at."""
_LISTS: Final = {
    "names": ("contains", "whole", "ends", "plain"),
    "usable": ("contains", "whole", "ends", "plain"),
    "fields": ("keys", "plain", "parameters"),
    "shape": ("prefixes",),
}
_NUMBERS: Final = ("hex", "random", "dense")
_PUNCTUATION: Final = re.compile(r"[^a-z0-9]")
_LETTERS: Final = str.maketrans({"ł": "l", "ø": "o", "đ": "d", "\u0131": "i", "ß": "ss", "æ": "ae", "œ": "oe"})
"""Letters that Unicode does not take apart."""
_OTHER_PUNCTUATION: Final = re.compile(r"[\W_]")


@dataclass(frozen=True, slots=True)
class Names:
    """Names that have something in common."""

    pattern: re.Pattern[str]
    plain: re.Pattern[str] | None
    """What is taken out of a name before it is held against `pattern`."""


@dataclass(frozen=True, slots=True, eq=False)
class SecretPatterns:
    """How secrets are named, and what they look like."""

    names: Names
    usable: Names
    """Names whose value can be used by whoever reads it."""
    harmless: re.Pattern[str] | None
    """Names that are not usable, whatever else they say."""
    keys: frozenset[bytes]
    """Header fields whose value is a key or a token."""
    plain_fields: frozenset[bytes]
    """Header fields whose value is no secret, whatever their name says."""
    parameters: frozenset[str]
    """Parameters of Authorization that are no secret."""
    prefix: re.Pattern[str]
    """A token of a service by what it begins with."""
    prefixes: tuple[str, ...]
    """What such tokens begin with."""
    hex: int
    random: int
    dense: int

    def is_secret(self, name: str) -> bool:
        """Return whether a parameter of this name holds a secret, going by the name."""
        return _is_secret(self, name[:MAX_NAME])

    def is_credential(self, name: str) -> bool:
        """Return whether a parameter of this name holds what whoever reads it can use; fewer do than are hidden."""
        return _is_credential(self, name[:MAX_NAME])

    def is_secret_field(self, name: bytes) -> bool:
        """Return whether a header field of this name, in small letters, holds a secret."""
        return name in self.keys or (name not in self.plain_fields and _is_secret(self, name[:MAX_NAME].decode("latin-1")))


@lru_cache(maxsize=4_096)
def _is_secret(patterns: SecretPatterns, name: str) -> bool:
    return _fits(patterns.names, plain_name(name))


@lru_cache(maxsize=4_096)
def _is_credential(patterns: SecretPatterns, name: str) -> bool:
    plain = plain_name(name)
    return _fits(patterns.usable, plain) and not (patterns.harmless and patterns.harmless.search(plain))


def _fits(names: Names, plain: str) -> bool:
    if names.plain is not None:
        plain = names.plain.sub(" ", plain)
    return names.pattern.search(plain) is not None


def plain_name(name: str) -> str:
    """Return a name in small letters without percent encoding, punctuation and accents."""
    text = unquote_plus(name).lower()
    if text.isascii():
        return _PUNCTUATION.sub("", text)
    apart = unicodedata.normalize("NFKD", text.translate(_LETTERS))
    return unicodedata.normalize("NFC", _OTHER_PUNCTUATION.sub("", "".join(one for one in apart if not unicodedata.combining(one))))


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
    """Refuse words that make no difference, since they hold another one of their list. Raises `RuleError`."""
    for section in ("names", "usable"):
        for key in ("contains", "plain"):
            words = document.get(section, {}).get(key, [])
            for word in words:
                held = next((one for one in words if one != word and one in word), None)
                if held is not None:
                    message = f"{path}: {section}.{key}: {word} makes no difference: it holds {held}"
                    raise RuleError(message)


def _build(lists: Mapping[str, Mapping[str, list[Any]]], numbers: Mapping[str, int]) -> SecretPatterns:
    names, usable, fields = lists["names"], lists["usable"], lists["fields"]
    prefixes = sorted({(str(prefix), int(least)) for prefix, least in lists["shape"]["prefixes"]}, reverse=True)
    return SecretPatterns(
        names=Names(_pattern(names), _any(names["plain"])),
        usable=Names(_pattern(usable), _any(names["plain"])),
        harmless=_any(usable["plain"]),
        keys=frozenset(name.encode() for name in fields["keys"]),
        plain_fields=frozenset(name.encode() for name in fields["plain"]),
        parameters=frozenset(fields["parameters"]),
        prefix=re.compile(
            r"(?<![A-Za-z0-9])(?:" + "|".join(f"{re.escape(prefix)}[A-Za-z0-9_.-]{{{least},}}" for prefix, least in prefixes) + ")"
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
    """Return a user's document. Raises `RuleError` where it is not of the schema's shape, or says nothing."""
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
