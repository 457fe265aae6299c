"""Bytes on disk ─► segments.

Promises: `read` gives a `Capture` for any path whatever, and raises for what is wrong with the machine only.
Must not know: connections, rules.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from analyzer.capture.tshark import Tshark
    from analyzer.model import Capture

__all__ = ["limit", "probe", "read"]

BASE_SECONDS: Final = 120.0
SECONDS_PER_BYTE: Final = 1e-6


def limit(size: int) -> float:
    """Return the seconds tshark may take, unless told otherwise, for a file of `size` bytes: two minutes and 1 s per MB."""
    return BASE_SECONDS + SECONDS_PER_BYTE * size


def probe(tshark: str | None = None) -> Tshark:
    """Return the tshark that would be used, its version and the fields it lacks.

    Raises `MachineError` when there is none or it cannot be used.
    """
    from analyzer.capture.tshark import probe as ask

    return ask(tshark)


def read(
    path: str | Path,
    *,
    timeout_s: float | None = None,
    tshark: str | None = None,
    progress: Callable[[int], None] | None = None,
) -> Capture:
    """Return the capture at `path`: tables `SEGMENTS` and `QUOTES`, checked, and what was wrong with the file.

    A file that cannot be read gives a capture with `readable` false, its reason and no rows; one that is damaged, or
    that takes tshark longer than `timeout_s` seconds (by default `limit` of its size), gives the rows up to there and
    `complete` false. `tshark` names the program to use; `progress` is called with the number of frames so far.

    Raises `MachineError` when tshark is missing or cannot be used.
    """
    from analyzer.capture import containers, paths

    shown = os.fspath(path)
    reason = paths.examine(shown)
    if reason:
        return refuse(shown, reason)
    known = probe(tshark)
    try:
        from analyzer.capture import dissect

        absolute = Path(shown).absolute()
        seconds = limit(absolute.stat().st_size) if timeout_s is None else timeout_s
        capture = dissect.read(dissect.Request(absolute, shown, known, seconds, progress))
        cut = containers.examine(absolute) if capture.complete else ""
    except OSError as error:
        return refuse(shown, f"it cannot be read: {error.strerror or type(error).__name__}")
    return replace(capture, complete=False, reason=cut) if cut else capture


def refuse(path: str, reason: str) -> Capture:
    """Return the capture that stands for a path that cannot be read."""
    from analyzer import tables
    from analyzer.model import Capture

    return Capture(
        path=path,
        segments=tables.empty(tables.SEGMENTS),
        quotes=tables.empty(tables.QUOTES),
        option_bytes=b"",
        packets=0,
        complete=False,
        reason=reason,
        readable=False,
    )
