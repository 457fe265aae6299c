"""Some connections, and all that is needed to run the state machine over them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from analyzer.openings.facts.machine import MachineFacts
    from analyzer.openings.machine.compiler import Program
    from analyzer.openings.machine.state import StateColumns
    from analyzer.openings.machine.trace import Trace

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True)
class StepBlock:
    """Some connections, longest first, and all that is needed to run them."""

    program: Program
    facts: MachineFacts
    codes: Array
    """Per step of the input, (by_client * classes + class) * PLACES."""
    everyone: Array
    """The connections."""
    counts: Array
    """Their numbers of steps."""
    first: Array
    """Where their steps begin."""
    state: StateColumns
    log: Trace
