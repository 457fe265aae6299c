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
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from analyzer.applications import assembly, channels, checks, ground, solid
from analyzer.applications.dialogue import Dialogue, Setting
from analyzer.applications.recognise import UNKNOWN, Recogniser, begins_with_proxy, skip_proxy
from analyzer.rules.protocols import ANY, SIGN_BYTES, services

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import pandas as pd

    from analyzer.applications.assembly import Opened, Streams
    from analyzer.applications.dialogue import Block
    from analyzer.applications.ground import Ground, Opening
    from analyzer.applications.recognise import Heard
    from analyzer.applications.streams import Reader
    from analyzer.model import Capture
    from analyzer.rules import RuleSet
    from analyzer.rules.protocols import Protocol

Array = np.ndarray[Any, np.dtype[Any]]

__all__ = ["Dialogues", "Request", "read"]

_TLS: Final = "tls"
_NESTED: Final = 4
"""Tunnels in tunnels that are looked into."""


@dataclass(frozen=True, slots=True)
class Dialogues:
    """What `read` returns."""

    heard: Mapping[int, Heard]
    """By connection: those with payload."""
    dialogues: Mapping[int, Dialogue]
    """By connection: those whose protocol is known and that are not in a block."""
    blocks: Sequence[Block]
    """The others, protocol by protocol."""
    ground: Ground
    findings: pd.DataFrame
    """Columns flow, id, severity, capture, frames, message."""
    linked: Mapping[int, int]
    """Connection to the one that announced it."""
    ways: tuple[str, ...]
    """How connections come to be encrypted, by the codes of fact `encrypted_by`."""


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
    opening: Opening
    rules: RuleSet
    secrets: bool = False
    """Whether passwords and the like are kept."""
    openings_only: bool = False
    """Whether nothing is to be heard: no payload is looked at, no rule about what was said asked."""


@dataclass(slots=True)
class _Hearing:
    """What is heard, as it grows."""

    request: Request
    ears: _Ears
    streams: Streams
    ground: Ground
    heard: dict[int, Heard] = field(default_factory=dict)
    dialogues: dict[int, Dialogue] = field(default_factory=dict)
    blocks: list[Block] = field(default_factory=list)
    proxied: list[int] = field(default_factory=list)
    overlaps: dict[int, int] = field(default_factory=dict)
    """Connection to the frame that carried other bytes than the copy before."""


def read(request: Request) -> Dialogues:
    """Return what was said on all connections."""
    rules = request.rules
    known = ground.lay(request.flows, request.streams, request.syn_data, request.opening, rules.protocols)
    hearing = _Hearing(request, _Ears(Recogniser(rules.protocols), rules.protocols), request.streams, known)
    if not request.openings_only:
        _hear_all(hearing, _hear_whole(hearing))
        hearing.dialogues = dict(sorted(hearing.dialogues.items()))
    _complete(hearing)
    linked = _link(hearing)
    asked = replace(rules, reported=frozenset()) if request.openings_only else rules
    findings = checks.run(asked, known, hearing.dialogues, hearing.blocks, request.flows["capture"].to_numpy())
    return Dialogues(hearing.heard, hearing.dialogues, hearing.blocks, known, findings, linked, rules.protocols[ANY].enums["encryption"])


def _hear_whole(hearing: _Hearing) -> Array:
    """Hear the connections that were captured whole, and in order; return those that are left.

    A protocol whose module has a class `Plain` offers to read dialogues with nothing out of the ordinary many at a time.
    """
    request, streams, flows = hearing.request, hearing.streams, hearing.request.flows
    chosen = np.flatnonzero(streams.spoken[0::2] | streams.spoken[1::2])
    owner = flows["capture"].to_numpy()
    fetch = [None if one.payloads is None else one.payloads.read for one in request.captures]
    whole = chosen[(solid.both(streams) & request.opening.whole)[chosen]]
    whole = whole[np.array([one is not None for one in fetch], bool)[owner[whole]]]
    plain = {id_: _module(one.reader).Plain(secrets=request.secrets) for id_, one in _plain_readers(request.rules.protocols).items()}
    left = np.zeros(len(owner), bool)
    left[chosen] = True
    pairs = solid.pairs(streams, whole, owner, fetch)
    for (flow, client, server), (word, beside) in zip(pairs, _beside(hearing, whole), strict=True):
        asked = client.read(0, SIGN_BYTES)
        if begins_with_proxy(asked):
            continue
        heard = hearing.heard[flow] = hearing.ears.recogniser.tell(asked, server.read(0, SIGN_BYTES), word)
        left[flow] = False
        protocol = request.rules.protocols.get(heard.service)
        if protocol is None or (protocol.id in plain and plain[protocol.id].take(flow, client, server, beside.server_port)):
            continue
        hearing.dialogues[flow] = _read(client.reader("client"), server.reader("server"), Setting(*beside, protocol), protocol)
    hearing.blocks += [block for one in plain.values() if (block := one.block()) is not None]
    return np.flatnonzero(left)


