"""Segments laid out as streams: what was sent comes back, whatever became of it on its way; what is missing is known."""

from __future__ import annotations

import itertools
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analyzer.reassembly import layout, overlaps
from analyzer.schema import ACK, FIN, PSH, RST, SYN

if TYPE_CHECKING:
    from collections.abc import Callable

    from analyzer.reassembly.layout import Streams
    from analyzer.reassembly.reader import Reader

CIRCLE = 1 << 32
ISN, PEER = 1000, 5000
"""Of the client and of the server, where a test does not say otherwise."""


@dataclass
class Wire:
    """Segments of one connection as they were captured; offsets count from the byte after the ISN."""

    isn: int = ISN
    peer: int = PEER
    rows: list[dict[str, int]] = field(default_factory=list)
    blob: bytes = b""
    fetched: int = 0

    def send(self, offset: int, data: bytes = b"", flags: int = ACK, *, client: bool = True, ack: int = 0, cut: int | None = None) -> None:  # noqa: PLR0913 - a segment
        own, other = (self.isn, self.peer) if client else (self.peer, self.isn)
        held = len(data) if cut is None else cut
        row = {"flow": 0, "by_client": client, "flags": flags, "header_captured": 20, "payload_length": len(data), "payload_captured": held}
        row |= {"seq": (own + 1 + offset) % CIRCLE, "ack": (other + 1 + ack) % CIRCLE, "payload_start": len(self.blob) if held else -1}
        row |= {"frame": len(self.rows) + 1, "time": len(self.rows) * 1000}
        self.blob += data[:held]
        self.rows.append(row)

    def fetch(self, start: int, length: int) -> bytes:
        self.fetched += length
        return self.blob[start : start + length]

    def streams(self, *, anchored: bool = True) -> Streams:
        return layout.lay_out(table(self.rows), *(np.array([number if anchored else -1]) for number in (self.isn, self.peer)))

    def read(self, side: int = 0, *, anchored: bool = True) -> tuple[list[bytes | int], layout.OpenStream]:
        """Return what a direction holds: bytes, and the lengths of gaps between them; and what opened it."""
        opened = self.streams(anchored=anchored).reader(side, self.fetch)
        return parts(opened.reader), opened


def table(rows: list[dict[str, int]]) -> pd.DataFrame:
    dtypes = {"seq": "uint32", "ack": "uint32", "flags": "uint16", "by_client": "bool", "header_captured": "int16"}
    made = pd.DataFrame(rows)
    return made.astype({name: dtypes.get(name, "int64") for name in made.columns})


def parts(reader: Reader) -> list[bytes | int]:
    found: list[bytes | int] = []
    while not reader.ended:
        found.append(reader.jump() if reader.gap else reader.take(1 << 20))
    return found


def test_segments_in_order_are_the_stream() -> None:
    wire = Wire()
    wire.send(0, b"EHLO ")
    wire.send(0, b"220 mx\r\n", client=False)
    wire.send(5, b"c\r\n")
    assert wire.read(0)[0] == [b"EHLO c\r\n"]
    assert wire.read(1)[0] == [b"220 mx\r\n"]
    assert not wire.streams().needs_resolution.any()


def test_a_retransmission_counts_once() -> None:
    wire = Wire()
    wire.send(0, b"abc")
    wire.send(0, b"abc")
    wire.send(3, b"def")
    found, opened = wire.read()
    assert (found, opened.overlap) == ([b"abcdef"], None)
    assert layout.missing(wire.streams(), 0) == 0


def test_a_retransmission_cut_anew_counts_once() -> None:
    wire = Wire()
    wire.send(0, b"abc")
    wire.send(3, b"def")
    wire.send(1, b"bcdefgh")
    found, opened = wire.read()
    assert (found, opened.overlap) == ([b"abcdefgh"], None)
    assert opened.reader.position(6) == (3, 2000)


def test_what_was_captured_first_counts_and_the_contradiction_is_told() -> None:
    wire = Wire()
    wire.send(0, b"GET /a")
    wire.send(6, b" HTTP")
    wire.send(4, b"/b H")
    wire.send(0, b"POST /")
    found, opened = wire.read()
    assert (found, opened.overlap) == ([b"GET /a HTTP"], (3, 2000))


def test_a_later_segment_fills_only_what_is_missing() -> None:
    wire = Wire()
    wire.send(2, b"cd")
    wire.send(6, b"gh")
    wire.send(0, b"abCDefGHij")
    found, opened = wire.read()
    assert (found, opened.overlap) == ([b"abcdefghij"], (3, 2000))
    assert [opened.reader.position(offset)[0] for offset in (0, 2, 4, 6, 8)] == [3, 1, 3, 2, 3]  # type: ignore[index]


