"""The commands, replies, mechanisms and ports that rules/protocols/smtp.toml lists, in the forms that the parser looks up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from analyzer.protocols import vocabulary

if TYPE_CHECKING:
    from collections.abc import Mapping

    from analyzer.rules.protocols import Protocol

NO_COMMANDS: Final = frozenset({"none", "content", "other"})
"""Words of the enumeration `command` that no client sends; they are not written in capitals."""


@dataclass(frozen=True, slots=True)
class Mechanism:
    """A mechanism of AUTH."""

    secret: bool
    """Whether it sends the secret itself, or a token that is as good; else a proof of it."""
    answers: int = 1
    """Answers of the client that it takes, an initial one included."""


@dataclass(frozen=True, slots=True)
class SmtpVocabulary:
    """What the protocol file, with the layers of the user's rules, holds for this parser."""

    verbs: Mapping[bytes, str]
    """Commands in capitals to their names in lower case."""
    greetings: frozenset[int]
    replies: Mapping[str, frozenset[int]]
    """Positive final replies of each command; a command that is missing may have any."""
    mechanisms: Mapping[str, Mechanism]
    """By name in capitals."""
    extensions: Mapping[str, bytes]
    """Word of the enumeration `extension` to the keyword that a reply to EHLO offers it with."""
    early_offers: frozenset[bytes]
    """Keywords of extensions that let a client send before the greeting."""
    submission_ports: frozenset[int]
    tls_ports: frozenset[int]


def _build(protocol: Protocol) -> SmtpVocabulary:
    data = protocol.data
    return SmtpVocabulary(
        verbs={word.encode("ascii"): word.lower() for word in protocol.enums["command"] if word not in NO_COMMANDS},
        greetings=frozenset(data["greetings"]),
        replies={name.lower(): frozenset(codes) for name, codes in data["replies"].items()},
        mechanisms={name: Mechanism(entry["secret"], entry.get("answers", 1)) for name, entry in data["mechanisms"].items()},
        extensions={word: keyword.encode("ascii") for word, keyword in data["extensions"].items()},
        early_offers=frozenset(keyword.encode("ascii") for keyword in data["early_offers"]),
        submission_ports=frozenset(data["submission_ports"]),
        tls_ports=frozenset(protocol.tls_ports),
    )


vocabulary_of = vocabulary.cached(_build, "smtp")
"""Return the vocabulary of a protocol, of the shipped one for None."""
