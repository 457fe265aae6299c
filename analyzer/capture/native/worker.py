"""What runs in a process that reads parts of a file for another: orders come in, pieces go out.

Must not know: who asks, which part comes first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from analyzer.capture.formats.model import UnsupportedFormatError
from analyzer.capture.native import batches
from analyzer.execution import local

if TYPE_CHECKING:
    from collections.abc import Iterator

    from analyzer.capture.formats.scan import ScanState
    from analyzer.capture.native.batches import ByteRange


@dataclass(frozen=True, slots=True)
class RangeDone:
    """What is said after the pieces of a stretch."""

    outline: ScanState
    foreign: str
    """Why it cannot be read here, empty when it can."""


def serve() -> None:
    """Read the stretches that are asked for, one after another."""
    local.worker_main(_read)


def _read(stretch: ByteRange) -> Iterator[object]:
    foreign = ""
    try:
        yield from batches.read(stretch)
    except UnsupportedFormatError as error:
        foreign = str(error)
    yield RangeDone(stretch.outline, foreign)
