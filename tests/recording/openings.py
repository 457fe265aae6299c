"""Openings that fail or are odd: what is dropped, refused or done at once so that two real stacks show them.

A scene is a generator. What stands before its first `yield` is prepared, what follows is filmed; what follows a second `yield`, or
waits in a `with` for the end, is not. The rules say where a segment is lost: a capture sees what the *other* side of the capture
point drops.
"""

from __future__ import annotations

import secrets
import socket
import struct
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from tests.recording import dialogues
from tests.recording.network import CLIENT, CLIENT4, CLIENT6, ROUTER, SERVER, SERVER4, SERVER6, Network
from tests.recording.tools import RecordingError, run

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

CLOSED_PORT: Final = 81
LIMIT_S: Final = 20
SYN: Final = "tcp flags & (syn | ack) == syn"
SYNACK: Final = "tcp flags & (syn | ack) == syn | ack"
ONLY_ACK: Final = "tcp flags & (fin | syn | rst | psh | ack) == ack"
FIRST: Final = "limit rate 1/hour burst 1 packets"


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _connect(host: str, port: int, limit_s: float = LIMIT_S) -> OSError | None:
    """Try to connect and close again; return the error, if there was one."""
    try:
        socket.create_connection((host, port), limit_s).close()
    except OSError as error:
        return error
    return None


def fail(network: Network, host: str, port: int = 80, limit_s: float = LIMIT_S) -> Generator[None, None, None]:
    """Try to connect where nobody answers, or somebody says no."""
    yield
    with network.inside(CLIENT):
        if _connect(host, port, limit_s) is None:
            message = f"port {port} of {host} answered"
            raise RecordingError(message)


def filtered(network: Network, rule: str, host: str, limit_s: float = LIMIT_S) -> Generator[None, None, None]:
    """Try to connect to a port that the router keeps closed with `rule`."""
    with network.filtering(ROUTER, "forward", f"tcp dport {CLOSED_PORT} {rule}"):
        yield from fail(network, host, CLOSED_PORT, limit_s)


def lossy(network: Network, rules: tuple[str, ...], act: Callable[[], None]) -> Generator[None, None, None]:
    """Hold a dialogue while the router loses what `rules` match."""
    with network.filtering(ROUTER, "forward", *rules):
        yield
        with network.inside(CLIENT):
            act()


def lost_synack(network: Network, host: str) -> Generator[None, None, None]:
    """Lose the server's first SYN+ACK; the client's second SYN asks for another."""
    yield from lossy(network, (f"{SYNACK} {FIRST} drop",), lambda: dialogues.get(host, "/index.html"))


def half_open(network: Network, host: str) -> Generator[None, None, None]:
    """Keep every ACK of the client off the wire: it believes in the connection, the server repeats its SYN+ACK."""
    own = "tcp flags & (syn | ack) == ack"
    with network.filtering(CLIENT, "output", f"{own} drop"), network.inside(CLIENT):
        yield
        with socket.create_connection((host, 80), LIMIT_S):
            # The server repeats after 1, 3 and 7 seconds.
            time.sleep(7.5)
            yield


def both_at_once(network: Network, here: str, there: str) -> Generator[None, None, None]:
    """Connect from both ends at the same moment over a wire so long that the SYNs cross."""
    start = threading.Barrier(2, timeout=LIMIT_S)
    failures: list[BaseException] = []

    def connect(role: str, own: tuple[str, int], peer: tuple[str, int]) -> None:
        try:
            with network.inside(role), socket.socket(_family(own[0])) as end:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                end.bind(own)
                end.settimeout(LIMIT_S)
                start.wait()
                end.connect(peer)
                end.sendall(f"hello from the {role}\n".encode())
                end.shutdown(socket.SHUT_WR)
                dialogues.read_all(end)
        except (OSError, threading.BrokenBarrierError) as error:
            failures.append(error)

    ports = (7000, 7001)
    ends = ((CLIENT, (here, ports[0]), (there, ports[1])), (SERVER, (there, ports[1]), (here, ports[0])))
    with network.slow_wire(0.05):
        yield
        threads = [threading.Thread(target=connect, args=end) for end in ends]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        # The last segments are still on their way.
        time.sleep(0.5)
    if failures:
        message = f"simultaneous open: {failures[0]}"
        raise RecordingError(message)


