"""Parse HTTP/1.x (RFC 9110, RFC 9112) and HTTP/0.9: match requests to responses.

Requests are read one by one, each with its responses up to a final one: a server answers in the order of requests (RFC 9112 9.3.2).
Where the order is lost, it is found again:

* a response captured before the next request was sent answers no captured request;
* behind missing bytes of the server, a response that came only after a further request of a client that waits for responses answers that
  request, and the response to the one before is lost; a client that does not wait is assumed to have lost one response;
* behind a gap, the next line that can only be a request line or a status line begins a message.

Never raises, ends on any bytes, reads each byte a bounded number of times and content of known length not at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from analyzer.protocols import timing
from analyzer.protocols.http import exchanges, messages, resync, secrets, vocabulary
from analyzer.protocols.http.fast_path import FastPath
from analyzer.protocols.http.model import HttpExchange
from analyzer.protocols.http.summary import ExchangeLog, add_texts
from analyzer.protocols.http.upgrade import follow, may_have_switched
from analyzer.protocols.redacted import prepare, redact_dialogue

if TYPE_CHECKING:
    from analyzer.protocols.api import Dialogue, ParserContext
    from analyzer.protocols.http.model import Request, Response
    from analyzer.protocols.redactor import Redactor
    from analyzer.reassembly.reader import Position, Reader

__all__ = ["FastPath", "read"]

CAPTURE_JITTER_NS: Final = 1_000_000
"""By how much a capture may misorder the two directions: a smaller difference does not prove which came first."""
MIN_WAIT_NS: Final = 1_000_000_000
"""A request that is younger than this when the capture ends may still be answered (the least retransmission timeout, RFC 6298 2.4)."""
LINE_READ_BYTES: Final = 8_192
_LINE_ENDS: Final = frozenset({b"\r", b"\n"})
MAX_INTERIM: Final = 100
"""Interim responses kept per request."""


def read(client: Reader, server: Reader, context: ParserContext) -> Dialogue:
    """Return the dialogue from where the readers are; `context.nested` reads tunnels and what follows an upgrade."""
    context, redactor = prepare(context)
    state = _Parser(client, server, context, redactor)
    while state.advance():
        pass
    found = state.report.finish()
    redact_dialogue(found, redactor)
    add_texts(found)
    return found


class _Parser:
    """The state of parsing both directions."""

    def __init__(self, client: Reader, server: Reader, context: ParserContext, redactor: Redactor) -> None:
        self.client, self.server, self.context = client, server, context
        self.redactor = redactor
        self.vocabulary = vocabulary.of(context.protocol)
        self.report = ExchangeLog(client, server, context, redactor)
        self.client_sure = self.server_sure = context.whole
        """Whether the next byte certainly begins a message."""
        self.client_lost = self.server_lost = not context.whole
        """Whether messages may be missing."""
        self.skipped = False
        """Whether responses may be missing between the last one read and the next."""
        self.garbled = False
        """Whether the client sent bytes that are no request, which the server may have answered."""
        self.pipelining = False
        self.previous: HttpExchange | None = None

    def advance(self) -> bool:
        """Read one request with its responses, or one response without a request; return whether there may be more."""
        before = self.client.at, self.server.at
        exchange = HttpExchange(self.report.count + 1)
        request_position = self._to_request(exchange)
        over = False
        if self._read_unrequested(exchange, request_position):
            over = self._finish_exchange(exchange)
        elif request_position is not None and self._read_request(exchange):
            self._read_responses(exchange)
            over = self._finish_exchange(exchange)
        return not over and (self.client.at, self.server.at) != before

    def _to_request(self, exchange: HttpExchange) -> Position | None:
        """Move to the next request and return its position; None when there is none."""
        client = self.client
        if self.client_sure:
            data = client.peek(LINE_READ_BYTES)
            if data[:1] in _LINE_ENDS and (start := client.at) < start + resync.skip_empty_lines(client):
                exchange.request_empty = start
                data = client.peek(LINE_READ_BYTES)
            if data and resync.begins_request(data, self.vocabulary):
                return client.position()
        if client.ended:
            return None
        start = client.at
        known = self.client_sure and not client.gap
        if known and may_have_switched(self.previous):
            client.skip(client.left)
            return None
        self.client_sure = resync.find(client, resync.REQUEST)
        secrets.add_skipped(client, start, client.at, self.redactor)
        if known:
            self.report.add_excess(client, start)
            self.garbled = True
        self.client_lost = self.client_lost or not known or client.missing(start, client.at) > 0
        return client.position()

    def _to_response(self, exchange: HttpExchange) -> Position | None:
        """Move to the next response of any form and return its position; None when there is none."""
        server = self.server
        if self.server_sure:
            data = server.peek(messages.FIRST_READ_BYTES)
            if data[:1] in _LINE_ENDS and (start := server.at) < start + resync.skip_empty_lines(server):
                exchange.response_empty = start
                data = server.peek(messages.FIRST_READ_BYTES)
            if data and (messages.begins_response(data) or self._may_be_simple(exchange)):
                return server.position()
        if server.ended:
            return None
        start = server.at
        known = self.server_sure and not server.gap
        self.server_sure = resync.find(server, resync.RESPONSE)
        secrets.add_skipped(server, start, server.at, self.redactor)
        if known:
            self.report.add_excess(server, start)
        self.skipped = not known or server.missing(start, server.at) > 0
        self.server_lost = self.server_lost or self.skipped
        return server.position()

    def _may_be_simple(self, exchange: HttpExchange) -> bool:
        """Return whether bytes without a status line can be an HTTP/0.9 response: the server's first bytes, after a request."""
        return self.previous is None and exchange.request is not None and not exchange.interim

    def _read_unrequested(self, exchange: HttpExchange, request_position: Position | None) -> bool:
        """Read the responses captured before the next request; return whether there were any."""
        if not _before(self.server.position(), request_position):
            return False
        while _before(self._to_response(exchange), request_position):
            response = self._read_response(exchange)
            if response is None:
                break
            exchange.unrequested = None if self.client_lost or self.garbled or self.context.one_sided else True
            exchange.responded = exchange.response is not None
            if exchange.response is not None:
                self.garbled = False
                break
        return bool(exchange.interim) or exchange.response is not None

    def _read_request(self, exchange: HttpExchange) -> bool:
        """Read the request that begins here; return whether there is one."""
        request = exchanges.read_request(self.client, self.redactor)
        if request is None:
            return False
        exchange.request = request
        secrets.add_request(request, self.redactor)
        if not request.head.whole:
            secrets.add_skipped(self.client, request.head.start, request.head.stop, self.redactor)
        if exchange.request_empty is not None:
            request.head.faults["leading_empty"] = exchange.request_empty
        if not (
            request.body.framing in {"length", "chunked"}
            and "100-continue" in request.head.words(b"expect")
            and self._withholds_content(request)
        ):
            exchanges.finish_request(request, self.client, self.redactor)
        self.client_sure = request.head.whole and not request.body.lost
        exchange.compare(self.previous, self.vocabulary)
        following = self.client.position()
        # With two requests in one segment, the second did not wait for a response.
        self.pipelining = self.pipelining or bool(exchange.pipelined) or (following is not None and following.frame == request.last.frame)
        return True

    def _withholds_content(self, request: Request) -> bool:
        """Set how long the client waited for 100 (Continue) (RFC 9110 10.1.1); return whether it never sent the content."""
        client, response_position = self.client, self.server.position()
        if client.ended or (
            response_position is not None
            and resync.REQUEST.match(client.peek(LINE_READ_BYTES))
            and not self.server.peek(12).endswith(b" 100")
        ):
            request.withheld, request.body.stop = True, client.at
            return True
        content = client.position()
        if content is not None and not client.gap and not _before(response_position, content):
            request.waited = timing.elapsed(request.head.last, content)
        return False

    def _read_responses(self, exchange: HttpExchange) -> None:
        """Read the responses to a request, up to a final one."""
        while exchange.response is None and (position := self._to_response(exchange)) is not None:
            if self.skipped and self._is_for_later_request(position):
                exchange.lost = True
                break
            self.skipped = False
            if self._read_response(exchange) is None:
                break
        exchange.responded = True if exchange.response is not None else self._lacks_response(exchange)

    def _is_for_later_request(self, position: Position) -> bool:
        """Return whether the response behind a gap, at `position`, answers a later request than the open one."""
        following = self.client.position()
        later = following is not None and following.frame < position.frame
        if later and self.pipelining:
            # The number of responses in the gap is unknown: at least one.
            self.skipped = False
        return later

    def _lacks_response(self, exchange: HttpExchange) -> bool | None:
        """Return False when certainly no final response came, else None."""
        if exchange.lost or self.server_lost or self.context.one_sided or exchange.request is None:
            return None
        age = None
        if self.context.end_time and not self.client.closing and not self.server.closing:
            age = self.context.end_time - exchange.request.last.time
        return None if age is not None and 0 <= age < MIN_WAIT_NS else False

    def _read_response(self, exchange: HttpExchange) -> Response | None:
        """Read one response, add it to the exchange and return it; None without one."""
        server = self.server
        if messages.begins_response(server.peek(messages.FIRST_READ_BYTES)):
            response = exchanges.read_response(server, exchange.request)
        else:
            response = exchanges.read_simple_response(server)
        if response is None:
            return None
        secrets.add_response(response, self.redactor)
        if exchange.response_empty is not None:
            response.head.faults["leading_empty"], exchange.response_empty = exchange.response_empty, None
        exchange.unframed = exchanges.finish_response(response, server, self.client.position())
        self.server_sure = response.head.whole and not response.body.lost
        self.skipped = not self.server_sure
        self.server_lost = self.server_lost or self.skipped
        if response.line.code is not None and 100 <= response.line.code < 200 and response.line.code != 101:  # noqa: PLR2004
            if len(exchange.interim) < MAX_INTERIM:
                exchange.interim.append(response)
        else:
            exchange.response = response
        return response

    def _finish_exchange(self, exchange: HttpExchange) -> bool:
        """Add the exchange to the log; return whether another protocol follows."""
        over = follow(exchange, self.client, self.server, self.context, self.report.dialogue)
        self.report.add(exchange)
        if exchange.request is not None and exchange.response is not None and not self.pipelining:
            # Requests and responses match again: what is missing from here on was not sent.
            self.client_lost, self.server_lost = not self.client_sure, not self.server_sure
        self.previous = exchange
        return over


def _before(one: Position | None, other: Position | None) -> bool:
    """Return whether `one` was certainly captured before `other`; what was not captured counts as last."""
    if one is None or other is None:
        return one is not None
    apart = timing.elapsed(one, other)
    return one.frame < other.frame and (apart is None or apart >= CAPTURE_JITTER_NS)
