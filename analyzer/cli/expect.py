"""`pcaplint expect write`: a draft of expect.toml from what is found today, for a person to review.

Promises: every reason is left empty, and such a file is refused until it is filled in; nothing that is there is written over.
Must not know: how expectations are held.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, cast

import typer

from analyzer.cli import options, output, statuses
from analyzer.cli.check import load_rules, print_failures, tell_passed_over
from analyzer.cli.config import Configured
from analyzer.cli.progress import shown
from analyzer.errors import UsageError
from analyzer.report.escaping import printable

if TYPE_CHECKING:
    from analyzer.model import FailOn

expect = typer.Typer(name="expect", no_args_is_help=True, rich_markup_mode=None, help="Write what captures are expected to show.")


@expect.callback()
def _only() -> None:
    """Keep `write` a command of its own."""


@expect.command(cls=Configured)
def write(  # noqa: PLR0913 - a command line is its options
    paths: options.Paths,
    *,
    output_file: options.Output = None,
    rules: options.Rules = None,
    fail_on: options.FailOnOption = "warning",
    timeout: options.Timeout = None,
    tshark: options.Tshark = None,
) -> None:
    """Draft an expect.toml for the captures in PATHS, all of one folder; every reason in it is for you to fill in."""
    if output_file is not None and str(output_file) != "-" and os.path.lexists(output_file):
        message = f"--output {printable(str(output_file))}: is there already, with reasons somebody gave"
        raise UsageError(message)
    output.refuse(output_file, paths)
    from analyzer.api import analyze
    from analyzer.suppression import expectations

    with shown() as progress:
        found = analyze(
            paths,
            rules=load_rules(rules),
            fail_on=cast("FailOn", fail_on),
            expect=False,
            timeout_s=timeout,
            tshark=tshark,
            progress=progress,
        )
    folders = {str(Path(capture.path).parent) for capture in found.captures if capture.status != "unreadable"}
    if len(folders) > 1:
        message = f"the captures lie in {len(folders)} folders, and each needs an expect.toml of its own"
        raise UsageError(message)
    print_failures(found)
    output.write(expectations.draft(found), output_file, exact=True)
    tell_passed_over(found)
    raise typer.Exit(statuses.of_reading(capture.status for capture in found.captures))
