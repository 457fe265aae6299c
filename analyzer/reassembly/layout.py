"""From segments to streams: where the payload bytes of each direction are, in order of sequence numbers.

A direction (group = 2 * flow, + 1 for the server) is laid out from the byte after its ISN, or from its first payload where the ISN is not
known. Of several copies of a byte, the one captured first counts. RSTs and segments of an earlier connection carry no stream. Directions
whose segments follow each other are laid out as whole arrays; only those with repeats or disorder are sorted one by one, when they are
read. Payload is fetched only to compare overlapping copies.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from analyzer.connections import strays, tuple_key
from analyzer.reassembly.overlaps import resolve_overlaps
from analyzer.reassembly.reader import Reader, StreamSegments
from analyzer.schema import ACK, FIN, RST, SYN

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from analyzer.reassembly.reader import Closing, Position

Array = np.ndarray[Any, np.dtype[Any]]

CLOSINGS: Final[tuple[Closing, ...]] = ("", "fin", "rst")
_SEGMENT_COLUMNS: Final = ("start", "stop", "address", "frame", "time")
"""The columns of `Streams` with one value per segment."""
_FLAGS_READABLE: Final = 14
"""Header bytes that reach to the flags."""
_MAX_FOLLOWED_BYTES: Final = 1 << 30
"""Bytes up to which acknowledgments are followed: beyond them, sequence numbers may have wrapped around."""


@dataclass(frozen=True, slots=True)
class Streams:
    """All directions of all connections; arrays of segments are sorted by group, in capture order inside each."""

    bounds: Array
    """Where each group's segments begin; one more entry than groups."""
    start: Array
    """Offset in the stream, int64."""
    stop: Array
    """Offset behind the last captured byte."""
    address: Array
    """Where the bytes are, -1 for a segment of which none was captured."""
    frame: Array
    time: Array
    size: Array
    """Per group: bytes the stream is known to have had."""
    captured: Array
    """Per group: bytes captured, overlaps counted as often as they were; exact where `needs_resolution` is not set."""
    needs_resolution: Array
    """Per group: whether segments overlap or are in disorder."""
    close: Array
    """Per group: index in `CLOSINGS`."""
    close_frame: Array
    """Per group: frame of its first FIN, else of its first RST, -1 when there is none."""
    close_time: Array
    """Per group: the time of that frame; meaningless when there is none."""
    after_fin: Array
    """Per group: new bytes sent after its own FIN."""
    after_fin_frame: Array
    """Per group: the first frame of them, -1 when there is none."""
    isn_known: Array
    """Per group: whether it is laid out from its ISN."""
    first_ack: Array
    """Per group: how many of the other side's bytes its first segment acknowledges, 0 where that is not known."""

    @property
    def first(self) -> Array:
        """Per group: its first segment; meaningless where it has none."""
        return np.minimum(self.bounds[:-1], max(len(self.start) - 1, 0))

    @property
    def has_payload(self) -> Array:
        """Per group: whether it has any segment."""
        found: Array = self.bounds[1:] > self.bounds[:-1]
        return found

    def part(self, first: int, last: int) -> Streams:
        """Return the streams of connections `first` to `last`, that one left out, alone."""
        begin, end = int(self.bounds[2 * first]), int(self.bounds[2 * last])
        columns = {name: getattr(self, name)[begin:end] for name in _SEGMENT_COLUMNS}
        groups = {
            one.name: getattr(self, one.name)[2 * first : 2 * last] for one in fields(self) if one.name not in {"bounds", *_SEGMENT_COLUMNS}
        }
        return Streams(bounds=self.bounds[2 * first : 2 * last + 1] - begin, **columns, **groups)

    def reader(self, group: int, fetch: Callable[[int, int], bytes]) -> OpenStream:
        """Return a reader of one direction."""
        begin, end = int(self.bounds[group]), int(self.bounds[group + 1])
        start, stop, address, frame, time = (
            column[begin:end].tolist() for column in (self.start, self.stop, self.address, self.frame, self.time)
        )
        overlap = None
        if self.needs_resolution[group]:
            start, stop, address, frame, time, overlap = resolve_overlaps(start, stop, address, frame, time, fetch)
        if -1 in address:
            kept = [place for place, where in enumerate(address) if where >= 0]
            start, stop, address, frame, time = ([column[place] for place in kept] for column in (start, stop, address, frame, time))
        captured = StreamSegments(start, stop, address, frame, time, int(self.size[group]), CLOSINGS[self.close[group]])
        return OpenStream(Reader("server" if group & 1 else "client", captured, fetch), overlap)


