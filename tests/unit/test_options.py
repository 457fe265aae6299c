"""Option values: defaults, choices, and that each stage gets the options it was given."""

from __future__ import annotations

import os
from dataclasses import FrozenInstanceError
from typing import TYPE_CHECKING

import pytest

from analyzer import api, options, rules
from analyzer.options import AnalyzeOptions, DialogueOptions, JudgeOptions, ReadOptions

if TYPE_CHECKING:
    from pathlib import Path


def test_the_choices_are_those_of_the_types() -> None:
    assert options.ENGINES == ("auto", "pyshark", "native")
    assert options.FAIL_ON == ("error", "warning", "note", "never")


@pytest.mark.parametrize(("jobs", "processes"), [(None, os.cpu_count()), (1, 1), (3, 3)])
def test_processes_are_the_jobs_or_all_processors(jobs: int | None, processes: int) -> None:
    assert ReadOptions(jobs=jobs).processes == processes


def test_options_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        ReadOptions().engine = "native"  # type: ignore[misc]


def test_keywords_of_the_api_reach_their_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[AnalyzeOptions] = []
    monkeypatch.setattr(api, "analyze_with", lambda _paths, _rules, options, _progress: given.append(options))
    api.analyze(
        tmp_path,
        rules=rules.load(),
        fail_on="note",
        expect=False,
        baseline="b.toml",
        timeout_s=2.0,
        tshark="/t",
        jobs=3,
        engine="native",
        secrets=True,
        openings_only=True,
    )
    assert given == [
        AnalyzeOptions(
            ReadOptions(engine="native", jobs=3, timeout_s=2.0, tshark="/t"),
            JudgeOptions(fail_on="note", expect=False, baseline="b.toml"),
            DialogueOptions(secrets=True, openings_only=True, processes=3),
        )
    ]
