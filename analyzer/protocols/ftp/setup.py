"""Track how an FTP control connection sets up data connections: PORT, EPRT and LPRT, or the replies to PASV, EPSV and LPSV.

A set-up counts when the server has agreed to it; the address in a reply is parsed by the reply's code, whichever command it answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from analyzer.protocols.api import AnnouncedConnection
from analyzer.protocols.ftp import addresses

if TYPE_CHECKING:
    from analyzer.protocols.ftp.replies import FtpReply
    from analyzer.protocols.ftp.state import FtpSession, PendingCommand

_FIRST_FINAL, _FIRST_MORE = 200, 300
_NAMED: Final = {"PORT": addresses.of_port, "EPRT": addresses.of_eprt, "LPRT": addresses.of_lprt}
_ENTERED: Final = {227: addresses.of_pasv, 228: addresses.of_lpsv, 229: addresses.of_epsv}
"""What replies that enter passive mode name (RFC 959 4.2.2, RFC 1639 3, RFC 2428 3). Servers answer PASV with 229 and EPSV with 227."""


def command_active(session: FtpSession, issued: PendingCommand) -> None:
    """Handle PORT, EPRT or LPRT, which name the address the client listens on."""
    facts = issued.exchange.facts
    address = _NAMED[issued.command.known.name](issued.command.argument)
    facts["address_malformed"] = address is None
    facts["after_epsv_all"] = session.epsv_all
    if address is None:
        return
    other = bool(session.client_ip) and address.ip != session.client_ip
    facts["named_port"] = address.port
    facts["other_host"] = other
    facts["data_translated"] = False
    facts["other_host_private"] = other and addresses.is_private(address.ip) and not addresses.is_private(session.client_ip)
    _propose(session, issued, "server", address, issued.frame)


def reply_active(session: FtpSession, issued: PendingCommand, code: int, _reply: FtpReply) -> None:
    """Handle the reply to PORT, EPRT or LPRT."""
    if issued.announcement and _FIRST_FINAL <= code < _FIRST_MORE:
        set_up(session, issued.announcement)
    elif code < _FIRST_MORE:
        # The server took what cannot be read: how the next transfer is set up is not known.
        session.lose()
        session.setup = None


def command_passive(session: FtpSession, issued: PendingCommand) -> None:
    """Handle PASV, CPSV or LPSV."""
    issued.exchange.facts["after_epsv_all"] = session.epsv_all


def reply_passive(session: FtpSession, issued: PendingCommand, code: int, reply: FtpReply) -> None:
    """Handle the reply to PASV, CPSV, EPSV or LPSV, which names the address the server listens on."""
    read = _ENTERED.get(code)
    if read is not None:
        address = read(reply.body)
        if address and address.ip and session.server_ip:
            issued.exchange.facts["other_server"] = address.ip != session.server_ip
        _enter(session, issued, address, reply)
    elif not _FIRST_FINAL <= code < _FIRST_MORE:
        return
    elif issued.command.known.name == "EPSV" and issued.command.argument.strip().upper() == b"ALL":
        session.epsv_all = True
    else:
        # Where the server listens now is not known.
        session.lose()
        session.setup = None


def reply_mode(session: FtpSession, issued: PendingCommand, code: int, _reply: FtpReply) -> None:
    """Handle the reply to MODE: in block and compressed mode a data connection is used for several transfers."""
    if code < _FIRST_MORE:
        session.reused = issued.command.argument.strip().upper() in {b"B", b"C"}


def _enter(session: FtpSession, issued: PendingCommand, address: addresses.Address | None, reply: FtpReply) -> None:
    issued.exchange.facts["reply_address_malformed"] = address is None and reply.whole
    if address is None:
        session.lose()
        return
    issued.exchange.facts["named_port"] = address.port
    _propose(session, issued, "client", address, reply.last.frame)
    if issued.announcement:
        set_up(session, issued.announcement)


def _propose(session: FtpSession, issued: PendingCommand, opener: str, address: addresses.Address, frame: int) -> None:
    mode = issued.command.known.mode
    announcement = AnnouncedConnection("client" if opener == "client" else "server", address.ip, address.port, frame, mode)
    issued.announcement = announcement
    issued.exchange.facts["mode"] = mode
    issued.exchange.evidence["setup"] = frame
    _attach(session, issued, announcement)


def set_up(session: FtpSession, announcement: AnnouncedConnection) -> None:
    """Use an announced connection that both ends agreed on for the next transfer."""
    session.setup, session.set_up = announcement, True
    session.dialogue.announced.append(announcement)
    session.modes[announcement.mode] = None


def bind(session: FtpSession, issued: PendingCommand) -> None:
    """Assign a data connection to a transfer, once the replies to all commands before it are known."""
    if issued.bound or not issued.command.known.data:
        return
    issued.bound = True
    facts, announcement = issued.exchange.facts, session.setup
    facts["prot"] = session.prot
    if announcement is None and session.setups_known and not session.set_up:
        # RFC 959 3.2: the server then connects to the client's port of the control connection, without an announcement.
        announcement = AnnouncedConnection("server", "", session.client_port, issued.frame)
        session.dialogue.announced.append(announcement)
    facts["mode"] = (announcement.mode or "none") if announcement else None
    if announcement is not None:
        issued.announcement = announcement
        issued.exchange.evidence["setup"] = announcement.frame
        _attach(session, issued, announcement)


def _attach(session: FtpSession, issued: PendingCommand, announcement: AnnouncedConnection) -> None:
    announcement.exchanges.append(issued.exchange)
    announcement.rows.append(issued.row)
    issued.row["mode"] = announcement.mode
    ip = announcement.ip or (session.server_ip if announcement.opener == "client" else session.client_ip)
    issued.row["data_address"] = f"[{ip}]:{announcement.port}" if ":" in ip else f"{ip}:{announcement.port}"


def use(session: FtpSession, issued: PendingCommand) -> None:
    """Clear the set-up that a transfer has used; a transfer refused before it began leaves it for the next."""
    if issued.announcement is session.setup and not session.reused:
        session.setup = None
