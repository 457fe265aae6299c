"""Segments ─► streams: where each direction's payload bytes lie, in order of sequence numbers.

A direction (group = flow * 2, + 1 for the server) is laid out from the byte after its ISN; where the ISN is not known, from its first
payload. A byte counts once, as it was captured first. RSTs carry no stream.

Promises: whole arrays for directions whose segments follow each other; only those with repeats or in disorder are sorted one by one, and
only when somebody reads them. No payload byte is looked at but for comparing copies of one that overlap.
Must not know: protocols.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from analyzer.applications.streams import Pieces, Reader, Spot
from analyzer.flows import keys
from analyzer.tables import ACK, FIN, RST, SYN

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pandas as pd

    from analyzer.applications.streams import Closing

Array = np.ndarray[Any, np.dtype[Any]]

CLOSINGS: Final[tuple[Closing, ...]] = ("", "fin", "rst")
_FLAGS_READABLE: Final = 14
"""Header bytes that reach to the flags."""
_FAR: Final = 1 << 30
"""Beyond so many bytes acknowledgments are not followed: they could be of a number that came round."""
_COMPARED: Final = 1 << 16
"""Bytes of overlaps compared in one direction."""


@dataclass(frozen=True, slots=True)
class Streams:
    """All directions of all connections; arrays of pieces are sorted by group, in capture order inside each."""

    bounds: Array
    """Where each group's pieces begin; one more entry than groups."""
    start: Array
    """Offset in the stream, int64."""
    stop: Array
    """Offset behind the last captured byte."""
    address: Array
    """Where the bytes are, -1 for a piece of which none was captured."""
    frame: Array
    time: Array
    size: Array
    """Per group: bytes the stream is known to have had."""
    held: Array
    """Per group: bytes captured, overlaps counted as often as they were; exact where `tangled` is not set."""
    tangled: Array
    """Per group: whether pieces overlap or are in disorder."""
    closing: Array
    """Per group: index in `CLOSINGS`."""
    closing_frame: Array
    """Per group: frame of its first FIN or RST, -1 when there is none."""
    late: Array
    """Per group: new bytes sent after its own FIN."""
    late_frame: Array
    """Per group: the first frame of them, -1 when there is none."""
    anchored: Array
    """Per group: whether it is laid out from its ISN."""

    @property
    def first(self) -> Array:
        """Per group: its first piece; meaningless where it has none."""
        return np.minimum(self.bounds[:-1], max(len(self.start) - 1, 0))

    @property
    def spoken(self) -> Array:
        """Per group: whether it has any piece."""
        found: Array = self.bounds[1:] > self.bounds[:-1]
        return found

    def reader(self, group: int, fetch: Callable[[int, int], bytes]) -> Opened:
        """Return a reader of one direction."""
        begin, end = int(self.bounds[group]), int(self.bounds[group + 1])
        start, stop, address, frame, time = (
            column[begin:end].tolist() for column in (self.start, self.stop, self.address, self.frame, self.time)
        )
        overlap = None
        if self.tangled[group]:
            start, stop, address, frame, time, overlap = untangle(start, stop, address, frame, time, fetch)
        if -1 in address:
            kept = [place for place, where in enumerate(address) if where >= 0]
            start, stop, address, frame, time = ([column[place] for place in kept] for column in (start, stop, address, frame, time))
        pieces = Pieces(start, stop, address, frame, time, int(self.size[group]), CLOSINGS[self.closing[group]])
        return Opened(Reader("server" if group & 1 else "client", pieces, fetch), overlap)


@dataclass(frozen=True, slots=True)
class Opened:
    """A direction ready to be read."""

    reader: Reader
    overlap: Spot | None
    """The first segment that carried other bytes than the copy captured before it."""


