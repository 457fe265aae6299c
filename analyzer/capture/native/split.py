"""One file, read in parts by several processes ─► its pieces in order.

Promises: the pieces that one process reading from start to end would give, frame numbers and codes of texts included. A part
begins where something looks like a record; it counts only if the part before ended there, with all that is known there the
same, and is read again from the right place if not. So is a part whose process was lost.
Must not know: tshark, tables.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from analyzer.capture import choose_engine, formats
from analyzer.capture.decode.dictionary import DICTIONARY_NAMES
from analyzer.capture.formats import model, resync, scan
from analyzer.capture.formats.window import PAD_BYTES
from analyzer.capture.native import batches
from analyzer.capture.native.pool import RangeReaders, RangeTask

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

    from analyzer.capture.decode.dictionary import Dictionaries
    from analyzer.capture.formats.scan import ResumePoint
    from analyzer.capture.native.batches import ByteRange, DecodedBatch


MIN_FRAMES_PER_RANGE: Final = 1_000_000
"""A process more for fewer frames is not worth the memory its interpreter takes."""
RANGES_PER_PROCESS: Final = 24
"""A file is divided into so many parts, or more: whoever is free takes the next."""
MIN_RANGE_BYTES: Final = 1 << 23
MAX_RANGE_BYTES: Final = 1 << 26
_HEAD_BYTES: Final = 1 << 18
"""Where the first part may end at the earliest: what is said of interfaces there holds for all the file, as a rule."""
_SEARCH_BYTES: Final = 1 << 20
_HOPS: Final = 16


def read(whole: ByteRange, known: Dictionaries, processes: int, deadline: float) -> Generator[DecodedBatch]:
    """Give the pieces of a file in order, texts put into `known`; `whole.outline` is filled in meanwhile.

    Raises `ForeignError`, `OSError`, and `crew.OverdueError` when the parts of others are waited for beyond `deadline`.
    """
    places = divide(whole.path) if processes > 1 and choose_engine.is_divisible(whole.path) else []
    processes = min(processes, max(int(choose_engine.estimate(whole.path) // MIN_FRAMES_PER_RANGE), 2))
    if not places:
        yield from batches.read(whole, known)
        return
    stops = [place.byte for place in places]
    parts = [
        RangeTask(batches.ByteRange(whole.path, begin, stop, whole.apart))
        for begin, stop in zip([None, *places], [*stops, None], strict=True)
    ]
    with RangeReaders(parts, processes - 1) as crew:
        yield from _follow(whole, known, crew, deadline)


def divide(path: Path) -> list[ResumePoint]:
    """Return places in the capture at `path`, rising, that look like the beginnings of records; none if it begins strangely."""
    outline = scan.ScanState()
    for _ in formats.read(path, outline, stop=_HEAD_BYTES):
        pass
    first = outline.place
    if first is None:
        return []
    size = path.stat().st_size
    share = min(max(size // RANGES_PER_PROCESS, MIN_RANGE_BYTES), MAX_RANGE_BYTES) & ~3
    found: list[ResumePoint] = []
    with path.open("rb", buffering=0) as file:
        file.seek(first.byte)
        like = file.read(resync.HEAD_BYTES)
        for nominal in range(share, size - MIN_RANGE_BYTES // 2, share):
            file.seek(nominal)
            data = file.read(_SEARCH_BYTES)
            padded = np.frombuffer(data + bytes(PAD_BYTES), dtype=np.uint8)
            search = resync.Search(first.kind, padded, len(data), like, _HOPS)
            (at,) = search.find(np.zeros(1, dtype=np.int64)).tolist()
            if at >= 0 and nominal + at > first.byte and len(like) == resync.HEAD_BYTES:
                found.append(scan.ResumePoint(nominal + at, first.kind, first.interfaces, first.described))
    return found


def _follow(whole: ByteRange, known: Dictionaries, crew: RangeReaders, deadline: float) -> Iterator[DecodedBatch]:
    """Give the pieces of all parts, each from where the one before ended."""
    place: ResumePoint | None = None
    count = 0
    for part in crew.parts:
        right = part.stretch.begin == place
        ready = crew.wait(part, deadline) if right else crew.leave(part)
        here = part.stretch if right else batches.ByteRange(whole.path, place, part.stretch.stop, whole.apart)
        first = count
        for piece in _translate(part, known) if ready else batches.read(here, known):
            _renumber(piece, first)
            count += piece.count
            whole.outline.interfaces.extend(piece.interfaces)
            yield piece
        if ready and part.foreign:
            raise model.UnsupportedFormatError(part.foreign)
        whole.outline.interfaces[:] = here.outline.interfaces
        whole.outline.damage, place = here.outline.damage, here.outline.place
        whole.outline.lost[:] = crew.lost
        if place is None:
            return


def _translate(part: RangeTask, known: Dictionaries) -> Iterator[DecodedBatch]:
    """Give the pieces of a part that was read with dictionaries of its own, in codes of `known`."""
    codes = {name: np.zeros(0, dtype=np.int32) for name in type(known).__slots__}
    while part.pieces:
        piece = part.pieces.popleft()
        for name, values in piece.texts.items():
            new = getattr(known, name).encode(values).astype(np.int32)
            codes[name] = np.concatenate((codes[name], new)) if len(new) else codes[name]
        for table in (piece.segments, *piece.quotes):
            for column, name in DICTIONARY_NAMES.items():
                if column in table:
                    table[column] = codes[name][table[column]]
        yield piece


def _renumber(piece: DecodedBatch, first: int) -> None:
    """Let the frames of a piece be numbered `first` higher."""
    if not first:
        return
    for table in (piece.segments, *piece.quotes):
        table["frame"] = table["frame"] + np.uint32(first)
    piece.asked = piece.asked + first
    piece.compared = piece.compared + first
    piece.lent_numbers = piece.lent_numbers + first
    piece.clock.shift(first)
