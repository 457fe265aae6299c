"""`pcaplint check`: judge captures and report by text and exit status, which is the worst of all captures."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from analyzer.cli import analysis, messages, option_groups, options, output, statuses
from analyzer.errors import UsageError
from analyzer.files import identify

if TYPE_CHECKING:
    from collections.abc import Sequence

    from analyzer.model import Report


@option_groups.expand_groups
def check(  # noqa: PLR0913 - a command line is its options
    paths: options.Paths,
    *,
    format_name: options.FormatName = "text",
    table: options.TableName = "flows",
    output_file: options.Output = None,
    report: options.ReportFiles = None,
    judging: option_groups.Judging,
    fail_on: options.FailOnOption = "warning",
    allow_empty: options.AllowEmpty = False,
    no_expect: options.NoExpect = False,
    baseline: options.Baseline = None,
    show_secrets: options.ShowSecrets = False,
    reading: option_groups.Reading,
    show_all: options.ShowAll = False,
    verbosity: option_groups.Messages,
    color: options.Color = "auto",
) -> None:
    """Judge every TCP opening in PATHS, and the SMTP, FTP and HTTP dialogues, and report what is wrong."""
    files = [(kind, Path(name)) for kind, _, name in (value.partition("=") for value in report or ())]
    if table != "flows" and "csv" not in {format_name, *(kind for kind, _ in files)}:
        message = f"--table is for --format csv, not {format_name}"
        raise UsageError(message)
    _refuse_files(output_file, files, paths)
    rules = judging.load()
    judge = analysis.judge_options(fail_on, expect=not no_expect, baseline=baseline)
    found = analysis.run(paths, reading, judging, judge, verbosity, secrets=show_secrets, rules=rules)
    _refuse_files(output_file, files, [capture.path for capture in found.captures])
    _write_files(found, files, color=color, table=table)
    layout = messages.text_layout(output_file, color=color, show_all=show_all, quiet=verbosity.quiet, table=table)
    messages.write_report(found, format_name, layout, output_file, quiet=verbosity.quiet)
    if files and (format_name == "text" and output_file is None):
        messages.print_secrets_warning(found)
    if format_name == "github":
        append_job_summary(found)
    if baseline is not None:
        messages.print_stale(baseline)
    if verbosity.verbose:
        messages.print_read_stats(found, rules)
    raise typer.Exit(statuses.worst((capture.status for capture in found.captures), allow_empty=allow_empty))


def _write_files(found: Report, files: Sequence[tuple[str, Path]], *, color: str, table: str) -> None:
    from analyzer.report import render

    for kind, destination in files:
        layout = messages.text_layout(destination, color=color, show_all=True, table=table)
        output.write(render(found, kind, layout), destination, exact=True)


def _refuse_files(output_file: Path | None, files: Sequence[tuple[str, Path]], inputs: Sequence[str | Path]) -> None:
    """Raise `UsageError` unless each destination may be written to, and is named once."""
    output.refuse(output_file, inputs)
    for _, destination in files:
        output.refuse(destination, inputs, "--report")
    names = [identify(path) for path in (output_file, *(path for _, path in files)) if path is not None]
    if len(set(names)) < len(names):
        message = "two reports go to one file"
        raise UsageError(message)


def append_job_summary(report: Report) -> None:
    """Append tables to the step summary of GitHub Actions, if `GITHUB_STEP_SUMMARY` names its file."""
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
        output.print_error(f"$GITHUB_STEP_SUMMARY {name}: {error.strerror or error}")
