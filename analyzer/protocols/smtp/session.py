"""The state of an SMTP session: both streams, the facts so far, and the matching of replies to requests.

A reply answers the oldest command that waits. Three things disturb that: a reply captured before the command began (unsolicited, or its
request was not captured), a gap in the client's stream, and a gap in the server's. Then the order of frames decides, which is the
client's own: it sends the next command after the reply unless it pipelines. A reply is not assigned where its request is in doubt.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

from analyzer.protocols import tls
from analyzer.protocols.smtp import messages as messages_
from analyzer.protocols.smtp.login import Login, add_torn_line, add_unknown_line
from analyzer.protocols.smtp.messages import Message
from analyzer.protocols.smtp.replies import LineEnds, Replies, SmtpReply
from analyzer.protocols.smtp.state import ExchangeLog, State, precedes
from analyzer.protocols.smtp.vocabulary import SmtpVocabulary, vocabulary_of

if TYPE_CHECKING:
    from analyzer.protocols.api import Cell, Exchange, Fact, ParserContext
    from analyzer.protocols.redactor import Redactor
    from analyzer.protocols.smtp.commands import SmtpCommand
    from analyzer.protocols.smtp.content import Content
    from analyzer.reassembly.reader import Line, Position, Reader

MAX_ROWS: Final = 10_000
CLOSING: Final = 421
START_INPUT: Final = 354
MIN_REPLIES_BYTES: Final = len(b"250\r\n" * 3 + b"354\r\n")
"""Bytes of the replies from the end of one message's content to that of the next one's DATA, at least."""
MAX_LISTED_BYTES: Final = 16_777_216
"""Bytes that the addresses of a dialogue's recipients take, about; more are counted and not listed."""
_ADDRESS_OVERHEAD: Final = 64
"""Bytes that an address takes besides its text."""
MAX_AHEAD: Final = 4
"""Replies examined to decide whether one was unsolicited."""
MAX_REPLY_DELAY_NS: Final = 5 * 10**9
"""ns after which a reply that was not captured counts as missing though the connection is still open when the capture ends."""


