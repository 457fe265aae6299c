"""Dialogues of FTP as scripts: a line a message, `C:` from the client, `S:` from the server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from analyzer.protocols.api import Dialogue, ParserContext
from analyzer.protocols.ftp import parser
from analyzer.reassembly.reader import Closing, Reader, Side

if TYPE_CHECKING:
    from collections.abc import Iterable

Message = tuple[Side, bytes]
CLIENT, SERVER = "192.0.2.10", "198.51.100.20"
SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND
LOGIN = """\
S: 220 ready
C: USER jo
S: 331 password
C: PASS correct-horse
S: 230 in
"""


def messages(script: str) -> list[Message]:
    """Return what each line of a script says, each with its line end; backslash escapes stand for bytes."""
    found = list[Message]()
    for line in script.splitlines():
        side, _, said = line.partition(": ")
        data = said.encode("latin-1").decode("unicode_escape").encode("latin-1")
        found.append(("client" if side == "C" else "server", data + b"\r\n"))
    return found


def setting(**changes: Any) -> ParserContext:  # noqa: ANN401 - whatever a field holds
    """Return a setting of a connection whose opening was captured, that a test may change."""
    known: dict[str, Any] = {
        "client_ip": CLIENT,
        "server_ip": SERVER,
        "client_port": 40000,
        "server_port": 21,
        "end_time": START + 3600 * SECOND,
    }
    return ParserContext(**(known | changes))


def readers(said: Iterable[Message], *, sizes: Iterable[int] = (), closing: Closing = "") -> tuple[Reader, Reader]:
    """Return a reader a side. Messages are cut into pieces of `sizes`, over and over; each piece is a frame, 10 ms after the one before."""
    parts: dict[Side, list[tuple[int, bytes, int, int]]] = {"client": [], "server": []}
    reach: dict[Side, int] = {"client": 0, "server": 0}
    frame, cuts = 3, list(sizes)
    turn = 0
    for side, data in said:
        at = 0
        while at < len(data):
            size = cuts[turn % len(cuts)] if cuts else len(data)
            turn += 1
            frame += 1
            piece = data[at : at + size]
            parts[side].append((reach[side], piece, frame, START + frame * SECOND // 100))
            reach[side] += len(piece)
            at += size
    return Reader.of("client", parts["client"], closing=closing), Reader.of("server", parts["server"], closing=closing)


def talk(script: str | list[Message], *, sizes: Iterable[int] = (), closing: Closing = "", **changes: Any) -> Dialogue:  # noqa: ANN401
    """Return the dialogue that a script is."""
    said = messages(script) if isinstance(script, str) else script
    return parser.read(*readers(said, sizes=sizes, closing=closing), setting(**changes))


def facts(dialogue: Dialogue, command: str, *, which: int = 0) -> dict[str, Any]:
    """Return the facts of the dialogue's first (or `which`) exchange with a command."""
    return [one.facts for one in dialogue.exchanges if one.facts["command"] == command][which]


def requests(dialogue: Dialogue) -> list[tuple[Any, Any]]:
    """Return (request, code) of each row."""
    return [(row["request"], row["code"]) for row in dialogue.rows]
