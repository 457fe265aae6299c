"""Dialogues inside of dialogues: tunnels of CONNECT, upgrades, and what lies in those, as one sequence.

Promises: a connection's own dialogue comes first, then what lies in it, from the outermost to the innermost; bounded by what reads them.
Must not know: any protocol.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from analyzer.protocols.api import Dialogue


class Told(NamedTuple):
    """A dialogue, and where it was held."""

    flow: int
    """The connection."""
    inside: tuple[str, ...]
    """Where the tunnels lead that it lies in, from the outermost; empty for a connection's own."""
    dialogue: Dialogue


def unfold(said: Mapping[int, Dialogue]) -> Iterator[Told]:
    """Yield the dialogues `said`, by connection, each followed by those inside of it."""
    for flow, own in said.items():
        dialogue: Dialogue | None = own
        inside: tuple[str, ...] = ()
        while dialogue is not None:
            yield Told(flow, inside, dialogue)
            inside, dialogue = (*inside, dialogue.leads_to), dialogue.inner
