"""How far a long job has come, on standard error.

Promises: nothing is drawn unless standard error is a terminal and the job has taken a while; what is drawn is gone when it ends.
Must not know: what the job does.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from analyzer.report.escaping import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.status import Status

_PATIENCE_S: Final = 1.5
"""Jobs shorter than this draw nothing."""


@contextmanager
def shown(*, quiet: bool = False) -> Iterator[Callable[[str, int], None] | None]:
    """Give a function to call with what is being read and how many frames of it, or None when nobody would see it."""
    if quiet or not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield None
        return
    drawing = _Drawing()
    try:
        yield drawing.tell
    finally:
        drawing.end()


class _Drawing:
    """A spinner that appears once the job has taken a while."""

    __slots__ = ("_begun", "_status")

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self._status: Status | None = None

    def tell(self, what: str, frames: int) -> None:
        if time.monotonic() - self._begun < _PATIENCE_S:
            return
        from rich.text import Text

        text = Text(f"{printable(what)}: {frames:,} frames", overflow="ellipsis", no_wrap=True)
        if self._status is None:
            from rich.console import Console

            self._status = Console(stderr=True).status(text)
            self._status.start()
        else:
            self._status.update(text)

    def end(self) -> None:
        if self._status is not None:
            self._status.stop()
