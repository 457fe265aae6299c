"""Parse the control connection of FTP (RFC 959): greeting, commands and replies, in the order of capture.

Lines of the client and replies of the server are read one at a time; whichever was complete first is handled first, so that a reply finds
the commands sent before it. Replies answer commands in order, except the reply to a command sent during a transfer (STAT, ABOR, NOOP).
Parsing stops where TLS begins and continues where it ends in the clear (CCC). Announced data connections go to `Dialogue.announced`;
`link` finds them. Never raises and ends on any bytes, in linear time; facts that the capture does not show are None; passwords are
redacted unless the context has them shown.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from analyzer.protocols import timing, tls
from analyzer.protocols.api import Dialogue, Exchange
from analyzer.protocols.ftp import commands, greeting, lines, pending, replies, rows, session, summary, text
from analyzer.protocols.ftp.linking import link
from analyzer.protocols.ftp.state import FtpSession, PendingCommand
from analyzer.protocols.redacted import prepare, redact_dialogue
from analyzer.schema import NO_TIME

if TYPE_CHECKING:
    from analyzer.protocols.api import Fact, ParserContext
    from analyzer.protocols.ftp.replies import FtpReply
    from analyzer.protocols.redactor import Redactor
    from analyzer.reassembly.reader import Line, Reader

__all__ = ["link", "read"]

MAX_COMMANDS: Final = 10_000
"""Commands of a dialogue that are kept."""
_PROCEED, _CLOSING = 234, 421
_FIRST_MARK, _FIRST_FINAL = 100, 200
_MAX_REPLY_DELAY: Final = 1_000_000_000
"""ns before the end of the capture within which a missing reply may still have been on its way."""


def read(client: Reader, server: Reader, context: ParserContext) -> Dialogue:
    """Return the dialogue on a control connection, from the current positions of the readers."""
    context, redactor = prepare(context)
    found = _Parser(client, server, context, redactor).run()
    redact_dialogue(found, redactor)
    return found


class _Parser:
    """One pass over both directions."""

    def __init__(self, client: Reader, server: Reader, context: ParserContext, redactor: Redactor) -> None:
        self.client, self.server, self.context = client, server, context
        self.dialogue = Dialogue("ftp")
        self.facts: dict[str, Fact] = self.dialogue.facts
        self.evidence = self.dialogue.evidence
        self.table = commands.table_of(context.protocol)
        self.session = FtpSession(self.dialogue, context, self.table)
        self.redactor = redactor
        self.pending = deque[PendingCommand]()
        self.number = 0
        self.line: Line | None = None
        self.reply: FtpReply | None = None
        self.line_order = self.order_before = self.reply_order = 0
        self.line_torn = self.reply_torn = not context.whole
        """Whether the next line may begin in the middle of one."""
        self.greeted = not context.whole
        self.lookahead = replies.MAX_LINES_AFTER_END
        self.banner = b""
        self.lost = context.one_sided
        """Whether replies may have been missed since the last one."""
        self.closing = False
        self.agreed: int | None = None
        """The frame of the reply that agreed to TLS, until the client's next bytes are known."""
        self.slipped: int | None = None
        """The first frame of clear bytes between AUTH and its reply."""
        self.complete = context.whole and not context.one_sided
        """Whether all bytes so far were captured."""
        self.encrypted = False
        """Whether the client's next bytes are TLS."""
        self.cleared = False
        """Whether TLS has just ended, and clear bytes follow."""
        self.finished = False

    def run(self) -> Dialogue:
        while not self.finished:
            if self.line is None and not self._waits_for_auth():
                self._next_line()
            if self.reply is None and self._is_server_next():
                self._next_reply()
            if self.line is None and self.reply is None and not self._goes_on():
                break
            if self.reply is not None and (self.line is None or self.reply_order < self.line_order):
                reply, self.reply = self.reply, None
                self._take_reply(reply)
            elif self.line is not None:
                line, self.line = self.line, None
                self._take_lines(line)
        return self._finish()

    # What comes next

    def _waits_for_auth(self) -> bool:
        """Return whether the reply to AUTH decides if the client's next bytes are TLS."""
        return bool(self.pending) and self.pending[-1].command.known.name == "AUTH" and not self.pending[-1].unsure

    def _is_server_next(self) -> bool:
        """Return whether the server's next reply may come before the client's line at hand."""
        if self.line is None:
            return True
        position = self.server.position()
        return self.agreed is None and position is not None and position.frame < self.line_order

    def _goes_on(self) -> bool:
        """Return whether to continue without a line or a reply: with clear bytes behind TLS, or behind an AUTH without a reply."""
        if self.cleared:
            self.cleared = False
            return True
        if self.finished or not self._waits_for_auth():
            return False
        self.pending[-1].unsure = True
        return True

    def _next_line(self) -> None:
        client = self.client
        if self.encrypted:
            return
        while (line := client.line()) is None and client.gap:
            client.jump()
            self.line_torn = True
            self._lose()
        if line is None:
            return
        if tls.begins(line.data):
            client.at = line.start
            self.encrypted = True
            return
        self.order_before, self.line_order = self.line_order, max(self.line_order, line.last.frame)
        self.line = line

    def _next_reply(self) -> None:
        server = self.server
        before = self.line_order if self.line is not None else None
        while (reply := replies.read(server, before, self.lookahead)) is None and server.gap:
            server.jump()
            # A greeting that begins in a gap is not known to be missing.
            self.reply_torn = self.lost = self.greeted = True
            self._lose()
        if reply is None:
            self.agreed = None
            if self.encrypted:
                self._begin_tls()
        elif reply.code is None and tls.begins(reply.text):
            server.at = reply.start
            self._begin_tls()
        else:
            self.reply_order = max(self.reply_order, reply.order)
            self.lookahead >>= reply.end_odd
            self.reply = reply

    def _lose(self) -> None:
        """Record that bytes were not captured."""
        self.complete = False
        self.session.lose()

    # The client

    def _cut_line(self, reply: FtpReply) -> None:
        """Handle as a command the part of the line sent before a reply that no command waits for: the server took it for one."""
        line = self.line
        if line is None or line.first.frame >= reply.first.frame or reply.code == _CLOSING:
            return
        head = lines.answered(self.client, line, reply.first.frame)
        if head is not None:
            self.line, self.line_order = None, max(self.order_before, head.last.frame)
            self._take_lines(head)

    def _take_lines(self, line: Line) -> None:
        """Handle the commands in a line."""
        pending.move_on(self.pending, self.session)
        for number, part in enumerate(lines.parts(self.client, line, self.table)):
            self._take_line(part, guessed=number > 0)

    def _take_line(self, line: Line, *, guessed: bool = False) -> None:
        command = commands.parse(line.data, self.table)
        torn, self.line_torn = self.line_torn, not line.whole
        if torn and command.known.name == "other":
            text.add_fragment(line.data, self.redactor)
            return
        if not self.greeted and "early" not in self.facts and self.complete and not self.server.gap:
            self.facts["early"] = True
            self.evidence["early"] = line.first.frame
        self._note_clear(line)
        self.number += 1
        facts: dict[str, Fact] = {
            "number": self.number,
            "request_seen": True,
            "command": command.known.name,
            "pipelined": None if self.lost else bool(self.pending),
        }
        if command.telnet:
            facts["telnet"], facts["telnet_inside"] = True, command.inside
        exchange = Exchange(facts, {"request": line.first.frame, "request_end": line.last.frame})
        issued = PendingCommand(
            command,
            exchange,
            rows.of_command(line, command, self.number, self.session, self.redactor),
            self.line_order,
            line.last,
            guessed=guessed,
        )
        self._keep(issued)
        session.note_command(self.session, issued)
        self.pending.append(issued)
        if len(self.pending) > MAX_COMMANDS:
            session.note_missing_reply(self.session, self.pending.popleft())

    def _note_clear(self, line: Line) -> None:
        """Separate clear bytes sent before TLS was agreed from a client that continues in the clear."""
        if self.agreed is None:
            return
        if self.line_order < self.agreed:
            self.slipped = self.slipped or line.first.frame
        else:
            self.facts["tls_missing"] = True
            self.evidence["tls_missing"] = line.first.frame
            self.agreed = None

    def _keep(self, issued: PendingCommand) -> None:
        if self.number > MAX_COMMANDS:
            self.dialogue.dropped += 1
            return
        self.dialogue.exchanges.append(issued.exchange)
        self.dialogue.rows.append(issued.row)

    # The server

    def _take_reply(self, reply: FtpReply) -> None:
        torn, self.reply_torn = self.reply_torn, not reply.whole
        if reply.code is None:
            if not torn and reply.whole:
                self.facts["stray_line"] = True
                self.evidence.setdefault("stray_line", reply.first.frame)
                if self.pending:
                    self.pending[0].stray = self.pending[0].stray or reply
            return
        if not self.greeted:
            self._greet(reply, reply.code)
            return
        if self.encrypted and self.agreed is not None and not self.pending:
            # The client's next bytes are TLS: no command was sent.
            self.facts["auth_reply_injection"] = True
            self.evidence.setdefault("auth_reply_injection", reply.first.frame)
            return
        if not self.pending:
            self._cut_line(reply)
        if reply.code == _CLOSING:
            self.closing = True
            self.facts["service_closing"], self.evidence["service_closing"] = True, reply.first.frame
        if self.lost:
            self._skip_answered()
        if _FIRST_MARK <= reply.code < _FIRST_FINAL:
            self._mark(reply, reply.code)
        else:
            self._answer(reply, reply.code)

    def _greet(self, reply: FtpReply, code: int) -> None:
        self.banner = self.banner or reply.text.strip()
        greeting.note(self.dialogue, reply, code, self.table, self.context.opened_at)
        self.greeted = code != greeting.DELAYED
        line = self.line
        if self.greeted and "early" not in self.facts and line is not None and line.first.frame < reply.last.frame:
            # It began before the greeting was complete, and was complete behind it.
            self.facts["early"], self.evidence["early"] = True, line.first.frame
        self.closing = code == _CLOSING

    def _skip_answered(self) -> None:
        """Drop commands whose replies were missed: a client sends the next command when it has the reply to the one before."""
        self.lost = self.context.one_sided
        while len(self.pending) > 1:
            session.note_missing_reply(self.session, self.pending.popleft())
        if self.pending:
            self.pending[0].unsure = True

    def _mark(self, reply: FtpReply, code: int) -> None:
        issued = pending.announced(self.pending, code) or self._uncommanded(reply)
        facts = issued.exchange.facts
        if not issued.marked:
            facts["preliminary_code"] = issued.row["preliminary_code"] = code
            facts["preliminary_listed"] = code in issued.command.known.marks if self._is_listed(issued) else None
            issued.exchange.evidence["preliminary"] = reply.first.frame
            issued.marked = True
            session.note_preliminary(self.session, issued)

    def _answer(self, reply: FtpReply, code: int) -> None:
        issued = pending.take(self.pending, code) or self._uncommanded(reply)
        facts, evidence, row = issued.exchange.facts, issued.exchange.evidence, issued.row
        latency = timing.latency(issued.done, reply.first) if issued.sent else None
        facts.update(
            replied=True,
            reply_code=code,
            reply_lines=reply.lines,
            reply_malformed=reply.malformed,
            reply_end_odd=reply.end_odd,
            reply_unended=self._is_unended(reply),
            announced=True if issued.marked else None if issued.unsure else False,
        )
        if latency is not None:
            facts["latency"] = latency
            row["latency_ms"] = timing.milliseconds(latency)
        if self._is_listed(issued) and not issued.unsure:
            facts["reply_listed"] = code in issued.command.known.replies
        evidence["reply"], evidence["reply_end"] = reply.first.frame, reply.last.frame
        row.update(
            code=code,
            reply=text.reply(reply.text.strip(), self.redactor, protected=code in self.table.protected_replies),
            response_bytes=reply.stop - reply.start,
            last_frame=reply.last.frame,
            complete=reply.whole,
        )
        session.note_reply(self.session, issued, reply)
        if issued.command.known.name == "AUTH" and self.session.auth == "accepted" and code == _PROCEED:
            self.agreed = self.reply_order

    def _is_unended(self, reply: FtpReply) -> bool | None:
        if reply.unended and (self.server.gap or (self.server.ended and not self.server.closing)):
            return None
        return reply.unended

    def _is_listed(self, issued: PendingCommand) -> bool:
        return issued.command.known is not self.table.other

    def _uncommanded(self, reply: FtpReply) -> PendingCommand:
        """Return an exchange for a reply whose command was not captured."""
        self.number += 1
        exchange = Exchange({"number": self.number, "request_seen": False if self.complete else None, "command": "none"})
        row = rows.of_reply(reply, self.number, self.session)
        issued = PendingCommand(commands.FtpCommand("", self.table.other, b""), exchange, row, 0, reply.first, sent=False)
        self._keep(issued)
        return issued

    # TLS

    def _begin_tls(self) -> None:
        dialogue = self.dialogue
        dialogue.tls = dialogue.tls or "auth-tls"
        if self.line is not None:
            self.client.at, self.line = self.line.start, None
        dialogue.tls_position = dialogue.tls_position or (self.client.position() if self.encrypted else self.server.position())
        if self.slipped is not None:
            self.facts["auth_injection"], self.evidence["auth_injection"] = True, self.slipped
        self.slipped = self.agreed = None
        self.encrypted = False
        self.pending.clear()
        ended = [tls.skip_records(reader) for reader in (self.client, self.server)]
        self.cleared = all(ended)
        self.finished = not self.cleared
        if self.cleared:
            position = self.client.position() or self.server.position()
            self.facts["tls_cleared"], self.evidence["tls_cleared"] = True, position.frame if position else None
            self.session.resume_clear()

    # The end

    def _finish(self) -> Dialogue:
        for issued in self.pending:
            self._leave(issued)
        rows.note_refusals(self.dialogue)
        if "greeting_code" in self.facts and not self.context.one_sided:
            self.facts.setdefault("early", False)
        summary.conclude(self.session, self.dialogue, complete=self.complete)
        self.dialogue.summary = summary.summarise(self.banner, self.session, self.dialogue)
        return self.dialogue

    def _leave(self, issued: PendingCommand) -> None:
        """Complete the exchange of a command whose final reply was not captured."""
        session.note_missing_reply(self.session, issued)
        issued.exchange.facts["replied"] = None if issued.unsure or self._may_be_missed(issued) else False

    def _may_be_missed(self, issued: PendingCommand) -> bool:
        if self.lost or self.closing or self.dialogue.tls:
            return True
        if issued.command.known.name == "QUIT" and self.client.closing:
            return True
        if self.client.closing or self.server.closing:
            return False
        end, sent = self.context.end_time, issued.done.time
        return NO_TIME in {end, sent} or end - sent < _MAX_REPLY_DELAY