def assemble(segments: pd.DataFrame, client_isn: Array, server_isn: Array) -> Streams:
    """Return the streams of all connections.

    `segments` is table `FLOW_SEGMENTS`; the ISNs are int64 a connection, -1 where they are not known.
    """
    count = 2 * len(client_isn)
    isn = np.empty(count, np.int64)
    isn[0::2], isn[1::2] = client_isn, server_isn
    columns = {
        name: segments[name].to_numpy() for name in ("flow", "by_client", "seq", "ack", "flags", "header_captured", "payload_length")
    }
    told = columns["header_captured"] >= _FLAGS_READABLE
    group = columns["flow"].astype(np.int64) * 2 + ~columns["by_client"]
    loaded = np.flatnonzero(told & (columns["payload_length"] > 0) & (columns["flags"] & RST == 0))
    rows = keys.positions(keys.sort(group[loaded], loaded))
    of = group[rows]
    bounds = np.searchsorted(of, np.arange(count + 1))
    start = _lay_out(columns["seq"][rows] + (columns["flags"][rows] & SYN != 0).astype(np.uint32), of, bounds, isn)
    stop = start + columns["payload_length"][rows]
    kept = stop > 0
    if not kept.all():
        rows, of, start, stop = rows[kept], of[kept], start[kept], stop[kept]
        bounds = np.searchsorted(of, np.arange(count + 1))
    address = segments["payload_start"].to_numpy()[rows]
    captured = np.where(address >= 0, segments["payload_captured"].to_numpy()[rows], 0)
    before = np.maximum(-start, 0)
    address = np.where(captured > before, address + before, -1)
    held = np.where(address >= 0, start + captured, np.maximum(start, 0))
    start = np.maximum(start, 0)
    size = np.zeros(count, np.int64)
    np.maximum.at(size, of, stop)
    tangled = _tangled(start, stop, of, bounds)
    closing, closing_frame, late, late_frame = _ends(segments, columns, group, told, rows, of, count)
    return Streams(
        bounds=bounds,
        start=start,
        stop=held,
        address=address,
        frame=segments["frame"].to_numpy()[rows].astype(np.int64),
        time=segments["time"].to_numpy()[rows],
        size=_acknowledged(columns, told, group, isn, size, closing),
        held=np.bincount(of, np.maximum(held - start, 0), minlength=count).astype(np.int64),
        tangled=tangled,
        closing=closing,
        closing_frame=closing_frame,
        late=late,
        late_frame=late_frame,
        anchored=isn >= 0,
    )


def _lay_out(seq: Array, of: Array, bounds: Array, isn: Array) -> Array:
    """Return the offset of each piece in its stream: numbers unwrapped from one piece to the next, counted from the ISN."""
    if not len(seq):
        return np.zeros(0, np.int64)
    step = np.zeros(len(seq), np.int64)
    step[1:] = (seq[1:] - seq[:-1]).view(np.int32)
    walked = np.cumsum(step)
    first = np.minimum(bounds[:-1], len(seq) - 1)
    ahead = (seq[first] - (isn + 1).astype(np.uint32)).view(np.int32).astype(np.int64)
    shift = np.where(isn >= 0, ahead, 0) - walked[first]
    found: Array = walked + shift[of]
    return found


def _tangled(start: Array, stop: Array, of: Array, bounds: Array) -> Array:
    """Return, per group, whether a piece begins before the end of those before it."""
    count = len(bounds) - 1
    tangled = np.zeros(count, bool)
    if not len(start):
        return tangled
    span = np.zeros(count, np.int64)
    np.maximum.at(span, of, stop)
    # The groups' numbers are laid out one behind the other, so that one running maximum serves them all.
    shift = np.cumsum(span) - span
    reached = np.maximum.accumulate(stop + shift[of])
    early = np.flatnonzero((start[1:] + shift[of[1:]] < reached[:-1]) & (of[1:] == of[:-1])) + 1
    tangled[of[early]] = True
    return tangled


def _acknowledged(columns: dict[str, Array], told: Array, group: Array, isn: Array, size: Array, closing: Array) -> Array:
    """Return the sizes, made larger where the other side acknowledged bytes that were not captured.

    One byte more is no byte: the FIN was not captured.
    """
    acks = np.flatnonzero(told & (columns["flags"] & (ACK | RST | SYN) == ACK))
    of = group[acks] ^ 1
    known = isn[of] >= 0
    acks, of = acks[known], of[known]
    offset = (columns["ack"][acks] - (isn[of] + 1).astype(np.uint32)).view(np.int32).astype(np.int64)
    reached = np.zeros(len(size), np.int64)
    np.maximum.at(reached, of, offset)
    reached -= closing == CLOSINGS.index("fin")
    believed = (reached > size + 1) & (size < _FAR) & (reached < _FAR)
    return np.where(believed, reached, size)


