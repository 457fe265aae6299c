from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pandas as pd
from jsonschema import Draft202012Validator

from analyzer import report as reports

if TYPE_CHECKING:
    from collections.abc import Callable

    from analyzer.model import Report

SCHEMA: dict[str, Any] = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["description", "check_name", "fingerprint", "severity", "location"],
        "properties": {
            "description": {"type": "string", "minLength": 1},
            "check_name": {"type": "string", "minLength": 1},
            "fingerprint": {"type": "string", "minLength": 1},
            "severity": {"enum": ["info", "minor", "major", "critical", "blocker"]},
            "location": {
                "type": "object",
                "required": ["path", "lines"],
                "properties": {
                    "path": {"type": "string", "not": {"pattern": r"^\./"}},
                    "lines": {"type": "object", "required": ["begin"], "properties": {"begin": {"type": "integer", "minimum": 1}}},
                },
            },
        },
    },
}
"""What GitLab's documentation requires of a Code Quality report: the fields, the severities, and paths without a leading `./`."""


def entries(text: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(text)
    Draft202012Validator(SCHEMA).validate(found)
    return found


def test_golden(written: Callable[..., str], golden: Callable[[str, str], None]) -> None:
    golden("report.gitlab.json", written("gitlab"))


def test_it_is_what_gitlab_takes_and_fingerprints_are_unique(written: Callable[..., str]) -> None:
    found = entries(written("gitlab"))
    assert found
    assert len({entry["fingerprint"] for entry in found}) == len(found)


def test_equal_findings_in_captures_of_one_name_have_their_own_fingerprints(report: Report) -> None:
    twice = (report.captures[0], replace(report.captures[0], path="other/" + report.captures[0].path))
    more = report.findings.assign(capture=1, flow_id="x")
    both = replace(report, captures=twice, findings=pd.concat([report.findings.assign(flow_id="x"), more], ignore_index=True))
    found = entries("".join(reports.render(both, "gitlab")))
    assert len({entry["fingerprint"] for entry in found}) == len(found)


def test_what_is_expected_is_left_out(written: Callable[..., str]) -> None:
    assert "syn-retransmitted" not in {entry["check_name"] for entry in entries(written("gitlab"))}


def test_no_issue_is_an_empty_array(report: Report) -> None:
    nothing = replace(report, captures=(), flows=report.flows.head(0), findings=report.findings.head(0))
    assert entries("".join(reports.render(nothing, "gitlab"))) == []
