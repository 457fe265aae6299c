"""The streams of some connections ─► what each of them speaks, and what was said.

Promises: what is heard of a connection does not depend on which others it is heard with, nor on the process it is heard in.
Must not know: findings, any protocol by name but TLS.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, fields, replace
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from analyzer.errors import InputError
from analyzer.protocols.api import Dialogue, ParserContext
from analyzer.protocols.columnar import DialogueColumns, is_plain
from analyzer.protocols.detection import UNKNOWN, Detection, Detector, begins_with_proxy, skip_proxy
from analyzer.reassembly import contiguous
from analyzer.rules.protocols import MAX_SIGNATURE_BYTES, services

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from analyzer.model import Payloads
    from analyzer.reassembly.layout import OpenStream, Streams
    from analyzer.reassembly.reader import Reader
    from analyzer.rules.protocols import Protocol
    from analyzer.rules.secrets import SecretPatterns

Array = np.ndarray[Any, np.dtype[Any]]

_TLS: Final = "tls"
_NESTED: Final = 4
"""Tunnels in tunnels that are looked into."""
MIN_PACKED_DIALOGUES: Final = 64
"""Dialogues of a protocol from which on columns take less room."""


@dataclass(frozen=True, slots=True)
class ConnectionColumns:
    """What is known of connections beside their bytes, a value a connection in each array; see `Setting`."""

    capture: Array
    """Index in `Share.payloads`."""
    by_port: Array
    """What the server's port stands for, by place in `services`."""
    whole: Array
    client_ip: Array
    """Text."""
    server_ip: Array
    client_port: Array
    server_port: Array
    one_sided: Array
    end_time: Array
    opened_at: Array

    def part(self, first: int, last: int) -> ConnectionColumns:
        """Return what is known of connections `first` to `last`, that one left out."""
        return ConnectionColumns(*(getattr(self, one.name)[first:last] for one in fields(self)))


@dataclass(frozen=True, slots=True)
class Shard:
    """Connections that are to be heard; they are counted from 0."""

    streams: Streams
    beside: ConnectionColumns
    payloads: Sequence[Payloads | None]
    """Of every capture."""
    protocols: Mapping[str, Protocol]
    secrets: bool
    patterns: SecretPatterns | None = None
    """How secrets are named and what they look like; None for what is shipped."""

    def __len__(self) -> int:
        """Return the number of connections."""
        return len(self.beside.capture)

    def part(self, first: int, last: int) -> Shard:
        """Return connections `first` to `last`, that one left out, alone."""
        return replace(self, streams=self.streams.part(first, last), beside=self.beside.part(first, last))


@dataclass(slots=True)
class DialogueBatch:
    """What is heard; connections are counted as in the share."""

    heard: dict[int, Detection] = field(default_factory=dict)
    dialogues: dict[int, Dialogue] = field(default_factory=dict)
    blocks: list[DialogueColumns] = field(default_factory=list)
    proxied: list[int] = field(default_factory=list)
    """Connections that begin with a PROXY header."""
    overlaps: dict[int, int] = field(default_factory=dict)
    """Connection to the frame that carried other bytes than the copy before."""
    unread: list[int] = field(default_factory=list)
    """Connections whose bytes are not there any more: their captures were changed meanwhile."""

    def add(self, other: DialogueBatch, first: int) -> None:
        """Take in what was heard of other connections, which are counted from `first` here."""
        self.heard.update({first + flow: heard for flow, heard in other.heard.items()})
        self.dialogues.update({first + flow: dialogue for flow, dialogue in other.dialogues.items()})
        self.blocks += [replace(block, flow=block.flow + first) for block in other.blocks]
        self.proxied += [first + flow for flow in other.proxied]
        self.unread += [first + flow for flow in other.unread]
        self.overlaps.update({first + flow: frame for flow, frame in other.overlaps.items()})


