"""Handle STARTTLS (RFC 3207), and bytes in the clear between the command and TLS.

Bytes sent in the clear behind STARTTLS or its reply, and before TLS, are never parsed as part of the dialogue.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from analyzer.protocols import tls
from analyzer.protocols.smtp.state import precedes
from analyzer.reassembly.reader import Position

if TYPE_CHECKING:
    from analyzer.protocols.smtp.commands import SmtpCommand
    from analyzer.protocols.smtp.replies import SmtpReply
    from analyzer.protocols.smtp.session import SmtpSession
    from analyzer.reassembly.reader import Line

READY: Final = 220
MAX_INJECTED: Final = 1_000
"""Replies in the clear behind the one to STARTTLS that are counted."""


def start(session: SmtpSession, line: Line, command: SmtpCommand) -> None:
    """Handle STARTTLS: behind 220 each side's next byte is TLS; bytes sent before the 220 may be read by the server inside TLS."""
    session.starttls = session.starttls or line.first
    reply = session.answer(line.first)
    session.starttls_reply = reply
    agreed = reply is None or reply.code == READY
    injected = _pass_injected(session, line, reply) if agreed else 0
    head = session.client.peek(tls.HEAD_BYTES)
    begins = tls.begins(head)
    # Where the client sent commands too early, the server's text may be the replies to them.
    replies = _pass_replies(session) if begins and agreed and reply is not None and not injected else []
    exchange = session.exchange(
        command,
        (line.first, line.last),
        reply,
        needed=["starttls"],
        injected=injected if agreed else None,
        injected_replies=len(replies) if agreed and begins else None,
    )
    if replies and exchange is not None:
        exchange.evidence["injected_reply"] = replies[0].frame
    if begins or session.server_begins_tls():
        session.begin_tls(agreed=agreed)
    elif reply is not None and agreed:
        session.tls_missing = True if len(head) >= tls.MIN_HEAD_BYTES else None
        session.tls_missing_at = session.client.position() if session.tls_missing else None
    elif reply is not None and reply.refusing:
        session.tls_refused = True


def _pass_replies(session: SmtpSession) -> list[Position]:
    """Skip the server's clear text before TLS; return where each reply begins, up to a gap."""
    found = list[Position]()
    while len(found) < MAX_INJECTED and (reply := session.replies.peek()) is not None and not reply.after_gap:
        found.append(reply.first)
        session.replies.take()
    return found


def _pass_injected(session: SmtpSession, line: Line, reply: SmtpReply | None) -> int:
    """Skip the client's bytes between STARTTLS and its reply, up to TLS; return their number."""
    client, start = session.client, session.client.at
    if reply is None and start < session.clear_until:
        return 0
    while (position := client.position()) is not None and not client.gap and not tls.begins(client.peek(tls.HEAD_BYTES)):
        early = precedes(position, reply.last) if reply is not None else position.frame == line.last.frame
        if not early:
            break
        session.injected = session.injected or position
        client.line()
    if reply is None and not tls.begins(client.peek(tls.HEAD_BYTES)):
        # Neither a reply nor TLS: these were commands.
        session.clear_until = client.at
        client.at, session.injected = start, None
    return client.at - start
