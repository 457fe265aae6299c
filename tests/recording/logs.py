"""Holding what pcaplint reads in a recording against what the servers wrote in their own logs meanwhile.

Both are brought into one form, `Told`; what a capture cannot show (a side that was not taken, what was said under TLS) is left out.

Promises: a recording that agrees passes silently; the first difference ends the run in one line that says where and what.
Must not know: scenes, how the servers are started.
"""

from __future__ import annotations

import re
import time
from ipaddress import IPv6Address, ip_address
from itertools import zip_longest
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final, cast

from tests.recording.tools import RecordingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

Entry = dict[str, object]
"""One thing that happened: the name of each fact about it, and the fact."""
Told = dict[str, list[Entry]]
"""What happened, in order, by its kind: request, message, login, …"""
Rows = list[dict[str, Any]]
"""The rows of a table of the report."""

LIMIT_S: Final = 5
"""How long the servers may take to write what they did: Postfix logs a delivery when its client has gone."""

REQUEST: Final = re.compile(
    r"(?P<ip>\S+) (?P<port>\d+) (?P<method>\S+) (?P<target>\S+) (?P<asked>\d+) (?P<status>\d+) (?P<sent>\d+) (?P<body>\d+)"
)

WHO: Final = r"\S+\[(?P<ip>[^]]+)\]:(?P<port>\d+)"
CONNECT: Final = re.compile(rf"connect from {WHO}")
ENCRYPTED: Final = re.compile(rf"\w+ TLS connection established from {WHO}: .*")
QUEUED: Final = re.compile(rf"(?P<id>\w+): client={WHO}")
ACTIVE: Final = re.compile(r"(?P<id>\w+): from=<(?P<sender>[^>]*)>, size=(?P<size>\d+), nrcpt=(?P<recipients>\d+) .*")
SENT: Final = re.compile(r"(?P<id>\w+): to=<(?P<address>[^>]*)>, .*, status=sent .*")
REFUSED: Final = re.compile(rf"\w+: reject: RCPT from {WHO}: (?P<code>\d+) .* to=<(?P<address>[^>]*)> .*")

FTP: Final = re.compile(
    r".*? \[pid \d+\] (?:\[(?P<user>[^]]*)\] )?(?P<event>[A-Za-z ]+): "
    r'Client "(?P<ip>[^"]+)"(?:, "(?P<text>.*)"(?:, (?P<bytes>\d+) bytes, .*)?)?'
)
LOGINS: Final = {"OK LOGIN": True, "FAIL LOGIN": False}
TRANSFERS: Final = {"OK UPLOAD": "STOR", "OK DOWNLOAD": "RETR"}
LOGGED_IN: Final = 230
TRANSFERRED: Final = 226


class Logs:
    """The logs of the servers, by the name of the server."""

    def __init__(self, paths: dict[str, Path]) -> None:
        """Begin with what is written after this moment; a log need not exist yet."""
        self._paths = paths
        self._begins: dict[str, int] = {}
        self.mark()

    def mark(self) -> None:
        """Leave aside what is written already: the next recording begins here."""
        self._begins = {server: path.stat().st_size if path.exists() else 0 for server, path in self._paths.items()}

    def hold(self, capture: Path) -> None:
        """Compare `capture` with what was written since `mark`; raises `RecordingError` naming the first difference."""
        from analyzer import analyze

        report = analyze([capture], expect=False)
        flows = cast("list[dict[str, Any]]", report.flows.to_dict("records"))
        transactions = cast("list[dict[str, Any]]", report.transactions.to_dict("records"))
        end = time.monotonic() + LIMIT_S
        for server, (read, show) in SERVERS.items():
            shown = show(flows, transactions)
            while (differs := difference(read(self._lines(server)), shown)) and time.monotonic() < end:
                time.sleep(0.1)
            if differs:
                message = f"{capture.name}: the log of {server} and what pcaplint reads differ: {differs}"
                raise RecordingError(message)

    def _lines(self, server: str) -> list[str]:
        """Return the whole lines that `server` has written since `mark`."""
        path = self._paths[server]
        if not path.exists():
            return []
        with path.open("rb") as log:
            log.seek(self._begins[server])
            written = log.read().decode(errors="backslashreplace")
        return written.rpartition("\n")[0].splitlines()


