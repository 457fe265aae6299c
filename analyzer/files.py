"""Inspect and open paths without blocking on a pipe and without raising for a name that no file can have."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

from analyzer.errors import raise_if_exhausted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

_KINDS: Final = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class NotAFileError(OSError):
    """The path is no regular file; `strerror` names what it is."""


def name_kind(mode: int) -> str:
    """Return the kind of file of an `st_mode`, such as `a pipe`; empty for a regular file."""
    if stat.S_ISREG(mode):
        return ""
    return next((name for test, name in _KINDS if test(mode)), "of an unknown kind")


def unreadable_reason(path: str | Path) -> str | None:
    """Return why the file at `path` cannot be read, in one line; empty for a regular file, None where there is none.

    A path below a folder without search permission counts as none. Raises `EnvironmentFaultError` when no more files can be opened.
    """
    try:
        kind = name_kind(os.stat(path).st_mode)  # noqa: PTH116 - takes text and paths
    except (OSError, ValueError) as error:
        if isinstance(error, OSError):
            raise_if_exhausted(error)
        return "it is a link that leads to no file" if os.path.islink(path) else None  # noqa: PTH114 - Path.is_symlink may raise
    return kind and f"it is {kind}, not a file"


def open_regular(path: str | Path) -> BinaryIO:
    """Return the regular file at `path`, open for reading.

    Raises `OSError`, and `NotAFileError` for anything else than a regular file: opening a pipe would block.
    """
    try:
        kind = name_kind(os.stat(path).st_mode)  # noqa: PTH116 - takes text and paths
    except ValueError as error:
        # A null byte: no file has one in its name.
        raise NotAFileError(None, str(error)) from None
    if kind:
        raise NotAFileError(None, f"it is {kind}, not a file")
    return Path(path).open("rb")


def has_working_folder() -> bool:
    """Return whether the working folder exists; it may have been removed."""
    try:
        os.getcwd()  # noqa: PTH109 - the call itself is what is tried
    except OSError:
        return False
    return True


@contextlib.contextmanager
def some_working_folder() -> Iterator[None]:
    """Change to the root folder while the working folder does not exist: some modules need one when they are imported."""
    if has_working_folder():
        yield
        return
    removed = os.open(".", os.O_RDONLY)
    try:
        os.chdir("/")
        yield
    finally:
        os.fchdir(removed)
        os.close(removed)


def identify(path: str | Path) -> str:
    """Return the absolute path without links; `path` itself for an impossible name or with a removed working folder."""
    try:
        return os.path.realpath(path)
    except (OSError, ValueError):
        return os.fspath(path)
