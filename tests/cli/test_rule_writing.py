"""`rules new` writes what `rules check` takes; `rules facts` lists what a condition may name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from analyzer.cli.commands.rule_writing import SCOPES

if TYPE_CHECKING:
    from collections.abc import Callable

    Run = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize("scope", SCOPES)
def test_a_new_rule_passes(pcaplint: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scope: str) -> None:
    monkeypatch.chdir(tmp_path)
    status, out, err = pcaplint("rules", "new", f"our-{scope}", "--scope", scope, "-o", "rules")
    assert (status, out) == (0, "")
    assert err == f"rules/our-{scope}.toml: edit it, then pcaplint rules check rules\n"
    status, out, err = pcaplint("rules", "check", "rules")
    assert status == 0, err
    assert "RULE-ID" not in Path("rules", f"our-{scope}.toml").read_text()


def test_a_file_that_is_there_is_kept(pcaplint: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("our.toml").write_text("mine")
    status, _, err = pcaplint("rules", "new", "our")
    assert (status, err) == (2, "pcaplint: error: our.toml: File exists\n")
    assert Path("our.toml").read_text() == "mine"


@pytest.mark.parametrize(
    ("id_", "words"),
    [("Our_Rule", "is no id"), ("../up", "is no id"), ("x" * 61, "is no id"), ("ttl-jump", "a shipped rule is called ttl-jump")],
)
def test_an_id_that_cannot_be_is_refused(pcaplint: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, id_: str, words: str) -> None:
    monkeypatch.chdir(tmp_path)
    status, _, err = pcaplint("rules", "new", id_)
    assert (status, words in err, err.count("\n")) == (2, True, 1)
    assert not list(tmp_path.iterdir())


def test_facts_are_listed_with_kind_unit_meaning_and_example(pcaplint: Run) -> None:
    status, out, _ = pcaplint("rules", "facts", "since_syn")
    assert status == 0
    assert "since_syn  (time, ns)\n      from the client's first SYN to the end of the capture\n      when = 'since_syn > 500ms'\n" in out


def test_facts_as_json(pcaplint: Run) -> None:
    found = json.loads(pcaplint("rules", "facts", "--scope", "correlation", "--format", "json")[1])["facts"]
    assert {"connections", "n_syn"} <= {fact["name"] for fact in found}
    assert "latency" not in {fact["name"] for fact in found}
    reuse = next(fact for fact in found if fact["name"] == "reuse")
    assert reuse["members"] == ["first", "closed", "active", "early"]


def test_a_misspelt_fact_is_answered_with_the_nearest(pcaplint: Run) -> None:
    status, out, err = pcaplint("rules", "facts", "sinc_syn")
    assert (status, out) == (2, "")
    assert "no fact is called sinc_syn: did you mean since_syn" in err
