"""The clocks of a pcapng file: whether any of them is finer than a nanosecond.

A walk over the file's blocks, as long as tshark would need for some thousand frames; nothing heavy is imported.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from typing import TYPE_CHECKING, BinaryIO, Final, cast

from analyzer.capture.formats import magic

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BINARY: Final = 0x80
"""The bit of an if_tsresol that makes it a power of 2, not of 10."""
_FINEST: Final = {False: 9, True: 30}
"""The highest power, of 10 and of 2, that is no finer than a nanosecond."""
_INTERFACE: Final = 1
_MIN_BLOCK_BYTES, _MAX_BLOCK_BYTES = 12, 16 << 20
_FIXED_BYTES: Final = 8
"""What an interface description has before its options."""
_RESOLUTION: Final = 9


def is_fine(resolution: int) -> bool:
    """Whether a clock of this if_tsresol counts in units finer than a nanosecond."""
    return resolution & ~BINARY > _FINEST[bool(resolution & BINARY)]


def has_fine_clock(path: Path) -> bool:
    """Whether any interface of the file at `path`, plain or gzip, has such a clock; False for what is no pcapng file, or damaged."""
    with gzip.open(path) if magic.is_gzip(path) else path.open("rb") as file:
        try:
            return any(is_fine(resolution) for resolution in _read_resolutions(cast("BinaryIO", file)))
        except (EOFError, zlib.error, gzip.BadGzipFile, struct.error):
            return False


def _read_resolutions(file: BinaryIO) -> Iterator[int]:
    """Give the if_tsresol of each interface, up to the first block that is not whole and sound."""
    order = "<"
    head = file.read(_MIN_BLOCK_BYTES)
    if head[: magic.MAGIC_BYTES] != magic.PCAPNG:
        return
    while len(head) == _MIN_BLOCK_BYTES:
        (kind,) = struct.unpack_from(order + "I", head)
        if kind == magic.PCAPNG_SECTION:
            order = "<" if head[8:] == magic.PCAPNG_LITTLE else ">"
        length = struct.unpack_from(order + "I", head, 4)[0] + 3 & ~3
        if not _MIN_BLOCK_BYTES <= length <= _MAX_BLOCK_BYTES:
            return
        if kind == _INTERFACE:
            yield from _read_options(head[8:] + file.read(length - _MIN_BLOCK_BYTES), order)
        else:
            file.seek(length - _MIN_BLOCK_BYTES, 1)
        head = file.read(_MIN_BLOCK_BYTES)


def _read_options(body: bytes, order: str) -> Iterator[int]:
    """Give the if_tsresol among the options of an interface description, given what follows its length."""
    at = _FIXED_BYTES
    while at + 4 <= len(body) - 4:
        code, length = struct.unpack_from(order + "HH", body, at)
        if code == 0:
            return
        if code == _RESOLUTION and length == 1 and at + 4 < len(body):
            yield body[at + 4]
        at += 4 + (length + 3 & ~3)
