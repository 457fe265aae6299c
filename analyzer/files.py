"""What lies at a path, asked in a way that neither waits for a pipe nor raises for a name that no file can have.

Must not know: what files hold.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

from analyzer.errors import refuse_machine_fault

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
    """What lies at a path is no regular file; `strerror` says what it is."""


def name_kind(mode: int) -> str:
    """Return what a file of this `st_mode` is, `a pipe` for one; empty for a regular file."""
    if stat.S_ISREG(mode):
        return ""
    return next((name for test, name in _KINDS if test(mode)), "of an unknown kind")


def look(path: str | Path) -> str | None:
    """Return why the file at `path` cannot be read, in one line, empty when it is a regular file; None when nothing is there.

    What lies behind a folder that may not be searched counts as not there. Raises `MachineError` when no more files can be opened.
    """
    try:
        kind = name_kind(os.stat(path).st_mode)  # noqa: PTH116 - takes text and paths
    except (OSError, ValueError) as error:
        if isinstance(error, OSError):
            refuse_machine_fault(error)
        return "it is a link that leads to no file" if os.path.islink(path) else None  # noqa: PTH114 - Path.is_symlink may raise
    return kind and f"it is {kind}, not a file"


def open_regular(path: str | Path) -> BinaryIO:
    """Return the regular file at `path`, open for reading.

    Raises `OSError`; `NotAFileError` for a pipe, which opening would wait for, and for what else is no regular file.
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
    """Return whether the working folder is still there."""
    try:
        os.getcwd()  # noqa: PTH109 - the call itself is what is tried
    except OSError:
        return False
    return True


@contextlib.contextmanager
def some_working_folder() -> Iterator[None]:
    """Let there be a working folder, the root, where the own one was removed: some modules ask for it when they are imported."""
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
    """Return the absolute path without links, or `path` itself where it has none: a name no file can have, a removed working folder."""
    try:
        return os.path.realpath(path)
    except (OSError, ValueError):
        return os.fspath(path)
