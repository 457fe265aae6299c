"""Capture file formats: where each frame lies, when it was captured and how long it was, window by window.

The same frames in the same order with the same numbers as tshark gives; damage ends the frames and is reported with its
offset and kind; a file of a kind that is not read here is refused before or while it is read, never half understood.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from analyzer.capture.formats.model import Frames
    from analyzer.capture.formats.scan import ResumePoint, ScanState


def read(
    path: Path, scan_state: ScanState, window: int | None = None, *, begin: ResumePoint | None = None, stop: int | None = None
) -> Iterator[Frames]:
    """Give the frames of the capture at `path`, some thousands at a time; `scan_state` is filled in as they come.

    From `begin` on, which must be no place in a gzip file, and those whose records begin before byte `stop`.

    Raises `UnsupportedFormatError` when the file is of a kind, or has a record, that is left to tshark; `OSError`.
    """
    from analyzer.capture.formats import pcap, pcapng, pcapng_blocks
    from analyzer.capture.formats.window import FileWindow

    with FileWindow(path, window, 0 if begin is None else begin.byte, stop) as buffer:
        if begin is not None:
            scan_state.interfaces[:] = begin.interfaces
        ng = pcapng.recognise(buffer.store) if begin is None else isinstance(begin.kind, pcapng_blocks.Blocks)
        yield from (pcapng.read if ng else pcap.read)(buffer, scan_state, begin, stop)
        if buffer.damage and not scan_state.damage:
            scan_state.damage = f"{buffer.damage} after {buffer.base + buffer.size} bytes of what it holds"
