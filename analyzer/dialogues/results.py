"""What was said on all connections, as the stages after the parsers take it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from analyzer.dialogues.context import ConnectionContext
    from analyzer.protocols.api import Dialogue
    from analyzer.protocols.columnar import DialogueColumns
    from analyzer.protocols.detection import Detection

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True)
class Dialogues:
    """What `read` returns."""

    heard: Mapping[int, Detection]
    """By connection: those with payload."""
    dialogues: Mapping[int, Dialogue]
    """By connection: those whose protocol is known and that are not in a block."""
    blocks: Sequence[DialogueColumns]
    """The others, protocol by protocol."""
    ground: ConnectionContext
    findings: pd.DataFrame
    """Columns flow, id, severity, capture, frames, message."""
    linked: Mapping[int, int]
    """Connection to the one that announced it."""
    ways: tuple[str, ...]
    """How connections come to be encrypted, by the codes of fact `encrypted_by`."""
    unread: Sequence[int]
    """Connections of which something was said that is not there any more: their captures were changed meanwhile."""
