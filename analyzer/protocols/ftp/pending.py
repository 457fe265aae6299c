"""Match the replies of an FTP server to the commands that wait for one.

Replies answer commands in order, except the reply to a command sent during a transfer (STAT, ABOR, NOOP): the transfer keeps waiting. At
most `MAX_AHEAD` commands are searched.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final

from analyzer.protocols.ftp import text
from analyzer.protocols.ftp.session import note_missing_reply

if TYPE_CHECKING:
    from collections import deque

    from analyzer.protocols.ftp.state import FtpSession, PendingCommand

MAX_AHEAD: Final = 16
"""Commands behind the oldest one that a reply may belong to."""


def announced(pending: deque[PendingCommand], code: int) -> PendingCommand | None:
    """Return the command that a reply 1yz belongs to: the first whose entry lists the code, else the oldest; None when none waits."""
    found = next((issued for issued in islice(pending, MAX_AHEAD) if not issued.marked and code in issued.command.known.marks), None)
    return found or (pending[0] if pending else None)


def move_on(pending: deque[PendingCommand], session: FtpSession) -> None:
    """Drop the oldest command when the client continues without its reply: a line without a code was the reply, or it was no command."""
    first = pending[0] if len(pending) == 1 else None
    if first is not None and first.stray is not None and not first.marked:
        pending.popleft()
        note_missing_reply(session, first)
        first.exchange.facts["replied"] = True
        first.exchange.evidence["reply"] = first.exchange.evidence["reply_end"] = first.stray.first.frame
        size = first.stray.stop - first.stray.start
        text_ = text.text(first.stray.text.strip())
        first.row.update(reply=text_, response_bytes=size, last_frame=first.stray.last.frame, complete=True)
    while pending and all(issued.guessed for issued in pending):
        # Of the line they stood in only the first command was answered.
        pending.popleft().exchange.facts["replied"] = None


def take(pending: deque[PendingCommand], code: int) -> PendingCommand | None:
    """Remove and return the command that a final reply answers; None when none waits."""
    if not pending:
        return None
    first = pending[0]
    if first.marked and code not in first.command.known.replies:
        for place in range(1, min(len(pending), MAX_AHEAD)):
            if code in pending[place].command.known.replies:
                found = pending[place]
                del pending[place]
                return found
    return pending.popleft()
