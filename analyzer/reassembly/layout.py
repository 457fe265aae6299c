"""Segments ─► streams: where each direction's payload bytes lie, in order of sequence numbers.

A direction (group = flow * 2, + 1 for the server) is laid out from the byte after its ISN; where the ISN is not known, from its first
payload. A byte counts once, as it was captured first. RSTs carry no stream, and neither does what is left of an earlier connection.

Promises: whole arrays for directions whose segments follow each other; only those with repeats or in disorder are sorted one by one, and
only when somebody reads them. No payload byte is looked at but for comparing copies of one that overlap.
Must not know: protocols.
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
_OF_PIECES: Final = ("start", "stop", "address", "frame", "time")
"""The columns of `Streams` that have a value a piece."""
_FLAGS_READABLE: Final = 14
"""Header bytes that reach to the flags."""
_FAR: Final = 1 << 30
"""Beyond so many bytes acknowledgments are not followed: they could be of a number that came round."""


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
    captured: Array
    """Per group: bytes captured, overlaps counted as often as they were; exact where `needs_resolution` is not set."""
    needs_resolution: Array
    """Per group: whether pieces overlap or are in disorder."""
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
    """Per group: how many of the other side's bytes its first piece acknowledges, 0 where that is not known."""

    @property
    def first(self) -> Array:
        """Per group: its first piece; meaningless where it has none."""
        return np.minimum(self.bounds[:-1], max(len(self.start) - 1, 0))

    @property
    def has_payload(self) -> Array:
        """Per group: whether it has any piece."""
        found: Array = self.bounds[1:] > self.bounds[:-1]
        return found

    def part(self, first: int, last: int) -> Streams:
        """Return the streams of connections `first` to `last`, that one left out, alone."""
        begin, end = int(self.bounds[2 * first]), int(self.bounds[2 * last])
        pieces = {name: getattr(self, name)[begin:end] for name in _OF_PIECES}
        groups = {
            one.name: getattr(self, one.name)[2 * first : 2 * last] for one in fields(self) if one.name not in {"bounds", *_OF_PIECES}
        }
        return Streams(bounds=self.bounds[2 * first : 2 * last + 1] - begin, **pieces, **groups)

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
        pieces = StreamSegments(start, stop, address, frame, time, int(self.size[group]), CLOSINGS[self.close[group]])
        return OpenStream(Reader("server" if group & 1 else "client", pieces, fetch), overlap)


@dataclass(frozen=True, slots=True)
class OpenStream:
    """A direction ready to be read."""

    reader: Reader
    overlap: Position | None
    """The first segment that carried other bytes than the copy captured before it."""


def lay_out(segments: pd.DataFrame, client_isn: Array, server_isn: Array) -> Streams:
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
    told[strays.find(strays.Numbers(*(columns[name] for name in strays.Numbers._fields)), isn)] = False
    group = columns["flow"].astype(np.int64) * 2 + ~columns["by_client"]
    loaded = np.flatnonzero(told & (columns["payload_length"] > 0) & (columns["flags"] & RST == 0))
    rows = tuple_key.positions(tuple_key.sort(group[loaded], loaded))
    of = group[rows]
    bounds = np.searchsorted(of, np.arange(count + 1))
    length = columns["payload_length"][rows].astype(np.int64)
    start = _lay_out(columns["seq"][rows] + (columns["flags"][rows] & SYN != 0).astype(np.uint32), length, of, bounds, isn)
    stop = start + length
    ends = _ends(segments, columns, group, told, _Laid(rows, of, bounds, start, stop), isn)
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
    tangled = _tangled(start, stop, of, count)
    size = _acknowledged(columns, told, group, isn, size, ends.closing)
    return Streams(
        bounds=bounds,
        start=start,
        stop=held,
        address=address,
        frame=segments["frame"].to_numpy()[rows].astype(np.int64),
        time=segments["time"].to_numpy()[rows],
        size=size,
        captured=np.bincount(of, np.maximum(held - start, 0), minlength=count).astype(np.int64),
        needs_resolution=tangled,
        close=ends.closing,
        close_frame=ends.frame,
        close_time=ends.time,
        after_fin=ends.late,
        after_fin_frame=ends.late_frame,
        isn_known=isn >= 0,
        first_ack=_first_acks(columns, rows, bounds, isn, size),
    )


def _lay_out(seq: Array, length: Array, of: Array, bounds: Array, isn: Array) -> Array:
    """Return the offset of each piece in its stream, counted from the ISN, else from the first piece.

    Numbers of a short stream say it themselves; those of one that may come round are unwrapped from one piece to the next.
    """
    if not len(seq):
        return np.zeros(0, np.int64)
    first = np.minimum(bounds[:-1], len(seq) - 1)
    base = np.where(isn >= 0, (isn + 1).astype(np.uint32), seq[first])
    found: Array = (seq - base[of]).view(np.int32).astype(np.int64)
    far = np.bincount(of, length, minlength=len(isn)) >= _FAR
    if far.any():
        step = np.zeros(len(seq), np.int64)
        step[1:] = (seq[1:] - seq[:-1]).view(np.int32)
        walked = np.cumsum(step)
        found = np.where(far[of], walked - walked[first][of] + found[first][of], found)
    return found


