"""Events to findings: one a connection and rule, with the frames that prove it and a sentence with its numbers.

Promises: findings come in order of connection, then first frame, then id; evidence is in frame order; a rule that fired
often on one connection is one finding that says how often.
Must not know: what any rule means, or how a report prints it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from analyzer.opening.log import Event
    from analyzer.opening.selection import Steps
    from analyzer.rules import RuleSet

Array = np.ndarray[Any, np.dtype[Any]]

MAX_FRAMES: Final = 12
"""Frames cited at most: the first ones, and the last."""

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


def _of_rule(id_: str, events: Sequence[Event], steps: Steps, rules: RuleSet) -> Iterable[tuple[Any, ...]]:
    """Return the findings of one rule, a connection each."""
    finding = rules.findings[id_]
    flows = np.concatenate([event.flows for event in events])
    at = np.concatenate([event.steps for event in events])
    source = np.repeat(np.arange(len(events)), [len(event.flows) for event in events])
    place = np.concatenate([np.arange(len(event.flows)) for event in events])
    order = np.lexsort((at, flows))
    cuts = np.flatnonzero(np.diff(flows[order])) + 1
    for begin, end in zip((0, *cuts), (*cuts, len(order)), strict=True):
        group = order[begin:end]
        first = group[0]
        event, row = events[source[first]], int(place[first])
        cited = [int(cite[row]) for cite in event.cites if cite[row] >= 0]
        times = int(steps.columns["repeats"][at[group]].sum())
        numbers = _numbers(int(at[first]), steps) | {name: int(values[row]) for name, values in event.numbers.items() if values[row] >= 0}
        yield (
            int(flows[first]),
            int(at[first]),
            id_,
            finding.severity,
            _frames([*cited, *at[group].tolist()], steps),
            finding.say(numbers | {"times": times}) + _often(times, finding.message),
        )


def _often(times: int, message: str) -> str:
    return f" ({times} times)" if times > 1 and "{times}" not in message else ""


def _numbers(step: int, steps: Steps) -> dict[str, int]:
    columns = steps.columns
    numbers = {name: int(columns[column][step]) for name, column in _SAID if columns[column][step] >= 0}
    numbers["repeats"] = int(columns["repeats"][step])
    if columns["flags"][step] & 16:
        numbers["ack"] = int(columns["ack"][step])
    return numbers


def _frames(cited: Sequence[int], steps: Steps) -> tuple[tuple[int, int], ...]:
    """Return (capture, frame) of the cited steps in order, a folded run by its first and last frame."""
    columns = steps.columns
    found = set()
    for step in cited if len(cited) <= MAX_FRAMES else [*cited[: MAX_FRAMES - 1], cited[-1]]:
        capture = int(columns["capture"][step])
        found |= {(capture, int(columns["frame"][step])), (capture, int(columns["last_frame"][step]))}
    return tuple(sorted(found))
