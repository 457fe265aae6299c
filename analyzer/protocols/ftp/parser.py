"""Reads the control connection of FTP: greeting, commands and their replies, in the order they were captured (RFC 959).

Both directions are read a line and a reply at a time; whichever was complete first is taken first, so that a reply finds the commands
sent before it. Replies answer commands in order, but for one to a command sent during a transfer (STAT, ABOR, NOOP). Reading stops where
TLS begins and goes on where it ends in the clear (CCC). The data connections announced are `Dialogue.channels`; `link` finds them.

Promises: never raises, ends on any bytes, in time linear in their number; what was not captured is unknown, never false; no password
leaves it unless the setting says so.
Must not know: files, rules, verdicts.
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
_PATIENCE: Final = 1_000_000_000
"""Ns that a reply may still have been under way when the capture ended."""


def read(client: Reader, server: Reader, setting: ParserContext) -> Dialogue:
    """Return what both ends of a control connection said, from where the readers stand."""
    setting, redactor = prepare(setting)
    found = _Parser(client, server, setting, redactor).run()
    redact_dialogue(found, redactor)
    return found


class _Parser:
    """One pass over both directions."""

    def __init__(self, client: Reader, server: Reader, setting: ParserContext, redactor: Redactor) -> None:
        self.client, self.server, self.setting = client, server, setting
        self.dialogue = Dialogue("ftp")
        self.facts: dict[str, Fact] = self.dialogue.facts
        self.places = self.dialogue.places
        self.table = commands.table_of(setting.protocol)
        self.session = FtpSession(self.dialogue, setting, self.table)
        self.redactor = redactor
        self.pending = deque[PendingCommand]()
        self.number = 0
        self.line: Line | None = None
        self.reply: FtpReply | None = None
        self.line_order = self.order_before = self.reply_order = 0
        self.line_torn = self.reply_torn = not setting.whole
        """Whether the next line may begin in the middle of one."""
        self.greeted = not setting.whole
        self.patience = replies.PATIENCE
        self.banner = b""
        self.lost = setting.one_sided
        """Whether replies may have been missed since the last one."""
        self.closing = False
        self.agreed: int | None = None
        """The frame of the reply that agreed to TLS, until TLS begins or does not."""
        self.slipped: int | None = None
        """The first frame of clear bytes between AUTH and its reply."""
        self.complete = setting.whole and not setting.one_sided
        """Whether everything that was said has been captured."""
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
        """Return whether what the client sent next may be TLS or not, as the server is about to say."""
        return bool(self.pending) and self.pending[-1].command.known.name == "AUTH" and not self.pending[-1].unsure

    def _is_server_next(self) -> bool:
        """Return whether the server's next reply may come before the client's line at hand."""
        if self.line is None:
            return True
        spot = self.server.position()
        return self.agreed is None and spot is not None and spot.frame < self.line_order

    def _goes_on(self) -> bool:
        """Return whether more is to come though nothing is at hand: clear bytes behind TLS, or behind an AUTH without an answer."""
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
        while (reply := replies.read(server, before, self.patience)) is None and server.gap:
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
            self.patience >>= reply.end_odd
            self.reply = reply

    def _lose(self) -> None:
        """Take note that bytes were not captured: what was not seen may have been in them."""
        self.complete = False
        self.session.lose()

    # The client

    def _cut_line(self, reply: FtpReply) -> None:
        """Take what the client had sent of the line at hand when a reply came that no command waits for: the server took it for one."""
        line = self.line
        if line is None or line.first.frame >= reply.first.frame or reply.code == _CLOSING:
            return
        head = lines.answered(self.client, line, reply.first.frame)
        if head is not None:
            self.line, self.line_order = None, max(self.order_before, head.last.frame)
            self._take_lines(head)

    def _take_lines(self, line: Line) -> None:
        """Take the command, or the commands, that a line holds."""
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
            self.places["early"] = line.first.frame
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
        asked = PendingCommand(
            command,
            exchange,
            rows.of_command(line, command, self.number, self.session, self.redactor),
            self.line_order,
            line.last,
            guessed=guessed,
        )
        self._keep(asked)
        session.ask(self.session, asked)
        self.pending.append(asked)
        if len(self.pending) > MAX_COMMANDS:
            session.miss(self.session, self.pending.popleft())

    def _note_clear(self, line: Line) -> None:
        """Tell clear bytes that slipped in before TLS was agreed from a client that goes on in the clear."""
        if self.agreed is None:
            return
        if self.line_order < self.agreed:
            self.slipped = self.slipped or line.first.frame
        else:
            self.facts["tls_missing"] = True
            self.places["tls_missing"] = line.first.frame
            self.agreed = None

    def _keep(self, asked: PendingCommand) -> None:
        if self.number > MAX_COMMANDS:
            self.dialogue.dropped += 1
            return
        self.dialogue.exchanges.append(asked.exchange)
        self.dialogue.rows.append(asked.row)

    # The server

    def _take_reply(self, reply: FtpReply) -> None:
        torn, self.reply_torn = self.reply_torn, not reply.whole
        if reply.code is None:
            if not torn and reply.whole:
                self.facts["stray_line"] = True
                self.places.setdefault("stray_line", reply.first.frame)
                if self.pending:
                    self.pending[0].stray = self.pending[0].stray or reply
            return
        if not self.greeted:
            self._greet(reply, reply.code)
            return
        if self.encrypted and self.agreed is not None and not self.pending:
            # The client's next bytes are TLS: nothing was asked.
            self.facts["auth_reply_injection"] = True
            self.places.setdefault("auth_reply_injection", reply.first.frame)
            return
        if not self.pending:
            self._cut_line(reply)
        if reply.code == _CLOSING:
            self.closing = True
            self.facts["service_closing"], self.places["service_closing"] = True, reply.first.frame
        if self.lost:
            self._skip_answered()
        if _FIRST_MARK <= reply.code < _FIRST_FINAL:
            self._mark(reply, reply.code)
        else:
            self._answer(reply, reply.code)

    def _greet(self, reply: FtpReply, code: int) -> None:
        self.banner = self.banner or reply.text.strip()
        greeting.note(self.dialogue, reply, code, self.table, self.setting.opened_at)
        self.greeted = code != greeting.READY_SOON
        line = self.line
        if self.greeted and "early" not in self.facts and line is not None and line.first.frame < reply.last.frame:
            # It began before the greeting was complete, and was complete behind it.
            self.facts["early"], self.places["early"] = True, line.first.frame
        self.closing = code == _CLOSING

    def _skip_answered(self) -> None:
        """Give up commands whose replies were missed: a client sends the next one when it has the reply to the one before."""
        self.lost = self.setting.one_sided
        while len(self.pending) > 1:
            session.miss(self.session, self.pending.popleft())
        if self.pending:
            self.pending[0].unsure = True

    def _mark(self, reply: FtpReply, code: int) -> None:
        asked = pending.announced(self.pending, code) or self._unasked(reply)
        facts = asked.exchange.facts
        if not asked.marked:
            facts["preliminary_code"] = asked.row["preliminary_code"] = code
            facts["preliminary_listed"] = code in asked.command.known.marks if self._is_known(asked) else None
            asked.exchange.places["preliminary"] = reply.first.frame
            asked.marked = True
            session.announce(self.session, asked)

    def _answer(self, reply: FtpReply, code: int) -> None:
        asked = pending.take(self.pending, code) or self._unasked(reply)
        facts, places, row = asked.exchange.facts, asked.exchange.places, asked.row
        latency = timing.latency(asked.done, reply.first) if asked.sent else None
        facts.update(
            replied=True,
            reply_code=code,
            reply_lines=reply.lines,
            reply_malformed=reply.malformed,
            reply_end_odd=reply.end_odd,
            reply_unended=self._is_unended(reply),
            announced=True if asked.marked else None if asked.unsure else False,
        )
        if latency is not None:
            facts["latency"] = latency
            row["latency_ms"] = timing.milliseconds(latency)
        if self._is_known(asked) and not asked.unsure:
            facts["reply_listed"] = code in asked.command.known.replies
        places["reply"], places["reply_end"] = reply.first.frame, reply.last.frame
        row.update(
            code=code,
            reply=text.reply(reply.text.strip(), self.redactor, protected=code in self.table.protected_replies),
            response_bytes=reply.stop - reply.start,
            last_frame=reply.last.frame,
            complete=reply.whole,
        )
        session.answer(self.session, asked, reply)
        if asked.command.known.name == "AUTH" and self.session.auth == "accepted" and code == _PROCEED:
            self.agreed = self.reply_order

    def _is_unended(self, reply: FtpReply) -> bool | None:
        if reply.unended and (self.server.gap or (self.server.ended and not self.server.closing)):
            return None
        return reply.unended

    def _is_known(self, asked: PendingCommand) -> bool:
        return asked.command.known is not self.table.other

    def _unasked(self, reply: FtpReply) -> PendingCommand:
        """Return an exchange for a reply to nothing that was captured."""
        self.number += 1
        exchange = Exchange({"number": self.number, "request_seen": False if self.complete else None, "command": "none"})
        row = rows.of_reply(reply, self.number, self.session)
        asked = PendingCommand(commands.FtpCommand("", self.table.other, b""), exchange, row, 0, reply.first, sent=False)
        self._keep(asked)
        return asked

    # TLS

    def _begin_tls(self) -> None:
        dialogue = self.dialogue
        dialogue.tls = dialogue.tls or "auth-tls"
        if self.line is not None:
            self.client.at, self.line = self.line.start, None
        dialogue.tls_spot = dialogue.tls_spot or (self.client.position() if self.encrypted else self.server.position())
        if self.slipped is not None:
            self.facts["auth_injection"], self.places["auth_injection"] = True, self.slipped
        self.slipped = self.agreed = None
        self.encrypted = False
        self.pending.clear()
        ended = [tls.skip_records(reader) for reader in (self.client, self.server)]
        self.cleared = all(ended)
        self.finished = not self.cleared
        if self.cleared:
            spot = self.client.position() or self.server.position()
            self.facts["tls_cleared"], self.places["tls_cleared"] = True, spot.frame if spot else None
            self.session.clear_again()

    # The end

    def _finish(self) -> Dialogue:
        for asked in self.pending:
            self._leave(asked)
        rows.note_refusals(self.dialogue)
        if "greeting_code" in self.facts and not self.setting.one_sided:
            self.facts.setdefault("early", False)
        summary.conclude(self.session, self.dialogue, complete=self.complete)
        self.dialogue.summary = summary.write(self.banner, self.session, self.dialogue)
        return self.dialogue

    def _leave(self, asked: PendingCommand) -> None:
        """Say what is known of a command that no final reply was captured to."""
        session.miss(self.session, asked)
        asked.exchange.facts["replied"] = None if asked.unsure or self._may_be_missed(asked) else False

    def _may_be_missed(self, asked: PendingCommand) -> bool:
        if self.lost or self.closing or self.dialogue.tls:
            return True
        if asked.command.known.name == "QUIT" and self.client.closing:
            return True
        if self.client.closing or self.server.closing:
            return False
        end, sent = self.setting.end_time, asked.done.time
        return NO_TIME in {end, sent} or end - sent < _PATIENCE
