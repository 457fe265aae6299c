"""Scripted HTTP dialogues for tests: the parts that each side sent, in order, and the dialogue parsed from them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from analyzer import notation
from analyzer.protocols.api import Dialogue, ParserContext
from analyzer.protocols.http import parser
from analyzer.reassembly.contiguous import ContiguousStream
from analyzer.reassembly.reader import Reader
from analyzer.schema import FIN, RST, SYN

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from analyzer.reassembly.reader import Closing, Side

    Part = tuple[Side, bytes | int]
    """A side, and the bytes captured or the number of bytes missing."""

GET: Final = b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"
OK: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
START: Final = 1_700_000_000_000_000_000
STEP: Final = 1_000_000
FIRST_FRAME: Final = 4


def readers(parts: Iterable[Part], *, closing: tuple[Closing, Closing] = ("fin", "fin")) -> tuple[Reader, Reader]:
    """Return a reader of each side; part i is frame 4 + i, a millisecond after the one before."""
    at: dict[Side, int] = {"client": 0, "server": 0}
    held: dict[Side, list[tuple[int, bytes, int, int]]] = {"client": [], "server": []}
    for number, (side, sent) in enumerate(parts):
        if isinstance(sent, bytes):
            held[side].append((at[side], sent, FIRST_FRAME + number, START + number * STEP))
        at[side] += len(sent) if isinstance(sent, bytes) else sent
    client = Reader.of("client", held["client"], size=at["client"], closing=closing[0])
    return client, Reader.of("server", held["server"], size=at["server"], closing=closing[1])


def contiguous_stream(parts: Sequence[Part], side: Side, closing: Closing) -> ContiguousStream:
    """Return one direction as the fast path reads it; part i is frame 4 + i, as in `readers`."""
    blob, stop, address, frame = b"", list[int](), list[int](), list[int]()
    for number, (by, sent) in enumerate(parts):
        if by == side and isinstance(sent, bytes) and sent:
            address.append(len(blob))
            blob += sent
            stop.append(len(blob))
            frame.append(FIRST_FRAME + number)
    time = [START + (one - FIRST_FRAME) * STEP for one in frame]
    return ContiguousStream(stop, address, frame, time, closing, lambda start, size: blob[start : start + size])


def read(*parts: Part, closing: tuple[Closing, Closing] = ("fin", "fin"), **context: Any) -> Dialogue:  # noqa: ANN401 - fields of ParserContext
    """Return the dialogue parsed from `parts`."""
    return parser.read(*readers(parts, closing=closing), ParserContext(**context))


def of_script(text: str) -> Dialogue:
    """Return the dialogue parsed from an example in segment notation without retransmissions or reordering."""
    script = notation.parse(text)
    isn: dict[Side, int] = {}
    parts: dict[Side, list[tuple[int, bytes, int, int]]] = {"client": [], "server": []}
    closing: dict[Side, Closing] = {"client": "", "server": ""}
    time = START
    for frame, event in enumerate(script.events, 1):
        assert isinstance(event, notation.Segment)
        time += event.delay
        if event.flags & SYN:
            isn[event.by] = event.seq
        if event.payload:
            parts[event.by].append((event.seq - isn[event.by] - 1, event.payload, frame, time))
        if event.flags & (FIN | RST) and not closing[event.by]:
            closing[event.by] = "fin" if event.flags & FIN else "rst"
    port = script.connections[0].server.port if script.connections else 80
    client = Reader.of("client", parts["client"], closing=closing["client"])
    return parser.read(
        client, Reader.of("server", parts["server"], closing=closing["server"]), ParserContext(server_port=port, end_time=time)
    )


def facts(dialogue: Dialogue, number: int = 1) -> dict[str, Any]:
    """Return the facts of an exchange, from 1."""
    return dict(dialogue.exchanges[number - 1].facts)


def codes(dialogue: Dialogue) -> Sequence[tuple[object, object]]:
    """Return request and code of every row."""
    return [(row["request"], row["code"]) for row in dialogue.rows]
