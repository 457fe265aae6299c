"""Follow an HTTP connection into another protocol: 101 (Switching Protocols) and CONNECT tunnels.

What follows is read by `ParserContext.nested`, from behind the response; only its first bytes are looked at here.
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


def follow(exchange: HttpExchange, client: Reader, server: Reader, context: ParserContext, dialogue: Dialogue) -> bool:
    """Read what follows an exchange that ends HTTP into `dialogue`; return whether it does."""
    how = switch(exchange)
    if not how:
        return False
    target = upgrade(exchange)
    encrypted = tls.begins(client.peek(tls.HEAD_BYTES))
    if encrypted:
        dialogue.tls, dialogue.tls_position = how, client.position()
    elif target == "tls" and not client.ended and not client.gap:
        position = client.position()
        dialogue.facts["tls_missing"], dialogue.evidence["tls_missing"] = True, position.frame if position else None
    inner = context.nested(client, server, _inside(exchange, how, context)) if context.nested is not None else None
    dialogue.inner = inner if inner is not None and inner.facts else None
    exchange.inner = inner.service if inner is not None else "tls" if encrypted else target if target in _KNOWN.values() else ""
    exchange.inner_summary = inner.summary if inner is not None else ""
    dialogue.after = exchange.inner or ("" if target == "none" else target)
    if inner is not None and inner.tls and not dialogue.tls:
        # TLS from the first byte of the tunnel on: the CONNECT or the upgrade opened it.
        dialogue.tls, dialogue.tls_position = how if inner.tls == "implicit" else inner.tls, inner.tls_position
    return True


def _inside(exchange: HttpExchange, how: str, context: ParserContext) -> ParserContext:
    """Return the context inside: the server of a tunnel is its target (RFC 9110 9.3.6), whose client is the proxy."""
    if how != "connect" or exchange.request is None:
        return context
    host, _, port = exchange.request.line.target.rpartition(":")
    number = int(port) if port.isascii() and port.isdigit() and len(port) <= _PORT_DIGITS else 0
    try:
        server = str(ip_address(host.strip("[]")))
    except ValueError:
        server = ""
    return replace(context, client_ip="", client_port=0, server_ip=server, server_port=number)


def switch(exchange: HttpExchange) -> str:
    """Return how HTTP ended with this exchange: upgrade, connect, or "" when it did not."""
    if exchange.response is None:
        return ""
    if exchange.response.line.code == 101:  # noqa: PLR2004
        return "upgrade"
    return "connect" if exchange.response.body.framing == "tunnel" else ""


def may_have_switched(exchange: HttpExchange | None) -> bool:
    """Return whether HTTP may have ended with this exchange, whose response was not captured."""
    if exchange is None or exchange.request is None or exchange.response is not None or exchange.responded is False:
        return False
    return exchange.request.line.method == "CONNECT" or b"upgrade" in exchange.request.head.fields


def upgrade(exchange: HttpExchange) -> str:
    """Return the protocol switched to, as the enumeration `upgrade` of rules/protocols/http.toml has it; "none" without a switch."""
    if exchange.response is None or exchange.response.line.code != 101:  # noqa: PLR2004
        return "none"
    words = exchange.response.head.words(b"upgrade") or (exchange.request.head.words(b"upgrade") if exchange.request else [])
    return _KNOWN.get(words[0].partition("/")[0], "other") if words else "other"


def accept_wrong(exchange: HttpExchange) -> bool | None:
    """Return whether Sec-WebSocket-Accept does not match the key (RFC 6455 4.2.2); None when that is unknown."""
    if exchange.request is None or exchange.response is None:
        return None
    key, accept = exchange.request.head.value(b"sec-websocket-key"), exchange.response.head.value(b"sec-websocket-accept")
    if key is None or upgrade(exchange) != "websocket":
        return None
    proof = base64.b64encode(hashlib.sha1(key + _WEBSOCKET_GUID, usedforsecurity=False).digest())
    return accept != proof
