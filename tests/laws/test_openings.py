"""Laws: what may be done to a capture without changing what is said of it.

Each holds over hostile openings as well as right ones; Hypothesis makes bytes, `exchanges.decode` makes openings of them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from analyzer import connections as connections_
from analyzer import openings, rules
from analyzer.dialogues import tables as dialogues
from analyzer.openings import steps, tables
from analyzer.pipeline import stages
from analyzer.schema import RST
from tests.reference import exchanges
from tests.reference.exchanges import CIRCLE, EDGES, FROM_CLIENT, FROM_SERVER, MILLISECOND, Sent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from analyzer.connections import Connections
    from analyzer.rules import RuleSet
    from tests.reference.exchanges import Exchange

BATCH = st.binary(min_size=3000, max_size=3000)
SOME = settings(deadline=None, max_examples=10, phases=(Phase.explicit, Phase.reuse, Phase.generate))
"""Ten batches of some 120 connections; a failure names its connection, so that nothing is shrunk."""
ABOUT_VALUES = frozenset(
    {
        "ack-field-without-ack",
        "isn-predictable",
        "isn-reused",
        "isn-tool-fingerprint",
        "isn-zero",
        "nat-double",
        "rst-seq-not-zero",
        "seq-wraps-in-opening",
    }
)
"""Findings about the values of sequence numbers, which no law can leave as they are; job checks over ISNs among them."""
ABOUT_FRAMES = frozenset({"duplicate-frame", "routed-duplicate"})
"""Findings about copies of frames, which are said of no segment."""


@cache
def loaded() -> RuleSet:
    return rules.load()


@dataclass(frozen=True)
class Said:
    """What is said of one connection, numbers aside."""

    first_frame: int
    verdict: str
    view: str
    facts: dict[str, bool]
    findings: dict[str, tuple[tuple[int, int], ...]]


def judge(batch: Sequence[Exchange], *, swapped: bool = False) -> list[Said]:
    connections = connections_.group([exchanges.capture(batch, swapped=swapped)])
    judged = openings.judge(connections, loaded())
    findings: list[dict[str, Any]] = [{} for _ in judged.verdict]
    for flow, id_, frames in zip(judged.findings["flow"], judged.findings["id"], judged.findings["frames"], strict=True):
        if id_ not in ABOUT_VALUES:
            findings[flow][id_] = frames
    return [
        Said(
            first_frame=first,
            verdict=loaded().verdicts[judged.verdict[flow]].name,
            view=loaded().machine.views[judged.view[flow]].name,
            facts={name: bool(values[flow]) for name, values in judged.facts.items()},
            findings=findings[flow],
        )
        for flow, first in enumerate(connections.flows["first_frame"].tolist())
    ]


# -- 1. Only differences between numbers count

SHIFTS = st.sampled_from(EDGES) | st.integers(0, CIRCLE - 1)


@given(BATCH, SHIFTS, SHIFTS)
@SOME
def test_shifting_a_sides_numbers_changes_nothing(data: bytes, client: int, server: int) -> None:
    pairs = [(exchange, [shift(sent, client, server) for sent in exchange]) for exchange in exchanges.decode(data)]
    pairs = [pair for pair in pairs if not any(map(has_literal_zero, pair))]
    assert judge([moved for _, moved in pairs]) == judge([exchange for exchange, _ in pairs])


def has_literal_zero(exchange: Exchange) -> bool:
    """Return whether a reset has sequence number 0: to a segment without ACK that is what it must have, and no number of its sender."""
    return any(sent.icmp is None and sent.flags & RST and sent.seq == 0 for sent in exchange)


def shift(sent: Sent, client: int, server: int) -> Sent:
    """Add `client` to the client's numbers and to what acknowledges them, `server` to the server's."""
    own, peer = (client, server) if sent.by_client else (server, client)
    if sent.icmp is not None:  # quotes a segment of the other side
        own, peer = peer, own
    return replace(sent, seq=(sent.seq + own) % CIRCLE, ack=(sent.ack + peer) % CIRCLE)


# -- 2. Nor which side has the lower address


@given(BATCH)
@SOME
def test_swapping_the_lower_address_changes_nothing(data: bytes) -> None:
    batch = exchanges.decode(data)
    assert judge(batch, swapped=True) == judge(batch)


# -- 3. Nor what else is in the capture


@given(BATCH)
@SOME
def test_captures_side_by_side_are_judged_as_each_alone(data: bytes) -> None:
    batches = [exchanges.decode(data[:1500]), exchanges.decode(data[1500:])]
    together = openings.judge(connections_.group([exchanges.capture(batch) for batch in batches]), loaded())
    assert [loaded().verdicts[number].name for number in together.verdict.tolist()] == [
        said.verdict for batch in batches for said in judge(batch)
    ]


# -- 4. Every segment is in one connection


@given(BATCH)
@SOME
def test_connections_partition_the_segments(data: bytes) -> None:
    one = exchanges.capture(exchanges.decode(data))
    found = connections_.group([one])
    kept, dropped = found.segments["frame"].tolist(), found.duplicates["frame"].tolist()
    assert sorted([*kept, *dropped]) == sorted(one.segments["frame"].tolist())
    assert set(found.segments["flow"]) == set(range(len(found.flows)))
    ends = found.segments.groupby("flow")[["src", "dst", "src_port", "dst_port"]]
    for _, rows in ends:
        named = {frozenset(((src, src_port), (dst, dst_port))) for src, dst, src_port, dst_port in rows.itertuples(index=False, name=None)}
        assert len(named) == 1


# -- 5. A frame captured twice


def repeats(gap: int) -> list[tuple[Exchange, Exchange]]:
    """Return every right opening, and it with one frame repeated `gap` frames and at most 10 ms later, for every frame."""
    found = []
    for number, isn in product(range(len(exchanges.openings(0, 0))), EDGES):
        plain = [replace(sent, ip_id=place + 1) for place, sent in enumerate(exchanges.openings(isn, 2**31)[number])]
        for place in range(len(plain) - gap):
            if sum(sent.delay for sent in plain[place + 1 : place + gap + 1]) > 9 * MILLISECOND:
                continue
            twice = [*plain[: place + gap + 1], replace(plain[place], delay=MILLISECOND), *plain[place + gap + 1 :]]
            found.append((plain, twice))
    return found


@pytest.mark.parametrize("gap", [0, 1, 2, 4])
def test_a_frame_captured_twice_is_dropped(gap: int) -> None:
    """At once or some frames and a few milliseconds later: the IP identification proves it, and nothing is said but of frames."""
    pairs = repeats(gap)
    plain, twice = judge([one for one, _ in pairs]), judge([two for _, two in pairs])
    for one, two, pair in zip(plain, twice, pairs, strict=True):
        said = set(two.findings) - ABOUT_FRAMES
        assert (one.verdict, one.view, one.facts, set(one.findings)) == (two.verdict, two.view, two.facts, said), pair[1]


@pytest.mark.parametrize("ip_id", [0, -1], ids=["zero", "absent"])
@pytest.mark.parametrize("gap", [0, 1, 2, 4])
def test_a_frame_repeated_exactly_is_no_error(gap: int, ip_id: int) -> None:
    """Where nothing proves a copy it may be the sender's own repetition: never a fault of the connection."""
    pairs = [[[replace(sent, ip_id=ip_id) for sent in exchange] for exchange in pair] for pair in repeats(gap)]
    plain, twice = judge([one for one, _ in pairs]), judge([two for _, two in pairs])
    outcome = {verdict.name: verdict.outcome for verdict in loaded().verdicts}
    assert not {id_ for said in (*plain, *twice) for id_ in said.findings if loaded().findings[id_].severity == "error"}
    # A SYN after a reset is one more connection; every other stays what it was.
    assert [said.verdict for said in twice if "tuple-reused" not in said.findings] == [said.verdict for said in plain]
    assert "broken" not in {outcome[said.verdict] for said in twice}


