"""`pcaplint expect write`: an expect.toml of what is found today, for review.

New entries have an empty reason: they do not count until it is filled in, and `check` reports them. A file that is there is merged.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from analyzer.cli import analysis, messages, option_groups, options, output, statuses
from analyzer.cli.config import Configured
from analyzer.errors import UsageError
from analyzer.files import identify
from analyzer.report.escaping import printable

if TYPE_CHECKING:
    from analyzer.model import Report
    from analyzer.rules import RuleSet

expect = typer.Typer(name="expect", no_args_is_help=True, rich_markup_mode=None, help="Write what captures are expected to show.")


@expect.callback()
def _only() -> None:
    """Keep `write` a command of its own."""


@expect.command(cls=Configured)
@option_groups.expand_groups
def write(  # noqa: PLR0913 - a command line is its options
    paths: options.Paths,
    *,
    output_file: options.Output = None,
    judging: option_groups.Judging,
    fail_on: options.FailOnOption = "warning",
    reading: option_groups.Reading,
    verbosity: option_groups.Messages,
) -> None:
    """Write an expect.toml for the captures in PATHS, all of one folder, or bring one up to date; fill in the reasons then."""
    output.refuse(output_file, paths)
    from analyzer.capture import pipes
    from analyzer.suppression import expect_draft

    for path in paths:
        if pipes.is_stream(path):
            message = f"{printable(str(path))}: an expect.toml names files in its folder, and this is a stream: store it in a file first"
            raise UsageError(message)

    rules = judging.load()
    found = analysis.run(paths, reading, judging, analysis.judge_options(fail_on), verbosity, rules=rules)
    destination = None if output_file is None or str(output_file) == "-" else output_file
    _refuse_folders(found, destination)
    messages.print_failures(found)
    evaluated = _evaluated(rules, openings_only=judging.openings_only)
    draft = expect_draft.draft(found, destination, evaluated, [one.name for one in rules.verdicts])
    output.write([draft.text], output_file, exact=True)
    for line in draft.left_out:
        output.stderr(printable(line))
    if not verbosity.quiet:
        output.stderr(f"{destination or 'the draft'}: {draft.entries} expected, {draft.without_reason} without a reason")
        messages.print_passed_over(found)
    if verbosity.verbose:
        messages.print_read_stats(found)
    raise typer.Exit(statuses.of_reading(capture.status for capture in found.captures))


def _evaluated(rules: RuleSet, *, openings_only: bool) -> frozenset[str]:
    """Return the ids of the rules that this run has evaluated and reports."""
    from analyzer.rules.check import DIALOGUE_SCOPES

    checks = {id_: rules.findings[id_].check for id_ in rules.reported}
    return frozenset(id_ for id_, check in checks.items() if not (openings_only and check is not None and check.scope in DIALOGUE_SCOPES))


def _refuse_folders(report: Report, destination: Path | None) -> None:
    """Raise `UsageError` unless the captures are in one folder, and the file in the same one where it would count or is there already."""
    from analyzer.suppression import expectations

    folders = {str(Path(capture.path).parent) for capture in report.captures if capture.status != "unreadable"}
    if len(folders) > 1:
        message = f"the captures lie in {len(folders)} folders, and each needs an expect.toml of its own"
        raise UsageError(message)
    if destination is None or not folders or not (destination.name == expectations.FILE or os.path.lexists(destination)):
        return
    folder = Path(*folders)
    if identify(folder) != identify(destination.parent):
        message = f"--output {destination}: expectations stand in the folder of their captures: {folder / expectations.FILE}"
        raise UsageError(printable(message))
