"""What commands print on standard error about a report: failures, damage, secrets, statistics of reading."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from analyzer.cli import output
from analyzer.report.escaping import printable
from analyzer.report.formatting import SECRETS_SHOWN

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from analyzer.model import Report
    from analyzer.report import Layout
    from analyzer.rules import RuleSet


def text_layout(output_file: Path | None, *, color: str, show_all: bool = False, quiet: bool = False, table: str = "flows") -> Layout:
    """Return the layout for text that goes to `output_file`, or to standard output when that is None."""
    from analyzer.report import Layout

    to_file = output_file is not None and str(output_file) != "-"
    colored = color == "always" if to_file else output.colored(color, sys.stdout)
    layout = Layout(width=output.width(), color=colored, quiet=quiet, table=table)
    return Layout(layout.width, layout.color, None, quiet, table) if show_all else layout


def write_report(report: Report, format_name: str, layout: Layout, output_file: Path | None, *, quiet: bool) -> None:
    """Write a report, and on standard error what its reader would not see in it."""
    from analyzer.report import render, summary

    output.refuse(output_file, [capture.path for capture in report.captures])
    output.write(render(report, format_name, layout), output_file, exact=format_name != "text")
    seen = format_name == "text" and output_file is None
    if quiet or not seen:
        print_engine_differences(report)
    if seen:
        return
    print_secrets_warning(report)
    print_failures(report)
    if not quiet and format_name not in {"github", "markdown"}:
        output.stderr(summary.sentence(report))


def print_stale(baseline: Path) -> None:
    """Print which captures the baseline names that no longer exist."""
    from analyzer.suppression.baseline import missing_captures

    for file in missing_captures(baseline):
        output.stderr(printable(f"{baseline}: {file} is not there any more; pcaplint baseline write forgets it"))


def print_secrets_warning(report: Report) -> None:
    """Print that the report holds secrets, if it does; text on a terminal has its own line about them."""
    if report.secrets:
        output.stderr(f"pcaplint: warning: {SECRETS_SHOWN}")


def print_engine_differences(report: Report) -> None:
    """Print where the two engines differ: the rest of the report is less reliable then."""
    for capture in report.captures:
        for note in capture.notes:
            if note.id == "engines-differ":
                output.print_error(f"{capture.path}: {note.text}")


def print_failures(report: Report) -> None:
    """Print which captures could not be read, or not to their end, and what those without TCP hold."""
    for capture in report.captures:
        for note in capture.notes if capture.status == "nothing-checked" else ():
            if note.id == "no-tcp":
                output.stderr(printable(f"pcaplint: {capture.path}: nothing to check: {note.text}"))
        if capture.status in {"unreadable", "incomplete"}:
            output.print_error(f"{capture.path}: {capture.reason or 'an opening lacks bytes that a check needs'}")


def print_passed_over(report: Report) -> None:
    """Print how many files in folders were not captures, for commands without a summary that counts them."""
    from analyzer.report import summary

    if report.passed_over:
        output.stderr(summary.passed_over(report))


def print_read_stats(report: Report, rules: RuleSet | None = None) -> None:
    """Print by which engine each capture was read, and the digest of the rules."""
    for capture in report.captures:
        output.stderr(f"{read_stats(capture.path, capture.packets, capture.engines)}, {capture.segments:,} segments, {capture.status}")
    if rules is not None:
        output.stderr(f"rules: {len(rules.findings)} findings, {len(rules.verdicts)} verdicts, digest {rules.digest}")


def read_stats(path: str, packets: int, engines: Mapping[str, int]) -> str:
    """Return in one line how many frames of a capture were read, by engine."""
    names = ", ".join(f"{name} {number:,}" for name, number in engines.items()) or "nothing"
    return printable(f"{path}: {packets:,} frames ({names})")
