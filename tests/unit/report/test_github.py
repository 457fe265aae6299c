from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd

from analyzer import report as reports

if TYPE_CHECKING:
    from collections.abc import Callable

    from analyzer.model import Report


def test_golden(written: Callable[..., str], golden: Callable[[str, str], None]) -> None:
    golden("report.github.txt", written("github"))


def test_a_hostile_message_is_one_annotation_and_adds_no_property(report: Report) -> None:
    findings = report.findings.head(1).copy()
    findings["message"] = "x\r\n::error file=evil::owned\n%0A::add-mask::a"
    path = "a,line=9::b\n::warning::c.pcap"
    hostile = replace(report, findings=findings, captures=(replace(report.captures[0], path=path), *report.captures[1:]))
    text = "".join(reports.render(hostile, "github"))
    commands = [line for line in text.splitlines() if line.startswith("::")]
    assert all(re.fullmatch(r"::(error|warning|notice) file=[^,:]+,line=1,title=[^,:]+::.*", line) for line in commands)
    assert sum("owned" in line for line in commands) == 1
    assert r"%250A::add-mask" in text


def test_what_is_expected_is_not_annotated(written: Callable[..., str]) -> None:
    assert "syn-retransmitted" not in written("github")


def test_ten_a_kind_worst_first_the_tenth_counts_the_rest(report: Report, huge: Report) -> None:
    many = pd.concat([report.findings.head(1)] * 12, ignore_index=True)
    text = "".join(reports.render(replace(huge, findings=many), "github"))
    kinds = [line.split(" ")[0] for line in text.splitlines() if line.startswith("::")]
    assert kinds == ["::error"] * 10 + ["::warning"] * 10
    assert "::error title=pcaplint::and 3 more\n" in text
    assert "::warning title=pcaplint::and 41 more\n" in text


def test_exactly_ten_are_all_shown(report: Report, huge: Report) -> None:
    many = pd.concat([report.findings.head(1)] * 10, ignore_index=True)
    text = "".join(reports.render(replace(huge, findings=many), "github"))
    assert text.count("::error file=") == 10
    assert "::error title=pcaplint" not in text
