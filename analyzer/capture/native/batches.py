"""Decode a byte range of a capture into picklable batches of a few thousand frames.

The batches of a byte range that begins where the range before ended are those that reading on would give; none depends on the
windows that frames were read in. The frames that are delegated to tshark are in their batch, bytes included.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from analyzer import schema
from analyzer.capture import formats
from analyzer.capture.decode import link, tcp
from analyzer.capture.decode.dictionary import Dictionaries
from analyzer.capture.formats.model import Frames, Interface, UnsupportedFormatError
from analyzer.capture.formats.scan import ResumePoint, ScanState
from analyzer.capture.timestamps import Timestamps

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from analyzer._typing import Array, Int64Array
    from analyzer.capture.decode.last_protocol import Endings


SAMPLE_RUNS: Final = 16
"""Number of samples, equally spaced in the file, that tshark reads as well when the engines are compared."""
_MIN_SAMPLE_INTERVAL_BYTES: Final = 1 << 22
SAMPLE_BYTES: Final = 1 << 15
"""A sample is the frames that begin within so many bytes."""


@dataclass(slots=True)
class DecodedBatch:
    """The content of consecutive frames; frame numbers count from the beginning of the byte range."""

    count: int
    short: int
    """Frames captured short."""
    endings: Endings
    """What the frames without a segment ended in, those left to tshark excepted."""
    clock: Timestamps
    segments: dict[str, Array]
    """As in `tcp.Decoded`."""
    quotes: list[dict[str, Array]]
    options: bytes
    payloads: bytes
    """Of a compressed file, which does not hold them as they are: `payload_start` counts within. Else it counts bytes of the file."""
    texts: dict[str, list[int]]
    """If the byte range has its own dictionaries: the values new in this batch, in the order of their codes."""
    interfaces: list[Interface]
    """Those that are new in this batch."""
    delegated: Int64Array
    """Numbers of the frames that are left to tshark."""
    compared: Int64Array
    """Numbers of frames that both are to read."""
    delegated_frames: Frames
    """Copies of both, in order."""
    delegated_numbers: Int64Array


@dataclass(slots=True)
class ByteRange:
    """A part of a file."""

    path: Path
    begin: ResumePoint | None = None
    """None for the start of the file."""
    stop: int | None = None
    """Frames whose records begin before this byte are read; None for all."""
    sample_interval: int = 0
    """Bytes between the samples that both engines read; 0 for none."""
    compressed: bool = False
    """Whether the file is compressed."""
    undecoded: bool = False
    """Whether all frames are left to tshark."""
    scan_state: ScanState = field(default_factory=ScanState)


def choose_interval(size: int) -> int:
    """Return how far apart runs of frames are in a file of `size` bytes."""
    return max(size // SAMPLE_RUNS, _MIN_SAMPLE_INTERVAL_BYTES)


def read(byte_range: ByteRange, known: Dictionaries | None = None) -> Iterator[DecodedBatch]:
    """Yield the batches of a byte range, whose `scan_state` is filled in meanwhile.

    Texts are put into `known`, if given, and else into dictionaries of the byte range.

    Raises `UnsupportedFormatError`, `OSError`.
    """
    texts = Dictionaries() if known is None else known
    interfaces = 0 if byte_range.begin is None else len(byte_range.begin.interfaces)
    counted = dict.fromkeys(Dictionaries.__slots__, 0)
    for frames in formats.read(byte_range.path, byte_range.scan_state, begin=byte_range.begin, stop=byte_range.stop):
        if byte_range.begin is None and frames.first == 1:
            _refuse_link(byte_range.scan_state)
        batch = _decode(frames, byte_range, texts)
        batch.interfaces = byte_range.scan_state.interfaces[interfaces:]
        interfaces = len(byte_range.scan_state.interfaces)
        if known is None:
            for name, before in counted.items():
                values = getattr(texts, name).values
                batch.texts[name] = list(itertools.islice(reversed(values), len(values) - before))[::-1]
                counted[name] = len(values)
        yield batch


def _refuse_link(scan_state: ScanState) -> None:
    """Raise `UnsupportedFormatError` for a pcap file all of whose frames would be left to tshark, or refused by it."""
    first = scan_state.interfaces[0] if scan_state.interfaces else None
    if first is not None and first.number < 0 and first.link not in link.LINKS:
        message = f"a pcap file of link type {first.link}"
        raise UnsupportedFormatError(message)


def _decode(frames: Frames, byte_range: ByteRange, known: Dictionaries) -> DecodedBatch:
    """Return what `frames` hold, `texts` and `interfaces` left out."""
    interfaces = byte_range.scan_state.interfaces
    if byte_range.undecoded:
        interfaces = [replace(interface, link=link.UNREAD) for interface in interfaces]
    decoded = tcp.decode(frames, interfaces, known)
    number = frames.first + np.arange(len(frames))
    clock = Timestamps(absent=int((frames.time == schema.NO_TIME).sum()))
    clock.observe(frames.time, number)
    compared = np.zeros(0, dtype=np.int64)
    if byte_range.sample_interval:
        here = np.flatnonzero((frames.base + frames.start) % byte_range.sample_interval < SAMPLE_BYTES)
        compared = np.setdiff1d(here[frames.interface[here] >= 0], decoded.delegated)
    delegated_frames = np.sort(np.concatenate((decoded.delegated, compared)))
    return DecodedBatch(
        count=len(frames),
        short=int((frames.captured < frames.length).sum()),
        endings=decoded.endings,
        clock=clock,
        segments=decoded.segments,
        quotes=decoded.quotes,
        options=decoded.options,
        payloads=place_payloads(frames, decoded.segments, compressed=byte_range.compressed),
        texts={},
        interfaces=[],
        delegated=number[decoded.delegated],
        compared=number[compared],
        delegated_frames=frames.copy(delegated_frames),
        delegated_numbers=number[delegated_frames],
    )


def place_payloads(frames: Frames, segments: dict[str, Array], *, compressed: bool) -> bytes:
    """Count `payload_start` from where the file begins; of a compressed one within the payloads, which are returned."""
    start = segments["payload_start"]
    held = start >= 0
    if not compressed:
        start[held] += frames.base
        return b""
    length = segments["payload_captured"][held].astype(np.int64)
    before = np.cumsum(length) - length
    chosen = np.repeat(start[held] - before, length) + np.arange(int(length.sum()))
    start[held] = before
    return frames.data[chosen].tobytes()