def test_disorder_is_put_right() -> None:
    wire = Wire()
    for offset in (4, 0, 8, 2, 6):
        wire.send(offset, b"0123456789"[offset : offset + 2])
    assert wire.read()[0] == [b"0123456789"]


def test_a_missing_segment_is_a_gap() -> None:
    wire = Wire()
    wire.send(0, b"abc")
    wire.send(10, b"klm")
    assert wire.read()[0] == [b"abc", 7, b"klm"]
    assert layout.missing(wire.streams(), 0) == 7
    assert layout.frame_after_gap(wire.streams(), 0) == 2


def test_a_gap_among_repeats_is_counted() -> None:
    wire = Wire()
    wire.send(10, b"klm")
    wire.send(0, b"abc")
    wire.send(0, b"abcd")
    assert wire.read()[0] == [b"abcd", 6, b"klm"]
    assert layout.missing(wire.streams(), 0) == 6
    assert layout.frame_after_gap(wire.streams(), 0) == 1


@pytest.mark.parametrize("cut", [0, 1, 4])
def test_a_snap_length_leaves_a_gap(cut: int) -> None:
    wire = Wire()
    wire.send(0, b"abcde", cut=cut)
    wire.send(5, b"fgh")
    assert wire.read()[0] == [*([b"abcde"[:cut]] if cut else []), 5 - cut, b"fgh"]
    assert layout.missing(wire.streams(), 0) == 5 - cut


def test_a_copy_fills_what_a_snap_length_cut() -> None:
    wire = Wire()
    wire.send(0, b"abcde", cut=2)
    wire.send(0, b"abcde")
    found, opened = wire.read()
    assert (found, opened.overlap) == ([b"abcde"], None)


@pytest.mark.parametrize("before", [0, 1, 5, 6, 7])
@pytest.mark.parametrize("shuffled", [False, True], ids=["in order", "in disorder"])
def test_numbers_come_round(before: int, *, shuffled: bool) -> None:
    """The ISN is `before` bytes short of 2^32."""
    wire = Wire(isn=CIRCLE - 1 - before)
    for offset in (3, 0, 9, 6) if shuffled else (0, 3, 6, 9):
        wire.send(offset, b"0123456789ab"[offset : offset + 3])
    assert wire.read()[0] == [b"0123456789ab"]
    assert layout.missing(wire.streams(), 0) == 0


def test_data_on_the_syn_begins_the_stream() -> None:
    wire = Wire()
    wire.send(-1, b"EHLO", SYN)
    wire.send(4, b" c\r\n")
    assert wire.read()[0] == [b"EHLO c\r\n"]


@pytest.mark.parametrize("value", [b"\0", b"c", b"X"])
def test_the_byte_of_a_keep_alive_means_nothing(value: bytes) -> None:
    wire = Wire()
    wire.send(0, b"abc")
    wire.send(2, value)
    wire.send(2, value)
    wire.send(3, b"def")
    found, opened = wire.read()
    assert (found, opened.overlap) == ([b"abcdef"], None)


def test_a_reset_carries_no_stream() -> None:
    wire = Wire()
    wire.send(0, b"abc")
    wire.send(3, b"reason", RST)
    found, opened = wire.read()
    assert (found, opened.reader.closing) == ([b"abc"], "rst")


def test_data_behind_the_fin_is_late_and_no_part_of_the_stream() -> None:
    wire = Wire()
    wire.send(0, b"abc", ACK | FIN)
    wire.send(4, b"defg", ACK | PSH)
    streams = wire.streams()
    assert (streams.after_fin.tolist(), streams.after_fin_frame.tolist()) == ([4, 0], [2, -1])
    assert (streams.close_frame.tolist(), streams.close_time.tolist()[0]) == ([1, -1], 0)
    assert wire.read()[0] == [b"abc"]


@pytest.mark.parametrize(
    ("offset", "data"),
    [(0, b"abc"), (1, b"bc"), (3, b"\0"), (2, b"c")],
    ids=["a repetition", "of a part", "a keep-alive behind the FIN", "a keep-alive before it"],
)
def test_what_is_repeated_after_the_fin_is_not_late(offset: int, data: bytes) -> None:
    wire = Wire()
    wire.send(0, b"abc")
    wire.send(3, b"", ACK | FIN)
    wire.send(offset, data)
    assert wire.streams().after_fin.tolist() == [0, 0]
    assert wire.read()[0] == [b"abc"]


def test_data_captured_behind_the_fin_but_sent_before_is_read() -> None:
    wire = Wire()
    wire.send(6, b"", ACK | FIN)
    wire.send(3, b"def")
    wire.send(0, b"abc")
    assert wire.read()[0] == [b"abcdef"]
    assert wire.streams().after_fin.tolist() == [0, 0]