def _plain_readers(protocols: Mapping[str, Protocol]) -> dict[str, Protocol]:
    return {id_: one for id_, one in protocols.items() if one.reader and hasattr(_module(one.reader), "Plain")}


def _hear_all(hearing: _Hearing, chosen: Array) -> None:
    """Hear the connections `chosen`, whatever was captured of them."""
    request, streams = hearing.request, hearing.streams
    owners = hearing.request.flows["capture"].to_numpy()[chosen].tolist()
    for flow, owner, (word, beside) in zip(chosen.tolist(), owners, _beside(hearing, chosen), strict=True):
        payloads = request.captures[owner].payloads
        if payloads is None:
            continue
        opened = streams.reader(2 * flow, payloads.read), streams.reader(2 * flow + 1, payloads.read)
        heard = _recognise(hearing, flow, opened, word, whole=beside.whole)
        protocol = request.rules.protocols.get(heard.service)
        if protocol is not None:
            hearing.dialogues[flow] = _read(opened[0].reader, opened[1].reader, Setting(*beside, protocol), protocol)


class _Beside(NamedTuple):
    """`Setting` but for the protocol, which is not known yet."""

    secrets: bool
    whole: bool
    client_ip: str
    server_ip: str
    client_port: int
    server_port: int
    one_sided: bool
    end_time: int
    nested: Callable[[Reader, Reader, Setting], Dialogue | None]
    opened_at: int


def _beside(hearing: _Hearing, chosen: Array) -> Iterator[tuple[str, _Beside]]:
    """Yield what the server's port stands for and what is known beside the bytes, of each of the connections `chosen`."""
    request, flows, opening = hearing.request, hearing.request.flows, hearing.request.opening
    words, secrets, nested = services(request.rules.protocols), request.secrets, hearing.ears.nested
    columns = [flows[name].astype(object).to_numpy()[chosen].tolist() for name in ("client_ip", "server_ip")]
    columns += [flows[name].to_numpy()[chosen].tolist() for name in ("client_port", "server_port")]
    known = (opening.one_sided, flows["capture_end"].to_numpy(), opening.opened_at, opening.whole)
    columns += [column[chosen].tolist() for column in known]
    by_port = hearing.ground.facts["service_by_port"][0][chosen].tolist()
    for word, client, server, client_port, server_port, half, end, begun, whole in zip(by_port, *columns, strict=True):
        # By place: one is made a connection, and keywords cost as much as all the rest of it.
        yield words[word], _Beside(secrets, whole, client, server, client_port, server_port, half, end, nested, begun)


def _recognise(hearing: _Hearing, flow: int, opened: tuple[Opened, Opened], by_port: str, *, whole: bool) -> Heard:
    """Return what one connection speaks."""
    client, server = opened[0].reader, opened[1].reader
    for one in opened:
        if one.overlap is not None:
            hearing.overlaps[flow] = min(one.overlap.frame, hearing.overlaps.get(flow, one.overlap.frame))
    if whole and skip_proxy(client):
        hearing.proxied.append(flow)
    heard = hearing.ears.recogniser.hear(client, server, by_port)
    hearing.heard[flow] = heard
    return heard


def _read(client: Reader, server: Reader, setting: Setting, protocol: Protocol) -> Dialogue:
    """Return the dialogue from where the readers stand."""
    if protocol.reader:
        found: Dialogue = _module(protocol.reader).read(client, server, setting)
        return found
    if protocol.id == _TLS:
        return Dialogue(_TLS, tls="implicit", tls_spot=client.spot() if client.peek(1) else server.spot())
    return Dialogue(protocol.id, summary=protocol.title)


@dataclass(frozen=True, slots=True)
class _Ears:
    """Recognises and reads what stands inside of a dialogue, and what stands in that."""

    recogniser: Recogniser
    protocols: Mapping[str, Protocol]
    depth: int = _NESTED

    def nested(self, client: Reader, server: Reader, setting: Setting) -> Dialogue | None:
        """Return the dialogue inside another one; None when nobody can say what it is, or it lies too deep."""
        protocol = self.protocols.get(self.recogniser.hear(client, server, UNKNOWN).service)
        if protocol is None or not self.depth:
            return None
        deeper = replace(self, depth=self.depth - 1)
        return _read(client, server, replace(setting, nested=deeper.nested, protocol=protocol), protocol)


