"""Temporary files and folders, and who is to blame when there is no room for them.

What goes wrong with them is a `EnvironmentFaultError` that names the folder they lie in, never a fault of the capture being read.
"""

from __future__ import annotations

import contextlib
import tempfile
from typing import TYPE_CHECKING

from analyzer.errors import EnvironmentFaultError, raise_if_exhausted

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def blame_folder() -> Iterator[None]:
    """Convert an `OSError` of what is done with temporary files into a `EnvironmentFaultError`."""
    try:
        yield
    except OSError as error:
        raise_if_exhausted(error)
        message = f"{_name_folder()}: {error.strerror or error}; make room there, or name another folder by TMPDIR"
        raise EnvironmentFaultError(message) from error


def _name_folder() -> str:
    try:
        return f"the folder for temporary files, {tempfile.gettempdir()}"
    except OSError:
        return "no folder for temporary files can be written to"


@contextlib.contextmanager
def folder() -> Iterator[str]:
    """Give the path of an empty folder that only this user may enter (mode 0700), removed at the end. Raises `EnvironmentFaultError`."""
    with blame_folder():
        made = tempfile.TemporaryDirectory(prefix="pcaplint-", ignore_cleanup_errors=True)
    with made as path:
        yield path
