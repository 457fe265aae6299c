"""Where compiled expressions read their values.

`Names` serves expressions about facts alone: checks of segments, groups of connections, dialogues and exchanges. `MachineNames` adds
what only a state machine has: fields of candidate records and the history of its rows. A `Value` is an integer or None in the scalar
implementation and an `Answer` in the vector implementation; a `Flag` is a bool or an array of them.
"""

from __future__ import annotations

from typing import Protocol, TypeVar

Value_co = TypeVar("Value_co", covariant=True)
Flag_co = TypeVar("Flag_co", covariant=True)


class Names(Protocol[Value_co]):
    """Facts by name."""

    def name(self, name: str, /) -> Value_co:
        """Return the value of a fact, a variable or a built-in."""


class MachineNames(Names[Value_co], Protocol[Value_co, Flag_co]):
    """Facts by name, candidate records and the history of rows."""

    def field(self, record: str, name: str, /) -> Value_co:
        """Return a field of the bound member of a record, of the newest member where none is bound."""

    def seen(self, id_: str, /) -> Flag_co:
        """Return whether the row has fired, or the finding was emitted."""

    def lost(self, record: str, /) -> Flag_co:
        """Return whether a member of the record was evicted."""
