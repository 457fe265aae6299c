"""Script to the tables a capture is read into.

`capture(x)` equals what reading `build(x)` gives; pandas is imported only when a table is made.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from analyzer import schema
from analyzer.notation.packets import numbers, peer, tcp_header
from analyzer.notation.values import MAX_OPTIONS, Quote
from analyzer.schema import QUOTES, RST, SEGMENTS, Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pandas as pd

    from analyzer.model import Capture
    from analyzer.notation.values import Connection, Script, Segment

Row = dict[str, Any]
"""A row of a table, by column name."""
ZEROS: Final = 1 << 62
"""Address of the payloads that are not spelled out."""
_CHECKSUM_STATES: Final = {
    "good": schema.CHECKSUM_GOOD,
    "bad": schema.CHECKSUM_BAD,
    "partial": schema.CHECKSUM_PARTIAL,
    "zero": schema.CHECKSUM_BAD,
}
_FIXED: Final = struct.Struct("!HHIIBBHHH")
_ENDS: Final = {"src_port": 2, "dst_port": 4, "seq": 8, "ack": 12, "offset": 8, "flags": 14, "window": 16, "checksum": 18, "urgent": 20}
"""How many decoded bytes show each field of the fixed header; `seq` is decoded after the data offset."""
_PORTS, _SEQUENCE, _WINDOW, _CHECKSUM = 4, 8, 16, 18
"""Where tshark stops in a header that is cut short, or that claims to be shorter than a header can be."""
_UNSIGNED: Final = {"seq", "ack", "flags"}
"""Columns that have no value for "not there"."""


@dataclass(frozen=True, slots=True)
class Spelled:
    """The payloads a script spells out, end to end; those it does not spell are zeros, from `ZEROS` on."""

    data: bytes

    def read(self, address: int, length: int) -> bytes:
        """Return the `length` bytes at `address`."""
        return bytes(length) if address >= ZEROS else self.data[address : address + length]

    def close(self) -> None:
        """Do nothing: the bytes are in memory."""


def capture(script: Script, *, path: str = "script") -> Capture:
    """Return the script as if a file of it had been read: frames 1 to N, `capture` 0, every column of both tables.

    A segment that is cut short, or whose data offset cannot be true, has what tshark decodes of it: 0 for a `seq`, `ack` or
    `flags` beyond that, -1 for the rest.
    """
    from analyzer.model import Capture

    rows, quotes, runs, payload_run = list[Row](), list[Row](), list[bytes](), bytearray()
    times = script.times()
    paged = any(event.interface is not None for event in script.events)
    start = 0
    own = numbers(script)
    for event, time, frame in zip(script.events, times, own, strict=True):
        pair = script.connections[event.connection - 1]
        vlan = pair.end(event.by).vlan if event.vlan is None else event.vlan
        common = {"capture": 0, "frame": frame, "time": time, "vlan": ".".join(map(str, vlan))}
        if isinstance(event, Quote):
            quotes.append(common | _quote_row(event, pair))
            continue
        row, options, payload = _segment_row(event, pair, frame)
        row["payload_start"] = -1 if row["payload_captured"] <= 0 or row["flags"] & RST else len(payload_run) if payload else ZEROS
        payload_run += payload
        rows.append(common | row | {"interface": (event.interface or 0) if paged else -1, "option_start": start})
        runs.append(options)
        start += len(options)
    addresses = _addresses(rows, quotes)
    return Capture(
        path=path,
        segments=_table(rows, SEGMENTS, addresses),
        quotes=_table(quotes, QUOTES, addresses),
        option_bytes=b"".join(runs),
        packets=own[-1] if own else 0,
        complete=True,
        engines={"notation": own[-1] if own else 0},
        start_time=times[0] if times else None,
        end_time=max(times, default=None),
        payloads=Spelled(bytes(payload_run)),
    )


def _segment_row(segment: Segment, pair: Connection, frame: int) -> tuple[Row, bytes, bytes]:
    """Return what the captured bytes of one segment hold, its captured option bytes, and its captured payload if the script spells one."""
    source, target = pair.end(segment.by), pair.end(peer(segment.by))
    header = tcp_header(segment, pair)
    total = len(header) + segment.length
    captured = total if segment.cut is None else min(total, segment.cut)
    decoded = _decoded(captured, total, header[12] // 16 * 4)
    fields = _fixed(header, decoded)
    offset = fields.pop("offset")
    stated = offset * 4 if offset >= 0 else -1
    extent = min(decoded, stated) if offset >= 0 else decoded
    payload = total - stated if 0 <= stated <= total else -1
    options = (header + (segment.payload or bytes(min(segment.length, MAX_OPTIONS))))[_FIXED.size : extent]
    macs = segment.macs or (source.mac, target.mac)
    row = fields | {
        "src": source.address,
        "dst": target.address,
        "src_mac": macs[0],
        "dst_mac": macs[1],
        "tunnel": "",
        "ttl": source.ttl if segment.ttl is None else segment.ttl,
        "ip_id": -1 if pair.ipv6 else frame % 2**16 if segment.ip_id is None else segment.ip_id,
        "ip_ecn": segment.ip_ecn,
        "fragment": segment.fragment is not None,
        "header_length": stated,
        "header_captured": extent,
        "checksum_state": _checksum_state(segment, pair) if stated >= _FIXED.size and captured == total else schema.CHECKSUM_UNVERIFIED,
        "payload_length": payload,
        "payload_captured": captured - stated if payload >= 0 and extent == stated else 0,
        "option_length": len(options),
    }
    payload_run = (header + segment.payload)[max(stated, 0) :][: row["payload_captured"]] if segment.payload else b""
    return row, options, payload_run


def _checksum_state(segment: Segment, pair: Connection) -> int:
    """Return what verifying the checksum of a segment captured whole gives; a sum that is 0 by right is right."""
    if segment.checksum == "zero" and tcp_header(replace(segment, checksum="good"), pair)[_CHECKSUM - 2 : _CHECKSUM] == bytes(2):
        return schema.CHECKSUM_GOOD
    return _CHECKSUM_STATES[segment.checksum]


def _decoded(captured: int, total: int, stated: int) -> int:
    """Return how many header bytes tshark decodes, of `captured` bytes of a segment of `total` bytes."""
    if captured < _WINDOW:
        return _PORTS
    if stated < _FIXED.size:
        return _SEQUENCE
    if captured < _FIXED.size:
        return _CHECKSUM if captured >= _CHECKSUM else _WINDOW
    return min(stated, total, captured)


def _fixed(header: bytes, decoded: int) -> Row:
    """Return the fixed header's fields as far as `decoded` bytes show them."""
    fields = dict(zip(_ENDS, _FIXED.unpack_from(header), strict=True))
    fields["flags"] |= (fields["offset"] & 0xF) << 8
    fields["offset"] >>= 4
    return {name: value if decoded >= _ENDS[name] else 0 if name in _UNSIGNED else -1 for name, value in fields.items()}


