from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from analyzer.report import summary

if TYPE_CHECKING:
    from analyzer.model import FailOn, Report


def statuses(report: Report) -> list[str]:
    return [summary.STATUSES[number] for number in summary.classify(report)]


def test_every_connection_has_one_status(report: Report) -> None:
    assert statuses(report) == ["ok", "failed", "expected", "not judged", "inconclusive"]


@pytest.mark.parametrize(
    ("fail_on", "expected"),
    [
        ("note", ["ok", "failed", "expected", "failed", "inconclusive"]),
        ("error", ["ok", "failed", "ok", "not judged", "inconclusive"]),
        ("never", ["ok", "ok", "ok", "not judged", "inconclusive"]),
    ],
)
def test_the_threshold_decides_what_fails(report: Report, fail_on: FailOn, expected: list[str]) -> None:
    assert statuses(replace(report, fail_on=fail_on)) == expected


def test_an_excused_verdict_with_a_finding_that_is_not_still_fails(report: Report) -> None:
    findings = report.findings.copy()
    findings["excused"] = False
    assert statuses(replace(report, findings=findings))[2] == "failed"


def test_a_verdict_that_could_not_be_judged_may_be_meant(report: Report) -> None:
    flows = report.flows.copy()
    flows["excused"] = True
    assert statuses(replace(report, flows=flows)) == ["ok", "failed", "expected", "expected", "ok"]


def test_a_verdict_fails_as_the_rules_count_it_whatever_its_outcome(report: Report) -> None:
    """A user's verdict may count against a connection that opened; a shipped one may count as nothing under other rules."""
    opened = report.flows["verdict"][0]
    assert (report.flows["outcome"][0], statuses(report)[0]) == ("opened", "ok")
    assert statuses(replace(report, verdict_severities={opened: "error"}, fail_on="error"))[0] == "failed"
    nothing_counts = replace(report, verdict_severities={}, findings=report.findings[:0])
    assert "failed" not in statuses(nothing_counts)
