"""Times between positions: unknown times, replies captured before their requests, units."""

from __future__ import annotations

import pytest

from analyzer.protocols import timing
from analyzer.reassembly.reader import Position
from analyzer.schema import NO_TIME


def at(time: int) -> Position:
    """Return a position with that time, ns since the epoch."""
    return Position(1, time)


@pytest.mark.parametrize(
    ("first", "last", "elapsed", "latency"),
    [(1_000, 3_500, 2_500, 2_500), (7, 7, 0, 0), (3_500, 1_000, -2_500, None), (NO_TIME, 5, None, None), (5, NO_TIME, None, None)],
)
def test_between_positions(first: int, last: int, elapsed: int | None, latency: int | None) -> None:
    assert timing.elapsed(at(first), at(last)) == elapsed
    assert timing.latency(at(first), at(last)) == latency


@pytest.mark.parametrize(("start", "time", "expected"), [(10, 25, 15), (25, 10, 0), (NO_TIME, 10, None), (10, NO_TIME, None)])
def test_since_a_moment(start: int, time: int, expected: int | None) -> None:
    assert timing.since(start, at(time)) == expected


def test_milliseconds() -> None:
    assert timing.milliseconds(1_500_000) == 1.5
    assert timing.milliseconds(0) == 0.0
    assert timing.milliseconds(None) is None
