"""Replies of several lines: where they end, and where they must have."""

from __future__ import annotations

import pytest

from analyzer.protocols.ftp import replies
from tests.unit.protocols.ftp.scripts import messages, readers


@pytest.mark.parametrize(
    ("script", "before", "code", "lines", "end_odd", "unended", "left"),
    [
        ("S: 220 a\nS: 221 b", None, 220, 1, False, False, 7),
        ("S: 220-a\nS: b\nS: 220 c", None, 220, 3, False, False, 0),
        ("S: 220-a\nS: 220-b\nS: 220", None, 220, 3, False, False, 0),
        ("S: 220-a\nS:  220 b\nS: 221 c\nS: 220 d", None, 220, 4, False, False, 0),
        ("S: 230-a\nS: 200 b", None, 230, 2, True, False, 0),
        ("S: 230-a\nS: 200 b\nS: 215 c", 6, 230, 2, True, False, 7),
        ("S: 230-a\nS: 200 b\nS: 215 c", 4, 230, 1, False, True, 14),
        ("S: 230-a\nS: b\nS: c", None, 230, 3, False, True, 0),
        ("S: 230-a\nS: 200 b\n" + "S: c\n" * 300, None, 230, 2, True, False, 900),
    ],
)
def test_where_a_reply_ends(  # noqa: PLR0913 - what is asked and what is expected
    script: str, before: int | None, code: int, lines: int, left: int, *, end_odd: bool, unended: bool
) -> None:
    _, server = readers(messages(script))
    reply = replies.read(server, before)
    assert reply is not None
    assert (reply.code, reply.lines, reply.end_odd, reply.unended) == (code, lines, end_odd, unended)
    assert server.left == left
    assert (reply.start, reply.stop) == (0, server.at)


def test_what_a_reply_says_is_its_first_line_or_else_its_last() -> None:
    texts = []
    for script in ("S: 220-one\nS: 220 two", "S: 220-\nS: one\nS: 220 two", "S: 220 one"):
        reply = replies.read(readers(messages(script))[1], None)
        texts.append(reply and reply.text)
    assert texts == [b"one", b"two", b"one"]