def _quote_row(quote: Quote, pair: Connection) -> Row:
    source, target = pair.end(peer(quote.by)), pair.end(quote.by)
    return {
        "version": 6 if pair.ipv6 else 4,
        "type": quote.type,
        "code": quote.code,
        "sender": quote.sender or target.address,
        "src": source.address,
        "dst": target.address,
        "src_port": source.port,
        "dst_port": target.port,
        "seq": quote.seq,
    }


def _addresses(*parts: Iterable[Row]) -> list[str]:
    """Return every end's address once, in order of appearance: the categories both tables share."""
    return list(dict.fromkeys(row[name] for rows in parts for row in rows for name in ("src", "dst")))


def _table(rows: Sequence[Row], table: Table, addresses: list[str]) -> pd.DataFrame:
    import pandas as pd

    columns = {}
    for column in table.columns:
        values = [row[column.name] for row in rows]
        if column.name in {"src", "dst"}:
            columns[column.name] = pd.Series(pd.Categorical(values, categories=addresses))
        elif column.dtype == "category":
            columns[column.name] = pd.Series(pd.Categorical(values, categories=list(dict.fromkeys(values))))
        else:
            columns[column.name] = pd.Series(values, dtype=column.dtype)
    return schema.check(pd.DataFrame(columns), table)
