"""Events become findings: merged per connection and rule, sorted, with bounded evidence and filled messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from analyzer.findings import table
from analyzer.findings.event import Event
from analyzer.rules import Finding

if TYPE_CHECKING:
    from collections.abc import Mapping


class Rows:
    """Row n of the evidence is frame 10 n; row 0 stands for three occurrences and has a second frame, 5."""

    def frames(self, rows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return np.stack([rows * 10, np.where(rows == 0, 5, -1)], axis=1)

    def repeats(self, rows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return np.where(rows == 0, 3, 1)

    def numbers(self, rows: np.ndarray[Any, Any], names: frozenset[str]) -> Mapping[str, np.ndarray[Any, Any]]:
        return {"row": rows, "ack": np.full(len(rows), -1)} if "row" in names else {}


def _finding(id_: str, message: str) -> Finding:
    return Finding(id_, "warning", "", message, "", (), (), {}, (), "handshake", "")


def _event(flows: list[int], rows: list[int], *cites: list[int], **numbers: object) -> Event:
    return Event(
        0,
        np.array(flows),
        np.array(rows),
        tuple(np.array(one) for one in cites),
        {name: np.array(values) for name, values in numbers.items()},
    )


def _tabulate(*reported: tuple[Finding, list[Event]], captures: tuple[int, ...] = (7, 8)) -> list[tuple[Any, ...]]:
    found = table.tabulate([table.Reported(finding, events, Rows()) for finding, events in reported], np.array(captures))
    assert list(found.columns) == ["flow", "id", "severity", "capture", "frames", "message"]
    return list(found.drop(columns="severity").itertuples(index=False, name=None))


def test_hits_of_a_rule_on_a_connection_are_one_finding_that_states_how_often() -> None:
    found = _tabulate((_finding("one", "it happened"), [_event([1, 0], [4, 2]), _event([1], [3])]))
    assert found == [(0, "one", 7, ((7, 20),), "it happened"), (1, "one", 8, ((8, 30), (8, 40)), "it happened (2 times)")]


def test_a_row_that_stands_for_repeats_counts_and_cites_all_of_them() -> None:
    assert _tabulate((_finding("one", "it happened"), [_event([0, 0], [0, 1])])) == [
        (0, "one", 7, ((7, 0), (7, 5), (7, 10)), "it happened (4 times)")
    ]


def test_findings_are_sorted_by_connection_then_first_frame_then_id() -> None:
    late, early = _finding("a", ""), _finding("b", "")
    found = _tabulate((late, [_event([0, 1], [9, 2])]), (early, [_event([0, 1], [3, 2])]))
    assert [(flow, id_) for flow, id_, *_ in found] == [(0, "b"), (0, "a"), (1, "a"), (1, "b")]


def test_cited_rows_of_the_first_hit_are_evidence_but_do_not_sort_the_finding() -> None:
    cited = _event([0, 0], [5, 6], [1, 2], [-1, 3])
    found = _tabulate((_finding("a", ""), [cited]), (_finding("b", ""), [_event([0], [4])]))
    assert [(id_, frames) for _, id_, _, frames, _ in found] == [("b", ((7, 40),)), ("a", ((7, 10), (7, 50), (7, 60)))]


def test_at_most_so_many_frames_are_cited_the_first_ones_and_the_last() -> None:
    ((*_, frames, message),) = _tabulate((_finding("one", "it happened"), [_event([0] * 20, list(range(1, 21)))]))
    assert [frame for _, frame in frames] == [*range(10, 120, 10), 200]
    assert len(frames) == table.MAX_FRAMES
    assert message == "it happened (20 times)"


def test_the_first_hit_fills_the_message_and_what_is_unknown_is_a_question_mark() -> None:
    message = "{row} {ack} {ttl} {word} {none} {times}"
    event = _event([0, 0], [2, 1], ttl=[64, -1], word=np.array(["b", "a"], object), none=np.array([None, None], object))
    assert _tabulate((_finding("one", message), [event])) == [(0, "one", 7, ((7, 10), (7, 20)), "1 ? ? a ? 2")]


def test_without_events_there_is_an_empty_table() -> None:
    assert _tabulate((_finding("one", ""), [_event([], [])])) == []
    assert _tabulate() == []
