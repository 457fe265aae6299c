"""A command as a row of the transactions table, before it is answered.

Promises: passwords are hidden unless the redactor is not enabled.
Must not know: replies' meaning, data connections.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from analyzer.applications import ftp_secrets

if TYPE_CHECKING:
    from analyzer.applications.dialogue import Cell
    from analyzer.applications.ftp_commands import Command
    from analyzer.applications.ftp_replies import Reply
    from analyzer.applications.ftp_session import Session
    from analyzer.applications.redactor import Redactor
    from analyzer.applications.streams import Line


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
