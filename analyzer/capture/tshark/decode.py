"""Batches of tshark's columns ─► the segments and quotes tables.

Every frame is counted; a row appears in one table at most; a header quoted by an ICMP error is never a
segment; whole arrays at a time, a Python step only for each distinct text.

`header_captured` counts what tshark decodes: it reads nothing but the ports of a header cut before its 16th byte.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from analyzer import schema
from analyzer.capture.decode.dictionary import DICTIONARY_NAMES
from analyzer.capture.decode.last_protocol import Endings
from analyzer.capture.payloads import Spool
from analyzer.capture.timestamps import Timestamps
from analyzer.capture.tshark import layers, quirks, remainder
from analyzer.capture.tshark.batch_view import BatchView
from analyzer.capture.tshark.pseudo_header import pseudo_sums
from analyzer.kernels.groups import first_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from analyzer._typing import Array, BoolArray, Int64Array
    from analyzer.capture.tshark.layers import Layers
    from analyzer.capture.tshark.tsv import TsvBatch, TsvColumn

_PORTS_BYTES: Final = 4
_SEQUENCE_BYTES: Final = 8
_DECODED_BYTES: Final = 16
_CHECKSUM_BYTES: Final = 18
_HEADER_BYTES: Final = 20
_IPV6_BYTES: Final = 40
_COOKED_BYTES: Final = 16
_TCP: Final = 6
_STATES: Final = np.array([schema.CHECKSUM_BAD, schema.CHECKSUM_GOOD], dtype=np.int8)
"""Wireshark's tcp.checksum.status 0 and 1; all others are unverified."""


@dataclass(slots=True)
class Dictionary:
    """Texts and their codes, in order of first appearance over the whole capture."""

    codes: dict[bytes, int] = field(default_factory=dict)

    def encode(self, column: TsvColumn) -> Int64Array:
        """Return the code of each cell."""
        local, distinct = column.factorize()
        known = self.codes
        return np.array([known.setdefault(text, len(known)) for text in distinct], dtype=np.int64)[local] if distinct else local

    def code(self, text: bytes) -> int:
        """Return the code of one text."""
        return self.codes.setdefault(text, len(self.codes))

    def texts(self) -> list[str]:
        """Return the texts, the code of each being its place."""
        return [text.decode("utf-8", "replace") for text in self.codes]


@dataclass(slots=True)
class Counts:
    """Counts of frames for notes."""

    frames: int = 0
    malformed: int = 0
    """Frames that tshark calls malformed and that gave no segment where one might be."""
    short: int = 0
    unread: int = 0
    """Frames that carry TCP by their IP header, of which no TCP header was decoded, reassembled fragments left out."""
    unquoted: int = 0
    """ICMP errors that quote too little of a TCP header."""
    endings: Endings = field(default_factory=Endings)
    """What frames without a segment or a quote of one ended in."""

    def add(self, other: Counts) -> None:
        """Add all of `other` but the number of frames and of those captured short."""
        self.malformed += other.malformed
        self.unread += other.unread
        self.unquoted += other.unquoted
        self.endings.add(other.endings)


