"""Parse SMTP and LMTP: a session of commands and replies from the two streams.

Commands are taken one by one from the client's stream, and for each its reply from the server's, so the replies decide what is content, an
answer to AUTH or TLS, as they did for the client. Order between the two directions is that of frames. Never raises on any bytes; facts that
the capture does not show are None; secrets are redacted unless the context has them shown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from analyzer.protocols import tls
from analyzer.protocols.redacted import prepare, redact_dialogue
from analyzer.protocols.smtp import chunks, commands, delivery, messages, starttls, summary
from analyzer.protocols.smtp import content as content_
from analyzer.protocols.smtp import login as login_
from analyzer.protocols.smtp.replies import SmtpReply, rest
from analyzer.protocols.smtp.session import MIN_REPLIES_BYTES, SmtpSession
from analyzer.protocols.smtp.state import parse_offer

if TYPE_CHECKING:
    from collections.abc import Callable

    from analyzer.protocols.api import Dialogue, ParserContext
    from analyzer.protocols.smtp.commands import SmtpCommand
    from analyzer.protocols.smtp.content import Content
    from analyzer.reassembly.reader import Line, Reader

START_INPUT: Final = 354
MIN_ENVELOPE_BYTES: Final = len(b".\r\nMAIL FROM:<>\r\nRCPT TO:<a>\r\nDATA\r\n")
"""Bytes of a client from the end of one message's content to the beginning of the next one's, at least."""


def read(client: Reader, server: Reader, context: ParserContext) -> Dialogue:
    """Return the dialogue from the current positions of the readers (RFC 5321; LMTP: RFC 2033)."""
    context, redactor = prepare(context)
    session = SmtpSession.of(client, server, context, redactor)
    session.greet()
    while not client.ended and session.tls is None:
        if client.gap:
            client.jump()
            session.lose()
            continue
        line = client.line()
        if line is None:
            break
        if tls.begins(line.data):
            client.at = line.start
            # TLS from the first byte contradicts nothing that came before; detection reports it.
            session.begin_tls(agreed=None if session.lost or not session.log.number else False)
        elif (session.lost or session.uncertain or line.end in {"gap", "end"}) and not commands.is_certain(line.data):
            rest(client, line)
            _skip_uncertain_line(session, line)
        else:
            _handle_command(session, line)
    session.take_rest()
    found = summary.conclude(session)
    if redactor.enabled:
        messages.hide(found.rows, redactor.patterns)
    redact_dialogue(found, redactor)
    return found


def _skip_uncertain_line(session: SmtpSession, line: Line) -> None:
    """Skip a line that may be anything: behind a gap only the end of data is distinguishable, by its reply."""
    # The replies to lines that were no commands are as uncertain as they.
    session.desynchronised |= session.uncertain
    session.note_torn(line)
    if not session.lost or line.data != b"." or not line.whole:
        return
    reply = session.answer(line.first)
    if reply is None or not (reply.positive or reply.refusing):
        return
    message = session.message or session.begin_message(line, None)
    session.exchange(commands.SmtpCommand("content", b""), (line.first, line.last), reply)
    message.verb = message.verb or "DATA"
    message.note_reply(reply, line.last)
    session.state.close_mail()
    session.settle()


def _handle_command(session: SmtpSession, line: Line) -> None:
    """Handle a command line and the bytes that belong to it."""
    command = commands.parse(line.data, session.vocabulary.verbs)
    if line.end == "gap":
        session.note_torn(line)
    session.note_command(line, command, rest(session.client, line))
    _HANDLERS.get(command.verb, _plain)(session, line, command)
    session.lost, session.lost_next = session.lost_next, False
    session.uncertain, session.uncertain_next = session.uncertain_next, False


def _plain(session: SmtpSession, line: Line, command: SmtpCommand) -> None:
    """NOOP, VRFY, EXPN, HELP and the like; and lines that are no command."""
    credentials = False
    if command.verb == "other":
        credentials = session.note_unknown(line)
    elif command.verb == "quit":
        session.quit = session.quit or line.first
    reply = session.answer(line.first)
    session.exchange(command, (line.first, line.last), reply, credentials=credentials)


def _hello(session: SmtpSession, line: Line, command: SmtpCommand) -> None:
    reply = session.answer(line.first)
    session.exchange(command, (line.first, line.last), reply)
    state = session.state
    if reply is None or reply.positive or session.hello is None:
        session.hello = (command.verb, commands.decode(command.argument.strip(), 255))
    if reply is None or reply.code is None:
        state.greeted = state.greeted or None
        state.offered = state.offered if command.verb == "helo" else None
        session.hello_refused = None
    elif reply.refusing:
        session.hello_refused = None if state.greeted is None else not state.greeted
    elif reply.positive:
        session.settle()
        state.close_mail()
        session.hello_refused = False
        state.note_offer(_offer(command, reply), reply.last)
        session.early_offered = session.early_offered or state.offers_early()
        session.offered_first = state.offered if session.offered_first is None else session.offered_first


def _offer(command: SmtpCommand, reply: SmtpReply) -> dict[bytes, bytes] | None:
    if command.verb == "helo":
        return {}
    return None if reply.has_gap else parse_offer(reply.lines)


def _path(line: Line, command: SmtpCommand) -> tuple[str | None, list[bytes]]:
    """Return the address and the parameters of MAIL or RCPT; an address whose rest was not captured ends with …."""
    path, parameters = commands.split_path(command.argument)
    return (path + "…" if path is not None and line.end == "gap" else path), parameters


def _mail(session: SmtpSession, line: Line, command: SmtpCommand) -> None:
    path, parameters = _path(line, command)
    reply = session.answer(line.first)
    session.exchange(command, (line.first, line.last), reply, needed=commands.needs(command, parameters))
    state = session.state
    if state.mail_open and reply is not None and reply.refusing:
        return  # the open transaction remains
    session.settle()
    session.first_mail = session.first_mail or line.first
    message = session.begin_message(line, path)
    message.declared = commands.declared_size(parameters)
    message.note_reply(reply, line.last)
    message.denied = reply is not None and reply.refusing
    state.close_mail()
    state.mail_open = None if reply is None or reply.code is None else reply.positive
    state.mail_refusal = reply.last if reply is not None and reply.refusing else None


def _recipient(session: SmtpSession, line: Line, command: SmtpCommand) -> None:
    path, parameters = _path(line, command)
    reply = session.answer(line.first)
    exchange = session.exchange(command, (line.first, line.last), reply, needed=commands.needs(command, parameters))
    state = session.state
    if session.message is None and (reply is None or reply.positive):
        session.begin_message(line, None)
    if session.message is not None:
        session.message.add_recipient(path, reply, exchange, listed=session.list_recipient(path))
        session.message.note_reply(reply, line.last)
        session.message.stop = line.stop
    if reply is not None and reply.refusing:
        state.recipient_refusal = reply.last
    elif state.recipients is not None:
        state.recipients += 1


def _data(session: SmtpSession, line: Line, command: SmtpCommand) -> None:
    reply = session.answer(line.first)
    session.exchange(command, (line.first, line.last), reply)
    if session.message is not None:
        session.message.verb = session.message.verb or "DATA"
        session.message.note_reply(reply, line.last)
        session.message.stop = line.stop
    if _content_follows(session, reply):
        _content(session)
    elif reply is not None and reply.refusing:
        session.data_refused = True


def _content_follows(session: SmtpSession, reply: SmtpReply | None) -> bool:
    """Return whether content follows DATA; without a clear reply the client's next line decides."""
    client = session.client
    if reply is not None and (reply.code == START_INPUT or reply.refusing):
        return reply.code == START_INPUT
    line = client.line()
    if line is None:
        return False
    client.at = line.start
    return not commands.is_certain(line.data)


