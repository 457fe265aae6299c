"""A command as a row of the transactions table, before it is answered.

Promises: passwords are hidden unless the redactor is not enabled.
Must not know: replies' meaning, data connections.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from analyzer.applications import ftp_secrets
from analyzer.applications.dialogue import WORDS
from analyzer.tables import NO_TIME

if TYPE_CHECKING:
    from analyzer.applications.dialogue import Cell, Dialogue
    from analyzer.applications.ftp_commands import Command
    from analyzer.applications.ftp_replies import Reply
    from analyzer.applications.ftp_session import Session
    from analyzer.applications.redactor import Redactor
    from analyzer.applications.streams import Line, Spot

_FIRST_REFUSAL: Final = 400


def of_command(line: Line, command: Command, number: int, session: Session, redactor: Redactor) -> dict[str, Cell]:
    """Return the row of a command; what its reply says is added when it comes."""
    verb = ftp_secrets.verb(command, redactor, trusted=session.trusted)
    argument = ftp_secrets.argument(command, redactor, torn=line.end == "gap")
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


def of_reply(reply: Reply, number: int, session: Session) -> dict[str, Cell]:
    """Return the row of a reply to nothing that was captured."""
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


def latency(before: Spot, after: Spot) -> int | None:
    """Return the time from one byte to another in ns; None where it is not known."""
    return None if NO_TIME in {before.time, after.time} else after.time - before.time


def note_refusals(dialogue: Dialogue) -> None:
    """Give each exchange that was refused the words of its row's reply."""
    for exchange, row in zip(dialogue.exchanges, dialogue.rows, strict=True):
        code = exchange.facts.get("reply_code")
        if code is not None and int(code) >= _FIRST_REFUSAL:
            exchange.facts[WORDS] = f"{code} {row['reply']}".strip()