@cache
def _module(name: str) -> Any:  # noqa: ANN401 - a module
    return import_module(f"analyzer.applications.{name}")


def _complete(hearing: _Hearing) -> None:
    """Add to the ground what was heard: services, PROXY headers, TLS, contradicting copies."""
    known, protocols = hearing.ground, hearing.request.rules.protocols
    count = len(known.opened_at)
    words = services(protocols)
    code = {word: place for place, word in enumerate(words)}
    said = {name: np.zeros(count, np.int64) for name in ("service", "service_client", "service_server")}
    for flow, heard in hearing.heard.items():
        said["service"][flow] = code[heard.service]
        for side, ids, spoke in (("client", heard.client, heard.client_spoke), ("server", heard.server, heard.server_spoke)):
            said[f"service_{side}"][flow] = code[ids[0] if len(ids) == 1 else UNKNOWN] if spoke else 0
    speaker = known.facts["speaks_first"][0].copy()
    heard_by = np.array([0, 0, *(_speaker(protocols.get(word)) for word in words[2:])], np.int8)
    told = said["service"] > 1
    speaker[told] = heard_by[said["service"][told]]
    known.facts.update({name: (values, None) for name, values in said.items()})
    known.facts["speaks_first"] = (speaker, None)
    for name, flows in (("proxy_header", hearing.proxied), ("overlap_differs", list(hearing.overlaps))):
        marked = np.zeros(count, bool)
        marked[flows] = True
        known.facts[name] = (marked, None)
    _complete_tls(hearing)
    read = np.zeros(count, bool)
    read[[flow for flow, dialogue in hearing.dialogues.items() if dialogue.facts]] = True
    for block in hearing.blocks:
        read[block.flow] = True
    known.facts["read"] = (read, None)
    overlap = np.full(count, -1, np.int64)
    overlap[list(hearing.overlaps)] = list(hearing.overlaps.values())
    known.places["overlap"] = overlap
    # Directions in disorder, too, may have been captured whole.
    values, sure = known.facts["gaps"]
    for flow in np.flatnonzero(~sure if sure is not None else np.zeros(0, bool)).tolist():
        values[flow] = any(assembly.missing(hearing.streams, 2 * flow + side) > 0 for side in (0, 1))
    known.facts["gaps"] = (values, None)
    gap = np.full(count, -1, np.int64)
    for flow in np.flatnonzero(values & read).tolist():
        found = [frame for side in (0, 1) if (frame := assembly.behind_gap(hearing.streams, 2 * flow + side)) >= 0]
        gap[flow] = min(found, default=-1)
    known.places["gap"] = gap


def _speaker(protocol: Protocol | None) -> int:
    return ground.SIDES.index(protocol.speaks_first if protocol is not None else "client")


def _complete_tls(hearing: _Hearing) -> None:
    known, count = hearing.ground, len(hearing.ground.opened_at)
    ways = hearing.request.rules.protocols[ANY].enums["encryption"]
    way, frame = np.zeros(count, np.int8), np.full(count, -1, np.int64)
    for flow, dialogue in hearing.dialogues.items():
        if dialogue.tls:
            way[flow] = ways.index(dialogue.tls)
            frame[flow] = -1 if dialogue.tls_spot is None else dialogue.tls_spot.frame
    known.facts["encrypted_by"] = (way, None)
    known.places["tls"] = frame


def _link(hearing: _Hearing) -> dict[int, int]:
    """Let the protocols that announce further connections find them; return connection to the one that announced it."""
    readers = dict.fromkeys(protocol.reader for protocol in hearing.request.rules.protocols.values() if protocol.reader)
    links = [_module(name).link for name in readers if hasattr(_module(name), "link")]
    if not links or not any(dialogue.channels for dialogue in hearing.dialogues.values()):
        return {}
    table, streams = hearing.request.flows, hearing.streams
    flows = channels.Flows(
        capture=table["capture"].to_numpy(),
        client_ip=table["client_ip"].astype(object).tolist(),
        client_port=table["client_port"].to_numpy(),
        server_ip=table["server_ip"].astype(object).tolist(),
        server_port=table["server_port"].to_numpy(),
        first_frame=table["first_frame"].to_numpy(),
        last_frame=table["last_frame"].to_numpy(),
        verdict=hearing.request.opening.verdict,
        client_bytes=streams.size[0::2],
        server_bytes=streams.size[1::2],
        reset=ground.reset(streams),
        encrypted=hearing.ground.facts["encrypted_by"][0] > 0,
    )
    linked: dict[int, int] = {}
    for link in links:
        linked |= link(hearing.dialogues, flows)
    return linked
