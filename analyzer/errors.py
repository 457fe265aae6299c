"""The exceptions a caller may meet, and the exit status each one means.

    PcaplintError                70  something inside is wrong
    ├── UsageError                2  the call itself is wrong
    ├── InputError                3  a capture cannot be read at all
    ├── RuleError                 6  a rule file (or an expectation file) is invalid
    └── MachineError        7  the machine lacks something, tshark for one

Promises: every class carries its exit status, and `str(error)` is one line a person can act on.
Must not know: how errors are printed, or who catches them.
"""

from __future__ import annotations

from enum import IntEnum
from typing import ClassVar


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


class MachineError(PcaplintError):
    """A tool this machine should have is missing, too old or not runnable."""

    status: ClassVar[Exit] = Exit.ENVIRONMENT
