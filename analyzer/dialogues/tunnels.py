"""Dialogues inside dialogues, such as those in a tunnel or after an upgrade, as one sequence."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from analyzer.protocols.api import Dialogue


class UnfoldedDialogue(NamedTuple):
    """A dialogue and the tunnels it is inside."""

    flow: int
    """The connection."""
    inside: tuple[str, ...]
    """Where the tunnels around it lead, outermost first; empty for a connection's own dialogue."""
    dialogue: Dialogue


def unfold(dialogues: Mapping[int, Dialogue]) -> Iterator[UnfoldedDialogue]:
    """Yield `dialogues`, given by connection, each followed by those inside it, outermost first."""
    for flow, outer in dialogues.items():
        dialogue: Dialogue | None = outer
        inside: tuple[str, ...] = ()
        while dialogue is not None:
            yield UnfoldedDialogue(flow, inside, dialogue)
            inside, dialogue = (*inside, dialogue.leads_to), dialogue.inner
