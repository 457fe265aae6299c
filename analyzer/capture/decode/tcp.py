"""Frames ─► TCP headers and what ICMP errors quote of them, as whole arrays.

A row for exactly the frames tshark would give one, with what it would give; frames that are not fully understood
are named and have none. A field is read as far as the frame was captured.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from analyzer import schema
from analyzer.capture.decode import checksum, encapsulations, icmp, ip, last_protocol, link
from analyzer.capture.decode.dictionary import encode_addresses, encode_pairs
from analyzer.capture.decode.ip import HeaderSpans, IpPackets
from analyzer.capture.decode.last_protocol import Endings
from analyzer.capture.formats.window import gather_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from analyzer._typing import Array, BoolArray, Int64Array
    from analyzer.capture.decode.dictionary import CodeTable, Dictionaries
    from analyzer.capture.decode.link import LinkPayload
    from analyzer.capture.formats.model import Frames, Interface


HEADER: Final = np.dtype(
    [
        ("src_port", ">u2"), ("dst_port", ">u2"), ("seq", ">u4"), ("ack", ">u4"), ("flags", ">u2"),
        ("window", ">u2"), ("checksum", ">u2"), ("urgent", ">u2"),
    ]
)  # fmt: skip
"""RFC 9293 3.1."""
_PORTS_BYTES, _DECODED_BYTES, _CHECKSUM_BYTES, _HEADER_BYTES = 4, 16, 18, 20
"""How much of a header tshark wants to see to decode ports, all up to the window, the checksum, the rest."""
_TUNNELLED: Final = 0xFF
"""The second byte of a GTP message that holds a packet."""
_NATIVE_PROTOCOLS: Final = (ip.NONE, ip.TCP, ip.UDP, ip.ICMP, ip.ICMP6, *ip.WITHOUT_TCP)
"""The protocols of packets that need not be left to tshark for being of that protocol."""
_PROTOCOLS: Final = 258
"""All protocol numbers, and the two negative ones."""
_PORTS: Final = 1 << 16
_UDP_BYTES: Final = 8
_PROTOCOL4_AT, _NEXT6_AT = 9, 6
_PEEKREMOTE: Final = 0x00FFABCD
_TRANSPORT_STREAM: Final = 0x47
_STREAM_BYTES: Final = 188


@dataclass(slots=True)
class Decoded:
    """What some frames hold."""

    segments: dict[str, Array]
    """Columns of the segments table but `capture`, text columns as codes, `option_start` within `options`, `payload_start` within the
    frames' data."""
    quotes: list[dict[str, Array]]
    """Columns of the quotes table, likewise, in parts."""
    options: bytes
    delegated: Int64Array
    """Which of the frames are left to tshark, rising."""
    endings: Endings
    """What the others that hold no segment ended in."""


@dataclass(slots=True)
class Network:
    """What the IP headers of n frames say."""

    families: list[tuple[Int64Array, IpPackets]]
    """The frames that have an IPv4 header and those, then the same for IPv6."""
    protocol: Int64Array
    """Shapes (n,) from here; UNREAD where tshark decodes the frame, NONE where there is nothing."""
    at: Int64Array
    length: Int64Array
    ttl: Array
    id: Array
    ecn: Array


def decode(frames: Frames, interfaces: Sequence[Interface], known: Dictionaries) -> Decoded:
    """Return what `frames` hold; texts are put into `known`."""
    carried = link.read(frames, interfaces)
    network = _read_networks(frames, interfaces, carried)
    ends = frames.start + frames.captured
    delegated = ~_marks(_NATIVE_PROTOCOLS, _PROTOCOLS)[network.protocol]
    datagrams = np.flatnonzero(network.protocol == ip.UDP)
    delegated[datagrams[may_carry_tunnel(frames.data, network.at[datagrams], ends[datagrams])]] = True
    rows = np.flatnonzero(network.protocol == ip.TCP)
    if len(rows) == len(frames):
        rows = np.arange(len(frames))
    sound, header = _judge_headers(frames, network, rows)
    delegated[rows[~sound]] = True
    if not sound.all():
        rows, header = rows[sound], header[sound]
    columns = _read_columns(frames, network, rows, header)
    src, dst, sums_ = _encode_ends(network, rows, known.address)
    columns |= {"src": src, "dst": dst}
    columns |= _encode_links(carried, interfaces, frames, rows, known)
    columns["checksum_state"] = _verify(frames, network, rows, columns, sums_)
    options = _collect_options(frames.data, network.at[rows] + _HEADER_BYTES, columns)
    quoted = _read_quotes(frames, network, carried, known, delegated)
    held = delegated.copy()
    held[rows] = True
    for part in quoted:
        held[part["frame"] - np.uint32(frames.first)] = True
    return Decoded(columns, quoted, options, np.flatnonzero(delegated), _find_endings(frames, network, carried, np.flatnonzero(~held)))


