"""How a tshark ended, and why that makes a capture incomplete."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import Final

_FILE: Final = "the file "
"""What the statements of tshark about the file itself begin with, once its path is left out of them."""
_DAMAGE: Final = ("cut short", "damaged or corrupt")


@dataclass(slots=True)
class Ending:
    """How a tshark ended."""

    status: int | None = None
    seconds: float = 0.0
    """How long it was given."""
    error: str = ""
    """Its standard error in one line."""
    timed_out: bool = False
    unfinished: bool = False
    """Its output stopped within a row."""
    malformed_output: str = ""
    """What was wrong with its rows."""
    missed: str = ""
    """What the file holds and tshark did not report, although it ended with status 0."""

    @property
    def refused(self) -> bool:
        """Whether tshark would not open the file at all, as opposed to finding damage in it."""
        return bool(self.status and self.status > 0) and not any(words in self.error for words in _DAMAGE)


def explain(ending: Ending) -> str:
    """Return why a capture is incomplete, in one line, given how tshark ended; empty when it is not."""
    if ending.timed_out:
        return f"tshark was stopped: it took longer than {ending.seconds:g} s"
    if ending.malformed_output:
        return ending.malformed_output
    if ending.status is None:
        return "reading was stopped"
    if ending.status < 0:
        return f"tshark was ended by signal {_name_signal(-ending.status)}"
    if ending.status and ending.error.startswith(_FILE):
        # The status of the same damage differs by version: quirk `damage-status-14`.
        return f"tshark ended early: {ending.error}"
    if ending.status:
        return f"tshark ended with status {ending.status}" + (f": {ending.error}" if ending.error else "")
    return "tshark's output ended within a row" if ending.unfinished else ending.missed


def _name_signal(number: int) -> str:
    """Return SIGSEGV for 11."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)
