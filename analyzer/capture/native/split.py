"""Read a file in byte ranges by several processes and return its batches in order.

The batches are those that one process reading from start to end would give, frame numbers and dictionary codes included. A range
begins where the bytes look like a record; its result counts only if the range before ended there in the same state, and it is
read again from the right place if not. So is a range whose process was lost.
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
"""Minimum number of ranges per process; the next free process takes the next range."""
MIN_RANGE_BYTES: Final = 1 << 23
MAX_RANGE_BYTES: Final = 1 << 26
_HEAD_BYTES: Final = 1 << 18
"""The least length of the first part: interfaces described there are, as a rule, those of the whole file."""
_SEARCH_BYTES: Final = 1 << 20
_HOPS: Final = 16


def read(whole: ByteRange, known: Dictionaries, processes: int, deadline: float) -> Generator[DecodedBatch]:
    """Give the batches of a file in order, texts put into `known`; `whole.scan_state` is filled in meanwhile.

    Raises `UnsupportedFormatError`, `OSError`, and `DeadlineExceededError` when the parts of others are waited for beyond `deadline`.
    """
    places = divide(whole.path) if processes > 1 and choose_engine.is_divisible(whole.path) else []
    processes = min(processes, max(int(choose_engine.estimate(whole.path) // MIN_FRAMES_PER_RANGE), 2))
    if not places:
        yield from batches.read(whole, known)
        return
    stops = [place.byte for place in places]
    parts = [
        RangeTask(batches.ByteRange(whole.path, begin, stop, whole.sample_interval))
        for begin, stop in zip([None, *places], [*stops, None], strict=True)
    ]
    with RangeReaders(parts, processes - 1) as readers:
        yield from _follow(whole, known, readers, deadline)


def divide(path: Path) -> list[ResumePoint]:
    """Return places in the capture at `path`, rising, that look like the beginnings of records; none if it begins strangely."""
    scan_state = scan.ScanState()
    for _ in formats.read(path, scan_state, stop=_HEAD_BYTES):
        pass
    first = scan_state.place
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


def _follow(whole: ByteRange, known: Dictionaries, readers: RangeReaders, deadline: float) -> Iterator[DecodedBatch]:
    """Give the batches of all parts, each from where the one before ended."""
    place: ResumePoint | None = None
    count = 0
    for part in readers.parts:
        right = part.byte_range.begin == place
        ready = readers.wait(part, deadline) if right else readers.keep_local(part)
        here = part.byte_range if right else batches.ByteRange(whole.path, place, part.byte_range.stop, whole.sample_interval)
        first = count
        for batch in _translate(part, known) if ready else batches.read(here, known):
            _renumber(batch, first)
            count += batch.count
            whole.scan_state.interfaces.extend(batch.interfaces)
            yield batch
        if ready and part.foreign:
            raise model.UnsupportedFormatError(part.foreign)
        whole.scan_state.interfaces[:] = here.scan_state.interfaces
        whole.scan_state.damage, place = here.scan_state.damage, here.scan_state.place
        whole.scan_state.lost[:] = readers.lost
        if place is None:
            return


def _translate(part: RangeTask, known: Dictionaries) -> Iterator[DecodedBatch]:
    """Give the batches of a part that was read with dictionaries of its own, in codes of `known`."""
    codes = {name: np.zeros(0, dtype=np.int32) for name in type(known).__slots__}
    while part.decoded:
        batch = part.decoded.popleft()
        for name, values in batch.texts.items():
            new = getattr(known, name).encode(values).astype(np.int32)
            codes[name] = np.concatenate((codes[name], new)) if len(new) else codes[name]
        for table in (batch.segments, *batch.quotes):
            for column, name in DICTIONARY_NAMES.items():
                if column in table:
                    table[column] = codes[name][table[column]]
        yield batch


def _renumber(batch: DecodedBatch, first: int) -> None:
    """Let the frames of a batch be numbered `first` higher."""
    if not first:
        return
    for table in (batch.segments, *batch.quotes):
        table["frame"] = table["frame"] + np.uint32(first)
    batch.delegated = batch.delegated + first
    batch.compared = batch.compared + first
    batch.delegated_numbers = batch.delegated_numbers + first
    batch.clock.renumber(first)
