"""Magic numbers of capture files and of the compressions around them; nothing heavy is imported."""

from __future__ import annotations

from pathlib import Path
from typing import Final

MAGIC_BYTES: Final = 4
PCAP_MICROSECONDS: Final = 0xA1B2C3D4
PCAP_NANOSECONDS: Final = 0xA1B23C4D
PCAP_MODIFIED: Final = 0xA1B2CD34
"""Kuznetzov's modified records."""
_PCAP_NAVTEL: Final = 0xA1B234CD
_PCAP_NOKIA: Final = 0xA1E2CB12
_PCAP_NUMBERS: Final = (PCAP_MICROSECONDS, PCAP_NANOSECONDS, PCAP_MODIFIED, _PCAP_NAVTEL, _PCAP_NOKIA)
PCAP_LITTLE: Final = frozenset(number.to_bytes(MAGIC_BYTES, "little") for number in _PCAP_NUMBERS)
PCAP_BIG: Final = frozenset(number.to_bytes(MAGIC_BYTES, "big") for number in _PCAP_NUMBERS)

PCAPNG_SECTION: Final = 0x0A0D0D0A
"""The type of a section header block, equal in both byte orders."""
PCAPNG: Final = PCAPNG_SECTION.to_bytes(MAGIC_BYTES, "little")
PCAPNG_BYTE_ORDER: Final = 0x1A2B3C4D
"""The byte-order magic, after a section header's type and length."""
PCAPNG_LITTLE: Final = PCAPNG_BYTE_ORDER.to_bytes(MAGIC_BYTES, "little")

SNOOP: Final = b"snoop\0\0\0"

GZIP: Final = bytes.fromhex("1f8b")
GZIP_BITS: Final = 31
"""zlib's `wbits` for gzip's header and trailer with the largest window."""
ZSTD: Final = bytes.fromhex("28b52ffd")
LZ4: Final = bytes.fromhex("04224d18")
BZIP2: Final = b"BZh"
XZ: Final = bytes.fromhex("fd377a585a00")
ZIP: Final = b"PK\x03\x04"
SEVEN_ZIP: Final = b"7z\xbc\xaf\x27\x1c"


def is_gzip(path: str | Path) -> bool:
    """Return whether the file at `path` is gzip; raises `OSError`."""
    with Path(path).open("rb") as file:
        return file.read(len(GZIP)) == GZIP
