"""ICMP errors ─► the TCP headers they quote, whole arrays at a time.

RFC 792, RFC 1191, RFC 4443: an error of a known type that quotes a plain packet with eight bytes at least of its TCP
header is read, one that quotes no TCP is passed over, all others are left to tshark.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from analyzer.capture.decode import ip, link
from analyzer.capture.formats.window import gather_rows

if TYPE_CHECKING:
    from analyzer._typing import Array, Int64Array
    from analyzer.capture.decode.ip import IpPackets


_ERRORS4: Final = (3, 4, 11, 12)
_OTHERS4: Final = (0, 8, 9, 10, 13, 14, 15, 16, 17, 18)
_ERRORS6: Final = (1, 2, 3, 4)
_OTHERS6: Final = (128, 129, 130, 131, 132, 133, 134, 135, 136, 143)
_EXTENDED: Final = {4: (5, (3, 11, 12)), 6: (4, (1, 3))}
"""Where the length that announces extensions stands, and the types that have it (RFC 4884 4)."""
_ERROR_BYTES: Final = 8
_HEADER: Final = np.dtype([("src_port", ">u2"), ("dst_port", ">u2"), ("seq", ">u4")])


@dataclass(frozen=True, slots=True)
class Quotes:
    """The quotes of one IP version, shapes (n,)."""

    rows: Int64Array
    """The packet that holds each."""
    type: Array
    code: Array
    src: Array
    dst: Array
    src_port: Array
    dst_port: Array
    seq: Array


def read(data: Array, version: int, packets: IpPackets, rows: Int64Array, ends: Int64Array) -> tuple[Quotes, Int64Array]:
    """Return the quotes in the ICMP packets `rows` of `packets`, whose frames end at `ends`, and which of `rows` are left to tshark."""
    at, length = packets.at[rows], packets.length[rows]
    head = gather_rows(data, np.minimum(at, len(data) - _ERROR_BYTES), _ERROR_BYTES).view(np.uint8).reshape(len(rows), _ERROR_BYTES)
    errors, others = (_ERRORS4, _OTHERS4) if version == link.IPV4 else (_ERRORS6, _OTHERS6)
    place, types = _EXTENDED[version]
    end = np.minimum(ends[rows], at + length)
    whole = at + _ERROR_BYTES <= end
    passed = whole & np.isin(head[:, 0], others)
    error = whole & np.isin(head[:, 0], errors) & ~(np.isin(head[:, 0], types) & (head[:, place] != 0))
    begin = np.flatnonzero(error)
    spans = ip.HeaderSpans(at[begin] + _ERROR_BYTES, end[begin], end[begin], np.ones(len(begin), dtype=bool))
    inner = ip.read4(data, spans) if version == link.IPV4 else ip.read6(data, spans)
    passed[begin] = np.isin(inner.protocol, (ip.ICMP, ip.ICMP6, *ip.WITHOUT_TCP))
    tcp = (inner.protocol == ip.TCP) & (inner.length >= _HEADER.itemsize) & (inner.at + _HEADER.itemsize <= spans.captured)
    passed[begin[tcp]] = True
    header = gather_rows(data, inner.at[tcp], _HEADER.itemsize).view(_HEADER)
    found = Quotes(
        rows=rows[begin[tcp]],
        type=head[begin[tcp], 0].astype(np.int16),
        code=head[begin[tcp], 1].astype(np.int16),
        src=inner.src[tcp],
        dst=inner.dst[tcp],
        src_port=header["src_port"].astype(np.uint16),
        dst_port=header["dst_port"].astype(np.uint16),
        seq=header["seq"].astype(np.uint32),
    )
    return found, rows[~passed]
