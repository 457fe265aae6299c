"""The exceptions that callers may catch, and the exit status of each.

    PcaplintError                   70  internal error
    ├── UsageError                   2  the call is invalid
    ├── InputError                   3  a capture cannot be read at all
    ├── RuleError                    6  a rule file (or an expectation file) is invalid
    └── EnvironmentFaultError        7  the computer lacks something: tshark, memory, disk space

`str(error)` is one line that states what to change.
"""

from __future__ import annotations

import errno
from enum import IntEnum
from typing import ClassVar, Final


class Exit(IntEnum):
    """The exit statuses of the command."""

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
    """The base of all; the command line catches it."""

    status: ClassVar[Exit] = Exit.INTERNAL


class UsageError(PcaplintError):
    """The call names something that does not exist, or options that exclude each other."""

    status: ClassVar[Exit] = Exit.USAGE


class InputError(PcaplintError):
    """A path is missing, is not a regular file, or is not a capture."""

    status: ClassVar[Exit] = Exit.UNREADABLE


class RuleError(PcaplintError):
    """A rule or expectation file is refused; the message names file, entry and key path."""

    status: ClassVar[Exit] = Exit.RULES_INVALID


class EnvironmentFaultError(PcaplintError):
    """The computer lacks something: tshark is missing, too old or not runnable, or memory, disk space or open files are exhausted."""

    status: ClassVar[Exit] = Exit.ENVIRONMENT


MEMORY_HINT: Final = "not enough memory: check fewer captures at a time, or give --jobs 1 or --openings-only"
_EXHAUSTED: Final = {
    errno.EMFILE: "too many files are open: raise the limit (ulimit -n), or give --jobs 1",
    errno.ENFILE: "too many files are open on this machine",
    errno.ENOMEM: MEMORY_HINT,
}
"""Exhausted resources by error number, and what helps."""


def exhausted_resource(error: OSError) -> str:
    """Return which resource is exhausted, in one line, if `error` is of that kind; empty otherwise."""
    return _EXHAUSTED.get(error.errno or 0, "")


def raise_if_exhausted(error: OSError) -> None:
    """Raise `EnvironmentFaultError` for an `error` that is not about the file: no file can be opened at present."""
    message = exhausted_resource(error)
    if message:
        raise EnvironmentFaultError(message) from error
