"""Three network namespaces in a row: client, router, server; all traffic of a recording stays inside them.

Promises: addresses are documentation addresses (RFC 5737, RFC 3849, RFC 9542), link addresses never change, no offload is on,
and leaving `Network` removes whatever it made, also after an error. Nothing outside these namespaces is touched.
Must not know: which servers run, which samples exist.

    client 192.0.2.10, 2001:db8:1::10 -- left [router] right -- 198.51.100.20, 2001:db8:2::20 server
"""

from __future__ import annotations

import ctypes
import os
import select
import socket
import threading
import time
from collections import deque
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from tests.recording.tools import RecordingError, run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

CLIENT: Final = "client"
ROUTER: Final = "router"
SERVER: Final = "server"

CLIENT4: Final = "192.0.2.10"
CLIENT6: Final = "2001:db8:1::10"
SERVER4: Final = "198.51.100.20"
SERVER6: Final = "2001:db8:2::20"
ABSENT4: Final = "198.51.100.99"
"""On the server's network, where nobody has it."""
ABSENT6: Final = "2001:db8:2::99"
NOWHERE4: Final = "203.0.113.5"
"""On no network the router knows."""
NOWHERE6: Final = "2001:db8:3::5"

CLIENT_MAC: Final = "00:00:5e:00:53:0c"
LEFT_MAC: Final = "00:00:5e:00:53:01"
RIGHT_MAC: Final = "00:00:5e:00:53:02"
SERVER_MAC: Final = "00:00:5e:00:53:14"

OFFLOADS: Final = ("tso", "gso", "gro", "tx", "rx")

