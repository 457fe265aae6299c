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
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, BinaryIO, Final, cast

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
MOST: Final = 8
"""Processes, this one included: to load what another has heard takes a ninth of hearing it, so more would wait for this one."""
WORTH: Final = 4
"""Shares for each other process: it takes about as long to start as to hear some."""
PROGRAM: Final = processes.program("analyzer.applications.listeners")
_AHEAD: Final = 2
"""Parts another process is given at a time."""
_PATIENCE_S: Final = 2.0
"""How long a share that another process has taken is waited for before it is heard here, when nothing else is left to do."""
_LOOK_S: Final = 0.1


def listen(share: Share, count: int) -> Said:
    """Return what was said on the connections of `share`, heard by `count` processes at most, this one included."""
    spoken = np.flatnonzero(share.streams.spoken[0::2] | share.streams.spoken[1::2])
    if len(spoken) < LEAST:
        return hearing.listen(share)
    edges = [0, *spoken[EACH::EACH].tolist(), len(share)]
    parts = list(pairwise(edges))
    desk = _Desk(share, parts)
    others = min(count, MOST, len(parts) // WORTH + 1) - 1 if _is_of_files(share) else 0
    with processes.Team(lambda: processes.start(PROGRAM), others, desk.drive) as team:
        desk.work(team)
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


class _Desk:
    """Gives shares to whoever is free."""

    def __init__(self, share: Share, parts: list[tuple[int, int]]) -> None:
        self.share, self.parts = share, parts
        self.said: list[Any] = [None] * len(parts)
        """What was heard of each part, None of those that were not heard yet."""
        self.waiting = list(range(len(parts)))[::-1]
        """Parts that nobody has taken, the last to be taken first."""
        self.change = threading.Condition()

    def work(self, team: processes.Team) -> None:
        """Hear parts until all have been heard."""
        while (part := self._take()) is not None:
            self.said[part] = hearing.listen(self.share.part(*self.parts[part]))
        for part in range(len(self.parts)):
            deadline = time.monotonic() + _PATIENCE_S
            with self.change:
                while self.said[part] is None and team.at_work and time.monotonic() < deadline:
                    self.change.wait(_LOOK_S)
            if self.said[part] is None:
                self.said[part] = hearing.listen(self.share.part(*self.parts[part]))

    def _take(self) -> int | None:
        with self.change:
            return self.waiting.pop() if self.waiting else None

    def drive(self, process: subprocess.Popen[bytes]) -> None:
        """Give parts to one process until none is left or it ends."""
        # It ended, or printed what it should not: the parts it had are heard here in the end.
        with contextlib.suppress(OSError, EOFError, MemoryError, pickle.UnpicklingError):
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
