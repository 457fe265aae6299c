"""`pcaplint baseline write`: accept what is found today, so that only what is new fails.

Every finding is written, of any severity; reasons that are in the file already are kept.
"""

from __future__ import annotations

from pathlib import Path

import typer

from analyzer.cli import analysis, messages, option_groups, options, output, statuses
from analyzer.cli.config import Configured

baseline = typer.Typer(name="baseline", no_args_is_help=True, rich_markup_mode=None, help="Accept what is found today.")


@baseline.callback()
def _only() -> None:
    """Keep `write` a command of its own."""


@baseline.command(cls=Configured)
@option_groups.expand_groups
def write(  # noqa: PLR0913 - a command line is its options
    paths: options.Paths,
    *,
    output_file: options.Output = None,
    judging: option_groups.Judging,
    no_expect: options.NoExpect = False,
    reading: option_groups.Reading,
    verbosity: option_groups.Messages,
) -> None:
    """Write all that is found in PATHS and not expected into a baseline (pcaplint-baseline.toml), for `check --baseline`."""
    from analyzer.suppression import baseline as baseline_

    destination = output_file or Path(baseline_.FILE)
    output.refuse(destination, paths)
    judge = analysis.judge_options("warning", expect=not no_expect)
    found = analysis.run(paths, reading, judging, judge, verbosity)
    messages.print_failures(found)
    text = list(baseline_.draft(found, destination))
    output.refuse(destination, [capture.path for capture in found.captures])
    output.write(text, destination, exact=True)
    if not verbosity.quiet:
        output.stderr(f"{destination}: {len(text) - 1} accepted")
        messages.print_passed_over(found)
    if verbosity.verbose:
        messages.print_read_stats(found)
    raise typer.Exit(statuses.of_reading(capture.status for capture in found.captures))