@dataclass(slots=True)
class SegmentBuilder:
    """Takes batches, gives tables."""

    names: Sequence[str]
    """The fields, in the order of the columns."""
    spool: Spool = field(default_factory=Spool)
    """Takes the payloads."""
    uncounted: Int64Array = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    """Numbers of frames that are read for comparison only."""
    counts: Counts = field(default_factory=Counts)
    strays: list[tuple[str, Int64Array]] = field(default_factory=list)
    """Frames that the native engine may know better: what tshark's view of them ends in, and their numbers."""
    clock: Timestamps = field(default_factory=Timestamps)
    _dictionaries: dict[str, Dictionary] = field(
        default_factory=lambda: {name: Dictionary() for name in sorted(set(DICTIONARY_NAMES.values()))}
    )
    _segments: list[dict[str, Array]] = field(default_factory=list)
    _quotes: list[dict[str, Array]] = field(default_factory=list)
    _options: bytearray = field(default_factory=bytearray)

    def add(self, grid: TsvBatch) -> bool:
        """Take a batch; return False, having taken only what came before, where the frame numbers do not count on."""
        index = {name: place for place, name in enumerate(self.names)}
        number = grid.column(index["frame.number"]).numbers()
        expected = np.arange(self.counts.frames + 1, self.counts.frames + len(grid) + 1)
        gap = np.flatnonzero(number != expected)
        count = int(gap[0]) if len(gap) else len(grid)
        if count:
            codes, distinct = quirks.name_layers(grid, index)
            view = BatchView(grid, index, np.arange(count), [layers.read(text) for text in distinct], codes[:count])
            self._take(view, number[:count], distinct)
        return not len(gap)

    def _take(self, view: BatchView, number: Int64Array, protocols: list[bytes]) -> None:
        """Split a batch into segments, quotes and the rest, and count."""
        time = self.clock.read(quirks.clear_custom_blocks(view.column("frame.time_epoch"), view, protocols), number)
        ports = view.column("tcp.srcport").filled & view.column("tcp.dstport").filled
        carries = (view.fact(lambda entry: entry.tcp) == 1) & ports
        doubtful = remainder.find_doubtful_tunnels(view)
        carries &= ~doubtful
        quoted = view.fact(lambda entry: entry.quote) != 0
        segments = view.only(carries & ~quoted)
        if len(segments.rows):
            self._segments.append(self._read_segments(segments, number[carries & ~quoted], time[carries & ~quoted]))
        if (carries & quoted).any():
            self._read_quotes(view.only(carries & quoted), number[carries & quoted], time[carries & quoted])
        counted = ~np.isin(number, self.uncounted)
        self.counts.frames += len(number)
        self._count(view.only(counted), number[counted], carries[counted], doubtful[counted])

    def _count(self, view: BatchView, number: Int64Array, carries: BoolArray, doubtful: BoolArray) -> None:
        """Keep count of what the tables do not show."""
        counts = self.counts
        # Of frames that hold no TCP, and of what was read as a tunnel and is none, it does not matter.
        suspect = view.fact(lambda entry: remainder.find_end(entry.names).suspect) == 1
        counts.malformed += int((view.column("_ws.malformed").filled & suspect & ~carries & ~doubtful).sum())
        counts.short += int((view.column("frame.cap_len").numbers() < view.column("frame.len").numbers()).sum())
        last = np.full(len(view.rows), -1, dtype=np.int64)
        stated = (view.column("ip.proto", last).numbers() == _TCP) | (view.column("ipv6.nxt", last).numbers() == _TCP)
        stated |= view.column("ipv6.fraghdr.nxt", last).numbers() == _TCP
        fragments = np.maximum(view.column("ip.fragment.count", last).numbers(), view.column("ipv6.fragment.count", last).numbers())
        # In a tunnel the fragments may be of what carries the tunnel, and state no TCP.
        whole = carries & (view.fact(lambda entry: entry.alone) == 1)
        counts.unread += int((stated & ~carries & ~doubtful).sum() - np.maximum(fragments[whole] - 1, 0).sum())
        found, strays = remainder.examine(view.only(~carries), number[~carries], doubtful[~carries])
        counts.endings.add(found)
        self.strays += [*strays, *remainder.find_guessed(view.only(carries), number[carries])]

    def _read_segments(self, view: BatchView, number: Int64Array, time: Int64Array) -> dict[str, Array]:
        """Return the columns of the segments table for one batch."""
        version, ordinal = view.fact(lambda entry: entry.network), view.fact(lambda entry: entry.ordinal)
        fragment = view.column("ip.fragment.count").filled | (view.column("ipv6.fragment.count").filled)
        text, length = view.column("tcp.options", np.full(len(view.rows), -1, dtype=np.int64)).hexadecimal()
        start = len(self._options) + np.concatenate(([0], np.cumsum(length)[:-1]))
        self._options += text
        found = {
            "frame": number,
            "time": time,
            **self._addresses(view, version, ordinal),
            "src_port": view.last("tcp.srcport"),
            "dst_port": view.last("tcp.dstport"),
            **self._links(view),
            "interface": view.column("frame.interface_id").numbers(),
            "ttl": view.either("ip.ttl", "ipv6.hlim", version, ordinal).numbers(),
            "ip_id": np.where(version == 4, view.column("ip.id", ordinal).numbers(), -1),  # noqa: PLR2004 - an IP version
            "ip_ecn": view.either("ip.dsfield.ecn", "ipv6.tclass.ecn", version, ordinal).numbers(),
            "fragment": fragment,
            "seq": view.last("tcp.seq_raw"),
            "ack": view.last("tcp.ack_raw"),
            "flags": view.last("tcp.flags"),
            "window": view.last("tcp.window_size_value"),
            "urgent": view.last("tcp.urgent_pointer"),
            "header_length": view.last("tcp.hdr_len"),
            "checksum": view.last("tcp.checksum"),
            "payload_length": view.last("tcp.len"),
            "option_start": start,
            "option_length": length,
        }
        quirks.drop_cut_headers(found)
        found["checksum_state"] = self._judge_checksums(view, found)
        found["header_captured"] = _measure_headers(found)
        _restore_payloads(view, found, version, ordinal)
        found["payload_captured"] = _measure_payloads(view, found, version, ordinal)
        found["payload_start"] = self._keep_payloads(view, found)
        for name in ("seq", "ack", "flags"):
            found[name] = np.maximum(found[name], 0)
        return _narrow(found, schema.SEGMENTS)

    def _keep_payloads(self, view: BatchView, found: dict[str, Int64Array]) -> Int64Array:
        """Put the payloads aside; return their addresses, -1 where there is none or tshark gave other bytes than were captured."""
        data, length = view.column("tcp.payload", np.full(len(view.rows), -1, dtype=np.int64)).unhexlify()
        held = (length > 0) & (length >= found["payload_captured"])
        before = np.cumsum(length) - length
        address = self.spool.add(data) if data else 0
        return np.where(held, address + before, -1)

    def _addresses(self, view: BatchView, version: Int64Array, ordinal: Int64Array) -> dict[str, Int64Array]:
        """Return codes of source and destination address."""
        known = self._dictionaries["address"]
        src = view.either("ip.src", "ipv6.src", version, ordinal)
        dst = view.either("ip.dst", "ipv6.dst", version, ordinal)
        return {"src": known.encode(src), "dst": known.encode(dst)}

    def _links(self, view: BatchView) -> dict[str, Int64Array]:
        """Return codes of link addresses, VLAN ids and tunnels."""
        ethernet = view.fact(lambda entry: entry.ethernet)
        src, dst = view.column("eth.src", ethernet), view.column("eth.dst", ethernet)
        for name in ("sll.src.eth", "wlan.sa"):
            src = src.where(src.filled, view.column(name, np.full(len(view.rows), -1, dtype=np.int64)))
        dst = dst.where(dst.filled, view.column("wlan.da", np.full(len(view.rows), -1, dtype=np.int64)))
        known = self._dictionaries
        return {
            "src_mac": known["mac"].encode(src),
            "dst_mac": known["mac"].encode(dst),
            "vlan": self._describe_vlans(view),
            "tunnel": self._describe(
                view,
                known["tunnel"],
                ("gre.key", "vxlan.vni", "geneve.vni", "erspan.spanid", "pppoe.session_id"),
                lambda entry, columns: layers.show_tunnels(entry, dict(zip(layers.TUNNELS, columns, strict=True))),
            ),
        }

    def _describe_vlans(self, view: BatchView) -> Int64Array:
        """Return codes of the VLAN stack."""
        names = ("vlan.id", "ieee8021ad.id")
        return self._describe(view, self._dictionaries["vlan"], names, lambda entry, columns: layers.show_vlans(entry, *columns))

    def _describe(
        self, view: BatchView, known: Dictionary, names: tuple[str, ...], show: Callable[[Layers, list[bytes]], str]
    ) -> Int64Array:
        """Return codes of a text made of each row's layers and the values of `names`, worked out once a combination."""
        combined = view.codes
        columns = [view.column(name).factorize() for name in names]
        for codes, distinct in columns:
            if len(distinct) > 1:
                combined = combined * len(distinct) + codes
        local, _ = pd.factorize(combined)
        first = first_rows(local)
        texts = []
        for row in first.tolist():
            values = [distinct[codes[row]] for codes, distinct in columns]
            texts.append(known.code(show(view.kinds[view.codes[row]], values).encode()))
        return np.array(texts, dtype=np.int64)[local]

    def _judge_checksums(self, view: BatchView, found: dict[str, Int64Array]) -> Int64Array:
        """Return the state of each checksum: tshark's word, and whether a wrong one is a pseudo-header's sum."""
        status = view.last("tcp.checksum.status")
        known = (status == 0) | (status == 1)
        state = np.where(known, _STATES[np.where(known, status, 0)], schema.CHECKSUM_UNVERIFIED)
        state[view.column("tcp.checksum.partial").filled] = schema.CHECKSUM_PARTIAL
        bad = np.flatnonzero(state == schema.CHECKSUM_BAD)
        if len(bad):
            texts = self._dictionaries["address"].texts()
            length = found["header_length"][bad] + found["payload_length"][bad]
            field_ = found["checksum"][bad]
            # No length in the sum of what the network card segments: each segment gets its own.
            for counted in (length, np.zeros_like(length)):
                sums = pseudo_sums(texts, found["src"][bad], found["dst"][bad], counted)
                state[bad[(field_ == sums) | (field_ == 0xFFFF - sums)]] = schema.CHECKSUM_PARTIAL
        return state

    def _read_quotes(self, view: BatchView, number: Int64Array, time: Int64Array) -> None:
        """Add the headers that ICMP errors quote; those quoted too short to have a sequence number are counted."""
        seq = view.last("tcp.seq_raw")
        seq = np.where(seq >= 0, seq, view.last("tcp.seq"))
        self.counts.unquoted += int((seq < 0).sum())
        keep = seq >= 0
        view, number, time, seq = view.only(keep), number[keep], time[keep], seq[keep]
        if not len(seq):
            return
        kind, error = view.fact(lambda entry: entry.quote), view.fact(lambda entry: entry.error)
        network, ordinal = view.fact(lambda entry: entry.network), view.fact(lambda entry: entry.ordinal)
        sender, place = view.fact(lambda entry: entry.sender), view.fact(lambda entry: entry.sender_ordinal)
        found = {
            "frame": number,
            "time": time,
            "version": kind,
            "type": view.either("icmp.type", "icmpv6.type", kind, error).numbers(),
            "code": view.either("icmp.code", "icmpv6.code", kind, error).numbers(),
            "sender": self._dictionaries["address"].encode(view.either("ip.src", "ipv6.src", sender, place)),
            **self._addresses(view, network, ordinal),
            "src_port": view.last("tcp.srcport"),
            "dst_port": view.last("tcp.dstport"),
            "vlan": self._describe_vlans(view),
            "seq": seq,
        }
        self._quotes.append(_narrow(found, schema.QUOTES))

    def finish(self) -> tuple[pd.DataFrame, pd.DataFrame, bytes]:
        """Return the segments table, the quotes table and the option bytes; call once, the parts are given up."""
        texts = {name: known.texts() or [""] for name, known in self._dictionaries.items()}
        dtypes = {name: pd.CategoricalDtype(pd.Index(listed, dtype=object)) for name, listed in texts.items()}
        segments = _assemble(self._segments, schema.SEGMENTS, dtypes)
        quotes = _assemble(self._quotes, schema.QUOTES, dtypes)
        return segments, quotes, bytes(self._options)


