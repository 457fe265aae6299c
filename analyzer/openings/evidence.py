"""Steps as the evidence that findings cite."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from analyzer.schema import ACK

if TYPE_CHECKING:
    from collections.abc import Mapping

    from analyzer._typing import IntArray
    from analyzer.openings.facts.connection import ConnectionFacts
    from analyzer.openings.steps import Steps
    from analyzer.rules import RuleSet

_COLUMNS: Final = {"seq": "seq", "len": "length", "window": "window", "ttl": "ttl", "icmp_type": "icmp_type", "icmp_code": "icmp_code"}
"""Placeholder of a message to the column of the steps that fills it."""


@dataclass(frozen=True, slots=True)
class StepEvidence:
    """The steps of all connections, as `findings.table.Evidence`."""

    steps: Steps

    def frames(self, rows: IntArray) -> IntArray:
        """Return the first and the last frame of each step: a folded run of repeats has two."""
        columns = self.steps.columns
        return np.stack([columns["frame"][rows], columns["last_frame"][rows]], axis=1).astype(np.int64)

    def repeats(self, rows: IntArray) -> IntArray:
        """Return how many segments each step stands for."""
        found: IntArray = self.steps.columns["repeats"][rows]
        return found

    def numbers(self, rows: IntArray, names: frozenset[str]) -> Mapping[str, IntArray]:
        """Return the header fields of each step, -1 where it has none."""
        columns = self.steps.columns
        found = {name: columns[column][rows].astype(np.int64) for name, column in _COLUMNS.items() if name in names}
        if "repeats" in names:
            found["repeats"] = columns["repeats"][rows]
        if "ack" in names:
            found["ack"] = np.where(columns["flags"][rows] & ACK != 0, columns["ack"][rows].astype(np.int64), -1)
        return found


def cite_sack_segments(findings: pd.DataFrame, facts: ConnectionFacts, rules: RuleSet) -> pd.DataFrame:
    """Return the findings; those about SACK blocks cite the segment that carries them, which need not be a step."""
    citing = {id_ for id_, one in rules.findings.items() if one.check is not None and "outside_sack" in one.check.evidence}
    rows = np.flatnonzero(findings["id"].isin(citing).to_numpy())
    if not len(rows):
        return findings
    segments = facts.connections.segments
    at = facts.sacks.row[findings["flow"].to_numpy()[rows]]
    frames = findings["frames"].tolist()
    pairs = zip(segments["capture"].to_numpy()[at].tolist(), segments["frame"].to_numpy()[at].tolist(), strict=True)
    for row, pair in zip(rows.tolist(), pairs, strict=True):
        frames[row] = (pair,)
    return findings.assign(frames=pd.Series(frames, dtype="object"))
