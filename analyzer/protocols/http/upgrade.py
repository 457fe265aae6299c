"""Where another protocol takes over an HTTP connection: 101 (Switching Protocols) and tunnels of CONNECT.

Promises: what follows is read by `Setting.nested`, from behind the reply on; this module looks at its first bytes alone.
Must not know: facts, rows.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

from analyzer.protocols import tls

if TYPE_CHECKING:
    from analyzer.protocols.api import Dialogue, ParserContext
    from analyzer.protocols.http.model import HttpExchange
    from analyzer.reassembly.reader import Reader

_WEBSOCKET_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_PORT_DIGITS: Final = 5
_KNOWN: Final = {"websocket": "websocket", "h2c": "h2c", "tls": "tls"}


def follow(turn: HttpExchange, client: Reader, server: Reader, setting: ParserContext, dialogue: Dialogue) -> bool:
    """Read what follows a turn after which HTTP is over, into `dialogue`; return whether it is."""
    how = switch(turn)
    if not how:
        return False
    asked = upgrade(turn)
    encrypted = tls.begins(client.peek(tls.HEAD_BYTES))
    if encrypted:
        dialogue.tls, dialogue.tls_spot = how, client.spot()
    elif asked == "tls" and not client.ended and not client.gap:
        spot = client.spot()
        dialogue.facts["tls_missing"], dialogue.places["tls_missing"] = True, spot.frame if spot else None
    inner = setting.nested(client, server, _inside(turn, how, setting)) if setting.nested is not None else None
    dialogue.inner = inner if inner is not None and inner.facts else None
    turn.inner = inner.service if inner is not None else "tls" if encrypted else asked if asked in _KNOWN.values() else ""
    turn.inner_summary = inner.summary if inner is not None else ""
    dialogue.after = turn.inner or ("" if asked == "none" else asked)
    if inner is not None and inner.tls and not dialogue.tls:
        # From its first byte on, the tunnel was encrypted by what opened it.
        dialogue.tls, dialogue.tls_spot = how if inner.tls == "implicit" else inner.tls, inner.tls_spot
    return True


def _inside(turn: HttpExchange, how: str, setting: ParserContext) -> ParserContext:
    """Return what is known of what is inside: a tunnel's server is that of its target (RFC 9110 9.3.6), which sees the proxy as client."""
    if how != "connect" or turn.request is None:
        return setting
    host, _, port = turn.request.line.target.rpartition(":")
    number = int(port) if port.isascii() and port.isdigit() and len(port) <= _PORT_DIGITS else 0
    try:
        server = str(ip_address(host.strip("[]")))
    except ValueError:
        server = ""
    return replace(setting, client_ip="", client_port=0, server_ip=server, server_port=number)


def switch(turn: HttpExchange) -> str:
    """Return how HTTP ended with this turn: upgrade, connect, or "" when it did not."""
    if turn.reply is None:
        return ""
    if turn.reply.line.code == 101:  # noqa: PLR2004
        return "upgrade"
    return "connect" if turn.reply.body.framing == "tunnel" else ""


def may_have_switched(turn: HttpExchange | None) -> bool:
    """Return whether HTTP may be over since this turn, whose reply was not captured."""
    if turn is None or turn.request is None or turn.reply is not None or turn.replied is False:
        return False
    return turn.request.line.method == "CONNECT" or b"upgrade" in turn.request.head.fields


def upgrade(turn: HttpExchange) -> str:
    """Return the protocol switched to, as the enumeration `upgrade` of rules/protocols/http.toml has it; "none" without a switch."""
    if turn.reply is None or turn.reply.line.code != 101:  # noqa: PLR2004
        return "none"
    words = turn.reply.head.words(b"upgrade") or (turn.request.head.words(b"upgrade") if turn.request else [])
    return _KNOWN.get(words[0].partition("/")[0], "other") if words else "other"


def accept_wrong(turn: HttpExchange) -> bool | None:
    """Return whether the server's proof that it speaks WebSocket is wrong (RFC 6455 4.2.2); None when it cannot be told."""
    if turn.request is None or turn.reply is None:
        return None
    key, accept = turn.request.head.value(b"sec-websocket-key"), turn.reply.head.value(b"sec-websocket-accept")
    if key is None or upgrade(turn) != "websocket":
        return None
    proof = base64.b64encode(hashlib.sha1(key + _WEBSOCKET_GUID, usedforsecurity=False).digest())
    return accept != proof
