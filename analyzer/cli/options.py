"""Options that several commands share, each described once.

Promises: a choice is checked against the table it comes from, and a wrong one is answered with all right ones.
Must not know: what a command does with them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from analyzer.cli.output import COLORS
from analyzer.options import ENGINES, FAIL_ON
from analyzer.report import CSV_TABLES, FORMATS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def one_of(choices: Iterable[str]) -> Callable[[str], str]:
    """Return a callback that lets only `choices` pass."""
    allowed = tuple(choices)

    def choose(value: str) -> str:
        if value not in allowed:
            message = f"{value!r} is not one of {', '.join(allowed)}"
            raise typer.BadParameter(message)
        return value

    return choose


def rule_ids(incomplete: str) -> list[str]:
    """Return the ids of rules that begin so, for the shell's completion; none rather than an error when rules cannot be loaded."""
    from analyzer.errors import PcaplintError
    from analyzer.rules import load

    try:
        return [id_ for id_ in load().findings if id_.startswith(incomplete)]
    except PcaplintError:
        return []


def _positive(value: float | None) -> float | None:
    if value is not None and not 0 < value < float("inf"):
        message = f"{value} is not a number of seconds above 0"
        raise typer.BadParameter(message)
    return value


# readable=False, here and wherever a path is given: Typer would refuse the call for one file of many, before any is looked at.

Paths = Annotated[list[Path], typer.Argument(metavar="PATHS", help="Captures, or folders of captures.", show_default=False, readable=False)]
FormatName = Annotated[
    str,
    typer.Option("--format", "-f", metavar="|".join(FORMATS), callback=one_of(FORMATS), help="How to write the report."),
]
TableName = Annotated[
    str,
    typer.Option("--table", metavar="|".join(CSV_TABLES), callback=one_of(CSV_TABLES), help="Which table csv writes."),
]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE", help="Write there, whole or not at all.", show_default=False, readable=False),
]
Rules = Annotated[
    list[Path] | None, typer.Option("--rules", metavar="DIR", help="Rule files to add; repeatable.", show_default=False, readable=False)
]
Select = Annotated[
    list[str] | None,
    typer.Option("--select", metavar="ID", help="Report only these rules (globs).", autocompletion=rule_ids, show_default=False),
]
Ignore = Annotated[
    list[str] | None,
    typer.Option("--ignore", metavar="ID", help="Do not report these rules (globs).", autocompletion=rule_ids, show_default=False),
]
FailOnOption = Annotated[
    str,
    typer.Option("--fail-on", metavar="|".join(FAIL_ON), callback=one_of(FAIL_ON), help="Severity from which a check fails."),
]
Timeout = Annotated[
    float | None,
    typer.Option("--timeout", metavar="SECONDS", callback=_positive, help="Longest tshark may take for a file.", show_default=False),
]
Tshark = Annotated[str | None, typer.Option("--tshark", metavar="PATH", help="The tshark to run.", show_default=False)]
EngineName = Annotated[
    str,
    typer.Option(
        "--engine", metavar="|".join(ENGINES), callback=one_of(ENGINES), help="Who decodes frames; auto goes by the size of the job."
    ),
]
Jobs = Annotated[
    int | None,
    typer.Option("--jobs", "-j", metavar="N", min=1, help="Files, or parts of a large one, read at a time.", show_default=False),
]
Color = Annotated[str, typer.Option("--color", metavar="|".join(COLORS), callback=one_of(COLORS), help="Whether to colour text.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print only what is not a clean pass, and no summary.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Say on standard error what was read and how.")]
ShowAll = Annotated[bool, typer.Option("--all", help="Print every connection, however many.")]
AllowEmpty = Annotated[bool, typer.Option("--allow-empty", help="Nothing to check is no failure.")]
NoExpect = Annotated[bool, typer.Option("--no-expect", help="Pay no heed to expect.toml beside captures.")]
OpeningsOnly = Annotated[
    bool, typer.Option("--openings-only", help="Judge openings, and leave unread what was said: several times as fast.")
]
ShowSecrets = Annotated[
    bool, typer.Option("--show-secrets", help="Keep passwords, tokens and the like in what was said; every report says that it does.")
]
Baseline = Annotated[
    Path | None,
    typer.Option("--baseline", metavar="FILE", help="Accept what it names: only what is new fails.", show_default=False, readable=False),
]


def _kind_and_file(values: list[str] | None) -> list[str] | None:
    for value in values or ():
        kind, equals, name = value.partition("=")
        if kind not in FORMATS or not equals or not name:
            message = f"{value!r} is not KIND=FILE with a KIND of {', '.join(FORMATS)}"
            raise typer.BadParameter(message)
    return values


ReportFiles = Annotated[
    list[str] | None,
    typer.Option(
        "--report",
        metavar="KIND=FILE",
        callback=_kind_and_file,
        help="Write a report of a format to a file too; repeatable.",
        show_default=False,
    ),
]
