"""What is known of every dialogue before anybody reads it: the facts of rules/protocols/any.toml that no reader fills in.

Promises: an array a fact, a value a connection, whole arrays at a time; unknown is told from false.
Must not know: protocols by name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from analyzer.reassembly.layout import CLOSINGS
from analyzer.rules.protocols import ANY, services
from analyzer.schema import NO_TIME, SYN

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from analyzer.reassembly.layout import Streams
    from analyzer.rules.protocols import Protocol

Array = np.ndarray[Any, np.dtype[Any]]
Answer = tuple[Array, Array | None]

SIDES: Final = ("none", "client", "server")
"""The enumeration `side`."""


@dataclass(frozen=True, slots=True)
class ConnectionContext:
    """Facts and places of all connections."""

    facts: dict[str, Answer]
    """(values, known); known is None where everything is."""
    places: dict[str, Array]
    """Frames, -1 where there is none."""
    opened_at: Array
    """When the opening was complete, ns, NO_TIME where it was not or is not known."""


@dataclass(frozen=True, slots=True)
class OpeningSummary:
    """What `opening` found, a value a connection in each array."""

    opened: Array
    """bool."""
    whole: Array
    """bool: both directions were captured from the opening on."""
    one_sided: Array
    """bool."""
    opened_at: Array
    """int64, ns, NO_TIME where not known."""
    verdict: Sequence[str]
    """How each was opened, by the names of rules/opening.toml."""
    opener_known: Array
    """bool: the capture shows which end opened the connection."""
    failure: Sequence[str]
    """How the opening failed: refused, unanswered, or empty."""
    client_isn: Array
    """int64, -1 where not known."""
    server_isn: Array


def build(
    flows: pd.DataFrame, streams: Streams, syn_data: Array, opening: OpeningSummary, protocols: Mapping[str, Protocol]
) -> ConnectionContext:
    """Return what is known of the connections of table `CONNECTIONS`; the facts of what is heard are added by whoever hears it."""
    spoken, first, frames = streams.spoken, streams.first, streams.frame
    # One more frame for groups without pieces to point at.
    frames = frames if len(frames) else np.full(1, -1, np.int64)
    talk = np.where(spoken, frames[first], -1)
    client, server = talk[0::2], talk[1::2]
    captured_first, spoke_first = _first(client, server), _spoke_first(client, server, streams)
    sizes = streams.size[0::2], streams.size[1::2]
    lost = (streams.size > streams.held) | streams.tangled
    closing = [np.where(streams.closing[side::2] > 0, streams.closing_frame[side::2], np.iinfo(np.int64).max) for side in (0, 1)]
    end, opened_at = flows["capture_end"].to_numpy(), opening.opened_at
    timed = (opened_at != NO_TIME) & (end != NO_TIME)
    begun = np.where(timed, opened_at, 0)
    facts: dict[str, Answer] = {
        "first_talker": (spoke_first, None),
        "misordered": (captured_first != spoke_first, None),
        "opened": (opening.opened, None),
        "whole": (opening.whole, None),
        "one_sided": (opening.one_sided, None),
        "gaps": (lost[0::2] | lost[1::2], ~(streams.tangled[0::2] | streams.tangled[1::2])),
        "client_size": (sizes[0], None),
        "server_size": (sizes[1], None),
        "watched": (np.where(timed, end - begun, 0), timed),
        "lasted": (np.where(timed, np.minimum(end, _closed_at(streams)) - begun, 0), timed),
        "greeting_after": _greeting_after(streams, opened_at),
        "closed_by": (_first(*(np.where(frame == np.iinfo(np.int64).max, -1, frame) for frame in closing)), None),
        "syn_data": (syn_data, None),
        "late_data": (streams.late[0::2] + streams.late[1::2], None),
        **by_port(flows["server_port"].to_numpy(), protocols),
    }
    close = np.minimum(*closing)
    late = np.where(streams.late_frame < 0, np.iinfo(np.int64).max, streams.late_frame)
    places = {
        "first_client": client,
        "first_server": server,
        "close": np.where(close == np.iinfo(np.int64).max, -1, close),
        "late": np.where(np.minimum(late[0::2], late[1::2]) == np.iinfo(np.int64).max, -1, np.minimum(late[0::2], late[1::2])),
    }
    return ConnectionContext(facts, places, opened_at)


def reset(streams: Streams) -> Array:
    """Return, per connection, whether a side ended it with a RST where the other side had not sent its FIN."""
    rst, fin = (streams.closing == CLOSINGS.index(code) for code in ("rst", "fin"))
    found: Array = (rst[0::2] & ~fin[1::2]) | (rst[1::2] & ~fin[0::2])
    return found


def _first(client: Array, server: Array) -> Array:
    """Return whose frame comes first, as a place in `SIDES`; -1 is no frame."""
    ahead = (client >= 0) & ((server < 0) | (client <= server))
    return np.where(ahead, 1, np.where(server >= 0, 2, 0)).astype(np.int8)


def _spoke_first(client: Array, server: Array, streams: Streams) -> Array:
    """Return who spoke first: whose payload was captured first, but who acknowledges payload of the other side spoke after it."""
    answers = [streams.first_ack[side::2] > 0 for side in (0, 1)]
    both = (client >= 0) & (server >= 0)
    found: Array = np.select([both & answers[0] & ~answers[1], both & answers[1] & ~answers[0]], [2, 1], _first(client, server)).astype(
        np.int8
    )
    return found


def _closed_at(streams: Streams) -> Array:
    """Return the time of each connection's first FIN or RST, the greatest number where there is none."""
    never = np.iinfo(np.int64).max
    times = np.where((streams.closing > 0) & (streams.closing_time != NO_TIME), streams.closing_time, never)
    found: Array = np.minimum(times[0::2], times[1::2])
    return found


