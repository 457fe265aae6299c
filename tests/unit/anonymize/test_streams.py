"""Edits of streams: every cut of a stream into segments gives the same bytes, whatever is captured twice."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyzer.anonymize.streams import Rewriter, Segments, StreamEdits, find_edits
from analyzer.errors import UsageError

STREAM = bytes(range(65, 91))


@st.composite
def edits(draw: st.DrawFn) -> list[tuple[int, int, bytes]]:
    bounds = sorted(draw(st.sets(st.integers(0, len(STREAM)), min_size=2, max_size=8)))
    pairs = list(zip(bounds[::2], bounds[1::2], strict=False))
    return [(start, end, draw(st.binary(max_size=12))) for start, end in pairs]


def edited(found: list[tuple[int, int, bytes]]) -> bytes:
    """The stream with its edits, back to front."""
    text = STREAM
    for start, end, new in sorted(found, reverse=True):
        text = text[:start] + new + text[end:]
    return text


@given(edits(), st.lists(st.integers(0, len(STREAM)), max_size=6), st.integers(0, 2**32 - 1))
def test_segments_in_order_make_the_edited_stream(found: list[tuple[int, int, bytes]], cuts: list[int], base: int) -> None:
    stream = StreamEdits(base, found)
    bounds = sorted({0, len(STREAM), *cuts})
    segments = [stream.payload((base + start) % 2**32, STREAM[start:end]) for start, end in pairwise(bounds)]
    assert b"".join(segments) == edited(found)
    places = [(stream.sequence((base + start) % 2**32) - base) % 2**32 for start in bounds]
    assert [end - start for start, end in pairwise(places)] == [len(segment) for segment in segments]


@given(edits(), st.integers(0, len(STREAM)), st.integers(0, len(STREAM)))
def test_a_segment_sent_again_has_the_bytes_of_the_stream(found: list[tuple[int, int, bytes]], one: int, other: int) -> None:
    start, end = min(one, other), max(one, other)
    stream = StreamEdits(0, found)
    assert edited(found)[stream.move(start) : stream.move(end)] == stream.payload(start, STREAM[start:end])


@given(edits())
def test_places_never_change_their_order(found: list[tuple[int, int, bytes]]) -> None:
    moved = [StreamEdits(0, found).move(offset) for offset in range(-3, len(STREAM) + 3)]
    assert moved == sorted(moved)


def test_a_word_across_segments_and_out_of_order_is_found() -> None:
    def search(run: bytes) -> list[tuple[int, int, bytes]]:
        at = run.find(b"secret")
        return [(at, at + 6, b"xx")] if at >= 0 else []

    found = find_edits([(103, b"et!"), (97, b"a s"), (100, b"ecr")], search)
    assert found.payload(97, b"a secret!") == b"a xx!"


def header(flags: int, sequence: int, acknowledgment: int, options: bytes = b"") -> bytes:
    size = 20 + len(options)
    return bytes(4) + sequence.to_bytes(4) + acknowledgment.to_bytes(4) + bytes([size // 4 << 4, flags]) + bytes(6) + options


def test_acknowledgments_and_sack_edges_follow_the_other_stream() -> None:
    segments = Segments({1: (0, True), 2: (0, False)}, {})
    theirs = StreamEdits(1000, [(0, 4, b"longer text")])
    rewriter = Rewriter(segments, {(0, False): theirs})
    sack = b"\x01\x01\x05\x0a" + (1010).to_bytes(4) + (1020).to_bytes(4)
    found, length = rewriter(1, header(0x10, 7, 1004, sack), 32, quoted=False)
    assert length == 32
    assert int.from_bytes(found[8:12]) == 1011
    assert [int.from_bytes(found[at : at + 4]) for at in (24, 28)] == [1017, 1027]


def test_a_frame_of_no_connection_is_refused() -> None:
    with pytest.raises(UsageError, match="frame 3 belongs to no connection"):
        Rewriter(Segments({}, {}), {})(3, header(0x10, 1, 1), 20, quoted=False)


def test_an_address_in_an_option_is_refused() -> None:
    option = b"\x1e\x08\x34\x01" + bytes([192, 0, 2, 1])
    with pytest.raises(UsageError, match="frame 1 has a TCP option with an address"):
        Rewriter(Segments({1: (0, True)}, {}), {})(1, header(0x10, 1, 1, option), 28, quoted=False)
