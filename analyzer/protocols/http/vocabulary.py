"""The method and port lists of rules/protocols/http.toml in the forms that the parser uses.

The patterns are compiled once per distinct list: `of` is called once per dialogue.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from analyzer.rules import protocols, toml_loader

if TYPE_CHECKING:
    from analyzer.rules.protocols import Protocol


@dataclass(frozen=True, slots=True)
class HttpVocabulary:
    """Methods and ports that the protocol file lists."""

    methods: frozenset[str]
    """Registered methods; without `other` and `none`, the words of enumeration `method` for the rest."""
    idempotent: frozenset[str]
    """Methods that may be repeated without another effect (RFC 9110 9.2.2)."""
    plain: tuple[str, ...]
    """Methods of requests that the fast path reads."""
    tls_ports: frozenset[int]
    """Server ports of HTTP inside TLS."""
    begins: re.Pattern[bytes]
    """A registered method and the blank behind it."""


def of(protocol: Protocol | None) -> HttpVocabulary:
    """Return the vocabulary that `protocol` declares; that of the shipped file for None."""
    chosen = shipped() if protocol is None else protocol
    return _build(chosen.enums["method"], tuple(chosen.data["not_idempotent"]), tuple(chosen.data["plain_methods"]), chosen.tls_ports)


@cache
def shipped() -> Protocol:
    """Return the shipped rules/protocols/http.toml."""
    return protocols.load(toml_loader.shipped())["http"]


@cache
def _build(words: tuple[str, ...], not_idempotent: tuple[str, ...], plain: tuple[str, ...], tls_ports: tuple[int, ...]) -> HttpVocabulary:
    methods = frozenset(words) - {"none", "other"}
    # Longest first: of two methods that begin alike, the longer one matches.
    begins = b"|".join(re.escape(method.encode("ascii")) for method in sorted(methods, reverse=True))
    return HttpVocabulary(
        methods=methods,
        idempotent=methods - frozenset(not_idempotent),
        plain=plain,
        tls_ports=frozenset(tls_ports),
        begins=re.compile(b"(?:" + begins + rb")[ \t]"),
    )