def _get_fast(host: str) -> None:
    """Fetch a page with the request on the SYN, as far as the kernel has a cookie for it."""
    with socket.socket(_family(host)) as connection:
        # A Python time limit would make the socket non-blocking, and then the kernel reports a connection in progress.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", LIMIT_S, 0))
        connection.sendto(dialogues.request(host, "/index.html"), socket.MSG_FASTOPEN, (host, 80))
        connection.settimeout(LIMIT_S)
        answer = dialogues.read_all(connection)
    dialogues.expect(answer[:15], b"HTTP/1.1 200 OK", "fast open")


def fast_open(network: Network, host: str) -> Generator[None, None, None]:
    """Fetch twice: the first connection asks for a cookie, the second uses it."""
    network.forget_metrics()
    yield
    with network.inside(CLIENT):
        _get_fast(host)
        _get_fast(host)


def fast_open_declined(network: Network, host: str) -> Generator[None, None, None]:
    """Fetch with a cookie that the server no longer honours, its key having changed."""
    network.forget_metrics()
    with network.inside(CLIENT):
        _get_fast(host)
    words = [secrets.token_hex(4) for _ in range(4)]
    network.set(SERVER, "ipv4/tcp_fastopen_key", "-".join(words))
    yield
    with network.inside(CLIENT):
        _get_fast(host)


def half_open_scan(network: Network, host: str) -> Generator[None, None, None]:
    """Scan two open ports and a closed one with nmap, which resets what answers."""
    yield
    six = ["-6"] if ":" in host else []
    with network.inside(CLIENT):
        run("nmap", *six, *f"-sS -Pn -n -e eth0 -p 21,80,{CLOSED_PORT} --max-retries 1 --host-timeout 20s {host}".split())


@contextmanager
def _listening(network: Network, host: str, port: int) -> Iterator[socket.socket]:
    with network.inside(SERVER):
        server = socket.create_server((host, port), family=_family(host))
    server.settimeout(LIMIT_S)
    with server:
        yield server


def reset_by_server(network: Network, host: str) -> Generator[None, None, None]:
    """Accept a connection and drop it with a reset before a word was said."""
    with _listening(network, host, 7100) as server:
        yield
        with network.inside(CLIENT):
            client = socket.create_connection((host, 7100), LIMIT_S)
        with client:
            accepted, _ = server.accept()
            accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            accepted.close()
            with suppress(ConnectionResetError):
                client.recv(1)


def mid_stream(network: Network, host: str) -> Generator[None, None, None]:
    """Begin filming when the connection has been open for a while."""
    with network.inside(CLIENT), socket.create_connection((host, 80), LIMIT_S) as connection:
        connection.sendall(dialogues.request(host, "/index.html", "keep-alive"))
        connection.recv(65536)
        # The client acknowledges late; that ACK is not to be the first frame.
        time.sleep(0.5)
        yield
        connection.sendall(dialogues.request(host, "/second.html", "keep-alive"))
        connection.recv(65536)
        connection.sendall(dialogues.request(host, "/third.txt"))
        dialogues.read_all(connection)


def same_ports(network: Network, host: str) -> Generator[None, None, None]:
    """Connect twice from one port to one port; the server closes first, so the client may."""
    yield
    for _ in range(2):
        with network.inside(CLIENT), socket.socket(_family(host)) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            connection.settimeout(LIMIT_S)
            connection.bind((CLIENT6 if ":" in host else CLIENT4, 7200))
            connection.connect((host, 80))
            connection.sendall(dialogues.request(host, "/third.txt"))
            dialogues.read_all(connection)
        # Timestamps count milliseconds: the second SYN must be later by one, and the server has to see the last ACK first.
        time.sleep(0.2)


def explicit_congestion(network: Network) -> Generator[None, None, None]:
    """Negotiate ECN."""
    with network.setting(CLIENT, "ipv4/tcp_ecn", "1"):
        yield
        with network.inside(CLIENT):
            dialogues.get(SERVER4, "/index.html")
            dialogues.get(SERVER6, "/index.html")
