"""Laws about dialogues: what may be done to a capture, or who reads it, without changing what is said of what was said.

Numbered as the laws of openings are (tests/laws/test_openings.py).
"""

from __future__ import annotations

import gc
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from analyzer import api, notation, openings, rules
from analyzer import connections as connections_
from analyzer.notation.values import Quote, Segment
from analyzer.pipeline import stages

if TYPE_CHECKING:
    from collections.abc import Mapping

    from analyzer.dialogues import DialogueRequest
    from analyzer.notation.values import Script
    from analyzer.rules import RuleSet

SAMPLES = Path(__file__).parents[2] / "sample_pcaps"
CIRCLE = 1 << 32


@cache
def shipped() -> RuleSet:
    return rules.load()


@cache
def examples() -> dict[str, Script]:
    """Return the examples of all findings about what was said, by finding and number."""
    return {
        f"{id_}-{number}": notation.parse(example.segments)
        for id_, finding in shipped().findings.items()
        if finding.check is not None and finding.check.scope in {"dialogue", "exchange"}
        for number, example in enumerate(finding.examples, 1)
    }


def asked(scripts: Mapping[str, Script]) -> DialogueRequest:
    captures = [notation.capture(script) for script in scripts.values()]
    connections = connections_.group(captures)
    begun = stages.opening_summary(openings.judge(connections, shipped()), shipped())
    return stages.build_dialogue_request(connections, captures, begun, shipped())


def hear(scripts: Mapping[str, Script]) -> dict[str, tuple[list[object], list[object]]]:
    """Return findings and dialogues of each script, frames and times aside; all are read in one job."""
    request = asked(scripts)
    found = stages.parse_dialogues(request)
    owner, names = request.flows["capture"].tolist(), list(scripts)
    told: dict[str, tuple[list[object], list[object]]] = {name: ([], []) for name in names}
    for flow, id_, message in found.findings[["flow", "id", "message"]].itertuples(index=False, name=None):
        told[names[owner[flow]]][0].append((id_, message))
    for flow, one in sorted(found.dialogues.items()):
        told[names[owner[flow]]][1].append((one.service, one.summary, [_row(row) for row in one.rows]))
    return told


def _row(row: Mapping[str, object]) -> dict[str, object]:
    untold = {"time", "first_frame", "last_frame", "latency_ms", "data_flow_id"}
    return {name: cell for name, cell in row.items() if name not in untold}


@cache
def plain() -> dict[str, tuple[list[object], list[object]]]:
    return hear(examples())


def test_1_shifting_a_sides_numbers_changes_nothing() -> None:
    """To where they come round within the dialogue."""
    assert hear({name: _shifted(script) for name, script in examples().items()}) == plain()


def _shifted(script: Script) -> Script:
    moved = list[Segment | Quote]()
    for event in script.events:
        own, peer = (CIRCLE - 110, 2**31 - 310) if event.by == "client" else (2**31 - 310, CIRCLE - 110)
        if isinstance(event, Segment):
            moved.append(replace(event, seq=(event.seq + own) % CIRCLE, ack=(event.ack + peer) % CIRCLE))
        else:
            moved.append(replace(event, seq=(event.seq + peer) % CIRCLE))
    return replace(script, events=tuple(moved))


def test_2_which_end_has_the_lower_address_changes_nothing() -> None:
    """FTP says addresses in its dialogue, which would not fit any more."""
    chosen = {name: script for name, script in examples().items() if not name.startswith("ftp")}
    swapped = hear({name: _swapped(script) for name, script in chosen.items()})
    assert swapped == {name: plain()[name] for name in chosen}


def _swapped(script: Script) -> Script:
    ends = [
        replace(pair, client=replace(pair.client, address=pair.server.address), server=replace(pair.server, address=pair.client.address))
        for pair in script.connections
    ]
    return replace(script, connections=tuple(ends))


def test_5_copies_of_frames_change_nothing() -> None:
    """Every frame is there twice, as a tap on both ports of a switch gives it."""
    assert hear({name: _doubled(script) for name, script in examples().items()}) == plain()


def _doubled(script: Script) -> Script:
    events = list[Segment | Quote]()
    for number, event in enumerate(script.events, 1):
        if isinstance(event, Segment):
            sent = replace(event, ip_id=number if event.ip_id is None else event.ip_id)
            events += [sent, replace(sent, delay=0)]
        else:
            events.append(event)
    return replace(script, events=tuple(events))


@pytest.mark.parametrize("sample", sorted(path.name for path in SAMPLES.glob("*.pcap")))
def test_8_both_engines_hear_the_same(sample: str) -> None:
    reports = [api.analyze(SAMPLES / sample, rules=shipped(), engine=engine) for engine in ("pyshark", "native")]
    for table in ("flows", "findings", "transactions"):
        left, right = (getattr(report, table) for report in reports)
        assert left.equals(right), table


def test_reading_leaves_nothing_to_the_garbage_collector() -> None:
    plain()  # what is loaded on first use is
    request = asked(examples())
    gc.collect()
    said = stages.parse_dialogues(request)
    assert gc.isenabled()
    assert gc.collect() == 0
    del said, request
    assert gc.collect() == 0
