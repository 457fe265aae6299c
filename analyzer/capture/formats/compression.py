"""Check by frame and block headers alone whether a zstd or lz4 file is whole.

tshark reads a cut lz4 file, and some cut zstd files, as if they ended there. A gzip file it judges rightly.

Reads headers and skips what they announce; nothing is decompressed.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO, Final

from analyzer.capture.formats import magic

_SKIPPABLE: Final = frozenset(bytes((0x50 + low, 0x2A, 0x4D, 0x18)) for low in range(16))
_CHECKSUM: Final = 4
_RUN: Final = 1
"""The zstd block type of one repeated byte."""


class _CutError(Exception):
    """The file ends within a frame."""


def find_damage(path: str | Path) -> str:
    """Return why the file at `path` is a cut zstd (RFC 8878 3.1) or lz4 frame file, in one line; empty when it is not."""
    with Path(path).open("rb") as file:
        try:
            while _skip_frame(file):
                pass
        except _CutError as error:
            return f"the {error} data was cut short"
    return ""


def _skip_frame(file: BinaryIO) -> bool:
    """Skip the frame that begins here; return False where none begins."""
    number = file.read(magic.MAGIC_BYTES)
    if number in _SKIPPABLE:
        _skip(file, int.from_bytes(_take(file, 4, "compressed"), "little"), "compressed")
    elif number == magic.ZSTD:
        _skip_zstd(file)
    elif number == magic.LZ4:
        _skip_lz4(file)
    else:
        return False
    return True


def _skip_zstd(file: BinaryIO) -> None:
    """Skip a zstd frame behind its magic number."""
    descriptor = _take(file, 1, "zstd")[0]
    single, checksum = descriptor >> 5 & 1, descriptor >> 2 & 1
    content = (single, 2, 4, 8)[descriptor >> 6]
    _skip(file, (1 - single) + (0, 1, 2, 4)[descriptor & 3] + content, "zstd")
    last = 0
    while not last:
        header = int.from_bytes(_take(file, 3, "zstd"), "little")
        last = header & 1
        _skip(file, 1 if header >> 1 & 3 == _RUN else header >> 3, "zstd")
    _skip(file, _CHECKSUM * checksum, "zstd")


def _skip_lz4(file: BinaryIO) -> None:
    """Skip an lz4 frame behind its magic number."""
    flags = _take(file, 2, "lz4")[0]
    _skip(file, 8 * (flags >> 3 & 1) + 4 * (flags & 1) + 1, "lz4")
    while size := int.from_bytes(_take(file, 4, "lz4"), "little") & 0x7FFFFFFF:
        _skip(file, size + _CHECKSUM * (flags >> 4 & 1), "lz4")
    _skip(file, _CHECKSUM * (flags >> 2 & 1), "lz4")


def _take(file: BinaryIO, size: int, name: str) -> bytes:
    """Return the next `size` bytes; raises `_CutError` when there are fewer."""
    data = file.read(size)
    if len(data) < size:
        raise _CutError(name)
    return data


def _skip(file: BinaryIO, size: int, name: str) -> None:
    """Go `size` bytes on; raises `_CutError` when there are fewer."""
    if size:
        file.seek(size - 1, 1)
        _take(file, 1, name)
