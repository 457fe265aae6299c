"""What other analyzers' own test suites expect of captures: tables on disk ─► rows, one a connection.

Promises: rows come in the order of their table; addresses are written one way (as `ipaddress` does); what is no TCP
connection, or was expected under an option that changes how streams are handled, is left out and counted.
Must not know: what pcaplint says.
"""

from __future__ import annotations

import csv
import ipaddress
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

End = tuple[str, str]
"""Address and port; a port that the peer does not tell is "?"."""

_POLICY: Final = ("--set stream.", "--set app-layer", "--simulate-packet", "--simulate-applayer", "policy", "memcap")
"""Suricata options under which a stream is not followed as by default."""


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """One connection, or one event of one, as a peer's suite expects it."""

    suite: str
    capture: str
    """Path below the folder of captures."""
    ends: tuple[End, End] | None
    """The peer's originator and responder; None when the expectation names no connection."""
    word: str
    """The peer's word for what happened: what rows are counted by."""
    says: Mapping[str, str]
    """The columns of the table."""

    @property
    def connection(self) -> str:
        """The connection in one line, originator first."""
        return "?" if self.ends is None else " > ".join(f"{address} {port}" for address, port in self.ends)


@dataclass(frozen=True, slots=True)
class Suite:
    """One peer's rows, and how many rows of its table are about something else."""

    name: str
    rows: tuple[Row, ...]
    left_out: int
    """They tell of no TCP connection, need an option, or repeat a row."""


def read(folder: Path) -> tuple[Suite, ...]:
    """Return the suites whose tables are in `folder`; rows of captures that are not there are left out."""
    return tuple(_suite(name, folder) for name in _READERS if (folder / "expect" / f"{_FILES[name]}.tsv").is_file())


def _suite(name: str, folder: Path) -> Suite:
    with (folder / "expect" / f"{_FILES[name]}.tsv").open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    found = [_READERS[name](says) for says in table if (folder / says["capture"]).is_file()]
    rows: dict[tuple[object, ...], Row] = {}
    for row in found:
        if row is not None:
            # Suites repeat themselves: the same capture under several versions or settings.
            rows.setdefault((row.capture, row.ends, row.word, *(row.says.get(said, "") for said in _SAID[name])), row)
    return Suite(name, tuple(rows.values()), len(found) - len(rows))


def _end(address: str, port: str) -> End:
    return str(ipaddress.ip_address(address)), port


def _zeek(says: dict[str, str]) -> Row | None:
    if says["proto"] != "tcp" and (says["proto"] != "?" or not {"S", "h"} & set(says["history"])):
        return None  # where no protocol is told, only a history with a handshake letter is TCP's
    ends = _end(says["orig_h"], says["orig_p"]), _end(says["resp_h"], says["resp_p"])
    word = says["conn_state"] if says["conn_state"] != "?" else says["history"]
    return Row("zeek", says["capture"], ends, word, says)


def _arkime(says: dict[str, str]) -> Row:
    ends = _end(says["src_ip"], says["src_port"]), _end(says["dst_ip"], says["dst_port"])
    return Row("arkime", says["capture"], ends, f"{says['syn_validated']} {says['synack_validated']}", says)


def _tcptrace(says: dict[str, str]) -> Row:
    ends = _end(says["host_a"], says["port_a"]), _end(says["host_b"], says["port_b"])
    return Row("tcptrace", says["capture"], ends, says["complete_conn"], says)


def _suricata(says: dict[str, str]) -> Row | None:
    if any(option in says["args"] for option in _POLICY):
        return None
    match = {name: str(value) for name, value in (json.loads(says["match"]) if says["match"] else {}).items()}
    event = says["expected_event"]
    if event.startswith("flow:") and match.get("proto") != "TCP" and not any(name.startswith("tcp.") for name in match):
        return None
    if not event.startswith("flow:") and not re.search(r"stream\.\w", event):
        return None  # a counter of a whole run, or a state without an event
    ends = None
    if {"src_ip", "src_port", "dest_ip", "dest_port"} <= match.keys():
        ends = _end(match["src_ip"], match["src_port"]), _end(match["dest_ip"], match["dest_port"])
    word = " ".join(re.findall(r"stream\.\w+", event)) or match.get("tcp.state", match.get("flow.state", "flow"))
    return Row("suricata", says["capture"], ends, word, {**says, **match})


_READERS: Final[Mapping[str, Callable[[dict[str, str]], Row | None]]] = {
    "zeek": _zeek,
    "arkime": _arkime,
    "suricata": _suricata,
    "tcptrace": _tcptrace,
}
_FILES: Final = {"zeek": "zeek_conn", "arkime": "arkime", "suricata": "suricata", "tcptrace": "tcptrace"}
_SAID: Final = {
    "zeek": ("conn_state", "history"),
    "arkime": ("syn", "syn_ack", "fin", "rst", "src_pkts", "dst_pkts"),
    "suricata": ("expected_event", "count", "pcap_cnt", "flow.pkts_toserver", "flow.pkts_toclient", "flow.state", "tcp.state"),
    "tcptrace": ("pkts_ab", "pkts_ba", "syn_ab", "syn_ba"),
}
