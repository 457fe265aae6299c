"""Build the transactions-table rows of FTP commands, before their replies are known. Passwords are redacted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from analyzer.protocols.api import WORDS
from analyzer.protocols.ftp import text

if TYPE_CHECKING:
    from analyzer.protocols.api import Cell, Dialogue
    from analyzer.protocols.ftp.commands import FtpCommand
    from analyzer.protocols.ftp.replies import FtpReply
    from analyzer.protocols.ftp.state import FtpSession
    from analyzer.protocols.redactor import Redactor
    from analyzer.reassembly.reader import Line

_FIRST_REFUSAL: Final = 400


def of_command(line: Line, command: FtpCommand, number: int, session: FtpSession, redactor: Redactor) -> dict[str, Cell]:
    """Return the row of a command; the columns of its reply are filled in later."""
    verb = text.verb(command, redactor, trusted=session.trusted)
    argument = text.argument(command, session.table, redactor, torn=line.end == "gap")
    return {
        "kind": "command",
        "number": number,
        "time": line.first.time,
        "first_frame": line.first.frame,
        "last_frame": line.last.frame,
        "request": f"{verb} {argument}" if argument else verb,
        "code": None,
        "reply": None,
        "latency_ms": None,
        "request_bytes": line.stop - line.start,
        "response_bytes": 0,
        "complete": False,
        "command": verb,
        "argument": argument,
        "user": session.user,
        "cwd": session.cwd,
    }


def of_reply(reply: FtpReply, number: int, session: FtpSession) -> dict[str, Cell]:
    """Return the row of a reply whose command was not captured."""
    return {
        "kind": "command",
        "number": number,
        "time": reply.first.time,
        "first_frame": reply.first.frame,
        "request": "",
        "request_bytes": 0,
        "user": session.user,
        "cwd": session.cwd,
    }


def note_refusals(dialogue: Dialogue) -> None:
    """Give each exchange that was refused the words of its row's reply."""
    for exchange, row in zip(dialogue.exchanges, dialogue.rows, strict=True):
        code = exchange.facts.get("reply_code")
        if code is not None and int(code) >= _FIRST_REFUSAL:
            exchange.facts[WORDS] = f"{code} {row['reply']}".strip()
