"""`pcaplint build`: a script in segment notation as a capture file.

The same script gives the same bytes; the file is written whole or not at all; a fault in the script is one line with line and column, and
status 2.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from analyzer.cli import output
from analyzer.errors import InputError, UsageError
from analyzer.files import open_regular
from analyzer.report.escaping import printable


def _show_notation(value: bool) -> None:  # noqa: FBT001 - Typer calls it so
    if value:
        from analyzer.notation import GRAMMAR

        output.write([GRAMMAR], None)
        raise typer.Exit


Source = Annotated[Path, typer.Argument(metavar="SCRIPT", help="The script, - for standard input.", show_default=False, readable=False)]
Destination = Annotated[
    Path,
    typer.Option("--output", "-o", metavar="FILE", help="Write there, whole or not at all; a pcapng if it is called so.", readable=False),
]
Notation = Annotated[
    bool, typer.Option("--notation", callback=_show_notation, is_eager=True, help="Say how a script is written, and exit.")
]


def build(script: Source, *, destination: Destination, notation: Notation = False) -> None:
    """Make a capture file of the script SCRIPT, a line a segment, with right lengths and checksums."""
    del notation
    output.refuse(destination, [script], what="the script")
    from analyzer import notation as notation_
    from analyzer.report.formatting import count

    pcapng = destination.suffix.lower() == ".pcapng"
    try:
        found = notation_.parse(_read(script), where=printable(str(script)))
        data = notation_.build(found, pcapng=pcapng)
    except notation_.NotationError as error:
        raise UsageError(str(error)) from None
    if not pcapng and str(destination) != "-" and any(event.interface is not None for event in found.events):
        message = f"--output {printable(str(destination))}: the script names interfaces, which only a pcapng holds: call it .pcapng"
        raise UsageError(message)
    output.write_bytes([data], destination)
    output.stderr(f"{printable(str(destination))}: {count(sum(notation_.numbers(found)[-1:]), 'frame')}")


def _read(path: Path) -> str:
    """Return the text of a script, of standard input for `-`; no more is read than a script may hold."""
    from analyzer.notation import MAX_TEXT

    shown = printable(str(path))
    try:
        if str(path) == "-":
            data = sys.stdin.buffer.read(MAX_TEXT + 1)
        else:
            with open_regular(path) as file:
                data = file.read(MAX_TEXT + 1)
    except OSError as error:
        message = f"{shown}: {error.strerror or error}"
        raise InputError(message) from None
    if len(data) > MAX_TEXT:
        message = f"{shown}: is longer than the {MAX_TEXT} bytes a script may have"
        raise InputError(message)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        message = f"{shown}: byte {error.start + 1} is no UTF-8, so this is no script"
        raise InputError(message) from None