def test_a_fin_before_what_was_sent_already_is_not_the_end() -> None:
    """A forged one, say: what follows is still read."""
    wire = Wire()
    wire.send(0, b"abcdef")
    wire.send(2, b"", ACK | FIN)
    wire.send(6, b"ghi")
    assert wire.read()[0] == [b"abcdefghi"]
    assert wire.streams().after_fin.tolist() == [0, 0]


def test_the_fin_tells_of_bytes_that_were_not_captured() -> None:
    wire = Wire()
    wire.send(0, b"abc")
    wire.send(10, b"", ACK | FIN)
    assert wire.read()[0] == [b"abc", 7]
    assert layout.frame_after_gap(wire.streams(), 0) == 1


@pytest.mark.parametrize(
    ("closing", "acknowledged", "gap"), [(ACK, 9, 6), (ACK, 4, 0), (FIN | ACK, 4, 0)], ids=["a tail", "a FIN", "a FIN seen"]
)
def test_acknowledged_bytes_were_sent(closing: int, acknowledged: int, gap: int) -> None:
    """One more than was captured is the FIN's number."""
    wire = Wire()
    wire.send(0, b"abc", closing)
    wire.send(0, b"", client=False, ack=acknowledged)
    assert wire.read()[0] == [b"abc", *([gap] if gap else [])]


def test_a_direction_that_was_not_captured_has_its_size() -> None:
    wire = Wire()
    wire.send(0, b"abc", ack=14)
    assert wire.read(1)[0] == [14]
    assert wire.streams().first_ack.tolist() == [14, 0]


def test_a_stream_without_isn_begins_with_its_first_payload() -> None:
    wire = Wire(isn=CIRCLE - 3)
    wire.send(500, b"klm", ack=700)
    wire.send(497, b"hij")
    wire.send(503, b"nop")
    found, opened = wire.read(anchored=False)
    assert found == [b"klmnop"]
    assert opened.reader.position(0) == (1, 0)
    assert not wire.streams(anchored=False).isn_known.any()


def test_a_number_from_elsewhere_does_not_move_the_others() -> None:
    """Two leaps of less than half the circle make a whole one when numbers are followed from segment to segment."""
    wire = Wire()
    for offset, data in ((0, b"abc"), (2**31 - 5, b"?"), (-9, b"?"), (3, b"def")):
        wire.send(offset, data)
    assert parts(wire.streams().reader(0, wire.fetch).reader)[0] == b"abcdef"


def test_a_long_stream_comes_round() -> None:
    """More than 2^32 bytes, of which a few were captured."""
    wire, length = Wire(), 1 << 28
    rows, offset = [], 0
    for _ in range(20):
        wire.send(offset, b"x")
        rows.append(wire.rows[-1] | {"payload_length": length})
        offset += length
    streams = layout.lay_out(table(rows), np.array([ISN]), np.array([PEER]))
    assert streams.start.tolist() == [number * length for number in range(20)]
    assert streams.size.tolist() == [20 * length, 0]


@st.composite
def deliveries(draw: Any) -> tuple[bytes, int, list[tuple[int, bytes]]]:  # noqa: ANN401 - Hypothesis's draw
    """Return bytes, an ISN, and segments that hold each of them at least once, a few places from where they belong."""
    data = draw(st.binary(min_size=1, max_size=60))
    isn = draw(st.sampled_from([0, 1, CIRCLE - 1, CIRCLE - 2, CIRCLE - 20, 2**31 - 3]) | st.integers(0, CIRCLE - 1))
    cuts = sorted({0, len(data), *draw(st.lists(st.integers(0, len(data)), max_size=10))})
    pieces = list(itertools.pairwise(cuts))
    spans = st.tuples(st.integers(0, len(data) - 1), st.integers(1, 12))
    pieces += [(begin, min(begin + size, len(data))) for begin, size in draw(st.lists(spans, max_size=6))]
    places = draw(st.lists(st.integers(0, 5), min_size=len(pieces), max_size=len(pieces)))
    ordered = [
        piece for _, piece in sorted(zip((begin + place for (begin, _), place in zip(pieces, places, strict=True)), pieces, strict=True))
    ]
    return data, isn, [(begin, data[begin:end]) for begin, end in ordered]


