"""`pcaplint check`: judge captures and say so by text and exit status.

Promises: the exit status is the worst of all captures; standard output holds the report and nothing else.
Must not know: what a report looks like inside.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import typer

from analyzer.cli import options, output, statuses
from analyzer.cli.progress import shown
from analyzer.errors import UsageError
from analyzer.report.escaping import printable

if TYPE_CHECKING:
    from pathlib import Path

    from analyzer.model import FailOn, Report
    from analyzer.report import Layout
    from analyzer.rules import RuleSet


def check(  # noqa: PLR0913 - a command line is its options
    paths: options.Paths,
    *,
    format_name: options.FormatName = "text",
    table: options.TableName = "flows",
    output_file: options.Output = None,
    rules: options.Rules = None,
    select: options.Select = None,
    ignore: options.Ignore = None,
    fail_on: options.FailOnOption = "warning",
    allow_empty: options.AllowEmpty = False,
    no_expect: options.NoExpect = False,
    timeout: options.Timeout = None,
    tshark: options.Tshark = None,
    show_all: options.ShowAll = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    color: options.Color = "auto",
) -> None:
    """Judge every TCP opening in PATHS and report what is wrong."""
    if table != "flows" and format_name != "csv":
        message = f"--table is for --format csv, not {format_name}"
        raise UsageError(message)
    output.refuse(output_file, paths)
    ruleset = _load(rules, select, ignore)
    from analyzer.analysis import analyze

    with shown(quiet=quiet) as progress:
        report = analyze(
            paths,
            rules=ruleset,
            fail_on=cast("FailOn", fail_on),
            expect=not no_expect,
            timeout_s=timeout,
            tshark=tshark,
            progress=progress,
        )
    layout = text_layout(output_file, color=color, show_all=show_all, quiet=quiet, table=table)
    write(report, format_name, layout, output_file, quiet=quiet)
    if verbose:
        tell(report, ruleset)
    raise typer.Exit(statuses.worst((capture.status for capture in report.captures), allow_empty=allow_empty))


def _load(rules: list[Path] | None, select: list[str] | None, ignore: list[str] | None) -> RuleSet:
    from analyzer.rules import load

    return load(rules or (), select=select or (), ignore=ignore or ())


def text_layout(output_file: Path | None, *, color: str, show_all: bool = False, quiet: bool = False, table: str = "flows") -> Layout:
    """Return the layout for text that goes to `output_file`, or to standard output when that is None."""
    import sys

    from analyzer.report import Layout

    to_file = output_file is not None and str(output_file) != "-"
    colored = color == "always" if to_file else output.colored(color, sys.stdout)
    layout = Layout(width=output.width(), color=colored, quiet=quiet, table=table)
    return Layout(layout.width, layout.color, None, quiet, table) if show_all else layout


def write(report: Report, format_name: str, layout: Layout, output_file: Path | None, *, quiet: bool) -> None:
    """Write a report, and on standard error what its reader would not see in it."""
    from analyzer.report import render, tally

    output.refuse(output_file, [capture.path for capture in report.captures])
    output.write(render(report, format_name, layout), output_file, exact=format_name != "text")
    if format_name == "text" and output_file is None:
        return
    complain_of(report)
    if not quiet:
        output.say(tally.sentence(report))


def complain_of(report: Report) -> None:
    """Say on standard error which captures could not be read, or not to their end."""
    for capture in report.captures:
        if capture.status in {"unreadable", "incomplete"}:
            output.complain(f"{capture.path}: {capture.reason or 'an opening lacks bytes that a check needs'}")


def tell(report: Report, rules: RuleSet | None) -> None:
    """Say on standard error what read each capture."""
    for capture in report.captures:
        engines = ", ".join(f"{name} {number:,}" for name, number in capture.engines.items()) or "nothing"
        output.say(printable(f"{capture.path}: {capture.packets:,} frames ({engines}), {capture.segments:,} segments, {capture.status}"))
    if rules is not None:
        output.say(f"rules: {len(rules.findings)} findings, {len(rules.verdicts)} verdicts, digest {rules.digest}")
