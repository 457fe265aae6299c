"""`pcaplint report`: everything found, as files in a folder, for notebooks, spreadsheets and archives.

Promises: each file is written whole or not at all, under a name of our own that no capture has a say in; the exit status is that
of `check`.
Must not know: any format's syntax.
"""

from __future__ import annotations

import io
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, cast

import typer

from analyzer.cli import options, output, statuses
from analyzer.cli.check import complain_of, load_rules
from analyzer.cli.progress import shown
from analyzer.errors import UsageError
from analyzer.report.escaping import printable

if TYPE_CHECKING:
    from analyzer.model import FailOn, Report

TABLES: Final = ("flows", "findings", "steps")

Folder = Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Write there; made if it is not there.")]


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
    timeout: options.Timeout = None,
    tshark: options.Tshark = None,
) -> None:
    """Judge PATHS and write report.json, flows.csv, findings.csv and steps.csv into a folder (flows.parquet too with the extra)."""
    _make(folder)
    ruleset = load_rules(rules, select, ignore)
    from analyzer.analysis import analyze

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
        )
    _write(found, folder)
    complain_of(found)
    from analyzer.report import tally

    output.say(tally.sentence(found))
    raise typer.Exit(statuses.worst((capture.status for capture in found.captures), allow_empty=allow_empty))


def _make(folder: Path) -> None:
    """Make the folder unless it is there; raises `UsageError` for what is no folder or a link to one."""
    try:
        folder.mkdir(exist_ok=True)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        message = f"--output {printable(str(folder))}: {reason}"
        raise UsageError(message) from None
    if folder.is_symlink():
        message = f"--output {printable(str(folder))}: is a link, and is left alone"
        raise UsageError(message)


def _write(found: Report, folder: Path) -> None:
    from analyzer.report import Layout, render

    inputs = [capture.path for capture in found.captures]
    names = ["report.json", *(f"{table}.csv" for table in TABLES), "transactions.csv", "flows.parquet"]
    for name in names:
        output.refuse(folder / name, inputs)
    output.write(render(found, "json"), folder / "report.json", exact=True)
    for table in TABLES:
        output.write(render(found, "csv", Layout(table=table)), folder / f"{table}.csv", exact=True)
    if len(found.transactions):
        from analyzer.report.csv import plain

        output.write(plain(found.transactions), folder / "transactions.csv", exact=True)
    if find_spec("pyarrow") is not None:
        buffer = io.BytesIO()
        found.flows.to_parquet(buffer, engine="pyarrow", index=False)
        output.write_bytes([buffer.getvalue()], folder / "flows.parquet")
