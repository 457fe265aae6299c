"""Connections ─► dialogues: what the endpoints said, what was wrong with it.

`assembly` lays the payloads out as streams, `recognise` hears by their first bytes which protocol is spoken, the protocol's own module
reads it (`rules/protocols/<id>.toml` names it), `ground` knows what holds whatever is spoken, `checks` runs the rules, `tabulate` makes
the tables. A protocol is a module here, a file in rules/protocols and a folder of findings; nothing else knows any by name.

Promises: every connection with payload is heard; what a reader cannot know for want of bytes is unknown, never false; no secret is in
what is returned unless asked for; time is linear in the payload segments and in the bytes of dialogues.
Must not know: output formats, exit statuses.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from analyzer.dialogues import checks, context, parallel
from analyzer.dialogues.dispatch import ConnectionColumns, DialogueBatch, Shard, module
from analyzer.dialogues.results import Dialogues
from analyzer.protocols import linking
from analyzer.protocols.detection import UNKNOWN
from analyzer.reassembly import layout
from analyzer.rules.protocols import ANY, services

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from analyzer.dialogues.context import ConnectionContext, OpeningSummary
    from analyzer.model import Capture
    from analyzer.options import DialogueOptions
    from analyzer.reassembly.layout import Streams
    from analyzer.rules import RuleSet
    from analyzer.rules.protocols import Protocol

Array = np.ndarray[Any, np.dtype[Any]]

__all__ = ["Dialogues", "Request", "read"]


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be heard."""

    flows: pd.DataFrame
    """Table `CONNECTIONS`."""
    streams: Streams
    """What each side of them sent, laid out."""
    syn_data: Array
    """bool a connection: a SYN of the client carried payload."""
    captures: Sequence[Capture]
    """They give access to the payloads."""
    opening: OpeningSummary
    rules: RuleSet
    options: DialogueOptions


@dataclass(frozen=True, slots=True)
class _Hearing:
    """What was heard, and on what ground."""

    request: Request
    ground: ConnectionContext
    said: DialogueBatch


def read(request: Request) -> Dialogues:
    """Return what was said on all connections."""
    rules = request.rules
    known = context.build(request.flows, request.streams, request.syn_data, request.opening, rules.protocols)
    said = DialogueBatch() if request.options.openings_only else parallel.parse(_share(request, known), request.options.processes)
    hearing = _Hearing(request, known, said)
    _complete(hearing)
    linked = _link(hearing)
    asked = replace(rules, reported=frozenset()) if request.options.openings_only else rules
    findings = checks.run(asked, known, said.dialogues, said.blocks, request.flows["capture"].to_numpy())
    ways = rules.protocols[ANY].enums["encryption"]
    return Dialogues(said.heard, said.dialogues, said.blocks, known, findings, linked, ways, said.unread)


def _share(request: Request, known: ConnectionContext) -> Shard:
    """Return all connections as what is to be heard."""
    flows, opening = request.flows, request.opening
    beside = ConnectionColumns(
        capture=flows["capture"].to_numpy(),
        by_port=known.facts["service_by_port"][0],
        whole=opening.whole,
        client_ip=flows["client_ip"].astype(object).to_numpy(),
        server_ip=flows["server_ip"].astype(object).to_numpy(),
        client_port=flows["client_port"].to_numpy(),
        server_port=flows["server_port"].to_numpy(),
        one_sided=opening.one_sided,
        end_time=flows["capture_end"].to_numpy(),
        opened_at=opening.opened_at,
    )
    return Shard(
        request.streams,
        beside,
        [one.payloads for one in request.captures],
        request.rules.protocols,
        request.options.secrets,
        request.rules.secrets,
    )


def _complete(hearing: _Hearing) -> None:
    """Add to the ground what was heard: services, PROXY headers, TLS, contradicting copies."""
    known, protocols = hearing.ground, hearing.request.rules.protocols
    count = len(known.opened_at)
    words = services(protocols)
    code = {word: place for place, word in enumerate(words)}
    said = {name: np.zeros(count, np.int64) for name in ("service", "service_client", "service_server")}
    for flow, heard in hearing.said.heard.items():
        said["service"][flow] = code[heard.service]
        for side, ids, spoke in (("client", heard.client, heard.client_spoke), ("server", heard.server, heard.server_spoke)):
            said[f"service_{side}"][flow] = code[ids[0] if len(ids) == 1 else UNKNOWN] if spoke else 0
    speaker = known.facts["speaks_first"][0].copy()
    heard_by = np.array([0, 0, *(_speaker(protocols.get(word)) for word in words[2:])], np.int8)
    told = said["service"] > 1
    speaker[told] = heard_by[said["service"][told]]
    known.facts.update({name: (values, None) for name, values in said.items()})
    known.facts["speaks_first"] = (speaker, None)
    for name, flows in (("proxy_header", hearing.said.proxied), ("overlap_differs", list(hearing.said.overlaps))):
        marked = np.zeros(count, bool)
        marked[flows] = True
        known.facts[name] = (marked, None)
    _complete_tls(hearing)
    read = np.zeros(count, bool)
    read[[flow for flow, dialogue in hearing.said.dialogues.items() if dialogue.facts]] = True
    for block in hearing.said.blocks:
        read[block.flow] = True
    known.facts["read"] = (read, None)
    overlap = np.full(count, -1, np.int64)
    overlap[list(hearing.said.overlaps)] = list(hearing.said.overlaps.values())
    known.places["overlap"] = overlap
    # Directions in disorder, too, may have been captured whole.
    values, sure = known.facts["gaps"]
    for flow in np.flatnonzero(~sure if sure is not None else np.zeros(0, bool)).tolist():
        values[flow] = any(layout.missing(hearing.request.streams, 2 * flow + side) > 0 for side in (0, 1))
    known.facts["gaps"] = (values, None)
    gap = np.full(count, -1, np.int64)
    for flow in np.flatnonzero(values & read).tolist():
        found = [frame for side in (0, 1) if (frame := layout.behind_gap(hearing.request.streams, 2 * flow + side)) >= 0]
        gap[flow] = min(found, default=-1)
    known.places["gap"] = gap


def _speaker(protocol: Protocol | None) -> int:
    return context.SIDES.index(protocol.speaks_first if protocol is not None else "client")


def _complete_tls(hearing: _Hearing) -> None:
    known, count = hearing.ground, len(hearing.ground.opened_at)
    ways = hearing.request.rules.protocols[ANY].enums["encryption"]
    way, frame = np.zeros(count, np.int8), np.full(count, -1, np.int64)
    for flow, dialogue in hearing.said.dialogues.items():
        if dialogue.tls:
            way[flow] = ways.index(dialogue.tls)
            frame[flow] = -1 if dialogue.tls_spot is None else dialogue.tls_spot.frame
    known.facts["encrypted_by"] = (way, None)
    known.places["tls"] = frame


def _link(hearing: _Hearing) -> dict[int, int]:
    """Let the protocols that announce further connections find them; return connection to the one that announced it."""
    readers = dict.fromkeys(protocol.reader for protocol in hearing.request.rules.protocols.values() if protocol.reader)
    links = [module(name).link for name in readers if hasattr(module(name), "link")]
    if not links or not any(dialogue.channels for dialogue in hearing.said.dialogues.values()):
        return {}
    table, streams, opening = hearing.request.flows, hearing.request.streams, hearing.request.opening
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
        encrypted=hearing.ground.facts["encrypted_by"][0] > 0,
    )
    linked: dict[int, int] = {}
    for link in links:
        linked |= link(hearing.said.dialogues, flows)
    return linked
