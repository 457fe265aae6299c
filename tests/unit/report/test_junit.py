from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from junitparser import Error, Failure, JUnitXml, Skipped
from lxml import etree

from analyzer import report as reports

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from analyzer.model import Report

Ends = dict[tuple[str, str], type]


def ends(text: str, folder: Path) -> Ends:
    """Return how junitparser says each case ended, by suite and case."""
    path = folder / "junit.xml"
    path.write_text(text, encoding="utf-8")
    found: Ends = {}
    for suite in JUnitXml.fromfile(str(path)):
        for case in suite:
            found[suite.name, case.name] = type(case.result[0]) if case.result else object
    return found


def test_golden(written: Callable[..., str], golden: Callable[[str, str], None]) -> None:
    golden("report.junit.xml", written("junit"))


def test_another_reader_finds_each_end(written: Callable[..., str], tmp_path: Path) -> None:
    found = ends(written("junit"), tmp_path)
    broken = "demo/web-broken.pcap"
    assert found[broken, "reading"] is object
    assert found[broken, "finding synack-ack-wrong"] is Failure
    assert found[broken, "finding early-reset"] is object
    assert found[broken, "finding syn-retransmitted"] is Skipped
    other = next(suite for suite, _ in found if suite.startswith("demo/a"))
    assert found[broken, "verdict complete"] is object
    assert (broken, "verdict invalid") not in found
    assert found[other, "verdict mid-stream"] is Skipped
    assert found[other, "reading"] is Error
    assert found[other, "expectations"] is Failure
    assert found[other, "verdict inconclusive"] is Failure
    assert found[r"=demo/\xff.pcap", "reading"] is Error


def test_the_counts_are_those_of_the_cases(written: Callable[..., str]) -> None:
    root = etree.fromstring(written("junit").encode())
    for element in [root, *root.iter("testsuite")]:
        assert int(element.attrib["tests"]) == len(list(element.iter("testcase")))
        for name, count in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
            assert int(element.attrib[count]) == len(list(element.iter(name)))


@pytest.mark.parametrize("character", ["\x00", "\x1b", "\ufffe", "\uffff", "\ud800", "\x85", "]]>", "<b>", '"', "&amp;", "\U0010ffff"])
def test_it_parses_whatever_a_message_holds(report: Report, character: str) -> None:
    findings = report.findings.copy()
    findings["message"] = f"before {character} after"
    captures = tuple(replace(capture, path=f"a{character}b") for capture in report.captures)
    text = "".join(reports.render(replace(report, findings=findings, captures=captures), "junit"))
    parsed = etree.fromstring(text.encode())
    messages = [failure.get("message") for failure in parsed.iter("failure")]
    assert any(message.startswith("before ") for message in messages)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f]", text)


def test_the_threshold_decides(report: Report, tmp_path: Path) -> None:
    lenient = "".join(reports.render(replace(report, fail_on="never"), "junit"))
    assert Failure not in {end for (suite, _), end in ends(lenient, tmp_path).items() if suite == "demo/web-broken.pcap"}
    strict = ends("".join(reports.render(replace(report, fail_on="note"), "junit")), tmp_path)
    assert strict["demo/web-broken.pcap", "finding early-reset"] is Failure


def test_a_case_names_some_dozens_of_connections(huge: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analyzer.report.junit.MAX_CONNECTIONS", 20)
    text = "".join(reports.render(huge, "junit"))
    assert text.count("the opening is refused [") == 20
    assert "and 30 more" in text
    assert "4,950 connections" in text
