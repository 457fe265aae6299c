"""The severity of verdicts and outcomes, from `counts_as` of the verdicts in opening.toml.

A verdict that counts as pass or as nothing has no severity.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from analyzer.model import SEVERITIES
from analyzer.rules import toml_loader

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from analyzer.model import Severity
    from analyzer.rules.machine import Verdict


def by_verdict(verdicts: Iterable[Verdict]) -> dict[str, Severity]:
    """Return the severity of each verdict that has one, by name."""
    known: dict[str, Severity] = {severity: severity for severity in SEVERITIES}
    return {verdict.name: known[verdict.counts_as] for verdict in verdicts if verdict.counts_as in known}


@cache
def by_outcome() -> Mapping[str, Severity]:
    """Return the severity of each outcome that has one by the shipped rules, for reports that are read without their rules."""
    known: dict[str, Severity] = {severity: severity for severity in SEVERITIES}
    document = toml_loader.read(toml_loader.shipped() / "opening.toml")
    return {entry["outcome"]: known[entry["counts_as"]] for entry in document["verdict"] if entry["counts_as"] in known}