@dataclass(frozen=True, slots=True)
class OpenStream:
    """A direction ready to be read."""

    reader: Reader
    overlap: Position | None
    """The first segment that carried other bytes than the copy captured before it."""


def lay_out(segments: pd.DataFrame, client_isn: Array, server_isn: Array) -> Streams:
    """Return the streams of all connections.

    `segments` is table `FLOW_SEGMENTS`; the ISNs are int64, one per connection, -1 where unknown.
    """
    count = 2 * len(client_isn)
    isn = np.empty(count, np.int64)
    isn[0::2], isn[1::2] = client_isn, server_isn
    columns = {
        name: segments[name].to_numpy() for name in ("flow", "by_client", "seq", "ack", "flags", "header_captured", "payload_length")
    }
    readable = columns["header_captured"] >= _FLAGS_READABLE
    readable[strays.find(strays.Numbers(*(columns[name] for name in strays.Numbers._fields)), isn)] = False
    group = columns["flow"].astype(np.int64) * 2 + ~columns["by_client"]
    loaded = np.flatnonzero(readable & (columns["payload_length"] > 0) & (columns["flags"] & RST == 0))
    rows = tuple_key.positions(tuple_key.sort(group[loaded], loaded))
    of = group[rows]
    bounds = np.searchsorted(of, np.arange(count + 1))
    length = columns["payload_length"][rows].astype(np.int64)
    start = _lay_out(columns["seq"][rows] + (columns["flags"][rows] & SYN != 0).astype(np.uint32), length, of, bounds, isn)
    stop = start + length
    ends = _ends(segments, columns, group, readable, _Laid(rows, of, bounds, start, stop), isn)
    kept = (stop > 0) & ~ends.beyond
    if not kept.all():
        rows, of, start, stop = rows[kept], of[kept], start[kept], stop[kept]
        bounds = np.searchsorted(of, np.arange(count + 1))
    address = segments["payload_start"].to_numpy()[rows]
    captured = np.where(address >= 0, segments["payload_captured"].to_numpy()[rows], 0)
    before = np.maximum(-start, 0)
    address = np.where(captured > before, address + before, -1)
    held = np.where(address >= 0, start + captured, np.maximum(start, 0))
    start = np.maximum(start, 0)
    size = ends.size.copy()
    np.maximum.at(size, of, stop)
    unordered = _find_unordered(start, stop, of, count)
    size = _acknowledged(columns, readable, group, isn, size, ends.closing)
    return Streams(
        bounds=bounds,
        start=start,
        stop=held,
        address=address,
        frame=segments["frame"].to_numpy()[rows].astype(np.int64),
        time=segments["time"].to_numpy()[rows],
        size=size,
        captured=np.bincount(of, np.maximum(held - start, 0), minlength=count).astype(np.int64),
        needs_resolution=unordered,
        close=ends.closing,
        close_frame=ends.frame,
        close_time=ends.time,
        after_fin=ends.late,
        after_fin_frame=ends.late_frame,
        isn_known=isn >= 0,
        first_ack=_first_acks(columns, rows, bounds, isn, size),
    )


def _lay_out(seq: Array, length: Array, of: Array, bounds: Array, isn: Array) -> Array:
    """Return the offset of each segment in its stream, counted from the ISN, else from the first segment.

    Sequence numbers of a long stream may wrap around: they are unwrapped from one segment to the next.
    """
    if not len(seq):
        return np.zeros(0, np.int64)
    first = np.minimum(bounds[:-1], len(seq) - 1)
    base = np.where(isn >= 0, (isn + 1).astype(np.uint32), seq[first])
    found: Array = (seq - base[of]).view(np.int32).astype(np.int64)
    far = np.bincount(of, length, minlength=len(isn)) >= _MAX_FOLLOWED_BYTES
    if far.any():
        step = np.zeros(len(seq), np.int64)
        step[1:] = (seq[1:] - seq[:-1]).view(np.int32)
        walked = np.cumsum(step)
        found = np.where(far[of], walked - walked[first][of] + found[first][of], found)
    return found


