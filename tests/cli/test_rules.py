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
    for part in (*finding.references, *finding.causes):
        assert part in " ".join(out.split())
    assert "< S. 300:300(0) ack 102" in out


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
