"""Text to script; `GRAMMAR` describes how a script is written.

One value per text; every refusal names line and column in one sentence; a relative number never outlives this module.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from analyzer.notation.options import encode
from analyzer.notation.scanner import Number, ScriptLine, integer, macs, seconds, sequence, string, tags
from analyzer.notation.values import (
    EPOCH,
    MAX_TEXT,
    STEP,
    Connection,
    Host,
    NotationError,
    Quote,
    Script,
    Segment,
    Side,
    check_fit,
    connection,
    limit,
)
from analyzer.schema import ACK, FLAG_LETTERS, SYN

if TYPE_CHECKING:
    from collections.abc import Callable

_ARROW = re.compile(r"([0-9]{1,6})?([<>])")
_HEADER = re.compile(r"(client|server|start)(?=[ \t]|$)")
_HOST = re.compile(r"(?:([0-9]{1,6})[ \t]+)?(?:\[([0-9a-fA-F:.]+)\]|([0-9.]+)):([0-9]{1,6})(?=[ \t]|$)")
_MAC = re.compile(r"[0-9a-f:]+")
_ADDRESS = re.compile(r"[0-9a-fA-F.:]+")
_ICMP = re.compile(r"icmp(?=[ \t])")
_SLASH, _COLON, _OPEN, _CLOSE = (re.compile(re.escape(mark)) for mark in "/:()")
_QUOTE = re.compile(r"quote(?=[ \t]|$)")
_FLAGS = re.compile(r"none(?=[ \t])|0x[0-9a-fA-F]{1,3}(?=[ \t])|[A-Z.]+(?=[ \t]|$)")
_OPTIONS = re.compile(r"<([^>]*)>")
_WORD = re.compile(r"[a-z-]+(?=[ \t]|$)")
_ALIASES: Final = {".": "A", "C": "W"}

GRAMMAR: Final = """\
One line a segment, in the order of the capture:

    # a comment, here or at the end of any line
    client 192.0.2.1:40000                              headers, all optional and before any segment: the endpoints and what
    server 198.51.100.1:80 ttl 57 mac 02:00:00:00:00:02 their packets carry (ttl N, mac M, vlan 10.20), the time it starts;
    start 1700000000.000000000                          `client 2 ...`, `server 2 ...` for further connections; [::1]:80 is IPv6
    > S 100:100(0) win 64240 <mss 1460,sackOK,TS val 1 ecr 0,nop,wscale 7>
    +0.020 < S. 300:300(0) ack 101 win 65535 <mss 1460> +SECONDS since the line before (- goes back), else a millisecond
    > . +1:+1(0) ack +1                                 with a sign: counted from the ISN, the seq of that side's first SYN
    > P. 101:105(4) ack 301 "EHLO" ttl 63 id 7          without a text, the (n) bytes are zeros
    2> S 7:7(0)                                         a segment of connection 2
    > S 9:9(0) <mss 1460> frag 16                       in two IP fragments, the first with 16 bytes of the segment
    < icmp 3/1 quote 100 from 203.0.113.9               an ICMP error to the client, quoting its segment with seq 100

