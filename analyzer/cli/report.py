"""`pcaplint report`: everything found, as files in a folder, for notebooks, spreadsheets and archives.

Promises: each file is written whole or not at all, under a name of our own that no capture has a say in; the exit status is that
of `check`.
Must not know: any format's syntax.
"""

from __future__ import annotations

import io
import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, cast

import typer

from analyzer.cli import options, output, statuses
from analyzer.cli.check import load_rules, print_failures, warn_of_secrets
from analyzer.cli.progress import shown
from analyzer.errors import UsageError
from analyzer.report import CSV_TABLES
from analyzer.report.escaping import printable, unicode

if TYPE_CHECKING:
    import pandas as pd

    from analyzer.model import FailOn, Report

PARQUET: Final = ("flows", "transactions")
"""Tables that are written as Parquet too where pyarrow is installed."""

Folder = Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Write there; made if it is not there.", readable=False)]


def report(  # noqa: PLR0913 - a command line is its options
    paths: options.Paths,
    *,
    folder: Folder,
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
) -> None:
    """Judge PATHS and write report.json and the tables as CSV (flows, findings, steps, transactions) and Parquet into a folder."""
    _make(folder)
    ruleset = load_rules(rules, select, ignore)
    from analyzer.api import analyze

    with shown() as progress:
        found = analyze(
            paths,
            rules=ruleset,
            fail_on=cast("FailOn", fail_on),
            expect=not no_expect,
            baseline=baseline,
            timeout_s=timeout,
            tshark=tshark,
            progress=progress,
            secrets=show_secrets,
            openings_only=openings_only,
        )
    _write(found, folder)
    warn_of_secrets(found)
    print_failures(found)
    from analyzer.report import summary

    output.stderr(summary.sentence(found))
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
    from analyzer.report import Layout, render

    inputs = [capture.path for capture in found.captures]
    parquet = PARQUET if find_spec("pyarrow") is not None else ()
    for name in ("report.json", *(f"{table}.csv" for table in CSV_TABLES), *(f"{table}.parquet" for table in parquet)):
        output.refuse(folder / name, inputs)
    output.write(render(found, "json"), folder / "report.json", exact=True)
    for table in CSV_TABLES:
        output.write(render(found, "csv", Layout(table=table)), folder / f"{table}.csv", exact=True)
    for table in parquet:
        output.write_bytes([_parquet(getattr(found, table), secrets=found.secrets)], folder / f"{table}.parquet")


def _parquet(table: pd.DataFrame, *, secrets: bool) -> bytes:
    """Return a table as Parquet; text that no UTF-8 can hold is escaped as in JSON, a column of lists holds texts or numbers throughout."""
    cells = {str(name): _strict(column) for name, column in table.items()}
    buffer = io.BytesIO()
    stamp = {"secrets": True} if secrets else {}
    table.assign(**cells, **stamp).to_parquet(buffer, engine="pyarrow", index=False)
    return buffer.getvalue()


def _strict(column: pd.Series[Any]) -> pd.Series[Any] | list[Any]:
    if column.dtype.kind in "iufb":
        return column
    cells = column.tolist()
    if not all(isinstance(cell, tuple) for cell in cells):
        return [unicode(cell) for cell in cells]
    numbers = all(isinstance(item, int) for cell in cells for item in cell)
    return [list(cell) if numbers else [unicode(str(item)) for item in cell] for cell in cells]