def _content(session: SmtpSession) -> None:
    client = session.client
    content = content_.read(client, session.is_answered, lax=session.ends.only_lf or session.never_strict)
    session.note_content(content)
    if content.first is None or content.last is None:
        return
    replies = delivery.final_replies(session, content.first)
    hidden = session.client.missing(content.start, content.stop) if content.has_gap else 0
    if hidden >= MIN_ENVELOPE_BYTES and replies and replies[0].gap >= MIN_REPLIES_BYTES:
        _split_content(session, content, replies)
        return
    reply = delivery.settling(replies)
    positions = (content.first, content.last)
    size = None if content.has_gap else content.size
    session.exchange(
        commands.SmtpCommand("content", b""),
        positions,
        reply,
        needed=[],
        content_size=size,
        end_strict=content.ended == "strict" if content.ended in {"strict", "lax"} else None,
        **delivery.facts(replies),
    )
    message = session.message or session.begin_message_at(content.start, content.first)
    message.verb = message.verb or "DATA"
    message.size, message.has_gap = size, message.has_gap or content.has_gap
    message.complete = content.ended in {"strict", "lax"} and not message.has_gap and reply is not None
    delivery.deliver(session, message, replies, content.last)
    if content.ended or reply is not None:
        session.state.close_mail()
        session.settle()
    if content.ended == "gap":
        # Commands may have been lost with the end of data.
        session.lose()
        session.lost_next = True


