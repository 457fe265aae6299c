"""`pcaplint baseline write`: accept what is found today, so that only what is new fails.

Promises: everything found is in it, of whatever severity; reasons that were there are kept.
Must not know: how a baseline is compared.
"""

from __future__ import annotations

from pathlib import Path

import typer

from analyzer.cli import options, output, statuses
from analyzer.cli.check import load_rules, print_failures, tell_passed_over
from analyzer.cli.config import Configured
from analyzer.cli.progress import shown

baseline = typer.Typer(name="baseline", no_args_is_help=True, rich_markup_mode=None, help="Accept what is found today.")


@baseline.callback()
def _only() -> None:
    """Keep `write` a command of its own."""


@baseline.command(cls=Configured)
def write(  # noqa: PLR0913 - a command line is its options
    paths: options.Paths,
    *,
    output_file: options.Output = None,
    rules: options.Rules = None,
    no_expect: options.NoExpect = False,
    timeout: options.Timeout = None,
    tshark: options.Tshark = None,
) -> None:
    """Write all that is found in PATHS and not expected into a baseline (pcaplint-baseline.toml), for `check --baseline`."""
    from analyzer.api import analyze
    from analyzer.suppression import baseline as baseline_

    destination = output_file or Path(baseline_.FILE)
    output.refuse(destination, paths)
    with shown() as progress:
        found = analyze(paths, rules=load_rules(rules), expect=not no_expect, timeout_s=timeout, tshark=tshark, progress=progress)
    print_failures(found)
    text = list(baseline_.draft(found, destination))
    output.refuse(destination, [capture.path for capture in found.captures])
    output.write(text, destination, exact=True)
    output.stderr(f"{destination}: {len(text) - 1} accepted")
    tell_passed_over(found)
    raise typer.Exit(statuses.of_reading(capture.status for capture in found.captures))
