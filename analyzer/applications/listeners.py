"""Shares of connections, heard here and, where that is worth it, by other processes at the same time.

Promises: what `hearing.listen` says of all connections, whoever heard them; a process that cannot be started or is lost costs time alone;
none is left when the answer is there, however it ends.
Must not know: what is said.
"""

from __future__ import annotations

import contextlib
import gc
import pickle
import threading
import time
from collections import deque
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Self, cast

import numpy as np

from analyzer import processes
from analyzer.applications import hearing
from analyzer.applications.block import Block
from analyzer.applications.hearing import Said, Share
from analyzer.capture.payloads import SPOOL, Payloads, Spool

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator, Sequence
    from pathlib import Path

LEAST: Final = 8_192
"""Connections with payload from which on another process is worth its start."""
EACH: Final = 1_024
"""Connections a share."""
PROGRAM: Final = processes.program("analyzer.applications.listeners")
_AHEAD: Final = 2
"""Parts another process is given at a time."""
_PATIENCE_S: Final = 2.0
"""How long a share that another process has taken is waited for before it is heard here, when nothing else is left to do."""


def listen(share: Share, count: int) -> Said:
    """Return what was said on the connections of `share`, heard by `count` processes at most, this one included."""
    spoken = np.flatnonzero(share.streams.spoken[0::2] | share.streams.spoken[1::2])
    if len(spoken) < LEAST:
        return hearing.listen(share)
    edges = [0, *spoken[EACH::EACH].tolist(), len(share)]
    parts = list(pairwise(edges))
    with _Desk(share, parts, min(count, len(parts)) - 1 if _is_of_files(share) else 0) as desk:
        desk.work()
        found = Said()
        for (first, _), said in zip(parts, desk.said, strict=True):
            found.add(said, first)
    found.blocks = Block.join(found.blocks)
    return found


def _is_of_files(share: Share) -> bool:
    """Return whether all bytes lie in files as they are, where other processes find them."""
    return all(one is None or isinstance(one, Payloads) for one in share.payloads) and not (share.streams.address >= SPOOL).any()


def serve() -> None:
    """Hear parts of a share: it comes first, with the files in place of what reads them, then where each part begins and ends."""
    gc.disable()  # as in the process that asks
    processes.serve(_Listener().answer)


class _Listener:
    """Answers orders in another process."""

    def __init__(self) -> None:
        self._share: Share | None = None

    def answer(self, order: tuple[Share, Sequence[Path | None]] | tuple[int, int]) -> Iterator[Said]:
        first, second = order
        if isinstance(first, Share):
            payloads = [None if path is None else Payloads(path, Spool()) for path in cast("Sequence[Path | None]", second)]
            self._share = replace(first, payloads=payloads)
        elif self._share is not None:
            yield hearing.listen(self._share.part(first, cast("int", second)))


@dataclass(slots=True)
class _Desk:
    """Gives shares to whoever is free; a context manager."""

    share: Share
    parts: list[tuple[int, int]]
    helpers: int
    said: list[Any] = field(default_factory=list)
    """What was heard of each part, None of those that were not heard yet."""
    waiting: list[int] = field(default_factory=list)
    """Parts that nobody has taken, the last to be taken first."""
    change: threading.Condition = field(default_factory=threading.Condition)
    members: list[tuple[subprocess.Popen[bytes], threading.Thread]] = field(default_factory=list)

    def __enter__(self) -> Self:
        """Start the processes."""
        self.said, self.waiting = [None] * len(self.parts), list(range(len(self.parts)))[::-1]
        try:
            for _ in range(self.helpers):
                process = processes.start(PROGRAM)
                thread = threading.Thread(target=self._drive, args=(process,), name="pcaplint-listeners", daemon=True)
                self.members.append((process, thread))
                thread.start()
        except OSError:
            # What cannot be started is done without.
            pass
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """End the processes."""
        self._close()

    def work(self) -> None:
        """Hear parts until all have been heard."""
        while (part := self._take()) is not None:
            self.said[part] = hearing.listen(self.share.part(*self.parts[part]))
        for part in range(len(self.parts)):
            deadline = time.monotonic() + _PATIENCE_S
            with self.change:
                while self.said[part] is None and (left := deadline - time.monotonic()) > 0:
                    self.change.wait(left)
            if self.said[part] is None:
                self.said[part] = hearing.listen(self.share.part(*self.parts[part]))

    def _take(self) -> int | None:
        with self.change:
            return self.waiting.pop() if self.waiting else None

    def _drive(self, process: subprocess.Popen[bytes]) -> None:
        """Give parts to one process until none is left or it ends."""
        # It ended, or printed what it should not: the parts it had are heard here in the end.
        with contextlib.suppress(OSError, EOFError, pickle.UnpicklingError):
            processes.begin(process)
            paths = [one.path if isinstance(one, Payloads) else None for one in self.share.payloads]
            processes.write(process, (replace(self.share, payloads=()), paths))
            asked = deque[int]()
            # One part more than it is at work on lies ready, so that it never waits for this process.
            while self._ask(process, asked) or asked:
                self._ask(process, asked)
                said = processes.receive(cast("BinaryIO", process.stdout))
                with self.change:
                    self.said[asked.popleft()] = said
                    self.change.notify_all()

    def _ask(self, process: subprocess.Popen[bytes], asked: deque[int]) -> bool:
        """Give a process a part if it has not enough of them; return whether it was given one."""
        part = self._take() if len(asked) < _AHEAD else None
        if part is None:
            return False
        asked.append(part)
        processes.write(process, self.parts[part])
        return True

    def _close(self) -> None:
        for process, _ in self.members:
            process.kill()
        for process, thread in self.members:
            thread.join()
            processes.close(process)
