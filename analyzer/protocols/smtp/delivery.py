"""Assign the server's final replies to a message's content: one reply, or with LMTP one per recipient (RFC 5321 4.1.1.4, RFC 2033 4.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analyzer.protocols.smtp.replies import SmtpReply

if TYPE_CHECKING:
    from analyzer.protocols.smtp.messages import Message
    from analyzer.protocols.smtp.session import SmtpSession
    from analyzer.reassembly.reader import Position


def final_replies(session: SmtpSession, first: Position) -> list[SmtpReply]:
    """Return the replies to the content: one; with LMTP one per accepted recipient (RFC 2033 4.2)."""
    wanted = 1
    if session.hello is not None and session.hello[0] == "lhlo" and session.message is not None:
        wanted = max(session.message.accepted, 1)
    replies = list[SmtpReply]()
    while len(replies) < wanted and (reply := session.answer(first)) is not None:
        replies.append(reply)
    return replies


def settling(replies: list[SmtpReply]) -> SmtpReply | None:
    """Return the reply to a content: of several (LMTP) the last that refuses it, else the last."""
    return next((reply for reply in reversed(replies) if reply.refusing), replies[-1] if replies else None)


def facts(replies: list[SmtpReply]) -> dict[str, bool | int]:
    """Return the facts of a delivery; none without a reply."""
    if not replies:
        return {}
    return {"delivered": any(reply.positive for reply in replies), "delivery_refused": sum(reply.refusing for reply in replies)}


def deliver(session: SmtpSession, message: Message, replies: list[SmtpReply], requested_at: Position) -> None:
    """Record the final replies in the message."""
    for reply in replies:
        message.note_reply(reply, requested_at)
    if session.hello is not None and session.hello[0] == "lhlo":
        message.delivery = [-1 if reply.code is None else reply.code for reply in replies]
    message.last, message.stop = max(message.last or requested_at, requested_at), session.client.at
