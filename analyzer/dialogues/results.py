"""The dialogues on all connections, as the stages after the parsers take them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from analyzer.dialogues.context import ConnectionContext
    from analyzer.protocols.api import Dialogue
    from analyzer.protocols.columnar import DialogueColumns
    from analyzer.protocols.detection import Detection


@dataclass(frozen=True, slots=True)
class Dialogues:
    """What `read` returns."""

    detections: Mapping[int, Detection]
    """By connection: those with payload."""
    dialogues: Mapping[int, Dialogue]
    """By connection: those whose protocol was detected and that are not in `columns`."""
    columns: Sequence[DialogueColumns]
    """The other dialogues, one element per protocol."""
    context: ConnectionContext
    findings: pd.DataFrame
    """Columns flow, id, severity, capture, frames, message."""
    linked: Mapping[int, int]
    """Connection to the one that announced it."""
    encryption_words: tuple[str, ...]
    """The enumeration of fact `encrypted_by`."""
    unreadable: Sequence[int]
    """Connections with payload that can no longer be read: their captures were changed meanwhile."""