def _reached(stop: Array, of: Array, count: int) -> Array:
    """Return how far each segment and those before it in its group reach."""
    span = np.zeros(count, np.int64)
    np.maximum.at(span, of, stop)
    # The offsets of all groups are shifted into disjoint ranges, so that one running maximum serves all groups.
    shift = np.cumsum(span) - span
    found: Array = np.maximum.accumulate(np.maximum(stop, 0) + shift[of]) - shift[of]
    return found


def _find_unordered(start: Array, stop: Array, of: Array, count: int) -> Array:
    """Return, per group, whether a segment begins before the end of those before it."""
    found = np.zeros(count, bool)
    if len(start):
        early = np.flatnonzero((start[1:] < _reached(stop, of, count)[:-1]) & (of[1:] == of[:-1])) + 1
        found[of[early]] = True
    return found


def _acknowledged(columns: dict[str, Array], readable: Array, group: Array, isn: Array, size: Array, closing: Array) -> Array:  # noqa: PLR0913, PLR0917 - columns
    """Return the sizes, made larger where the other side acknowledged bytes that were not captured.

    One byte more is the FIN's, which was not captured.
    """
    acks = np.flatnonzero(readable & (columns["flags"] & (ACK | RST | SYN) == ACK))
    of = group[acks] ^ 1
    known = isn[of] >= 0
    acks, of = acks[known], of[known]
    offset = (columns["ack"][acks] - (isn[of] + 1).astype(np.uint32)).view(np.int32).astype(np.int64)
    reached = np.zeros(len(size), np.int64)
    np.maximum.at(reached, of, offset)
    reached -= closing == CLOSINGS.index("fin")
    believed = (reached > size + 1) & (size < _MAX_FOLLOWED_BYTES) & (reached < _MAX_FOLLOWED_BYTES)
    return np.where(believed, reached, size)


def _first_acks(columns: dict[str, Array], rows: Array, bounds: Array, isn: Array, size: Array) -> Array:
    """Return, per group, how much of the other side's stream its first segment acknowledges."""
    found = np.zeros(len(isn), np.int64)
    groups = np.flatnonzero((bounds[1:] > bounds[:-1]) & (isn >= 0).reshape(-1, 2)[:, ::-1].ravel())
    first, other = rows[bounds[groups]], groups ^ 1
    offset = (columns["ack"][first] - (isn[other] + 1).astype(np.uint32)).view(np.int32).astype(np.int64)
    acknowledging = columns["flags"][first] & ACK != 0
    found[groups] = np.where(acknowledging, np.clip(offset, 0, size[other]), 0)
    return found


@dataclass(frozen=True, slots=True)
class _Laid:
    """Segments by group, in capture order: their segments, groups, where each group begins, and where they lie."""

    rows: Array
    of: Array
    bounds: Array
    start: Array
    stop: Array


@dataclass(frozen=True, slots=True)
class _StreamEnds:
    """Per group: how, where and when it ended, and what it sent afterwards."""

    closing: Array
    frame: Array
    time: Array
    size: Array
    """Bytes the stream has by the number of its FIN, 0 where that is not known."""
    late: Array
    late_frame: Array
    beyond: Array
    """Per segment: whether it was sent after the FIN and lies behind it, so that it is no part of the stream."""


