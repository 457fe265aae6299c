"""Script to text, in its one canonical form.

`parse(show(x)) == x` for every script; ASCII only, no control character but the line ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from analyzer.notation.options import show as show_options
from analyzer.notation.values import EPOCH, LETTERED, STEP, Host, Quote, Script, Segment, Side, connection
from analyzer.schema import ACK, FLAG_LETTERS

if TYPE_CHECKING:
    from collections.abc import Iterator

_MILLI_DIGITS: Final = 3
_SIDES: Final[tuple[Side, Side]] = ("client", "server")
_ESCAPES: Final = {
    byte: chr(byte) if 32 <= byte < 127 else f"\\x{byte:02x}"  # noqa: PLR2004 - printable ASCII
    for byte in range(256)
} | {ord("\r"): "\\r", ord("\n"): "\\n", ord("\t"): "\\t", ord("\\"): "\\\\", ord('"'): '\\"'}


def show(script: Script) -> str:
    """Return the script as text: headers that differ from the defaults, then a line an event."""
    lines = list(_headers(script))
    step = 0
    for event in script.events:
        lines.append(line(event, step=step))
        step = STEP
    return "".join(f"{text}\n" for text in lines)


def line(event: Segment | Quote, *, step: int | None = None) -> str:
    """Return one event as text.

    With `step` (ns) the time since the event before leads the line unless it is that much; without, the time is left out.
    """
    parts = [_seconds(event.delay, sign=True)] if step is not None and event.delay != step else []
    parts.append(f"{event.connection if event.connection > 1 else ''}{'>' if event.by == 'client' else '<'}")
    parts += _segment(event) if isinstance(event, Segment) else _quote(event)
    return " ".join(parts)


def flag_letters(flags: int) -> str:
    """Return twelve flag bits in the notation's letters; in hexadecimal if reserved bits are set."""
    if flags > LETTERED:
        return f"0x{flags:03x}"
    letters = (letter for bit, letter in enumerate(FLAG_LETTERS.replace("A", ".")) if flags >> bit & 1)
    return "".join(letters) or "none"


def _headers(script: Script) -> Iterator[str]:
    if script.start != EPOCH:
        yield f"start {_seconds(script.start)}"
    used = max((event.connection for event in script.events), default=1)
    count = len(script.connections)
    for number, pair in enumerate(script.connections, 1):
        for side in _SIDES:
            host, usual = pair.end(side), connection(number).end(side)
            # The last connection is printed even if it is the default one: without a line it would not exist.
            if host != usual or (number == count > used and side == "client"):
                yield _host(side, number, host, usual)


def _host(side: Side, number: int, host: Host, usual: Host) -> str:
    address = f"[{host.address}]" if ":" in host.address else host.address
    parts: list[str] = [side, str(number)] if number > 1 else [side]
    parts.append(f"{address}:{host.port}")
    parts += [f"mac {host.mac}"] * (host.mac != usual.mac)
    parts += [f"ttl {host.ttl}"] * (host.ttl != usual.ttl)
    parts += [f"vlan {_tags(host.vlan)}"] * bool(host.vlan)
    return " ".join(parts)


def _segment(segment: Segment) -> Iterator[str]:
    yield flag_letters(segment.flags)
    yield f"{segment.seq}:{(segment.seq + segment.length) % 2**32}({segment.length})"
    if segment.ack or segment.flags & ACK:
        yield f"ack {segment.ack}"
    yield f"win {segment.window}"
    if segment.options:
        yield f"<{show_options(segment.options)}>"
    if segment.payload:
        yield '"' + "".join(_ESCAPES[byte] for byte in segment.payload) + '"'
    if segment.urgent:
        yield f"urg {segment.urgent}"
    if segment.ip_id is not None:
        yield f"id {segment.ip_id}"
    if segment.ip_ecn:
        yield f"ecn {segment.ip_ecn}"
    if segment.macs is not None:
        yield f"mac {segment.macs[0]}>{segment.macs[1]}"
    if segment.offset is not None:
        yield f"offset {segment.offset}"
    yield from _carriage(segment)
    if segment.checksum != "good":
        yield f"{segment.checksum}-checksum"


def _quote(quote: Quote) -> Iterator[str]:
    yield f"icmp {quote.type}/{quote.code} quote {quote.seq}"
    if quote.sender is not None:
        yield f"from {quote.sender}"
    yield from _carriage(quote)


def _carriage(event: Segment | Quote) -> Iterator[str]:
    if event.ttl is not None:
        yield f"ttl {event.ttl}"
    if event.vlan is not None:
        yield f"vlan {_tags(event.vlan)}"
    if event.interface is not None:
        yield f"iface {event.interface}"
    if event.cut is not None:
        yield f"cut {event.cut}"
    if isinstance(event, Segment) and event.fragment is not None:
        yield f"frag {event.fragment}"


def _tags(vlan: tuple[int, ...]) -> str:
    return ".".join(str(tag) for tag in vlan) or "-"


def _seconds(time: int, *, sign: bool = False) -> str:
    whole, fraction = divmod(abs(time), 10**9)
    digits = f"{fraction:09d}".rstrip("0").ljust(_MILLI_DIGITS, "0")
    mark = "-" if time < 0 else "+" if sign else ""
    return f"{mark}{whole}.{digits}"
