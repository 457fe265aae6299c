"""Laws of grouping, over made-up segments and over every real capture at hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analyzer import connections, model, schema
from analyzer.connections import port_reuse_fast

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn

Row = dict[str, Any]

ADDRESSES = ("10.0.0.1", "10.0.0.2", "2001:db8::1")
NUMBERS = (0, 1, 2, 100, 101, 102, 2**31, 2**32 - 2, 2**32 - 1)
DEFAULTS: Row = {"ttl": 64, "header_length": 20, "header_captured": 20, "interface": -1, "window": 1000}


def _table(rows: list[Row]) -> pd.DataFrame:
    columns: dict[str, Any] = {}
    for column in schema.SEGMENTS.columns:
        values = [row.get(column.name, DEFAULTS.get(column.name, "" if column.dtype == "category" else 0)) for row in rows]
        if column.name in {"src", "dst"}:
            columns[column.name] = pd.Categorical(values, categories=list(ADDRESSES))
        elif column.dtype == "category":
            columns[column.name] = pd.Categorical(values, categories=sorted({"", *map(str, values)}))
        else:
            columns[column.name] = np.array(values, dtype=column.dtype)
    return schema.check(pd.DataFrame(columns), schema.SEGMENTS)


def _capture(rows: list[Row]) -> model.Capture:
    framed = [{"frame": number, **row} for number, row in enumerate(rows, 1)]
    return model.Capture("made", _table(framed), schema.empty(schema.QUOTES), b"", len(rows), complete=True)


@st.composite
def segments(draw: DrawFn) -> list[Row]:
    """Draw segments among few ends, numbers and flags, so that they meet often."""
    time, rows = 0, []
    for _ in range(draw(st.integers(0, 30))):
        time += draw(st.sampled_from((0, 500_000, 5_000_000, 2_000_000_000, 250_000_000_000)))
        rows.append(
            {
                "time": time,
                "src": draw(st.sampled_from(ADDRESSES)),
                "dst": draw(st.sampled_from(ADDRESSES)),
                "src_port": draw(st.sampled_from((0, 80))),
                "dst_port": draw(st.sampled_from((0, 80))),
                "seq": draw(st.sampled_from(NUMBERS)),
                "ack": draw(st.sampled_from(NUMBERS)),
                "flags": draw(st.sampled_from((0x02, 0x12, 0x10, 0x11, 0x14, 0x04, 0x18, 0x01, 0x03, 0x06, 0xFFF, 0))),
                "payload_length": draw(st.sampled_from((0, 0, 0, 1, 100))),
                "ip_id": draw(st.sampled_from((-1, 0, 1, 2))),
                "vlan": draw(st.sampled_from(("", "", "", "1", "2"))),
                "tunnel": draw(st.sampled_from(("", "", "", "gre:1"))),
                "header_captured": draw(st.sampled_from((20, 20, 20, 20, 4, 13))),
            }
        )
    return rows


@given(st.lists(segments(), max_size=3))
@settings(deadline=None, max_examples=40)
def test_flows_partition_segments(captures: list[list[Row]]) -> None:
    found = connections.group([_capture(rows) for rows in captures])
    for table, name in (("flows", schema.CONNECTIONS), ("segments", schema.FLOW_SEGMENTS), ("duplicates", schema.DUPLICATES)):
        schema.check(getattr(found, table), name)
    _check_partition(found, [len(rows) for rows in captures])
    _check_order(found)


def _check_partition(found: connections.Connections, sizes: list[int]) -> None:
    """Every frame is kept once or dropped once, and each flow's counts are those of its segments."""
    seen = pd.concat([found.segments[["capture", "frame"]], found.duplicates[["capture", "frame"]]])
    expected = [(capture, frame) for capture, size in enumerate(sizes) for frame in range(1, size + 1)]
    assert sorted(seen.itertuples(index=False, name=None)) == expected
    counted = found.flows["client_segments"] + found.flows["server_segments"]
    assert list(counted) == list(found.segments.groupby("flow").size())
    assert list(found.flows["duplicate_frames"]) == list(np.bincount(found.duplicates["flow"], minlength=len(found.flows)))


def _check_order(found: connections.Connections) -> None:
    flow, place = found.segments["flow"].to_numpy(), found.segments[["capture", "frame"]].apply(tuple, axis=1).to_numpy()
    assert all(flow[:-1] <= flow[1:])
    assert all(place[row] < place[row + 1] for row in range(len(flow) - 1) if flow[row] == flow[row + 1])
    firsts = list(zip(found.flows["capture"], found.flows["first_frame"], strict=True))
    assert firsts == sorted(firsts)
    assert firsts == [place[row] for row in np.flatnonzero(np.diff(flow, prepend=-1))]


@given(segments())
@settings(deadline=None, max_examples=40)
def test_segments_of_a_flow_share_their_ends(rows: list[Row]) -> None:
    found = connections.group([_capture(rows)])
    by_flow = found.flows.iloc[found.segments["flow"].to_numpy()].reset_index(drop=True)
    ahead = found.segments["by_client"].to_numpy()
    for ours, client, server in (("src", "client_ip", "server_ip"), ("src_port", "client_port", "server_port")):
        assert list(found.segments[ours].astype(object)) == list(
            np.where(ahead, by_flow[client].astype(object), by_flow[server].astype(object))
        )
    for name in ("tunnel", "vlan"):
        same = (found.segments[name].astype(object) == by_flow[name].astype(object)) | by_flow["vlan_joined"]
        assert same.all()