def _ends(segments: pd.DataFrame, columns: dict[str, Array], group: Array, readable: Array, laid: _Laid, isn: Array) -> _StreamEnds:  # noqa: PLR0913, PLR0917 - columns
    """Return how each group ended."""
    frame, time = segments["frame"].to_numpy(), segments["time"].to_numpy()
    count = len(isn)
    closing, closing_time = np.zeros(count, np.int8), np.zeros(count, np.int64)
    closing_frame, late_frame = np.full(count, -1, np.int64), np.full(count, -1, np.int64)
    # A RST whose sender continues was forged or meant for another connection.
    went_on = np.full(count, -1, np.int64)
    plain = np.flatnonzero(readable & (columns["flags"] & RST == 0))
    went_on[group[plain]] = plain
    for code, flag in ((CLOSINGS.index("rst"), RST), (CLOSINGS.index("fin"), FIN)):
        hits = np.flatnonzero(readable & (columns["flags"] & flag != 0))[::-1]
        hits = hits[hits > went_on[group[hits]]] if flag == RST else hits
        closing[group[hits]], closing_frame[group[hits]], closing_time[group[hits]] = code, frame[hits], time[hits]
    fin, at = _fins(columns, group, readable, laid, isn)
    late, length = np.zeros(count, np.int64), laid.stop - laid.start
    after = (fin[laid.of] >= 0) & (laid.rows > fin[laid.of]) & (laid.stop > at[laid.of])
    # A lone byte in the place of the FIN is a keep-alive's (RFC 9293 3.8.4).
    hits = np.flatnonzero(after & ~((length == 1) & (laid.start == at[laid.of])))[::-1]
    np.add.at(late, laid.of[hits], np.minimum(laid.stop - at[laid.of], length)[hits])
    late_frame[laid.of[hits]] = frame[laid.rows[hits]]
    size = np.where((fin >= 0) & (at < _MAX_FOLLOWED_BYTES), np.maximum(at, 0), 0)
    return _StreamEnds(closing, closing_frame, closing_time, size, late, late_frame, after & (laid.start >= at[laid.of]))


def _fins(columns: dict[str, Array], group: Array, readable: Array, laid: _Laid, isn: Array) -> tuple[Array, Array]:
    """Return, per group, the segment with its first FIN, and that FIN's offset in the stream; -1 where none can be believed.

    A FIN before bytes that were captured already did not end the stream.
    """
    count = len(isn)
    found, at = np.full(count, -1, np.int64), np.full(count, -1, np.int64)
    fins = np.flatnonzero(readable & (columns["flags"] & (FIN | SYN | RST) == FIN))[::-1]
    found[group[fins]] = fins
    groups = np.flatnonzero(found >= 0)
    if not len(groups):
        return found, at
    fins = found[groups]
    seq = columns["seq"][fins] + columns["payload_length"][fins].astype(np.uint32)
    at[groups] = np.where(isn[groups] >= 0, (seq - (isn[groups] + 1).astype(np.uint32)).view(np.int32), -1)
    if len(laid.rows):
        order = np.int64(len(group) + 1)
        place = np.searchsorted(laid.of * order + laid.rows, groups * order + fins, side="right") - 1
        held = place >= laid.bounds[groups]
        place = place[held]
        ahead = (
            (seq[held] - (columns["seq"][laid.rows[place]] + (columns["flags"][laid.rows[place]] & SYN != 0)))
            .astype(np.uint32)
            .view(np.int32)
        )
        at[groups[held]] = laid.start[place] + ahead
        stale = groups[held][at[groups[held]] < _reached(laid.stop, laid.of, count)[place]]
        found[stale] = at[stale] = -1
    found[at < 0] = -1
    return found, at


def missing(streams: Streams, group: int) -> int:
    """Return how many bytes of a direction were not captured."""
    if not streams.needs_resolution[group]:
        return int(streams.size[group] - streams.captured[group])
    start, stop, before, _ = _ordered(streams, group)
    return int(streams.size[group] - np.maximum(stop - np.maximum(start, before), 0).sum())


def frame_after_gap(streams: Streams, group: int) -> int:
    """Return the frame of what follows the first bytes of a direction that were not captured.

    Where nothing follows them, the frame of the last payload before; -1 where nothing is missing or nothing was captured.
    """
    start, stop, before, frame = _ordered(streams, group)
    behind = np.flatnonzero(start > before)
    if len(behind):
        return int(frame[behind[0]])
    return int(frame[np.argmax(stop)]) if len(stop) and stop.max() < streams.size[group] else -1


def _ordered(streams: Streams, group: int) -> tuple[Array, Array, Array, Array]:
    """Return a direction's captured segments by offset: start, stop, how far those before reach, frame."""
    part = slice(int(streams.bounds[group]), int(streams.bounds[group + 1]))
    order = np.argsort(streams.start[part], kind="stable")
    order = order[(streams.address[part] >= 0)[order]]
    start, stop, frame = (column[part][order] for column in (streams.start, streams.stop, streams.frame))
    return start, stop, np.maximum.accumulate(np.concatenate(([0], stop)))[: len(stop)], frame
