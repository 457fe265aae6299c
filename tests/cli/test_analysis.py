"""Options for reading reach the analysis from every command that reads captures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from analyzer import api
from analyzer.options import AnalyzeOptions, ReadOptions

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from analyzer.model import Report
    from analyzer.rules import RuleSet

    Run = Callable[..., tuple[int, str, str]]
    Progress = Callable[[str, int], None] | None

COMMANDS = {
    "check": ["check", "good.pcap"],
    "flows": ["flows", "good.pcap"],
    "show": ["show", "good.pcap", "f1"],
    "report": ["report", "good.pcap", "-o", "out"],
    "expect": ["expect", "write", "good.pcap"],
    "baseline": ["baseline", "write", "good.pcap"],
    "diff": ["diff", "good.pcap", "good.pcap"],
}


@pytest.mark.usefixtures("captures")
@pytest.mark.parametrize("name", COMMANDS)
def test_reading_options_reach_the_analysis(pcaplint: Run, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    given: list[AnalyzeOptions] = []
    real = api.analyze_with

    def record(paths: list[Path], rules: RuleSet, options: AnalyzeOptions, progress: Progress = None) -> Report:
        given.append(options)
        return real(paths, rules, options, progress)

    monkeypatch.setattr(api, "analyze_with", record)
    status, _, err = pcaplint(*COMMANDS[name], "--engine", "native", "-j", "1", "--timeout", "9", "--openings-only", "-v")
    assert status == 0
    assert {one.read for one in given} == {ReadOptions("native", 1, 9.0)}
    assert all(one.dialogues.openings_only for one in given)
    assert "good.pcap: 5 frames (native 5), 5 segments" in err


def test_extract_reads_with_the_engine_of_the_option(pcaplint: Run, captures: Path) -> None:
    status, _, err = pcaplint("extract", "good.pcap", "f1", "-o", "one.pcapng", "--engine", "native", "-q", "-v")
    assert (status, err) == (0, "good.pcap: 5 frames (native 5), 5 segments\n")
    assert (captures / "one.pcapng").exists()


@pytest.mark.usefixtures("captures")
@pytest.mark.parametrize("name", ["flows", "show", "report", "expect", "baseline"])
def test_quiet_leaves_standard_error_empty(pcaplint: Run, name: str) -> None:
    assert not pcaplint(*COMMANDS[name], "-q")[2]


@pytest.mark.usefixtures("captures")
def test_show_explains_only_findings_that_are_selected(pcaplint: Run) -> None:
    everything, nothing = (pcaplint("show", "wrong.pcap", "f1", *options)[1] for options in ((), ("--ignore", "*")))
    assert "rules explain" in everything
    assert "rules explain" not in nothing