def _greeting_after(streams: Streams, opened_at: Array) -> Answer:
    """Return how long the server's first payload took, known where it was captured."""
    if not len(streams.time):
        return np.zeros(len(opened_at), np.int64), np.zeros(len(opened_at), bool)
    first = streams.first[1::2]
    time = streams.time[first]
    known = streams.spoken[1::2] & (streams.start[first] == 0) & (opened_at != NO_TIME) & (time != NO_TIME)
    return np.where(known, time - np.where(known, opened_at, 0), 0), known


def syn_data(segments: pd.DataFrame, count: int) -> Array:
    """Return, for each of `count` connections, whether a SYN of the client carried payload; `segments` is table `FLOW_SEGMENTS`."""
    hits = (segments["flags"].to_numpy() & SYN != 0) & (segments["payload_length"].to_numpy() > 0) & segments["by_client"].to_numpy()
    found = np.zeros(count, bool)
    found[segments["flow"].to_numpy()[hits]] = True
    return found


def by_port(numbers: Array, protocols: Mapping[str, Protocol]) -> dict[str, Answer]:
    """Return what server ports stand for, and who should speak first there: the facts about ports, a value a number."""
    words = services(protocols)
    name, expected, speaker = {}, {}, {}
    for one in protocols.values():
        if one.id == ANY:
            continue
        for port in one.ports:
            name[port], expected[port], speaker[port] = one.id, one.id, one.speaks_first
        for port in one.tls_ports:
            name[port], expected[port], speaker[port] = one.tls_name or one.id, "tls", "client"
    distinct, place = np.unique(numbers, return_inverse=True)
    columns = {
        "service_by_port": [words.index(name.get(int(port), words[0])) for port in distinct],
        "service_expected": [words.index(expected.get(int(port), words[0])) for port in distinct],
        "speaks_first": [SIDES.index(speaker.get(int(port), "none")) for port in distinct],
    }
    return {key: (np.array(values or [0], np.int8)[place], None) for key, values in columns.items()}