def _find_endings(frames: Frames, network: Network, carried: LinkPayload, rows: Int64Array) -> Endings:
    """Return what the frames `rows`, which hold no segment, ended in."""
    found = Endings()
    if not len(rows):
        return found
    empty = frames.interface[rows] < 0
    found.count([(last_protocol.NO_PACKET, int(empty.sum()))], hidden=True)
    rows = rows[~empty]
    protocol = network.protocol[rows]
    linked = protocol == ip.NONE
    found.count(last_protocol.tally(carried.ended[rows[linked]], _show_link))
    datagrams = rows[protocol == ip.UDP]
    ports = gather_rows(frames.data, np.minimum(network.at[datagrams], len(frames.data) - 4), 4).view(">u2").reshape(-1, 2).astype(np.int64)
    there = network.at[datagrams] + _PORTS_BYTES <= frames.start[datagrams] + frames.captured[datagrams]
    found.count(last_protocol.tally(np.where(there, last_protocol.services(ports[:, 0], ports[:, 1]), -1), last_protocol.show_port))
    for number, name in ((ip.ICMP, "icmp"), (ip.ICMP6, "icmpv6")):
        found.count([(name, int((protocol == number).sum()))])
    others = rows[~linked & ~np.isin(protocol, (ip.UDP, ip.ICMP, ip.ICMP6))]
    # What the first header states, as tshark shows it: behind options there may be another protocol.
    stated = frames.data[carried.at[others] + np.where(carried.kind[others] == link.IPV6, _NEXT6_AT, _PROTOCOL4_AT)]
    found.count(last_protocol.tally(stated, last_protocol.show_protocol))
    return found


def _show_link(ended: int) -> str:
    """Return the name of what a frame without an IP packet holds."""
    return last_protocol.PPP if ended == link.ENDED_PPP else last_protocol.show_type(ended)


def _read_networks(frames: Frames, interfaces: Sequence[Interface], carried: LinkPayload) -> Network:
    """Return what the IP headers of `frames` say."""
    fcs = frames.look_up(interfaces, "fcs", 0) > 0
    spans = HeaderSpans(carried.at, frames.start + frames.captured, frames.start + frames.length, fcs)
    families: list[tuple[Int64Array, IpPackets]] = []
    for kind, read in ((link.IPV4, ip.read4), (link.IPV6, ip.read6)):
        rows = np.flatnonzero(carried.kind == kind)
        families.append((rows, read(frames.data, spans if len(rows) == len(frames) else spans.take(rows))))
    for rows, packets in families:
        if len(rows) == len(frames):
            return Network(families, packets.protocol, packets.at, packets.length, packets.ttl, packets.id, packets.ecn)
    count = len(frames)
    network = Network(
        families=families,
        protocol=np.where(carried.kind == link.DELEGATE, ip.UNDECODED, ip.NONE),
        at=np.zeros(count, dtype=np.int64),
        length=np.zeros(count, dtype=np.int64),
        ttl=np.zeros(count, dtype=np.int16),
        id=np.zeros(count, dtype=np.int32),
        ecn=np.zeros(count, dtype=np.int8),
    )
    for rows, packets in families:
        for name in ("protocol", "at", "length", "ttl", "id", "ecn"):
            getattr(network, name)[rows] = getattr(packets, name)
    return network


@functools.cache
def _marks(chosen: tuple[int, ...], size: int) -> BoolArray:
    """Return an array of `size` that is true at the numbers `chosen`, negative ones counted from its end."""
    marks = np.zeros(size, dtype=bool)
    marks[list(chosen)] = True
    return marks


def may_carry_tunnel(data: Array, at: Int64Array, end: Int64Array) -> BoolArray:
    """Return which of the UDP datagrams at `at` might, by port or by first bytes, hold what tshark finds a TCP segment in."""
    words = gather_rows(data, np.minimum(at, len(data) - 12), 12).view(">u4").reshape(len(at), 3)
    there = at + _UDP_BYTES <= end
    tunnel = _marks(encapsulations.load().udp_tunnels, _PORTS)
    hides: BoolArray = there & (tunnel[words[:, 0] >> 16] | tunnel[words[:, 0] & 0xFFFF])
    # Wireless frames and transport streams are known by what they begin with.
    hides |= there & ((words[:, 2] == _PEEKREMOTE) | ((words[:, 2] >> 24 == _TRANSPORT_STREAM) & (end - at >= _STREAM_BYTES)))
    return hides


