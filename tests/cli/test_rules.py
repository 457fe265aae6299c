from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from analyzer.rules import load

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Run = Callable[..., tuple[int, str, str]]


def test_the_list_holds_every_rule_and_verdict(pcaplint: Run) -> None:
    status, out, _ = pcaplint("rules", "list")
    assert status == 0
    findings, verdicts = (
        {line.split()[0]: line.split()[1] for line in part.splitlines() if re.match(r"  \S", line)} for part in out.split("\nverdicts\n")
    )
    ruleset = load()
    assert findings == {id_: finding.severity for id_, finding in ruleset.findings.items()}
    assert verdicts == {verdict.name: verdict.counts_as for verdict in ruleset.verdicts}


def test_the_list_as_json(pcaplint: Run) -> None:
    document = json.loads(pcaplint("rules", "list", "--format", "json")[1])
    assert [finding["id"] for finding in document["findings"]] == list(load().findings)
    assert document["digest"] == load().digest


def test_a_rule_explains_itself(pcaplint: Run) -> None:
    status, out, _ = pcaplint("rules", "explain", "synack-ack-wrong")
    finding = load().findings["synack-ack-wrong"]
    assert status == 0
    assert finding.title in out
    assert " ".join(finding.why.split()) in " ".join(out.split())
    for part in (*finding.references, *finding.causes, *finding.next):
        assert part in " ".join(out.split())
    assert "< S. 300:300(0) ack 102" in out


@pytest.mark.parametrize(("id_", "drawn"), [("synack-ack-wrong", "◀─ SYN,ACK seq 0 ack 2"), ("icmp-too-big-on-syn", "ICMP")])
def test_a_rule_draws_its_first_example(pcaplint: Run, id_: str, drawn: str) -> None:
    status, out, _ = pcaplint("rules", "explain", id_)
    ladder = out.partition("as a ladder")[2]
    assert status == 0
    assert drawn.lower() in ladder.lower()
    assert f" {id_}: " in ladder


def test_every_rule_explains_itself_with_a_ladder(pcaplint: Run) -> None:
    """What cannot be drawn is a rule whose first example does not show it, which the examples' own test forbids."""
    for id_, finding in list(load().findings.items())[::12]:
        out = pcaplint("rules", "explain", id_)[1]
        assert f" {finding.severity} {id_}: " in out.partition("as a ladder")[2], id_


def test_the_list_as_json_holds_every_example(pcaplint: Run) -> None:
    document = json.loads(pcaplint("rules", "list", "--format", "json")[1])
    for record in document["findings"]:
        assert {example["fires"] for example in record["examples"]} == {True, False}, record["id"]
        assert record["next"] == list(load().findings[record["id"]].next), record["id"]
        assert all(example["segments"] and example["note"] for example in record["examples"])
        assert record["found_by"] in {
            "machine",
            *(f"{scope} check" for scope in ("segment", "connection", "correlation", "dialogue", "exchange")),
        }


@pytest.mark.parametrize(("name", "begins"), [("mermaid", "---\ntitle"), ("svg", "<svg ")])
def test_the_machine_is_drawn(pcaplint: Run, tmp_path: Path, name: str, begins: str) -> None:
    status, out, err = pcaplint("rules", "draw", "--format", name)
    assert (status, err) == (0, "")
    assert out.startswith(begins)
    assert pcaplint("rules", "draw", "--format", name, "-o", tmp_path / "picture")[:2] == (0, "")
    assert (tmp_path / "picture").read_text(encoding="utf-8") == out


def test_a_picture_of_another_kind_is_refused(pcaplint: Run) -> None:
    assert pcaplint("rules", "draw", "--format", "png")[0] == 2


def test_a_verdict_explains_itself(pcaplint: Run) -> None:
    status, out, _ = pcaplint("rules", "explain", "half-open")
    assert status == 0
    assert "It fails a check as a warning." in out


def test_an_unknown_rule_is_refused_with_near_ones(pcaplint: Run) -> None:
    status, out, err = pcaplint("rules", "explain", "synack-ack-wron")
    assert (status, out) == (2, "")
    assert "did you mean synack-ack-wrong" in err


def test_the_shipped_rules_are_without_fault(pcaplint: Run) -> None:
    status, out, err = pcaplint("rules", "check")
    assert (status, err) == (0, "")
    assert "no fault" in out


@pytest.mark.parametrize("text", ['id = "x', 'id = "mine"\nsurprise = 1\n', "[" * 5_000])
def test_a_faulty_rule_file_is_status_6_with_its_name(pcaplint: Run, tmp_path: Path, text: str) -> None:
    (tmp_path / "mine.toml").write_text(text)
    status, out, err = pcaplint("rules", "check", tmp_path)
    assert (status, out) == (6, "")
    assert "mine.toml" in err
    assert all(line.startswith("pcaplint: error: ") for line in err.splitlines())
