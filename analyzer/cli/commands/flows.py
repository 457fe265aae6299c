"""`pcaplint flows`: the connections as a table, sorted and cut, in the formats of `check`.

The exit status is that of reading; findings and expectations do not change it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Final

import typer

from analyzer.cli import analysis, messages, option_groups, options, output, statuses

if TYPE_CHECKING:
    import pandas as pd

    from analyzer.model import Report

_SORTS: Final = {
    "bytes": ("client_bytes", "server_bytes"),
    "packets": ("client_segments", "server_segments"),
    "duration": ("duration_ms",),
    "rtt": ("rtt_ms",),
}
"""What --sort takes, and the columns whose sum it sorts by, largest first."""

Sort = Annotated[
    str | None,
    typer.Option("--sort", metavar="|".join(_SORTS), help="Largest first.", show_default=False),
]
Top = Annotated[int | None, typer.Option("--top", metavar="N", min=1, help="Only the first N.", show_default=False)]


@option_groups.expand_groups
def flows(  # noqa: PLR0913 - a command line is its options
    paths: options.Paths,
    *,
    sort: Sort = None,
    top: Top = None,
    format_name: options.FormatName = "text",
    output_file: options.Output = None,
    no_expect: options.NoExpect = False,
    show_secrets: options.ShowSecrets = False,
    judging: option_groups.Judging,
    reading: option_groups.Reading,
    show_all: options.ShowAll = False,
    allow_empty: options.AllowEmpty = False,
    verbosity: option_groups.Messages,
    color: options.Color = "auto",
) -> None:
    """List the TCP connections in PATHS."""
    if sort is not None:
        options.one_of(_SORTS)(sort)
    output.refuse(output_file, paths)
    rules = judging.load()
    judge = analysis.judge_options(expect=not no_expect)
    whole = analysis.run(paths, reading, judging, judge, verbosity, secrets=show_secrets, rules=rules)
    report = arrange(whole, sort, top)
    layout = messages.text_layout(output_file, color=color, show_all=show_all, table="flows")
    if format_name == "text":
        from analyzer.report import summary
        from analyzer.report.terminal import listing

        output.refuse(output_file, [capture.path for capture in report.captures])
        output.write(listing.render(report, layout), output_file)
        messages.print_failures(report)
        if len(report.flows) and not verbosity.quiet:
            messages.print_passed_over(report)
        elif not verbosity.quiet:
            output.stderr(summary.sentence(report))
    else:
        messages.write_report(report, format_name, layout, output_file, quiet=True)
    if verbosity.verbose:
        messages.print_read_stats(whole, rules)
    raise typer.Exit(statuses.worst((capture.status for capture in report.captures), allow_empty=allow_empty))


def arrange(report: Report, sort: str | None = None, top: int | None = None) -> Report:
    """Return the report with its connections sorted, largest first, and cut; findings, steps and transactions of the others are dropped."""
    table = report.flows
    if sort is not None:
        weight: pd.Series[float] = table[list(_SORTS[sort])].sum(axis="columns", min_count=1)
        table = table.loc[weight.sort_values(ascending=False, kind="stable").index]
    table = table.head(top) if top is not None else table
    kept = table["flow_id"]
    findings = report.findings[report.findings["flow_id"].isin(kept)]
    steps = report.steps[report.steps["flow_id"].isin(kept)]
    transactions = report.transactions[report.transactions["flow_id"].isin(kept)]
    return replace(report, flows=table, findings=findings, steps=steps, transactions=transactions)
