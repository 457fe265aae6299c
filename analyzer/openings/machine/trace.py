"""What firing rows leave behind: a line a step, and an event an emission.

Promises: columns only; nothing is formatted here.
Must not know: rows, or how they were run.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(slots=True)
class Trace:
    """The states after each step, and all events, over all connections."""

    seen: Array
    """Per step of the input: by_client * classes + class."""
    row: Array
    """Per step of the input: index of the row that fired, -1 when none did."""
    client: Array
    server: Array
    client_textbook: Array
    server_textbook: Array
    events: list[Event] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Event:
    """One emission of one group: which connections, at which steps, citing which others, with which numbers."""

    number: int
    flows: Array
    steps: Array
    cites: tuple[Array, ...] = ()
    numbers: Mapping[str, Array] = field(default_factory=dict)
    hold: str = ""
    """The hold that keeps the emission back; then `number` is -1 until the end decides."""
