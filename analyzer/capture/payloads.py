"""Where the payload bytes of a capture's segments are, and how to get at them.

A segment's `payload_start` is an address: below `SPOOL` it counts bytes of the file itself, from `SPOOL` on bytes of a spool, a temporary
file that holds what the file does not hold as it is (compressed captures, packets put together from fragments or decoded by tshark).

Bytes are read on request, and all requested bytes are returned; the spool is gone when the program ends,
however it ends.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import tempfile
import threading
from bisect import bisect_right
from collections import OrderedDict
from typing import TYPE_CHECKING, BinaryIO, Final, cast

from analyzer.capture import temporary
from analyzer.errors import InputError, raise_if_exhausted

if TYPE_CHECKING:
    from pathlib import Path

SPOOL: Final = 1 << 62
"""The address of a spool's first byte."""
_IN_MEMORY: Final = 1 << 20
"""A smaller spool is kept in memory."""
_BLOCK: Final = 1 << 18
_BLOCKS: Final = 64
"""Blocks of files that are kept: 16 MiB in all. Connections that run side by side lie side by side in a capture."""
_block_cache: OrderedDict[tuple[int, int], bytes] = OrderedDict()
"""Those blocks, by capture and number."""
_serials = itertools.count()


class _Shared:
    """A temporary file for the spools of all captures, of which there may be more than files may be open; gone with the last of them."""

    __slots__ = ("_file", "_lock", "_size", "_users")

    def __init__(self) -> None:
        self._file: BinaryIO | None = None
        # The garbage collector may free a spool at any time, also while this thread is in here.
        self._lock = threading.RLock()
        self._size = self._users = 0

    def enter(self) -> None:
        """Take one more user. Raises `EnvironmentFaultError` when there is no room for a temporary file."""
        with self._lock, temporary.blame_folder():
            self._users += 1
            if self._file is None:
                self._file = cast("BinaryIO", tempfile.TemporaryFile(prefix="pcaplint-"))  # noqa: SIM115 - closed with the last user
                self._size = 0

    def leave(self) -> None:
        """Let one user go."""
        with self._lock:
            self._users -= 1
            if not self._users and self._file is not None:
                # What could not be written, for want of room, is of no use any more.
                with contextlib.suppress(OSError):
                    self._file.close()
                self._file = None

    def append(self, data: bytes | bytearray) -> int:
        """Return where `data` was written. Raises `EnvironmentFaultError` when there is no room for it."""
        with self._lock, temporary.blame_folder():
            place = self._size
            if self._file is not None:
                self._file.seek(place)
                self._file.write(data)
            self._size += len(data)
            return place

    def read(self, place: int, length: int) -> bytes:
        """Return bytes as they were written. Raises `EnvironmentFaultError` when what was kept back cannot be written."""
        with self._lock, temporary.blame_folder():
            if self._file is None:
                return b""
            self._file.seek(place)
            return self._file.read(length)


_shared = _Shared()


class Spool:
    """Bytes set aside, found by address; freed when it is closed or no reference to it is left."""

    __slots__ = ("_memory", "_places", "_starts", "size")

    def __init__(self) -> None:
        """Begin empty."""
        self.size = 0
        self._memory = bytearray()
        self._starts: list[int] = []
        """Where each run of bytes in the shared file begins among this spool's, and in the file; none while all is in memory."""
        self._places: list[int] = []

    def add(self, data: bytes) -> int:
        """Take `data` over; return the address of its first byte."""
        address = SPOOL + self.size
        if not self._starts and self.size + len(data) <= _IN_MEMORY:
            self._memory += data
        elif data:
            if not self._starts:
                _shared.enter()
                self._starts, self._places = [0], [_shared.append(self._memory)]
                self._memory = bytearray()
            place = _shared.append(data)
            if place != self._places[-1] + self.size - self._starts[-1]:
                self._starts.append(self.size)
                self._places.append(place)
        self.size += len(data)
        return address

    def read(self, address: int, length: int) -> bytes:
        """Return `length` bytes at `address`, fewer where there are no more; nothing may be added afterwards."""
        at = address - SPOOL
        if not self._starts:
            return bytes(self._memory[at : at + length])
        stop, parts = min(at + length, self.size), list[bytes]()
        run = bisect_right(self._starts, at) - 1
        while at < stop:
            end = self._starts[run + 1] if run + 1 < len(self._starts) else self.size
            parts.append(_shared.read(self._places[run] + at - self._starts[run], min(end, stop) - at))
            at, run = min(end, stop), run + 1
        return b"".join(parts)

    def close(self) -> None:
        """Release the bytes."""
        if self._starts:
            _shared.leave()
        self.size, self._memory = 0, bytearray()
        self._starts, self._places = [], []

    def __del__(self) -> None:
        """Close."""
        self.close()


class Payloads:
    """The bytes of one capture. Its file is open only while a block of it is read: a run may have more captures than files may be open."""

    __slots__ = ("_identity", "_serial", "path", "spool")

    def __init__(self, path: Path, spool: Spool) -> None:
        """Read from the file at `path`, and from `spool` what is not there."""
        self.path = path
        self.spool = spool
        self._serial = next(_serials)
        self._identity: tuple[int, int] | None = None
        """Device and inode, known from the first read on."""

    def read(self, address: int, length: int) -> bytes:
        """Return the `length` bytes at `address`. Raises `InputError` when they are not there any more: the file was changed meanwhile."""
        number, offset = divmod(address, _BLOCK)
        block = _block_cache.get((self._serial, number))
        if block is not None and offset + length <= len(block):
            return block[offset : offset + length]
        return self.spool.read(address, length) if address >= SPOOL else self._gather(address, length)

    def _gather(self, address: int, length: int) -> bytes:
        """Return bytes of one block that is not at hand, or of several."""
        first, last = address // _BLOCK, (address + length - 1) // _BLOCK
        data = self._block(first) if first == last else b"".join(map(self._block, range(first, last + 1)))
        offset = address - first * _BLOCK
        found = data[offset : offset + length]
        if len(found) < length:
            # To go on without them would be to say of a capture what it does not hold.
            message = f"{self.path}: was changed or removed while it was being read"
            raise InputError(message)
        return found

    def _block(self, number: int) -> bytes:
        """Return a block of the file, read it if it is not at hand."""
        block = _block_cache.get((self._serial, number))
        if block is None:
            block = _block_cache[self._serial, number] = self._fetch(number)
            if len(_block_cache) > _BLOCKS:
                _block_cache.popitem(last=False)
        return block

    def _fetch(self, number: int) -> bytes:
        """Return a block as the file has it; nothing when it cannot be read, or is another file by now."""
        try:
            with self.path.open("rb", buffering=0) as file:
                status = os.fstat(file.fileno())
                identity = status.st_dev, status.st_ino
                self._identity = self._identity or identity
                if identity != self._identity:
                    return b""
                file.seek(number * _BLOCK)
                return file.read(_BLOCK)
        except OSError as error:
            raise_if_exhausted(error)
            return b""

    def close(self) -> None:
        """Let the bytes and the spool go; without it, the blocks at hand go when others come."""
        for key in [key for key in list(_block_cache) if key[0] == self._serial]:
            _block_cache.pop(key, None)
        self.spool.close()
