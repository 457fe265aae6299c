"""What a parser reads of its protocol file, built once per file.

A parser converts the tables of `Protocol.data` into the forms that it looks up. `cached` keeps the result for as long as the same rules are
used, since a parser begins once per dialogue.
"""

from __future__ import annotations

from functools import cache, lru_cache
from typing import TYPE_CHECKING, Final, TypeVar

from analyzer.rules import protocols, toml_loader

if TYPE_CHECKING:
    from collections.abc import Callable

    from analyzer.rules.protocols import Protocol

Vocabulary = TypeVar("Vocabulary")

MAX_CACHED: Final = 16
"""Protocol files whose vocabularies are kept: those of one set of rules, and a few more for programs that load several."""


@cache
def shipped(id_: str) -> Protocol:
    """Return the protocol `id_` as the shipped rules declare it."""
    return protocols.load(toml_loader.shipped())[id_]


def cached(build: Callable[[Protocol], Vocabulary], id_: str) -> Callable[[Protocol | None], Vocabulary]:
    """Return a function that gives the vocabulary `build` makes of a protocol; of the shipped protocol `id_` for None."""

    @lru_cache(maxsize=MAX_CACHED)
    def of_key(key: _ByIdentity) -> Vocabulary:
        return build(key.protocol)

    def of(protocol: Protocol | None) -> Vocabulary:
        return of_key(_ByIdentity(shipped(id_) if protocol is None else protocol))

    return of


class _ByIdentity:
    """A protocol as a key of a cache: its tables cannot be hashed."""

    __slots__ = ("protocol",)

    def __init__(self, protocol: Protocol) -> None:
        self.protocol = protocol

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ByIdentity) and other.protocol is self.protocol

    def __hash__(self) -> int:
        return id(self.protocol)
