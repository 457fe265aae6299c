"""The method and port lists of rules/protocols/http.toml in the forms that the parser uses.

The patterns are compiled once per protocol file: `of` is called once per dialogue.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from analyzer.protocols import vocabulary

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


def _build(protocol: Protocol) -> HttpVocabulary:
    methods = frozenset(protocol.enums["method"]) - {"none", "other"}
    # Longest first: of two methods that begin alike, the longer one matches.
    begins = b"|".join(re.escape(method.encode("ascii")) for method in sorted(methods, reverse=True))
    return HttpVocabulary(
        methods=methods,
        idempotent=methods - frozenset(protocol.data["not_idempotent"]),
        plain=tuple(protocol.data["plain_methods"]),
        tls_ports=frozenset(protocol.tls_ports),
        begins=re.compile(b"(?:" + begins + rb")[ \t]"),
    )


of = vocabulary.cached(_build, "http")
"""Return the vocabulary of a protocol, of the shipped one for None."""
