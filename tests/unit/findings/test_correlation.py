"""Groups of connections and the facts of each, with values counted by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from analyzer.findings import correlation
from analyzer.schema import NO_TIME

SECOND = 10**9


def _candidates(**columns: list[Any]) -> correlation.Candidates:
    """Return connections of one client and one server on port 80, each of which begins at its own row, but for `columns`."""
    size = len(next(iter(columns.values())))
    table: dict[str, Any] = {
        "capture": [0] * size,
        "client_ip": ["192.0.2.1"] * size,
        "server_ip": ["198.51.100.1"] * size,
        "client_port": list(range(1024, 1024 + size)),
        "server_port": [80] * size,
        "vlan": [""] * size,
        "tunnel": [""] * size,
        "start_time": [0] * size,
        "end_time": [0] * size,
    }
    isn = np.array(columns.pop("isn", list(range(size))), np.int64)
    flows = pd.DataFrame(table | columns)
    for name in ("client_ip", "server_ip", "vlan", "tunnel"):
        flows[name] = flows[name].astype("category")
    nothing = np.zeros(size, np.int64)
    return correlation.Candidates(flows, nothing, lambda _: (nothing, None), np.arange(size) * 10, isn, isn, isn >= 0)


def _groups(candidates: correlation.Candidates, group_by: str) -> correlation.Groups:
    return correlation.Groups(candidates, candidates.key(group_by), np.ones(len(candidates.verdict), bool))


def _fact(groups: correlation.Groups, name: str) -> list[Any]:
    values, known = groups.name(name)
    assert known is None
    found: list[Any] = np.asarray(values).tolist()
    return found


def test_connections_of_one_key_are_a_group_and_a_single_one_is_none() -> None:
    groups = _groups(_candidates(client_ip=["192.0.2.1", "192.0.2.2", "192.0.2.1", "192.0.2.3", "192.0.2.3"]), "client")
    assert _fact(groups, "connections") == [2, 2]
    assert groups.rows[groups.begin].tolist() == [0, 3]


def test_groups_do_not_cross_captures() -> None:
    assert _fact(_groups(_candidates(capture=[0, 1, 0, 1, 1]), "client"), "connections") == [2, 3]


def test_a_connection_without_a_syn_of_the_client_is_in_no_group_of_clients() -> None:
    assert _fact(_groups(_candidates(isn=[5, -1, 5, -1]), "client"), "connections") == [2]


def test_distinct_values_are_counted_per_group() -> None:
    groups = _groups(_candidates(server_ip=["a", "b", "a", "a"], server_port=[80, 80, 443, 80], isn=[7, 7, 7, 9]), "client")
    assert {name: _fact(groups, name) for name in ("servers", "ports", "isns", "pairs", "tuples", "paths")} == {
        "servers": [2],
        "ports": [2],
        "isns": [2],
        "pairs": [2],
        "tuples": [4],
        "paths": [1],
    }


def test_steps_between_isns_wrap_at_two_to_the_32() -> None:
    assert _fact(_groups(_candidates(isn=[2**32 - 64, 0, 64, 128]), "client"), "isn_steps") == [1]
    assert _fact(_groups(_candidates(isn=[2**32 - 64, 0, 65, 129]), "client"), "isn_steps") == [2]


@pytest.mark.parametrize(
    ("starts", "peak"),
    [
        ([0, SECOND // 2, SECOND - 1000, 2 * SECOND], 3),
        ([0, SECOND, 2 * SECOND, 3 * SECOND], 1),
        ([5 * SECOND, 0, 5 * SECOND + 1000, NO_TIME], 2),
        ([NO_TIME] * 4, 0),
    ],
)
def test_the_peak_is_the_most_connections_that_begin_within_a_second(starts: list[int], peak: int) -> None:
    assert _fact(_groups(_candidates(start_time=starts), "client"), "peak") == [peak]


def test_connections_of_different_groups_do_not_add_up_to_a_peak() -> None:
    groups = _groups(_candidates(client_ip=["192.0.2.1", "192.0.2.1", "192.0.2.2", "192.0.2.2"], start_time=[0, 9 * SECOND] * 2), "client")
    assert _fact(groups, "peak") == [1, 1]


@pytest.mark.parametrize(("start", "vlan", "overlaps"), [(4, "2", True), (6, "2", False), (4, "1", False)])
def test_a_connection_overlaps_one_on_another_path_that_has_not_ended(start: int, vlan: str, *, overlaps: bool) -> None:
    candidates = _candidates(start_time=[0, start], end_time=[5, 9], vlan=["1", vlan], client_port=[1024, 1024])
    assert _fact(_groups(candidates, "tuple"), "overlapping") == [overlaps]


def test_a_group_cites_the_first_rows_of_its_first_connections() -> None:
    groups = _groups(_candidates(client_ip=["192.0.2.1"] * 10 + ["192.0.2.2"] * 2), "client")
    cited = np.stack(groups.cites(np.array([0, 1])))
    assert cited.T.tolist() == [[10, 20, 30, 40, 50, 60, 70], [110, -1, -1, -1, -1, -1, -1]]