@dataclass(slots=True)
class SmtpSession:
    """The state between the greeting and the end of the streams."""

    client: Reader
    server: Reader
    context: ParserContext
    replies: Replies
    ends: LineEnds
    redactor: Redactor
    vocabulary: SmtpVocabulary
    state: State
    log: ExchangeLog
    rows: list[dict[str, Cell]] = field(default_factory=list)
    messages: int = 0
    delivered: int = 0
    recipients: int = 0
    refused: int = 0
    listed: int = 0
    """Bytes that the recipients' addresses take."""
    unlisted: int = 0
    """Recipients that are counted only."""
    lost: bool = False
    """Bytes of the client before the next line were not captured."""
    lost_next: bool = False
    incomplete: bool = False
    """Bytes of the client were not captured: a reply that seems to answer nothing may answer what was in them."""
    uncertain: bool = False
    """The next line may not be a command."""
    uncertain_next: bool = False
    desynchronised: bool = False
    """Replies were lost: the next one may answer any command."""
    message: Message | None = None
    greeting: SmtpReply | None = None
    early: Position | None = None
    hello: tuple[str, str] | None = None
    hello_refused: bool | None = False
    """EHLO, HELO or LHLO was refused, and none was accepted."""
    logins: int = 0
    login: Login | None = None
    """The last login."""
    login_code: int | None = None
    answers_due: int = 0
    """Lines that a refused AUTH may still have in flight."""
    starttls: Position | None = None
    starttls_reply: SmtpReply | None = None
    injected: Position | None = None
    clear_until: int = 0
    """Offset up to which the client's stream is known to hold no TLS."""
    tls: Position | None = None
    tls_agreed: bool | None = None
    tls_missing: bool | None = False
    tls_missing_at: Position | None = None
    """Where the client continued in the clear after TLS was agreed."""
    tls_refused: bool = False
    clear_again: Position | None = None
    """Where the client continued in the clear after TLS was refused."""
    data_refused: bool = False
    content_refused: Position | None = None
    quit: Position | None = None
    shut: Position | None = None
    """The server's 421, after its greeting."""
    went_on: Position | None = None
    """What the server sent after its 421."""
    after_refusal: Position | None = None
    unknown: int = 0
    first_unknown: Position | None = None
    first_mail: Position | None = None
    offered_first: dict[bytes, bytes] | None = None
    """What the first EHLO was offered."""
    early_offered: bool = False
    """A client that knows the capabilities may send before the greeting."""
    unfinished: Position | None = None
    false_ends: int = 0
    false_end: Position | None = None
    never_strict: bool = False
    """No CR LF . CR LF follows in the client's stream."""
    longest: dict[str, tuple[int, Position | None]] = field(default_factory=dict)
    """Octets of the longest command, answer to AUTH and text line, and where they were captured."""

    @classmethod
    def of(cls, client: Reader, server: Reader, context: ParserContext, redactor: Redactor) -> Self:
        """Return the session at its beginning, or where the capture begins."""
        ends = LineEnds()

        def speaks_before(position: Position) -> bool:
            follows = client.position()
            return follows is not None and precedes(follows, position)

        known = vocabulary_of(context.protocol)
        replies = Replies(server, ends, speaks_before)
        session = cls(client, server, context, replies, ends, redactor, known, State(known), ExchangeLog(known))
        if not context.whole:
            session.lose()
            session.state.greeted = session.state.logged_in = session.state.offered = None
        return session

    @property
    def may_have_replied(self) -> bool:
        """Whether replies of the server may not have been captured."""
        return self.context.one_sided or self.desynchronised or self.replies.gap_behind

    def lose(self) -> None:
        """Record that bytes of the client were not captured."""
        self.lost = self.incomplete = True
        self.state.forget()
        self.log.lose()
        self.data_refused, self.answers_due = False, 0
        if self.message is not None:
            self.message.has_gap = True

    def greet(self) -> None:
        """Take the server's greeting, if the first reply is one."""
        reply, position = self.replies.peek(), self.client.position()
        if reply is None:
            self.early = position if self.context.whole and not self.may_have_replied else None
            return
        late = position is not None and precedes(position, reply.first)
        if self.context.whole and not reply.after_gap:
            self.early = position if position is not None and precedes(position, reply.last) else None
        # A server that does not greet answers the client's first command.
        certain = self.context.whole and not reply.after_gap and not late
        if certain or (reply.code in self.vocabulary.greetings and (self.context.whole or not late)):
            self.greeting = self.replies.take()

    def answer(self, first: Position) -> SmtpReply | None:
        """Return the reply to a request that begins at `first`, when the client's next byte is the one behind it."""
        message_ended = self._pass_early(first)
        reply = self.replies.peek()
        if self.lost and (message_ended or self.context.one_sided or (reply is not None and reply.gap >= MIN_REPLIES_BYTES)):
            # Among the bytes that were not captured may be the end of this message and the beginning of another.
            self.settle()
        if reply is None:
            return None
        if not self.desynchronised and not reply.after_gap:
            return self._take()
        found, follows = None, self.client.position()
        while (reply := self.replies.peek()) is not None and (follows is None or not precedes(follows, reply.first)):
            # Of several before the client's next word, the last is the one it waited for.
            found = self._take()
        self.desynchronised = found is None or found.has_gap
        return found

    def coming(self, first: Position) -> SmtpReply | None:
        """Return the reply that a request that begins at `first` is about to have, where there is no doubt; it is not taken."""
        if self.lost or self.desynchronised:
            return None
        self._pass_early(first)
        reply = self.replies.peek()
        return None if reply is None or reply.after_gap else reply

    def is_answered(self, position: Position | None) -> bool:
        """Return whether the next reply was captured before `position`; without one, whether there is one or may have been."""
        reply = self.replies.peek()
        if position is None:
            return reply is not None or self.context.one_sided
        return reply is not None and precedes(reply.last, position)

    def server_begins_tls(self) -> bool:
        """Return whether the server's next bytes are TLS."""
        return self.replies.peek() is None and self.replies.tls is not None

    def take_rest(self) -> None:
        """Take the replies that no command waits for."""
        self.settle()
        requested = None if self.context.one_sided or self.incomplete or self.desynchronised else False
        previous: SmtpReply | None = None
        while (reply := self.replies.take() if self.tls is None else None) is not None:
            self._note_closing(reply)
            # A refusal before the server closes is a farewell: it is tired of waiting.
            farewell = reply.refusing and self.replies.peek() is None
            if reply.code != CLOSING:
                self.log.add_reply(reply, requested=None if farewell else requested)
            if previous is not None and previous.code == START_INPUT and self.context.one_sided:
                message = self.begin_message_at(reply.start, reply.first)
                message.note_reply(reply, reply.first)
                self.settle()
            previous = reply
        if self.tls is None and self.replies.tls is not None:
            self.begin_tls(agreed=None)

    def _pass_early(self, first: Position) -> bool:
        """Skip the replies captured before a request that do not answer it; return whether they may have ended a message."""
        message_ended = False
        while (reply := self.replies.peek()) is not None and precedes(reply.last, first):
            if self.lost:
                self._take()
                message_ended |= reply.gap >= MIN_REPLIES_BYTES or reply.code == START_INPUT
            elif reply.code == CLOSING or self._was_unasked(first):
                self._take()
                if reply.code != CLOSING:
                    self.log.add_reply(reply, requested=None if self.may_have_replied or self.incomplete else False)
            else:
                break
        return message_ended

    def _was_unasked(self, first: Position) -> bool:
        """Return whether a reply before `first` is unsolicited: another follows the request, before the client sends more."""
        follows = self.client.position()
        for ahead in range(1, MAX_AHEAD):
            later = self.replies.peek(ahead)
            if later is None:
                return False
            if not precedes(later.last, first):
                return follows is None or precedes(later.last, follows)
        return False

    def _take(self) -> SmtpReply | None:
        reply = self.replies.take()
        if reply is not None:
            self._note_closing(reply)
            self.desynchronised |= reply.has_gap
        return reply

    def _note_closing(self, reply: SmtpReply) -> None:
        if self.shut is not None and reply.code != CLOSING:
            self.went_on = self.went_on or reply.first
        if reply.code == CLOSING:
            self.shut = self.shut or reply.first

    def exchange(
        self,
        command: SmtpCommand,
        positions: tuple[Position, Position],
        reply: SmtpReply | None,
        *,
        needed: list[str] | None = None,
        **facts: Fact,
    ) -> Exchange | None:
        """Log a request, from the first to the last of `positions`, and its reply, before the state changes; None when it is not kept."""
        replied = True if reply is not None else self._is_unanswered(command.verb, positions[1])
        more = self.state.facts(positions[0])
        more["unoffered"] = self.state.unoffered(needed or [])
        more["recipients_taken"] = self.message.accepted if self.message is not None and not self.message.has_gap else None
        return self.log.add(command.verb, positions, reply, replied, {**more, **facts})

    def _is_unanswered(self, verb: str, last: Position) -> bool | None:
        """Return False when the reply is missing, None when it may not have been captured, or was not waited for."""
        if self.may_have_replied or self.replies.tls is not None:
            return None
        if verb == "quit" and self.client.closing:
            return None
        if self.server.closing:
            return False
        return False if self.context.end_time - last.time > MAX_REPLY_DELAY_NS else None

    def begin_message(self, line: Line, sender: str | None) -> Message:
        """Begin a message with a command."""
        message = self.begin_message_at(line.start, line.first)
        message.line, message.sender, message.stop = line.data[: messages_.MAX_REPLY], sender, line.stop
        return message

    def begin_message_at(self, start: int, first: Position) -> Message:
        """Begin a message at an offset of the client's stream."""
        self.messages += 1
        self.message = Message(self.messages, start, first)
        return self.message

    def list_recipient(self, path: str | None) -> bool:
        """Return whether there is room to list a recipient, and take it."""
        self.listed += len(path or "") + _ADDRESS_OVERHEAD
        self.unlisted += self.listed > MAX_LISTED_BYTES
        return self.listed <= MAX_LISTED_BYTES

    def settle(self) -> None:
        """Close the open message and keep its row."""
        message, self.message = self.message, None
        if message is None:
            return
        message.note_all_refused()
        self.recipients += message.named
        self.refused += message.refused
        self.delivered += message.settled is not None and message.settled.positive and bool(message.verb)
        if len(self.rows) < MAX_ROWS:
            self.rows.append(message.row(self._shared()))

    def _shared(self) -> dict[str, Cell]:
        banner = None if self.greeting is None else self.greeting.text
        return messages_.shared(self.hello, banner, self.state.offered, self.login)

    def begin_tls(self, *, agreed: bool | None) -> None:
        """Record that TLS begins with the client's next byte, or the server's."""
        self.settle()
        self.tls_agreed = agreed
        position = self.client.position() if tls.begins(self.client.peek(tls.HEAD_BYTES)) else None
        self.tls = position or self.replies.tls or self.client.position()

    def note_command(self, line: Line, command: SmtpCommand, size: int) -> None:
        """Update counts and states by a command line, before its reply is known."""
        self.ends.count(line)
        self.ends.commands_crlf += line.end == "crlf"
        self.ends.commands_lf += line.end == "lf"
        # An extension may allow longer lines to commands that take its parameters (RFC 5321 4.5.3.1).
        kind = "answer" if command.verb == "auth" else "envelope" if command.verb in {"mail", "rcpt"} and b"=" in line.data else "command"
        self._measure(kind, size, line.first)
        if command.verb != "quit":
            if self.greeting is not None and self.greeting.refusing:
                self.after_refusal = self.after_refusal or line.first
            if self.tls_refused and command.verb != "starttls":
                self.clear_again = self.clear_again or line.first
        if command.verb != "other":
            self.data_refused, self.answers_due = False, 0

    def note_unknown(self, line: Line) -> bool:
        """Count a line that is no command; return whether it holds credentials."""
        if self.data_refused:
            self.content_refused = self.content_refused or line.first
            return False
        if add_unknown_line(self.redactor, line) and self.answers_due:
            self.answers_due -= 1
            return self.login is not None and self.login.sends_secret
        self.unknown += 1
        self.first_unknown = self.first_unknown or line.first
        return False

    def note_torn(self, line: Line) -> None:
        """Add the secrets of a line of which a part was not captured."""
        add_torn_line(self.redactor, line)

    def note_answer(self, line: Line, size: int) -> None:
        """Count an answer to AUTH."""
        self.ends.count(line)
        self._measure("answer", size, line.first)

    def note_login(self, login: Login, reply: SmtpReply | None) -> None:
        """Record the result of a login."""
        self.logins += 1
        self.login, self.login_code = login, reply.code if reply is not None else None
        if reply is None:
            self.state.logged_in = self.state.logged_in or None
        elif reply.positive:
            self.state.logged_in = True
        self.answers_due = login.due if reply is not None and reply.refusing else 0

    def note_content(self, content: Content) -> None:
        """Count the content of a message."""
        self.incomplete |= content.has_gap
        self.ends.add(content.bare_lf, content.bare_cr, content.bare)
        self.false_ends += content.false_ends
        self.never_strict |= content.never_strict
        self.false_end = self.false_end or content.false_end
        self._measure("text", content.longest, content.long)
        if not content.ended:
            self.note_unfinished(content.last)

    def note_unfinished(self, position: Position | None) -> None:
        """Record that the client left in the middle of a message; where the capture ended first, it may have continued."""
        if self.client.closing and not self.client.gap:
            self.unfinished = self.unfinished or position

    def _measure(self, what: str, size: int, position: Position | None) -> None:
        if size > self.longest.get(what, (0, None))[0]:
            self.longest[what] = size, position