def _reached(stop: Array, of: Array, count: int) -> Array:
    """Return how far each piece and those before it in its group reach."""
    span = np.zeros(count, np.int64)
    np.maximum.at(span, of, stop)
    # The groups' numbers are laid out one behind the other, so that one running maximum serves them all.
    shift = np.cumsum(span) - span
    found: Array = np.maximum.accumulate(np.maximum(stop, 0) + shift[of]) - shift[of]
    return found


def _tangled(start: Array, stop: Array, of: Array, count: int) -> Array:
    """Return, per group, whether a piece begins before the end of those before it."""
    tangled = np.zeros(count, bool)
    if len(start):
        early = np.flatnonzero((start[1:] < _reached(stop, of, count)[:-1]) & (of[1:] == of[:-1])) + 1
        tangled[of[early]] = True
    return tangled


def _acknowledged(columns: dict[str, Array], told: Array, group: Array, isn: Array, size: Array, closing: Array) -> Array:  # noqa: PLR0913, PLR0917 - columns
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


def _first_acks(columns: dict[str, Array], rows: Array, bounds: Array, isn: Array, size: Array) -> Array:
    """Return, per group, how much of the other side's stream its first piece acknowledges."""
    found = np.zeros(len(isn), np.int64)
    spoken = np.flatnonzero((bounds[1:] > bounds[:-1]) & (isn >= 0).reshape(-1, 2)[:, ::-1].ravel())
    first, other = rows[bounds[spoken]], spoken ^ 1
    offset = (columns["ack"][first] - (isn[other] + 1).astype(np.uint32)).view(np.int32).astype(np.int64)
    told = columns["flags"][first] & ACK != 0
    found[spoken] = np.where(told, np.clip(offset, 0, size[other]), 0)
    return found


@dataclass(frozen=True, slots=True)
class _Laid:
    """Pieces by group, in capture order: their segments, groups, where each group begins, and where they lie."""

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
    """Per piece: whether it was sent after the FIN and lies behind it, so that it is no part of the stream."""


def _ends(segments: pd.DataFrame, columns: dict[str, Array], group: Array, told: Array, laid: _Laid, isn: Array) -> _StreamEnds:  # noqa: PLR0913, PLR0917 - columns
    """Return how each group ended."""
    frame, time = segments["frame"].to_numpy(), segments["time"].to_numpy()
    count = len(isn)
    closing, closing_time = np.zeros(count, np.int8), np.zeros(count, np.int64)
    closing_frame, late_frame = np.full(count, -1, np.int64), np.full(count, -1, np.int64)
    # A RST whose sender goes on was none of its own, or meant another connection.
    went_on = np.full(count, -1, np.int64)
    plain = np.flatnonzero(told & (columns["flags"] & RST == 0))
    went_on[group[plain]] = plain
    for code, flag in ((CLOSINGS.index("rst"), RST), (CLOSINGS.index("fin"), FIN)):
        hits = np.flatnonzero(told & (columns["flags"] & flag != 0))[::-1]
        hits = hits[hits > went_on[group[hits]]] if flag == RST else hits
        closing[group[hits]], closing_frame[group[hits]], closing_time[group[hits]] = code, frame[hits], time[hits]
    fin, at = _fins(columns, group, told, laid, isn)
    late, length = np.zeros(count, np.int64), laid.stop - laid.start
    after = (fin[laid.of] >= 0) & (laid.rows > fin[laid.of]) & (laid.stop > at[laid.of])
    # A lone byte in the place of the FIN is a keep-alive's (RFC 9293 3.8.4).
    hits = np.flatnonzero(after & ~((length == 1) & (laid.start == at[laid.of])))[::-1]
    np.add.at(late, laid.of[hits], np.minimum(laid.stop - at[laid.of], length)[hits])
    late_frame[laid.of[hits]] = frame[laid.rows[hits]]
    size = np.where((fin >= 0) & (at < _FAR), np.maximum(at, 0), 0)
    return _StreamEnds(closing, closing_frame, closing_time, size, late, late_frame, after & (laid.start >= at[laid.of]))


def _fins(columns: dict[str, Array], group: Array, told: Array, laid: _Laid, isn: Array) -> tuple[Array, Array]:
    """Return, per group, the segment with its first FIN, and that FIN's offset in the stream; -1 where none can be believed.

    A FIN before bytes that were captured already was not the sender's last word.
    """
    count = len(isn)
    found, at = np.full(count, -1, np.int64), np.full(count, -1, np.int64)
    fins = np.flatnonzero(told & (columns["flags"] & (FIN | SYN | RST) == FIN))[::-1]
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
    """Return a direction's captured pieces by offset: start, stop, how far those before reach, frame."""
    part = slice(int(streams.bounds[group]), int(streams.bounds[group + 1]))
    order = np.argsort(streams.start[part], kind="stable")
    order = order[(streams.address[part] >= 0)[order]]
    start, stop, frame = (column[part][order] for column in (streams.start, streams.stop, streams.frame))
    return start, stop, np.maximum.accumulate(np.concatenate(([0], stop)))[: len(stop)], frame
