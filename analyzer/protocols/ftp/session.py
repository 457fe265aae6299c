"""What an FTP control connection has come to: who is logged in, where, how protected, and how the next data connection is set up.

Every command and every reply is told to a `Session`, in order; it keeps the state and writes what follows from it into the exchange.

Promises: a command changes the state only when its reply says that it was carried out; what the capture does not tell stays unknown.
Must not know: segments, rules.
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

_LONGEST_PATH: Final = 1_000
_FIRST_FINAL, _FIRST_MORE, _FIRST_REFUSAL = 200, 300, 400
_TRANSFERRED: Final = frozenset({226, 250})


def ask(session: FtpSession, asked: PendingCommand) -> None:
    """Take note of a command."""
    act = _ASKS.get(asked.command.known.name)
    if act:
        act(session, asked)
    if asked.command.known.data:
        asked.exchange.facts["transfer"] = True


def announce(session: FtpSession, asked: PendingCommand) -> None:
    """Take note of a reply 1yz: the data connection is about to be used."""
    setup.bind(session, asked)
    setup.use(session, asked)


def answer(session: FtpSession, asked: PendingCommand, reply: FtpReply) -> None:
    """Take note of a final reply."""
    code = reply.code or 0
    act = _ANSWERS.get(asked.command.known.name)
    if act:
        act(session, asked, code, reply)
    if asked.command.known.data:
        setup.bind(session, asked)
        if asked.channel:
            asked.channel.until = reply.last.frame
        if code < _FIRST_REFUSAL:
            setup.use(session, asked)
        if code in _TRANSFERRED:
            session.files += asked.command.known.data != "list"
            session.listings += asked.command.known.data == "list"


def miss(session: FtpSession, asked: PendingCommand) -> None:
    """Take note that the reply to a command was not captured, if there was one."""
    if asked.command.known.data:
        setup.bind(session, asked)
    elif asked.channel:
        setup.set_up(session, asked.channel)
    elif asked.command.known.name in _ANSWERS:
        session.lose()


# Logging in


def _ask_user(session: FtpSession, asked: PendingCommand) -> None:
    argument = asked.command.argument
    name = argument.split(None, 1)[0] if argument.split() else b""
    shown = str(asked.row["argument"])
    session.user = shown.partition(" ")[0].removesuffix(HIDDEN).rstrip(":")
    session.anonymous = name.decode("latin-1").lower() in session.table.guests
    session.login = "pending"
    asked.row["user"] = session.user
    _note_clear(session, asked)


def _ask_password(session: FtpSession, asked: PendingCommand) -> None:
    if session.login != "accepted":
        session.login = "pending"
    credentials = None if session.anonymous is None else not session.anonymous
    asked.exchange.facts["credentials"] = bool(asked.command.argument.strip()) and credentials
    _note_clear(session, asked)


def _note_clear(session: FtpSession, asked: PendingCommand) -> None:
    if session.auth == "refused" and "clear_after_refusal" not in session.dialogue.facts:
        session.dialogue.facts["clear_after_refusal"] = True
        session.dialogue.places["clear_after_refusal"] = asked.exchange.places["request"]


def _answer_login(session: FtpSession, asked: PendingCommand, code: int, reply: FtpReply) -> None:
    refused = code >= _FIRST_REFUSAL and code not in session.table.no_login_refusals
    asked.exchange.facts["refused_login"] = refused
    if code < _FIRST_MORE:
        session.login = "accepted"
    elif code < _FIRST_REFUSAL:
        session.login = "pending"
    elif refused:
        session.login = "refused"
        session.failures += 1
        session.dialogue.places["login_failure"] = reply.first.frame
    elif session.login == "pending":
        session.login = "refused"


def _answer_rein(session: FtpSession, _asked: PendingCommand, code: int, _reply: FtpReply) -> None:
    if _FIRST_FINAL <= code < _FIRST_MORE:
        session.login, session.user, session.anonymous, session.cwd = "none", "", None, ""


# Protection


def _ask_auth(session: FtpSession, asked: PendingCommand) -> None:
    session.auth = "pending"
    session.dialogue.places["auth"] = asked.exchange.places["request"]


def _answer_auth(session: FtpSession, _asked: PendingCommand, code: int, _reply: FtpReply) -> None:
    session.auth = "accepted" if code < _FIRST_REFUSAL else "refused"


def _answer_prot(session: FtpSession, asked: PendingCommand, code: int, _reply: FtpReply) -> None:
    if _FIRST_FINAL <= code < _FIRST_MORE:
        session.prot = session.table.protections.get(asked.command.argument.strip().upper())


# Directories


def _answer_cwd(session: FtpSession, asked: PendingCommand, code: int, _reply: FtpReply) -> None:
    if not _FIRST_FINAL <= code < _FIRST_MORE:
        return
    name = asked.command.known.name
    target = ".." if name in {"CDUP", "XCUP"} else str(asked.row["argument"])
    session.cwd = _walk(session.cwd, target)


def _answer_pwd(session: FtpSession, _asked: PendingCommand, code: int, reply: FtpReply) -> None:
    if code == 257:  # noqa: PLR2004 - the one code that names a path
        said = reply.text
        start, stop = said.find(b'"'), said.rfind(b'"')
        path = text(said[start + 1 : stop].replace(b'""', b'"')) if start < stop else ""
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
    return joined if len(joined) <= _LONGEST_PATH else ""


_ASKS: Final[dict[str, Callable[[FtpSession, PendingCommand], None]]] = {
    "USER": _ask_user,
    "PASS": _ask_password,
    "ACCT": _ask_password,
    "AUTH": _ask_auth,
    "PORT": setup.ask_active,
    "EPRT": setup.ask_active,
    "LPRT": setup.ask_active,
    "PASV": setup.ask_passive,
    "CPSV": setup.ask_passive,
    "LPSV": setup.ask_passive,
}
_ANSWERS: Final[dict[str, Callable[[FtpSession, PendingCommand, int, FtpReply], None]]] = {
    "USER": _answer_login,
    "PASS": _answer_login,
    "ACCT": _answer_login,
    "REIN": _answer_rein,
    "AUTH": _answer_auth,
    "ADAT": _answer_auth,
    "PROT": _answer_prot,
    "CWD": _answer_cwd,
    "XCWD": _answer_cwd,
    "CDUP": _answer_cwd,
    "XCUP": _answer_cwd,
    "PWD": _answer_pwd,
    "XPWD": _answer_pwd,
    "PORT": setup.answer_active,
    "EPRT": setup.answer_active,
    "LPRT": setup.answer_active,
    "PASV": setup.answer_passive,
    "CPSV": setup.answer_passive,
    "EPSV": setup.answer_passive,
    "LPSV": setup.answer_passive,
    "MODE": setup.answer_mode,
}
"""What follows from a command, and from its final reply; a command that is not here changes nothing."""