def _split_content(session: SmtpSession, content: Content, replies: list[SmtpReply]) -> None:
    """Handle a content that may end in another message than it began in.

    Both directions have a gap that may hold the end of this message, its reply and the beginning of another one.
    """
    first, last = content.first, content.last
    if first is None or last is None:
        return
    message = session.message or session.begin_message_at(content.start, first)
    message.verb, message.has_gap, message.size = message.verb or "DATA", True, None
    message.last, message.stop = max(message.last or first, first), max(message.stop, content.start)
    session.exchange(commands.SmtpCommand("content", b""), (first, first), None, needed=[])
    session.settle()
    session.log.lose()
    reply = delivery.settling(replies)
    session.exchange(commands.SmtpCommand("content", b""), (last, last), reply, needed=[], **delivery.facts(replies))
    other = session.begin_message_at(session.client.at, last)
    other.verb, other.has_gap = "DATA", True
    delivery.deliver(session, other, replies, last)
    session.state.close_mail()
    session.settle()


def _reset(session: SmtpSession, line: Line, command: SmtpCommand) -> None:
    reply = session.answer(line.first)
    session.exchange(command, (line.first, line.last), reply)
    if reply is None or reply.positive:
        session.settle()
        session.state.close_mail()


def _login(session: SmtpSession, line: Line, command: SmtpCommand) -> None:
    """AUTH (RFC 4954 4): 334 requests an answer, until another reply ends the exchange."""
    offered = session.state.offered
    listed = None if offered is None else offered.get(b"AUTH", b"").upper().split()
    login, last = login_.begin(command.argument, listed or [], session.vocabulary.mechanisms), line.last
    reply = session.answer(line.first)
    while login.answered < login_.MAX_ANSWERS and (prompt := _prompt(session, login, reply)) is not None:
        answer = session.client.line()
        if answer is None:
            break
        session.note_answer(answer, rest(session.client, answer))
        if answer.end == "gap":
            session.note_torn(answer)
        login.add(answer.data.strip(b" \t\r"), prompt[0])
        login.answered, last = login.answered + 1, answer.last
        reply = session.answer(answer.first)
    session.redactor.add(*login_.secrets(login))
    session.exchange(
        command,
        (line.first, last),
        reply,
        needed=commands.needs(command, []),
        credentials=login.in_clear,
        mechanism_offered=None if listed is None else login.token.upper() in listed,
        turns=login.answered,
        cancelled=login.cancelled,
    )
    session.note_login(login, reply)


def _prompt(session: SmtpSession, login: login_.Login, reply: SmtpReply | None) -> tuple[bytes | None] | None:
    """Return the server's prompt, (None,) where it was not captured and the client's next line is an answer; None when no answer is due."""
    if reply is not None:
        return (reply.text.strip(),) if reply.code == 334 and not session.client.gap else None  # noqa: PLR2004 - server challenge
    if session.client.gap or not login.due or not session.may_have_replied:
        return None
    line = session.client.line()
    if line is None:
        return None
    session.client.at = line.start
    return (None,) if login_.is_answer(line.data) and (line.data == b"*" or not commands.is_certain(line.data)) else None


_HANDLERS: Final[dict[str, Callable[[SmtpSession, Line, SmtpCommand], None]]] = {
    "helo": _hello,
    "ehlo": _hello,
    "lhlo": _hello,
    "mail": _mail,
    "rcpt": _recipient,
    "data": _data,
    "bdat": chunks.take,
    "rset": _reset,
    "auth": _login,
    "starttls": starttls.start,
}