def _narrow(found: dict[str, Int64Array], table: schema.Table) -> dict[str, Array]:
    """Return the columns in the dtypes of `table`, codes as int32."""
    return {
        column.name: found[column.name].astype("int32" if column.dtype == "category" else column.dtype)
        for column in table.columns
        if column.name in found
    }


def _assemble(parts: list[dict[str, Array]], table: schema.Table, dtypes: dict[str, pd.CategoricalDtype]) -> pd.DataFrame:
    """Return the batches as one table; each column's parts are freed as soon as they are joined."""
    columns: dict[str, object] = {}
    rows = sum(len(part["frame"]) for part in parts)
    for column in table.columns:
        if column.name == "capture":
            columns["capture"] = np.zeros(rows, dtype=column.dtype)
            continue
        joined = np.concatenate([part.pop(column.name) for part in parts]) if parts else None
        if column.dtype == "category":
            codes = np.zeros(0, dtype=np.int32) if joined is None else joined
            columns[column.name] = pd.Categorical.from_codes(codes, dtype=dtypes[DICTIONARY_NAMES[column.name]])
        else:
            columns[column.name] = np.zeros(0, dtype=column.dtype) if joined is None else joined
    return pd.DataFrame(columns, copy=False)


def _measure_headers(found: dict[str, Int64Array]) -> Int64Array:
    """Return how many header bytes were decoded, by which fields there are."""
    stated = found["header_length"]
    decoded = np.select(
        [found["urgent"] >= 0, found["checksum"] >= 0, found["flags"] >= 0, found["seq"] >= 0],
        [_HEADER_BYTES + found["option_length"], _CHECKSUM_BYTES, _DECODED_BYTES, _SEQUENCE_BYTES],
        default=_PORTS_BYTES,
    )
    return np.where(stated >= 0, np.minimum(decoded, stated), decoded)


