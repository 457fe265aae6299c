"""Scripts in segment notation, judged by the rules of openings: what the tests of openings share."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from analyzer import connections as connections_
from analyzer import notation, openings, rules
from analyzer.openings.machine import vector
from analyzer.rules.machine import emitted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from analyzer.rules import RuleSet


class Case(NamedTuple):
    """An exchange, its verdict, and exactly the findings it must have."""

    script: str
    verdict: str
    findings: str = ""


class Found(NamedTuple):
    """What was found of a case's connections, in order."""

    verdicts: list[str]
    outcomes: list[str]
    views: list[str]
    findings: set[str]
    facts: list[dict[str, bool]]


@cache
def loaded() -> RuleSet:
    """Return the rules; of the findings only those of the machine, since checks move nothing and have their own examples."""
    return rules.load(select=sorted(emitted(rules.load().machine)))


def judge(cases: Mapping[str, Case], *, min_vector_flows: int = vector.MIN_VECTOR_FLOWS) -> dict[str, Found]:
    """Return what is found of every case, each judged as a capture of its own, all in one call."""
    captures = [notation.capture(notation.parse(case.script, where=name), path=name) for name, case in cases.items()]
    connections, rule_set = connections_.group(captures), loaded()
    judged = openings.judge(connections, rule_set, min_vector_flows=min_vector_flows)
    owner = connections.flows["capture"].tolist()
    found = {name: Found([], [], [], set(), []) for name in cases}
    names = list(cases)
    for flow, capture in enumerate(owner):
        one = found[names[capture]]
        verdict = rule_set.verdicts[judged.verdict[flow]]
        one.verdicts.append(verdict.name)
        one.outcomes.append(verdict.outcome)
        one.views.append(rule_set.machine.views[judged.view[flow]].name)
        one.facts.append({name: bool(values[flow]) for name, values in judged.facts.items()})
    for flow, id_ in zip(judged.findings["flow"], judged.findings["id"], strict=True):
        found[names[owner[flow]]].findings.add(id_)
    return found