def _ends(
    segments: pd.DataFrame, columns: dict[str, Array], group: Array, told: Array, rows: Array, of: Array, count: int
) -> tuple[Array, Array, Array, Array]:
    """Return, per group, how and in which frame it ended, and how many new bytes it sent afterwards and in which frame."""
    frame = segments["frame"].to_numpy()
    closing = np.zeros(count, np.int8)
    closing_frame, late_frame = np.full(count, -1, np.int64), np.full(count, -1, np.int64)
    late = np.zeros(count, np.int64)
    for code, flag in ((CLOSINGS.index("rst"), RST), (CLOSINGS.index("fin"), FIN)):
        hits = np.flatnonzero(told & (columns["flags"] & flag != 0))[::-1]
        closing[group[hits]], closing_frame[group[hits]] = code, frame[hits]
    fins = np.flatnonzero(told & (columns["flags"] & (FIN | SYN | RST) == FIN))[::-1]
    if len(fins) and len(rows):
        last, at = np.full(count, -1, np.int64), np.zeros(count, np.uint32)
        last[group[fins]] = fins
        at[group[fins]] = columns["seq"][fins] + columns["payload_length"][fins].astype(np.uint32)
        after = (rows > last[of]) & (last[of] >= 0)
        beyond = (columns["seq"][rows] + columns["payload_length"][rows].astype(np.uint32) - at[of]).view(np.int32)
        hits = np.flatnonzero(after & (beyond > 0))[::-1]
        np.add.at(late, of[hits], np.minimum(beyond[hits], columns["payload_length"][rows[hits]]))
        late_frame[of[hits]] = frame[rows[hits]]
    return closing, closing_frame, late, late_frame


def untangle(
    start: Sequence[int],
    stop: Sequence[int],
    address: Sequence[int],
    frame: Sequence[int],
    time: Sequence[int],
    fetch: Callable[[int, int], bytes],
) -> tuple[list[int], list[int], list[int], list[int], list[int], Spot | None]:
    """Return the pieces in order, each byte as it was captured first, and the first segment that contradicts an earlier copy.

    A lone byte just before the next number is a keep-alive's, whose value means nothing (RFC 9293 3.8.4).
    """
    starts, ends = list[int](), list[int]()
    kept = list[tuple[int, int, int]]()
    overlap, compared = None, 0
    for begin, end, where, number, when in zip(start, stop, address, frame, time, strict=True):
        if where < 0 or end <= begin or (end - begin == 1 and ends and end == ends[-1]):
            continue
        place, at = bisect_right(ends, begin), begin
        while at < end:
            if place == len(starts) or starts[place] > at:
                until = end if place == len(starts) else min(end, starts[place])
                starts.insert(place, at)
                ends.insert(place, until)
                kept.insert(place, (where + at - begin, number, when))
            else:
                until = min(end, ends[place])
                if overlap is None and compared < _COMPARED:
                    compared += until - at
                    if fetch(where + at - begin, until - at) != fetch(kept[place][0] + at - starts[place], until - at):
                        overlap = Spot(number, when)
            at = until
            place += 1
    return starts, ends, [one[0] for one in kept], [one[1] for one in kept], [one[2] for one in kept], overlap


def missing(streams: Streams, group: int) -> int:
    """Return how many bytes of a direction were not captured; of a tangled one an estimate from its pieces."""
    begin, end = int(streams.bounds[group]), int(streams.bounds[group + 1])
    if not streams.tangled[group]:
        return int(streams.size[group] - streams.held[group])
    order = np.argsort(streams.start[begin:end], kind="stable")
    start, stop = streams.start[begin:end][order], streams.stop[begin:end][order]
    reached = np.maximum.accumulate(stop)
    before = np.concatenate(([0], reached[:-1]))
    return int(streams.size[group] - np.maximum(stop - np.maximum(start, before), 0).sum())
