"""Exit status of a command from the statuses of its captures: the worst wins, in the order of `WORST_FIRST`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from analyzer.errors import Exit

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from analyzer.model import Status

EXIT_OF_STATUS: Final[Mapping[Status, Exit]] = {
    "clean": Exit.CLEAN,
    "findings": Exit.FINDINGS,
    "unreadable": Exit.UNREADABLE,
    "incomplete": Exit.INCOMPLETE,
    "nothing-checked": Exit.NOTHING_CHECKED,
}

WORST_FIRST: Final = (
    Exit.INTERNAL,
    Exit.ENVIRONMENT,
    Exit.RULES_INVALID,
    Exit.UNREADABLE,
    Exit.INCOMPLETE,
    Exit.FINDINGS,
    Exit.NOTHING_CHECKED,
    Exit.CLEAN,
)


def worst(statuses: Iterable[Status], *, allow_empty: bool = False) -> Exit:
    """Return the exit status for captures that ended so; none at all is nothing checked, which `allow_empty` forgives."""
    ends = {EXIT_OF_STATUS[status] for status in statuses} or {Exit.NOTHING_CHECKED}
    if allow_empty:
        ends = {Exit.CLEAN if end is Exit.NOTHING_CHECKED else end for end in ends}
    return min(ends, key=WORST_FIRST.index)


def of_reading(statuses: Iterable[Status]) -> Exit:
    """Return the exit status of a command that writes down what it finds: it fails only for captures that it could not read whole."""
    return worst(["clean", *(status for status in statuses if status in {"unreadable", "incomplete"})])
