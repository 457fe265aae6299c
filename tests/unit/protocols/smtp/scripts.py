r"""Dialogues spelled out for tests, a line each, and read.

S: 220 mx ESMTP        the server's line, CR LF added; lines of one side in a row are one segment
C: EHLO c
--                     the next line begins another segment
C? MAIL FROM:<a@c>     sent, and not captured
C= text\\n              as it stands, escapes resolved, no line end added
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from analyzer.protocols.api import Dialogue, ParserContext
from analyzer.protocols.smtp import parser
from analyzer.reassembly.reader import Reader

if TYPE_CHECKING:
    from analyzer.reassembly.reader import Closing, Side

Turn = tuple[str, bytes, bool]
"""C or S, bytes, whether they were captured."""

MILLISECOND = 10**6
EHLO = """
S: 220 mx ESMTP
C: EHLO c
S: 250-mx
S: 250-PIPELINING
S: 250-AUTH PLAIN LOGIN CRAM-MD5 XOAUTH2 OAUTHBEARER SCRAM-SHA-256 DIGEST-MD5
S: 250-CHUNKING
S: 250-SIZE 1000000
S: 250 STARTTLS
"""
MAIL = """
C: MAIL FROM:<a@c>
S: 250 ok
C: RCPT TO:<b@mx>
S: 250 ok
C: DATA
S: 354 go
"""
QUIT = """
C: QUIT
S: 221 bye
"""


def turns(text: str) -> list[Turn]:
    """Return the segments that `text` spells."""
    found, fresh = list[Turn](), True
    # Empty lines join texts.
    for line in filter(None, text.split("\n")):
        if line == "--":
            fresh = True
            continue
        side, mark, rest = line[0], line[1], line[3:]
        data = rest.encode("latin-1").decode("unicode_escape").encode("latin-1") if mark == "=" else rest.encode() + b"\r\n"
        turn = (side, data, mark != "?")
        if not fresh and found[-1][0] == side and found[-1][2] == turn[2]:
            found[-1] = (side, found[-1][1] + data, turn[2])
        else:
            found.append(turn)
        fresh = False
    return found


def readers(segments: list[Turn], *, closing: tuple[Closing, Closing] = ("", "")) -> tuple[Reader, Reader]:
    """Return a reader a side; segment n is frame n, a millisecond after the one before."""
    parts: dict[str, list[tuple[int, bytes, int, int]]] = {"C": [], "S": []}
    size = {"C": 0, "S": 0}
    for number, (side, data, captured) in enumerate(segments, 1):
        if captured:
            parts[side].append((size[side], data, number, number * MILLISECOND))
        size[side] += len(data)
    sides: tuple[tuple[Side, str], ...] = (("client", "C"), ("server", "S"))
    client, server = (Reader.of(side, parts[mark], size=size[mark], closing=end) for (side, mark), end in zip(sides, closing, strict=True))
    return client, server


def read(text: str, *, closing: tuple[Closing, Closing] = ("", ""), **setting: Any) -> Dialogue:  # noqa: ANN401 - fields of Setting
    """Return the dialogue that `text` spells; the capture goes on for a minute unless `end_time` says otherwise."""
    client, server = readers(turns(text), closing=closing)
    return parser.read(client, server, ParserContext(**{"server_port": 25, "end_time": 60 * 10**9, **setting}))


def exchange(dialogue: Dialogue, command: str, number: int = 1) -> dict[str, Any]:
    """Return the facts of the first, second, … exchange of a command."""
    return [one.facts for one in dialogue.exchanges if str(one.facts.get("command")).lower() == command][number - 1]


def commands(dialogue: Dialogue) -> list[tuple[Any, Any]]:
    """Return command and code of each exchange."""
    return [(str(one.facts.get("command")).lower(), one.facts.get("reply_code")) for one in dialogue.exchanges]
