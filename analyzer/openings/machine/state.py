"""The state of the machine for a block of connections, as columns: states, variables, candidate records.

Columns have one entry per connection of the block; those of records have shape (members, connections) and grow to the members that
some connection needs. The first member of a record is never evicted; `lost` marks where another one was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from analyzer._typing import Array, BoolArray, IntArray
    from analyzer.openings.machine.compiler import Program
    from analyzer.rules.machine import Record

DTYPES: Final = {"seq": np.uint32, "int": np.int64, "time": np.int64, "flag": np.bool_}


class RecordColumns:
    """All members of one record, for `size` connections."""

    def __init__(self, record: Record, size: int) -> None:
        self.record, self.size, self.width = record, size, 1
        self.count = np.zeros(size, np.int16)
        self.newest = np.zeros(size, np.int16)
        self.lost = np.zeros(size, bool)
        self.values: dict[str, Array] = {name: np.zeros((1, size), DTYPES[kind]) for name, kind in record.fields.items()}
        self.known: dict[str, BoolArray] = {name: np.zeros((1, size), bool) for name in record.fields}
        self.step = np.full((1, size), -1, np.int64)

    def add(self, flows: IntArray, step: IntArray) -> None:
        """Add a member to each of `flows`, evicting one where the record is full; it becomes the newest."""
        full = self.count[flows] >= self.record.keep
        slot = np.where(full, self.newest[flows] % (self.record.keep - 1) + 1, self.count[flows])
        self.widen(int(slot.max(initial=0)) + 1)
        self.lost[flows[full]] = True
        self.count[flows] += ~full
        self.newest[flows] = slot
        self.step[slot, flows] = step
        for known in self.known.values():
            known[slot, flows] = False

    def widen(self, width: int) -> None:
        """Grow the columns to at least `width` members."""
        if width <= self.width:
            return
        grown = min(max(width, 2 * self.width), self.record.keep)
        extra = grown - self.width
        for columns in (self.values, self.known):
            for name, column in columns.items():
                columns[name] = np.concatenate([column, np.zeros((extra, self.size), column.dtype)])
        self.step = np.concatenate([self.step, np.full((extra, self.size), -1, np.int64)])
        self.width = grown

    def keep(self, flows: IntArray, slot: IntArray) -> None:
        """Remove every member of `flows` but the one in `slot`."""
        if self.width == 1:
            return
        for columns in (self.values, self.known):
            for column in columns.values():
                column[0, flows] = column[slot, flows]
        self.step[0, flows] = self.step[slot, flows]
        self.count[flows] = 1
        self.newest[flows] = 0


class StateColumns:
    """The columns of one block of connections."""

    def __init__(self, program: Program, size: int) -> None:
        machine = program.machine
        client, server = machine.start
        self.size = size
        self.client, self.server = np.full(size, client, np.int8), np.full(size, server, np.int8)
        self.client_textbook, self.server_textbook = self.client.copy(), self.server.copy()
        self.values: dict[str, Array] = {}
        self.known: dict[str, BoolArray] = {}
        for name, kind in machine.variables.items():
            self.values[name] = np.zeros(size, DTYPES.get(kind, np.int8))
            if kind in {"seq", "int", "time"}:
                self.known[name] = np.zeros(size, bool)
        self.records = {name: RecordColumns(record, size) for name, record in machine.records.items()}
        self.seen = {id_: np.zeros(size, bool) for id_ in program.queried}
        self.pending = {hold: np.zeros(size, bool) for hold in machine.holds}
        self.held_step = {hold: np.full(size, -1, np.int64) for hold in machine.holds}

    def assign(self, name: str, flows: IntArray, values: Any, known: Any) -> None:  # noqa: ANN401 - array or scalar
        """Assign `values` to variable `name` of `flows`."""
        self.values[name][flows] = values
        if name in self.known:
            self.known[name][flows] = True if known is None else known
