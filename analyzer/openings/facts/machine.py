"""Facts of segments and connections under the names of the rule language.

Promises: what was not captured is unknown, never 0.
Must not know: what the rules make of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from analyzer.openings.steps import SEGMENT, UNREADABLE
from analyzer.schema import ACK, FIN, NO_TIME

if TYPE_CHECKING:
    from collections.abc import Mapping

    from analyzer.openings.facts.connection import ConnectionFacts
    from analyzer.openings.steps import Steps

Array = np.ndarray[Any, np.dtype[Any]]

_ABSENT_IS_NEGATIVE: Final = ("window", "ttl", "mss", "window_scale", "tfo", "icmp_version", "icmp_type", "icmp_code")


class MachineFacts:
    """Facts of segments and connections, by the names of the rule language."""

    def __init__(self, steps: Steps, aggregates: ConnectionFacts) -> None:
        columns = steps.columns
        self.aggregates = aggregates
        self.connection: Mapping[str, Array] = aggregates.plain
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
        self.known: dict[str, Array] = {"ack": has_ack, "seq": columns["kind"] != UNREADABLE}
        if (columns["time"] == NO_TIME).any():
            self.known["time"] = columns["time"] != NO_TIME
        for name in _ABSENT_IS_NEGATIVE:
            self.values[name] = columns[name]
            self.known[name] = columns[name] >= 0