> is sent by the client, < by the server. Flags are letters of FSRP.UEWN (. is ACK, N is AE), `none`, or 0x and up to three digits.
FIRST:END(LENGTH) are the sequence numbers; `ack` is needed with the ACK flag. In any order may follow: win N, <options>, "text" (with
\\r \\n \\t \\\\ \\" \\xHH), urg N, ttl N, id N, ecn N, vlan IDS, mac SOURCE>TARGET, iface N (a pcapng interface), offset N (the data offset
field), cut N (bytes captured of the TCP header and payload), frag N, bad-checksum, partial-checksum,
zero-checksum. Options: mss N, wscale N, sackOK, sack A-B ..., TS val N ecr N, nop, eol, tfo [HEX], md5 HEX, opt KIND [HEX],
opt-bytes HEX. An ICMP error may have: from ADDRESS, ttl N, vlan IDS, iface N, cut N. Lengths and checksums are computed.
"""
"""How a script is written, for its authors."""

_HOST_WORDS: Final[dict[str, tuple[str, Callable[[ScriptLine], Any]]]] = {
    "ttl": ("ttl", lambda line: integer(line, "ttl")),
    "vlan": ("vlan", tags),
    "mac": ("mac", lambda line: line.need(_MAC, "a MAC address").group()),
}
_QUOTE_WORDS: Final[dict[str, tuple[str, Callable[[ScriptLine], Any]]]] = {
    "from": ("sender", lambda line: line.need(_ADDRESS, "an address").group()),
    "ttl": ("ttl", lambda line: integer(line, "ttl")),
    "vlan": ("vlan", tags),
    "iface": ("interface", lambda line: integer(line, "interface")),
    "cut": ("cut", lambda line: integer(line, "cut")),
}
_SEGMENT_WORDS: Final[dict[str, tuple[str, Callable[[ScriptLine], Any]]]] = {
    "ack": ("ack", sequence),
    "win": ("window", lambda line: integer(line, "window")),
    "ttl": ("ttl", lambda line: integer(line, "ttl")),
    "id": ("ip_id", lambda line: integer(line, "ip_id")),
    "ecn": ("ip_ecn", lambda line: integer(line, "ip_ecn")),
    "urg": ("urgent", lambda line: integer(line, "urgent")),
    "vlan": ("vlan", tags),
    "mac": ("macs", macs),
    "iface": ("interface", lambda line: integer(line, "interface")),
    "offset": ("offset", lambda line: integer(line, "offset")),
    "cut": ("cut", lambda line: integer(line, "cut")),
    "frag": ("fragment", lambda line: integer(line, "fragment")),
    "bad-checksum": ("checksum", lambda _line: "bad"),
    "partial-checksum": ("checksum", lambda _line: "partial"),
    "zero-checksum": ("checksum", lambda _line: "zero"),
}


@dataclass(frozen=True, slots=True)
class _Draft:
    """An event whose relative numbers are not resolved yet."""

    line: ScriptLine
    fields: dict[str, Any]
    end: Number | None = None

    @property
    def origin(self) -> tuple[int, Side]:
        return self.fields["connection"], self.fields["by"]


def parse(text: str, *, where: str = "") -> Script:
    """Return the script that `text` spells; see `GRAMMAR`.

    Raises `NotationError` with `where` (a file name, say), line, column and one sentence.
    """
    if len(text) > MAX_TEXT:
        message = f"a script of {len(text)} characters is longer than {MAX_TEXT}"
        raise NotationError(message, where=where)
    start, hosts, drafts = EPOCH, dict[tuple[int, Side], Host](), list[_Draft]()
    for number, content in enumerate(text.split("\n"), 1):
        line = ScriptLine(content.rstrip(" \t\r"), number, where)
        line.skip()
        if line.ended:
            continue
        if header := line.take(_HEADER):
            if drafts:
                message = "headers come before the first segment"
                raise line.error(message, 0)
            if header[1] == "start":
                start = _start(line)
            else:
                _read_host(line, "client" if header[1] == "client" else "server", hosts)
        else:
            drafts.append(_draft(line, first=not drafts))
    return _join(drafts, hosts, start, where)


def _start(line: ScriptLine) -> int:
    time = seconds(line, signed=False)
    if time is None or not line.ended:
        message = "seconds since 1970 must follow, to the nanosecond at most"
        raise line.error(message)
    return time


def _read_host(line: ScriptLine, side: Side, hosts: dict[tuple[int, Side], Host]) -> None:
    found = line.need(_HOST, "an endpoint, as 192.0.2.1:40000 or [2001:db8::1]:40000,")
    number = int(found[1] or 1)
    fields = _words(line, _HOST_WORDS, {"address": found[2] or found[3], "port": int(found[4])})
    if (number, side) in hosts:
        message = f"the {side} of connection {number} is already given"
        raise line.error(message, 0)
    try:
        fields.setdefault("mac", connection(number).end(side).mac)
        hosts[number, side] = Host(**fields)
    except NotationError as error:
        raise line.error(error.sentence, found.start()) from None


def _draft(line: ScriptLine, *, first: bool) -> _Draft:
    delay = seconds(line, signed=True)
    number, arrow = line.need(_ARROW, "> or < (or a header, before the first segment)").groups()
    fields: dict[str, Any] = {
        "by": "client" if arrow == ">" else "server",
        "connection": int(number or 1),
        "delay": delay if delay is not None else 0 if first else STEP,
    }
    return _draft_quote(line, fields) if line.take(_ICMP) else _draft_segment(line, fields)


def _draft_quote(line: ScriptLine, fields: dict[str, Any]) -> _Draft:
    fields["type"] = integer(line, "type")
    line.need(_SLASH, "/ and the ICMP code")
    fields["code"] = integer(line, "code")
    line.need(_QUOTE, "quote and a sequence number")
    fields["seq"] = sequence(line)
    return _Draft(line, _words(line, _QUOTE_WORDS, fields))


def _draft_segment(line: ScriptLine, fields: dict[str, Any]) -> _Draft:
    fields["flags"] = _flags(line)
    fields["seq"] = sequence(line)
    line.need(_COLON, "a colon and the end of the sequence range")
    end = sequence(line)
    line.need(_OPEN, "the length in brackets, as (0),")
    fields["length"] = integer(line, "length")
    line.need(_CLOSE, ")")
    _words(line, _SEGMENT_WORDS, fields)
    if fields["flags"] & ACK and "ack" not in fields:
        message = "a segment with the ACK flag needs ack and a number"
        raise line.error(message)
    return _Draft(line, fields, end)


def _flags(line: ScriptLine) -> int:
    start = line.at
    text = line.need(_FLAGS, "flags (letters of FSRP.UEWN, none, or 0x and up to three digits)").group()
    if text == "none":
        return 0
    if text.startswith("0x"):
        return int(text, 16)
    flags = 0
    for index, letter in enumerate(text):
        place = FLAG_LETTERS.find(_ALIASES.get(letter, letter))
        if place < 0 or flags & 1 << place:
            message = f"{letter} is no flag of FSRP.UEWN" if place < 0 else f"flag {letter} stands twice"
            raise line.error(message, start + index)
        flags |= 1 << place
    return flags


def _words(line: ScriptLine, known: dict[str, tuple[str, Callable[[ScriptLine], Any]]], fields: dict[str, Any]) -> dict[str, Any]:
    """Take options, text and keywords in any order until the line ends; each may stand once."""
    segment = known is _SEGMENT_WORDS
    while not line.ended:
        start = line.at
        if segment and line.text[start] == "<":
            name, value = "options", _options(line)
        elif segment and line.text[start] == '"':
            name, value = "payload", _payload(line, fields["length"])
        else:
            word = line.need(_WORD, "one of " + ", ".join(known)).group()
            if word not in known:
                message = f"{word[:40]!r} is not one of {', '.join(known)}"
                raise line.error(message, start)
            name, read = known[word]
            value = read(line)
        if name in fields:
            message = f"{name.replace('_', ' ')} is given twice"
            raise line.error(message, start)
        fields[name] = value
    return fields


def _payload(line: ScriptLine, length: int) -> bytes:
    start = line.at
    payload = string(line)
    if len(payload) != length:
        message = f"the text has {len(payload)} bytes, not {length}"
        raise line.error(message, start)
    return payload


def _options(line: ScriptLine) -> bytes:
    start = line.at
    text = line.need(_OPTIONS, "options up to a closing >")[1]
    try:
        return encode(text)
    except NotationError as error:
        raise line.error(error.sentence, start) from None


def _join(drafts: list[_Draft], hosts: dict[tuple[int, Side], Host], start: int, where: str) -> Script:
    """Resolve the drafts and give every connection its ends."""
    isns: dict[tuple[int, Side], Number] = {}
    for draft in drafts:
        if draft.end is not None and draft.fields["flags"] & SYN:
            isns.setdefault(draft.origin, draft.fields["seq"])
    events = tuple(_resolve(draft, isns) for draft in drafts)
    try:
        last = max((1, *(event.connection for event in events), *(number for number, _side in hosts)))
        limit("connection", last)
        ends = [(number, connection(number)) for number in range(1, last + 1)]
        connections = tuple(
            Connection(hosts.get((number, "client"), pair.client), hosts.get((number, "server"), pair.server)) for number, pair in ends
        )
        for draft, event in zip(drafts, events, strict=True):
            _fit(draft.line, event, connections)
        return Script(events, connections, start)
    except NotationError as error:
        raise NotationError(error.sentence, where=where, line=error.line, column=error.column) from None


def _fit(line: ScriptLine, event: Segment | Quote, connections: tuple[Connection, ...]) -> None:
    try:
        check_fit(event, connections)
    except NotationError as error:
        raise line.error(error.sentence, 0) from None


def _resolve(draft: _Draft, isns: dict[tuple[int, Side], Number]) -> Segment | Quote:
    """Return the event with every number absolute."""
    line, fields = draft.line, dict(draft.fields)
    number, by = draft.origin
    peer: Side = "server" if by == "client" else "client"
    own = by if draft.end is not None else peer
    fields["seq"] = _absolute(fields["seq"], isns.get((number, own)), own, line)
    if "ack" in fields:
        fields["ack"] = _absolute(fields["ack"], isns.get((number, peer)), peer, line)
    if draft.end is not None:
        end = _absolute(draft.end, isns.get((number, own)), own, line)
        if end != (fields["seq"] + fields["length"]) % 2**32:
            message = f"{fields['seq']} and {fields['length']} bytes end at {(fields['seq'] + fields['length']) % 2**32}, not {end}"
            raise line.error(message, draft.end.column - 1)
    try:
        return Quote(**fields) if draft.end is None else Segment(**fields)
    except NotationError as error:
        raise line.error(error.sentence, 0) from None


def _absolute(number: Number, isn: Number | None, side: Side, line: ScriptLine) -> int:
    if not number.relative:
        return number.value
    if isn is None or isn.relative:
        reason = "no SYN gives the" if isn is None else "a signed number cannot itself be the"
        message = f"{reason} ISN of the {side} that {number.value:+d} is relative to"
        raise line.error(message, number.column - 1)
    return (isn.value + number.value) % 2**32
