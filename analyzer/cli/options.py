"""Options that several commands share, each described once.

The choices of an option come from the table that implements them; a wrong value is answered with all right ones.
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
    """Return a callback that refuses values that are not in `choices`."""
    allowed = tuple(choices)

    def choose(value: str) -> str:
        if value not in allowed:
            message = f"{value!r} is not one of {', '.join(allowed)}"
            raise typer.BadParameter(message)
        return value

    return choose


def rule_ids(incomplete: str) -> list[str]:
    """Return the ids of rules that begin with `incomplete`, for completion by the shell; none when rules cannot be loaded."""
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
    typer.Option("--format", "-f", metavar="|".join(FORMATS), callback=one_of(FORMATS), help="Format of the report."),
]
TableName = Annotated[
    str,
    typer.Option("--table", metavar="|".join(CSV_TABLES), callback=one_of(CSV_TABLES), help="Table that csv writes."),
]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE", help="Write to this file, whole or not at all.", show_default=False, readable=False),
]
Rules = Annotated[
    list[Path] | None,
    typer.Option("--rules", metavar="DIR", help="Folder of rule files to add; repeatable.", show_default=False, readable=False),
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
    typer.Option("--fail-on", metavar="|".join(FAIL_ON), callback=one_of(FAIL_ON), help="Lowest severity that fails the check."),
]
Timeout = Annotated[
    float | None,
    typer.Option("--timeout", metavar="SECONDS", callback=_positive, help="Longest time to read one capture.", show_default=False),
]
Tshark = Annotated[str | None, typer.Option("--tshark", metavar="PATH", help="The tshark to run.", show_default=False)]
EngineName = Annotated[
    str,
    typer.Option(
        "--engine",
        metavar="|".join(ENGINES),
        callback=one_of(ENGINES),
        help="What decodes frames; auto chooses by the size of the captures.",
    ),
]
Jobs = Annotated[
    int | None,
    typer.Option("--jobs", "-j", metavar="N", min=1, help="Files, or parts of a large file, read at a time.", show_default=False),
]
Color = Annotated[str, typer.Option("--color", metavar="|".join(COLORS), callback=one_of(COLORS), help="Whether to colour text.")]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="No progress, no summary; of connections, check prints only those that are not a clean pass.")
]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Print on standard error what was read and by which engine.")]
ShowAll = Annotated[bool, typer.Option("--all", help="Print every connection, however many.")]
AllowEmpty = Annotated[bool, typer.Option("--allow-empty", help="Do not fail when there is nothing to check.")]
NoExpect = Annotated[bool, typer.Option("--no-expect", help="Ignore expect.toml files next to captures.")]
OpeningsOnly = Annotated[
    bool, typer.Option("--openings-only", help="Judge openings only and do not parse dialogues: several times as fast.")
]
ShowSecrets = Annotated[bool, typer.Option("--show-secrets", help="Do not hide passwords, tokens and the like; the report is marked.")]
Baseline = Annotated[
    Path | None,
    typer.Option(
        "--baseline", metavar="FILE", help="Findings in this file are accepted: only new ones fail.", show_default=False, readable=False
    ),
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
        help="Write a report in this format to a file as well; repeatable.",
        show_default=False,
    ),
]
