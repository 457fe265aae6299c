"""Connections in blocks, and memory that goes when what it was needed for is done."""

from __future__ import annotations

import gc
import weakref
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyzer import connections as connections_
from analyzer import openings, rules
from analyzer.connections import blocks
from analyzer.notation import capture, parse
from analyzer.openings import steps as steps_
from analyzer.openings import tables

if TYPE_CHECKING:
    from collections.abc import Iterator

OPENING = "> S 9:9(0)\n< S. 4:4(0) ack 10\n> . 10:10(0) ack 5\n> P. 10:30(20) ack 5\n> P. 10:30(20) ack 5\n< R 5:5(0)\n"


@pytest.fixture
def uncollected() -> Iterator[None]:
    """Keep the garbage collector from helping: what is done with must go by itself."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@given(st.lists(st.integers(1, 9), max_size=30), st.integers(1, 20))
def test_every_connection_is_whole_in_one_block(sizes: list[int], rows: int) -> None:
    flow = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)
    table = pd.DataFrame({"flow": flow, "frame": np.arange(len(flow))})
    made = list(blocks.divide(table, len(sizes), ("frame",), rows))
    again = [one.segments["flow"].to_numpy() + one.first for one in made]
    assert np.concatenate([np.zeros(0), *again]).tolist() == flow.tolist()
    assert [frame for one in made for frame in one.segments["frame"]] == list(range(len(flow)))
    assert [one.first for one in made] == np.cumsum([0, *(one.count for one in made)])[:-1].tolist()
    assert sum(one.count for one in made) == len(sizes)
    assert all(one.segments["frame"].iloc[0] == one.begin for one in made)
    assert all(len(one.segments) <= rows or one.count == 1 for one in made)


@pytest.mark.parametrize("rows", [1, 7, 100])
def test_counts_and_steps_do_not_depend_on_the_blocks(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    captures = [capture(parse(OPENING * number)) for number in (1, 2, 3, 1)]
    connections = connections_.group(captures)
    whole, steps = tables.count(connections.segments, len(connections.flows)), steps_.select(connections)
    monkeypatch.setattr(blocks, "divide", partial(blocks.divide, rows=rows))
    parts, again = tables.count(connections.segments, len(connections.flows)), steps_.select(connections)
    assert {name: list(values) for name, values in parts.items()} == {name: list(values) for name, values in whole.items()}
    assert {name: values.tolist() for name, values in again.columns.items()} == {
        name: values.tolist() for name, values in steps.columns.items()
    }


@pytest.mark.usefixtures("uncollected")
def test_grouping_lets_go_of_tables_that_nobody_else_holds() -> None:
    held = [capture(parse(OPENING))]
    handed_over, gone = iter(held), weakref.ref(held[0].segments)
    del held
    connections = connections_.group(handed_over)
    assert gone() is None
    assert list(connections.segments["frame"]) == [1, 2, 3, 4, 5, 6]


@pytest.mark.usefixtures("uncollected")
def test_judging_leaves_nothing_that_holds_the_segments() -> None:
    connections = connections_.group([capture(parse(OPENING))])
    gone = weakref.ref(connections.segments)
    judged = openings.judge(connections, rules.load())
    del connections
    assert gone() is None
    assert len(judged.verdict) == 1
