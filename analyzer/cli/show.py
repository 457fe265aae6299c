"""`pcaplint show`: one connection, segment by segment.

Promises: the exit status is that of reading the capture; what the connection did wrong is told, not failed for.
Must not know: how a ladder is drawn.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from analyzer.cli import options, output, statuses
from analyzer.cli.check import print_failures, text_layout
from analyzer.cli.progress import shown
from analyzer.errors import Exit

if TYPE_CHECKING:
    from analyzer.report.terminal.ladder import Words
    from analyzer.rules import RuleSet

File = Annotated[Path, typer.Argument(metavar="FILE", help="The capture.", show_default=False, readable=False)]
Flow = Annotated[str, typer.Argument(metavar="FLOW", help="The connection, as f3 or 3; f1 is the first in FILE.", show_default=False)]


def show(  # noqa: PLR0913 - a command line is its options
    file: File,
    flow: Flow,
    *,
    rules: options.Rules = None,
    show_secrets: options.ShowSecrets = False,
    timeout: options.Timeout = None,
    tshark: options.Tshark = None,
    color: options.Color = "auto",
) -> None:
    """Draw the opening of connection FLOW in FILE, print what was said over it, and say what it means."""
    from analyzer.rules import load

    ruleset = load(rules or ())
    from analyzer.api import analyze
    from analyzer.report.terminal import ladder

    with shown() as progress:
        report = analyze([file], rules=ruleset, fail_on="never", timeout_s=timeout, tshark=tshark, progress=progress, secrets=show_secrets)
    ended = statuses.worst(capture.status for capture in report.captures)
    print_failures(report)
    if not len(report.flows) and ended:
        if ended == Exit.NOTHING_CHECKED:
            output.complain(f"{file}: no TCP connection in it")
        raise typer.Exit(ended)
    output.write([ladder.render(report, flow, words(ruleset), text_layout(None, color=color))], None)
    raise typer.Exit(ended)


def words(rules: RuleSet) -> Words:
    """Return what the rules say about verdicts and findings."""
    from analyzer.report.terminal.ladder import Words
    from analyzer.rules.check import DIALOGUE_SCOPES

    spoken = frozenset(
        id_ for id_, finding in rules.findings.items() if finding.check is not None and finding.check.scope in DIALOGUE_SCOPES
    )
    return Words({verdict.name: verdict.meaning for verdict in rules.verdicts}, rules.findings, spoken)
