"""What became of each direction's segments: sent again, out of order, missing; duplicate acknowledgments, zero windows, keep-alives.

Definitions, over the segments a side sent, in capture order, copies of frames, resets and segments of an earlier connection left out:

* keep-alive: at most one byte, no SYN or FIN, beginning one before the next number (RFC 9293 3.8.4);
* a segment that begins behind the next number is out of order when it fills a gap that a later segment revealed less than
  the handshake's round trip ago (3 ms where that is not known), else it is retransmitted;
* missing bytes: what is left of the gaps at the end;
* duplicate acknowledgment: no data, SYN or FIN, at the next number, with the acknowledgment and the window (not 0) of the
  side's segment before (RFC 5681 2), and no answer to a keep-alive;
* zero window: window 0 without SYN or FIN.

Table `schema.TCP_STATS`, one row per connection; whole arrays, a Python loop only over segments at or behind a gap.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from analyzer import schema
from analyzer.connections import strays, tuple_key
from analyzer.kernels.groups import first_of

if TYPE_CHECKING:
    from analyzer.connections.concat import Array
    from analyzer.connections.tuple_key import Bools, Ints

_REORDERED_NS: Final = 3_000_000
_WINDOW_READABLE: Final = 16
"""Header bytes that reach to the window."""
_FAR: Final = 1 << 24


@dataclass(frozen=True, slots=True)
class _Sent:
    """Segments direction by direction (group = flow * 2, + 1 for the server), in capture order inside each."""

    group: Ints
    row: Ints
    """Where the segment stands in the segments table."""
    seq: Array
    """uint32."""
    length: Array
    """uint32."""
    flags: Array
    time: Ints

    def take(self, kept: Bools) -> _Sent:
        """Return the marked segments alone."""
        return _Sent(*(getattr(self, name)[kept] for name in ("group", "row", "seq", "length", "flags", "time")))


@dataclass(frozen=True, slots=True)
class _Course:
    """Each segment's place in its direction's numbers, unwrapped."""

    start: Ints
    end: Ints
    highest: Ints
    """Next number before the segment; meaningless where `known` is False."""
    known: Bools


def count(segments: pd.DataFrame, count: int) -> pd.DataFrame:
    """Return table `ACCOUNTS` for `count` connections, whose segments are table `FLOW_SEGMENTS`."""
    sent = _directions(segments, count)
    course = _follow(sent)
    plain = sent.flags & (schema.SYN | schema.FIN) == 0
    keep_alive = course.known & plain & (sent.length <= 1) & (course.start == course.highest - 1)
    behind = course.known & (course.end > course.start) & (course.start < course.highest) & ~keep_alive
    gap = course.known & (course.end > course.start) & (course.start > course.highest)
    reordered, missing = _fill_gaps(sent, course, behind, gap, _patience(sent, count))
    window = segments["window"].to_numpy()[sent.row]
    duplicate = _duplicate_acks(segments, sent, course, window, keep_alive)
    counts = {
        "retransmitted": _count(sent, behind & ~reordered, count),
        "out_of_order": _count(sent, reordered, count),
        "missing_bytes": missing,
        "duplicate_acks": _count(sent, duplicate, count),
        "zero_windows": _count(sent, plain & (window == 0), count),
        "keep_alives": _count(sent, keep_alive, count),
    }
    columns = {f"{end}_{name}": values[place::2] for place, end in enumerate(("client", "server")) for name, values in counts.items()}
    return pd.DataFrame({name: columns[name] for name in schema.TCP_STATS.names}, copy=False)


def _count(sent: _Sent, marked: Bools, count: int) -> Ints:
    return np.bincount(sent.group[marked], minlength=2 * count).astype(np.int64)


def _directions(segments: pd.DataFrame, count: int) -> _Sent:
    """Sort what can be accounted for by direction.

    SYNs whose number the connection did not go on from, and segments of an earlier connection, are left out.
    """
    columns = {
        name: segments[name].to_numpy()
        for name in ("flow", "by_client", "flags", "seq", "ack", "header_captured", "payload_length", "time")
    }
    counts = (columns["header_captured"] >= _WINDOW_READABLE) & (columns["flags"] & schema.RST == 0)
    numbers = strays.Numbers(*(columns[name] for name in strays.Numbers._fields))
    counts[strays.find(numbers, strays.isns(numbers, 2 * count))] = False
    counted = np.flatnonzero(counts)
    group = columns["flow"].astype(np.int64)[counted] * 2 + ~columns["by_client"][counted]
    packed = tuple_key.sort(group, counted)
    row = tuple_key.positions(packed)
    length = np.maximum(columns["payload_length"][row], 0).astype(np.uint32)
    sent = _Sent(packed >> 32, row, columns["seq"][row], length, columns["flags"][row], columns["time"][row])
    syn = sent.flags & schema.SYN != 0
    first_syn, first_plain = (first_of(np.flatnonzero(marked), sent.group, 2 * count)[sent.group] for marked in (syn, ~syn))
    # One more number, of the same type, for "there is none" to point at.
    seq = np.append(sent.seq, np.uint32(0))
    behind = seq[first_plain] - sent.seq
    fits = np.where(first_plain >= 0, (behind > 0) & (behind < _FAR), sent.seq == seq[first_syn])
    return sent.take(~syn | fits)


def _follow(sent: _Sent) -> _Course:
    """Unwrap the numbers and keep, before each segment, the highest that was reached."""
    if not len(sent.group):
        none = np.zeros(0, np.int64)
        return _Course(none, none, none, np.zeros(0, bool))
    begins = np.concatenate(([True], sent.group[1:] != sent.group[:-1]))
    first = np.flatnonzero(begins)
    dense = np.cumsum(begins) - 1
    step = np.concatenate(([0], (sent.seq[1:] - sent.seq[:-1]).view(np.int32))).astype(np.int64)
    walked = np.cumsum(step)
    start = walked - walked[first][dense]
    end = start + sent.length + (sent.flags & schema.SYN != 0) + (sent.flags & schema.FIN != 0)
    floor = np.minimum.reduceat(start, first)
    reach = np.where(end > start, end - floor[dense] + 1, 0)
    span = np.maximum.reduceat(reach, first) + 1
    # Each direction's numbers are laid out behind those of the one before, so one running maximum serves them all.
    shift = np.cumsum(span) - span
    running = np.maximum.accumulate(reach + shift[dense])
    before = np.concatenate(([0], running[:-1])) - shift[dense]
    return _Course(start, end, before - 1 + floor[dense], (before > 0) & ~begins)


def _patience(sent: _Sent, count: int) -> Ints:
    """Return, per direction, how long a gap may be open for what fills it to be called reordered, in ns."""
    syn = first_of(np.flatnonzero(sent.flags & schema.SYN != 0), sent.group, 2 * count)[::2]
    plain = first_of(np.flatnonzero(sent.flags & schema.SYN == 0), sent.group, 2 * count)[::2]
    times = np.append(sent.time, schema.NO_TIME)
    known = (syn >= 0) & (plain >= 0) & (times[syn] != schema.NO_TIME) & (times[plain] != schema.NO_TIME)
    trip = np.where(known, times[plain], 0) - np.where(known, times[syn], 0)
    return np.repeat(np.where(known & (trip > 0), trip, _REORDERED_NS), 2)


def _fill_gaps(sent: _Sent, course: _Course, behind: Bools, gap: Bools, patience: Ints) -> tuple[Bools, Ints]:
    """Return which segments fill a gap in time, and the bytes missing per direction."""
    reordered = np.zeros(len(sent.group), bool)
    missing = np.zeros(len(patience), np.int64)
    has_gap = np.zeros(len(patience), bool)
    has_gap[sent.group[gap]] = True
    rows = np.flatnonzero((behind | gap) & has_gap[sent.group])
    columns = [values[rows].tolist() for values in (sent.group, course.start, course.end, course.highest, sent.time)]
    group, gaps = -1, _Gaps(0)
    for row, (here, start, end, highest, time) in zip(rows.tolist(), zip(*columns, strict=True), strict=True):
        if here != group:
            missing[group] = gaps.left() if group >= 0 else 0
            group, gaps = here, _Gaps(int(patience[here]))
        if start > highest:
            gaps.open(highest, start, time)
        else:
            reordered[row] = gaps.fill(start, end, time)
    if group >= 0:
        missing[group] = gaps.left()
    return reordered, missing


class _Gaps:
    """The numbers of one direction that were jumped over, in rising order."""

    __slots__ = ("_ends", "_patience", "_since", "_starts")

    def __init__(self, patience: int) -> None:
        """Begin without a gap."""
        self._patience = patience
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._since: list[int] = []

    def open(self, start: int, end: int, time: int) -> None:
        """Add a gap beyond all others, revealed at `time`."""
        self._starts.append(start)
        self._ends.append(end)
        self._since.append(time)

    def fill(self, start: int, end: int, time: int) -> bool:
        """Take [start, end) out of the gaps; return whether it met one that was revealed a short time ago."""
        place = bisect_right(self._ends, start)
        in_time = False
        while place < len(self._starts) and self._starts[place] < end:
            low, high, since = self._starts[place], self._ends[place], self._since[place]
            in_time = in_time or abs(time - since) < self._patience
            left = [(low, start)] if low < start else []
            left += [(end, high)] if end < high else []
            self._starts[place : place + 1] = [part[0] for part in left]
            self._ends[place : place + 1] = [part[1] for part in left]
            self._since[place : place + 1] = [since] * len(left)
            place += len(left)
        return in_time

    def left(self) -> int:
        """Return how many numbers the gaps still hold."""
        return sum(self._ends) - sum(self._starts)


def _duplicate_acks(segments: pd.DataFrame, sent: _Sent, course: _Course, window: Array, keep_alive: Bools) -> Bools:
    ack = segments["ack"].to_numpy()[sent.row]
    bare = (sent.flags & (schema.SYN | schema.FIN | schema.ACK) == schema.ACK) & (sent.length == 0) & (window > 0)
    same = np.zeros(len(sent.group), bool)
    same[1:] = (sent.group[1:] == sent.group[:-1]) & (ack[1:] == ack[:-1]) & (window[1:] == window[:-1])
    probed = np.zeros(len(segments), bool)
    probed[sent.row[keep_alive]] = True
    # Segments of a flow stand in capture order, so the one before is what a keep-alive's answer answers.
    answers = np.concatenate(([False], probed[:-1]))[sent.row]
    duplicate: Bools = bare & same & course.known & (course.start == course.highest) & ~answers
    return duplicate
