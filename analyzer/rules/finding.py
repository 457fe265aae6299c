"""One finding, one file: what it is called, how bad it is, why it matters, and examples that prove it.

Promises: a `Finding` is complete and frozen; its examples are in segment notation and every one says whether it fires.
Must not know: which row emits it, or how a report prints it.
"""

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
    """A short exchange in segment notation, and whether the finding must be there."""

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
    """Tool name to what that tool calls it."""
    examples: tuple[Example, ...]
    family: str
    """The folder the file lies in: handshake, or a protocol's."""
    path: str
    check: Check | None = None
    """When it is there; None when the machine says so."""
    opt_in: bool = False
    """Whether it is reported only where it is selected: a column of the report says as much, or it is true of most connections."""

    @property
    def placeholders(self) -> frozenset[str]:
        """The names of the placeholders in the message."""
        return frozenset(_PLACEHOLDER.findall(self.message))

    def fill_message(self, numbers: Mapping[str, object]) -> str:
        """Return the message with `numbers` in their places; a number that is not known reads as a question mark."""
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
    )
