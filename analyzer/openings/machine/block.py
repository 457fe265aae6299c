"""A block of connections, with what running the state machine over them needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from analyzer._typing import IntArray
    from analyzer.openings.facts.machine import MachineFacts
    from analyzer.openings.machine.compiler import Program
    from analyzer.openings.machine.state import StateColumns
    from analyzer.openings.machine.trace import Trace


@dataclass(frozen=True, slots=True)
class StepBlock:
    """Connections sorted by number of steps, descending, and their program, facts, state and trace."""

    program: Program
    facts: MachineFacts
    codes: IntArray
    """Per step of all connections: (by_client * classes + class) * JOINT_STATES."""
    rows: IntArray
    """Row of each connection of the block in the connections table."""
    counts: IntArray
    """Number of steps of each connection."""
    first: IntArray
    """First step of each connection."""
    state: StateColumns
    trace: Trace
