"""Tells FTP's exchanges how their data connections fared.

The core calls `link` of every reader's module that has one, when all dialogues are read and all openings judged, and before any check
runs: `link(dialogues, flows)` with the protocol's dialogues by the number of their connection, and all connections of the job
(`channels.Flows`). It completes the facts and places of exchanges and the rows of transactions, and returns the number of the control
connection for each data connection it found.

Promises: an exchange is told of a data connection by the last command that was about it: the transfer, else what set it up.
Must not know: how connections are found, rules.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from analyzer.protocols import linking

if TYPE_CHECKING:
    from collections.abc import Mapping

    from analyzer.protocols.api import Dialogue
    from analyzer.protocols.linking import Flows, LinkedConnection


def link(dialogues: Mapping[int, Dialogue], flows: Flows) -> dict[int, int]:
    """Complete the exchanges of `dialogues` with their data connections; return data connection to control connection."""
    announced = {control: dialogue.channels for control, dialogue in dialogues.items() if dialogue.channels}
    linked = dict[int, int]()
    for found in linking.find(announced, flows):
        if found.flow >= 0:
            linked[found.flow] = found.control
            _show(found, flows)
        _tell(found, flows)
    return linked


def _tell(found: LinkedConnection, flows: Flows) -> None:
    """Fill in what the checks may ask of a data connection."""
    exchange, row = found.channel.exchanges[-1] if found.channel.exchanges else None, found.flow
    if exchange is None:
        return
    facts, places = exchange.facts, exchange.places
    facts["data_seen"] = row >= 0
    if row < 0:
        return
    listener = (flows.client_ip if found.wrong_opener else flows.server_ip)[row]
    for one in found.channel.exchanges:
        one.facts["data_translated"] = found.channel.ip not in {"", listener}
    carried = int(flows.client_bytes[row]) + int(flows.server_bytes[row])
    places["data"] = first = int(flows.first_frame[row])
    facts["data_opened"] = bool(flows.opened[row])
    facts["data_refused"] = flows.failure[row] == "refused"
    facts["data_unanswered"] = flows.failure[row] == "unanswered"
    facts["data_early"] = found.early
    facts["data_wrong_opener"] = found.wrong_opener
    facts["data_other_peer"] = found.other_peer
    facts["data_openings"] = found.openings
    facts["data_bytes"] = carried
    facts["data_reset"] = bool(flows.reset[row])
    facts["data_clear"] = carried > 0 and not flows.encrypted[row]
    asked = places.get("request_end")
    if found.channel.opener == "server" and facts.get("transfer") and asked is not None:
        facts["data_before_command"] = first < asked
    if found.again >= 0:
        places["data_again"] = int(flows.first_frame[found.again])


def _show(found: LinkedConnection, flows: Flows) -> None:
    row = found.flow
    for cells in found.channel.rows:
        cells["data_flow_id"] = f"f{row + 1}"
        cells["data_verdict"] = flows.verdict[row]
        cells["data_bytes"] = int(flows.client_bytes[row]) + int(flows.server_bytes[row])
