"""How an FTP control connection sets up its data connections: by PORT, EPRT and LPRT, or by the replies to PASV, EPSV and LPSV.

Promises: a set-up counts when the server has agreed to it; what a reply names is read by its code, whichever command it answers.
Must not know: segments, rules, how connections are found.
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


def ask_active(session: FtpSession, asked: PendingCommand) -> None:
    """Take note of PORT, EPRT or LPRT: the client says where it listens."""
    facts = asked.exchange.facts
    address = _NAMED[asked.command.known.name](asked.command.argument)
    facts["address_malformed"] = address is None
    facts["after_epsv_all"] = session.epsv_all
    if address is None:
        return
    other = bool(session.client_ip) and address.ip != session.client_ip
    facts["named_port"] = address.port
    facts["other_host"] = other
    facts["data_translated"] = False
    facts["other_host_private"] = other and addresses.is_private(address.ip) and not addresses.is_private(session.client_ip)
    _propose(session, asked, "server", address, asked.frame)


def answer_active(session: FtpSession, asked: PendingCommand, code: int, _reply: FtpReply) -> None:
    """Take note of the reply to PORT, EPRT or LPRT."""
    if asked.channel and _FIRST_FINAL <= code < _FIRST_MORE:
        set_up(session, asked.channel)
    elif code < _FIRST_MORE:
        # The server took what cannot be read: how the next transfer is set up is not known.
        session.lose()
        session.setup = None


def ask_passive(session: FtpSession, asked: PendingCommand) -> None:
    """Take note of a command that asks the server where it listens, and is not EPSV."""
    asked.exchange.facts["after_epsv_all"] = session.epsv_all


def answer_passive(session: FtpSession, asked: PendingCommand, code: int, reply: FtpReply) -> None:
    """Take note of the reply to PASV, CPSV, EPSV or LPSV: the server says where it listens."""
    read = _ENTERED.get(code)
    if read is not None:
        address = read(reply.body)
        if address and address.ip and session.server_ip:
            asked.exchange.facts["other_server"] = address.ip != session.server_ip
        _enter(session, asked, address, reply)
    elif not _FIRST_FINAL <= code < _FIRST_MORE:
        return
    elif asked.command.known.name == "EPSV" and asked.command.argument.strip().upper() == b"ALL":
        session.epsv_all = True
    else:
        # Where the server listens now is not known.
        session.lose()
        session.setup = None


def answer_mode(session: FtpSession, asked: PendingCommand, code: int, _reply: FtpReply) -> None:
    """Take note of the reply to MODE: in block and compressed mode a data connection outlives a transfer."""
    if code < _FIRST_MORE:
        session.kept = asked.command.argument.strip().upper() in {b"B", b"C"}


def _enter(session: FtpSession, asked: PendingCommand, address: addresses.Address | None, reply: FtpReply) -> None:
    asked.exchange.facts["reply_address_malformed"] = address is None and reply.whole
    if address is None:
        session.lose()
        return
    asked.exchange.facts["named_port"] = address.port
    _propose(session, asked, "client", address, reply.last.frame)
    if asked.channel:
        set_up(session, asked.channel)


def _propose(session: FtpSession, asked: PendingCommand, opener: str, address: addresses.Address, frame: int) -> None:
    mode = asked.command.known.mode
    channel = AnnouncedConnection("client" if opener == "client" else "server", address.ip, address.port, frame, mode)
    asked.channel = channel
    asked.exchange.facts["mode"] = mode
    asked.exchange.places["setup"] = frame
    _attach(session, asked, channel)


def set_up(session: FtpSession, channel: AnnouncedConnection) -> None:
    """Take a channel that both ends agreed on for the next transfer."""
    session.setup, session.set_up = channel, True
    session.dialogue.channels.append(channel)
    session.modes[channel.mode] = None


def bind(session: FtpSession, asked: PendingCommand) -> None:
    """Say by which data connection a transfer goes, once it is clear that all commands before it were carried out."""
    if asked.bound or not asked.command.known.data:
        return
    asked.bound = True
    facts, channel = asked.exchange.facts, session.setup
    facts["prot"] = session.prot
    if channel is None and session.told and not session.set_up:
        # RFC 959 3.2: the server then calls the port of the control connection. Nobody else announces it.
        channel = AnnouncedConnection("server", "", session.client_port, asked.frame)
        session.dialogue.channels.append(channel)
    facts["mode"] = (channel.mode or "none") if channel else None
    if channel is not None:
        asked.channel = channel
        asked.exchange.places["setup"] = channel.frame
        _attach(session, asked, channel)


def _attach(session: FtpSession, asked: PendingCommand, channel: AnnouncedConnection) -> None:
    channel.exchanges.append(asked.exchange)
    channel.rows.append(asked.row)
    asked.row["mode"] = channel.mode
    ip = channel.ip or (session.server_ip if channel.opener == "client" else session.client_ip)
    asked.row["data_address"] = f"[{ip}]:{channel.port}" if ":" in ip else f"{ip}:{channel.port}"


def use(session: FtpSession, asked: PendingCommand) -> None:
    """Forget the set-up that a transfer has used; one that was refused before it began leaves it for the next."""
    if asked.channel is session.setup and not session.kept:
        session.setup = None
