from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING, get_args

import pytest

from analyzer.cli import statuses
from analyzer.errors import Exit
from analyzer.model import Status

if TYPE_CHECKING:
    from collections.abc import Sequence


def test_every_status_has_an_exit() -> None:
    assert set(statuses.EXIT_OF_STATUS) == set(get_args(Status))


@pytest.mark.parametrize(
    ("ends", "expected"),
    [
        ((), 5),
        (("clean",), 0),
        (("clean", "nothing-checked"), 5),
        (("nothing-checked", "findings", "clean"), 1),
        (("findings", "incomplete", "clean"), 4),
        (("incomplete", "unreadable", "findings"), 3),
    ],
)
def test_the_worst_wins_in_any_order(ends: Sequence[Status], expected: int) -> None:
    for order in permutations(ends):
        assert statuses.worst(order) == expected


def test_nothing_checked_can_be_allowed() -> None:
    assert statuses.worst(["nothing-checked"], allow_empty=True) == Exit.CLEAN
    assert statuses.worst(["nothing-checked", "findings"], allow_empty=True) == Exit.FINDINGS
