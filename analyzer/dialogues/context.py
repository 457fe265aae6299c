"""Facts of every connection that do not depend on its protocol: those of rules/protocols/any.toml that no parser fills in.

One array per fact, one element per connection. A fact is a pair (values, known): an unknown value is never False.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from analyzer.protocols.detection import UNKNOWN
from analyzer.reassembly import layout
from analyzer.rules.protocols import ANY, services
from analyzer.schema import NO_TIME, SYN

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from analyzer._typing import Answer, Array
    from analyzer.dialogues.dispatch import DialogueBatch
    from analyzer.reassembly.layout import Streams
    from analyzer.rules.protocols import Protocol

SIDES: Final = ("none", "client", "server")
"""The enumeration `side`."""
_NEVER: Final = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True)
class ConnectionContext:
    """Facts and evidence of all connections; complete when it is made."""

    facts: Mapping[str, Answer]
    """(values, known) by name; known is None where every value is."""
    evidence: Mapping[str, Array]
    """Frames by name, -1 where there is none."""
    has_facts: Array
    """bool: a parser filled in the facts of the connection's dialogue."""

    def __len__(self) -> int:
        """Return the number of connections."""
        return len(self.has_facts)


@dataclass(frozen=True, slots=True)
class OpeningSummary:
    """How connections were opened; one element per connection in each field."""

    opened: Array
    """bool."""
    whole: Array
    """bool: both directions were captured from the opening on."""
    one_sided: Array
    """bool."""
    opened_at: Array
    """int64, ns, NO_TIME where unknown."""
    verdict: Sequence[str]
    """Names of verdicts in rules/opening.toml."""
    opener_known: Array
    """bool: the capture shows which end opened the connection."""
    failure: Sequence[str]
    """How the opening failed: refused, unanswered, or empty."""
    client_isn: Array
    """int64, -1 where unknown."""
    server_isn: Array


@dataclass(frozen=True, slots=True)
class ConnectionInputs:
    """What is known of connections before a dialogue is read."""

    flows: pd.DataFrame
    """Table `CONNECTIONS`."""
    streams: Streams
    syn_data: Array
    """bool: a SYN of the client carried payload."""
    opening: OpeningSummary
    protocols: Mapping[str, Protocol]


def build(inputs: ConnectionInputs, batch: DialogueBatch) -> ConnectionContext:
    """Return the context of all connections, `batch` being all that was read on them."""
    streams, count = inputs.streams, len(inputs.flows)
    has_facts = np.zeros(count, bool)
    has_facts[[flow for flow, dialogue in batch.dialogues.items() if dialogue.facts]] = True
    for one in batch.columns:
        has_facts[one.flow] = True
    gaps = _gaps(streams)
    encrypted_by, tls = _encryption(batch, inputs.protocols, count)
    ports = by_port(inputs.flows["server_port"].to_numpy(), inputs.protocols)
    facts: dict[str, Answer] = {
        **_stream_facts(inputs),
        **ports,
        **_services(batch, inputs.protocols, ports["speaks_first"][0]),
        "gaps": (gaps, None),
        "encrypted_by": (encrypted_by, None),
        "proxy_header": (_marked(batch.proxied, count), None),
        "overlap_differs": (_marked(list(batch.overlaps), count), None),
        "read": (has_facts, None),
    }
    overlap = np.full(count, -1, np.int64)
    overlap[list(batch.overlaps)] = list(batch.overlaps.values())
    evidence = _stream_evidence(streams) | {"tls": tls, "overlap": overlap, "gap": _gap_evidence(streams, gaps & has_facts)}
    return ConnectionContext(facts, evidence, has_facts)


