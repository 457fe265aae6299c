"""Laws of comparing two reports, over generated ones."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from analyzer.report.diff import Diff, DiffEntry, compare

if TYPE_CHECKING:
    from collections.abc import Iterable

NAMES = ("synack-ack-wrong", "early-reset", "tuple-reused")
SEVERITY = {"synack-ack-wrong": "error", "early-reset": "warning", "tuple-reused": "note"}
OUTCOMES = {"complete": "opened", "half-open": "not-opened", "invalid": "broken", "unfinished": "not-judged"}
CAPTURES = ("a.pcap", "b/a.pcap", "b/c.pcap")


@st.composite
def flows(draw: st.DrawFn) -> dict[str, Any]:
    verdict = draw(st.sampled_from(sorted(OUTCOMES)))
    names = draw(st.lists(st.sampled_from(NAMES), max_size=3))
    findings = [
        {"id": name, "severity": SEVERITY[name], "message": draw(st.sampled_from(["x", "y"])), "excused": False, "frames": [{"frame": 1}]}
        for name in names
    ]
    return {
        "capture": draw(st.integers(0, len(CAPTURES) - 1)),
        "client_ip": draw(st.sampled_from(["192.0.2.1", "192.0.2.2"])),
        "client_port": draw(st.integers(1024, 65535)),
        "server_ip": "198.51.100.1",
        "server_port": draw(st.sampled_from([25, 80])),
        "verdict": verdict,
        "outcome": OUTCOMES[verdict],
        "excused": draw(st.booleans()),
        "first": {"frame": draw(st.integers(1, 99))},
        "findings": findings,
    }


def document(found: list[dict[str, Any]]) -> dict[str, Any]:
    captures = [{"path": path, "status": "clean", "complete": True, "reason": None} for path in CAPTURES]
    return {"captures": captures, "flows": found}


documents = st.lists(flows(), max_size=8).map(document)


def keys(entries: Iterable[DiffEntry]) -> Counter[Any]:
    return Counter(entry.key for entry in entries)


@given(documents)
def test_a_report_and_itself_differ_in_nothing(one: dict[str, Any]) -> None:
    found = compare(one, one)
    assert (found.new, found.fixed, found.added, found.removed) == ((), (), (), ())
    assert not found.fails("note")


@given(documents, documents)
def test_swapped_reports_swap_new_and_fixed(old: dict[str, Any], new: dict[str, Any]) -> None:
    forth, back = compare(old, new), compare(new, old)
    assert keys(forth.new) == keys(back.fixed)
    assert keys(forth.fixed) == keys(back.new)
    assert keys(forth.unchanged) == keys(back.unchanged)


@given(documents, documents)
def test_every_entry_is_in_one_list(old: dict[str, Any], new: dict[str, Any]) -> None:
    found, before, after = compare(old, new), compare(old, old), compare(new, new)
    assert keys(found.new) + keys(found.unchanged) == keys(after.unchanged)
    assert keys(found.fixed) + keys(found.unchanged) == keys(before.unchanged)


@given(documents, st.integers(1, 999), st.integers(1024, 65535))
def test_frames_and_client_ports_do_not_matter(one: dict[str, Any], frame: int, port: int) -> None:
    moved = document([{**flow, "client_port": port, "first": {"frame": frame}} for flow in one["flows"]])
    found = compare(one, moved)
    assert (found.new, found.fixed) == ((), ())
    prints = [{entry.fingerprint for entry in side.unchanged} for side in (compare(one, one), compare(moved, moved))]
    assert prints[0] == prints[1]
    assert len(prints[0]) == len(compare(one, one).unchanged)


def entry_names(found: Diff) -> list[str]:
    return [entry.name for entry in found.new]


def test_a_capture_that_became_unreadable_is_new() -> None:
    one, other = document([]), document([])
    other["captures"][1] = {"path": CAPTURES[1], "status": "unreadable", "complete": False, "reason": "not a capture"}
    assert entry_names(compare(one, other)) == ["unreadable"]
    assert compare(one, other).fails("error")


def test_captures_are_matched_wherever_both_trees_lie() -> None:
    one, other = document([]), document([])
    for capture in one["captures"]:
        capture["path"] = "/srv/before/" + capture["path"]
    for capture in other["captures"]:
        capture["path"] = "build/17/" + capture["path"]
    for roots in (("/srv/before", "build/17"), ("", "")):
        found = compare(one, other, roots)
        assert (found.added, found.removed) == ((), ())
