"""What a row or a check emits where it fires."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from analyzer._typing import Array, IntArray
    from analyzer.rules import RuleSet
    from analyzer.rules.check import Check


@dataclass(frozen=True, slots=True)
class Event:
    """Hits of one row or check; every array has one entry per hit."""

    number: int
    """Index in the list of emissions."""
    flows: IntArray
    """Row of the connections table."""
    rows: IntArray
    """Row of the evidence table: a step of an opening, a dialogue or an exchange."""
    cites: tuple[IntArray, ...] = ()
    """Further rows of the evidence table, -1 where there is none; those of a finding's first hit are cited."""
    numbers: Mapping[str, Array] = field(default_factory=dict)
    """What fills the placeholders of the message; unknown is -1 in an array of integers, None in one of objects."""
    hold: str = ""
    """The hold that keeps the emission back; then `number` is -1 until the conclusion decides."""


@dataclass(frozen=True, slots=True)
class NumberedCheck:
    """One check and the number its events carry."""

    id: str
    check: Check
    number: int


def number_checks(rules: RuleSet, scope: str, first: int) -> list[NumberedCheck]:
    """Return the checks of `scope`, numbered from `first`."""
    chosen = [(one.id, one.check) for one in rules.findings.values() if one.check is not None and one.check.scope == scope]
    return [NumberedCheck(id_, check, number) for number, (id_, check) in enumerate(chosen, first)]