def difference(logged: Told, shown: Told) -> str:
    """Return the first difference in words, or nothing. An entry of `shown` has only those facts that the capture shows."""
    for kind, entries in logged.items():
        for number, (one, other) in enumerate(zip_longest(entries, shown[kind]), 1):
            if one is None or other is None:
                return f"{kind} {number} is only in the {'capture' if one is None else 'log'}: {one or other}"
            for fact, value in other.items():
                if fact not in one or one[fact] != value:
                    return f"{kind} {number}: {fact} is {one.get(fact, 'absent')!r} in the log, {value!r} in the capture"
    return ""


def _client(row: dict[str, Any] | re.Match[str], ip: str = "ip", port: str = "port") -> str:
    return f"{row[ip]} port {row[port]}"


def read_nginx(lines: Iterable[str]) -> Told:
    """Return the requests in the lines of nginx's log, which are written as `servers.NGINX` says; raises `RecordingError` for another."""
    requests: list[Entry] = []
    for line in lines:
        if (one := REQUEST.fullmatch(line)) is None:
            message = f"nginx logged what is no request: {line}"
            raise RecordingError(message)
        told: Entry = {"client": _client(one), "method": one["method"], "target": one["target"], "status": int(one["status"])}
        sizes = {"request bytes": int(one["asked"]), "response bytes": int(one["sent"]), "response body bytes": int(one["body"])}
        requests.append(told | sizes)
    return {"request": requests}


def show_http(flows: Rows, transactions: Rows) -> Told:
    """Return the requests that pcaplint read, in the order in which they were done with, as nginx logs them."""
    flow_of = {flow["flow_id"]: flow for flow in flows}
    requests = sorted((one for one in transactions if one["protocol"] == "http"), key=lambda one: int(one["last_frame"]))
    return {"request": [_request(one, flow_of[one["flow_id"]]) for one in requests]}


def _request(one: dict[str, Any], flow: dict[str, Any]) -> Entry:
    shown: Entry = {"client": _client(flow, "client_ip", "client_port")}
    if flow["view"] != "server-only":
        shown |= {"method": one["method"], "target": one["target"]}
        # nginx counts of a body what it has read of it, and it refuses a request before that.
        if one["request_body_bytes"] == 0:
            shown["request bytes"] = one["request_bytes"]
    if flow["view"] != "client-only":
        shown |= {"status": one["code"], "response bytes": one["response_bytes"]}
        # nginx counts the frames around the chunks as body.
        if not one["response_encoding"]:
            shown["response body bytes"] = one["response_body_bytes"]
    return shown


def _matches(pattern: re.Pattern[str], texts: Sequence[str]) -> list[re.Match[str]]:
    return [match for text in texts if (match := pattern.fullmatch(text))]


def read_postfix(lines: Iterable[str]) -> Told:
    """Return the sessions in the lines of Postfix's log, and the messages and recipients of those without TLS."""
    said = [line.partition("]: ")[2] for line in lines]
    hidden = {_client(one) for one in _matches(ENCRYPTED, said)}
    clients = {one["id"]: _client(one) for one in _matches(QUEUED, said) if _client(one) not in hidden}
    active = {one["id"]: one for one in _matches(ACTIVE, said)}
    sent = [(clients[one["id"]], one["address"], "accepted") for one in _matches(SENT, said) if one["id"] in clients]
    refused = [(_client(one), one["address"], one["code"]) for one in _matches(REFUSED, said) if _client(one) not in hidden]
    return {
        "session": [{"client": _client(one), "TLS": _client(one) in hidden} for one in _matches(CONNECT, said)],
        "message": [{"client": client, "queue id": id_} | _envelope(active.get(id_)) for id_, client in clients.items()],
        "recipient": _recipients(sent + refused),
    }


def _envelope(one: re.Match[str] | None) -> Entry:
    return {"sender": one["sender"], "size": int(one["size"]), "recipients": int(one["recipients"])} if one else {}


def _recipients(known: list[tuple[str, str, str]]) -> list[Entry]:
    """Return entries from client, address and answer; sorted, for Postfix delivers in an order of its own."""
    return [{"client": client, "address": address, "answer": answer} for client, address, answer in sorted(known)]


