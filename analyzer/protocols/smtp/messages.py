"""Collect the messages of an SMTP dialogue, from MAIL to the final reply, as rows of the transactions table.

One row per message, whatever its result; texts are cut. The caller redacts the rows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from analyzer.protocols import redaction, timing
from analyzer.protocols.smtp.commands import decode

if TYPE_CHECKING:
    from analyzer.protocols.api import Cell, Exchange
    from analyzer.protocols.smtp.login import Login
    from analyzer.protocols.smtp.replies import SmtpReply
    from analyzer.reassembly.reader import Position
    from analyzer.rules.secrets import SecretPatterns

MAX_REPLY: Final = 200
MAX_REFUSALS: Final = 10
"""Distinct refusals of a message that are kept."""
_CODE: Final = re.compile(rb"[245]\.[0-9]{1,3}\.[0-9]{1,3} ")
"""An enhanced status code (RFC 2034)."""
_QUEUE_IDS: Final = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rb"queued(?: mail for delivery)?(?: as|:| with id)[ :]*<?([\w.@-]+)>?",
        rb"\bid=([\w.-]+)",
        rb"\A([\w-]{6,}) +message accepted for delivery",
        rb"\bqp ([0-9]+)",
        rb"\AOK:? +([0-9]+ [\w.-]+) +- +gsmtp",
        rb"\A<([^<>\s]+)> .*queued mail for delivery",
        rb"\bmessage[- ]id:? <?([\w.@-]+)>?",
        rb"\AOK:? +([0-9A-F]{8,}|[\w]{6}-[\w]{6,11}-[\w]{2,4})\b",
    )
)
"""Identifiers of accepted messages in replies: Postfix, Exim, sendmail and OpenSMTPD, qmail, Gmail, Exchange, others."""


@dataclass(slots=True)
class Message:
    """A message, from MAIL on."""

    number: int
    start: int
    """Offset of its first command."""
    first: Position
    stop: int = 0
    """Offset behind the last byte of its last command or content."""
    declared: int | None = None
    """The value of the SIZE parameter of MAIL."""
    line: bytes = b""
    """That command's line."""
    sender: str | None = None
    recipients: list[str] = field(default_factory=list)
    codes: list[int] = field(default_factory=list)
    """Reply codes to RCPT, -1 for a reply that was not captured."""
    named: int = 0
    accepted: int = 0
    refused: int = 0
    verb: str = ""
    size: int | None = None
    chunks: int = 0
    has_gap: bool = False
    denied: bool = False
    """MAIL was refused: the replies to the rest add nothing."""
    settled: SmtpReply | None = None
    """The reply that settled it."""
    requested_at: Position | None = None
    """The last byte of the request that this reply answers."""
    delivery: list[int] = field(default_factory=list)
    """LMTP: the final reply code of each recipient."""
    last: Position | None = None
    response_bytes: int = 0
    complete: bool = False
    """Its content was sent whole, and answered."""
    refusals: dict[bytes, SmtpReply] = field(default_factory=dict)
    """Replies that refused one of its commands, by their words."""
    refused_exchanges: list[Exchange] = field(default_factory=list)
    """The exchanges in which a recipient was refused."""

    def add_recipient(self, path: str | None, reply: SmtpReply | None, exchange: Exchange | None, *, listed: bool) -> None:
        """Record a RCPT and its reply; `exchange` is None when it is not kept, and `listed` False when its address is not."""
        code = reply.code if reply is not None else None
        self.named += 1
        if listed:
            self.recipients.append(path or "")
            self.codes.append(-1 if code is None else code)
        if reply is not None and reply.positive:
            self.accepted += 1
        elif reply is not None and reply.refusing:
            self.refused += 1
            if exchange is not None:
                self.refused_exchanges.append(exchange)

    def note_all_refused(self) -> None:
        """Record in the exchanges that refused a recipient whether any other was accepted.

        Nothing is recorded where MAIL was refused; where MAIL or a RCPT may be missing, it is unknown that all were refused.
        """
        every = self.sender is not None and not self.has_gap and self.refused == self.named
        for exchange in self.refused_exchanges if not self.denied else ():
            exchange.facts["all_refused"] = every

    def note_reply(self, reply: SmtpReply | None, requested_at: Position) -> None:
        """Record a reply to one of its commands; the last of them settles what became of it."""
        if reply is None:
            return
        self.response_bytes += reply.stop - reply.start
        self.last = max(self.last or reply.last, reply.last)
        if self.denied:
            return
        self.settled, self.requested_at = reply, requested_at
        if reply.refusing and len(self.refusals) < MAX_REFUSALS:
            self.refusals.setdefault(reply.words, reply)

    @property
    def queue_id(self) -> str | None:
        """The server's identifier of the accepted message."""
        if self.settled is None or not self.settled.positive or not self.complete:
            return None
        for text in self.settled.lines:
            plain = _CODE.sub(b"", text, count=1).strip()
            for pattern in _QUEUE_IDS:
                found = pattern.search(plain)
                if found:
                    return decode(found[1], MAX_REPLY)
        return None

    def row(self, shared_columns: dict[str, Cell]) -> dict[str, Cell]:
        """Return its row; `shared_columns` is what it shares with the other messages of the dialogue."""
        reply, last = self.settled, self.last or self.first
        turned_down = reply is not None and reply.refusing and self.size is None and not self.has_gap
        latency = timing.latency(self.requested_at, reply.first) if reply is not None and self.requested_at is not None else None
        return {
            "kind": "message",
            "number": self.number,
            "time": self.first.time,
            "first_frame": self.first.frame,
            "last_frame": max(last.frame, self.first.frame),
            "request": decode(self.line, MAX_REPLY) if self.line else None,
            "code": reply.code if reply is not None else None,
            "reply": decode(reply.text.strip(), MAX_REPLY) if reply is not None else None,
            "latency_ms": timing.milliseconds(latency),
            "request_bytes": max(self.stop - self.start, 0),
            "response_bytes": self.response_bytes,
            "complete": self.complete or turned_down,
            **shared_columns,
            "mail_from": self.sender,
            "declared_size": self.declared,
            "rcpt_to": tuple(self.recipients),
            "rcpt_codes": tuple(self.codes),
            "recipients_accepted": self.accepted,
            "recipients_refused": self.refused,
            "delivery_codes": tuple(self.delivery),
            "refusals": tuple(decode(words, MAX_REPLY) for words, one in self.refusals.items() if one is not reply),
            "data_verb": self.verb or None,
            "chunks": self.chunks,
            "message_size": self.size,
            "queue_id": self.queue_id,
        }


def hide(rows: list[dict[str, Cell]], patterns: SecretPatterns) -> None:
    """Redact the parts of the server's text that look like secrets, except the identifier of the message."""
    for row in rows:
        name = row["queue_id"]
        for column in ("reply", "banner"):
            text = row[column]
            if isinstance(text, str):
                parts = text.split(name) if isinstance(name, str) and name else [text]
                row[column] = str(name or "").join(redaction.text(part, patterns) for part in parts)


def shared(helo: tuple[str, str] | None, banner: bytes | None, offered: dict[bytes, bytes] | None, login: Login | None) -> dict[str, Cell]:
    """Return the columns that all messages after the same greeting share."""
    names = None if offered is None else tuple(decode(b" ".join((key, value)).strip(), 100) for key, value in offered.items())
    return {
        "banner": decode(banner, MAX_REPLY) if banner is not None else None,
        "hello": helo[0] if helo else None,
        "helo": helo[1] if helo else None,
        "capabilities": names or (),
        "auth_mechanism": login.mechanism if login is not None else None,
        "auth_user": decode(login.name) if login is not None and login.name is not None else None,
    }
