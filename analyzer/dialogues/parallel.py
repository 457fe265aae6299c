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

from analyzer.capture.payloads import SPOOL, Payloads, Spool
from analyzer.dialogues import dispatch
from analyzer.dialogues.dispatch import DialogueBatch, Shard
from analyzer.execution import local
from analyzer.protocols.columnar import DialogueColumns

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator, Sequence
    from pathlib import Path

MIN_CONNECTIONS: Final = 8_192
"""Connections with payload from which on another process is worth its start."""
SHARD_SIZE: Final = 1_024
"""Connections a share."""
MAX_WORKERS: Final = 8
"""Processes, this one included: to load what another has heard takes a ninth of hearing it, so more would wait for this one."""
MIN_SHARDS_PER_WORKER: Final = 4
"""Shares for each other process: it takes about as long to start as to hear some."""
PROGRAM: Final = local.program("analyzer.dialogues.parallel")
_AHEAD: Final = 2
"""Parts another process is given at a time."""
_PATIENCE_S: Final = 2.0
"""How long a share that another process has taken is waited for before it is heard here, when nothing else is left to do."""
_LOOK_S: Final = 0.1


def parse(share: Shard, count: int) -> DialogueBatch:
    """Return what was said on the connections of `share`, heard by `count` processes at most, this one included."""
    spoken = np.flatnonzero(share.streams.spoken[0::2] | share.streams.spoken[1::2])
    if len(spoken) < MIN_CONNECTIONS:
        return dispatch.parse_shard(share)
    edges = [0, *spoken[SHARD_SIZE::SHARD_SIZE].tolist(), len(share)]
    parts = list(pairwise(edges))
    desk = _WorkQueue(share, parts)
    others = min(count, MAX_WORKERS, len(parts) // MIN_SHARDS_PER_WORKER + 1) - 1 if _is_of_files(share) else 0
    with local.WorkerPool(lambda: local.start(PROGRAM), others, desk.drive) as team:
        desk.work(team)
    found = DialogueBatch()
    for (first, _), said in zip(parts, desk.said, strict=True):
        found.add(said, first)
    found.blocks = DialogueColumns.join(found.blocks)
    return found


def _is_of_files(share: Shard) -> bool:
    """Return whether all bytes lie in files as they are, where other processes find them."""
    return all(one is None or isinstance(one, Payloads) for one in share.payloads) and not (share.streams.address >= SPOOL).any()


def serve() -> None:
    """Hear parts of a share: it comes first, with the files in place of what reads them, then where each part begins and ends."""
    gc.disable()  # as in the process that asks
    local.worker_main(_RemoteWorker().answer)


class _RemoteWorker:
    """Answers orders in another process."""

    def __init__(self) -> None:
        self._share: Shard | None = None

    def answer(self, order: tuple[Shard, Sequence[Path | None]] | tuple[int, int]) -> Iterator[DialogueBatch]:
        first, second = order
        if isinstance(first, Shard):
            payloads = [None if path is None else Payloads(path, Spool()) for path in cast("Sequence[Path | None]", second)]
            self._share = replace(first, payloads=payloads)
        elif self._share is not None:
            yield dispatch.parse_shard(self._share.part(first, cast("int", second)))


class _WorkQueue:
    """Gives shares to whoever is free."""

    def __init__(self, share: Shard, parts: list[tuple[int, int]]) -> None:
        self.share, self.parts = share, parts
        self.said: list[Any] = [None] * len(parts)
        """What was heard of each part, None of those that were not heard yet."""
        self.waiting = list(range(len(parts)))[::-1]
        """Parts that nobody has taken, the last to be taken first."""
        self.change = threading.Condition()

    def work(self, team: local.WorkerPool) -> None:
        """Hear parts until all have been heard."""
        while (part := self._take()) is not None:
            self.said[part] = dispatch.parse_shard(self.share.part(*self.parts[part]))
        for part in range(len(self.parts)):
            deadline = time.monotonic() + _PATIENCE_S
            with self.change:
                while self.said[part] is None and team.at_work and time.monotonic() < deadline:
                    self.change.wait(_LOOK_S)
            if self.said[part] is None:
                self.said[part] = dispatch.parse_shard(self.share.part(*self.parts[part]))

    def _take(self) -> int | None:
        with self.change:
            return self.waiting.pop() if self.waiting else None

    def drive(self, process: subprocess.Popen[bytes]) -> None:
        """Give parts to one process until none is left or it ends."""
        # It ended, or printed what it should not: the parts it had are heard here in the end.
        with contextlib.suppress(OSError, EOFError, MemoryError, pickle.UnpicklingError):
            local.handshake(process)
            paths = [one.path if isinstance(one, Payloads) else None for one in self.share.payloads]
            local.send_task(process, (replace(self.share, payloads=()), paths))
            asked = deque[int]()
            # One part more than it is at work on lies ready, so that it never waits for this process.
            while self._ask(process, asked) or asked:
                self._ask(process, asked)
                said = local.receive(cast("BinaryIO", process.stdout))
                with self.change:
                    self.said[asked.popleft()] = said
                    self.change.notify_all()

    def _ask(self, process: subprocess.Popen[bytes], asked: deque[int]) -> bool:
        """Give a process a part if it has not enough of them; return whether it was given one."""
        part = self._take() if len(asked) < _AHEAD else None
        if part is None:
            return False
        asked.append(part)
        local.send_task(process, self.parts[part])
        return True