def _restore_payloads(view: BatchView, found: dict[str, Int64Array], version: Int64Array, ordinal: Int64Array) -> None:
    """Set the payload length to that of the IP header where the frame is shorter; tshark uses the frame's length.

    The checksum of such a segment includes bytes that were not captured.
    """
    total = view.either("ip.len", "ipv6.plen", version, ordinal).numbers()
    network = np.where(version == 4, view.column("ip.hdr_len", ordinal).numbers(), 0)  # noqa: PLR2004 - an IP version
    stated = total - network - found["header_length"]
    less = (view.fact(lambda entry: entry.adjacent) == 1) & (total > 0) & (found["payload_length"] >= 0) & ~found["fragment"].astype(bool)
    less &= stated > found["payload_length"]
    if less.any():
        found["payload_length"] = np.where(less, stated, found["payload_length"])
        found["checksum_state"] = np.where(less, schema.CHECKSUM_UNVERIFIED, found["checksum_state"])


def _measure_payloads(view: BatchView, found: dict[str, Int64Array], version: Int64Array, ordinal: Int64Array) -> Int64Array:
    """Return how many payload bytes the frame holds, by where the header begins in it.

    The header of a plain packet follows its IP header; that of any other ends, with its payload, where the outermost
    IP packet ends.
    """
    captured, size = view.column("frame.cap_len").numbers(), view.column("frame.len").numbers()
    outer, link = view.fact(lambda entry: entry.outer), view.fact(lambda entry: entry.link_length)
    zero = np.zeros(len(view.rows), dtype=np.int64)
    total = view.either("ip.len", "ipv6.plen", outer, zero).numbers()
    total = np.where((outer == 6) & (total > 0), total + _IPV6_BYTES, total)  # noqa: PLR2004 - an IP version
    link = np.where(link < 0, size - total, link)
    # Cooked headers of version 2 have the name of those of version 1, and 4 bytes more.
    link = np.where((link == _COOKED_BYTES) & (size - total == _COOKED_BYTES + 4), _COOKED_BYTES + 4, link)
    end = np.where(total > 0, link + total, size)
    header, payload = found["header_length"], found["payload_length"]
    network_length = np.where(version == 4, view.column("ip.hdr_len", ordinal).numbers(), _IPV6_BYTES)  # noqa: PLR2004 - an IP version
    direct = view.fact(lambda entry: entry.adjacent and entry.alone) == 1
    begin = np.where(direct, link + network_length + header, end - payload)
    held = np.clip(captured - begin, 0, np.maximum(payload, 0))
    whole = found["fragment"].astype(bool) | ((captured >= size) & (total <= 0))
    held = np.where(whole, np.maximum(payload, 0), held)
    return np.where(found["header_captured"] < header, 0, held)
