"""`pcaplint show`: one connection, segment by segment.

The exit status is that of reading the capture; findings do not change it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from analyzer.cli import analysis, messages, option_groups, options, output, statuses
from analyzer.errors import Exit

if TYPE_CHECKING:
    from analyzer.report.terminal.ladder import Explanations
    from analyzer.rules import RuleSet

File = Annotated[Path, typer.Argument(metavar="FILE", help="The capture.", show_default=False, readable=False)]
Flow = Annotated[str, typer.Argument(metavar="FLOW", help="The connection, as f3 or 3; f1 is the first in FILE.", show_default=False)]


@option_groups.expand_groups
def show(  # noqa: PLR0913 - a command line is its options
    file: File,
    flow: Flow,
    *,
    judging: option_groups.Judging,
    no_expect: options.NoExpect = False,
    show_secrets: options.ShowSecrets = False,
    reading: option_groups.Reading,
    verbosity: option_groups.Messages,
    color: options.Color = "auto",
) -> None:
    """Draw the opening of connection FLOW in FILE, print its dialogue, and explain its findings."""
    rules = judging.load()
    judge = analysis.judge_options(expect=not no_expect)
    report = analysis.run([file], reading, judging, judge, verbosity, secrets=show_secrets, rules=rules)
    from analyzer.report.terminal import ladder

    ended = statuses.worst(capture.status for capture in report.captures)
    messages.print_failures(report)
    if verbosity.verbose:
        messages.print_read_stats(report, rules)
    if not len(report.flows) and ended:
        if ended == Exit.NOTHING_CHECKED:
            output.print_error(f"{file}: no TCP connection in it")
        raise typer.Exit(ended)
    output.write([ladder.render(report, flow, explanations(rules), messages.text_layout(None, color=color))], None)
    raise typer.Exit(ended)


def explanations(rules: RuleSet) -> Explanations:
    """Return the explanations that the rules give of verdicts and findings."""
    from analyzer.report.terminal import explanations as explanations_

    return explanations_.explanations(rules)
