"""Which engine reads: tshark alone for a small run, the native engine with tshark's help for a large one.

A decision in a few milliseconds, from what tshark alone would cost for the whole run; nothing heavy is imported.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Final

from analyzer.capture.formats import magic

if TYPE_CHECKING:
    from collections.abc import Iterable

START_SECONDS: Final = 0.4
"""What starting tshark costs for a file."""
FRAMES_PER_SECOND: Final = 17_000
"""What `tshark -T fields` reads; the fields hardly matter."""
LARGE_SECONDS: Final = 4.0
"""A run that tshark alone would take longer for is large."""
MIN_FRAMES: Final = 1_500_000
"""Frames of a file from which on other processes are of help."""
COMPARED_BYTES: Final = 4 << 20
"""A capture of a large run is worth comparing the engines on from this size on: that costs one start of tshark."""
_HEAD_BYTES: Final = 1 << 16
_USUAL_RECORD_BYTES: Final = 500.0
_PCAP_HEADER_BYTES: Final = 24
_RECORD_BYTES: Final = 16
_BLOCK_BYTES: Final = 12


def is_large(paths: Iterable[str | Path]) -> bool:
    """Whether tshark alone would take long for all of `paths`."""
    seconds = 0.0
    for path in paths:
        seconds += START_SECONDS + estimate(path) / FRAMES_PER_SECOND
        if seconds > LARGE_SECONDS:
            return True
    return False


def is_divisible(path: str | Path) -> bool:
    """Whether the file at `path` has so many frames that other processes are of help, and can be read from the middle."""
    if estimate(path) < MIN_FRAMES:
        return False
    try:
        return not magic.is_gzip(path)
    except OSError:
        return False


def estimate(path: str | Path) -> float:
    """Return about how many frames the capture at `path` has, by the lengths of its first records; 0 when it cannot be read."""
    try:
        size = float(Path(path).stat().st_size)
        with Path(path).open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError:
        return 0.0
    if head.startswith(magic.GZIP):
        inflater = zlib.decompressobj(magic.GZIP_BITS)
        try:
            inflated = inflater.decompress(head, _HEAD_BYTES)
        except zlib.error:
            return 0.0
        size *= len(inflated) / max(len(head) - len(inflater.unconsumed_tail), 1)
        head = inflated
    return size / _measure(head)


def _measure(head: bytes) -> float:
    """Return the mean length of the records a capture that begins with `head` begins with."""
    if head.startswith(magic.PCAPNG):
        order, at, before, offset = "<" if head[8:12] == magic.PCAPNG_LITTLE else ">", 0, 0, 4
    else:
        order, at, before, offset = "<" if head[: magic.MAGIC_BYTES] in magic.PCAP_LITTLE else ">", _PCAP_HEADER_BYTES, _RECORD_BYTES, 8
    begin, count = at, 0
    while at + _BLOCK_BYTES <= len(head):
        (length,) = struct.unpack_from(order + "I", head, at + offset)
        if length + before < _BLOCK_BYTES:
            break
        at += before + length
        count += 1
    return (at - begin) / count if count else _USUAL_RECORD_BYTES
