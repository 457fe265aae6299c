"""`pcaplint check`: judge captures and say so by text and exit status.

Promises: the exit status is the worst of all captures; standard output holds the report and nothing else.
Must not know: what a report looks like inside.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, cast

import typer

from analyzer.cli import options, output, statuses
from analyzer.cli.progress import shown
from analyzer.errors import UsageError
from analyzer.files import identify
from analyzer.report.escaping import printable
from analyzer.report.formatting import SECRETS_SHOWN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from analyzer.model import FailOn, Report
    from analyzer.options import Engine
    from analyzer.report import Layout
    from analyzer.rules import RuleSet


def check(  # noqa: PLR0913 - a command line is its options
    paths: options.Paths,
    *,
    format_name: options.FormatName = "text",
    table: options.TableName = "flows",
    output_file: options.Output = None,
    report: options.ReportFiles = None,
    rules: options.Rules = None,
    select: options.Select = None,
    ignore: options.Ignore = None,
    fail_on: options.FailOnOption = "warning",
    allow_empty: options.AllowEmpty = False,
    no_expect: options.NoExpect = False,
    baseline: options.Baseline = None,
    show_secrets: options.ShowSecrets = False,
    openings_only: options.OpeningsOnly = False,
    timeout: options.Timeout = None,
    tshark: options.Tshark = None,
    engine: options.EngineName = "auto",
    jobs: options.Jobs = None,
    show_all: options.ShowAll = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    color: options.Color = "auto",
) -> None:
    """Judge every TCP opening in PATHS, and what SMTP, FTP and HTTP said over it, and report what is wrong."""
    files = [(kind, Path(name)) for kind, _, name in (value.partition("=") for value in report or ())]
    if table != "flows" and "csv" not in {format_name, *(kind for kind, _ in files)}:
        message = f"--table is for --format csv, not {format_name}"
        raise UsageError(message)
    refuse_files(output_file, files, paths)
    ruleset = load_rules(rules, select, ignore)
    from analyzer.api import analyze
    from analyzer.report import render

    with shown(quiet=quiet) as progress:
        found = analyze(
            paths,
            rules=ruleset,
            fail_on=cast("FailOn", fail_on),
            expect=not no_expect,
            baseline=baseline,
            timeout_s=timeout,
            tshark=tshark,
            engine=cast("Engine", engine),
            jobs=jobs,
            progress=progress,
            secrets=show_secrets,
            openings_only=openings_only,
        )
    layout = text_layout(output_file, color=color, show_all=show_all, quiet=quiet, table=table)
    refuse_files(output_file, files, [capture.path for capture in found.captures])
    for kind, destination in files:
        output.write(render(found, kind, text_layout(destination, color=color, show_all=True, table=table)), destination, exact=True)
    write(found, format_name, layout, output_file, quiet=quiet)
    if files and (format_name == "text" and output_file is None):
        warn_of_secrets(found)
    if format_name == "github":
        summarise(found)
    if baseline is not None:
        print_stale(baseline)
    if verbose:
        print_read_stats(found, ruleset)
    raise typer.Exit(statuses.worst((capture.status for capture in found.captures), allow_empty=allow_empty))


def refuse_files(output_file: Path | None, files: Sequence[tuple[str, Path]], inputs: Sequence[str | Path]) -> None:
    """Raise `UsageError` unless each destination may be written to, and is named once."""
    output.refuse(output_file, inputs)
    for _, destination in files:
        output.refuse(destination, inputs, "--report")
    names = [identify(path) for path in (output_file, *(path for _, path in files)) if path is not None]
    if len(set(names)) < len(names):
        message = "two reports go to one file"
        raise UsageError(message)


def summarise(report: Report) -> None:
    """Append tables to the job summary where GitHub Actions asks for one."""
    from analyzer.report import render

    name = os.environ.get("GITHUB_STEP_SUMMARY")
    if not name:
        return
    text = "".join(render(report, "markdown"))
    try:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
        with open(os.open(name, flags, 0o644), "a", encoding="utf-8") as file:  # noqa: PTH123 - a descriptor
            file.write(text)
    except OSError as error:
        output.complain(f"$GITHUB_STEP_SUMMARY {name}: {error.strerror or error}")


def print_stale(baseline: Path) -> None:
    """Say on standard error which captures the baseline names and that are gone."""
    from analyzer.suppression.baseline import gone

    for file in gone(baseline):
        output.stderr(printable(f"{baseline}: {file} is not there any more; pcaplint baseline write forgets it"))


def load_rules(rules: list[Path] | None, select: list[str] | None = None, ignore: list[str] | None = None) -> RuleSet:
    """Return the rules that options ask for."""
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
    from analyzer.report import render, summary

    output.refuse(output_file, [capture.path for capture in report.captures])
    output.write(render(report, format_name, layout), output_file, exact=format_name != "text")
    seen = format_name == "text" and output_file is None
    if quiet or not seen:
        warn_of_notes(report)
    if seen:
        return
    warn_of_secrets(report)
    print_failures(report)
    if not quiet and format_name not in {"github", "markdown"}:
        output.stderr(summary.sentence(report))


def warn_of_secrets(report: Report) -> None:
    """Say on standard error that what was written holds secrets; text on a terminal says so itself."""
    if report.secrets:
        output.stderr(f"pcaplint: warning: {SECRETS_SHOWN}")


def warn_of_notes(report: Report) -> None:
    """Say on standard error where the two engines do not agree: nothing else in the report can be trusted as much as usual."""
    for capture in report.captures:
        for note in capture.notes:
            if note.id == "engines-differ":
                output.complain(f"{capture.path}: {note.text}")


def print_failures(report: Report) -> None:
    """Say on standard error which captures could not be read, or not to their end, and what is in those without TCP."""
    for capture in report.captures:
        for note in capture.notes if capture.status == "nothing-checked" else ():
            if note.id == "no-tcp":
                output.stderr(printable(f"pcaplint: {capture.path}: nothing to check: {note.text}"))
        if capture.status in {"unreadable", "incomplete"}:
            output.complain(f"{capture.path}: {capture.reason or 'an opening lacks bytes that a check needs'}")


def tell_passed_over(report: Report) -> None:
    """Say on standard error how many files of folders were no captures, where no summary says so."""
    from analyzer.report import summary

    if report.passed_over:
        output.stderr(summary.passed_over(report))


def print_read_stats(report: Report, rules: RuleSet | None) -> None:
    """Say on standard error what read each capture."""
    for capture in report.captures:
        engines = ", ".join(f"{name} {number:,}" for name, number in capture.engines.items()) or "nothing"
        output.stderr(printable(f"{capture.path}: {capture.packets:,} frames ({engines}), {capture.segments:,} segments, {capture.status}"))
    if rules is not None:
        output.stderr(f"rules: {len(rules.findings)} findings, {len(rules.verdicts)} verdicts, digest {rules.digest}")
