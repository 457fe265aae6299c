"""Build the dialogue of a finished SMTP session: facts, evidence and the one-line summary.

Fills every fact and place that rules/protocols/smtp.toml declares, and those that any.toml leaves to the parser.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from analyzer.protocols import timing
from analyzer.protocols.api import Dialogue, Fact
from analyzer.protocols.smtp.commands import decode
from analyzer.protocols.smtp.state import MIN_REFUSAL

if TYPE_CHECKING:
    from analyzer.protocols.smtp.session import SmtpSession

_NAME: Final = re.compile(rb"[A-Za-z0-9._\[\]:-]{1,100}")
_KINDS: Final = {"helo": "SMTP", "ehlo": "ESMTP", "lhlo": "LMTP"}


def conclude(session: SmtpSession) -> Dialogue:
    """Return the dialogue of a session that was read to its end."""
    agreed = session.tls is not None and session.tls_agreed is not False and not _is_tls_only(session)
    return Dialogue(
        "smtp",
        summary=summarise(session),
        facts={**_common(session), **_own(session)},
        evidence=_evidence(session),
        exchanges=session.log.exchanges,
        rows=session.rows,
        tls="starttls" if agreed else "",
        tls_position=session.tls if agreed else None,
        dropped=session.messages - len(session.rows),
        cut=session.unlisted > 0 or session.log.dropped > 0,
    )


def _common(session: SmtpSession) -> dict[str, Fact]:
    greeting, code = session.greeting, session.greeting.code if session.greeting else None
    early: bool | None = True if session.early is not None and not _is_tls_only(session) else None
    if early is None and session.early is None and greeting is not None and not session.context.one_sided:
        early = False
    return {
        "greeting_code": code,
        "greeting_expected": None if greeting is None or greeting.has_gap else code in session.vocabulary.greetings,
        "greeting_refusal": None if greeting is None else greeting.refusing,
        "greeting_after": None if greeting is None else timing.since(session.context.opened_at, greeting.first),
        "greeting_delayed": None if greeting is None else False,
        "early": early,
        "early_excused": session.early_offered if early else None,
        "tls_missing": session.tls_missing,
        "clear_after_refusal": session.clear_again is not None,
    }


def _is_tls_only(session: SmtpSession) -> bool:
    """Return whether the client sent nothing in the clear before its TLS, and all of its bytes were captured."""
    return session.tls is not None and not session.log.number and not session.lost


def _own(session: SmtpSession) -> dict[str, Fact]:
    reply, known = session.starttls_reply, not session.may_have_replied
    requested = session.starttls is not None
    port = session.context.server_port
    return {
        "hello": session.hello[0] if session.hello else "none" if session.context.whole else None,
        "hello_refused": session.hello_refused,
        "starttls_offered": None if session.offered_first is None else b"STARTTLS" in session.offered_first,
        "starttls_asked": requested,
        "starttls_code": reply.code if reply is not None else None,
        "tls_unagreed": session.tls is not None and session.tls_agreed is False,
        "messages": session.messages,
        "messages_taken": session.delivered,
        "recipients_named": session.recipients,
        "recipients_refused": session.refused,
        "logins": session.logins,
        "login_code": session.login_code,
        "bare_lf": session.ends.bare_lf,
        "bare_cr": session.ends.bare_cr,
        "false_ends": session.false_ends,
        "longest_command": session.longest.get("command", (0, None))[0],
        "longest_answer": session.longest.get("answer", (0, None))[0],
        "longest_text": session.longest.get("text", (0, None))[0],
        "longest_reply": session.replies.longest,
        "malformed_replies": session.replies.malformed,
        "reply_fault": session.replies.fault,
        "unknown_commands": session.unknown,
        "content_refused": session.content_refused is not None,
        "unfinished": session.unfinished is not None,
        "spoke_after_refusal": session.after_refusal is not None,
        "unchecked": session.log.dropped,
        "quit_seen": True if session.quit is not None else None if session.lost or session.client.gap else False,
        "shut_down": True if session.shut is not None else False if known else None,
        "went_on": session.went_on is not None,
        "submission_port": port in session.vocabulary.submission_ports,
        "submissions_port": port in session.vocabulary.tls_ports,
    }


def _evidence(session: SmtpSession) -> dict[str, int | None]:
    positions = {
        "greeting": session.greeting.first if session.greeting else None,
        "early": session.early if not _is_tls_only(session) else None,
        "starttls": session.starttls,
        "injected": session.injected,
        "tls_unagreed": session.tls if session.tls_agreed is False else None,
        "clear_after_refusal": session.clear_again,
        "tls_missing": session.tls_missing_at,
        "bare": session.ends.first,
        "false_end": session.false_end,
        "long_command": session.longest.get("command", (0, None))[1],
        "long_answer": session.longest.get("answer", (0, None))[1],
        "long_text": session.longest.get("text", (0, None))[1],
        "long_reply": session.replies.longest_at,
        "malformed": session.replies.fault_at,
        "unknown": session.first_unknown,
        "content_refused": session.content_refused,
        "unfinished": session.unfinished,
        "after_refusal": session.after_refusal,
        "quit": session.quit,
        "shut_down": session.shut,
        "went_on": session.went_on,
        "first_mail": session.first_mail,
    }
    return {name: position.frame for name, position in positions.items() if position is not None}


def summarise(session: SmtpSession) -> str:
    """Return the session in one line."""
    name = _NAME.match(session.greeting.text.strip()) if session.greeting else None
    kind = _KINDS[session.hello[0]] if session.hello else "SMTP"
    parts = [f"{kind} {name[0].decode('ascii')}" if name else kind]
    if session.greeting is not None and session.greeting.refusing:
        parts[0] += f" refuses ({session.greeting.code})"
    parts += _login_part(session)
    if session.messages > 1:
        parts.append(f"{session.messages} messages")
    if session.recipients:
        parts.append(f"{session.recipients} recipient{'s' * (session.recipients != 1)}")
    if session.refused:
        parts.append(f"{session.refused} refused")
    parts += _tls_part(session)
    if session.shut is not None:
        parts.append("closed by 421")
    return ", ".join(parts)


def _login_part(session: SmtpSession) -> list[str]:
    login = session.login
    if login is None:
        return []
    text = f"AUTH {login.mechanism} {decode(login.name or b'', 100)}".rstrip()
    if not session.redactor.enabled and login.secret:
        text += f" with {decode(login.secret, 100)}"
    if session.login_code is None or session.login_code < MIN_REFUSAL:
        return [text]
    return [f"{text} {'cancelled' if login.cancelled else 'refused'}"]


def _tls_part(session: SmtpSession) -> list[str]:
    if _is_tls_only(session):
        return ["TLS from the client alone"]
    if session.tls is not None and session.tls_agreed is False:
        return ["TLS not agreed on"]
    if session.tls is not None:
        return ["STARTTLS"]
    if session.tls_missing:
        return ["STARTTLS agreed and not begun"]
    return ["STARTTLS refused"] if session.tls_refused else []
