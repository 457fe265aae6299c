"""Paths a user names ─► capture files, and what is wrong with those that are none.

Order is the order given, within a folder by name. Every path given is answered for, and in a folder every capture, every path
that is named like one and every path that cannot be looked at; hidden folders and links to folders are not entered, other files are
counted. No file is opened that is not a regular file.
"""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, cast

from analyzer.capture import erf
from analyzer.capture.formats import magic
from analyzer.errors import raise_if_exhausted
from analyzer.files import name_kind

if TYPE_CHECKING:
    from collections.abc import Sequence

_REFUSED: Final = ((magic.BZIP2, "bzip2"), (magic.XZ, "xz"), (magic.ZIP, "zip"), (magic.SEVEN_ZIP, "7-Zip"))
"""Compressions that are not read."""
_SUFFIXES: Final = ("pcap", "pcapng", "ntar", "cap", "dmp", "snoop", "erf")
"""How names of captures end: the suffixes of Wireshark's capture file types that no other kind of file commonly has."""
_COMPRESSIONS: Final = ("gz", "zst", "zstd", "lz4", "xz", "lzma", "bz2", "zip", "7z", "z")
_CAPTURE_NAME: Final = re.compile(rf"\.(?:{'|'.join(_SUFFIXES)})\d*(?:[._-]\d+|\.(?:{'|'.join(_COMPRESSIONS)}))*\Z", re.IGNORECASE)
"""A capture's name; rotated (x.pcap1, x.pcap.3) and compressed ones, too."""
_OWN_FILES: Final = frozenset({"expect.toml", "pcaplint.toml", "pcaplint-baseline.toml"})
"""Our own files in folders of captures."""
_PEEK_BYTES: Final = 1 << 20
"""Compressed bytes that are read to see what a file holds: more than a bzip2 block."""
_PEEK_MEMORY_BYTES: Final = 1 << 26
"""Memory that xz may use for that, whatever the file requires."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One file to read, or one path that cannot be."""

    path: str
    """As the user would write it."""
    reason: str = ""
    """Why it cannot be read, in one line; empty when it looks like a capture."""


@dataclass(frozen=True, slots=True)
class Discovery:
    """What lies at the paths of a run."""

    found: tuple[Candidate, ...]
    passed_over: int = 0
    """Files in folders that are no captures and are not named like one."""


@dataclass(frozen=True, slots=True)
class _Look:
    """What a path shows of itself."""

    reason: str = ""
    """Why it cannot be a capture; empty when its first bytes say it is one."""
    foreign: bool = False
    """Whether it is certainly no capture, as opposed to a damaged one and to what cannot be looked at."""


@dataclass(frozen=True, slots=True)
class _NamedFolder:
    """A folder that is named like a capture, all of whose entries have been looked at."""

    path: str
    found_before: int
    """How many paths had been found when it was entered."""


def find(paths: Sequence[str | Path]) -> Discovery:
    """Return the captures among `paths` and in the folders among them, and every other path with its reason.

    In a folder captures are found by their first bytes. What else is named like a capture, and what cannot be looked at, has a reason; all
    other files are counted. A folder without any of these has a reason itself. Raises `EnvironmentFaultError` when no more
    files can be opened.
    """
    found: list[Candidate] = []
    passed_over = 0
    for path in paths:
        given = os.fspath(path)
        # Path.is_dir raises for a name that is too long or lies behind a folder that may not be searched.
        if os.path.isdir(given):  # noqa: PTH112
            inside = _search(given)
            found += inside.found or [Candidate(given, "the folder holds no capture")]
            passed_over += inside.passed_over
        else:
            found.append(Candidate(given, sniff(given)))
    return Discovery(tuple(found), passed_over)


def is_named_like_a_capture(name: str) -> bool:
    """Return whether a file of this `name` is meant to be a capture."""
    return _CAPTURE_NAME.search(name) is not None


def _search(folder: str) -> Discovery:
    """Return what lies under `folder`, each folder's files and folders in one order by name."""
    found: list[Candidate] = []
    passed_over = 0
    # A stack of our own: folders may be nested deeper than Python's.
    waiting: list[os.DirEntry[str] | _NamedFolder] = []
    _enter(folder, waiting, found)
    while waiting:
        entry = waiting.pop()
        if isinstance(entry, _NamedFolder):
            if len(found) == entry.found_before:
                found.append(Candidate(entry.path, "it is a folder without a capture in it"))
        elif _is_folder(entry):
            if not entry.name.startswith("."):
                if is_named_like_a_capture(entry.name):
                    waiting.append(_NamedFolder(entry.path, len(found)))
                _enter(entry.path, waiting, found)
        elif (look := _look_at(entry)).foreign:
            passed_over += entry.name not in _OWN_FILES
        else:
            found.append(Candidate(entry.path, look.reason))
    return Discovery(tuple(found), passed_over)


