"""Events to findings: one a connection and rule, with the frames that prove it and a sentence with its numbers.

Promises: findings come in order of connection, then first frame, then id; evidence is in frame order; a rule that fired
often on one connection is one finding that says how often.
Must not know: what any rule means, or how a report prints it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from analyzer.schema import ACK

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from analyzer.openings.facts.connection import ConnectionFacts
    from analyzer.openings.machine.trace import Event
    from analyzer.openings.steps import Steps
    from analyzer.rules import RuleSet

Array = np.ndarray[Any, np.dtype[Any]]

MAX_FRAMES: Final = 12
"""Frames cited at most: the first ones, and the last."""

PAIR: Final = 2
"""Steps of one connection, SYN and SYN+ACK say, whose frames are put together without further ado."""

COLUMNS: Final = ("flow", "id", "severity", "step", "frames", "message")
_SAID: Final = (
    ("seq", "seq"),
    ("len", "length"),
    ("window", "window"),
    ("ttl", "ttl"),
    ("icmp_type", "icmp_type"),
    ("icmp_code", "icmp_code"),
)


def tabulate(events: Sequence[Event], emissions: Sequence[str], steps: Steps, rules: RuleSet) -> pd.DataFrame:
    """Return the findings: flow (int64), id, severity, step (int64, the first cited), frames, message."""
    ids = sorted({id_ for id_ in emissions if id_ in rules.findings})
    rows: list[tuple[int, int, str, str, tuple[tuple[int, int], ...], str]] = []
    for id_ in ids:
        mine = [event for event in events if emissions[event.number] == id_ and len(event.flows)]
        if mine:
            rows += _of_rule(id_, mine, steps, rules)
    rows.sort(key=lambda row: (row[0], row[1], row[2]))
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(COLUMNS)
    flow, step, id_column, severity, frames, message = columns
    return pd.DataFrame(
        {
            "flow": np.array(flow, np.int64),
            "id": pd.Series(id_column, dtype="str"),
            "severity": pd.Series(severity, dtype="str"),
            "step": np.array(step, np.int64),
            "frames": pd.Series(frames, dtype="object"),
            "message": pd.Series(message, dtype="str"),
        }
    )


def cite_rows(found: pd.DataFrame, aggregates: ConnectionFacts, rules: RuleSet) -> pd.DataFrame:
    """Return the findings, those that cite a segment that is no step with that segment's frame."""
    citing = {id_ for id_, one in rules.findings.items() if one.check is not None and "outside_sack" in one.check.cite}
    rows = np.flatnonzero(found["id"].isin(citing).to_numpy())
    if not len(rows):
        return found
    segments = aggregates.connections.segments
    at = aggregates.sacks.row[found["flow"].to_numpy()[rows]]
    frames = found["frames"].tolist()
    pairs = zip(segments["capture"].to_numpy()[at].tolist(), segments["frame"].to_numpy()[at].tolist(), strict=True)
    for row, pair in zip(rows.tolist(), pairs, strict=True):
        frames[row] = (pair,)
    return found.assign(frames=pd.Series(frames, dtype="object"))


def _of_rule(id_: str, events: Sequence[Event], steps: Steps, rules: RuleSet) -> Iterable[tuple[Any, ...]]:
    """Return the findings of one rule, a connection each."""
    finding = rules.findings[id_]
    flows = np.concatenate([event.flows for event in events])
    at = np.concatenate([event.steps for event in events])
    source = np.repeat(np.arange(len(events)), [len(event.flows) for event in events])
    place = np.concatenate([np.arange(len(event.flows)) for event in events])
    order = np.lexsort((at, flows))
    begins = np.concatenate(([0], np.flatnonzero(np.diff(flows[order])) + 1))
    firsts = order[begins]
    times = np.add.reduceat(steps.columns["repeats"][at[order]], begins).tolist()
    numbers = _numbers(at[firsts], steps, finding.places)
    ends = np.append(begins[1:], len(order)).tolist()
    owner, rows, first_steps = source[firsts].tolist(), place[firsts].tolist(), at[firsts].tolist()
    frames, citing, places = _single_frames(at[order], steps), any(event.cites for event in events), finding.places
    for number, (flow, begin, end) in enumerate(zip(flows[firsts].tolist(), begins.tolist(), ends, strict=True)):
        event, row = events[owner[number]], rows[number]
        evidence = frames[begin]
        if citing or end - begin > PAIR:
            cited = [int(cite[row]) for cite in event.cites if cite[row] >= 0]
            evidence = _frames([*cited, *at[order[begin:end]].tolist()], steps)
        elif end - begin == PAIR:
            evidence = tuple(sorted({*evidence, *frames[begin + 1]}))
        message = finding.message
        if places:
            said: dict[str, object] = {name: values[number] for name, values in numbers.items() if values[number] >= 0}
            said |= {name: int(values[row]) for name, values in event.numbers.items() if values[row] >= 0}
            message = finding.say(said | {"times": times[number]})
        yield flow, first_steps[number], id_, finding.severity, evidence, message + _often(times[number], finding.message)


def _single_frames(at: Array, steps: Steps) -> list[tuple[tuple[int, int], ...]]:
    """Return (capture, frame) of each step alone, a folded run by its first and last frame."""
    columns = steps.columns
    captures, frames, lasts = (columns[name][at].tolist() for name in ("capture", "frame", "last_frame"))
    return [
        ((capture, frame),) if frame == last else ((capture, frame), (capture, last))
        for capture, frame, last in zip(captures, frames, lasts, strict=True)
    ]


def _often(times: int, message: str) -> str:
    return f" ({times} times)" if times > 1 and "{times}" not in message else ""


def _numbers(at: Array, steps: Steps, places: frozenset[str]) -> dict[str, list[int]]:
    """Return what the message has places for and every step can say, -1 where a step has no such number."""
    columns = steps.columns
    numbers = {name: columns[column][at].astype(np.int64).tolist() for name, column in _SAID if name in places}
    if "repeats" in places:
        numbers["repeats"] = columns["repeats"][at].tolist()
    if "ack" in places:
        numbers["ack"] = np.where(columns["flags"][at] & ACK != 0, columns["ack"][at].astype(np.int64), -1).tolist()
    return numbers


def _frames(cited: Sequence[int], steps: Steps) -> tuple[tuple[int, int], ...]:
    """Return (capture, frame) of the cited steps in order, a folded run by its first and last frame."""
    columns = steps.columns
    found = set()
    for step in cited if len(cited) <= MAX_FRAMES else [*cited[: MAX_FRAMES - 1], cited[-1]]:
        capture = int(columns["capture"][step])
        found |= {(capture, int(columns["frame"][step])), (capture, int(columns["last_frame"][step]))}
    return tuple(sorted(found))
