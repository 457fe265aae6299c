"""HTTP/1.x (RFC 9110, RFC 9112) and what is left of HTTP/0.9: requests matched to replies.

Requests are taken one by one, and with each the replies up to a final one: a server answers in the order it was asked (RFC 9112 9.3.2).
Where the order cannot be followed any more, it is found again:

* a reply captured before the next request was sent answers none that was captured;
* behind bytes of the server that were not captured, a reply that came only after a further request of a client that waits for its
  replies answers that one, and the reply to the one before is lost; a client that does not wait is taken to have lost one reply;
* behind a gap, the next line that can only be a request line or a status line begins a message.

Promises: never raises, ends on any bytes, and looks at each byte at most a few times, at those of known content not at all.
Must not know: rules, reports.
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

_JITTER_NS: Final = 1_000_000
"""How far apart the two directions may be in a capture's order: less is no proof of which came first."""
_PATIENCE_NS: Final = 1_000_000_000
"""A request that is younger than this when the capture ends may still be answered (the least retransmission timeout, RFC 6298 2.4)."""
_LINE_LOOK: Final = 8_192
_LINE_ENDS: Final = frozenset({b"\r", b"\n"})
_MOST_INTERIM: Final = 100
"""Interim replies that are kept of one request."""


def read(client: Reader, server: Reader, setting: ParserContext) -> Dialogue:
    """Return what was said from where the readers stand; a tunnel and what follows an upgrade are left to `setting.nested`."""
    setting, redactor = prepare(setting)
    talk = _Parser(client, server, setting, redactor)
    while talk.advance():
        pass
    found = talk.report.finish()
    redact_dialogue(found, redactor)
    add_texts(found)
    return found


