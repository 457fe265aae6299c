"""The standard streams: a descriptor that was closed at the start must not be taken by the next file that is opened.

Afterwards descriptors 0, 1 and 2 are open. Reading from a closed standard input and writing to a closed standard output fail as they do on
any closed descriptor (EBADF); text written to a closed standard error is dropped.
"""

from __future__ import annotations

import os
import sys
from typing import Final

_STAND_INS: Final = ((0, os.O_WRONLY), (1, os.O_RDONLY), (2, os.O_WRONLY))
"""How the null device is opened for each: 0 and 1 the wrong way round, so that using them fails."""


def open_closed() -> None:
    """Open those of descriptors 0, 1 and 2 that are closed, and give Python the streams it lacks."""
    for descriptor, mode in _STAND_INS:
        if not _is_open(descriptor):
            # The lowest free descriptor is taken: this one.
            os.set_inheritable(os.open(os.devnull, mode), True)  # noqa: FBT003 - positional only
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - a descriptor, for as long as the program runs
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115


def drop_unwritten_errors() -> None:
    """Drop what standard error does not take: from Python 3.13 on a flush that fails at the end changes the exit status to 120."""
    try:
        sys.stderr.flush()
    except OSError:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 2)
        os.close(null)


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True
