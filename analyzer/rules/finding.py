"""A finding file: id, severity, title, explanation, and examples in segment notation that state whether the finding fires."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from analyzer.rules import check

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from analyzer.model import Severity
    from analyzer.rules.check import Check
    from analyzer.rules.machine import Machine
    from analyzer.rules.protocols import Protocol

_PLACEHOLDER: Final = re.compile(r"\{([a-z_]+)\}")


@dataclass(frozen=True, slots=True)
class Example:
    """A few segments in segment notation, and whether the finding must be reported for them."""

    fires: bool
    segments: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule reports."""

    id: str
    severity: Severity
    title: str
    message: str
    """One sentence; `{seq}`, `{ack}`, `{len}` and the row's `values` stand for this connection's numbers."""
    why: str
    references: tuple[str, ...]
    causes: tuple[str, ...]
    other_tools: Mapping[str, str]
    """Name of the finding in other tools, by tool."""
    examples: tuple[Example, ...]
    family: str
    """The folder of the file: handshake, or a protocol."""
    path: str
    check: Check | None = None
    """Its condition; None for a finding that the machine emits."""
    opt_in: bool = False
    """Whether it is reported only where it is selected: a column of the report has the same information, or most connections have it."""
    next: tuple[str, ...] = ()
    """What to check next, one to three lines; every shipped rule has them."""

    @property
    def placeholders(self) -> frozenset[str]:
        """The names of the placeholders in the message."""
        return frozenset(_PLACEHOLDER.findall(self.message))

    def fill_message(self, numbers: Mapping[str, object]) -> str:
        """Return the message with `numbers` for its placeholders; an unknown number becomes a question mark."""
        return _PLACEHOLDER.sub(lambda match: str(numbers.get(match.group(1), "?")), self.message)


def build(document: dict[str, Any], path: Path, machine: Machine, known: Mapping[str, Protocol]) -> Finding:
    """Return the finding that `document`, which passed its schema, describes. Raises `RuleError` for a bad check."""
    family = path.parent.name
    return Finding(
        id=document["id"],
        severity=document["severity"],
        title=document["title"],
        message=document.get("message", document["title"]),
        why=document["why"].strip(),
        references=tuple(document.get("references", ())),
        causes=tuple(document.get("causes", ())),
        other_tools=dict(document.get("other_tools", {})),
        examples=tuple(Example(entry["fires"], entry["segments"], entry.get("note", "")) for entry in document.get("example", ())),
        family=family,
        path=str(path),
        check=check.build(document["check"], machine, known, family, str(path)) if "check" in document else None,
        opt_in=document.get("opt_in", False),
        next=tuple(document.get("next", ())),
    )
