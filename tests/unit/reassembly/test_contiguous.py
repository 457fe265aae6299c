"""Directions that were captured whole, against the reader of any direction."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyzer import capture, notation, openings
from analyzer import connections as connections_
from analyzer.reassembly import contiguous, layout
from analyzer.reassembly.contiguous import ContiguousStream
from tests.laws.test_dialogues import SAMPLES, examples, shipped

SIZES = (0, 1, 7, 512, 100_000)


@given(st.lists(st.binary(min_size=1, max_size=9), min_size=1, max_size=6), st.data())
def test_read_returns_what_was_captured(parts: list[bytes], data: st.DataObject) -> None:
    blob = b"".join(parts)
    stop = np.cumsum([len(part) for part in parts]).tolist()
    # Apart from each other, as in a capture.
    address = [100 * place for place in range(len(parts))]
    held = {where + place: byte for where, part in zip(address, parts, strict=True) for place, byte in enumerate(part)}
    one = ContiguousStream(stop, address, stop, stop, "", lambda start, size: bytes(held[start + place] for place in range(size)))
    offset, size = data.draw(st.integers(0, len(blob) + 2)), data.draw(st.integers(0, len(blob) + 2))
    assert one.read(offset, size) == blob[offset : offset + size]
    assert one.size == len(blob)
    if offset < len(blob):
        assert one.segment_at(offset) == next(place for place, end in enumerate(stop) if offset < end)


@pytest.mark.parametrize("block", [1, 100, 32_768])
def test_pairs_are_what_readers_read(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(contiguous, "BATCH_SEGMENTS", block)
    captures = [notation.capture(script) for script in examples().values()]
    captures += [capture.read(path, engine="native") for path in sorted(Path(SAMPLES).glob("*.pcap*"))]
    connections = connections_.group(captures)
    judged = openings.judge(connections, shipped())
    streams = layout.lay_out(connections.segments, judged.numbers["client_isn"], judged.numbers["server_isn"])
    owner = connections.flows["capture"].to_numpy()
    fetch = [None if one.payloads is None else one.payloads.read for one in captures]
    chosen = np.flatnonzero(contiguous.both_contiguous(streams))
    found = list(contiguous.pairs(streams, chosen, owner, fetch))
    assert [flow for flow, *_ in found] == chosen.tolist()
    assert len(found) > 100
    for flow, *sides in found:
        read = fetch[owner[flow]]
        assert read is not None
        for side, one in enumerate(sides):
            opened = streams.reader(2 * flow + side, read)
            reader = opened.reader
            assert (one.size, one.closing, opened.overlap) == (reader.size, reader.closing, None)
            assert reader.missing(0, reader.size) == 0
            assert [one.read(0, size) for size in SIZES] == [reader.peek(size) for size in SIZES]
            for offset in {0, one.size // 2, one.size - 1}:
                place = one.segment_at(offset)
                assert (one.frame[place], one.time[place]) == reader.position(offset)
