"""Run an analysis for a command, with its progress on standard error."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from analyzer.cli.progress import shown

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from analyzer.cli.option_groups import Judging, Messages, Reading
    from analyzer.model import FailOn, Report
    from analyzer.options import JudgeOptions
    from analyzer.rules import RuleSet


def judge_options(fail_on: str = "never", *, expect: bool = False, baseline: Path | None = None) -> JudgeOptions:
    """Return what makes a capture fail; by default nothing does."""
    from analyzer.options import JudgeOptions

    return JudgeOptions(cast("FailOn", fail_on), expect, baseline)


def run(  # noqa: PLR0913 - what the groups of options hold
    paths: Sequence[str | Path],
    reading: Reading,
    judging: Judging,
    judge: JudgeOptions,
    messages: Messages,
    *,
    secrets: bool = False,
    rules: RuleSet | None = None,
) -> Report:
    """Return the report on `paths`; `rules` default to those that `judging` selects. Raises what `api.analyze` raises."""
    rules = rules or judging.load()
    from analyzer.api import analyze_with
    from analyzer.options import AnalyzeOptions, DialogueOptions

    read = reading.options()
    dialogues = DialogueOptions(secrets, judging.openings_only, read.processes)
    with shown(quiet=messages.quiet) as progress:
        return analyze_with(paths, rules, AnalyzeOptions(read, judge, dialogues), progress)
