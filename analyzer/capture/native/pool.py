"""Processes that read parts of a file for this one.

Promises: a part is given to whoever is free, in order, this process included; a process that cannot be started or ends early
costs nothing but time: its part is left to this one. None outlives the `with`; if this process is killed, the others end at
their next piece.
Must not know: what pieces hold, how parts were chosen.
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


class State(Enum):
    """How far a part is."""

    WAITING = 1
    TAKEN = 2
    READ = 3
    LEFT = 4
    """To be read, if at all, where it is needed."""


@dataclass(slots=True)
class RangeTask:
    """A part of the file, and what is known of it so far."""

    stretch: ByteRange
    state: State = State.WAITING
    pieces: deque[DecodedBatch] = field(default_factory=deque)
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
        self._team = local.WorkerPool(_start, min(count, len(parts) - 1), self._drive)

    def __enter__(self) -> Self:
        """Start the processes."""
        self._team.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """End the processes."""
        self._close()

    def wait(self, part: RangeTask, deadline: float) -> bool:
        """Return whether `part` has been read, False if the caller is to do it; until then read other parts.

        Raises `OverdueError` when `time.monotonic()` passes `deadline`.
        """
        while True:
            with self._change:
                if part.state is State.WAITING:
                    part.state = State.LEFT
                if part.state is not State.TAKEN:
                    return part.state is State.READ
                other = self._next()
                if other is None:
                    self._change.wait(_WAIT_SECONDS)
            if time.monotonic() > deadline:
                message = "reading took too long"
                raise DeadlineExceededError(message)
            if other is not None:
                _fill(other)

    def leave(self, part: RangeTask) -> bool:
        """See to it that nobody begins to read `part`; return False: nobody has read it as it is needed."""
        with self._change:
            if part.state is State.WAITING:
                part.state = State.LEFT
        return False

    def _next(self) -> RangeTask | None:
        """Take the next part that waits; the lock is held."""
        found = None if self._closing else next((part for part in self.parts if part.state is State.WAITING), None)
        if found is not None:
            found.state = State.TAKEN
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
                local.send_task(process, part.stretch)
                _collect(process, part)
                with self._change:
                    part.state = State.READ
                    self._change.notify_all()
        except (OSError, EOFError, MemoryError, pickle.UnpicklingError):
            # It ended, or printed what it should not.
            return
        finally:
            if not through:
                self._lose(process, part)

    def _lose(self, process: subprocess.Popen[bytes], part: RangeTask | None) -> None:
        """Let go of a process that ended while it had `part`."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_END_SECONDS)
        process.kill()
        process.wait()
        with self._change:
            if part is not None and part.state is State.TAKEN:
                part.pieces.clear()
                part.state = State.LEFT
            if not self._closing:
                self.lost.append(f"signal {-process.returncode}" if (process.returncode or 0) < 0 else f"status {process.returncode}")
            self._change.notify_all()

    def _close(self) -> None:
        """End all processes and threads."""
        with self._change:
            self._closing = True
        self._team.close()


def _start() -> subprocess.Popen[bytes]:
    return local.start(PROGRAM)


def _collect(process: subprocess.Popen[bytes], part: RangeTask) -> None:
    """Take what a process finds in `part`; raises `EOFError` when it ends before it is through."""
    while process.stdout is not None:
        item = local.receive(cast("BinaryIO", process.stdout))
        if isinstance(item, worker.RangeDone):
            part.stretch.outline, part.foreign = item.outline, item.foreign
            return
        part.pieces.append(item)


def _fill(part: RangeTask) -> None:
    """Read `part` here."""
    try:
        part.pieces.extend(batches.read(part.stretch))
    except UnsupportedFormatError as error:
        part.foreign = str(error)
    part.state = State.READ