class _Parser:
    """Where both directions stand."""

    def __init__(self, client: Reader, server: Reader, setting: ParserContext, redactor: Redactor) -> None:
        self.client, self.server, self.setting = client, server, setting
        self.redactor = redactor
        self.vocabulary = vocabulary.of(setting.protocol)
        self.report = ExchangeLog(client, server, setting, redactor)
        self.client_sure = self.server_sure = setting.whole
        """Whether the next byte begins a message for certain."""
        self.client_lost = self.server_lost = not setting.whole
        """Whether messages may have been missed."""
        self.skipped = False
        """Whether replies may be missing between the last one read and the next."""
        self.garbled = False
        """Whether the client sent what was no request, and the server may have answered nevertheless."""
        self.pipelining = False
        self.previous: HttpExchange | None = None

    def advance(self) -> bool:
        """Read one request with its replies, or one reply that nobody asked for; return whether there may be more."""
        before = self.client.at, self.server.at
        turn = HttpExchange(self.report.count + 1)
        asked = self._to_request(turn)
        over = False
        if self._take_unasked(turn, asked):
            over = self._keep(turn)
        elif asked is not None and self._ask(turn):
            self._answer(turn)
            over = self._keep(turn)
        return not over and (self.client.at, self.server.at) != before

    def _to_request(self, turn: HttpExchange) -> Position | None:
        """Move to the next request and return where it was captured; None when there is none."""
        client = self.client
        if self.client_sure:
            data = client.peek(_LINE_LOOK)
            if data[:1] in _LINE_ENDS and (start := client.at) < start + resync.pass_empty_lines(client):
                turn.request_empty = start
                data = client.peek(_LINE_LOOK)
            if data and resync.begins_request(data, self.vocabulary):
                return client.spot()
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
        return client.spot()

    def _to_reply(self, turn: HttpExchange) -> Position | None:
        """Move to the next reply, of whatever form, and return where it was captured; None when there is none."""
        server = self.server
        if self.server_sure:
            data = server.peek(messages.FIRST_LOOK)
            if data[:1] in _LINE_ENDS and (start := server.at) < start + resync.pass_empty_lines(server):
                turn.reply_empty = start
                data = server.peek(messages.FIRST_LOOK)
            if data and (messages.begins_reply(data) or self._may_be_simple(turn)):
                return server.spot()
        if server.ended:
            return None
        start = server.at
        known = self.server_sure and not server.gap
        self.server_sure = resync.find(server, resync.REPLY)
        secrets.add_skipped(server, start, server.at, self.redactor)
        if known:
            self.report.add_excess(server, start)
        self.skipped = not known or server.missing(start, server.at) > 0
        self.server_lost = self.server_lost or self.skipped
        return server.spot()

    def _may_be_simple(self, turn: HttpExchange) -> bool:
        """Return whether bytes that begin no reply can be one of HTTP/0.9: the first that the server sends, to a request."""
        return self.previous is None and turn.request is not None and not turn.interim

    def _take_unasked(self, turn: HttpExchange, asked: Position | None) -> bool:
        """Read a reply that was captured before the next request, if there is one."""
        if not _before(self.server.spot(), asked):
            return False
        while _before(self._to_reply(turn), asked):
            reply = self._read_reply(turn)
            if reply is None:
                break
            turn.unasked = None if self.client_lost or self.garbled or self.setting.one_sided else True
            turn.replied = turn.reply is not None
            if turn.reply is not None:
                self.garbled = False
                break
        return bool(turn.interim) or turn.reply is not None

    def _ask(self, turn: HttpExchange) -> bool:
        """Read the request that begins here."""
        request = exchanges.read_request(self.client, self.redactor)
        if request is None:
            return False
        turn.request = request
        secrets.add_request(request, self.redactor)
        if not request.head.whole:
            secrets.add_skipped(self.client, request.head.start, request.head.stop, self.redactor)
        if turn.request_empty is not None:
            request.head.faults["leading_empty"] = turn.request_empty
        if not (
            request.body.framing in {"length", "chunked"} and "100-continue" in request.head.words(b"expect") and self._expect(request)
        ):
            exchanges.finish_request(request, self.client, self.redactor)
        self.client_sure = request.head.whole and not request.body.lost
        turn.compare(self.previous, self.vocabulary)
        following = self.client.spot()
        # Two requests in one segment, and the second cannot have waited for anything.
        self.pipelining = self.pipelining or bool(turn.pipelined) or (following is not None and following.frame == request.last.frame)
        return True

    def _expect(self, request: Request) -> bool:
        """See whether the client waited for 100 (Continue) (RFC 9110 10.1.1); return whether it never sent the content."""
        client, answered = self.client, self.server.spot()
        if client.ended or (
            answered is not None and resync.REQUEST.match(client.peek(_LINE_LOOK)) and not self.server.peek(12).endswith(b" 100")
        ):
            request.withheld, request.body.stop = True, client.at
            return True
        content = client.spot()
        if content is not None and not client.gap and not _before(answered, content):
            request.waited = timing.elapsed(request.head.last, content)
        return False

    def _answer(self, turn: HttpExchange) -> None:
        """Read the replies to a request, up to a final one."""
        while turn.reply is None and (spot := self._to_reply(turn)) is not None:
            if self.skipped and self._answers_later(spot):
                turn.lost = True
                break
            self.skipped = False
            if self._read_reply(turn) is None:
                break
        turn.replied = True if turn.reply is not None else self._unanswered(turn)

    def _answers_later(self, spot: Position) -> bool:
        """Return whether the reply behind a gap, at `spot`, answers a later request than the one that is open."""
        following = self.client.spot()
        later = following is not None and following.frame < spot.frame
        if later and self.pipelining:
            # Nothing tells how many replies the gap held: one at least.
            self.skipped = False
        return later

    def _unanswered(self, turn: HttpExchange) -> bool | None:
        """Return False when it is certain that no final reply came, else None."""
        if turn.lost or self.server_lost or self.setting.one_sided or turn.request is None:
            return None
        age = None
        if self.setting.end_time and not self.client.closing and not self.server.closing:
            age = self.setting.end_time - turn.request.last.time
        return None if age is not None and 0 <= age < _PATIENCE_NS else False

    def _read_reply(self, turn: HttpExchange) -> Response | None:
        """Read one reply into the turn."""
        server = self.server
        if messages.begins_reply(server.peek(messages.FIRST_LOOK)):
            reply = exchanges.read_response(server, turn.request)
        else:
            reply = exchanges.read_simple_response(server)
        if reply is None:
            return None
        secrets.add_reply(reply, self.redactor)
        if turn.reply_empty is not None:
            reply.head.faults["leading_empty"], turn.reply_empty = turn.reply_empty, None
        turn.unframed = exchanges.finish_response(reply, server, self.client.spot())
        self.server_sure = reply.head.whole and not reply.body.lost
        self.skipped = not self.server_sure
        self.server_lost = self.server_lost or self.skipped
        if reply.line.code is not None and 100 <= reply.line.code < 200 and reply.line.code != 101:  # noqa: PLR2004
            if len(turn.interim) < _MOST_INTERIM:
                turn.interim.append(reply)
        else:
            turn.reply = reply
        return reply

    def _keep(self, turn: HttpExchange) -> bool:
        """Report the turn; return whether another protocol follows."""
        over = follow(turn, self.client, self.server, self.setting, self.report.dialogue)
        self.report.add(turn)
        if turn.request is not None and turn.reply is not None and not self.pipelining:
            # In step again: what is missing from here on was not sent.
            self.client_lost, self.server_lost = not self.client_sure, not self.server_sure
        self.previous = turn
        return over


def _before(one: Position | None, other: Position | None) -> bool:
    """Return whether `one` was captured before `other`, beyond doubt; what was not captured comes last."""
    if one is None or other is None:
        return one is not None
    apart = timing.elapsed(one, other)
    return one.frame < other.frame and (apart is None or apart >= _JITTER_NS)
