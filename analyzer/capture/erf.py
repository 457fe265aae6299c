"""Whether a file is a capture in Endace's extensible record format, which has no magic number.

Looks at some records alone; what passes has records that follow each other as Wireshark wants them.
"""

from __future__ import annotations

import struct
from typing import BinaryIO, Final

_HEADER: Final = struct.Struct("<II BB")
_LENGTHS: Final = struct.Struct(">HHH")
_HEADER_BYTES: Final = 16
_TYPE_BITS: Final = 0x7F
_MAX_TYPE: Final = 48
_MAX_RECORDS: Final = 20
_MIN_SECONDS, _MAX_SECONDS = 631_152_000, 4_102_444_800
"""Times between 1990 and 2100."""
_MAX_PAUSE_SECONDS: Final = 7 * 86_400


def recognise(file: BinaryIO) -> bool:
    """Return whether the file, from its start, holds ERF records: two that follow each other in time, or one that ends the file.

    Raises what reading `file` raises.
    """
    place, before, count = 0, -1, 0
    for _ in range(_MAX_RECORDS):
        file.seek(place)
        head = file.read(_HEADER_BYTES)
        if len(head) < _HEADER_BYTES:
            break
        _, seconds, kind, _ = _HEADER.unpack_from(head)
        length, _, _ = _LENGTHS.unpack_from(head, _HEADER.size)
        if not (1 <= kind & _TYPE_BITS <= _MAX_TYPE and length >= _HEADER_BYTES and _MIN_SECONDS <= seconds <= _MAX_SECONDS):
            return False
        if count and not before - 1 <= seconds <= before + _MAX_PAUSE_SECONDS:
            return False
        place, before, count = place + length, seconds, count + 1
    return count > 1 or (count == 1 and not head and _ends(file, place))


def _ends(file: BinaryIO, place: int) -> bool:
    """Return whether the file ends at `place`, neither before nor behind it."""
    file.seek(max(place - 1, 0))
    return len(file.read(2)) == 1
