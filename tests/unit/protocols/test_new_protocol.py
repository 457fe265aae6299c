"""A protocol nobody has heard of, added as CONTRIBUTING says: a description, a reader, a finding. All else knows it from these."""

from __future__ import annotations

import json
import shutil
import sys
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

from analyzer import analyze, notation
from analyzer.cli.commands.show import explanations
from analyzer.protocols.api import Dialogue, Exchange, ParserContext
from analyzer.report import Layout, render
from analyzer.report.terminal import ladder
from analyzer.rules import load, toml_loader
from tests.unit.protocols.scripted import Talk, turns
from tests.unit.protocols.scripted import notation as script

if TYPE_CHECKING:
    from pathlib import Path

    from analyzer.reassembly.reader import Reader

pytestmark = pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")

PROTOCOL = r"""
schema = 1
id = "quip"
title = "Question and answer"
ports = [4242]
speaks_first = "client"
reader = "quip"
[[signature]]
by = "client"
match = 'ASK '
strength = "sure"
[dialogue]
questions = { kind = "int", meaning = "questions asked" }
[exchange]
polite = { kind = "flag", meaning = "the question says please" }
[transaction]
topic = { dtype = "str", meaning = "what was asked about", show = "about" }
words = { dtype = "list", meaning = "the words of the question" }
"""
FINDING = r"""
schema = 1
id = "quip-rude"
severity = "warning"
title = "A question without please"
message = "Question {number} does not say please."
why = "Politeness costs nothing."
references = ["RFC 865"]
causes = ["Haste."]
next = ["Say please."]
[check]
scope = "exchange"
when = "not polite"
values = { number = "number" }
evidence = ["request"]
[[example]]
fires = true
note = "no please"
segments = '''
> S  100:100(0) win 64240 <mss 1460>
< S. 300:300(0) ack 101 win 65535 <mss 1460>
> .  101:101(0) ack 301 win 64240
> P. 101:110(9) ack 301 "ASK time\n"
'''
[[example]]
fires = false
note = "please"
segments = '''
> S  100:100(0) win 64240 <mss 1460>
< S. 300:300(0) ack 101 win 65535 <mss 1460>
> .  101:101(0) ack 301 win 64240
> P. 101:117(16) ack 301 "ASK please time\n"
'''
"""


def read(client: Reader, server: Reader, setting: ParserContext) -> Dialogue:
    """Read `ASK …` and what answers it, line by line."""
    del setting
    dialogue = Dialogue("quip")
    while (asked := client.line()) and (answered := server.line()):
        said, number = asked.data.decode().split(), len(dialogue.rows) + 1
        dialogue.exchanges.append(Exchange({"number": number, "polite": "please" in said}, {"request": asked.first.frame}))
        place = {"time": asked.first.time, "first_frame": asked.first.frame, "last_frame": answered.first.frame}
        text = {"request": " ".join(said), "reply": answered.data.decode().strip(), "topic": said[-1]}
        dialogue.rows.append({"kind": "question", "number": number, "complete": True, "words": tuple(said), **place, **text})
    dialogue.facts["questions"] = len(dialogue.rows)
    dialogue.summary = f"{len(dialogue.rows)} questions"
    return dialogue


@pytest.fixture
def added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rules with one more protocol, and its reader among the others."""
    home = tmp_path / "rules"
    shutil.copytree(toml_loader.shipped(), home)
    (home / "protocols" / "quip.toml").write_text(PROTOCOL)
    (home / "quip").mkdir()
    (home / "quip" / "quip-rude.toml").write_text(FINDING)
    module = ModuleType("analyzer.protocols.quip")
    module.read = read  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(toml_loader, "shipped", lambda: home)


@pytest.mark.usefixtures("added")
def test_a_protocol_is_added_by_its_files_alone(tmp_path: Path) -> None:
    talk = Talk(9999, turns("C: ASK please time\nS: noon\nC: ASK weather\nS: rain"))
    path = tmp_path / "quip.pcap"
    path.write_bytes(notation.build(notation.parse(script([talk]))))
    rules = load(check=True)
    report = analyze(path, rules=rules)
    flow = report.flows.iloc[0]
    assert (flow["service"], flow["dialogue"], flow["transactions"]) == ("quip", "2 questions", 2)
    assert report.findings[["id", "message", "frames"]].to_numpy().tolist() == [
        ["quip-rude", "Question 2 does not say please.", ((0, 6),)],
    ]
    rows = json.loads("".join(render(report, "json")))["transactions"]
    assert [row["words"] for row in rows] == [["ASK", "please", "time"], ["ASK", "weather"]]
    assert not {"target", "rcpt_to", "command"} & set(rows[0])
    assert "ASK; please; time" in "".join(render(report, "csv", Layout(table="transactions")))
    lines = ladder.render(report, "f1", explanations(rules), Layout()).splitlines()
    at = next(number for number, line in enumerate(lines) if line.endswith("C: ASK weather"))
    assert [line.strip() for line in lines[at + 2 : at + 4]] == [
        "about weather",
        "! warning quip-rude: Question 2 does not say please. [frame 6]",
    ]


@pytest.mark.usefixtures("added")
def test_its_description_is_held_against_the_schema() -> None:
    path = toml_loader.shipped() / "protocols" / "quip.toml"
    path.write_text(PROTOCOL.replace('show = "about"', 'show = "about", paired_column = "nothing"'))
    with pytest.raises(Exception, match="nothing is no column that holds lists"):
        load(check=True)
