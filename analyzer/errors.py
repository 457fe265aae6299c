"""The exceptions a caller may meet, and the exit status each one means.

    PcaplintError                70  something inside is wrong
    ├── UsageError                2  the call itself is wrong
    ├── InputError                3  a capture cannot be read at all
    ├── RuleError                 6  a rule file (or an expectation file) is invalid
    └── MachineError              7  the machine lacks something: tshark, memory, space on a disk

Promises: every class carries its exit status, and `str(error)` is one line a person can act on.
Must not know: how errors are printed, or who catches them.
"""

from __future__ import annotations

import errno
from enum import IntEnum
from typing import ClassVar, Final


class Exit(IntEnum):
    """The exit statuses of the command, in one place."""

    CLEAN = 0
    FINDINGS = 1
    USAGE = 2
    UNREADABLE = 3
    INCOMPLETE = 4
    NOTHING_CHECKED = 5
    RULES_INVALID = 6
    ENVIRONMENT = 7
    INTERNAL = 70
    INTERRUPTED = 130
    CLOSED_PIPE = 141
    TERMINATED = 143


class PcaplintError(Exception):
    """The root: caught as a whole by the command line."""

    status: ClassVar[Exit] = Exit.INTERNAL


class UsageError(PcaplintError):
    """The call asks for something that does not exist or does not fit together."""

    status: ClassVar[Exit] = Exit.USAGE


class InputError(PcaplintError):
    """A path is missing, is not a regular file, or is not a capture."""

    status: ClassVar[Exit] = Exit.UNREADABLE


class RuleError(PcaplintError):
    """A rule or expectation file is refused; the message names file, entry and key path."""

    status: ClassVar[Exit] = Exit.RULES_INVALID


class EnvironmentFaultError(PcaplintError):
    """The machine lacks something: tshark is missing, too old or not runnable, or memory, disk space or open files are exhausted."""

    status: ClassVar[Exit] = Exit.ENVIRONMENT


MEMORY_HINT: Final = "not enough memory: check fewer captures at a time, or give --jobs 1 or --openings-only"
_EXHAUSTED: Final = {
    errno.EMFILE: "too many files are open: raise the limit (ulimit -n), or give --jobs 1",
    errno.ENFILE: "too many files are open on this machine",
    errno.ENOMEM: MEMORY_HINT,
}
"""What the machine has too little of whatever file is opened, and what helps."""


def name_exhausted(error: OSError) -> str:
    """Return what the machine has too little of, in one line, if that is what `error` says; empty otherwise."""
    return _EXHAUSTED.get(error.errno or 0, "")


def refuse_machine_fault(error: OSError) -> None:
    """Raise `MachineError` for an `error` that says nothing about the file at hand: the machine cannot open any file."""
    message = name_exhausted(error)
    if message:
        raise EnvironmentFaultError(message) from error
