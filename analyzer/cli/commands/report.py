"""`pcaplint report`: all tables as files in a folder, for notebooks, spreadsheets and archives.

Each file is written whole or not at all, under a fixed name. The exit status is that of `check`.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from analyzer.cli import analysis, messages, option_groups, options, output, statuses
from analyzer.errors import UsageError
from analyzer.report import CSV_TABLES
from analyzer.report.escaping import printable

if TYPE_CHECKING:
    from analyzer.model import Report

PARQUET: Final = ("flows", "transactions")
"""Tables that are written as Parquet too where pyarrow is installed."""

Folder = Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Write there; made if it is not there.", readable=False)]


@option_groups.expand_groups
def report(  # noqa: PLR0913 - a command line is its options
    paths: options.Paths,
    *,
    folder: Folder,
    judging: option_groups.Judging,
    fail_on: options.FailOnOption = "warning",
    allow_empty: options.AllowEmpty = False,
    no_expect: options.NoExpect = False,
    baseline: options.Baseline = None,
    show_secrets: options.ShowSecrets = False,
    reading: option_groups.Reading,
    verbosity: option_groups.Messages,
) -> None:
    """Judge PATHS and write report.json and the tables (flows, findings, steps, transactions) as CSV and Parquet into a folder."""
    _make(folder)
    rules = judging.load()
    judge = analysis.judge_options(fail_on, expect=not no_expect, baseline=baseline)
    found = analysis.run(paths, reading, judging, judge, verbosity, secrets=show_secrets, rules=rules)
    _write(found, folder)
    messages.print_secrets_warning(found)
    messages.print_failures(found)
    if not verbosity.quiet:
        from analyzer.report import summary

        output.stderr(summary.sentence(found))
    if verbosity.verbose:
        messages.print_read_stats(found, rules)
    raise typer.Exit(statuses.worst((capture.status for capture in found.captures), allow_empty=allow_empty))


def _make(folder: Path) -> None:
    """Make the folder unless it is there; raises `UsageError` for what is no folder or a link to one."""
    try:
        folder.mkdir(exist_ok=True)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        message = f"--output {printable(str(folder))}: {reason}"
        raise UsageError(message) from None
    if os.path.islink(folder):  # noqa: PTH114 - Path.is_symlink may raise
        message = f"--output {printable(str(folder))}: is a link, and is left alone"
        raise UsageError(message)


def _write(found: Report, folder: Path) -> None:
    from analyzer.report import Layout, parquet, render

    inputs = [capture.path for capture in found.captures]
    tables = PARQUET if find_spec("pyarrow") is not None else ()
    for name in ("report.json", *(f"{table}.csv" for table in CSV_TABLES), *(f"{table}.parquet" for table in tables)):
        output.refuse(folder / name, inputs)
    output.write(render(found, "json"), folder / "report.json", exact=True)
    for table in CSV_TABLES:
        output.write(render(found, "csv", Layout(table=table)), folder / f"{table}.csv", exact=True)
    for table in tables:
        output.write_bytes([parquet.render(getattr(found, table), secrets=found.secrets)], folder / f"{table}.parquet")
