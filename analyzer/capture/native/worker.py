"""Main module of a worker process that reads byte ranges: ranges in, batches out."""

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
    """The message after the last batch of a byte range."""

    scan_state: ScanState
    foreign: str
    """Why it cannot be read here, empty when it can."""


def serve() -> None:
    """Read the byte ranges received, one after another."""
    local.worker_main(_read)


def _read(byte_range: ByteRange) -> Iterator[object]:
    foreign = ""
    try:
        yield from batches.read(byte_range)
    except UnsupportedFormatError as error:
        foreign = str(error)
    yield RangeDone(byte_range.scan_state, foreign)