def _judge_headers(frames: Frames, network: Network, rows: Int64Array) -> tuple[BoolArray, Array]:
    """Return which of the TCP headers of `rows` are understood, and all of them."""
    at, length = network.at[rows], network.length[rows]
    header = gather_rows(frames.data, np.minimum(at, len(frames.data) - _HEADER_BYTES), _HEADER_BYTES).view(HEADER)
    there = frames.start[rows] + frames.captured[rows] - at
    size = (header["flags"] >> 12).astype(np.int64) * 4
    room = np.minimum(length, frames.start[rows] + frames.length[rows] - at)
    decoded = there >= _DECODED_BYTES
    sound: BoolArray = (there >= _PORTS_BYTES) & (length >= _HEADER_BYTES) & (~decoded | ((size >= _HEADER_BYTES) & (size <= room)))
    loaded = room > size
    tunnel = _marks(encapsulations.load().tcp_tunnels, _PORTS)
    gtp = np.flatnonzero(sound & loaded & (tunnel[header["src_port"]] | tunnel[header["dst_port"]]))
    second = np.minimum(at[gtp] + size[gtp] + 1, len(frames.data) - 1)
    sound[gtp[frames.data[second] == _TUNNELLED]] = False
    return sound, header


def _read_columns(frames: Frames, network: Network, rows: Int64Array, header: Array) -> dict[str, Array]:
    """Return the number columns of the segments of `rows`, each field only as far as the frame was captured."""
    at, length = network.at[rows], network.length[rows]
    there = np.minimum(frames.start[rows] + frames.captured[rows] - at, length)
    size = (header["flags"] >> 12).astype(np.int64) * 4
    decoded = there >= _DECODED_BYTES
    options = np.clip(there - _HEADER_BYTES, 0, size - _HEADER_BYTES)
    if whole := bool((there >= size).all() and decoded.all()):
        captured = size
    else:
        captured = np.where(there >= _HEADER_BYTES, _HEADER_BYTES + options, np.where(decoded, there & ~1, _PORTS_BYTES))
        options = np.where(decoded, options, 0)
    payload = length - size
    held = np.where(decoded, np.clip(there - size, 0, payload), 0)

    def if_captured(value: Array, bytes_: int, absent: int = -1) -> Array:
        return value if whole else np.where(there >= bytes_, value, absent)

    return {
        "frame": (frames.first + rows).astype(np.uint32),
        "time": frames.time[rows],
        "src_port": header["src_port"].astype(np.uint16),
        "dst_port": header["dst_port"].astype(np.uint16),
        "ttl": network.ttl[rows],
        "ip_id": network.id[rows],
        "ip_ecn": network.ecn[rows],
        "fragment": np.zeros(len(rows), dtype=bool),
        "seq": if_captured(header["seq"], _DECODED_BYTES, 0).astype(np.uint32),
        "ack": if_captured(header["ack"], _DECODED_BYTES, 0).astype(np.uint32),
        "flags": if_captured(header["flags"] & 0xFFF, _DECODED_BYTES, 0).astype(np.uint16),
        "window": if_captured(header["window"].astype(np.int32), _DECODED_BYTES).astype(np.int32),
        "urgent": if_captured(header["urgent"].astype(np.int32), _HEADER_BYTES).astype(np.int32),
        "header_length": if_captured(size, _DECODED_BYTES).astype(np.int16),
        "header_captured": captured.astype(np.int16),
        "checksum": if_captured(header["checksum"].astype(np.int32), _CHECKSUM_BYTES).astype(np.int32),
        "payload_length": if_captured(payload, _DECODED_BYTES).astype(np.int32),
        "payload_captured": held.astype(np.int32),
        "payload_start": np.where((held > 0) & (header["flags"] & schema.RST == 0), at + size, -1),
        "option_length": options.astype(np.int16),
    }


