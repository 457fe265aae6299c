"""From connections to a report: judge openings, parse dialogues, build the tables.

Each stage frees its input, so that peak memory is that of one stage.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analyzer import dialogues
from analyzer import openings as openings_
from analyzer.dialogues import context
from analyzer.dialogues import tables as dialogue_tables
from analyzer.model import Report, RuleMetadata
from analyzer.openings import tables
from analyzer.options import DialogueOptions
from analyzer.pipeline.memory import trim_heap, without_garbage_collection
from analyzer.reassembly import layout
from analyzer.schema import NO_TIME

if TYPE_CHECKING:
    from collections.abc import Sequence

    from analyzer._typing import Array, IntArray
    from analyzer.connections import Connections
    from analyzer.dialogues.results import Dialogues
    from analyzer.model import Capture
    from analyzer.rules import RuleSet


def run_stages(
    connections: Connections,
    captures: Sequence[Capture],
    rules: RuleSet,
    options: DialogueOptions | None = None,
) -> tuple[Report, frozenset[int]]:
    """Return the report on `connections`, without summaries of captures and with nothing suppressed, and the captures that were modified.

    A capture was modified if payload that was read before is missing in its file now.
    """
    judged = openings_.judge(connections, rules)
    ids = tables.flow_ids(len(judged.verdict))
    steps = tables.steps(judged, ids)
    findings, finding_flows = tables.findings(judged, ids), judged.findings["flow"].to_numpy()
    columns = tables.judgement(judged, rules)
    summary = opening_summary(judged, rules)
    # Freed here: for a million connections this is hundreds of megabytes.
    del judged
    columns |= tables.count(connections.segments, len(ids))
    request = build_dialogue_request(connections, captures, summary, rules, options)
    table = connections.flows
    del connections
    trim_heap()
    parsed = parse_dialogues(request)
    del request
    findings, finding_flows = _join(findings, finding_flows, parsed.findings, ids)
    transactions = dialogue_tables.transactions(parsed, ids, table["capture"].to_numpy(), rules.protocols)
    columns |= dialogue_tables.flows(parsed, ids, rules.protocols)
    columns["worst"] = tables.worst(findings["severity"], finding_flows, len(ids))
    modified = frozenset(table["capture"].to_numpy()[list(parsed.unreadable)].tolist())
    del parsed
    trim_heap()
    report = Report(
        captures=(),
        flows=tables.flows(table, columns, ids),
        findings=findings,
        steps=steps,
        transactions=transactions,
        verdict_severities=rules.verdict_severities,
        fail_on="never",
        details={id_: protocol.details for id_, protocol in rules.protocols.items()},
        secrets=options is not None and options.secrets,
        transaction_columns=dialogue_tables.shape(rules.protocols),
        protocol_columns=dialogue_tables.own(rules.protocols),
        rule_metadata=_rule_metadata(rules),
    )
    return report, modified


def opening_summary(judged: openings_.Judged, rules: RuleSet) -> context.OpeningSummary:
    """Return the part of the judgement that the dialogue stage needs."""
    verdicts = rules.verdicts
    views = np.array([view.name for view in rules.machine.views], object)[judged.view]
    outcomes = np.array([verdict.outcome for verdict in verdicts], object)[judged.verdict]
    opened_at = judged.numbers["opened_ns"]
    return context.OpeningSummary(
        opened=outcomes == "opened",
        whole=(views == "both") & (judged.numbers["client_isn"] >= 0),
        one_sided=(views == "client-only") | (views == "server-only"),
        opened_at=np.where(opened_at < 0, NO_TIME, opened_at),
        verdict=np.array([verdict.name for verdict in verdicts], object)[judged.verdict].tolist(),
        opener_known=np.array([verdict.opener_known for verdict in verdicts], bool)[judged.verdict],
        failure=np.array([verdict.failure for verdict in verdicts], object)[judged.verdict].tolist(),
        client_isn=judged.numbers["client_isn"],
        server_isn=judged.numbers["server_isn"],
    )


def build_dialogue_request(
    connections: Connections,
    captures: Sequence[Capture],
    opening: context.OpeningSummary,
    rules: RuleSet,
    options: DialogueOptions | None = None,
) -> dialogues.DialogueRequest:
    """Return the request for the dialogue stage; `opening` is the summary of the judged openings."""
    streams = layout.lay_out(connections.segments, opening.client_isn, opening.server_isn)
    syn_data = context.syn_data(connections.segments, len(connections.flows))
    return dialogues.DialogueRequest(connections.flows, streams, syn_data, captures, opening, rules, options or DialogueOptions())


def parse_dialogues(request: dialogues.DialogueRequest) -> Dialogues:
    """Return the parsed dialogues; the payloads of all captures are closed."""
    try:
        # The parsers create no reference cycles, and the collector takes a fifth of their time.
        with without_garbage_collection():
            return dialogues.read(request)
    finally:
        for one in request.captures:
            if one.payloads is not None:
                one.payloads.close()


def _join(findings: pd.DataFrame, finding_flows: IntArray, others: pd.DataFrame, ids: Array) -> tuple[pd.DataFrame, IntArray]:
    """Return table `FINDINGS` and the connection of each: by connection, findings of the opening before those of the dialogue."""
    flow = np.concatenate([finding_flows, others["flow"].to_numpy()])
    if not len(others):
        return findings, flow
    more = others.assign(flow_id=pd.Series(ids[others["flow"].to_numpy()], dtype="str"), excused=False)[list(findings.columns)]
    joined, order = pd.concat([findings, more], ignore_index=True), np.argsort(flow, kind="stable")
    return joined.iloc[order].reset_index(drop=True), flow[order]


def _rule_metadata(rules: RuleSet) -> dict[str, RuleMetadata]:
    """Return the metadata of each finding that may be reported."""
    chosen = {id_: finding for id_, finding in rules.findings.items() if id_ in rules.reported}
    return {
        id_: RuleMetadata(finding.severity, finding.title, finding.why, finding.references, finding.next) for id_, finding in chosen.items()
    }