_CLONE_NEWNET: Final = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def _move_thread(path: str) -> None:
    """Move the calling thread to the network namespace at `path` (setns(2))."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if _libc.setns(descriptor, _CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), path)
    finally:
        os.close(descriptor)


class Network:
    """The three namespaces. A context manager: made on entry, removed on exit."""

    def __init__(self) -> None:
        """Choose names that no other run of this script uses."""
        self._names = {role: f"pcaplint-{os.getpid()}-{role}" for role in (CLIENT, ROUTER, SERVER)}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Make the namespaces, their links, addresses and routes."""
        try:
            for name in self._names.values():
                run("ip", "netns", "add", name)
                self._stack.callback(run, "ip", "netns", "delete", name)
            for role in self._names:
                self._ip(role, "link set lo up")
                self.set(role, "ipv6/conf/all/accept_dad", "0")
                self.set(role, "ipv6/conf/default/accept_dad", "0")
            self._join(CLIENT, CLIENT_MAC, "left", LEFT_MAC)
            self._join(SERVER, SERVER_MAC, "right", RIGHT_MAC)
            self._address()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Remove the namespaces; their links, rules and routes go with them."""
        self._stack.close()

    def _ip(self, role: str, command: str) -> None:
        run("ip", "-n", self._names[role], *command.split())

    def _join(self, role: str, mac: str, side: str, side_mac: str) -> None:
        """Join the end `role` to the `side` interface of the router, offloads off, so that frames are those of a wire."""
        end, router = self._names[role], self._names[ROUTER]
        words = f"link add eth0 address {mac} netns {end} type veth peer name {side} address {side_mac} netns {router}"
        run("ip", *words.split())
        for place, interface in ((role, "eth0"), (ROUTER, side)):
            self._ip(place, f"link set {interface} up")
            with self.inside(place):
                run("ethtool", "-K", interface, *(word for offload in OFFLOADS for word in (offload, "off")))

    def _address(self) -> None:
        """Give out addresses and routes, and let the router forward and report at any rate."""
        for role, interface, prefixes in (
            (CLIENT, "eth0", (f"{CLIENT4}/24", f"{CLIENT6}/64")),
            (ROUTER, "left", ("192.0.2.1/24", "2001:db8:1::1/64")),
            (ROUTER, "right", ("198.51.100.1/24", "2001:db8:2::1/64")),
            (SERVER, "eth0", (f"{SERVER4}/24", f"{SERVER6}/64")),
        ):
            for prefix in prefixes:
                self._ip(role, f"address add {prefix} dev {interface}{' nodad' if ':' in prefix else ''}")
        for role, gateway4, gateway6 in ((CLIENT, "192.0.2.1", "2001:db8:1::1"), (SERVER, "198.51.100.1", "2001:db8:2::1")):
            self._ip(role, f"route add default via {gateway4}")
            self._ip(role, f"-6 route add default via {gateway6}")
        for name in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
            self.set(ROUTER, name, "1")
        for name in ("ipv4/icmp_ratelimit", "ipv6/icmp/ratelimit"):
            self.set(ROUTER, name, "0")

    @contextmanager
    def inside(self, role: str) -> Iterator[None]:
        """Run the block in the namespace of `role`: sockets made and programs started there stay there."""
        home = f"/proc/self/task/{threading.get_native_id()}/ns/net"
        back = os.open(home, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _move_thread(f"/run/netns/{self._names[role]}")
            try:
                yield
            finally:
                _move_thread(f"/proc/self/fd/{back}")
        finally:
            os.close(back)

    def set(self, role: str, name: str, value: str) -> str:
        """Set the network setting `name` (a path below /proc/sys/net) of `role`, and return what it was."""
        with self.inside(role):
            path = Path("/proc/sys/net") / name
            before = path.read_text(encoding="ascii").strip()
            path.write_text(value, encoding="ascii")
        return before

    @contextmanager
    def setting(self, role: str, name: str, value: str) -> Iterator[None]:
        """Run the block with a network setting changed."""
        before = self.set(role, name, value)
        try:
            yield
        finally:
            self.set(role, name, before)

    @contextmanager
    def filtering(self, role: str, hook: str, *rules: str) -> Iterator[None]:
        """Run the block with nftables `rules` at `hook` (input, forward, output) of `role`.

        tcpdump reads below these hooks: what the output hook drops was never on the wire, and what another namespace drops was.
        """
        lines = ["add table inet sample", f"add chain inet sample rules {{ type filter hook {hook} priority 0; policy accept; }}"]
        lines += [f"add rule inet sample rules {rule}" for rule in rules]
        with self.inside(role):
            run("nft", "-f", "-", text="\n".join(lines) + "\n")
        try:
            yield
        finally:
            with self.inside(role):
                run("nft", "delete", "table", "inet", "sample")

    def forget_metrics(self) -> None:
        """Forget what the client remembers of its peers, fast open cookies included."""
        self._ip(CLIENT, "tcp_metrics flush all")

    @contextmanager
    def slow_wire(self, delay_s: float) -> Iterator[None]:
        """Carry TCP frames between the ends `delay_s` late each way; the router itself forwards none meanwhile."""
        stop = threading.Event()
        ready = threading.Event()
        wire = threading.Thread(target=self._carry, args=(delay_s, ready, stop), daemon=True)
        with self.filtering(ROUTER, "forward", "meta l4proto tcp drop"):
            wire.start()
            try:
                if not ready.wait(5):
                    message = "the slow wire did not start"
                    raise RecordingError(message)
                yield
            finally:
                stop.set()
                wire.join()

    def _carry(self, delay_s: float, ready: threading.Event, stop: threading.Event) -> None:
        """Take frames from each side of the router and put them on the other side when they are due."""
        with self.inside(ROUTER):
            left, right = _frame_socket("left"), _frame_socket("right")
        onward = {
            left: (right, bytes.fromhex((SERVER_MAC + RIGHT_MAC).replace(":", ""))),
            right: (left, bytes.fromhex((CLIENT_MAC + LEFT_MAC).replace(":", ""))),
        }
        waiting: deque[tuple[float, socket.socket, bytes]] = deque()
        with left, right:
            ready.set()
            while not stop.is_set():
                for source in select.select([left, right], [], [], 0.001)[0]:
                    frame, address = source.recvfrom(2048)
                    if address[2] == socket.PACKET_HOST and _is_tcp(frame):
                        target, macs = onward[source]
                        waiting.append((time.monotonic() + delay_s, target, macs + frame[12:]))
                while waiting and waiting[0][0] <= time.monotonic():
                    _, target, frame = waiting.popleft()
                    target.send(frame)


def _frame_socket(interface: str) -> socket.socket:
    every_protocol = 0x0003
    frames = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(every_protocol))
    frames.bind((interface, every_protocol))
    return frames


def _is_tcp(frame: bytes) -> bool:
    """Whether an Ethernet frame carries TCP directly over IPv4 or IPv6."""
    next_header = {b"\x08\x00": 23, b"\x86\xdd": 20}.get(frame[12:14])
    return next_header is not None and frame[next_header] == socket.IPPROTO_TCP
