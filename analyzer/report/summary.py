"""The status of each connection, and the counts of a whole report. Every connection has exactly one status."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from analyzer.model import EXPECTED_WITHOUT_REASON, SEVERITIES

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from numpy.typing import NDArray

    from analyzer.model import Report

STATUSES: Final = ("ok", "failed", "inconclusive", "expected", "not judged")
OK: Final = 0
FAILED: Final = 1
INCONCLUSIVE: Final = 2
EXPECTED: Final = 3
NOT_JUDGED: Final = 4


def flow_positions(report: Report, table: pd.DataFrame) -> NDArray[np.intp]:
    """Return, for each row of `table`, the row of `report.flows` with the same flow_id, -1 where there is none."""
    import pandas as pd

    code, named = pd.factorize(table["flow_id"])
    # The ids in the table are hashed, not those of all connections: often only a few of many have a finding.
    place = pd.Index(named).get_indexer(pd.Index(report.flows["flow_id"]))
    found = np.full(len(named), -1, np.intp)
    found[place[place >= 0]] = np.flatnonzero(place >= 0)
    return found[code]


def rank(names: pd.Series[str], ranks: Mapping[str, int]) -> NDArray[np.int8]:
    """Return the rank of each name, -1 for a name without one."""
    return np.asarray(names.map(dict(ranks)).fillna(-1), dtype=np.int8)


def classify(report: Report) -> NDArray[np.int8]:
    """Return the status of each connection, an index into `STATUSES`.

    failed: a verdict or a finding at or above `fail_on` is not expected; expected: everything that would fail, or could not be judged, is
    expected.
    """
    flows, findings = report.flows, report.findings
    threshold = SEVERITIES.index(report.fail_on) if report.fail_on != "never" else len(SEVERITIES)
    severity_rank: dict[str, int] = {severity: index for index, severity in enumerate(SEVERITIES)}
    verdict_rank = {verdict: severity_rank[severity] for verdict, severity in report.verdict_severities.items()}
    bad_verdict = rank(flows["verdict"], verdict_rank) >= threshold
    expected_verdict = flows["excused"].to_numpy(bool)
    bad_finding = rank(findings["severity"], severity_rank) >= threshold
    expected_finding = findings["excused"].to_numpy(bool)
    positions = flow_positions(report, findings)
    failed = bad_verdict & ~expected_verdict
    failed[positions[bad_finding & ~expected_finding & (positions >= 0)]] = True
    expected = bad_verdict & expected_verdict
    expected[positions[bad_finding & expected_finding & (positions >= 0)]] = True
    not_judged = flows["outcome"].to_numpy() == "not-judged"
    expected |= not_judged & expected_verdict
    inconclusive = flows["inconclusive"].to_numpy(bool) & ~expected_verdict
    conditions = [failed, inconclusive, expected, not_judged]
    choices = [FAILED, INCONCLUSIVE, EXPECTED, NOT_JUDGED]
    return np.select(conditions, choices, default=OK).astype(np.int8)


def _counts(names: pd.Series[str]) -> dict[str, int]:
    return {str(name): int(count) for name, count in sorted(names.value_counts().items())}


def summarise(report: Report) -> dict[str, Any]:
    """Return the counts of a report: captures by status, flows by status, outcome and verdict, findings by severity and id."""
    counts = np.bincount(classify(report), minlength=len(STATUSES))
    statuses: dict[str, int] = {}
    for capture in report.captures:
        statuses[capture.status] = statuses.get(capture.status, 0) + 1
    return {
        "captures": len(report.captures),
        "passed_over": report.passed_over,
        "statuses": dict(sorted(statuses.items())),
        "packets": sum(capture.packets for capture in report.captures),
        "segments": sum(capture.segments for capture in report.captures),
        "flows": len(report.flows),
        "standings": {name.replace(" ", "-"): int(count) for name, count in zip(STATUSES, counts, strict=True)},
        "outcomes": _counts(report.flows["outcome"]),
        "verdicts": _counts(report.flows["verdict"]),
        "findings": len(report.findings),
        "severities": _counts(report.findings["severity"]),
        "finding_ids": _counts(report.findings["id"]),
    }


def _count(number: int, singular: str, plural: str = "") -> str:
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"


def sentence(report: Report) -> str:
    """Return the report in one line: `21 connections checked in 3 files: 18 ok, 2 failed, 1 not judged.`."""
    counts = np.bincount(classify(report), minlength=len(STATUSES))
    parts = [f"{count:,} {name}" for name, count in zip(STATUSES, counts, strict=True) if count]
    where = _count(len(report.captures), "file")
    if not len(report.flows):
        line = f"No TCP connection found in {where}."
    else:
        line = f"{_count(len(report.flows), 'connection')} checked in {where}: {', '.join(parts)}."
    for status, what in (("unreadable", "could not be read"), ("incomplete", "could not be read to the end")):
        number = sum(capture.status == status for capture in report.captures)
        if number:
            line += f" {_count(number, 'file')} {what}."
    if report.passed_over:
        line += f" {passed_over(report)}."
    ids = [note.id for capture in report.captures for note in capture.expectations]
    without_reason = ids.count(EXPECTED_WITHOUT_REASON)
    if len(ids) > without_reason:
        line += f" {_count(len(ids) - without_reason, 'expectation')} not met."
    if without_reason:
        line += f" {_count(without_reason, 'expectation')} without a reason."
    return line


def passed_over(report: Report) -> str:
    """Return the number of files in folders that are not captures: `3 other files passed over`."""
    return f"{_count(report.passed_over, 'other file')} passed over"
