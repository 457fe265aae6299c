"""Handle BDAT (RFC 3030): its octets follow the command whatever the reply, unless the dialogue shows that they did not.

A client that is refused before it sent an octet often sends none, and a server that does not support BDAT reads the octets as commands:
the replies, and the client's next line, decide. Octets of a chunk are skipped and never copied; each line is examined a fixed number of
times.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from analyzer.protocols.smtp import commands, delivery
from analyzer.protocols.smtp.state import precedes

if TYPE_CHECKING:
    from analyzer.protocols.smtp.commands import Chunk, SmtpCommand
    from analyzer.protocols.smtp.replies import SmtpReply
    from analyzer.protocols.smtp.session import SmtpSession
    from analyzer.reassembly.reader import Line

_UNKNOWN: Final = frozenset({500, 502})
"""Replies to a command that the server does not have (RFC 5321 4.2.4)."""


def take(session: SmtpSession, line: Line, command: SmtpCommand) -> None:
    """Handle BDAT, its octets and the reply."""
    client, chunk = session.client, commands.chunk(command.argument)
    start = client.at
    moved, refused = _skip(session, line, chunk)
    last = (client.position(client.at - 1) if moved else None) or line.last
    final = chunk.last and chunk.fault == "none"
    replies = delivery.final_replies(session, line.first) if final else [reply] if (reply := session.answer(line.first)) else []
    reply = delivery.settling(replies)
    session.exchange(
        command,
        (line.first, last),
        reply,
        needed=commands.needs(command, []),
        chunk_fault=chunk.fault,
        chunk_last=chunk.last,
        **delivery.facts(replies),
    )
    session.state.chunked = True
    # What follows a chunk of unknown size may be its octets.
    session.uncertain_next = chunk.fault != "none"
    short = chunk.size is not None and moved < chunk.size
    if short and not refused:
        session.note_unfinished(last)
    message = session.message or session.begin_message(line, None)
    message.verb, message.chunks = message.verb or "BDAT", message.chunks + 1
    message.size = (message.size or 0) + moved
    message.has_gap = message.has_gap or bool(client.missing(start, start + moved))
    message.complete = final and not short and not message.has_gap and reply is not None
    delivery.deliver(session, message, replies, last)
    if final:
        session.state.close_mail()
        session.settle()


def _skip(session: SmtpSession, line: Line, chunk: Chunk) -> tuple[int, bool]:
    """Move behind the octets of a chunk; return their number and whether the server refused it before it had read them all."""
    client, start, size = session.client, session.client.at, chunk.size or 0
    moved = client.skip(size)
    reply = session.coming(line.first)
    if not size or reply is None or not reply.refusing:
        return moved, False
    if _are_commands(session, reply, start):
        client.at = start
    elif moved < size:
        client.at = _resumed(session, reply, start) or client.at
    else:
        return moved, False
    return client.at - start, True


def _are_commands(session: SmtpSession, reply: SmtpReply, start: int) -> bool:
    """Return whether what follows a refused BDAT from `start` on was sent, or read, as commands; the client stands behind the octets."""
    client, behind = session.client, session.client.at
    if reply.code in _UNKNOWN:
        return True
    follows, after = session.replies.peek(1), client.position()
    if follows is not None and follows.code in _UNKNOWN and not follows.after_gap and (after is None or not precedes(after, follows.first)):
        # The server replied to the octets before the client sent anything else.
        return True
    client.at = start
    line = client.line()
    client.at = behind
    return line is not None and commands.is_certain(line.data) and precedes(reply.last, line.first)


def _resumed(session: SmtpSession, reply: SmtpReply, start: int) -> int | None:
    """Return the offset where the client, refused in the middle of a chunk, continues with commands; None when it does not."""
    client, behind, found = session.client, session.client.at, None
    client.at = start
    while found is None and not client.ended:
        line = client.line()
        if line is None:
            client.jump()
        elif precedes(reply.last, line.first) and commands.is_certain(line.data):
            found = line.start
    client.at = behind
    return found
