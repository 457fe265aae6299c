"""The trace of a run of the state machine: one entry per step, and the events emitted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from analyzer._typing import IntArray
    from analyzer.findings.event import Event


@dataclass(slots=True)
class Trace:
    """The states after each step, and all events, over all connections."""

    class_codes: IntArray
    """Per step of the input: by_client * classes + class."""
    row: IntArray
    """Per step of the input: index of the row that fired, -1 when none did."""
    client: IntArray
    server: IntArray
    client_textbook: IntArray
    server_textbook: IntArray
    events: list[Event] = field(default_factory=list)
