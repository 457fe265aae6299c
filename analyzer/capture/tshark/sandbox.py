"""A child process that sees nothing of its user and leaves nothing behind.

The environment is made from scratch, HOME and all configuration folders are one empty private folder; the
child has its own process group and is waited for; the folder, the pipes and the group are gone when the `with` ends.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from analyzer.capture import temporary

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator, Sequence
    from pathlib import Path

BATCH_BYTES: Final = 1 << 20
"""How much the child prints before it is looked at."""
_PIPE_BYTES: Final = 1 << 20
_ERROR_BYTES: Final = 1 << 16
_SLICE_SECONDS: Final = 0.5
_OPEN_FILES: Final = 256


@contextlib.contextmanager
def private_home(forbidden: Sequence[str] = ()) -> Iterator[str]:
    """Give the path of an empty folder that only this user may enter (mode 0700), removed at the end.

    A tshark that has it as its home dissects none of the protocols `forbidden`. Raises `EnvironmentFaultError` when there
    is no room for it.
    """
    with temporary.folder() as home:
        if forbidden:
            with temporary.blame_folder(), open(os.path.join(home, "disabled_protos"), "w", encoding="utf-8") as file:  # noqa: PTH118, PTH123 - start-up matters
                file.write("\n".join(forbidden) + "\n")
        yield home


def environment(home: str | Path) -> dict[str, str]:
    """Return the whole environment of a child: `home` for everything a user could configure, UTF-8, UTC."""
    folder = os.fspath(home)
    return {
        "PATH": "/usr/bin:/bin",
        "HOME": folder,
        "WIRESHARK_CONFIG_DIR": folder,
        "XDG_CONFIG_HOME": folder,
        "XDG_DATA_HOME": folder,
        "XDG_CACHE_HOME": folder,
        "TMPDIR": folder,
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
    }


@dataclass(slots=True, eq=False)
class Child:
    """A running child, in the five names pyshark expects of a process, and how it ended.

    `read` is the child's standard output; its standard error is drained meanwhile.
    """

    process: subprocess.Popen[bytes]
    deadline: float
    """`time.monotonic()` after which the child is killed."""
    cancelled: threading.Event
    """Set by another thread to have the child killed."""
    error_text: bytearray = field(default_factory=bytearray)
    """The first bytes of standard error."""
    timed_out: bool = False
    """Whether it was killed for passing its deadline."""
    _poll: select.poll = field(default_factory=select.poll)
    _open: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Watch both pipes."""
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                self._poll.register(stream.fileno(), select.POLLIN)
                self._open.add(stream.fileno())

    @property
    def pid(self) -> int:
        """The process id."""
        return self.process.pid

    @property
    def returncode(self) -> int | None:
        """The exit status, negative for a signal, None while it runs."""
        return self.process.returncode

    @property
    def stdout(self) -> Child:
        """The child itself: `read` gives its output."""
        return self

    async def read(self, size: int = BATCH_BYTES) -> bytes:
        """Return at least `size` bytes of output, fewer only at its end; kills the child when its time is up."""
        output = bytearray()
        while self._open and len(output) < size:
            left = self.deadline - time.monotonic()
            if left <= 0 or self.cancelled.is_set():
                self.timed_out = left <= 0
                self.kill()
                break
            for descriptor, _ in self._poll.poll(int(min(left, _SLICE_SECONDS) * 1000) + 1):
                self._take(descriptor, output)
        return bytes(output)

    def _take(self, descriptor: int, output: bytearray) -> None:
        """Move what one pipe holds to where it belongs; forget the pipe at its end."""
        found = os.read(descriptor, BATCH_BYTES)
        if not found:
            self._poll.unregister(descriptor)
            self._open.discard(descriptor)
        elif self.process.stdout is not None and descriptor == self.process.stdout.fileno():
            output += found
        else:
            self.error_text += found[: max(0, _ERROR_BYTES - len(self.error_text))]

    def kill(self) -> None:
        """Kill the child and whatever it started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)

    async def wait(self) -> int:
        """Return the exit status; a child that has closed its output but lives is killed when its time is up."""
        while True:
            left = self.deadline - time.monotonic()
            try:
                return self.process.wait(timeout=min(max(left, 0), _SLICE_SECONDS))
            except subprocess.TimeoutExpired:
                if left <= 0 or self.cancelled.is_set():
                    self.timed_out = left <= 0
                    self.kill()

    def close(self) -> None:
        """Kill what still runs, reap it, close the pipes."""
        if self.process.poll() is None:
            self.kill()
        self.process.wait()
        # Grandchildren may outlive their parent; the group is ours alone.
        self.kill()
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()


def start(argv: Sequence[str], home: str, deadline: float, cancelled: threading.Event) -> Child:
    """Start `argv` (its first item an absolute path) isolated, in its own process group, with resource limits.

    Raises `OSError` when it cannot be started.
    """
    process = subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(home),
        cwd="/",
        process_group=0,
        bufsize=0,
    )
    _limit(process.pid, deadline - time.monotonic())
    _widen(process)
    return Child(process, deadline, cancelled)


def _widen(process: subprocess.Popen[bytes]) -> None:
    """Let the child run ahead of us while a batch is parsed, where the system can."""
    try:
        from fcntl import F_SETPIPE_SZ, fcntl
    except ImportError:
        return
    if process.stdout is not None:
        with contextlib.suppress(OSError):
            fcntl(process.stdout.fileno(), F_SETPIPE_SZ, _PIPE_BYTES)


def _limit(pid: int, seconds: float) -> None:
    """Bound the child's memory, time and files, where the system can do it from outside (Linux).

    From outside, because code between fork and exec is not safe in a program with threads.
    """
    import resource

    if not hasattr(resource, "prlimit"):
        return
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limits = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_NOFILE: _OPEN_FILES,
        resource.RLIMIT_CPU: int(seconds) + 1,
        resource.RLIMIT_AS: memory,
    }
    for kind, limit in limits.items():
        with contextlib.suppress(OSError, ValueError):
            hard = resource.prlimit(pid, kind)[1]
            bound = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
            resource.prlimit(pid, kind, (bound, bound))