# -- 7. Choosing what the rules see, part by part


@given(BATCH, st.randoms(use_true_random=False))
@SOME
def test_selecting_parts_and_joining_them_is_selecting_the_whole(data: bytes, random: Any) -> None:  # noqa: ANN401 - random.Random as Hypothesis makes it
    connections = connections_.group([exchanges.capture(exchanges.decode(data))])
    whole = steps.select(connections)
    end = int(connections.segments["frame"].max()) if len(connections.segments) else 0
    for _ in range(5):
        cut = random.randint(0, end + 1)
        parts = [steps.select(part) for part in split(connections, cut)]
        joined = steps.join(parts, connections.flows)
        assert joined.first.tolist() == whole.first.tolist(), cut
        for name, column in whole.columns.items():
            assert joined.columns[name].tolist() == column.tolist(), (cut, name)


def split(connections: Connections, cut: int) -> tuple[Connections, Connections]:
    """Return the connections with what lies before frame `cut` alone, and with the rest."""
    segments, quotes = connections.segments, connections.quotes
    before, early = segments["frame"] < cut, quotes["frame"] < cut
    return (
        replace(connections, segments=segments[before], quotes=quotes[early]),
        replace(connections, segments=segments[~before], quotes=quotes[~early]),
    )


# -- 9. Whatever the flags are, there is one verdict

