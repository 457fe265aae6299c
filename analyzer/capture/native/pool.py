"""Worker processes that read byte ranges of one file.

Ranges are taken in order by the next free process, this one included. A process that cannot be started or ends early costs
time only: its range is read here. No process outlives the `with`; if this process is killed, the others end at their next batch.
"""

from __future__ import annotations

import contextlib
import pickle
import subprocess
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, BinaryIO, Final, Self, cast

from analyzer.capture.formats.model import UnsupportedFormatError
from analyzer.capture.native import batches, worker
from analyzer.errors import PcaplintError
from analyzer.execution import local

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from analyzer.capture.native.batches import ByteRange, DecodedBatch

PROGRAM: Final = local.program("analyzer.capture.native.worker")
_WAIT_SECONDS: Final = 0.5
_END_SECONDS: Final = 5


class DeadlineExceededError(PcaplintError):
    """Time is up."""


class RangeState(Enum):
    """How far a part is."""

    WAITING = 1
    TAKEN = 2
    READ = 3
    LOCAL = 4
    """To be read, if at all, by this process when it is needed."""


@dataclass(slots=True)
class RangeTask:
    """A part of the file, and what is known of it so far."""

    byte_range: ByteRange
    state: RangeState = RangeState.WAITING
    decoded: deque[DecodedBatch] = field(default_factory=deque)
    foreign: str = ""
    """Why only tshark reads it, empty when that is not so."""


class RangeReaders:
    """Reads `parts` by `count` other processes and, while it waits, by itself; a context manager."""

    def __init__(self, parts: Sequence[RangeTask], count: int) -> None:
        """Prepare; the processes start with the `with`."""
        self.parts = parts
        self.lost: list[str] = []
        """How processes ended that left a part half read."""
        self._change = threading.Condition()
        self._closing = False
        self._pool = local.WorkerPool(_start, min(count, len(parts) - 1), self._drive)

    def __enter__(self) -> Self:
        """Start the processes."""
        self._pool.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """End the processes."""
        self._close()

    def wait(self, part: RangeTask, deadline: float) -> bool:
        """Return whether `part` has been read, False if the caller is to do it; until then read other parts.

        Raises `DeadlineExceededError` when `time.monotonic()` passes `deadline`.
        """
        while True:
            with self._change:
                if part.state is RangeState.WAITING:
                    part.state = RangeState.LOCAL
                if part.state is not RangeState.TAKEN:
                    return part.state is RangeState.READ
                other = self._next()
                if other is None:
                    self._change.wait(_WAIT_SECONDS)
            if time.monotonic() > deadline:
                message = "reading took too long"
                raise DeadlineExceededError(message)
            if other is not None:
                _fill(other)

    def keep_local(self, part: RangeTask) -> bool:
        """Keep other processes from starting `part`; return False: it has not been read from the right place."""
        with self._change:
            if part.state is RangeState.WAITING:
                part.state = RangeState.LOCAL
        return False

    def _next(self) -> RangeTask | None:
        """Take the next part that waits; the lock is held."""
        found = None if self._closing else next((part for part in self.parts if part.state is RangeState.WAITING), None)
        if found is not None:
            found.state = RangeState.TAKEN
        return found

    def _drive(self, process: subprocess.Popen[bytes]) -> None:
        """Give parts to one process until none is left or it ends."""
        part, through = None, False
        try:
            # A part is not for a process that is still starting: it would keep all later parts waiting in memory.
            local.handshake(process)
            while True:
                with self._change:
                    part = self._next()
                if part is None:
                    through = True
                    return
                local.send_task(process, part.byte_range)
                _collect(process, part)
                with self._change:
                    part.state = RangeState.READ
                    self._change.notify_all()
        except (OSError, EOFError, MemoryError, pickle.UnpicklingError):
            # It ended, or printed what it should not.
            return
        finally:
            if not through:
                self._release(process, part)

    def _release(self, process: subprocess.Popen[bytes], part: RangeTask | None) -> None:
        """Release a process that ended while it had `part`, and mark `part` to be read here."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_END_SECONDS)
        process.kill()
        process.wait()
        with self._change:
            if part is not None and part.state is RangeState.TAKEN:
                part.decoded.clear()
                part.state = RangeState.LOCAL
            if not self._closing:
                self.lost.append(f"signal {-process.returncode}" if (process.returncode or 0) < 0 else f"status {process.returncode}")
            self._change.notify_all()

    def _close(self) -> None:
        """End all processes and threads."""
        with self._change:
            self._closing = True
        self._pool.close()


def _start() -> subprocess.Popen[bytes]:
    return local.start(PROGRAM)


def _collect(process: subprocess.Popen[bytes], part: RangeTask) -> None:
    """Take what a process finds in `part`; raises `EOFError` when it ends before it is through."""
    while process.stdout is not None:
        item = local.receive(cast("BinaryIO", process.stdout))
        if isinstance(item, worker.RangeDone):
            part.byte_range.scan_state, part.foreign = item.scan_state, item.foreign
            return
        part.decoded.append(item)


def _fill(part: RangeTask) -> None:
    """Read `part` here."""
    try:
        part.decoded.extend(batches.read(part.byte_range))
    except UnsupportedFormatError as error:
        part.foreign = str(error)
    part.state = RangeState.READ
