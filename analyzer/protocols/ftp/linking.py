"""Complete the exchanges of FTP dialogues with their data connections.

The dialogue stage calls `link` of each parser that has one after all dialogues are parsed and all openings judged, before the checks.
The last exchange about a data connection gets its facts: the transfer, else the command that set it up.
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
    announced = {control: dialogue.announced for control, dialogue in dialogues.items() if dialogue.announced}
    linked = dict[int, int]()
    for found in linking.find(announced, flows):
        if found.flow >= 0:
            linked[found.flow] = found.control
            _complete_rows(found, flows)
        _complete_exchange(found, flows)
    return linked


def _complete_exchange(found: LinkedConnection, flows: Flows) -> None:
    """Fill in the facts of a data connection."""
    exchange, row = found.announcement.exchanges[-1] if found.announcement.exchanges else None, found.flow
    if exchange is None:
        return
    facts, evidence = exchange.facts, exchange.evidence
    facts["data_seen"] = row >= 0
    if row < 0:
        return
    listening_ip = (flows.client_ip if found.wrong_opener else flows.server_ip)[row]
    for one in found.announcement.exchanges:
        one.facts["data_translated"] = found.announcement.ip not in {"", listening_ip}
    carried = int(flows.client_bytes[row]) + int(flows.server_bytes[row])
    evidence["data"] = first = int(flows.first_frame[row])
    facts["data_opened"] = bool(flows.opened[row])
    facts["data_refused"] = flows.failure[row] == "refused"
    facts["data_unanswered"] = flows.failure[row] == "unanswered"
    facts["data_early"] = found.early
    facts["data_wrong_opener"] = found.wrong_opener
    facts["data_other_peer"] = found.other_address
    facts["data_openings"] = found.openings
    facts["data_bytes"] = carried
    facts["data_reset"] = bool(flows.reset[row])
    facts["data_clear"] = carried > 0 and not flows.encrypted[row]
    issued = evidence.get("request_end")
    if found.announcement.opener == "server" and facts.get("transfer") and issued is not None:
        facts["data_before_command"] = first < issued
    if found.again >= 0:
        evidence["data_again"] = int(flows.first_frame[found.again])


def _complete_rows(found: LinkedConnection, flows: Flows) -> None:
    row = found.flow
    for row_ in found.announcement.rows:
        row_["data_flow_id"] = f"f{row + 1}"
        row_["data_verdict"] = flows.verdict[row]
        row_["data_bytes"] = int(flows.client_bytes[row]) + int(flows.server_bytes[row])
