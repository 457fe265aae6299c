from __future__ import annotations

import pytest

from analyzer.language import check, parse
from analyzer.rules import fact_list, load, protocols
from analyzer.rules.check import dialogue_scope, scope_of, where_scope
from analyzer.rules.fact_list import SCOPES, FactEntry

RULES = load()
FACTS = fact_list.facts(RULES)


@pytest.mark.parametrize("entry", FACTS, ids=lambda entry: f"{entry.protocol or 'openings'}-{entry.name}")
def test_every_fact_has_a_meaning_and_an_example_that_its_scopes_take(entry: FactEntry) -> None:
    assert len(entry.meaning) > 3
    if entry.kind == protocols.TEXT:
        return
    node = parse(entry.example)
    services = protocols.services(RULES.protocols)
    for scope in entry.scopes:
        if scope in {"dialogue", "exchange"}:
            names = dialogue_scope(scope, RULES.protocols[entry.protocol], services)
        elif scope == "correlation" and "connection" in entry.scopes:
            names = where_scope(RULES.machine)
        else:
            names = scope_of(RULES.machine, scope)
        check(node, names, wanted="flag")


def test_every_name_that_a_check_may_use_is_listed() -> None:
    listed = {(scope, entry.protocol, entry.name) for entry in FACTS for scope in entry.scopes}
    for scope in ("segment", "connection", "correlation"):
        for name in scope_of(RULES.machine, scope).names:
            # Variables and emitted values belong to the rows of opening.toml.
            if name not in RULES.machine.variables and "." not in name:
                assert (scope, "", name) in listed, name
    for protocol in RULES.protocols.values():
        for name in protocol.facts("exchange"):
            assert {("exchange", protocol.id, name), ("exchange", protocols.ANY, name)} & listed, name


def test_a_pattern_and_a_scope_narrow_the_list() -> None:
    assert [entry.name for entry in fact_list.facts(RULES, "n_syn*")] == ["n_syn", "n_synack_isn"]
    assert {scope for entry in fact_list.facts(RULES, scope="exchange") for scope in entry.scopes} == {"dialogue", "exchange"}
    assert fact_list.facts(RULES, "nothing-is-called-so") == []


def test_scopes_are_those_of_the_schema() -> None:
    assert SCOPES == ("segment", "connection", "correlation", "dialogue", "exchange")