def _enter(folder: str, waiting: list[os.DirEntry[str] | _NamedFolder], found: list[Candidate]) -> None:
    """Put the entries of `folder` on the stack, the first one by name on top; a folder that cannot be listed is found."""
    try:
        with os.scandir(folder) as entries:
            inside = sorted(entries, key=lambda entry: entry.name, reverse=True)
        waiting.extend(inside)
    except OSError as error:
        raise_if_exhausted(error)
        found.append(Candidate(folder, f"the folder cannot be read: {error.strerror or type(error).__name__}"))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False


def _look_at(entry: os.DirEntry[str]) -> _Look:
    """Return what an entry of a folder shows; what is hidden is foreign, what is named like a capture is not."""
    if entry.name.startswith("."):
        return _Look("it is hidden", foreign=True)
    look = _look(entry.path)
    return _Look(look.reason) if look.foreign and is_named_like_a_capture(entry.name) else look


def sniff(path: str | Path) -> str:
    """Return why the file at `path` cannot be a capture, in one line; empty when its first bytes say it is one.

    Knows pcap (both byte orders, micro- and nanoseconds, the modified kinds), pcapng, snoop (RFC 1761), ERF, and gzip, zstd and
    lz4 of those; what lies inside zstd and lz4 is left to tshark. Raises `EnvironmentFaultError` when no more files can be opened.
    """
    return _look(os.fspath(path)).reason


def _look(path: str) -> _Look:
    """Return what the path shows of itself."""
    try:
        if "\0" in path:
            return _Look("the name holds a null byte")
        mode = Path(path).stat().st_mode
        if stat.S_ISDIR(mode):
            return _Look("it is a folder, not a capture", foreign=True)
        if kind := name_kind(mode):
            return _Look(f"it is {kind}, not a capture file", foreign=True)
        with Path(path).open("rb") as file:
            return _judge(file.read(64), path)
    except FileNotFoundError as error:
        link = os.path.islink(path)  # noqa: PTH114 - Path.is_link raises where this does not
        return _Look("it is a link to a file that is not there" if link else f"it cannot be read: {error.strerror}")
    except OSError as error:
        raise_if_exhausted(error)
        return _Look(f"it cannot be read: {error.strerror or type(error).__name__}")


def _judge(head: bytes, path: str) -> _Look:
    """Return what a file that begins with `head` shows."""
    if not head:
        return _Look("the file is empty", foreign=True)
    if head.startswith((magic.ZSTD, magic.LZ4)):
        return _Look()
    if head.startswith(magic.GZIP):
        return _judge_gzip(path)
    if _is_capture(head) or _is_erf(path):
        return _Look()
    name = next((name for prefix, name in _REFUSED if head.startswith(prefix)), "")
    if name:
        return _Look(f"it is a {name} file: decompress it first", foreign=not _may_hold_capture(name, path))
    return _Look("it is not a capture: neither pcap nor pcapng, nor gzip, zstd or lz4 of those", foreign=True)


def _is_capture(head: bytes) -> bool:
    """Return whether an uncompressed file that begins with `head` has the magic number of a capture."""
    return head[: magic.MAGIC_BYTES] in magic.PCAP_LITTLE | magic.PCAP_BIG or head.startswith((magic.PCAPNG, magic.SNOOP))


def _is_erf(path: str) -> bool:
    """Whether the uncompressed file at `path` is a capture without a magic number."""
    with Path(path).open("rb") as file:
        return erf.recognise(file)


def _holds_erf(file: BinaryIO) -> bool:
    """Return whether a decompressed file is a capture without a magic number; False where it is too damaged."""
    import zlib

    try:
        return erf.recognise(file)
    except (OSError, EOFError, zlib.error) as error:
        if isinstance(error, OSError):
            raise_if_exhausted(error)
        return False


def _judge_gzip(path: str) -> _Look:
    """Return what the gzip file at `path` shows."""
    import gzip
    import zlib

    try:
        with gzip.open(path) as file:
            head = file.read(len(magic.SNOOP))
            capture = _is_capture(head) or _holds_erf(cast("BinaryIO", file))
    except (OSError, EOFError, zlib.error) as error:
        if isinstance(error, OSError):
            raise_if_exhausted(error)
        return _Look("it is a damaged gzip file: not one byte of it can be decompressed")
    if not head:
        return _Look("it is an empty gzip file", foreign=True)
    if capture:
        return _Look()
    return _Look("it is a gzip file that holds no capture", foreign=True)


def _may_hold_capture(name: str, path: str) -> bool:
    """Return whether a file compressed by `name` holds a capture, or is too damaged to be recognised."""
    if name not in {"bzip2", "xz"}:
        return False
    import bz2
    import lzma

    inflater = bz2.BZ2Decompressor() if name == "bzip2" else lzma.LZMADecompressor(memlimit=_PEEK_MEMORY_BYTES)
    with Path(path).open("rb") as file:
        try:
            head = inflater.decompress(file.read(_PEEK_BYTES), len(magic.SNOOP))
        except (OSError, EOFError, lzma.LZMAError):
            return True
    return _is_capture(head) if head else not inflater.eof