def _stream_facts(inputs: ConnectionInputs) -> dict[str, Answer]:
    """Return the facts that streams and openings give."""
    streams, opening = inputs.streams, inputs.opening
    client, server = _first_frames(streams)
    captured_first, sent_first = _first(client, server), _sent_first(client, server, streams)
    end, opened_at = inputs.flows["capture_end"].to_numpy(), opening.opened_at
    timed = (opened_at != NO_TIME) & (end != NO_TIME)
    begun = np.where(timed, opened_at, 0)
    return {
        "first_talker": (sent_first, None),
        "misordered": (captured_first != sent_first, None),
        "opened": (opening.opened, None),
        "whole": (opening.whole, None),
        "one_sided": (opening.one_sided, None),
        "client_size": (streams.size[0::2], None),
        "server_size": (streams.size[1::2], None),
        "watched": (np.where(timed, end - begun, 0), timed),
        "lasted": (np.where(timed, np.minimum(end, _closed_at(streams)) - begun, 0), timed),
        "greeting_after": _greeting_after(streams, opened_at),
        "closed_by": (_first(*(np.where(frame == _NEVER, -1, frame) for frame in _closing_frames(streams))), None),
        "syn_data": (inputs.syn_data, None),
        "late_data": (streams.after_fin[0::2] + streams.after_fin[1::2], None),
    }


def _stream_evidence(streams: Streams) -> dict[str, Array]:
    """Return the frames that streams give: first payload of each side, the closing, data behind a FIN."""
    client, server = _first_frames(streams)
    late = np.where(streams.after_fin_frame < 0, _NEVER, streams.after_fin_frame)
    return {
        "first_client": client,
        "first_server": server,
        "close": _first_of(_closing_frames(streams)),
        "late": _first_of([late[0::2], late[1::2]]),
    }


def _first_frames(streams: Streams) -> tuple[Array, Array]:
    """Return the frame of each side's first payload, -1 where it has none."""
    # Without any payload the array is empty; one element keeps the index valid.
    frames = streams.frame if len(streams.frame) else np.full(1, -1, np.int64)
    first = np.where(streams.has_payload, frames[streams.first], -1)
    return first[0::2], first[1::2]


def _closing_frames(streams: Streams) -> list[Array]:
    """Return the frame that closed each side, `_NEVER` where none did."""
    return [np.where(streams.close[side::2] > 0, streams.close_frame[side::2], _NEVER) for side in (0, 1)]


def _first_of(frames: Sequence[Array]) -> Array:
    """Return the lower frame of both sides, -1 where both are `_NEVER`."""
    first = np.minimum(*frames)
    return np.where(first == _NEVER, -1, first)


def _gaps(streams: Streams) -> Array:
    """Return whether bytes of either direction are missing."""
    lacks = streams.size > streams.captured
    found: Array = lacks[0::2] | lacks[1::2]
    # Where segments overlap or came out of order, the counts alone do not show it.
    for flow in np.flatnonzero(streams.needs_resolution[0::2] | streams.needs_resolution[1::2]).tolist():
        found[flow] = any(layout.missing(streams, 2 * flow + side) > 0 for side in (0, 1))
    return found


def _gap_evidence(streams: Streams, chosen: Array) -> Array:
    """Return the first frame behind a gap for the connections `chosen`, -1 for others."""
    found = np.full(len(chosen), -1, np.int64)
    for flow in np.flatnonzero(chosen).tolist():
        frames = [frame for side in (0, 1) if (frame := layout.frame_after_gap(streams, 2 * flow + side)) >= 0]
        found[flow] = min(frames, default=-1)
    return found


def _services(batch: DialogueBatch, protocols: Mapping[str, Protocol], by_port_first: Array) -> dict[str, Answer]:
    """Return what was detected, and which side sends first in it; `by_port_first` is the latter for what was not detected."""
    words = services(protocols)
    code = {word: index for index, word in enumerate(words)}
    found = {name: np.zeros(len(by_port_first), np.int64) for name in ("service", "service_client", "service_server")}
    for flow, detection in batch.detections.items():
        found["service"][flow] = code[detection.service]
        sides = (("client", detection.client, detection.client_spoke), ("server", detection.server, detection.server_spoke))
        for side, ids, sent in sides:
            found[f"service_{side}"][flow] = code[ids[0] if len(ids) == 1 else UNKNOWN] if sent else 0
    first = by_port_first.copy()
    sends_first = np.array([0, 0, *(_sends_first(protocols.get(word)) for word in words[2:])], np.int8)
    detected = found["service"] > 1
    first[detected] = sends_first[found["service"][detected]]
    return {**{name: (values, None) for name, values in found.items()}, "speaks_first": (first, None)}


def _sends_first(protocol: Protocol | None) -> int:
    """Return the side that sends first; what is no protocol of its own is one inside TLS, where the client does."""
    return SIDES.index(protocol.speaks_first if protocol is not None else "client")


