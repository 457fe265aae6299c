"""Connections ─► a report: openings judged, dialogues heard, all of it in tables.

Promises: what is done with is let go of at once, so that not all stages lie in memory side by side.
Must not know: paths, how captures were read, output formats, exit statuses.
"""

from __future__ import annotations

import ctypes
import gc
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analyzer import dialogues
from analyzer import openings as openings_
from analyzer.dialogues import context
from analyzer.dialogues import tables as dialogue_tables
from analyzer.model import Report, RuleMetadata
from analyzer.openings import tables
from analyzer.options import DialogueOptions
from analyzer.reassembly import layout
from analyzer.schema import NO_TIME

if TYPE_CHECKING:
    from collections.abc import Sequence

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
    """Return what is found on `connections`, nothing of it excused, and nothing said of the captures; and which of these were changed."""
    judged = openings_.judge(connections, rules)
    ids = tables.flow_ids(len(judged.verdict))
    steps = tables.steps(judged, ids)
    findings, found_on = tables.findings(judged, ids), judged.findings["flow"].to_numpy()
    told = tables.judgement(judged, rules)
    begun = opening_summary(judged, rules)
    # What is done with goes at once: of a million connections it would be hundreds of megabytes.
    del judged
    told |= tables.count(connections.segments, len(ids))
    request = build_dialogue_request(connections, captures, begun, rules, options)
    table = connections.flows
    del connections
    trim_heap()
    said = parse_dialogues(request)
    del request
    findings, found_on = _join(findings, found_on, said.findings, ids)
    transactions = dialogue_tables.transactions(said, ids, table["capture"].to_numpy(), rules.protocols)
    told |= dialogue_tables.flows(said, ids, rules.protocols)
    told["worst"] = tables.worst(findings["severity"], found_on, len(ids))
    changed = frozenset(table["capture"].to_numpy()[list(said.unread)].tolist())
    del said
    trim_heap()
    report = Report(
        captures=(),
        flows=tables.flows(table, told, ids),
        findings=findings,
        steps=steps,
        transactions=transactions,
        verdict_severities=rules.verdict_severities,
        fail_on="never",
        details={id_: protocol.details for id_, protocol in rules.protocols.items()},
        secrets=options is not None and options.secrets,
        transaction_columns=dialogue_tables.shape(rules.protocols),
        spoken=dialogue_tables.own(rules.protocols),
        about=_rule_metadata(rules),
    )
    return report, changed


def opening_summary(judged: openings_.Judged, rules: RuleSet) -> context.OpeningSummary:
    """Return of what was judged what matters for what was said."""
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
    begun: context.OpeningSummary,
    rules: RuleSet,
    options: DialogueOptions | None = None,
) -> dialogues.Request:
    """Return what is to be heard on connections that began as `openings` says."""
    streams = layout.lay_out(connections.segments, begun.client_isn, begun.server_isn)
    syn_data = context.syn_data(connections.segments, len(connections.flows))
    return dialogues.Request(connections.flows, streams, syn_data, captures, begun, rules, options or DialogueOptions())


def parse_dialogues(request: dialogues.Request) -> Dialogues:
    """Return what was said; the captures' payloads are let go."""
    # Reading leaves nothing that knows itself, and to look for such among millions of values takes a fifth of its time.
    collecting = gc.isenabled()
    gc.disable()
    try:
        return dialogues.read(request)
    finally:
        if collecting:
            gc.enable()
        for one in request.captures:
            if one.payloads is not None:
                one.payloads.close()


def _join(
    findings: pd.DataFrame, found_on: np.ndarray[Any, Any], said: pd.DataFrame, ids: np.ndarray[Any, Any]
) -> tuple[pd.DataFrame, np.ndarray[Any, Any]]:
    """Return table `FINDINGS` and the connection of each: those of the opening, then those of the dialogue, connection by connection."""
    flow = np.concatenate([found_on, said["flow"].to_numpy()])
    if not len(said):
        return findings, flow
    more = said.assign(flow_id=pd.Series(ids[said["flow"].to_numpy()], dtype="str"), excused=False)[list(findings.columns)]
    joined, order = pd.concat([findings, more], ignore_index=True), np.argsort(flow, kind="stable")
    return joined.iloc[order].reset_index(drop=True), flow[order]


def _rule_metadata(rules: RuleSet) -> dict[str, RuleMetadata]:
    """Return what the rules say of each finding that may be reported."""
    chosen = {id_: finding for id_, finding in rules.findings.items() if id_ in rules.reported}
    return {id_: RuleMetadata(finding.severity, finding.title, finding.why, finding.references) for id_, finding in chosen.items()}


def trim_heap() -> None:
    """Let the C library return freed memory to the system, where it can: Python's small objects, which come next, do not reuse it."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
