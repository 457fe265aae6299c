"""A stretch of a capture ─► pieces: what some thousands of its frames hold, fit to be sent from one process to another.

Promises: the pieces of a stretch, taken in where the stretch before ended, give what reading on would have given; no piece
depends on the windows that frames were read in. The frames that tshark is to read are in a piece, bytes and all.
Must not know: processes, tshark, tables of more than a piece.
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


RUNS: Final = 16
"""So many runs of frames, equally far apart in the file, are read by tshark as well when the engines are to be compared."""
_LEAST_APART: Final = 1 << 22
RUN_BYTES: Final = 1 << 15
"""A run is the frames that begin in so many bytes."""


@dataclass(slots=True)
class DecodedBatch:
    """What some consecutive frames hold; their numbers count from where the stretch begins."""

    count: int
    short: int
    """Frames captured short."""
    endings: Endings
    """What the frames without a segment ended in, those left to tshark excepted."""
    clock: Timestamps
    segments: dict[str, Array]
    """As in `headers.Decoded`."""
    quotes: list[dict[str, Array]]
    options: bytes
    payloads: bytes
    """Of a compressed file, which does not hold them as they are: `payload_start` counts within. Else it counts bytes of the file."""
    texts: dict[str, list[int]]
    """Where a stretch has dictionaries of its own: the values new in this piece, in the order of their codes."""
    interfaces: list[Interface]
    """Those that are new in this piece."""
    asked: Int64Array
    """Numbers of the frames that are left to tshark."""
    compared: Int64Array
    """Numbers of frames that both are to read."""
    lent: Frames
    """Both of these."""
    lent_numbers: Int64Array


@dataclass(slots=True)
class ByteRange:
    """A part of a file."""

    path: Path
    begin: ResumePoint | None = None
    """None for the start of the file."""
    stop: int | None = None
    """Frames whose records begin before this byte are read; None for all."""
    apart: int = 0
    """How far the runs of frames that both engines read are from each other, in bytes; 0 for none."""
    packed: bool = False
    """Whether the file is compressed."""
    undecoded: bool = False
    """Whether all frames are left to tshark."""
    outline: ScanState = field(default_factory=ScanState)


def measure(size: int) -> int:
    """Return how far apart runs of frames are in a file of `size` bytes."""
    return max(size // RUNS, _LEAST_APART)


def read(stretch: ByteRange, known: Dictionaries | None = None) -> Iterator[DecodedBatch]:
    """Give the pieces of a stretch, whose `outline` is filled in meanwhile.

    Texts are put into `known`, if given, and else into dictionaries of this stretch's own.

    Raises `ForeignError`, `OSError`.
    """
    texts = Dictionaries() if known is None else known
    interfaces = 0 if stretch.begin is None else len(stretch.begin.interfaces)
    counted = dict.fromkeys(Dictionaries.__slots__, 0)
    for frames in formats.read(stretch.path, stretch.outline, begin=stretch.begin, stop=stretch.stop):
        if stretch.begin is None and frames.first == 1:
            _refuse_link(stretch.outline)
        piece = _take(frames, stretch, texts)
        piece.interfaces = stretch.outline.interfaces[interfaces:]
        interfaces = len(stretch.outline.interfaces)
        if known is None:
            for name, before in counted.items():
                values = getattr(texts, name).values
                piece.texts[name] = list(itertools.islice(reversed(values), len(values) - before))[::-1]
                counted[name] = len(values)
        yield piece


def _refuse_link(outline: ScanState) -> None:
    """Raise `ForeignError` for a pcap file all of whose frames would be left to tshark, or refused by it."""
    first = outline.interfaces[0] if outline.interfaces else None
    if first is not None and first.number < 0 and first.link not in link.LINKS:
        message = f"a pcap file of link type {first.link}"
        raise UnsupportedFormatError(message)


def _take(frames: Frames, stretch: ByteRange, known: Dictionaries) -> DecodedBatch:
    """Return what `frames` hold, `texts` and `interfaces` left out."""
    interfaces = stretch.outline.interfaces
    if stretch.undecoded:
        interfaces = [replace(interface, link=link.UNREAD) for interface in interfaces]
    decoded = tcp.decode(frames, interfaces, known)
    number = frames.first + np.arange(len(frames))
    clock = Timestamps(absent=int((frames.time == schema.NO_TIME).sum()))
    clock.follow(frames.time, number)
    compared = np.zeros(0, dtype=np.int64)
    if stretch.apart:
        here = np.flatnonzero((frames.base + frames.start) % stretch.apart < RUN_BYTES)
        compared = np.setdiff1d(here[frames.interface[here] >= 0], decoded.asked)
    lent = np.sort(np.concatenate((decoded.asked, compared)))
    return DecodedBatch(
        count=len(frames),
        short=int((frames.captured < frames.length).sum()),
        endings=decoded.endings,
        clock=clock,
        segments=decoded.segments,
        quotes=decoded.quotes,
        options=decoded.options,
        payloads=place_payloads(frames, decoded.segments, packed=stretch.packed),
        texts={},
        interfaces=[],
        asked=number[decoded.asked],
        compared=number[compared],
        lent=frames.copy(lent),
        lent_numbers=number[lent],
    )


def place_payloads(frames: Frames, segments: dict[str, Array], *, packed: bool) -> bytes:
    """Count `payload_start` from where the file begins; of a compressed one within the payloads, which are returned."""
    start = segments["payload_start"]
    held = start >= 0
    if not packed:
        start[held] += frames.base
        return b""
    length = segments["payload_captured"][held].astype(np.int64)
    before = np.cumsum(length) - length
    chosen = np.repeat(start[held] - before, length) + np.arange(int(length.sum()))
    start[held] = before
    return frames.data[chosen].tobytes()
