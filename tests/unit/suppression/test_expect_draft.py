"""Drafts of expect.toml: what is new, what is kept of a file that is there, and what is never written."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

import pytest

import analyzer
from analyzer import notation
from analyzer.errors import UsageError
from analyzer.suppression import expect_draft, expectations

if TYPE_CHECKING:
    from pathlib import Path

    from analyzer.suppression.expect_draft import Draft

WRONG = "> S 100:100(0) win 64240 <mss 1460>\n< S. 300:300(0) ack 102 win 65535 <mss 1460>\n> R 102:102(0) win 0\n"
UNANSWERED = "> S 100:100(0) win 64240 <mss 1460>\n+1 > S 100:100(0) win 64240 <mss 1460>\n"
RULES = analyzer.load_rules()
VERDICTS = [one.name for one in RULES.verdicts]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in {"wrong": WRONG, "unanswered": UNANSWERED}.items():
        (tmp_path / f"{name}.pcap").write_bytes(notation.build(notation.parse(text)))
    return tmp_path


def draft(folder: Path, *names: str, evaluated: frozenset[str] = RULES.reported) -> Draft:
    report = analyzer.analyze([folder / name for name in names], expect=False, engine="native")
    return expect_draft.draft(report, folder / "expect.toml", evaluated, VERDICTS)


def entries(text: str) -> list[dict[str, Any]]:
    captures: list[dict[str, Any]] = tomllib.loads(text)["capture"]
    return captures


def write(folder: Path, text: str) -> None:
    (folder / "expect.toml").write_text(text, encoding="utf-8")


def test_what_fails_is_drafted_without_reasons(folder: Path) -> None:
    found = draft(folder, "wrong.pcap", "unanswered.pcap")
    first, second = entries(found.text)
    assert (first["file"], second["file"]) == ("wrong.pcap", "unanswered.pcap")
    assert {"verdict": "invalid", "count": 1, "reason": ""} in first["expect"]
    assert {"finding": "synack-ack-wrong", "count": 1, "reason": ""} in first["expect"]
    assert {"verdict": "unanswered", "count": 1, "reason": ""} in second["expect"]
    assert found.entries == found.without_reason == len(first["expect"]) + len(second["expect"])


def test_an_entry_of_a_capture_that_is_not_in_the_report_is_kept_with_its_comments(folder: Path) -> None:
    text = 'schema = 1\n\n# of the lab\n[[capture]]\nfile = "wrong.pcap"\nshows = "x"\n'
    text += '[[capture.expect]]\nverdict = "invalid"  # so\ncount = 9\n'
    write(folder, text)
    assert draft(folder, "unanswered.pcap").text.startswith(text)


def test_a_count_that_changed_keeps_its_reason_but_not_that_of_none(folder: Path) -> None:
    item = '[[capture.expect]]\nfinding = "synack-ack-wrong"\ncount = {}\nreason = "a  reason"\n'
    write(folder, 'schema = 1\n[[capture]]\nfile = "wrong.pcap"\nshows = "ä"\n' + item.format(7))
    [entry] = entries(draft(folder, "wrong.pcap").text)
    assert entry["shows"] == "ä"
    assert entry["expect"][0] == {"finding": "synack-ack-wrong", "count": 1, "reason": "a  reason"}
    write(folder, 'schema = 1\n[[capture]]\nfile = "wrong.pcap"\n' + item.format(0))
    assert entries(draft(folder, "wrong.pcap").text)[0]["expect"][0] == {"finding": "synack-ack-wrong", "count": 1, "reason": ""}


def test_what_is_not_found_is_left_out_unless_its_rule_was_not_evaluated(folder: Path) -> None:
    write(folder, 'schema = 1\n[[capture]]\nfile = "wrong.pcap"\n[[capture.expect]]\nfinding = "syn-data"\ncount = 1\nreason = "old"\n')
    kept = draft(folder, "wrong.pcap", evaluated=RULES.reported - {"syn-data"})
    assert entries(kept.text)[0]["expect"][0] == {"finding": "syn-data", "count": 1, "reason": "old"}
    found = draft(folder, "wrong.pcap")
    assert found.left_out == ("wrong.pcap: finding syn-data is not found any more: old",)
    assert "syn-data" not in found.text


def test_a_glob_is_kept_and_its_reasons_are_taken_where_a_capture_differs(folder: Path) -> None:
    glob = 'schema = 1\n[[capture]]\nfile = "*.pcap"\n[[capture.expect]]\nfinding = "synack-ack-wrong"\ncount = 2\nreason = "all of them"\n'
    write(folder, glob)
    found = draft(folder, "wrong.pcap")
    assert found.text.startswith(glob)
    named = entries(found.text)[1]
    assert named["file"] == "wrong.pcap"
    assert named["expect"][0] == {"finding": "synack-ack-wrong", "count": 1, "reason": "all of them"}
    assert {"verdict": "invalid", "count": 1, "reason": ""} in named["expect"]


@pytest.mark.parametrize(
    "text",
    [
        "schema = 1\ncapture = []\n",
        'schema = 1\ncapture = [{file = "wrong.pcap", expect = [{verdict = "invalid", count = 1, reason = "r"}]}]\n',
    ],
)
def test_inline_entries_are_written_as_tables(folder: Path, text: str) -> None:
    write(folder, text)
    [entry] = entries(draft(folder, "wrong.pcap").text)
    assert {"verdict": "invalid", "count": 1, "reason": "r" if "file" in text else ""} in entry["expect"]


def test_a_draft_beyond_the_bound_of_the_file_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expectations, "MAX_BYTES", 100)
    with pytest.raises(UsageError, match="at most 100: draft fewer captures"):
        draft(folder, "wrong.pcap")


def test_a_capture_that_cannot_be_read_keeps_its_entry(folder: Path) -> None:
    text = 'schema = 1\n[[capture]]\nfile = "wrong.pcap"\n[[capture.expect]]\nverdict = "invalid"\ncount = 1\nreason = "r"\n'
    write(folder, text)
    (folder / "wrong.pcap").write_bytes(b"no capture")
    assert draft(folder, "wrong.pcap").text == text
