"""Connections to dialogues: the protocol of each connection, the exchanges on it, and the findings about them.

`dispatch` detects the protocol of each connection by its first bytes and calls the parser that rules/protocols/<id>.toml names, `parallel`
does so in several processes, `context` holds the facts that do not depend on the protocol, `checks` evaluates the rules, `tables` makes
the columns and rows of the report. A protocol is a package under `analyzer.protocols`, a file in rules/protocols and a folder of findings;
no module here names one but TLS. A fact that is unknown for lack of bytes is unknown, never False; secrets are redacted unless
they are to be shown; time is linear in the payload segments and in the bytes of dialogues. Output formats and exit statuses are not
known here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from analyzer.dialogues import checks, context, parallel
from analyzer.dialogues.dispatch import ConnectionColumns, DialogueBatch, Shard, parser_module
from analyzer.dialogues.results import Dialogues
from analyzer.protocols import linking
from analyzer.rules.protocols import ANY

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from analyzer._typing import Array
    from analyzer.dialogues.context import ConnectionContext, OpeningSummary
    from analyzer.dialogues.parallel import ParallelPolicy
    from analyzer.model import Capture
    from analyzer.options import DialogueOptions
    from analyzer.reassembly.layout import Streams
    from analyzer.rules import RuleSet

__all__ = ["DialogueRequest", "Dialogues", "read"]


@dataclass(frozen=True, slots=True)
class DialogueRequest:
    """Which dialogues to read, and how."""

    flows: pd.DataFrame
    """Table `CONNECTIONS`."""
    streams: Streams
    """Both directions of every connection, in order of sequence numbers."""
    syn_data: Array
    """bool per connection: a SYN of the client carried payload."""
    captures: Sequence[Capture]
    """They give access to the payloads."""
    opening: OpeningSummary
    rules: RuleSet
    options: DialogueOptions
    policy: ParallelPolicy | None = None
    """When other processes are used; None for `parallel.DEFAULT_POLICY`."""


def read(request: DialogueRequest) -> Dialogues:
    """Return the dialogues on all connections and the findings about them."""
    rules, flows = request.rules, request.flows
    shard = _shard(request)
    batch = DialogueBatch() if request.options.openings_only else parallel.parse(shard, request.options.processes, request.policy)
    inputs = context.ConnectionInputs(flows, request.streams, request.syn_data, request.opening, rules.protocols)
    known = context.build(inputs, batch)
    # Linking completes facts of exchanges, so it comes before the checks.
    linked = _link(request, batch, known)
    chosen = replace(rules, reported=frozenset()) if request.options.openings_only else rules
    findings = checks.run(chosen, known, batch, flows["capture"].to_numpy())
    return Dialogues(
        detections=batch.detections,
        dialogues=batch.dialogues,
        columns=batch.columns,
        context=known,
        findings=findings,
        linked=linked,
        encryption_words=rules.protocols[ANY].enums["encryption"],
        unreadable=batch.unreadable,
    )


def _shard(request: DialogueRequest) -> Shard:
    """Return all connections as one shard."""
    flows, opening, protocols = request.flows, request.opening, request.rules.protocols
    columns = ConnectionColumns(
        capture=flows["capture"].to_numpy(),
        by_port=context.by_port(flows["server_port"].to_numpy(), protocols)["service_by_port"][0],
        whole=opening.whole,
        client_ip=flows["client_ip"].astype(object).to_numpy(),
        server_ip=flows["server_ip"].astype(object).to_numpy(),
        client_port=flows["client_port"].to_numpy(),
        server_port=flows["server_port"].to_numpy(),
        one_sided=opening.one_sided,
        end_time=flows["capture_end"].to_numpy(),
        opened_at=opening.opened_at,
    )
    payloads = [one.payloads for one in request.captures]
    return Shard(request.streams, columns, payloads, protocols, request.options.secrets, request.rules.secrets)


def _link(request: DialogueRequest, batch: DialogueBatch, known: ConnectionContext) -> dict[int, int]:
    """Return announced connection to the one that announced it, found by the parsers' `link` functions."""
    parsers = dict.fromkeys(protocol.reader for protocol in request.rules.protocols.values() if protocol.reader)
    links = [parser_module(name).link for name in parsers if hasattr(parser_module(name), "link")]
    if not links or not any(dialogue.announced for dialogue in batch.dialogues.values()):
        return {}
    table, streams, opening = request.flows, request.streams, request.opening
    flows = linking.Flows(
        capture=table["capture"].to_numpy(),
        client_ip=table["client_ip"].astype(object).tolist(),
        client_port=table["client_port"].to_numpy(),
        server_ip=table["server_ip"].astype(object).tolist(),
        server_port=table["server_port"].to_numpy(),
        first_frame=table["first_frame"].to_numpy(),
        last_frame=table["last_frame"].to_numpy(),
        verdict=opening.verdict,
        opened=opening.opened,
        opener_known=opening.opener_known,
        failure=opening.failure,
        client_bytes=streams.size[0::2],
        server_bytes=streams.size[1::2],
        reset=context.reset(streams),
        encrypted=known.facts["encrypted_by"][0] > 0,
    )
    linked: dict[int, int] = {}
    for link in links:
        linked |= link(batch.dialogues, flows)
    return linked
