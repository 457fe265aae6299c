"""Rows of the tables a capture is read into, back to a script.

`to_tables.capture` makes the same rows of the script, as far as a table holds them: payload bytes, tunnels and
fragments are lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from analyzer import schema
from analyzer.notation.packets import peer
from analyzer.notation.values import EPOCH, MAX_OPTIONS, MIN_CUT, ChecksumWord, Connection, Host, Quote, Script, Segment, Side, connection
from analyzer.schema import ACK, SYN

if TYPE_CHECKING:
    import pandas as pd

Row = dict[str, Any]
"""A row of a table, by column name."""
End = tuple[str, int]
"""Address and port."""
RowEnds = tuple[End, End]
"""Both ends of a connection, the lower one first."""
_WORDS: Final[dict[int, ChecksumWord]] = {schema.CHECKSUM_BAD: "bad", schema.CHECKSUM_PARTIAL: "partial"}
_FIXED: Final = 20
"""TCP header bytes before the options."""


def script(segments: pd.DataFrame, *, option_bytes: bytes = b"", quotes: pd.DataFrame | None = None, client: End | None = None) -> Script:
    """Return rows of `schema.SEGMENTS`, and those of `schema.QUOTES` that quote the same ends, as a script.

    `option_bytes` are the capture's; without them every option is an end-of-options. `client` is the (address, port) to draw
    on the left; without it, of each pair of ends, who first sent a SYN without ACK, else who sent first. Payloads are zeros.
    """
    sent = _rows(segments)
    clients = _clients(sent, client)
    numbers = {ends: number for number, ends in enumerate(clients, 1)}
    firsts: dict[RowEnds, dict[End, Row]] = {}
    for row in sent:
        firsts.setdefault(_ends(row), {}).setdefault(_source(row), row)
    connections = tuple(_connection(ends, left, firsts[ends], numbers[ends]) for ends, left in clients.items())
    errors = [row for row in _rows(quotes) if _ends(row) in clients] if quotes is not None else []
    time, events = None, list[Segment | Quote]()
    for row in sorted(sent + errors, key=lambda row: row["frame"]):
        # A record without a time keeps its place: no time passes before it.
        now = row["time"] if row["time"] != schema.NO_TIME else time
        number, by = numbers[_ends(row)], "client" if clients[_ends(row)] == _source(row) else "server"
        place: Row = {"connection": number, "delay": now - time if now is not None and time is not None else 0}
        ends = connections[number - 1]
        if "type" in row:
            events.append(_quote(row, "server" if by == "client" else "client", ends, place))
        else:
            events.append(_segment(row, "client" if by == "client" else "server", ends, place, option_bytes))
        time = now
    return Script(tuple(events), connections or (connection(),), _origin(sent, errors))


def _rows(table: pd.DataFrame) -> list[Row]:
    """Return the rows with plain Python values."""
    names = list(table.columns)
    return [dict(zip(names, values, strict=True)) for values in zip(*(table[name].tolist() for name in names), strict=True)]


def _origin(*parts: list[Row]) -> int:
    """Return the time of the first record that has one."""
    timed = [(row["frame"], row["time"]) for rows in parts for row in rows if row["time"] != schema.NO_TIME]
    return min(timed)[1] if timed else EPOCH


def _source(row: Row) -> End:
    return row["src"], row["src_port"]


def _ends(row: Row) -> RowEnds:
    left, right = _source(row), (row["dst"], row["dst_port"])
    return (left, right) if left <= right else (right, left)


def _clients(rows: list[Row], client: End | None) -> dict[RowEnds, End]:
    """Return, for each pair of ends in order of appearance, which one is the client."""
    openers: dict[RowEnds, End] = {}
    senders: dict[RowEnds, End] = {}
    for row in rows:
        senders.setdefault(_ends(row), _source(row))
        if row["flags"] & (SYN | ACK) == SYN:
            openers.setdefault(_ends(row), _source(row))
    return {ends: client if client in ends else openers.get(ends, sender) for ends, sender in senders.items()}


def _connection(ends: RowEnds, client: End, firsts: dict[End, Row], number: int) -> Connection:
    """Return the ends, each with what its first segment carries, or else what its peer's first segment shows of it."""
    server = ends[1] if client == ends[0] else ends[0]
    usual = connection(number)
    return Connection(_host(client, firsts, usual.client), _host(server, firsts, usual.server))


