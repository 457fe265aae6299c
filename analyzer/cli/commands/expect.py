"""`pcaplint expect write`: a draft of expect.toml from what is found today, for review.

Every reason is left empty, and such a file is refused until it is filled in; a file that exists is not overwritten.
"""

from __future__ import annotations

import os
from pathlib import Path

import typer

from analyzer.cli import analysis, messages, option_groups, options, output, statuses
from analyzer.cli.config import Configured
from analyzer.errors import UsageError
from analyzer.report.escaping import printable

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
    """Draft an expect.toml for the captures in PATHS, all of one folder; fill in the reasons before you use it."""
    if output_file is not None and str(output_file) != "-" and os.path.lexists(output_file):
        message = f"--output {printable(str(output_file))}: is there already, and may hold reasons: remove it to draft it again"
        raise UsageError(message)
    output.refuse(output_file, paths)
    from analyzer.capture import pipes
    from analyzer.suppression import expectations

    for path in paths:
        if pipes.is_stream(path):
            message = f"{printable(str(path))}: an expect.toml names files in its folder, and this is a stream: store it in a file first"
            raise UsageError(message)

    found = analysis.run(paths, reading, judging, analysis.judge_options(fail_on), verbosity)
    folders = {str(Path(capture.path).parent) for capture in found.captures if capture.status != "unreadable"}
    if len(folders) > 1:
        message = f"the captures lie in {len(folders)} folders, and each needs an expect.toml of its own"
        raise UsageError(message)
    messages.print_failures(found)
    output.write(expectations.draft(found), output_file, exact=True)
    if not verbosity.quiet:
        messages.print_passed_over(found)
    if verbosity.verbose:
        messages.print_read_stats(found)
    raise typer.Exit(statuses.of_reading(capture.status for capture in found.captures))
