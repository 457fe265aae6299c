"""Times between positions of a stream, in ns, and their form in the transactions table, in ms.

A position whose time is not known has `NO_TIME`; every function then returns None.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from analyzer.schema import NO_TIME

if TYPE_CHECKING:
    from analyzer.reassembly.reader import Position

_NS_PER_MS: Final = 1_000_000


def elapsed(first: Position, last: Position) -> int | None:
    """Return the ns from `first` to `last`, negative where `last` was captured earlier; None when a time is not known."""
    return None if NO_TIME in {first.time, last.time} else last.time - first.time


def latency(request_end: Position, reply_start: Position) -> int | None:
    """Return the ns from the end of a request to the first byte of its reply; None when a time is not known or the reply is earlier."""
    passed = elapsed(request_end, reply_start)
    return passed if passed is not None and passed >= 0 else None


def since(start: int, position: Position) -> int | None:
    """Return the ns from `start` (ns since the epoch, or `NO_TIME`) to `position`, at least 0; None when a time is not known."""
    return None if NO_TIME in {start, position.time} else max(position.time - start, 0)


def milliseconds(ns: int | None) -> float | None:
    """Return ns as ms; None for None."""
    return None if ns is None else ns / _NS_PER_MS
