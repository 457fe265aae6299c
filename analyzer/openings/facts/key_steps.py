"""The steps of each connection that rules name: first SYN, last SYN, first SYN+ACK, third segment and so on.

A step is an index in `Steps`, -1 where the connection has none.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np

from analyzer.openings.steps import SEGMENT
from analyzer.schema import ACK, FIN, RST, SYN

if TYPE_CHECKING:
    from analyzer._typing import Array, BoolArray, IntArray
    from analyzer.openings.steps import Steps

_OPENING: Final = SYN | ACK | RST | FIN


class KeySteps:
    """Key steps of all connections, each computed on first use."""

    def __init__(self, steps: Steps) -> None:
        self.steps = steps
        self.size = len(steps.first) - 1

    def step(self, name: str) -> IntArray:
        """Return the step of each connection that `vocabulary.EVIDENCE` calls `name`."""
        found: IntArray = getattr(self, name)
        return found

    @cached_property
    def kinds(self) -> IntArray:
        """SYN, ACK, RST and FIN flags of each step; all four set for a step that is no readable segment, a combination no rule accepts."""
        columns = self.steps.columns
        return np.where(columns["kind"] == SEGMENT, columns["flags"] & _OPENING, _OPENING).astype(np.int16)

    @cached_property
    def syn_steps(self) -> IntArray:
        """SYNs of clients."""
        return np.flatnonzero((self.kinds == SYN) & self.steps.columns["by_client"])

    @cached_property
    def synack_steps(self) -> IntArray:
        """SYN+ACKs of servers."""
        return np.flatnonzero((self.kinds & ~FIN == SYN | ACK) & ~self.steps.columns["by_client"])

    @cached_property
    def first_syn(self) -> IntArray:
        """First SYN of the client, per connection; `vocabulary.EVIDENCE` describes this and the following."""
        return self.first_of(self.syn_steps)

    @cached_property
    def last_syn(self) -> IntArray:
        """Last SYN of the client."""
        found = np.full(self.size, -1, np.int64)
        found[self.steps.columns["flow"][self.syn_steps]] = self.syn_steps
        return found

    @cached_property
    def first_synack(self) -> IntArray:
        """First SYN+ACK of the server."""
        return self.first_of(self.synack_steps)

    @cached_property
    def other_synack(self) -> IntArray:
        """First SYN+ACK whose ISN differs from the first one's."""
        columns, steps = self.steps.columns, self.synack_steps
        first = self.first_synack[columns["flow"][steps]]
        return self.first_of(steps[columns["seq"][steps] != columns["seq"][first]])

    @cached_property
    def third(self) -> IntArray:
        """First ACK of the client after the SYN+ACK."""
        columns = self.steps.columns
        candidates = np.flatnonzero((self.kinds & ~FIN == ACK) & columns["by_client"])
        after = self.first_synack[columns["flow"][candidates]]
        return self.first_of(candidates[(after >= 0) & (candidates > after)])

    @cached_property
    def isn_step(self) -> IntArray:
        """First SYN-bearing step of each side; index 2n is the server of connection n, 2n + 1 its client."""
        return self.first_by_side((self.kinds & SYN != 0) & (self.kinds != _OPENING))

    @cached_property
    def first_step(self) -> IntArray:
        """First segment of each side, indexed in the same way."""
        return self.first_by_side(self.kinds != _OPENING)

    def first_by_side(self, mask: BoolArray) -> IntArray:
        """Return the first step of each side where `mask` is set."""
        chosen = np.flatnonzero(mask)[::-1]
        found = np.full(2 * self.size, -1, np.int64)
        found[self.sides[chosen]] = chosen
        return found

    @cached_property
    def sides(self) -> IntArray:
        """Sender of each step: 2n for the server of connection n, 2n + 1 for its client."""
        return self.steps.columns["flow"].astype(np.int64) * 2 + self.steps.columns["by_client"]

    def of_sender(self, values: Array, at: IntArray, *, other: bool = False) -> Array:
        """Return, for each of the steps `at`, the value of its sender, or of the peer; `values` has one entry per side."""
        found: Array = values[self.sides[at] ^ 1 if other else self.sides[at]]
        return found

    def first_of(self, steps: IntArray) -> IntArray:
        """Return the first of `steps` of each connection; `steps` rise."""
        found = np.full(self.size, -1, np.int64)
        found[self.steps.columns["flow"][steps[::-1]]] = steps[::-1]
        return found

    def has_any(self, steps: IntArray) -> BoolArray:
        """Return which connections have at least one of `steps`."""
        found = np.zeros(self.size, bool)
        found[self.steps.columns["flow"][steps]] = True
        return found

    @cached_property
    def outside_sack(self) -> IntArray:
        """-1 for all: `evidence.cite_sack_segments` cites the segment itself, which need not be a step."""
        return np.full(self.size, -1, np.int64)