def parse_shard(share: Shard) -> DialogueBatch:
    """Return what was said on the connections of `share`."""
    hearing = _Run(share, DialogueBatch(), _NestedDispatcher(Detector(share.protocols), share.protocols))
    _parse_all(hearing, _parse_contiguous(hearing))
    _pack(hearing.said)
    return hearing.said


def _pack(said: DialogueBatch) -> None:
    """Bring the dialogues into order, and make blocks of those of a protocol that has many: they take a fraction of the room."""
    found = dict(sorted(said.dialogues.items()))
    plain = [(flow, one) for flow, one in found.items() if is_plain(one)]
    for service, times in Counter(one.service for _, one in plain).items():
        if times >= MIN_PACKED_DIALOGUES:
            chosen = {flow: one for flow, one in plain if one.service == service}
            said.blocks.append(DialogueColumns.of(service, chosen))
            found = {flow: one for flow, one in found.items() if flow not in chosen}
    said.dialogues = found


@dataclass(frozen=True, slots=True)
class _Run:
    share: Shard
    said: DialogueBatch
    ears: _NestedDispatcher


def _parse_contiguous(hearing: _Run) -> Array:
    """Hear the connections that were captured whole, and in order; return those that are left.

    A protocol whose module has a class `Plain` offers to read dialogues with nothing out of the ordinary many at a time.
    """
    share, streams, said = hearing.share, hearing.share.streams, hearing.said
    chosen = np.flatnonzero(streams.spoken[0::2] | streams.spoken[1::2])
    owner = share.beside.capture
    fetch = [None if one is None else one.read for one in share.payloads]
    whole = chosen[(contiguous.both_contiguous(streams) & share.beside.whole)[chosen]]
    whole = whole[np.array([one is not None for one in fetch], bool)[owner[whole]]]
    if not len(whole):
        return chosen
    plain = {
        id_: module(one.reader).FastPath(secrets=share.secrets, patterns=share.patterns, protocol=one)
        for id_, one in _plain_readers(share.protocols).items()
    }
    left = np.zeros(len(owner), bool)
    left[chosen] = True
    pairs = contiguous.pairs(streams, whole, owner, fetch)
    for (flow, client, server), (word, beside) in zip(pairs, _beside(share, hearing.ears.nested, whole), strict=True):
        try:
            asked = client.read(0, MAX_SIGNATURE_BYTES)
            if begins_with_proxy(asked):
                continue
            left[flow] = False
            heard = said.heard[flow] = hearing.ears.recogniser.tell(asked, server.read(0, MAX_SIGNATURE_BYTES), word)
            protocol = share.protocols.get(heard.service)
            if protocol is None or (protocol.id in plain and plain[protocol.id].take(flow, client, server, beside.server_port)):
                continue
            said.dialogues[flow] = _read(
                client.reader("client"), server.reader("server"), ParserContext(*beside, protocol, None, share.patterns), protocol
            )
        except InputError:
            _mark_unreadable(hearing, flow)
    said.blocks += [block for one in plain.values() if (block := one.block()) is not None]
    return np.flatnonzero(left)


def _plain_readers(protocols: Mapping[str, Protocol]) -> dict[str, Protocol]:
    return {id_: one for id_, one in protocols.items() if one.reader and hasattr(module(one.reader), "FastPath")}


def _parse_all(hearing: _Run, chosen: Array) -> None:
    """Hear the connections `chosen`, whatever was captured of them."""
    share, streams, said = hearing.share, hearing.share.streams, hearing.said
    owners = share.beside.capture[chosen].tolist()
    for flow, owner, (word, beside) in zip(chosen.tolist(), owners, _beside(share, hearing.ears.nested, chosen), strict=True):
        payloads = share.payloads[owner]
        if payloads is None:
            continue
        try:
            opened = streams.reader(2 * flow, payloads.read), streams.reader(2 * flow + 1, payloads.read)
            heard = _recognise(hearing, flow, opened, word, whole=beside.whole)
            protocol = share.protocols.get(heard.service)
            if protocol is not None:
                said.dialogues[flow] = _read(
                    opened[0].reader, opened[1].reader, ParserContext(*beside, protocol, None, share.patterns), protocol
                )
        except InputError:
            _mark_unreadable(hearing, flow)


