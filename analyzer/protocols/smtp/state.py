"""The state of an SMTP session before an exchange, and the log of exchanges.

The state is what the client could know when it sent the request: a refusal that it could not have received yet counts as unknown.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from analyzer.protocols import timing
from analyzer.protocols.api import WORDS, Exchange, Fact
from analyzer.protocols.smtp.commands import decode
from analyzer.protocols.smtp.vocabulary import NO_COMMANDS, SmtpVocabulary
from analyzer.schema import NO_TIME

if TYPE_CHECKING:
    from analyzer.protocols.smtp.replies import SmtpReply
    from analyzer.reassembly.reader import Position

MIN_REFUSAL: Final = 400
"""The lowest code of a reply that refuses: 4yz for now, 5yz for good (RFC 5321 4.2.1)."""
MAX_WORDS: Final = 200
"""Bytes of a refusal that are kept."""
MAX_EXCHANGES: Final = 10_000
"""Exchanges of a dialogue that are kept."""


def precedes(one: Position, other: Position) -> bool:
    """Return whether `one` was captured before `other`, by frame and, where both have one, by time."""
    return one.frame < other.frame and (one.time <= other.time or NO_TIME in {one.time, other.time})


def parse_offer(lines: tuple[bytes, ...]) -> dict[bytes, bytes]:
    """Return the keywords and parameters that the lines of a reply to EHLO offer (RFC 5321 4.1.1.1)."""
    offered = dict[bytes, bytes]()
    for line in lines[1:]:
        # Old servers write AUTH=LOGIN, some of them in addition to AUTH LOGIN.
        key, _, value = line.strip(b" \t\r").replace(b"=", b" ").partition(b" ")
        if key:
            offered[key.upper()] = (offered.get(key.upper(), b"") + b" " + value).strip()
    return offered


@dataclass(slots=True)
class State:
    """The state of the session; everything is known at the start of a connection captured from its opening on."""

    vocabulary: SmtpVocabulary
    greeted: bool | None = False
    """EHLO, HELO or LHLO was accepted."""
    offered: dict[bytes, bytes] | None = field(default_factory=dict)
    """What the server offered in reply to EHLO; nothing without one."""
    offered_at: Position | None = None
    """The last byte of that reply."""
    pipelining_before: bool | None = False
    """Whether PIPELINING was offered until then."""
    mail_open: bool | None = False
    recipients: int | None = 0
    """Of the open transaction: not refused."""
    chunked: bool | None = False
    """BDAT was sent in the open transaction."""
    logged_in: bool | None = False
    mail_refusal: Position | None = None
    """Where the refusal of the last MAIL was captured."""
    recipient_refusal: Position | None = None

    def forget(self) -> None:
        """Record that bytes of the client were not captured: what it may have changed is unknown."""
        self.greeted = self.greeted or None
        self.logged_in = self.logged_in or None
        self.offered = self.offered or None
        self.mail_open = self.recipients = self.chunked = None
        self.mail_refusal = self.recipient_refusal = None

    def close_mail(self) -> None:
        """Record that no transaction is open."""
        self.mail_open, self.recipients, self.chunked = False, 0, False
        self.mail_refusal = self.recipient_refusal = None

    def offers(self, keyword: bytes) -> bool | None:
        """Return whether the server offered an extension."""
        return None if self.offered is None else keyword in self.offered

    def offers_early(self) -> bool:
        """Return whether a client that knows the capabilities may send EHLO, and more, before the greeting."""
        return not self.vocabulary.early_offers.isdisjoint(self.offered or {})

    def note_offer(self, offered: dict[bytes, bytes] | None, position: Position) -> None:
        """Record the reply to an EHLO or HELO that was accepted."""
        self.greeted = True
        self.pipelining_before, self.offered, self.offered_at = self.offers(b"PIPELINING"), offered, position

    def unoffered(self, needed: list[str]) -> str | None:
        """Return the first extension of `needed` that was not offered; `none` when all were."""
        if self.offered is None:
            return None if needed else "none"
        return next((word for word in needed if self.vocabulary.extensions[word] not in self.offered), "none")

    def facts(self, first: Position) -> dict[str, Fact]:
        """Return the facts of an exchange that follow from the state before it; `first` is where its request begins."""
        mail_open, recipients = self.mail_open, self.recipients
        if not mail_open and self.mail_refusal is not None and precedes(first, self.mail_refusal):
            mail_open = None
        if self.recipient_refusal is not None and precedes(first, self.recipient_refusal):
            recipients = None
        pipelining = self.offers(b"PIPELINING")
        if self.offered_at is not None and precedes(first, self.offered_at) and not self.offers_early():
            pipelining = self.pipelining_before
        return {
            "pipelining_offered": pipelining,
            "greeted": self.greeted,
            "mail_open": mail_open,
            "recipients": recipients if mail_open is not None else None,
            "chunked": self.chunked,
            "logged_in": self.logged_in,
        }


@dataclass(slots=True)
class ExchangeLog:
    """The exchanges so far."""

    vocabulary: SmtpVocabulary
    exchanges: list[Exchange] = field(default_factory=list)
    number: int = 0
    previous: str | None = "none"
    """The command before; None when bytes between were not captured."""
    reply: SmtpReply | None = None
    """The reply to it."""
    replied: bool | None = True

    @property
    def dropped(self) -> int:
        """Exchanges that were not kept."""
        return self.number - len(self.exchanges)

    def lose(self) -> None:
        """Record that what came before was not captured."""
        self.previous, self.reply, self.replied = None, None, None

    def is_pipelined(self, first: Position) -> bool | None:
        """Return whether a request that begins at `first` did not wait for the reply to the one before."""
        if self.previous == "none":
            return False
        if self.reply is None:
            return True if self.replied is False else None
        return precedes(first, self.reply.last)

    def add(
        self,
        verb: str,
        positions: tuple[Position, Position],
        reply: SmtpReply | None,
        replied: bool | None,  # noqa: FBT001 - three-valued
        facts: dict[str, Fact],
    ) -> Exchange | None:
        """Add the exchange of a request, from the first to the last of `positions`, and its final reply; None when it is not kept."""
        first, last = positions
        command = verb if verb in NO_COMMANDS else verb.upper()
        self.number += 1
        code, expected = reply.code if reply is not None else None, self.vocabulary.replies.get(verb)
        added = None
        if self.number <= MAX_EXCHANGES:
            known: dict[str, Fact] = {
                "number": self.number,
                "request_seen": True,
                "replied": replied,
                "reply_code": code,
                "latency": timing.latency(last, reply.first) if reply is not None else None,
                "pipelined": self.is_pipelined(first),
                "credentials": False,
                "command": command,
                "previous": self.previous,
                "reply_expected": None if code is None or expected is None else code >= MIN_REFUSAL or code in expected,
            }
            known.update(facts)
            evidence = {"request": first.frame, "request_end": last.frame}
            if reply is not None:
                evidence.update(reply=reply.first.frame, reply_end=reply.last.frame)
            if reply is not None and reply.refusing:
                known[WORDS] = decode(reply.words, MAX_WORDS)
            added = Exchange(known, dict(evidence))
            self.exchanges.append(added)
        self.previous, self.reply, self.replied = command, reply, replied
        return added

    def add_reply(self, reply: SmtpReply, *, requested: bool | None) -> None:
        """Add a reply without a request; `requested` is None where that was not captured."""
        self.number += 1
        if self.number <= MAX_EXCHANGES:
            facts: dict[str, Fact] = {"number": self.number, "request_seen": requested, "replied": True, "reply_code": reply.code}
            self.exchanges.append(Exchange(facts, {"reply": reply.first.frame, "reply_end": reply.last.frame}))
