"""What rules/protocols/ftp.toml declares is what the reader tells: all of it, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analyzer import connections as connections_
from analyzer import notation, openings, rules
from analyzer.pipeline import stages
from tests.unit.protocols.ftp.scripts import talk

if TYPE_CHECKING:
    from collections.abc import Iterator

    from analyzer.protocols.api import Dialogue

COMMON = (
    "kind",
    "number",
    "time",
    "first_frame",
    "last_frame",
    "request",
    "code",
    "reply",
    "latency_ms",
    "request_bytes",
    "response_bytes",
)


def dialogues() -> Iterator[Dialogue]:
    """Yield the dialogues of all examples of FTP's findings, with their data connections, and two that no finding here is about."""
    shipped = rules.load()
    for id_, finding in shipped.findings.items():
        if finding.family == "ftp":
            captures = [notation.capture(notation.parse(example.segments), path=id_) for example in finding.examples]
            connections = connections_.group(captures)
            judged = openings.judge(connections, shipped)
            said = stages.parse_dialogues(
                stages.build_dialogue_request(connections, captures, stages.opening_summary(judged, shipped), shipped)
            )
            yield from (one for one in said.dialogues.values() if one.service == "ftp")
    yield talk("S: 220 x\nC: AUTH TLS\nS: 502 no\nC: USER jo\nS: 331 p\n")
    yield talk("S: 220 x\nC: AUTH TLS\nS: 234 go\nC: USER jo\nS: 331 p\n")


def test_what_is_declared_is_told_and_nothing_else() -> None:
    protocols = rules.load().protocols
    ftp, common = protocols["ftp"], protocols["any"]
    facts, places, told, cited, columns = set[str](), set[str](), set[str](), set[str](), set[str]()
    for dialogue in dialogues():
        facts |= {name for name, value in dialogue.facts.items() if value is not None}
        places |= dialogue.evidence.keys()
        told |= {name for one in dialogue.exchanges for name, value in one.facts.items() if value is not None}
        cited |= {name for one in dialogue.exchanges for name in one.evidence}
        columns |= {name for row in dialogue.rows for name in row}
    for found, declared, shared in (
        (facts, ftp.dialogue, common.dialogue),
        (places, ftp.dialogue_evidence, common.dialogue_evidence),
        (told, ftp.exchange, common.exchange),
        (cited, ftp.exchange_evidence, common.exchange_evidence),
        (columns, {*ftp.transaction, *COMMON, "complete"}, {*COMMON, "complete"}),
    ):
        own = set(declared) - set(shared)
        assert own - found == set(), "declared, and never told"
        assert found - set(declared) == set(), "told, and not declared"


def test_words_are_those_of_their_enumerations() -> None:
    ftp = rules.load().protocols["ftp"]
    for dialogue in dialogues():
        facts = [(ftp.dialogue, dialogue.facts), *((ftp.exchange, one.facts) for one in dialogue.exchanges)]
        for declared, told in facts:
            for name, value in told.items():
                kind = declared[name].kind
                assert isinstance(value, str) == (kind == "text" or kind in ftp.enums) or value is None, name
                assert not isinstance(value, str) or kind == "text" or value in ftp.enums[kind], name
