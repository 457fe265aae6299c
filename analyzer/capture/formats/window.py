"""A file, plain or gzip, as a buffer that moves over it.

Never more than one window of the file in memory, never a mapping; what a damaged gzip file still gives is given.
The buffer ends in `PAD_BYTES` that are no part of the file, so that a header may be gathered at its last byte.
"""

from __future__ import annotations

import mmap
import zlib
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Self

import numpy as np

from analyzer.capture.formats import magic
from analyzer.capture.formats.model import UnsupportedFormatError

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from analyzer._typing import Array


WINDOW_BYTES: Final = 1 << 24
_MIN_WINDOW_BYTES: Final = 1 << 20
_BEYOND_BYTES: Final = 1 << 19
"""How far behind the place to stop at a window reaches: the last record, nearly always."""
PAD_BYTES: Final = 64
_CHUNK_BYTES: Final = 1 << 18


class Gzip:
    """The inside of a gzip file of one member or more, read in order.

    Ends early, `damage` then saying why, where the file is cut or a checksum is wrong. What follows the last member and is none
    is a `UnsupportedFormatError`: Wireshark reads it as it is.
    """

    def __init__(self, file: BinaryIO) -> None:
        """Read from the start of `file`."""
        self._file = file
        self._member = zlib.decompressobj(magic.GZIP_BITS)
        self._input = b""
        self._ended = False
        self.damage = ""

    def readinto(self, target: memoryview) -> int:
        """Fill `target` from its start; return how many bytes there were, 0 at the end."""
        filled = 0
        while filled < len(target) and not self._ended:
            found = self._next(len(target) - filled)
            target[filled : filled + len(found)] = found
            filled += len(found)
        return filled

    def _next(self, size: int) -> bytes:
        """Return at most `size` bytes more, none when there is more to be done first."""
        if self._member.eof:
            self._input = self._member.unused_data or self._file.read(_CHUNK_BYTES)
            if self._input and not self._input.startswith(magic.GZIP[: len(self._input)]):
                message = "a gzip file that is followed by other bytes"
                raise UnsupportedFormatError(message)
            self._ended = not self._input
            self._member = zlib.decompressobj(magic.GZIP_BITS)
            return b""
        self._input = self._input or self._file.read(_CHUNK_BYTES)
        if not self._input:
            self._ended, self.damage = True, "the gzip file is cut short"
            return self._member.flush()
        before = self._member.copy()
        try:
            found = self._member.decompress(self._input, size)
        except zlib.error:
            return self._rescue(before, size)
        self._input = self._member.unconsumed_tail
        return found

    def _rescue(self, member: Any, size: int) -> bytes:  # noqa: ANN401 - zlib does not export the class
        """Return what comes before the damage in the input that `member` refused at one blow."""
        found = bytearray()
        data, self._input = self._input, b""
        self._ended, self.damage = True, "the gzip file is damaged"
        try:
            for place in range(len(data)):
                found += member.decompress(data[place : place + 1])
        except zlib.error:
            pass
        return bytes(found[:size])


class FileWindow:
    """A window of a file's bytes: `store[:size]` begins at byte `base` of what the file holds."""

    def __init__(self, path: Path, window: int | None = None, begin: int = 0, stop: int | None = None) -> None:
        """Open `path` at byte `begin`, not to be read far beyond `stop` except by `advance`; raises `OSError`."""
        self._file = path.open("rb", buffering=0)
        head = self._file.read(len(magic.GZIP))
        self._file.seek(begin)
        self._gzip = Gzip(self._file) if head == magic.GZIP else None
        self._limit = None if stop is None else stop + _BEYOND_BYTES
        # A small file is not worth a large window, which is filled with zeros first; one byte more shows where it ends.
        self._capacity = window or min(WINDOW_BYTES, max(path.stat().st_size + 1, _MIN_WINDOW_BYTES))
        # Memory straight from the system: an allocator that has once been given back so large a region keeps all it gets below that
        # size, and columns that grow fragment it.
        self.store = mmap.mmap(-1, self._capacity + PAD_BYTES)
        self.base = begin
        self.size = 0
        self.ended = False
        try:
            self._fill()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close the file."""
        self._file.close()

    @property
    def compressed(self) -> bool:
        """Whether the file holds other bytes than the window shows."""
        return self._gzip is not None

    @property
    def damage(self) -> str:
        """What is wrong with the compression, once the end is reached; empty when nothing is."""
        return self._gzip.damage if self._gzip else ""

    @property
    def data(self) -> Array:
        """The same bytes as `store`, uint8."""
        return np.frombuffer(self.store, dtype=np.uint8)

    def advance(self, consumed: int) -> None:
        """Let the first `consumed` bytes go and read on; what was handed out of `data` is overwritten."""
        left = self.size - consumed
        if left == self._capacity:
            self._capacity *= 2
            grown = mmap.mmap(-1, self._capacity + PAD_BYTES)
            grown[:left] = self.store[:left]
            self.store = grown
        else:
            self.store[:left] = self.store[consumed : self.size]
        self.base += consumed
        self.size = left
        if self._limit is not None and self.base + self.size >= self._limit:
            self._limit += self._capacity
        self._fill()

    def _fill(self) -> None:
        """Read until the window is full or the file ends."""
        source = self._gzip or self._file
        view = memoryview(self.store)
        room = self._capacity if self._limit is None else min(self._capacity, max(self._limit - self.base, self.size))
        while self.size < room:
            found = source.readinto(view[self.size : room])
            if not found:
                self.ended = True
                return
            self.size += found


def gather_rows(data: Array, at: Array, width: int) -> Array:
    """Return the `width` bytes at each of `at`, shape (n,), dtype void; `at` must lie within `data`.

    A void overlay is gathered at twice the speed of any other: numpy moves each element as it is.
    """
    overlay = np.ndarray(shape=(len(data) - width + 1,), dtype=f"V{width}", buffer=data, strides=(1,))
    found: Array = overlay[at]
    return found