@settings(deadline=None, max_examples=150)
@given(deliveries())
def test_any_cutting_disorder_and_repetition_gives_back_what_was_sent(delivery: tuple[bytes, int, list[tuple[int, bytes]]]) -> None:
    data, isn, segments = delivery
    wire = Wire(isn=isn)
    for offset, part in segments:
        wire.send(offset, part)
    found, opened = wire.read()
    assert (found, opened.overlap) == ([data], None)
    assert layout.missing(wire.streams(), 0) == 0
    frames = [number + 1 for number, (offset, part) in enumerate(segments) for _ in part]
    first: dict[int, int] = {}
    for number, at in zip(frames, (offset + place for offset, part in segments for place in range(len(part))), strict=True):
        first.setdefault(at, number)
    lone = {number for number, (_, part) in enumerate(segments, 1) if len(part) == 1}
    # A lone byte may be a keep-alive's; every other is said to be where it was captured first.
    spots = {at: opened.reader.position(at)[0] for at in range(len(data))}  # type: ignore[index]
    assert all(spots[at] == number for at, number in first.items() if number not in lone and spots[at] not in lone)


@settings(deadline=None, max_examples=100)
@given(deliveries(), st.data())
def test_what_was_lost_is_a_gap_and_nothing_else_is(delivery: tuple[bytes, int, list[tuple[int, bytes]]], draw: Any) -> None:  # noqa: ANN401 - Hypothesis's data
    data, isn, segments = delivery
    kept = draw.draw(st.lists(st.sampled_from(segments), min_size=1, max_size=len(segments)))
    wire = Wire(isn=isn)
    wire.send(0, data[:1])
    for offset, part in kept:
        wire.send(offset, part)
    wire.send(0, b"", client=False, ack=len(data))
    there = {0, *(offset + place for offset, part in kept for place in range(len(part)))}
    # One byte that is acknowledged and was not captured may be the FIN.
    size = len(data) if max(there) + 2 < len(data) else max(there) + 1
    found, _ = wire.read()
    told = b"".join(b"?" * part if isinstance(part, int) else part for part in found)
    assert len(told) == size
    assert all(told[at] == data[at] for at in there)
    assert sum(part for part in found if isinstance(part, int)) == layout.missing(wire.streams(), 0) == size - len(there)


# -- Work, counted in calls


def calls(work: Callable[[], object]) -> int:
    """Return how many functions are called, those of C too."""
    count = 0

    def note(_frame: object, event: str, _argument: object) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


def many(count: int, *, flows: int = 1) -> pd.DataFrame:
    """Return `count` segments of one byte, `flows` connections taking turns."""
    place = np.arange(count)
    columns = {"flow": place % flows, "by_client": np.ones(count, bool), "seq": (ISN + 1 + place // flows).astype(np.uint32)}
    columns |= {"ack": np.zeros(count, np.uint32), "flags": np.full(count, ACK, np.uint16), "header_captured": np.full(count, 20, np.int16)}
    columns |= {"payload_length": np.ones(count, np.int64), "payload_captured": np.ones(count, np.int64), "payload_start": place}
    return pd.DataFrame(columns | {"frame": place + 1, "time": place})


@pytest.mark.parametrize("flows", [1, 100_000], ids=["one direction", "a connection each"])
def test_laying_out_is_done_by_whole_arrays(flows: int) -> None:
    def lay(count: int) -> int:
        size = min(flows, count)
        segments, isns = many(count, flows=size), np.full(size, ISN)
        return calls(lambda: layout.lay_out(segments, isns, isns))

    lay(10)
    assert lay(100_000) <= lay(1_000) + 50


SHAPES: dict[str, Callable[[int], tuple[list[int], list[int]]]] = {
    "in order": lambda count: (list(range(count)), [1] * count),
    "backwards": lambda count: (list(range(count - 1, -1, -1)), [1] * count),
    "every other first": lambda count: ([*range(0, count, 2), *range(1, count, 2)], [1] * count),
    "all the same": lambda count: ([0] * count, [count] * count),
    "small ones, then large ones over all": lambda count: (
        [*range(0, count, 2), *[0] * (count // 2)],
        [1] * (count // 2) + [count] * (count // 2),
    ),
    "large ones, each within the last": lambda count: (list(range(count)), [2 * (count - place) for place in range(count)]),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_putting_in_order_grows_with_the_segments(shape: str) -> None:
    """Twice the segments are at most 2.2 times the calls; bytes compared are bounded."""

    def untangle(count: int) -> tuple[int, int]:
        starts, sizes = SHAPES[shape](count)
        numbers, fetched = list(range(count)), 0

        def fetch(_address: int, length: int) -> bytes:
            nonlocal fetched
            fetched += length
            return bytes(length)

        stops = [begin + size for begin, size in zip(starts, sizes, strict=True)]
        return calls(lambda: overlaps.resolve_overlaps(starts, stops, [0] * count, numbers, numbers, fetch)), fetched

    few, many_, bound = untangle(5_000)[0], *untangle(10_000)
    assert many_ <= 2.2 * few + 100
    assert bound <= 2 * (overlaps.MAX_COMPARED_BYTES + 20_000)
