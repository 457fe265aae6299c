"""What runs in a process that reads parts of a file for another: orders come in, pieces go out.

Must not know: who asks, which part comes first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from analyzer import processes
from analyzer.capture import pieces
from analyzer.capture.frames import ForeignError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from analyzer.capture.frames import Outline
    from analyzer.capture.pieces import Stretch


@dataclass(frozen=True, slots=True)
class End:
    """What is said after the pieces of a stretch."""

    outline: Outline
    foreign: str
    """Why it cannot be read here, empty when it can."""


def serve() -> None:
    """Read the stretches that are asked for, one after another."""
    processes.serve(_read)


def _read(stretch: Stretch) -> Iterator[object]:
    foreign = ""
    try:
        yield from pieces.read(stretch)
    except ForeignError as error:
        foreign = str(error)
    yield End(stretch.outline, foreign)
