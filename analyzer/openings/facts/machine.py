"""Facts that rows of the state machine name; facts of connections are those of `connection`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from analyzer.openings.steps import SEGMENT, UNREADABLE
from analyzer.schema import ACK, FIN, NO_TIME

if TYPE_CHECKING:
    from collections.abc import Mapping

    from analyzer._typing import Array, BoolArray
    from analyzer.openings.facts.connection import ConnectionFacts
    from analyzer.openings.steps import Steps

_NEGATIVE_IF_ABSENT: Final = ("window", "ttl", "mss", "window_scale", "tfo", "icmp_version", "icmp_type", "icmp_code")


class MachineFacts:
    """One value per step and where it is known, by name; and the facts of connections."""

    def __init__(self, steps: Steps, connection_facts: ConnectionFacts) -> None:
        columns = steps.columns
        self.connection_facts = connection_facts
        self.connection_columns: Mapping[str, Array] = connection_facts.columns
        is_segment = columns["kind"] == SEGMENT
        has_ack = (columns["flags"] & ACK != 0) & is_segment
        self.values: dict[str, Array] = {
            "seq": columns["seq"],
            "ack": columns["ack"],
            "len": columns["length"],
            "fin": (columns["flags"] & FIN != 0) & is_segment,
            "has_ack": has_ack,
            "time": columns["time"],
            "repeats": columns["repeats"],
            "header_cut": columns["header_cut"],
            "stale": columns["stale"],
            "has_tfo": columns["tfo"] >= 0,
        }
        self.known: dict[str, BoolArray] = {"ack": has_ack, "seq": columns["kind"] != UNREADABLE}
        if (columns["time"] == NO_TIME).any():
            self.known["time"] = columns["time"] != NO_TIME
        for name in _NEGATIVE_IF_ABSENT:
            self.values[name] = columns[name]
            self.known[name] = columns[name] >= 0
