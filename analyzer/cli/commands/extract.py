"""`pcaplint extract`: the frames of connections, unchanged, as a pcapng file.

Status 4 when the capture could not be read to its end: frames may be missing then.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from analyzer.cli import messages, option_groups, output
from analyzer.errors import Exit

File = Annotated[Path, typer.Argument(metavar="PATH", help="The capture.", show_default=False, readable=False)]
Flows = Annotated[
    list[str], typer.Argument(metavar="FLOW...", help="Connections, as f3 or 3; f1 is the first in PATH.", show_default=False)
]
Destination = Annotated[
    Path, typer.Option("--output", "-o", metavar="FILE", help="Write there (pcapng), whole or not at all.", readable=False)
]


@option_groups.expand_groups
def extract(
    path: File, flows: Flows, *, destination: Destination, reading: option_groups.Reading, verbosity: option_groups.Messages
) -> None:
    """Copy the frames of the connections FLOW... of the capture PATH into a pcapng file."""
    output.refuse(destination, [path])
    from analyzer.api import frames_of
    from analyzer.capture.extract import extract as copy
    from analyzer.report.formatting import count

    capture, frames = frames_of(path, flows, reading.options())
    output.write_bytes(copy(path, frames, program=reading.tshark, timeout_s=reading.timeout), destination)
    if not verbosity.quiet:
        output.stderr(f"{destination}: {count(len(frames), 'frame')} of {count(len(set(flows)), 'connection')}")
    if verbosity.verbose:
        output.stderr(f"{messages.read_stats(capture.path, capture.packets, capture.engines)}, {len(capture.segments):,} segments")
    if not capture.complete:
        output.complain(f"{capture.path}: {capture.reason}")
        raise typer.Exit(Exit.INCOMPLETE)
