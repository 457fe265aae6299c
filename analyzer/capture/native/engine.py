"""The native engine: frames decoded here as whole arrays, those that are not decoded here by tshark.

The tables equal those of the pyshark engine, row by row and column by column. A frame that neither engine decoded makes the
capture incomplete; a disagreement about a frame that both decoded is a note.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from analyzer import schema
from analyzer.capture.diagnostics import describe
from analyzer.capture.formats import magic, scan
from analyzer.capture.formats.model import UnsupportedFormatError
from analyzer.capture.native import batches, merge, split
from analyzer.capture.native.pool import DeadlineExceededError
from analyzer.capture.payloads import Payloads, Spool
from analyzer.capture.timestamps import Timestamps
from analyzer.capture.tshark.decode import Counts
from analyzer.capture.tshark.delegate import DelegatedFrames, DelegateReader
from analyzer.model import Capture, Note

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from analyzer._typing import Int64Array
    from analyzer.capture.tshark.probe import Tshark


_MANY_FRAMES: Final = 1000
"""From so many frames on it is worth asking whether to copy most of a capture for tshark or to let it read the file."""


@dataclass(frozen=True, slots=True)
class NativeRequest:
    """One file to read."""

    path: Path
    shown: str
    """The path as reports call it."""
    tshark: Tshark | None
    """Reads what is not understood here; None leaves it unread."""
    seconds: float
    """How long reading may take."""
    compare: bool = False
    """Whether tshark is to read a sample of the other frames, too."""
    processes: int = 1
    """How many processes may read parts of the file, this one included."""
    progress: Callable[[int], None] | None = None
    """Called with the number of frames so far."""
    undecoded: bool = False
    """Whether tshark, which must be there, is to read all frames as they are found here: it would misread the file's records."""


@dataclass(slots=True)
class EngineState:
    """What was read so far."""

    native: merge.Rows = field(default_factory=merge.Rows)
    scan_state: scan.ScanState = field(default_factory=scan.ScanState)
    counts: Counts = field(default_factory=Counts)
    clock: Timestamps = field(default_factory=Timestamps)
    delegated: list[Int64Array] = field(default_factory=list)
    """Numbers of the frames left to tshark, in parts."""
    compared: list[Int64Array] = field(default_factory=list)
    """Numbers of frames that both read, in parts."""
    timed_out: bool = False
    spool: Spool = field(default_factory=Spool)
    """Payloads that the file does not hold as they are."""


def read(request: NativeRequest) -> Capture:
    """Return the capture at a path.

    Raises `UnsupportedFormatError` when it is of a kind that only tshark reads, `EnvironmentFaultError` when tshark cannot be
    used, `OSError` when the file is gone.
    """
    begun, reading = time.monotonic(), EngineState()
    sample_interval = batches.choose_interval(request.path.stat().st_size) if request.compare and request.tshark is not None else 0
    whole = batches.ByteRange(
        request.path, sample_interval=sample_interval, compressed=magic.is_gzip(request.path), scan_state=reading.scan_state
    )
    whole.undecoded = request.undecoded
    with DelegatedFrames() as delegated_frames:
        try:
            with contextlib.closing(split.read(whole, reading.native.known, request.processes, begun + request.seconds)) as found:
                for batch in found:
                    _add_batch(reading, batch, delegated_frames, request)
                    if time.monotonic() - begun > request.seconds:
                        reading.timed_out = True
                        break
        except DeadlineExceededError:
            reading.timed_out = True
        rest = None
        if len(delegated_frames) and request.tshark is not None:
            left = max(request.seconds - (time.monotonic() - begun), 1.0)
            rest, counts = delegated_frames.read(DelegateReader(request.shown, request.tshark, left, reading.spool), reading.compared)
            reading.counts.add(counts)
    return _conclude(reading, rest, request, time.monotonic() - begun)


def _add_batch(reading: EngineState, batch: batches.DecodedBatch, delegated_frames: DelegatedFrames, request: NativeRequest) -> None:
    """Keep what some frames hold and hand over what is not understood."""
    if request.tshark is not None:
        if not request.undecoded and not reading.counts.frames and batch.count >= _MANY_FRAMES and 2 * len(batch.delegated) > batch.count:
            message = "a capture of frames most of which only tshark reads"
            raise UnsupportedFormatError(message)
        delegated_frames.add(batch.delegated_frames, reading.scan_state.interfaces, batch.delegated_numbers)
    reading.delegated.append(batch.delegated)
    reading.compared.append(batch.compared)
    batch.segments["option_start"] += len(reading.native.options)
    if batch.payloads:
        start = batch.segments["payload_start"]
        start[start >= 0] += reading.spool.add(batch.payloads)
    reading.native.segments.add(batch.segments)
    reading.native.options += batch.options
    for part in batch.quotes:
        reading.native.quotes.add(part)
    reading.clock.merge(batch.clock)
    reading.counts.frames += batch.count
    reading.counts.short += batch.short
    reading.counts.endings.add(batch.endings)
    if request.progress is not None:
        request.progress(reading.counts.frames)


def _conclude(reading: EngineState, rest: Capture | None, request: NativeRequest, seconds: float) -> Capture:
    """Return the capture made of both engines' rows."""
    delegated, compared = (np.concatenate([np.zeros(0, dtype=np.int64), *parts]) for parts in (reading.delegated, reading.compared))
    differing = _compare(reading.native, rest, compared) if rest is not None else []
    segments, quotes, options = merge.merge(reading.native, rest, delegated)
    missing = rest.stats["missing"] if rest is not None else ()
    notes = list(describe(reading.counts, reading.clock, missing, found=bool(len(segments) or len(quotes))))
    notes += [
        Note("process-lost", f"a process that read a part of the file ended early ({how}); this one read it instead")
        for how in reading.scan_state.lost
    ]
    notes += differing
    reason = _explain(reading, rest, delegated, request)
    engines = {"native": reading.counts.frames - len(delegated), "pyshark": len(delegated) + len(compared) if rest is not None else 0}
    tshark = rest.stats if rest is not None else {}
    return Capture(
        path=request.shown,
        segments=schema.check(segments, schema.SEGMENTS),
        quotes=schema.check(quotes, schema.QUOTES),
        option_bytes=options,
        packets=reading.counts.frames,
        complete=not reason,
        reason=reason,
        readable=bool(reading.counts.frames or reading.scan_state.interfaces or not reading.scan_state.damage),
        engines={name: count for name, count in engines.items() if count or (name == "native" and not request.undecoded)},
        notes=tuple(notes),
        start_time=reading.clock.first,
        end_time=reading.clock.latest,
        payloads=Payloads(request.path, reading.spool),
        stats={**tshark, "seconds": seconds},
    )


def _explain(reading: EngineState, rest: Capture | None, delegated: Int64Array, request: NativeRequest) -> str:
    """Return why the capture is incomplete, in one line; empty when it is not."""
    if reading.scan_state.damage:
        return reading.scan_state.damage
    if reading.timed_out:
        return f"reading was stopped: it took longer than {request.seconds:g} s"
    if rest is not None:
        return rest.reason
    if len(delegated):
        return f"{len(delegated)} frames, the first of them frame {delegated[0]}, can only be read by tshark, which was not found"
    return ""


def _compare(own: merge.Rows, rest: Capture, compared: Int64Array) -> list[Note]:
    """Return a note if the engines differ about a frame both have read."""
    frame = merge.first_difference(own, rest, compared)
    if frame is None:
        return []
    text = f"the native engine and tshark read frame {frame} differently: read this capture with the pyshark engine, and report the fault"
    return [Note("engines-differ", text, frame)]
