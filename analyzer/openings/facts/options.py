"""TCP options of steps, and which of them the opening segments of a connection carry."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np

from analyzer.capture.decode import tcp_options
from analyzer.rules.vocabulary import OPTIONS

if TYPE_CHECKING:
    from analyzer._typing import Answer, Array, BoolArray, IntArray
    from analyzer.connections import Connections
    from analyzer.openings.facts.key_steps import KeySteps
    from analyzer.openings.steps import Steps

_NUMBER_COLUMNS: Final = {"mss": "mss", "wscale": "window_scale", "ts": "ts_val", "tfo": "tfo_cookie_length"}
"""Options that are present where a column of the decoded options is not negative."""
_FLAG_COLUMNS: Final = {"sack": "sack_permitted", "mptcp": "mptcp", "accecn": "accecn", "md5": "md5", "ao": "ao"}
_ONE_KEY_BYTES, _TWO_KEYS_BYTES = 12, 20
"""Length of an MP_CAPABLE option that holds one key, and two (RFC 8684 3.1)."""
_FIRST_KEY, _SECOND_KEY = slice(4, 12), slice(12, 20)


class OptionFacts:
    """Options of all steps, decoded; facts about them are computed on first use."""

    def __init__(self, steps: Steps, connections: Connections, key_steps: KeySteps) -> None:
        self.steps, self.connections, self.key_steps = steps, connections, key_steps
        self.all_are_steps = np.array_equal(steps.picked, np.arange(len(steps.segments)))
        """Whether each decoded segment is one step, so that no column needs to be gathered."""
        self._carriers: dict[str, tuple[IntArray, IntArray, BoolArray]] = {}

    def column(self, name: str) -> Array:
        """Return a column of the decoded options, one value per step; -1 or False for an ICMP error."""
        values = self.steps.options[name].to_numpy()
        if self.all_are_steps:
            return values
        picked = self.steps.picked
        absent = -1 if values.dtype.kind == "i" else 0
        found: Array = np.where(picked >= 0, values[picked] if len(values) else absent, absent).astype(values.dtype)
        return found

    def mptcp_keys_echoed(self) -> Answer:
        """Return whether MP_CAPABLE of the third segment holds both keys as sent; the client's SYN holds its key before version 1 only."""
        echoed, known = np.zeros(self.key_steps.size, bool), np.zeros(self.key_steps.size, bool)
        flows = np.flatnonzero(self.carries("third", "mptcp")[0] & self.carries("synack", "mptcp")[0])
        if not len(flows):
            return echoed, known
        syn, synack, third = (self.mp_capable(name, flows) for name in ("first_syn", "first_synack", "third"))
        given = syn[:, 1] >= _ONE_KEY_BYTES
        same = (third[:, _SECOND_KEY] == synack[:, _FIRST_KEY]).all(axis=1)
        same &= ~given | (third[:, _FIRST_KEY] == syn[:, _FIRST_KEY]).all(axis=1)
        echoed[flows] = same
        known[flows] = (third[:, 1] >= _TWO_KEYS_BYTES) & (synack[:, 1] >= _ONE_KEY_BYTES)
        return echoed, known

    def mp_capable(self, name: str, flows: IntArray) -> Array:
        """Return the bytes of the MP_CAPABLE option of a key step of `flows`, shape (flows, bytes); zeros where there is none."""
        step = self.key_steps.step(name)[flows]
        rows = self.steps.segments[np.maximum(self.steps.picked[step], 0)]
        table = self.connections.segments
        start, length = (table[name].to_numpy()[rows] for name in ("option_start", "option_length"))
        found = tcp_options.find(self.connections.option_bytes, start, np.where(step >= 0, length, 0), tcp_options.MPTCP)
        # The subtype is the upper half of the third byte, and MP_CAPABLE is subtype 0 (RFC 8684 3).
        return np.where(found[:, 2:3] >> 4 == 0, found, 0)

    @cached_property
    def cut_steps(self) -> BoolArray:
        """Whether the header of each step was not captured whole."""
        found: BoolArray = self.steps.columns["header_cut"]
        return found

    def bits(self, steps: IntArray) -> IntArray:
        """Return a bit mask per step: bit 0 is a cut header, bit n + 1 the n-th of `vocabulary.OPTIONS`."""
        total: IntArray = self.cut_steps[steps].astype(np.int16)
        for place, name in enumerate(OPTIONS):
            found = self.column(_NUMBER_COLUMNS[name])[steps] >= 0 if name in _NUMBER_COLUMNS else self.column(_FLAG_COLUMNS[name])[steps]
            total |= found.astype(np.int16) << (place + 1)
        return total

    def carriers(self, role: str) -> tuple[IntArray, IntArray, BoolArray]:
        """Return the steps of a `role` (syn, synack or third), their bit masks, and which connections have any."""
        if role not in self._carriers:
            key = self.key_steps
            steps = {"syn": key.syn_steps, "synack": key.synack_steps, "third": key.third[key.third >= 0]}[role]
            self._carriers[role] = steps, self.bits(steps), key.has_any(steps)
        return self._carriers[role]

    def carries(self, role: str, option: str) -> Answer:
        """Return whether any segment of the `role` carries the option; a cut header leaves it unknown."""
        steps, bits, known = self.carriers(role)
        found = self.key_steps.has_any(steps[bits & 2 << list(OPTIONS).index(option) != 0])
        if self.cut_steps.any():
            known = known & (found | ~self.key_steps.has_any(steps[self.cut_steps[steps]]))
        return found, known
