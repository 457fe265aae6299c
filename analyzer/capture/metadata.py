"""pcapng blocks that hold no packets: whether each is one that any Wireshark passes over without a word.

What is not certainly sound is refused, and left to tshark, which may call it damage and end there.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from analyzer.capture.formats.pcapng_blocks import DamageError, read_options

if TYPE_CHECKING:
    from analyzer.capture.formats.model import Store

NAMES, STATISTICS, SECRETS = 4, 5, 10
"""Types of blocks: name resolution, interface statistics, decryption secrets."""
TYPES: Final = (NAMES, STATISTICS, SECRETS)
_HEAD_BYTES: Final = 8
_RECORD_BYTES: Final = 4
_STATISTICS_BYTES: Final = 12
_SECRETS_BYTES: Final = 8
_MIN_NAME_BYTES: Final = {1: 6, 2: 18}
"""Of a record of an IPv4 and an IPv6 address: the address, a letter and the byte that ends it."""


def is_sound(kind: int, store: Store, at: int, stop: int, order: str) -> bool:
    """Return whether the block of type `kind` at `at`, whose trailer is at `stop`, is certainly sound."""
    at += _HEAD_BYTES
    try:
        if kind == STATISTICS:
            after = at + _STATISTICS_BYTES
        elif kind == SECRETS:
            after = _pass_secrets(store, at, stop, order)
        else:
            after = _pass_names(store, at, stop, order)
        if not at < after <= stop:
            return False
        read_options(store, after, stop, order)
    except (DamageError, struct.error):
        return False
    return True


def _pass_secrets(store: Store, at: int, stop: int, order: str) -> int:
    """Return where the options of a block of secrets begin, 0 when the secrets are longer than the block."""
    if at + _SECRETS_BYTES > stop:
        return 0
    (length,) = struct.unpack_from(order + "I", store, at + 4)
    return int(at + _SECRETS_BYTES + (length + 3 & ~3))


def _pass_names(store: Store, at: int, stop: int, order: str) -> int:
    """Return where the options of a block of names begin, 0 when a record of it is not whole or its name not ended."""
    while at + _RECORD_BYTES <= stop:
        kind, length = struct.unpack_from(order + "HH", store, at)
        at += _RECORD_BYTES
        if kind == 0:
            return at if length == 0 else 0
        if at + length > stop or length < _MIN_NAME_BYTES.get(kind, length + 1) or store[at + length - 1]:
            return 0
        at += length + 3 & ~3
    return 0
