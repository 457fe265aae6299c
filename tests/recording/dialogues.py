"""What the clients say to nginx, Postfix and vsftpd: whole sessions, in the client's namespace.

Promises: every session is bounded in requests and seconds, and raises when the server answers otherwise than the sample needs.
Must not know: namespaces, captures.
"""

from __future__ import annotations

import ftplib
import http.client
import io
import smtplib
import socket
import ssl
from typing import TYPE_CHECKING, Final

from tests.recording.servers import THROWAWAY, USER
from tests.recording.tools import RecordingError

if TYPE_CHECKING:
    from pathlib import Path

LIMIT_S: Final = 20
SENDER: Final = "sender@client.example.net"
MESSAGE: Final = """\
From: A sender <sender@client.example.net>
To: undisclosed-recipients:;
Subject: A sample message
Date: Thu, 01 Jan 2026 12:00:00 +0000
Message-ID: <sample@client.example.net>

Nothing of importance.
.A line that begins with a dot.
"""


def expect(got: object, wanted: object, what: str) -> None:
    """Raise `RecordingError` unless the server answered `wanted`."""
    if got != wanted:
        message = f"{what}: got {got}, not {wanted}"
        raise RecordingError(message)


def get(host: str, *paths: str, status: int = 200) -> None:
    """Fetch pages one after the other on one connection."""
    connection = http.client.HTTPConnection(host, 80, timeout=LIMIT_S)
    for path in paths:
        connection.request("GET", path, headers={"User-Agent": "sample"})
        answer = connection.getresponse()
        answer.read()
        expect(answer.status, status, path)
    connection.close()


def get_chunked(host: str) -> None:
    """Fetch two pages that the server has to send in chunks, the second packed with gzip."""
    connection = http.client.HTTPConnection(host, 80, timeout=LIMIT_S)
    for path in ("/composed/page.html", "/packed/lines.txt"):
        connection.request("GET", path, headers={"Accept-Encoding": "gzip"})
        answer = connection.getresponse()
        expect(answer.getheader("Transfer-Encoding"), "chunked", path)
        answer.read()
    connection.close()


def get_various(host: str) -> None:
    """Ask on one connection for what is answered with 200 to HEAD, 200, 304, 206, 301 and 405."""
    connection = http.client.HTTPConnection(host, 80, timeout=LIMIT_S)

    def ask(method: str, path: str, status: int, headers: dict[str, str] | None = None, body: bytes | None = None) -> str:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        answer.read()
        expect(answer.status, status, f"{method} {path}")
        return str(answer.getheader("ETag"))

    ask("HEAD", "/index.html", 200)
    tag = ask("GET", "/index.html", 200)
    ask("GET", "/index.html", 304, {"If-None-Match": tag})
    ask("GET", "/large.bin", 206, {"Range": "bytes=100-199"})
    ask("GET", "/old", 301)
    ask("POST", "/index.html", 405, body=b"sample")
    connection.close()


def request(host: str, path: str, connection: str = "close") -> bytes:
    """Return the bytes of one GET request."""
    name = f"[{host}]" if ":" in host else host
    return f"GET {path} HTTP/1.1\r\nHost: {name}\r\nUser-Agent: sample\r\nConnection: {connection}\r\n\r\n".encode()


def read_all(connection: socket.socket) -> bytes:
    """Read until the peer closes."""
    parts = []
    while part := connection.recv(65536):
        parts.append(part)
    return b"".join(parts)


def get_pipelined(host: str) -> None:
    """Send three requests in one write, then read the three answers."""
    with socket.create_connection((host, 80), LIMIT_S) as connection:
        pages = (("/index.html", "keep-alive"), ("/second.html", "keep-alive"), ("/third.txt", "close"))
        connection.sendall(b"".join(request(host, path, after) for path, after in pages))
        expect(read_all(connection).count(b"HTTP/1.1 200 OK"), 3, "pipelined answers")


def send_mail(host: str, *recipients: str, refused: int = 0, messages: int = 1) -> None:
    """Send a message to `recipients`, of whom `refused` are to be refused with 550, and quit."""
    with smtplib.SMTP(host, 25, local_hostname="client.example.net", timeout=LIMIT_S) as session:
        for _ in range(messages):
            problems = session.sendmail(SENDER, list(recipients), MESSAGE)
            expect([code for code, _ in problems.values()], [550] * refused, "refused recipients")


def send_mail_over_tls(host: str, certificate: Path) -> None:
    """Send a message after STARTTLS, the server's own certificate verified."""
    trust = ssl.create_default_context(cafile=str(certificate))
    with smtplib.SMTP(host, 25, local_hostname="client.example.net", timeout=LIMIT_S) as session:
        session.ehlo()
        session.starttls(context=trust)
        session.sendmail(SENDER, ["alice@example.org"], MESSAGE)


def ask_greeting(host: str) -> None:
    """Connect to the FTP server, wait for its greeting, and quit."""
    session = ftplib.FTP(timeout=LIMIT_S)  # noqa: S321  # FTP is what the sample shows
    session.connect(host, 21)
    session.quit()


def transfer(host: str, *, passive: bool) -> None:
    """Log in, list a folder, fetch a file and store one: three data connections."""
    session = ftplib.FTP(timeout=LIMIT_S)  # noqa: S321  # FTP is what the sample shows
    session.connect(host, 21)
    session.login(USER, THROWAWAY)
    session.set_pasv(passive)
    listed: list[str] = []
    session.retrlines("LIST", listed.append)
    expect(any("welcome.txt" in line for line in listed), wanted=True, what="LIST shows the file")
    session.retrbinary("RETR welcome.txt", lambda _: None)
    session.storbinary("STOR upload.txt", io.BytesIO(b"Stored by the sample client.\n" * 10))
    session.quit()


def fail_transfer(host: str) -> None:
    """Log in and name a data port on which nobody listens: the server cannot connect and says 425."""
    session = ftplib.FTP(timeout=LIMIT_S)  # noqa: S321  # FTP is what the sample shows
    session.connect(host, 21)
    session.login(USER, THROWAWAY)
    with session.makeport():
        pass
    refuse(session, "425", "LIST")
    session.quit()


def refuse(session: ftplib.FTP, code: str, command: str) -> None:
    """Send `command`, which the server has to refuse with `code`."""
    try:
        answer = session.sendcmd(command)
    except (ftplib.error_perm, ftplib.error_temp) as refusal:
        answer = str(refusal)
    expect(answer[:3], code, command.split(" ", maxsplit=1)[0])


def fail_login(host: str) -> None:
    """Log in with a wrong password, be refused with 530, and quit."""
    session = ftplib.FTP(timeout=LIMIT_S)  # noqa: S321  # FTP is what the sample shows
    session.connect(host, 21)
    session.sendcmd(f"USER {USER}")
    refuse(session, "530", "PASS not-the-password-either")
    session.quit()
