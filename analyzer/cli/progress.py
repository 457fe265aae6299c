"""Progress of a long run on standard error.

Drawn only if standard error is a terminal and the run has lasted `_PATIENCE_S`; erased when the run ends.
"""

from __future__ import annotations

import os
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from analyzer.report.escaping import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.status import Status
    from rich.text import Text

_PATIENCE_S: Final = 1.5
"""Runs shorter than this draw nothing."""


@contextmanager
def shown(*, quiet: bool = False) -> Iterator[Callable[[str, int], None] | None]:
    """Give a function to call with what is being read and how many frames of it, or None when it would not be seen."""
    if quiet or not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield None
        return
    drawing = _Drawing()
    try:
        yield drawing.update
    finally:
        drawing.end()


class _Drawing:
    """A spinner that appears once the run has taken a while; it is removed after reading."""

    __slots__ = ("_ended", "_lock", "_status", "_text", "_timer")

    def __init__(self) -> None:
        self._ended = False
        self._lock = threading.Lock()
        self._status: Status | None = None
        self._text = "reading"
        self._timer = threading.Timer(_PATIENCE_S, self._begin)
        self._timer.daemon = True
        self._timer.start()

    def update(self, what: str, frames: int) -> None:
        with self._lock:
            self._text = f"{printable(what)}: {frames:,} frames"
            if self._status is not None:
                self._status.update(_line(self._text))

    def _begin(self) -> None:
        from rich.console import Console

        with self._lock:
            if not self._ended:
                self._status = Console(stderr=True).status(_line(self._text))
                self._status.start()

    def end(self) -> None:
        self._timer.cancel()
        with self._lock:
            self._ended = True
            if self._status is not None:
                self._status.stop()


def _line(text: str) -> Text:
    from rich.text import Text

    return Text(text, overflow="ellipsis", no_wrap=True)