def _encryption(batch: DialogueBatch, protocols: Mapping[str, Protocol], count: int) -> tuple[Array, Array]:
    """Return how each connection came to be encrypted, as an index of enumeration `encryption`, and the frame with the first TLS byte."""
    words = protocols[ANY].enums["encryption"]
    encrypted_by, frame = np.zeros(count, np.int8), np.full(count, -1, np.int64)
    for flow, dialogue in batch.dialogues.items():
        if dialogue.tls:
            encrypted_by[flow] = words.index(dialogue.tls)
            frame[flow] = -1 if dialogue.tls_position is None else dialogue.tls_position.frame
    return encrypted_by, frame


def _marked(flows: Sequence[int], count: int) -> Array:
    found = np.zeros(count, bool)
    found[flows] = True
    return found


def reset(streams: Streams) -> Array:
    """Return, per connection, whether a side ended it with a RST where the other side had not sent its FIN."""
    rst, fin = (streams.close == layout.CLOSINGS.index(code) for code in ("rst", "fin"))
    found: Array = (rst[0::2] & ~fin[1::2]) | (rst[1::2] & ~fin[0::2])
    return found


def _first(client: Array, server: Array) -> Array:
    """Return whose frame comes first, as an index of `SIDES`; -1 is no frame."""
    ahead = (client >= 0) & ((server < 0) | (client <= server))
    return np.where(ahead, 1, np.where(server >= 0, 2, 0)).astype(np.int8)


def _sent_first(client: Array, server: Array, streams: Streams) -> Array:
    """Return which side sent payload first: the side captured first, unless its first payload acknowledges payload of the other side."""
    answers = [streams.first_ack[side::2] > 0 for side in (0, 1)]
    both = (client >= 0) & (server >= 0)
    found: Array = np.select([both & answers[0] & ~answers[1], both & answers[1] & ~answers[0]], [2, 1], _first(client, server)).astype(
        np.int8
    )
    return found


def _closed_at(streams: Streams) -> Array:
    """Return the time of each connection's first FIN or RST, ns, `_NEVER` where there is none."""
    times = np.where((streams.close > 0) & (streams.close_time != NO_TIME), streams.close_time, _NEVER)
    found: Array = np.minimum(times[0::2], times[1::2])
    return found


def _greeting_after(streams: Streams, opened_at: Array) -> Answer:
    """Return ns from the opening to the server's first payload, known where that was captured."""
    if not len(streams.time):
        return np.zeros(len(opened_at), np.int64), np.zeros(len(opened_at), bool)
    first = streams.first[1::2]
    time = streams.time[first]
    known = streams.has_payload[1::2] & (streams.start[first] == 0) & (opened_at != NO_TIME) & (time != NO_TIME)
    return np.where(known, time - np.where(known, opened_at, 0), 0), known


def syn_data(segments: pd.DataFrame, count: int) -> Array:
    """Return, for each of `count` connections, whether a SYN of the client carried payload; `segments` is table `FLOW_SEGMENTS`."""
    hits = (segments["flags"].to_numpy() & SYN != 0) & (segments["payload_length"].to_numpy() > 0) & segments["by_client"].to_numpy()
    found = np.zeros(count, bool)
    found[segments["flow"].to_numpy()[hits]] = True
    return found


def by_port(numbers: Array, protocols: Mapping[str, Protocol]) -> dict[str, Answer]:
    """Return the facts about server ports, one element per port: the registered service, the one expected, which side sends first."""
    words = services(protocols)
    name, expected, first = {}, {}, {}
    for one in protocols.values():
        if one.id == ANY:
            continue
        for port in one.ports:
            name[port], expected[port], first[port] = one.id, one.id, one.speaks_first
        for port in one.tls_ports:
            name[port], expected[port], first[port] = one.tls_name or one.id, "tls", "client"
    distinct, index = np.unique(numbers, return_inverse=True)
    columns = {
        "service_by_port": [words.index(name.get(int(port), words[0])) for port in distinct],
        "service_expected": [words.index(expected.get(int(port), words[0])) for port in distinct],
        "speaks_first": [SIDES.index(first.get(int(port), "none")) for port in distinct],
    }
    return {key: (np.array(values or [0], np.int8)[index], None) for key, values in columns.items()}
