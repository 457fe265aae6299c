r"""Where the content of a message ends: CR LF . CR LF, however it is cut, and what may only look like it."""

from __future__ import annotations

import pytest

from analyzer.protocols.smtp import content as content_
from analyzer.reassembly.reader import Position, Reader


def content(*parts: bytes, answered: int | None = None, size: int | None = None, lax: bool = False) -> tuple[content_.Content, Reader]:
    """Read the content that `parts`, a frame each, hold; the server's next reply was captured behind frame `answered`."""
    at, held = 0, list[tuple[int, bytes, int, int]]()
    for frame, data in enumerate(parts, 1):
        if data[:1] != b"?":
            held.append((at, data, frame, frame))
        at += len(data)
    reader = Reader.of("client", held, size=size or at)

    def is_answered(spot: Position | None) -> bool:
        return answered is not None and (spot is None or spot.frame > answered)

    return content_.read(reader, is_answered, lax=lax), reader


@pytest.mark.parametrize("at", range(1, 23))
def test_the_end_is_found_however_it_is_cut(at: int) -> None:
    text = b"Subject: x\r\n\r\nhi\r\n.\r\nQUIT\r\n"
    found, reader = content(text[:at], text[at:])
    assert (found.ended, found.size, found.bare_lf, found.bare_cr) == ("strict", 18, 0, 0)
    assert reader.peek(4) == b"QUIT"
    assert found.last == Position(1 if at >= 21 else 2, 1 if at >= 21 else 2)


def test_one_byte_a_segment() -> None:
    text = b"one\r\n..\r\n.two\r\n.\r\n"
    found, reader = content(*(text[at : at + 1] for at in range(len(text))))
    assert (found.ended, found.size) == ("strict", len(b"one\r\n.\r\ntwo\r\n"))
    assert reader.ended


def test_empty_message() -> None:
    found, _ = content(b".\r\n")
    assert (found.ended, found.size) == ("strict", 0)


@pytest.mark.parametrize("end", [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r\n.\r", b"\r.\r\n"])
def test_false_ends_do_not_end_a_message(end: bytes) -> None:
    found, reader = content(b"one" + end + b"MAIL FROM:<x@y>\r\n.\r\n", answered=1)
    assert (found.ended, found.false_ends) == ("strict", 1)
    assert reader.ended


@pytest.mark.parametrize("end", [b"\n.\n", b"\n.\r\n", b"\r\n.\n"])
def test_false_ends_end_it_where_the_server_took_them_for_the_end(end: bytes) -> None:
    found, reader = content(b"one" + end, b"QUIT\r\n", answered=1)
    assert (found.ended, found.false_ends) == ("lax", 0)
    assert reader.peek(4) == b"QUIT"


def test_false_ends_end_it_where_nothing_follows_or_the_client_uses_lf() -> None:
    assert content(b"one\n.\n")[0].ended == "lax"
    assert content(b"one\n.\nQUIT\n", lax=True)[0].ended == "lax"


def test_all_in_one_segment_and_answered_in_the_end() -> None:
    found, reader = content(b"one\n.\r\n\r\n", answered=1)
    assert (found.ended, found.size) == ("lax", 4)
    assert reader.peek(2) == b"\r\n"


def test_bare_line_ends_are_counted_and_placed() -> None:
    found, _ = content(b"one\r\n", b"two\nthree\rfour\r\n", b".\r\n")
    assert (found.bare_lf, found.bare_cr) == (1, 1)
    assert found.bare == Position(2, 2)


@pytest.mark.parametrize(("length", "longest"), [(998, 0), (999, 1001), (70_000, 70_002)])
def test_long_lines(length: int, longest: int) -> None:
    assert content(b"a\r\n" + b"x" * length + b"\r\nb\r\n.\r\n")[0].longest == longest
    text = b"a\r\n" + b"x" * length + b"\r\nb\r\n.\r\n"
    assert content(text[:40], text[40:66], text[66:])[0].longest == longest


def test_a_large_message_in_many_windows() -> None:
    line = b"x" * 76 + b"\r\n"
    text = line * 20_000 + b".\r\n"
    found, reader = content(text, b"QUIT\r\n")
    assert (found.ended, found.size, found.bare_lf, found.bare_cr, found.longest) == ("strict", 78 * 20_000, 0, 0, 0)
    assert reader.peek(4) == b"QUIT"


def test_gap_inside() -> None:
    found, reader = content(b"one\r\n", b"?" * 100, b"two\r\n.\r\n", b"QUIT\r\n")
    assert (found.ended, found.has_gap, found.size) == ("strict", True, 110)
    assert reader.peek(4) == b"QUIT"


def test_the_end_was_in_the_gap() -> None:
    found, reader = content(b"one\r\n", b"?" * 100, b"QUIT\r\n", answered=2)
    assert (found.ended, found.has_gap) == ("gap", True)
    assert reader.peek(4) == b"QUIT"


def test_the_line_end_before_the_dot_was_in_the_gap() -> None:
    assert content(b"one", b"?" * 100, b".\r\n")[0].ended == "strict"


def test_never_ended() -> None:
    assert content(b"one\r\n")[0].ended == ""
    assert content(b"one\r\n", size=100)[0].ended == ""