@given(segments())
@settings(deadline=None, max_examples=40)
def test_the_order_of_addresses_changes_nothing(rows: list[Row]) -> None:
    swap = {"10.0.0.1": "2001:db8::1", "2001:db8::1": "10.0.0.1", "10.0.0.2": "10.0.0.2"}
    mirrored = [{**row, "src": swap[row["src"]], "dst": swap[row["dst"]]} for row in rows]
    one, other = connections.group([_capture(rows)]), connections.group([_capture(mirrored)])
    assert list(one.segments["flow"]) == list(other.segments["flow"])
    assert list(one.segments["by_client"]) == list(other.segments["by_client"]) or _loops(rows)
    assert list(one.duplicates["frame"]) == list(other.duplicates["frame"])
    for name in ("client_by", "reuse", "follows", "client_bytes", "vlan_joined"):
        assert list(one.flows[name]) == list(other.flows[name])
    assert [swap[address] for address in one.flows["client_ip"]] == list(other.flows["client_ip"])


def _loops(rows: list[Row]) -> bool:
    return any((row["src"], row["src_port"]) == (row["dst"], row["dst_port"]) for row in rows)


@given(segments(), segments())
@settings(deadline=None, max_examples=40)
def test_captures_side_by_side_are_what_each_is_alone(one: list[Row], other: list[Row]) -> None:
    together = connections.group([_capture(one), _capture(other)])
    alone = [connections.group([_capture(rows)]) for rows in (one, other)]
    for name in ("client_by", "reuse", "first_frame", "last_frame", "server_bytes"):
        assert list(together.flows[name]) == [value for each in alone for value in each.flows[name]]


@given(segments(), st.data())
@settings(deadline=None, max_examples=40)
def test_a_frame_repeated_exactly_is_dropped_or_stays_in_its_flow(rows: list[Row], data: st.DataObject) -> None:
    if not rows:
        return
    place = data.draw(st.integers(0, len(rows) - 1))
    plain = connections.group([_capture(rows)])
    repeated = connections.group([_capture([*rows[: place + 1], *rows[place:]])])
    joined = plain.flows["vlan_joined"].any() or repeated.flows["vlan_joined"].any()
    assert joined or len(repeated.flows) - len(plain.flows) in {0, 1}
    told = rows[place]["payload_length"] > 0 or rows[place]["flags"] & (schema.SYN | schema.FIN)
    sure = told and rows[place]["header_captured"] == DEFAULTS["header_captured"]
    if sure:
        assert list(repeated.flows["client_by"]) == list(plain.flows["client_by"])
        assert len(repeated.duplicates) == len(plain.duplicates) + 1


@st.composite
def turns(draw: DrawFn) -> list[Row]:
    """Draw one tuple used several times, mostly in good order."""
    rows: list[Row] = []
    for turn in range(draw(st.integers(1, 5))):
        ours, theirs = draw(st.sampled_from((turn * 1000, 0, 5000))), 7000 + turn
        made = [
            (True, 0x02, ours, 0),
            (False, 0x12, theirs, ours + 1),
            (True, 0x10, ours + 1, theirs + 1),
            (True, 0x11, ours + 1, theirs + 1),
            (False, 0x11, theirs + 1, ours + 2),
            (True, 0x10, ours + 2, theirs + 2),
            (False, 0x14, theirs + 1, ours + 1),
        ]
        kept = draw(
            st.sampled_from(
                ((0, 1, 2, 3, 4, 5), (0, 1, 2, 6), (0, 6), (0, 1), (0, 0, 1, 2, 3, 4), (0, 1, 2, 3), (1, 2, 3, 4), (0, 1, 6, 1))
            )
        )
        swapped = draw(st.sampled_from((False, False, True)))
        for place in kept:
            sent, flags, seq, ack = made[place]
            ahead = sent != swapped
            ends = ("10.0.0.1", "10.0.0.2") if ahead else ("10.0.0.2", "10.0.0.1")
            ports = (40000, 80) if ahead else (80, 40000)
            both = dict(zip(("src", "dst", "src_port", "dst_port"), (*ends, *ports), strict=True))
            rows.append({**both, "time": len(rows) * 20_000_000, "flags": flags, "seq": seq, "ack": ack, "ip_id": len(rows) + 1})
    return rows


@given(turns())
@settings(deadline=None, max_examples=80)
def test_reuse_in_good_order_is_found_as_event_by_event(rows: list[Row]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        quick = connections.group([_capture(rows)])
        patch.setattr(port_reuse_fast, "find", _nothing_in_order)
        slow = connections.group([_capture(rows)])
    pd.testing.assert_frame_equal(quick.flows, slow.flows)
    pd.testing.assert_frame_equal(quick.segments, slow.segments)


def _nothing_in_order(_events: port_reuse_fast.TurnoverEvents, _begins: object, both_sides: object) -> port_reuse_fast.ReuseCuts:
    return port_reuse_fast.ReuseCuts(np.zeros_like(both_sides, bool), np.zeros(0, np.int64), np.zeros(0, bool))
