"""Where TLS begins in a stream of clear text, and where it ends in the clear again.

One definition for all parsers: a TLS record is a content type from change_cipher_spec (20) to application_data (23), and a version from
3.0 (SSL 3.0) to 3.4, of which 3.4 appears in drafts of TLS 1.3 (RFC 8446 5.1, RFC 5246 6.2.1). A client may also begin with a
CLIENT-HELLO in the form of SSL 2.0: a two-byte length with the highest bit set, message type 1, version 2 or 3.x (RFC 5246 E.2).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from analyzer.reassembly.reader import Reader

HEAD_BYTES: Final = 5
"""Bytes that decide whether TLS begins: a record's header, or an SSL 2.0 hello up to its version."""
MIN_HEAD_BYTES: Final = 3
"""Bytes that distinguish clear text from TLS: content type and version, or length and message type."""
_RECORD: Final = re.compile(rb"[\x14-\x17]\x03[\x00-\x04]")
_SSL2_HELLO: Final = re.compile(rb"[\x80-\xff].\x01(?:\x03[\x00-\x03]|\x00\x02)", re.DOTALL)
_ALERT: Final = 21


def begins_record(data: bytes) -> bool:
    """Return whether `data` begins with the header of a TLS record; its first three bytes decide."""
    # The cheap test first: this is called for each line of clear text.
    return data[1:2] == b"\x03" and _RECORD.match(data) is not None


def begins(data: bytes) -> bool:
    """Return whether `data` begins with a TLS record or with an SSL 2.0 CLIENT-HELLO; its first `HEAD_BYTES` bytes decide."""
    return begins_record(data) or (data[2:3] == b"\x01" and _SSL2_HELLO.match(data) is not None)


def skip_records(reader: Reader) -> bool:
    """Move `reader` behind the TLS records it is at; return whether they ended with an alert and clear text follows.

    Records are skipped by their lengths and never copied.
    """
    content_type = 0
    while begins_record(head := reader.peek(HEAD_BYTES)) and len(head) == HEAD_BYTES:
        content_type = head[0]
        reader.skip(HEAD_BYTES + int.from_bytes(head[3:5], "big"))
    return content_type == _ALERT and not reader.ended and not reader.gap and not begins_record(reader.peek(HEAD_BYTES))
