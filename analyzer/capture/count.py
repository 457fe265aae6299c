"""Count the frames of a capture without decoding any, to check how many tshark gave."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from analyzer.capture import formats
from analyzer.capture.formats import model, scan

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Count:
    """What a capture holds at least."""

    frames: int = 0
    """Whole frames, counted as tshark counts them; 0 for a kind of file that only tshark reads."""
    damage: str = ""
    """What ends them before the end of the file, in one line."""


def count(path: Path) -> Count:
    """Return what the capture at `path` holds. Raises `OSError` when it is gone."""
    scan_state = scan.ScanState()
    try:
        total = sum(map(len, formats.read(path, scan_state)))
    except model.UnsupportedFormatError:
        return Count()
    return Count(total, scan_state.damage)