PAIRS = np.stack(np.meshgrid(np.arange(64), np.arange(64), indexing="ij"), -1).reshape(-1, 2).tolist()
BOTH = (FROM_CLIENT, FROM_SERVER)


def check_totality(batch: list[Exchange]) -> None:
    connections = connections_.group([exchanges.capture(batch)])
    assert set(connections.flows["client_port"]) | set(connections.flows["server_port"]) >= set(range(1024, 1024 + len(batch)))
    for min_vector_flows in (0, len(batch) + 1):
        judged = openings.judge(connections, loaded(), min_vector_flows=min_vector_flows)
        assert len(judged.verdict) == len(connections.flows)
        assert ((judged.verdict >= 0) & (judged.verdict < len(loaded().verdicts))).all()
        assert ((judged.view >= 0) & (judged.view < len(loaded().machine.views))).all()
    said = stages.parse_dialogues(
        stages.build_dialogue_request(connections, [exchanges.capture(batch)], stages.opening_summary(judged, loaded()), loaded())
    )
    ids = tables.flow_ids(len(judged.verdict))
    findings = tables.findings(judged, ids)
    told = dialogues.flows(said, ids, loaded().protocols) | tables.judgement(judged, loaded())
    told |= {"worst": tables.worst(findings["severity"], judged.findings["flow"].to_numpy(), len(ids))}
    told |= tables.count(connections.segments, len(ids))
    assert len(tables.flows(connections.flows, told, ids)) == len(connections.flows)
    assert len(findings) == len(judged.findings)
    assert set(tables.steps(judged, ids)["flow_id"]) <= set(ids)


@pytest.mark.parametrize(
    ("first", "second"), list(product(BOTH, BOTH)), ids=["client twice", "client first", "server first", "server twice"]
)
def test_every_ordered_pair_of_flag_sets_has_a_verdict(*, first: bool, second: bool) -> None:
    numbers = {FROM_CLIENT: (101, 301), FROM_SERVER: (301, 101)}
    check_totality([[Sent(first, one, *numbers[first]), Sent(second, other, *numbers[second])] for one, other in PAIRS])


@pytest.mark.parametrize("by_client", BOTH, ids=["client", "server"])
def test_every_value_of_twelve_flag_bits_has_a_verdict(*, by_client: bool) -> None:
    check_totality([[Sent(by_client, flags, 100, 300)] for flags in range(4096)])


def test_every_flag_set_after_every_right_opening_has_a_verdict() -> None:
    """From every state a right opening passes through, too."""
    prefixes = {tuple(exchange[:size]) for exchange in exchanges.openings(100, 300) for size in range(1, 5)}
    batch = [[*prefix, Sent(by_client, flags, 101, 301)] for prefix in prefixes for flags in range(64) for by_client in BOTH]
    check_totality(batch)
