"""Update the state of an FTP control connection: login, directory, protection, and the set-up of the next data connection.

Every command and every reply comes here in order; the state goes into `FtpSession` and the resulting facts into the exchange. A command
changes the state only when its reply shows that it was carried out; what the capture does not show stays unknown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from analyzer.protocols.ftp import setup
from analyzer.protocols.ftp.text import text
from analyzer.protocols.redactor import HIDDEN

if TYPE_CHECKING:
    from collections.abc import Callable

    from analyzer.protocols.ftp.replies import FtpReply
    from analyzer.protocols.ftp.state import FtpSession, PendingCommand

_MAX_PATH: Final = 1_000
_FIRST_FINAL, _FIRST_MORE, _FIRST_REFUSAL = 200, 300, 400
_TRANSFERRED: Final = frozenset({226, 250})


def note_command(session: FtpSession, issued: PendingCommand) -> None:
    """Handle a command."""
    act = _ON_COMMAND.get(issued.command.known.name)
    if act:
        act(session, issued)
    if issued.command.known.data:
        issued.exchange.facts["transfer"] = True


def note_preliminary(session: FtpSession, issued: PendingCommand) -> None:
    """Handle a reply 1yz: the data connection is about to be used."""
    setup.bind(session, issued)
    setup.use(session, issued)


def note_reply(session: FtpSession, issued: PendingCommand, reply: FtpReply) -> None:
    """Handle a final reply."""
    code = reply.code or 0
    act = _ON_REPLY.get(issued.command.known.name)
    if act:
        act(session, issued, code, reply)
    if issued.command.known.data:
        setup.bind(session, issued)
        if issued.announcement:
            issued.announcement.until = reply.last.frame
        if code < _FIRST_REFUSAL:
            setup.use(session, issued)
        if code in _TRANSFERRED:
            session.files += issued.command.known.data != "list"
            session.listings += issued.command.known.data == "list"


def note_missing_reply(session: FtpSession, issued: PendingCommand) -> None:
    """Handle a command whose reply was not captured."""
    if issued.command.known.data:
        setup.bind(session, issued)
    elif issued.announcement:
        setup.set_up(session, issued.announcement)
    elif issued.command.known.name in _ON_REPLY:
        session.lose()


# Logging in


def _command_user(session: FtpSession, issued: PendingCommand) -> None:
    argument = issued.command.argument
    name = argument.split(None, 1)[0] if argument.split() else b""
    shown = str(issued.row["argument"])
    session.user = shown.partition(" ")[0].removesuffix(HIDDEN).rstrip(":")
    session.anonymous = name.decode("latin-1").lower() in session.table.guests
    session.login = "pending"
    issued.row["user"] = session.user
    _note_clear(session, issued)


def _command_password(session: FtpSession, issued: PendingCommand) -> None:
    if session.login != "accepted":
        session.login = "pending"
    credentials = None if session.anonymous is None else not session.anonymous
    issued.exchange.facts["credentials"] = bool(issued.command.argument.strip()) and credentials
    _note_clear(session, issued)


def _note_clear(session: FtpSession, issued: PendingCommand) -> None:
    if session.auth == "refused" and "clear_after_refusal" not in session.dialogue.facts:
        session.dialogue.facts["clear_after_refusal"] = True
        session.dialogue.evidence["clear_after_refusal"] = issued.exchange.evidence["request"]


def _reply_login(session: FtpSession, issued: PendingCommand, code: int, reply: FtpReply) -> None:
    refused = code >= _FIRST_REFUSAL and code not in session.table.no_login_refusals
    issued.exchange.facts["refused_login"] = refused
    if code < _FIRST_MORE:
        session.login = "accepted"
    elif code < _FIRST_REFUSAL:
        session.login = "pending"
    elif refused:
        session.login = "refused"
        session.failures += 1
        session.dialogue.evidence["login_failure"] = reply.first.frame
    elif session.login == "pending":
        session.login = "refused"


def _reply_rein(session: FtpSession, _issued: PendingCommand, code: int, _reply: FtpReply) -> None:
    if _FIRST_FINAL <= code < _FIRST_MORE:
        session.login, session.user, session.anonymous, session.cwd = "none", "", None, ""


# Protection


def _command_auth(session: FtpSession, issued: PendingCommand) -> None:
    session.auth = "pending"
    session.dialogue.evidence["auth"] = issued.exchange.evidence["request"]


def _reply_auth(session: FtpSession, _issued: PendingCommand, code: int, _reply: FtpReply) -> None:
    session.auth = "accepted" if code < _FIRST_REFUSAL else "refused"


def _reply_prot(session: FtpSession, issued: PendingCommand, code: int, _reply: FtpReply) -> None:
    if _FIRST_FINAL <= code < _FIRST_MORE:
        session.prot = session.table.protections.get(issued.command.argument.strip().upper())


# Directories


def _reply_cwd(session: FtpSession, issued: PendingCommand, code: int, _reply: FtpReply) -> None:
    if not _FIRST_FINAL <= code < _FIRST_MORE:
        return
    name = issued.command.known.name
    target = ".." if name in {"CDUP", "XCUP"} else str(issued.row["argument"])
    session.cwd = _walk(session.cwd, target)


def _reply_pwd(session: FtpSession, _issued: PendingCommand, code: int, reply: FtpReply) -> None:
    if code == 257:  # noqa: PLR2004 - the one code that names a path
        text_ = reply.text
        start, stop = text_.find(b'"'), text_.rfind(b'"')
        path = text(text_[start + 1 : stop].replace(b'""', b'"')) if start < stop else ""
        session.cwd = path if path.startswith("/") else ""


def _walk(base: str, target: str) -> str:
    """Return the path that `target` leads to from `base`; empty when that is unknown."""
    if not target.startswith("/") and not base:
        return ""
    path = list[str]() if target.startswith("/") else [part for part in base.split("/") if part]
    for part in target.split("/"):
        if part == "..":
            path = path[:-1]
        elif part not in {"", "."}:
            path.append(part)
    joined = "/" + "/".join(path)
    return joined if len(joined) <= _MAX_PATH else ""


_ON_COMMAND: Final[dict[str, Callable[[FtpSession, PendingCommand], None]]] = {
    "USER": _command_user,
    "PASS": _command_password,
    "ACCT": _command_password,
    "AUTH": _command_auth,
    "PORT": setup.command_active,
    "EPRT": setup.command_active,
    "LPRT": setup.command_active,
    "PASV": setup.command_passive,
    "CPSV": setup.command_passive,
    "LPSV": setup.command_passive,
}
_ON_REPLY: Final[dict[str, Callable[[FtpSession, PendingCommand, int, FtpReply], None]]] = {
    "USER": _reply_login,
    "PASS": _reply_login,
    "ACCT": _reply_login,
    "REIN": _reply_rein,
    "AUTH": _reply_auth,
    "ADAT": _reply_auth,
    "PROT": _reply_prot,
    "CWD": _reply_cwd,
    "XCWD": _reply_cwd,
    "CDUP": _reply_cwd,
    "XCUP": _reply_cwd,
    "PWD": _reply_pwd,
    "XPWD": _reply_pwd,
    "PORT": setup.reply_active,
    "EPRT": setup.reply_active,
    "LPRT": setup.reply_active,
    "PASV": setup.reply_passive,
    "CPSV": setup.reply_passive,
    "EPSV": setup.reply_passive,
    "LPSV": setup.reply_passive,
    "MODE": setup.reply_mode,
}
"""Handlers of final replies by command; other commands change nothing."""
