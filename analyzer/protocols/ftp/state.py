"""The state of one FTP control connection, and the commands on it that wait for their replies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from analyzer.protocols.ftp import addresses

if TYPE_CHECKING:
    from analyzer.protocols.api import AnnouncedConnection, Cell, Dialogue, Exchange, ParserContext
    from analyzer.protocols.ftp.commands import CommandTable, FtpCommand
    from analyzer.protocols.ftp.replies import FtpReply
    from analyzer.reassembly.reader import Position


@dataclass(slots=True)
class PendingCommand:
    """A command that waits for its reply."""

    command: FtpCommand
    exchange: Exchange
    row: dict[str, Cell]
    frame: int
    """The frame that completes it, not before that of the command before."""
    done: Position
    """Where its last byte was captured."""
    marked: bool = False
    """Whether a reply 1yz came."""
    unsure: bool = False
    """Whether a reply to it may have been missed."""
    announcement: AnnouncedConnection | None = None
    bound: bool = False
    sent: bool = True
    """Whether the command was captured."""
    guessed: bool = False
    """Whether it may have been taken for a part of the command before it."""
    stray: FtpReply | None = None
    """A line without a code that came while it waited."""


class FtpSession:
    """The state of one control connection."""

    def __init__(self, dialogue: Dialogue, context: ParserContext, table: CommandTable) -> None:
        """Begin with the state of a new connection; with everything unknown when its opening was not captured."""
        self.dialogue = dialogue
        self.table = table
        self.login: str | None = "none" if context.whole else None
        self.auth: str | None = "none" if context.whole else None
        self.prot: str | None = "none" if context.whole else None
        self.user = ""
        self.anonymous: bool | None = None
        self.failures = 0
        self.cwd = ""
        self.modes: dict[str, None] = {}
        self.files = self.listings = 0
        self.client_ip = addresses.normal(context.client_ip)
        self.server_ip = addresses.normal(context.server_ip)
        self.client_port = context.client_port
        self.setup: AnnouncedConnection | None = None
        self.setups_known = context.whole
        """Whether every set-up of a data connection so far is known."""
        self.set_up = False
        self.reused = False
        """Whether data connections are used for several transfers: block and compressed mode."""
        self.epsv_all = False

    @property
    def trusted(self) -> bool:
        """Whether the user is logged in, so that an unknown line is no password in the wrong place."""
        return self.login == "accepted"

    def lose(self) -> None:
        """Record that bytes of the dialogue were not captured."""
        self.setups_known = False

    def resume_clear(self) -> None:
        """Record that TLS has ended: what was agreed inside it is unknown."""
        self.prot, self.setups_known, self.cwd = None, False, ""
        self.login = "accepted" if self.login in {"none", None} else self.login
