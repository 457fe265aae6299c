"""Which of the commands that wait a reply of an FTP server answers.

Replies answer commands in order, but for one to a command sent during a transfer (STAT, ABOR, NOOP): the transfer waits on.

Promises: at most `REACH` commands are looked at; what is returned by `take` waits no more.
Must not know: bytes, what a reply means.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final

from analyzer.protocols.ftp import text
from analyzer.protocols.ftp.session import miss

if TYPE_CHECKING:
    from collections import deque

    from analyzer.protocols.ftp.state import FtpSession, PendingCommand

REACH: Final = 16
"""Commands behind the oldest one that a reply may belong to."""


def announced(pending: deque[PendingCommand], code: int) -> PendingCommand | None:
    """Return the command that a reply 1yz belongs to: the first that may have it, else the oldest; None when none waits."""
    found = next((asked for asked in islice(pending, REACH) if not asked.marked and code in asked.command.known.marks), None)
    return found or (pending[0] if pending else None)


def move_on(pending: deque[PendingCommand], session: FtpSession) -> None:
    """Give up the oldest command where the client goes on though it has no reply: a line without a code was one, or it was no command."""
    first = pending[0] if len(pending) == 1 else None
    if first is not None and first.stray is not None and not first.marked:
        pending.popleft()
        miss(session, first)
        first.exchange.facts["replied"] = True
        first.exchange.places["reply"] = first.exchange.places["reply_end"] = first.stray.first.frame
        size = first.stray.stop - first.stray.start
        said = text.text(first.stray.text.strip())
        first.row.update(reply=said, response_bytes=size, last_frame=first.stray.last.frame, complete=True)
    while pending and all(asked.guessed for asked in pending):
        # Of the line they stood in only the first command was answered.
        pending.popleft().exchange.facts["replied"] = None


def take(pending: deque[PendingCommand], code: int) -> PendingCommand | None:
    """Take the command that a final reply answers out of those that wait; None when none does."""
    if not pending:
        return None
    first = pending[0]
    if first.marked and code not in first.command.known.replies:
        for place in range(1, min(len(pending), REACH)):
            if code in pending[place].command.known.replies:
                found = pending[place]
                del pending[place]
                return found
    return pending.popleft()
