"""`pcaplint diff`: what is new and what is fixed between two reports, or two trees of captures."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, cast

import typer

from analyzer.cli import analysis, messages, option_groups, options, output
from analyzer.errors import Exit, InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from analyzer.model import FailOn, Report
    from analyzer.report.diff import Document

_FORMATS: Final = ("text", "markdown", "json")

Old = Annotated[Path, typer.Argument(metavar="OLD", help="A report (--format json), a capture, or a folder of captures.", readable=False)]
New = Annotated[Path, typer.Argument(metavar="NEW", help="What it is compared with.", readable=False)]
FormatName = Annotated[
    str,
    typer.Option(
        "--format", "-f", metavar="|".join(_FORMATS), callback=options.one_of(_FORMATS), help="markdown is a comment for a pull request."
    ),
]


@option_groups.expand_groups
def diff(  # noqa: PLR0913 - a command line is its options
    old: Old,
    new: New,
    *,
    diff_format: FormatName = "text",
    output_file: options.Output = None,
    fail_on: options.FailOnOption = "warning",
    judging: option_groups.Judging,
    no_expect: options.NoExpect = False,
    reading: option_groups.Reading,
    verbosity: option_groups.Messages,
) -> None:
    """Compare two reports, or two trees of captures: status 1 if a finding or verdict is new."""
    output.refuse(output_file, [old, new])
    from analyzer.capture import pipes
    from analyzer.report import diff as diff_
    from analyzer.report import diff_formats

    with pipes.stored([old, new]) as stored:
        paths = [Path(path) for path in stored.paths]
        rules = None if all(map(_is_report, paths)) else judging.load()

        def analyze(path: Path) -> Report:
            judge = analysis.judge_options(expect=not no_expect)
            return analysis.run([path], reading, judging, judge, verbosity, rules=rules)

        roots = ["" if _is_report(path) else str(path) for path in paths]
        documents = [_load(path, analyze, verbose=verbosity.verbose) for path in paths]
    try:
        for document in documents:
            for capture in document["captures"]:
                capture["path"] = stored.name(capture["path"])
        found = diff_.compare(documents[0], documents[1], (roots[0], roots[1]))
    except (KeyError, TypeError, IndexError, AttributeError, ValueError) as error:
        message = f"{old} and {new} cannot be compared: one of them is no report as pcaplint schema report describes it"
        raise InputError(message) from error
    output.write(diff_formats.FORMATS[diff_format](found), output_file, exact=diff_format != "text")
    if output_file is not None and not verbosity.quiet:
        output.stderr(diff_formats.sentence(found))
    raise typer.Exit(Exit.FINDINGS if found.fails(cast("FailOn", fail_on)) else Exit.CLEAN)


def _is_report(path: Path) -> bool:
    """Return whether `path` is a file that begins as a JSON object does: no capture does."""
    try:
        with path.open("rb") as file:
            return file.read(64).lstrip().startswith(b"{")
    except OSError:
        return False


def _load(path: Path, analyze: Callable[[Path], Report], *, verbose: bool) -> Document:
    """Return the report at `path`, or that on the captures there; raises `InputError`."""
    if not os.path.lexists(path):
        message = f"{path}: no such file or folder"
        raise InputError(message)
    if _is_report(path):
        return _read(path)
    from analyzer.report import render

    report = analyze(path)
    if verbose:
        messages.print_read_stats(report)
    document: Document = json.loads("".join(render(report, "json")))
    return document


def _read(path: Path) -> Document:
    from analyzer.report.json import SCHEMA_VERSION

    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        message = f"{path}: {error.strerror or error}"
        raise InputError(message) from error
    except (ValueError, RecursionError) as error:
        message = f"{path}: not a report: {error}"
        raise InputError(message) from error
    if not isinstance(document, dict) or not {"captures", "flows"} <= set(document):
        message = f"{path}: not a report of pcaplint check --format json"
        raise InputError(message)
    if document.get("schema_version") != SCHEMA_VERSION:
        message = f"{path}: a report of schema version {document.get('schema_version')!r}; this pcaplint reads {SCHEMA_VERSION}"
        raise InputError(message)
    return document