def _host(end: End, firsts: dict[End, Row], usual: Host) -> Host:
    if row := firsts.get(end):
        return Host(*end, row["src_mac"] or usual.mac, row["ttl"] if row["ttl"] >= 0 else usual.ttl, _tags(row))
    row = next(iter(firsts.values()))
    return Host(*end, row["dst_mac"] or usual.mac, usual.ttl, _tags(row))


def _tags(row: Row) -> tuple[int, ...]:
    return tuple(int(tag) for tag in row["vlan"].split(".") if tag)


def _segment(row: Row, by: Side, ends: Connection, place: Row, option_bytes: bytes) -> Segment:
    source, target = ends.end(by), ends.end(peer(by))
    macs = (row["src_mac"] or source.mac, row["dst_mac"] or target.mac)
    return Segment(
        by=by,
        flags=row["flags"],
        seq=row["seq"],
        ack=row["ack"],
        window=max(0, row["window"]),
        urgent=max(0, row["urgent"]),
        ttl=None if row["ttl"] in {-1, source.ttl} else row["ttl"],
        ip_id=None if row["ip_id"] < 0 else row["ip_id"],
        ip_ecn=max(0, row["ip_ecn"]),
        vlan=None if _tags(row) == source.vlan else _tags(row),
        macs=None if macs == (source.mac, target.mac) else macs,
        interface=None if row["interface"] < 0 else row["interface"],
        checksum=_checksum(row),
        **place,
        **_extent(row, option_bytes),
    )


def _checksum(row: Row) -> ChecksumWord:
    """Return the word for a checksum; one that was not verified counts as right."""
    word = _WORDS.get(row["checksum_state"], "good")
    return "zero" if word == "bad" and row["checksum"] == 0 else word


def _extent(row: Row, option_bytes: bytes) -> Row:
    """Return options, length, data offset and cut: how long the segment was, and how much of it was captured."""
    stated, total = row["header_length"], _total(row)
    room = max(0, min(stated - _FIXED, MAX_OPTIONS, (total - _FIXED) // 4 * 4))
    start = row["option_start"]
    options = option_bytes[start : start + row["option_length"]]
    length = total - _FIXED - room
    # A header that claims more than there is has taken payload for options.
    payload = options[room:].ljust(length, b"\0") if any(options[room:]) else b""
    # Of a header too short to be true tshark decodes 8 bytes: how many more were captured shows in the payload or not at all.
    seen = total if row["header_captured"] < stated < _FIXED else row["header_captured"] + row["payload_captured"]
    return {
        "options": options[:room].ljust(room, b"\0"),
        "length": length,
        "payload": payload,
        "offset": None if stated < 0 or stated == _FIXED + room else stated // 4,
        "cut": None if seen >= total else max(MIN_CUT, seen),
    }


def _total(row: Row) -> int:
    """Return the bytes of TCP header and payload that were sent, as far as the row holds them."""
    stated, held = int(row["header_length"]), int(row["header_captured"])
    if stated < 0:
        return _FIXED
    if row["payload_length"] >= 0:
        return max(_FIXED, stated + int(row["payload_length"]))
    # The header claims to be longer than the segment; only of a segment captured whole is the sum known.
    return max(_FIXED, held if row["checksum_state"] != schema.CHECKSUM_UNVERIFIED else held + 1)


def _quote(row: Row, by: Side, ends: Connection, place: Row) -> Quote:
    host = ends.end(by)
    return Quote(
        by=by,
        type=row["type"],
        code=row["code"],
        seq=row["seq"],
        sender=None if row["sender"] == host.address else row["sender"],
        vlan=None if _tags(row) == host.vlan else _tags(row),
        **place,
    )
