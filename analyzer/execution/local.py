"""Worker processes of this machine: fresh interpreters that exchange pickles through pipes.

A fork of a process with threads may inherit locks that are never released (Python 3.12 warns of it); `multiprocessing` with spawn runs the
caller's main module again, which need not expect that.

The bytes of arrays are not copied into or out of a pickle. Workers ignore PYTHON* variables and the user's site folder, and run in their
own process group, so Ctrl-C reaches the parent only. A worker ends when its input ends or its output is closed.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import pickle
import struct
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Self, cast

if sys.platform == "linux":
    import fcntl

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

READY: Final = "ready"
"""The first message of a worker: all modules are imported."""
_PIPE_BYTES: Final = 1 << 20
"""Capacity of a pipe where the system lets us choose it: the default maximum of Linux."""
_ALIGNED: Final = 8
_MAGIC: Final = b"pcaplint"


def program(module: str) -> str:
    """Return the program text of a worker that calls `serve()` of `module`."""
    return f"import pickle, sys; sys.path[:] = pickle.load(sys.stdin.buffer); from {module} import serve; serve()"


def start(text: str) -> subprocess.Popen[bytes]:
    """Start a worker with the text that `program` returned. Raises `OSError` when it cannot be started."""
    if getattr(sys, "frozen", False) or not sys.executable:
        message = "this is no Python interpreter that could be started again"
        raise OSError(message)
    argv = [sys.executable, "-I", *(f"-W{option}" for option in sys.warnoptions), "-c", text]
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    process = subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment, process_group=0
    )
    for pipe in (process.stdin, process.stdout):
        if sys.platform == "linux" and pipe is not None:
            # F_SETPIPE_SZ fails with EPERM once the user's pipe-buffer quota is used up.
            with contextlib.suppress(OSError):
                fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    return process


def handshake(process: subprocess.Popen[bytes]) -> None:
    """Send `sys.path` to a worker and wait until it is ready; raises `EOFError` or `OSError` when it ends instead."""
    send_task(process, [*(path for path in sys.path if Path(path).is_absolute()), str(Path(__file__).parents[2])])
    if receive(cast("BinaryIO", process.stdout)) != READY:
        raise EOFError


def send_task(process: subprocess.Popen[bytes], item: object) -> None:
    """Send a task to a worker."""
    if process.stdin is not None:
        pickle.dump(item, process.stdin, protocol=5)
        process.stdin.flush()


def close(process: subprocess.Popen[bytes]) -> None:
    """End a process that has been killed, or is about to end by itself, and its pipes."""
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()


class WorkerPool:
    """Processes, each driven by a thread of this one; a context manager. None outlives the `with`."""

    def __init__(self, start: Callable[[], subprocess.Popen[bytes]], count: int, drive: Callable[[subprocess.Popen[bytes]], None]) -> None:
        """Prepare; `count` processes start with the `with`, fewer where no more can be."""
        self._start, self._count, self._drive = start, count, drive
        self._members: list[tuple[subprocess.Popen[bytes], threading.Thread]] = []

    def __enter__(self) -> Self:
        """Start the processes."""
        try:
            for _ in range(self._count):
                process = self._start()
                thread = threading.Thread(target=self._drive, args=(process,), name="pcaplint-worker", daemon=True)
                self._members.append((process, thread))
                thread.start()
        except OSError:
            # Fewer workers are enough.
            pass
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """End the processes."""
        self.close()

    @property
    def at_work(self) -> bool:
        """Whether a process is still being driven."""
        return any(thread.is_alive() for _, thread in self._members)

    def close(self) -> None:
        """End all processes and threads."""
        for process, _ in self._members:
            process.kill()
        for process, thread in self._members:
            process.wait()
            thread.join()
            close(process)


def worker_main(work: Callable[[Any], Iterator[object]]) -> None:
    """Run as a worker: send every item that `work` yields for each task received."""
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    with contextlib.suppress(EOFError, BrokenPipeError):
        send_result(sink, READY)
        while True:
            task = pickle.load(source)  # noqa: S301 - from the process that started this one
            for item in work(task):
                send_result(sink, item)


def send_result(sink: BinaryIO, item: object) -> None:
    """Write `item`, its arrays behind it as they are (pickle's out-of-band buffers, PEP 574), each from a multiple of 8 on."""
    buffers: list[pickle.PickleBuffer] = []
    head = pickle.dumps(item, protocol=5, buffer_callback=buffers.append)
    raw = [memoryview(head), *(buffer.raw() for buffer in buffers)]
    sink.write(_MAGIC + struct.pack("<I", len(raw)) + struct.pack(f"<{len(raw)}Q", *map(len, raw)))
    for part in raw:
        sink.write(part)
        sink.write(bytes(-len(part) % _ALIGNED))
    sink.flush()


def receive(source: BinaryIO) -> Any:  # noqa: ANN401 - whatever was sent
    """Return the next item; raises `EOFError` when there is none, or not all of it."""
    if _take(source, len(_MAGIC)) != _MAGIC:
        # Whatever is imported when an interpreter starts may print.
        message = "something else was printed"
        raise EOFError(message)
    (count,) = struct.unpack("<I", _take(source, 4))
    sizes = struct.unpack(f"<{count}Q", _take(source, 8 * count))
    # Memory of its own, which goes back to the system as a whole: the allocator would stay fragmented. All is read at once: each wait
    # for bytes also makes the thread wait for the GIL.
    data = memoryview(mmap.mmap(-1, sum(size + -size % _ALIGNED for size in sizes)))
    _fill(source, data)
    parts, at = [], 0
    for size in sizes:
        parts.append(data[at : at + size])
        at += size + -size % _ALIGNED
    return pickle.loads(parts[0], buffers=parts[1:])  # noqa: S301 - from a process started here


def _take(source: BinaryIO, size: int) -> bytearray:
    """Return the next `size` bytes."""
    data = bytearray(size)
    _fill(source, memoryview(data))
    return data


def _fill(source: BinaryIO, target: memoryview) -> None:
    """Read as many bytes as `target` has; raises `EOFError` when there are fewer."""
    filled = 0
    while filled < len(target):
        found = source.readinto(target[filled:])  # type: ignore[attr-defined] # all raw and buffered files have it
        if not found:
            raise EOFError
        filled += found
