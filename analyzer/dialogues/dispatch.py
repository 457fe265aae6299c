"""Detect the protocol of each connection of a shard and parse its dialogue.

The result for a connection depends neither on the other connections of the shard nor on the process that runs this. No protocol is named
here but TLS.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, fields, replace
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from analyzer.errors import InputError
from analyzer.protocols.api import Dialogue, ParserContext
from analyzer.protocols.columnar import DialogueColumns, is_plain
from analyzer.protocols.detection import UNKNOWN, Detection, Detector, begins_with_proxy, skip_proxy
from analyzer.reassembly import contiguous
from analyzer.rules.protocols import MAX_SIGNATURE_BYTES, services

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from analyzer._typing import Array, BoolArray, IntArray
    from analyzer.model import Payloads
    from analyzer.reassembly.layout import OpenStream, Streams
    from analyzer.reassembly.reader import Reader
    from analyzer.rules.protocols import Protocol
    from analyzer.rules.secrets import SecretPatterns

_TLS: Final = "tls"
MAX_NESTED: Final = 4
"""Tunnels inside tunnels that are parsed."""
MIN_COLUMNAR_DIALOGUES: Final = 64
"""Dialogues of one protocol from which on columns take less memory."""


@dataclass(frozen=True, slots=True)
class ConnectionColumns:
    """What is known of connections without their bytes, one element per connection; see `ParserContext`."""

    capture: IntArray
    """Index in `Shard.payloads`."""
    by_port: IntArray
    """The service registered for the server port, as an index of `services`."""
    whole: BoolArray
    client_ip: Array
    """Text."""
    server_ip: Array
    client_port: IntArray
    server_port: IntArray
    one_sided: BoolArray
    end_time: IntArray
    opened_at: IntArray

    def part(self, first: int, last: int) -> ConnectionColumns:
        """Return connections `first` to `last`, the latter excluded."""
        return ConnectionColumns(*(getattr(self, one.name)[first:last] for one in fields(self)))


@dataclass(frozen=True, slots=True)
class Shard:
    """Connections to parse, numbered from 0."""

    streams: Streams
    columns: ConnectionColumns
    payloads: Sequence[Payloads | None]
    """One element per capture."""
    protocols: Mapping[str, Protocol]
    secrets: bool
    patterns: SecretPatterns | None = None
    """What secrets look like; None for the shipped patterns."""

    def __len__(self) -> int:
        """Return the number of connections."""
        return len(self.columns.capture)

    def part(self, first: int, last: int) -> Shard:
        """Return connections `first` to `last`, the latter excluded, as a shard."""
        return replace(self, streams=self.streams.part(first, last), columns=self.columns.part(first, last))


@dataclass(slots=True)
class DialogueBatch:
    """The dialogues of a shard; connections are numbered as in the shard."""

    detections: dict[int, Detection] = field(default_factory=dict)
    dialogues: dict[int, Dialogue] = field(default_factory=dict)
    columns: list[DialogueColumns] = field(default_factory=list)
    """Dialogues that are held as columns instead."""
    proxied: list[int] = field(default_factory=list)
    """Connections that begin with a PROXY header."""
    overlaps: dict[int, int] = field(default_factory=dict)
    """Connection to the frame of the first retransmission whose bytes differ."""
    unreadable: list[int] = field(default_factory=list)
    """Connections whose payload can no longer be read: their captures were changed meanwhile."""

    def add(self, other: DialogueBatch, first: int) -> None:
        """Add another batch, whose connection 0 is number `first` here."""
        self.detections.update({first + flow: detection for flow, detection in other.detections.items()})
        self.dialogues.update({first + flow: dialogue for flow, dialogue in other.dialogues.items()})
        self.columns += [replace(one, flow=one.flow + first) for one in other.columns]
        self.proxied += [first + flow for flow in other.proxied]
        self.unreadable += [first + flow for flow in other.unreadable]
        self.overlaps.update({first + flow: frame for flow, frame in other.overlaps.items()})


def parse_shard(shard: Shard) -> DialogueBatch:
    """Return the dialogues of `shard`."""
    run = _ShardRun(shard, DialogueBatch(), _NestedDispatcher(Detector(shard.protocols), shard.protocols))
    _parse_reassembled(run, _parse_contiguous(run))
    _make_columnar(run.batch)
    return run.batch


def _make_columnar(batch: DialogueBatch) -> None:
    """Sort the dialogues by connection, and convert those of a protocol that has many to columns, which take a fraction of the memory."""
    found = dict(sorted(batch.dialogues.items()))
    plain = [(flow, one) for flow, one in found.items() if is_plain(one)]
    for service, count in Counter(one.service for _, one in plain).items():
        if count >= MIN_COLUMNAR_DIALOGUES:
            chosen = {flow: one for flow, one in plain if one.service == service}
            batch.columns.append(DialogueColumns.of(service, chosen))
            found = {flow: one for flow, one in found.items() if flow not in chosen}
    batch.dialogues = found


@dataclass(frozen=True, slots=True)
class _ShardRun:
    """The state while one shard is parsed."""

    shard: Shard
    batch: DialogueBatch
    dispatcher: _NestedDispatcher


def _parse_contiguous(run: _ShardRun) -> IntArray:
    """Parse the connections that were captured in order and without a gap; return the numbers of those that remain.

    A parser module that has a class `FastPath` takes plain dialogues many at a time.
    """
    shard, streams, batch = run.shard, run.shard.streams, run.batch
    chosen = np.flatnonzero(streams.has_payload[0::2] | streams.has_payload[1::2])
    captures = shard.columns.capture
    fetch = [None if one is None else one.read for one in shard.payloads]
    whole = chosen[(contiguous.both_contiguous(streams) & shard.columns.whole)[chosen]]
    whole = whole[np.array([one is not None for one in fetch], bool)[captures[whole]]]
    if not len(whole):
        return chosen
    fast_paths = _fast_paths(shard)
    remaining = np.zeros(len(captures), bool)
    remaining[chosen] = True
    pairs = contiguous.pairs(streams, whole, captures, fetch)
    for (flow, client, server), known in zip(pairs, _known(shard, whole), strict=True):
        try:
            first_bytes = client.read(0, MAX_SIGNATURE_BYTES)
            if begins_with_proxy(first_bytes):
                continue
            remaining[flow] = False
            detection = run.dispatcher.detector.detect_bytes(first_bytes, server.read(0, MAX_SIGNATURE_BYTES), known.by_port)
            batch.detections[flow] = detection
            protocol = shard.protocols.get(detection.service)
            if protocol is None or (protocol.id in fast_paths and fast_paths[protocol.id].take(flow, client, server, known.server_port)):
                continue
            batch.dialogues[flow] = _parse(client.reader("client"), server.reader("server"), _context(run, known, protocol), protocol)
        except InputError:
            _mark_unreadable(run, flow)
    batch.columns += [columns for one in fast_paths.values() if (columns := one.columns()) is not None]
    return np.flatnonzero(remaining)


def _fast_paths(shard: Shard) -> dict[str, Any]:
    """Return a new `FastPath` by protocol, for those whose parser module has one."""
    return {
        id_: parser_module(one.reader).FastPath(secrets=shard.secrets, patterns=shard.patterns, protocol=one)
        for id_, one in shard.protocols.items()
        if one.reader and hasattr(parser_module(one.reader), "FastPath")
    }


def _parse_reassembled(run: _ShardRun, chosen: IntArray) -> None:
    """Parse the connections `chosen`, whatever was captured of them."""
    shard, streams, batch = run.shard, run.shard.streams, run.batch
    captures = shard.columns.capture[chosen].tolist()
    for flow, capture, known in zip(chosen.tolist(), captures, _known(shard, chosen), strict=True):
        payloads = shard.payloads[capture]
        if payloads is None:
            continue
        try:
            opened = streams.reader(2 * flow, payloads.read), streams.reader(2 * flow + 1, payloads.read)
            detection = _detect(run, flow, opened, known)
            protocol = shard.protocols.get(detection.service)
            if protocol is not None:
                batch.dialogues[flow] = _parse(opened[0].reader, opened[1].reader, _context(run, known, protocol), protocol)
        except InputError:
            _mark_unreadable(run, flow)


def _mark_unreadable(run: _ShardRun, flow: int) -> None:
    """Note that the payload of a connection can no longer be read."""
    sent = run.shard.streams.has_payload
    run.batch.detections[flow] = Detection(UNKNOWN, (), (), client_spoke=bool(sent[2 * flow]), server_spoke=bool(sent[2 * flow + 1]))
    run.batch.unreadable.append(flow)


@dataclass(slots=True)
class _KnownConnection:
    """One element of each of `ConnectionColumns`, as Python values."""

    by_port: str
    """The service registered for the server port."""
    whole: bool
    client_ip: str
    server_ip: str
    client_port: int
    server_port: int
    one_sided: bool
    end_time: int
    opened_at: int


_KNOWN_COLUMNS: Final = tuple(one.name for one in fields(_KnownConnection))


def _known(shard: Shard, chosen: IntArray) -> Iterator[_KnownConnection]:
    """Yield what is known of each of the connections `chosen`."""
    columns = {name: getattr(shard.columns, name)[chosen].tolist() for name in _KNOWN_COLUMNS}
    words = services(shard.protocols)
    columns["by_port"] = [words[index] for index in columns["by_port"]]
    # `columns` is in the order of the fields: one call per connection, where keywords would cost as much as the call.
    return map(_KnownConnection, *columns.values())


def _context(run: _ShardRun, known: _KnownConnection, protocol: Protocol) -> ParserContext:
    return ParserContext(
        secrets=run.shard.secrets,
        whole=known.whole,
        client_ip=known.client_ip,
        server_ip=known.server_ip,
        client_port=known.client_port,
        server_port=known.server_port,
        one_sided=known.one_sided,
        end_time=known.end_time,
        nested=run.dispatcher.parse,
        opened_at=known.opened_at,
        protocol=protocol,
        patterns=run.shard.patterns,
    )


def _detect(run: _ShardRun, flow: int, opened: tuple[OpenStream, OpenStream], known: _KnownConnection) -> Detection:
    """Return the protocol of one connection, and note overlaps that differ and a PROXY header."""
    client, server = opened[0].reader, opened[1].reader
    for one in opened:
        if one.overlap is not None:
            run.batch.overlaps[flow] = min(one.overlap.frame, run.batch.overlaps.get(flow, one.overlap.frame))
    if known.whole and skip_proxy(client):
        run.batch.proxied.append(flow)
    detection = run.dispatcher.detector.detect(client, server, known.by_port)
    run.batch.detections[flow] = detection
    return detection


def _parse(client: Reader, server: Reader, context: ParserContext, protocol: Protocol) -> Dialogue:
    """Return the dialogue from where the readers are."""
    if protocol.reader:
        found: Dialogue = parser_module(protocol.reader).read(client, server, context)
        return found
    if protocol.id == _TLS:
        return Dialogue(_TLS, tls="implicit", tls_position=client.position() if client.peek(1) else server.position())
    return Dialogue(protocol.id, summary=protocol.title)


@dataclass(frozen=True, slots=True)
class _NestedDispatcher:
    """Detects and parses a dialogue inside another one, to a depth of `depth`."""

    detector: Detector
    protocols: Mapping[str, Protocol]
    depth: int = MAX_NESTED

    def parse(self, client: Reader, server: Reader, context: ParserContext) -> Dialogue | None:
        """Return the dialogue inside another one; None when its protocol is not detected or it is too deep."""
        protocol = self.protocols.get(self.detector.detect(client, server, UNKNOWN).service)
        if protocol is None or not self.depth:
            return None
        deeper = replace(self, depth=self.depth - 1)
        return _parse(client, server, replace(context, nested=deeper.parse, protocol=protocol), protocol)


@cache
def parser_module(name: str) -> Any:  # noqa: ANN401 - a module
    """Return the package of `analyzer.protocols` called `name`."""
    return import_module(f"analyzer.protocols.{name}")
