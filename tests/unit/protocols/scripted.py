"""Dialogues as lists of what each side sends, turned into segment notation: sequence numbers, openings and payload texts are filled in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

CLIENT: Final = ">"
SERVER: Final = "<"
_ISN: Final = {CLIENT: 1000, SERVER: 5000}


@dataclass(frozen=True, slots=True)
class Turn:
    """One segment with payload."""

    by: str
    payload: bytes
    lost: bool = False
    """Whether the capture lacks it: its bytes are a gap."""
    copies: int = 1
    """How often it was captured."""


@dataclass(frozen=True, slots=True)
class Talk:
    """One connection."""

    port: int
    turns: tuple[Turn, ...]
    opened: bool = True
    """Whether its opening was captured."""


def turns(text: str) -> tuple[Turn, ...]:
    """Return a turn for each line `C: …` or `S: …`; each ends with CR LF."""
    found = []
    for line in text.strip().split("\n"):
        side, _, said = line.strip().partition(": ") if ": " in line else (line.strip()[0], "", "")
        found.append(Turn(CLIENT if side[:1] == "C" else SERVER, said.encode() + b"\r\n"))
    return tuple(found)


def quoted(payload: bytes) -> str:
    """Return bytes as a string of segment notation."""
    return '"' + "".join(chr(byte) if 0x20 <= byte < 0x7F and byte not in b'"\\' else f"\\x{byte:02x}" for byte in payload) + '"'


def notation(talks: Sequence[Talk]) -> str:
    """Return a script in which the talks follow each other, a connection each."""
    heads = []
    lines: list[str] = []
    for number, talk in enumerate(talks, 1):
        heads += [f"client {number} 192.0.2.{number}:{40000 + number}", f"server {number} 198.51.100.1:{talk.port}"]
        lines += _lines(number, talk)
    return "\n".join([*heads, *lines])


def _lines(number: int, talk: Talk) -> list[str]:
    at = {side: isn + 1 for side, isn in _ISN.items()}
    client, server = at[CLIENT], at[SERVER]
    lines = [
        f"{number}> S {client - 1}:{client - 1}(0) win 64240 <mss 1460>",
        f"{number}< S. {server - 1}:{server - 1}(0) ack {client} win 65535 <mss 1460>",
        f"{number}> . {client}:{client}(0) ack {server} win 64240",
    ]
    lines = lines if talk.opened else []
    for turn in talk.turns:
        other = SERVER if turn.by == CLIENT else CLIENT
        first, size = at[turn.by], len(turn.payload)
        segment = f"{number}{turn.by} P. {first}:{first + size}({size}) ack {at[other]} {quoted(turn.payload)}"
        lines += [] if turn.lost else [segment] * turn.copies
        at[turn.by] += size
    return lines
