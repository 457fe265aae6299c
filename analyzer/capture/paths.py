"""Paths a user names ─► capture files, and what is wrong with those that are none.

Promises: order is the order given, within a folder by name; hidden files and links to folders are passed over in a
folder; a file named outright is always answered for. No file is opened that is not a regular file.
Must not know: pandas, tshark.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from analyzer.capture.containers import LZ4_MAGIC, ZSTD_MAGIC

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_MAGIC_BYTES: Final = 4
_PCAPS: Final = frozenset(
    number.to_bytes(_MAGIC_BYTES, order)
    for number in (
        0xA1B2C3D4,  # microseconds
        0xA1B23C4D,  # nanoseconds
        0xA1B2CD34,  # Kuznetzov's modified records
        0xA1B234CD,  # Navtel's
        0xA1E2CB12,  # Nokia's
    )
    for order in ("big", "little")
)
_PCAPNG: Final = bytes.fromhex("0a0d0d0a")
_SNOOP: Final = b"snoop\0\0\0"
_GZIP: Final = bytes.fromhex("1f8b")
_REFUSED: Final = (
    (b"BZh", "bzip2"),
    (bytes.fromhex("fd377a585a00"), "xz"),
    (b"PK\x03\x04", "zip"),
    (b"7z\xbc\xaf\x27\x1c", "7-Zip"),
)
_KINDS: Final = (
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


@dataclass(frozen=True, slots=True)
class Found:
    """One file to read, or one path that cannot be."""

    path: str
    """As the user would write it."""
    reason: str = ""
    """Why it cannot be read, in one line; empty when it looks like a capture."""


def find(paths: Sequence[str | Path]) -> list[Found]:
    """Return the captures among `paths` and in the folders among them, and every other path with its reason.

    In a folder, files that are no captures by their first bytes are passed over; a folder without a capture is not.
    """
    found: list[Found] = []
    for path in paths:
        given = os.fspath(path)
        if Path(given).is_dir():
            inside = [Found(name) for name in _walk(given)]
            found += inside or [Found(given, "the folder holds no capture")]
        else:
            found.append(Found(given, examine(given)))
    return found


def _walk(folder: str) -> Iterator[str]:
    """Give the captures under `folder`, each folder's files and folders in one order by name."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(entry.path)
        elif entry.is_file() and not examine(entry.path):
            yield entry.path


def examine(path: str | Path) -> str:
    """Return why the file at `path` cannot be a capture, in one line; empty when its first bytes say it is one.

    Knows pcap (both byte orders, micro- and nanoseconds, the modified kinds), pcapng, snoop (RFC 1761), and gzip, zstd and
    lz4 of those; what lies inside zstd and lz4 is for tshark to tell.
    """
    given = os.fspath(path)
    try:
        if "\0" in given:
            return "the name holds a null byte"
        mode = Path(given).stat().st_mode
        if stat.S_ISDIR(mode):
            return "it is a folder, not a capture"
        if not stat.S_ISREG(mode):
            kind = next((name for test, name in _KINDS if test(mode)), "no regular file")
            return f"it is {kind}, not a capture file"
        with Path(given).open("rb") as file:
            return _judge(file.read(64), given)
    except OSError as error:
        return f"it cannot be read: {error.strerror or type(error).__name__}"


def _judge(head: bytes, path: str) -> str:
    """Return why a file that begins with `head` cannot be a capture."""
    if not head:
        return "the file is empty"
    if head.startswith((ZSTD_MAGIC, LZ4_MAGIC)):
        return ""
    if head.startswith(_GZIP):
        return _judge_gzip(path)
    if _is_capture(head):
        return ""
    name = next((name for magic, name in _REFUSED if head.startswith(magic)), "")
    if name:
        return f"it is a {name} file: decompress it first"
    return "it is not a capture: neither pcap nor pcapng, nor gzip, zstd or lz4 of those"


def _is_capture(head: bytes) -> bool:
    """Whether an uncompressed file that begins with `head` says it is a capture."""
    return head[:_MAGIC_BYTES] in _PCAPS or head.startswith((_PCAPNG, _SNOOP))


def _judge_gzip(path: str) -> str:
    """Return why the gzip file at `path` cannot be a capture."""
    import gzip
    import zlib

    try:
        with gzip.open(path) as file:
            head = file.read(len(_SNOOP))
    except (OSError, EOFError, zlib.error):
        return "it is a damaged gzip file: not one byte of it can be decompressed"
    if not head:
        return "it is an empty gzip file"
    if _is_capture(head):
        return ""
    return "it is a gzip file that holds no capture"
