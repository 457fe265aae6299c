"""`pcaplint extract`: a connection's own frames as a pcapng file.

Promises: the frames are those of the capture, unchanged; the file is written whole or not at all; status 4 when the capture could
not be read to its end, for then frames may be missing.
Must not know: how frames are copied.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from analyzer.cli import options, output
from analyzer.errors import Exit

File = Annotated[Path, typer.Argument(metavar="PATH", help="The capture.", show_default=False, readable=False)]
Flows = Annotated[
    list[str], typer.Argument(metavar="FLOW...", help="Connections, as f3 or 3; f1 is the first in PATH.", show_default=False)
]
Destination = Annotated[
    Path, typer.Option("--output", "-o", metavar="FILE", help="Write there (pcapng), whole or not at all.", readable=False)
]


def extract(path: File, flows: Flows, *, destination: Destination, timeout: options.Timeout = None, tshark: options.Tshark = None) -> None:
    """Copy the frames of the connections FLOW... of the capture PATH into a pcapng file."""
    output.refuse(destination, [path])
    from analyzer.api import frames_of
    from analyzer.capture.extract import extract as copy
    from analyzer.options import ReadOptions
    from analyzer.report.formatting import count

    capture, frames = frames_of(path, flows, ReadOptions(timeout_s=timeout, tshark=tshark))
    output.write_bytes(copy(path, frames, program=tshark, timeout_s=timeout), destination)
    output.stderr(f"{destination}: {count(len(frames), 'frame')} of {count(len(set(flows)), 'connection')}")
    if not capture.complete:
        output.complain(f"{capture.path}: {capture.reason}")
        raise typer.Exit(Exit.INCOMPLETE)