def _mark_unreadable(hearing: _Run, flow: int) -> None:
    """Note that what was said on a connection cannot be read any more."""
    spoken = hearing.share.streams.spoken
    hearing.said.heard[flow] = Detection(UNKNOWN, (), (), client_spoke=bool(spoken[2 * flow]), server_spoke=bool(spoken[2 * flow + 1]))
    hearing.said.unread.append(flow)


class _Known(NamedTuple):
    """`Setting` but for the protocol, which is not known yet."""

    secrets: bool
    whole: bool
    client_ip: str
    server_ip: str
    client_port: int
    server_port: int
    one_sided: bool
    end_time: int
    nested: Callable[[Reader, Reader, ParserContext], Dialogue | None]
    opened_at: int


def _beside(
    share: Shard, nested: Callable[[Reader, Reader, ParserContext], Dialogue | None], chosen: Array
) -> Iterator[tuple[str, _Known]]:
    """Yield what the server's port stands for and what is known beside the bytes, of each of the connections `chosen`."""
    words, secrets, beside = services(share.protocols), share.secrets, share.beside
    columns = (
        beside.by_port, beside.whole, beside.client_ip, beside.server_ip, beside.client_port, beside.server_port, beside.one_sided,
        beside.end_time, beside.opened_at,
    )  # fmt: skip
    for word, whole, client, server, client_port, server_port, half, end, begun in zip(
        *(column[chosen].tolist() for column in columns), strict=True
    ):
        # By place: one is made a connection, and keywords cost as much as all the rest of it.
        yield words[word], _Known(secrets, whole, client, server, client_port, server_port, half, end, nested, begun)


def _recognise(hearing: _Run, flow: int, opened: tuple[OpenStream, OpenStream], by_port: str, *, whole: bool) -> Detection:
    """Return what one connection speaks."""
    client, server = opened[0].reader, opened[1].reader
    for one in opened:
        if one.overlap is not None:
            hearing.said.overlaps[flow] = min(one.overlap.frame, hearing.said.overlaps.get(flow, one.overlap.frame))
    if whole and skip_proxy(client):
        hearing.said.proxied.append(flow)
    heard = hearing.ears.recogniser.hear(client, server, by_port)
    hearing.said.heard[flow] = heard
    return heard


def _read(client: Reader, server: Reader, setting: ParserContext, protocol: Protocol) -> Dialogue:
    """Return the dialogue from where the readers stand."""
    if protocol.reader:
        found: Dialogue = module(protocol.reader).read(client, server, setting)
        return found
    if protocol.id == _TLS:
        return Dialogue(_TLS, tls="implicit", tls_spot=client.spot() if client.peek(1) else server.spot())
    return Dialogue(protocol.id, summary=protocol.title)


@dataclass(frozen=True, slots=True)
class _NestedDispatcher:
    """Recognises and reads what stands inside of a dialogue, and what stands in that."""

    recogniser: Detector
    protocols: Mapping[str, Protocol]
    depth: int = _NESTED

    def nested(self, client: Reader, server: Reader, setting: ParserContext) -> Dialogue | None:
        """Return the dialogue inside another one; None when nobody can say what it is, or it lies too deep."""
        protocol = self.protocols.get(self.recogniser.hear(client, server, UNKNOWN).service)
        if protocol is None or not self.depth:
            return None
        deeper = replace(self, depth=self.depth - 1)
        return _read(client, server, replace(setting, nested=deeper.nested, protocol=protocol), protocol)


@cache
def module(name: str) -> Any:  # noqa: ANN401 - a module
    """Return the module of applications called `name`."""
    return import_module(f"analyzer.protocols.{name}")