def _encode_ends(network: Network, rows: Int64Array, names: CodeTable) -> tuple[Array, Array, Int64Array]:
    """Return the codes of both addresses of `rows`, and the sums of the two."""
    src, dst = np.zeros(len(rows), dtype=np.int32), np.zeros(len(rows), dtype=np.int32)
    summed = np.zeros(len(rows), dtype=np.int64)
    for of, packets in network.families:
        place = np.full(len(network.protocol), -1, dtype=np.int64)
        place[of] = np.arange(len(of))
        here = np.flatnonzero(place[rows] >= 0)
        if len(here):
            there = place[rows[here]]
            ends = packets.src[there], packets.dst[there]
            src[here], dst[here] = encode_addresses(names, *ends)
            summed[here] = checksum.sum_addresses(*ends)
    return src, dst, summed


def _encode_links(
    carried: LinkPayload, interfaces: Sequence[Interface], frames: Frames, rows: Int64Array, known: Dictionaries
) -> dict[str, Array]:
    """Return the columns taken from the link headers and the record."""
    src, dst = encode_pairs(known.mac, carried.src_mac[rows], carried.dst_mac[rows])
    return {
        "src_mac": src.astype(np.int32),
        "dst_mac": dst.astype(np.int32),
        "vlan": _encode_vlans(carried, rows, known.vlan),
        "tunnel": known.tunnel.encode_array(carried.session[rows]).astype(np.int32),
        "interface": frames.look_up(interfaces, "number", -1)[rows].astype(np.int32),
    }


def _encode_vlans(carried: LinkPayload, rows: Int64Array, names: CodeTable) -> Array:
    """Return the codes of the stacks of VLAN ids of `rows`."""
    codes = names.encode_array(carried.vlan[rows]).astype(np.int32)
    if carried.deep:
        for place in np.flatnonzero(np.isin(rows, list(carried.deep))).tolist():
            codes[place] = names.encode([carried.deep[int(rows[place])]])[0]
    return codes


def _verify(frames: Frames, network: Network, rows: Int64Array, columns: dict[str, Array], addresses: Int64Array) -> Array:
    """Return the state of each checksum: verified where the segment is there to its last byte."""
    state = np.full(len(rows), schema.CHECKSUM_UNVERIFIED, dtype=np.int8)
    at, length = network.at[rows], network.length[rows]
    whole = at + length <= np.minimum(frames.start[rows] + frames.captured[rows], frames.start[rows] + frames.length[rows])
    if whole.all():
        return checksum.judge(frames.data, at, length, addresses, columns["checksum"])
    state[whole] = checksum.judge(frames.data, at[whole], length[whole], addresses[whole], columns["checksum"][whole])
    return state


def _collect_options(data: Array, at: Int64Array, columns: dict[str, Array]) -> bytes:
    """Return the option bytes of all segments, those of one length together, and say in `columns` where each one's are."""
    length = columns["option_length"]
    start = np.zeros(len(at), dtype=np.int64)
    collected = bytearray()
    for size in np.flatnonzero(np.bincount(length, minlength=1)).tolist():
        if size:
            rows = np.flatnonzero(length == size)
            start[rows] = len(collected) + np.arange(len(rows)) * size
            collected += gather_rows(data, at[rows], size).tobytes()
    columns["option_start"] = start
    return bytes(collected)


def _read_quotes(
    frames: Frames, network: Network, carried: LinkPayload, known: Dictionaries, delegated: BoolArray
) -> list[dict[str, Array]]:
    """Return the quotes in ICMP errors, and mark in `delegated` the errors that are left to tshark."""
    parts: list[dict[str, Array]] = []
    for version, protocol, (of, packets) in zip((4, 6), (ip.ICMP, ip.ICMP6), network.families, strict=True):
        strange = ip.ICMP6 if protocol == ip.ICMP else ip.ICMP
        delegated[of[packets.protocol == strange]] = True
        errors = np.flatnonzero(packets.protocol == protocol)
        if not len(errors):
            continue
        found, unsure = icmp.read(frames.data, version, packets, errors, (frames.start + frames.captured)[of])
        delegated[of[unsure]] = True
        if not len(found.rows):
            continue
        rows = of[found.rows]
        src, dst = encode_addresses(known.address, found.src, found.dst)
        sender, _ = encode_addresses(known.address, packets.src[found.rows], packets.src[found.rows])
        parts.append(
            {
                "frame": (frames.first + rows).astype(np.uint32),
                "time": frames.time[rows],
                "version": np.full(len(rows), version, dtype=np.int8),
                "type": found.type,
                "code": found.code,
                "sender": sender.astype(np.int32),
                "src": src.astype(np.int32),
                "dst": dst.astype(np.int32),
                "src_port": found.src_port,
                "dst_port": found.dst_port,
                "vlan": _encode_vlans(carried, rows, known.vlan),
                "seq": found.seq,
            }
        )
    return parts
