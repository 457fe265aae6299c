"""The scalar compiler, with answers worked out by hand; `test_vector` holds both compilers equal."""

from __future__ import annotations

import pytest

from analyzer.language import Scope, check, parse
from analyzer.language.compile import scalar

SCOPE = Scope(
    names={"seq": "seq", "ack": "seq", "len": "int", "client": "state"},
    records={"syn": {"isn": "seq"}},
    enums={"state": ("CLOSED", "LISTEN")},
    ids=frozenset({"row-1"}),
)


class Connection:
    def __init__(self, **values: int | None) -> None:
        self.values = values

    def name(self, name: str) -> int | None:
        return self.values.get(name)

    def field(self, record: str, name: str) -> int | None:
        return self.values.get(f"{record}_{name}")

    def seen(self, id_: str) -> bool:
        return id_ == "row-1"

    def lost(self, record: str) -> bool:
        return record != "syn"


@pytest.mark.parametrize(
    ("text", "values", "answer"),
    [
        ("seq + 1", {"seq": 2**32 - 1}, 0),
        ("seq - ack", {"seq": 1, "ack": 2**32 - 1}, 2),
        ("seq in [ack, ack + 4)", {"seq": 1, "ack": 2**32 - 2}, True),
        ("seq in [ack, ack + 3)", {"seq": 1, "ack": 2**32 - 2}, False),
        ("ack == syn.isn + 1", {"ack": 0, "syn_isn": 2**32 - 1}, True),
        ("ack == syn.isn + 1", {"ack": 0}, None),
        ("len == 1 and seq == 2", {"len": 0}, False),
        ("len == 1 or seq == 2", {"len": 1}, True),
        ("not (len == 1)", {}, None),
        ("client in {CLOSED}", {"client": 1}, False),
        ('seen("row-1") and not lost("syn")', {}, True),
    ],
)
def test_an_expression_gives_one_answer(text: str, values: dict[str, int | None], answer: int | None) -> None:
    node = parse(text)
    check(node, SCOPE)
    assert scalar.compile_(node, SCOPE)(Connection(**values)) == answer
