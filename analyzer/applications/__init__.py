"""Connections ─► dialogues: what the endpoints said, what was wrong with it.

`assembly` lays the payloads out as streams, `recognise` hears by their first bytes which protocol is spoken, the protocol's own module
reads it (`rules/protocols/<id>.toml` names it), `ground` knows what holds whatever is spoken, `checks` runs the rules, `tabulate` makes
the tables. A protocol is a module here, a file in rules/protocols and a folder of findings; nothing else knows any by name.

Promises: every connection with payload is heard; what a reader cannot know for want of bytes is unknown, never false; no secret is in
what is returned unless asked for; time is linear in the payload segments and in the bytes of dialogues.
Must not know: output formats, exit statuses.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from analyzer.applications import assembly, channels, checks, ground
from analyzer.applications.dialogue import Dialogue, Setting
from analyzer.applications.recognise import UNKNOWN, Recogniser, skip_proxy
from analyzer.rules.protocols import ANY, services

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pandas as pd

    from analyzer.applications.assembly import Opened, Streams
    from analyzer.applications.ground import Ground, Opening
    from analyzer.applications.recognise import Heard
    from analyzer.applications.streams import Reader
    from analyzer.flows import Connections
    from analyzer.model import Capture
    from analyzer.rules import RuleSet
    from analyzer.rules.protocols import Protocol

Array = np.ndarray[Any, np.dtype[Any]]

__all__ = ["Dialogues", "read"]

_TLS: Final = "tls"
_NESTED: Final = 4
"""Tunnels in tunnels that are looked into."""


@dataclass(frozen=True, slots=True)
class Dialogues:
    """What `read` returns."""

    heard: Mapping[int, Heard]
    """By connection: those with payload."""
    dialogues: Mapping[int, Dialogue]
    """By connection: those whose protocol is known."""
    ground: Ground
    findings: pd.DataFrame
    """Columns flow, id, severity, capture, frames, message."""
    linked: Mapping[int, int]
    """Connection to the one that announced it."""
    ways: tuple[str, ...]
    """How connections come to be encrypted, by the codes of fact `encrypted_by`."""


@dataclass(slots=True)
class _Hearing:
    """What is heard, as it grows."""

    rules: RuleSet
    recogniser: Recogniser
    secrets: bool
    heard: dict[int, Heard] = field(default_factory=dict)
    dialogues: dict[int, Dialogue] = field(default_factory=dict)
    proxied: list[int] = field(default_factory=list)
    overlaps: dict[int, int] = field(default_factory=dict)
    """Connection to the frame that carried other bytes than the copy before."""


def read(
    connections: Connections, captures: Sequence[Capture], opening: Opening, isns: tuple[Array, Array], rules: RuleSet, *, secrets: bool = False
) -> Dialogues:
    """Return what was said on `connections`, whose payloads `captures` give access to.

    `isns` are the client's and the server's, int64 a connection, -1 where not known. `secrets` keeps passwords and the like.
    """
    streams = assembly.assemble(connections.segments, *isns)
    known = ground.lay(connections, streams, opening, rules.protocols)
    hearing = _Hearing(rules, Recogniser(rules.protocols), secrets)
    _hear_all(hearing, connections, captures, opening, streams, known)
    _complete(hearing, known, streams)
    linked = _link(hearing, connections, opening, streams, known)
    owners = connections.flows["capture"].to_numpy()
    findings = checks.run(rules, known, hearing.dialogues, owners)
    return Dialogues(hearing.heard, hearing.dialogues, known, findings, linked, rules.protocols[ANY].enums["encryption"])


def _hear_all(
    hearing: _Hearing, connections: Connections, captures: Sequence[Capture], opening: Opening, streams: Streams, known: Ground
) -> None:
    """Hear every connection that has payload, capture by capture."""
    words = services(hearing.rules.protocols)
    spoken = np.flatnonzero(streams.spoken[0::2] | streams.spoken[1::2])
    flows = connections.flows
    columns = [flows[name].astype(object).to_numpy()[spoken].tolist() for name in ("client_ip", "server_ip")]
    columns += [flows[name].to_numpy()[spoken].tolist() for name in ("client_port", "server_port", "capture", "capture_end")]
    by_port = known.facts["service_by_port"][0][spoken].tolist()
    columns += [column[spoken].tolist() for column in (opening.whole, opening.one_sided, opening.opened_at)]
    for flow, client_ip, server_ip, client_port, server_port, capture, end, all_there, half, begun, port in zip(
        spoken.tolist(), *columns, by_port, strict=True
    ):
        payloads = captures[capture].payloads
        if payloads is None:
            continue
        setting = Setting(hearing.secrets, all_there, client_ip, server_ip, client_port, server_port, half, end, opened_at=begun)
        opened = streams.reader(2 * flow, payloads.read), streams.reader(2 * flow + 1, payloads.read)
        _hear(hearing, flow, opened, setting, words[port])


def _hear(hearing: _Hearing, flow: int, opened: tuple[Opened, Opened], setting: Setting, by_port: str) -> None:
    """Recognise what one connection speaks, and read it if there is a reader."""
    client, server = opened[0].reader, opened[1].reader
    for one in opened:
        if one.overlap is not None:
            hearing.overlaps[flow] = min(one.overlap.frame, hearing.overlaps.get(flow, one.overlap.frame))
    if setting.whole and skip_proxy(client):
        hearing.proxied.append(flow)
    heard = hearing.recogniser.hear(client, server, by_port)
    hearing.heard[flow] = heard
    dialogue = _read(hearing, client, server, setting, heard, _NESTED)
    if dialogue is not None:
        hearing.dialogues[flow] = dialogue


def _read(hearing: _Hearing, client: Reader, server: Reader, setting: Setting, heard: Heard, depth: int) -> Dialogue | None:
    """Return the dialogue from where the readers stand; None when nobody can say what it is."""
    protocol = hearing.rules.protocols.get(heard.service)
    if protocol is None:
        return None
    if heard.service == _TLS:
        return Dialogue(_TLS, tls="implicit", tls_spot=client.spot() if client.peek(1) else server.spot())
    reader = _reader(protocol)
    if reader is None:
        return Dialogue(protocol.id, summary=protocol.title)

    def nested(inner_client: Reader, inner_server: Reader, inner: Setting) -> Dialogue | None:
        again = hearing.recogniser.hear(inner_client, inner_server, UNKNOWN)
        return _read(hearing, inner_client, inner_server, inner, again, depth - 1) if depth else None

    return reader(client, server, replace(setting, nested=nested, protocol=protocol))


@cache
def _module(name: str) -> Any:  # noqa: ANN401 - a module
    return import_module(f"analyzer.applications.{name}")


def _reader(protocol: Protocol) -> Callable[[Reader, Reader, Setting], Dialogue] | None:
    found: Callable[[Reader, Reader, Setting], Dialogue] | None = _module(protocol.reader).read if protocol.reader else None
    return found


def _complete(hearing: _Hearing, known: Ground, streams: Streams) -> None:
    """Add to the ground what was heard: services, PROXY headers, TLS, contradicting copies."""
    count = len(known.opened_at)
    words = services(hearing.rules.protocols)
    code = {word: place for place, word in enumerate(words)}
    said = {name: np.zeros(count, np.int64) for name in ("service", "service_client", "service_server")}
    for flow, heard in hearing.heard.items():
        said["service"][flow] = code[heard.service]
        for side, ids, spoke in (("client", heard.client, heard.client_spoke), ("server", heard.server, heard.server_spoke)):
            said[f"service_{side}"][flow] = code[ids[0] if len(ids) == 1 else UNKNOWN] if spoke else 0
    speaker = known.facts["speaks_first"][0].copy()
    heard_by = np.array([0, 0, *(_speaker(hearing.rules.protocols.get(word)) for word in words[2:])], np.int8)
    told = said["service"] > 1
    speaker[told] = heard_by[said["service"][told]]
    known.facts.update({name: (values, None) for name, values in said.items()})
    known.facts["speaks_first"] = (speaker, None)
    for name, flows in (("proxy_header", hearing.proxied), ("overlap_differs", list(hearing.overlaps))):
        marked = np.zeros(count, bool)
        marked[flows] = True
        known.facts[name] = (marked, None)
    _complete_tls(hearing, known, count)
    read = np.zeros(count, bool)
    read[[flow for flow, dialogue in hearing.dialogues.items() if dialogue.facts]] = True
    known.facts["read"] = (read, None)
    overlap = np.full(count, -1, np.int64)
    overlap[list(hearing.overlaps)] = list(hearing.overlaps.values())
    known.places["overlap"] = overlap
    # Directions in disorder, too, may have been captured whole.
    values, sure = known.facts["gaps"]
    for flow in np.flatnonzero(~sure if sure is not None else np.zeros(0, bool)).tolist():
        values[flow] = any(assembly.missing(streams, 2 * flow + side) > 0 for side in (0, 1))
    known.facts["gaps"] = (values, None)
    gap = np.full(count, -1, np.int64)
    for flow in np.flatnonzero(values & read).tolist():
        found = [frame for side in (0, 1) if (frame := assembly.behind_gap(streams, 2 * flow + side)) >= 0]
        gap[flow] = min(found, default=-1)
    known.places["gap"] = gap


def _speaker(protocol: Protocol | None) -> int:
    return ground.SIDES.index(protocol.speaks_first if protocol is not None else "client")


def _complete_tls(hearing: _Hearing, known: Ground, count: int) -> None:
    ways = hearing.rules.protocols[ANY].enums["encryption"]
    way, frame = np.zeros(count, np.int8), np.full(count, -1, np.int64)
    for flow, dialogue in hearing.dialogues.items():
        if dialogue.tls:
            way[flow] = ways.index(dialogue.tls)
            frame[flow] = -1 if dialogue.tls_spot is None else dialogue.tls_spot.frame
    known.facts["encrypted_by"] = (way, None)
    known.places["tls"] = frame


def _link(hearing: _Hearing, connections: Connections, opening: Opening, streams: Streams, known: Ground) -> dict[int, int]:
    """Let the protocols that announce further connections find them; return connection to the one that announced it."""
    readers = dict.fromkeys(protocol.reader for protocol in hearing.rules.protocols.values() if protocol.reader)
    links = [_module(name).link for name in readers if hasattr(_module(name), "link")]
    if not links or not any(dialogue.channels for dialogue in hearing.dialogues.values()):
        return {}
    table = connections.flows
    flows = channels.Flows(
        capture=table["capture"].to_numpy(),
        client_ip=table["client_ip"].astype(object).tolist(),
        client_port=table["client_port"].to_numpy(),
        server_ip=table["server_ip"].astype(object).tolist(),
        server_port=table["server_port"].to_numpy(),
        first_frame=table["first_frame"].to_numpy(),
        last_frame=table["last_frame"].to_numpy(),
        verdict=opening.verdict,
        client_bytes=streams.size[0::2],
        server_bytes=streams.size[1::2],
        reset=ground.reset(streams),
        encrypted=known.facts["encrypted_by"][0] > 0,
    )
    linked: dict[int, int] = {}
    for link in links:
        linked |= link(hearing.dialogues, flows)
    return linked