def show_smtp(flows: Rows, transactions: Rows) -> Told:
    """Return the sessions, messages and recipients that pcaplint read, as Postfix logs them."""
    sessions = [flow for flow in flows if flow["service"] == "smtp"]
    client_of = {flow["flow_id"]: _client(flow, "client_ip", "client_port") for flow in sessions}
    messages = [one for one in transactions if one["protocol"] == "smtp"]
    recipients = [
        (client_of[one["flow_id"]], address, "accepted" if code // 100 == 2 else str(code))  # 2xx
        for one in messages
        for address, code in zip(one["rcpt_to"], one["rcpt_codes"], strict=True)
    ]
    return {
        "session": [{"client": client_of[flow["flow_id"]], "TLS": flow["encrypted_by"] == "starttls"} for flow in sessions],
        "message": [{"client": client_of[one["flow_id"]], "queue id": one["queue_id"]} | _sent(one) for one in messages],
        "recipient": _recipients(recipients),
    }


def _sent(one: dict[str, Any]) -> Entry:
    return {"sender": one["mail_from"], "size": one["message_size"], "recipients": one["recipients_accepted"]}


def read_vsftpd(lines: Iterable[str]) -> Told:
    """Return the connections, commands, logins and transfers in the lines of vsftpd's log."""
    told: Told = {"connection": [], "command": [], "login": [], "transfer": []}
    for one in _matches(FTP, list(lines)):
        client: Entry = {"client": _plain(one["ip"])}
        match one["event"]:
            case "CONNECT":
                told["connection"].append(client)
            case "FTP command":
                told["command"].append(client | {"command": _without_password(one["text"]), "announced": -1, "answer": ""})
            case "FTP response" if told["command"]:
                answered = {"announced": int(one["text"][:3])} if one["text"].startswith("1") else {"answer": one["text"]}
                told["command"][-1].update(answered)
            case "OK LOGIN" | "FAIL LOGIN":
                told["login"].append(client | {"user": one["user"], "accepted": LOGINS[one["event"]]})
            case "OK UPLOAD" | "OK DOWNLOAD":
                moved = {"command": TRANSFERS[one["event"]], "file": one["text"], "bytes": int(one["bytes"])}
                told["transfer"].append(client | {"user": one["user"]} | moved)
    return told


def _plain(address: str) -> str:
    """Return an address as the capture has it: vsftpd listens with IPv6 and sees IPv4 mapped."""
    ip = ip_address(address)
    return str((ip.ipv4_mapped if isinstance(ip, IPv6Address) else None) or ip)


def _without_password(command: str) -> str:
    return "PASS" if command.startswith("PASS ") else command


def show_ftp(flows: Rows, transactions: Rows) -> Told:
    """Return the connections, commands, logins and transfers that pcaplint read, as vsftpd logs them."""
    sessions = {flow["flow_id"]: {"client": flow["client_ip"]} for flow in flows if flow["service"] == "ftp"}
    told: Told = {"connection": list(sessions.values()), "command": [], "login": [], "transfer": []}
    for one in transactions:
        if one["protocol"] == "ftp":
            client: Entry = dict(sessions[one["flow_id"]])
            told["command"].append(client | _exchange(one))
            if one["command"] == "PASS":
                told["login"].append(client | {"user": one["user"], "accepted": one["code"] == LOGGED_IN})
            if one["command"] in TRANSFERS.values() and one["code"] == TRANSFERRED:
                told["transfer"].append(client | _transfer(one))
    return told


def _exchange(one: dict[str, Any]) -> Entry:
    answer = f"{one['code']} {one['reply']}"
    return {"command": _without_password(one["request"]), "announced": one["preliminary_code"], "answer": answer}


def _transfer(one: dict[str, Any]) -> Entry:
    file = PurePosixPath(one["cwd"] or "/", one["argument"])
    return {"user": one["user"], "command": one["command"], "file": str(file), "bytes": one["data_bytes"]}


SERVERS: Final[dict[str, tuple[Callable[[Iterable[str]], Told], Callable[[Rows, Rows], Told]]]] = {
    "nginx": (read_nginx, show_http),
    "Postfix": (read_postfix, show_smtp),
    "vsftpd": (read_vsftpd, show_ftp),
}
"""The name of each server to what reads its log and what shows the same from a report's flows and transactions."""
