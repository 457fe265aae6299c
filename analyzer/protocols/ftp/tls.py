"""Where TLS begins in a control connection, and where it ends in the clear.

Promises: records are skipped by their lengths, never copied.
Must not know: FTP's commands, what records hold.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from analyzer.reassembly.reader import Reader

_HEAD: Final = re.compile(rb"[\x14-\x17]\x03[\x00-\x04]", re.DOTALL)
"""Content type and version (RFC 8446 5.1)."""
_ALERT: Final = 21
_RECORD: Final = 5
"""Bytes of a record's head."""


def begins(data: bytes) -> bool:
    """Return whether `data` begins as a record of TLS does."""
    return data[1:2] == b"\x03" and _HEAD.match(data) is not None


def skip(reader: Reader) -> bool:
    """Move behind the records of TLS; return whether they ended with an alert and clear bytes follow."""
    kind = 0
    while begins(head := reader.peek(_RECORD)) and len(head) == _RECORD:
        kind = head[0]
        reader.skip(_RECORD + int.from_bytes(head[3:5], "big"))
    return kind == _ALERT and not reader.ended and not reader.gap and not begins(reader.peek(_RECORD))
