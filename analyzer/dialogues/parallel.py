"""Parse shards of connections in this process and, where it pays, in other processes at the same time.

The result is that of `dispatch.parse_shard` for all connections, whichever process parsed them. A process that cannot be started, or that
ends or sends something else, costs time only: its shards are parsed here. No process is left when `parse` returns or raises.
"""

from __future__ import annotations

import contextlib
import gc
import pickle
import threading
import time
from collections import deque
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, BinaryIO, Final, cast

import numpy as np

from analyzer.capture.payloads import SPOOL, Payloads, Spool
from analyzer.dialogues import dispatch
from analyzer.dialogues.dispatch import DialogueBatch, Shard
from analyzer.execution import local
from analyzer.protocols.columnar import DialogueColumns

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

QUEUE_DEPTH: Final = 2
"""Shards that a process is given at a time: one to parse, and one ready so that it never waits for this process."""
_POLL_S: Final = 0.1
PROGRAM: Final = local.program("analyzer.dialogues.parallel")


def _start() -> subprocess.Popen[bytes]:
    return local.start(PROGRAM)


@dataclass(frozen=True, slots=True)
class ParallelPolicy:
    """When other processes are used, how many, and how they are started."""

    min_connections: int = 8_192
    """Connections with payload from which on a further process repays its start."""
    shard_size: int = 1_024
    """Connections with payload per shard."""
    max_workers: int = 8
    """Processes, this one included: unpickling a result costs a ninth of producing it, so this process is the limit beyond."""
    min_shards_per_worker: int = 4
    """Shards for each further process: its start takes about as long as parsing that many."""
    patience_s: float = 2.0
    """How long to wait for a shard that another process has, when no other is left, before parsing it here too."""
    head_start_s: float = 0.0
    """How long this process leaves all shards to the other ones."""
    start: Callable[[], subprocess.Popen[bytes]] = _start
    """Starts a process that runs `serve`."""


DEFAULT_POLICY: Final = ParallelPolicy()


def parse(shard: Shard, processes: int, policy: ParallelPolicy | None = None) -> DialogueBatch:
    """Return the dialogues of `shard`, parsed by at most `processes` processes, this one included."""
    policy = policy or DEFAULT_POLICY
    chosen = np.flatnonzero(shard.streams.has_payload[0::2] | shard.streams.has_payload[1::2])
    if len(chosen) < policy.min_connections:
        return dispatch.parse_shard(shard)
    edges = [0, *chosen[policy.shard_size :: policy.shard_size].tolist(), len(shard)]
    queue = _WorkQueue(shard, list(pairwise(edges)), policy)
    further = min(processes, policy.max_workers, len(queue.parts) // policy.min_shards_per_worker + 1) - 1 if _is_in_files(shard) else 0
    with local.WorkerPool(policy.start, further, queue.drive) as pool:
        queue.work(pool)
    found = DialogueBatch()
    for (first, _), batch in zip(queue.parts, queue.results, strict=True):
        found.add(cast("DialogueBatch", batch), first)
    found.columns = DialogueColumns.join(found.columns)
    return found


def _is_in_files(shard: Shard) -> bool:
    """Return whether all payload lies in uncompressed files, which other processes can read."""
    return all(one is None or isinstance(one, Payloads) for one in shard.payloads) and not (shard.streams.address >= SPOOL).any()


def serve() -> None:
    """Parse shards for another process: first comes the whole shard with paths for payloads, then (first, last) of each part."""
    gc.disable()  # as in the process that sends the tasks
    local.worker_main(_RemoteWorker().answer)


class _RemoteWorker:
    """Answers tasks in a process of its own."""

    def __init__(self) -> None:
        self._shard: Shard | None = None

    def answer(self, task: tuple[Shard, Sequence[Path | None]] | tuple[int, int]) -> Iterator[DialogueBatch]:
        first, second = task
        if isinstance(first, Shard):
            payloads = [None if path is None else Payloads(path, Spool()) for path in cast("Sequence[Path | None]", second)]
            self._shard = replace(first, payloads=payloads)
        elif self._shard is not None:
            yield dispatch.parse_shard(self._shard.part(first, cast("int", second)))


class _WorkQueue:
    """Hands the parts of a shard to the processes that are free, this one included."""

    def __init__(self, shard: Shard, parts: list[tuple[int, int]], policy: ParallelPolicy) -> None:
        self.shard, self.parts, self.policy = shard, parts, policy
        self.results: list[DialogueBatch | None] = [None] * len(parts)
        """The result of each part, None until it is there; what another process sends is not checked."""
        self.waiting = list(range(len(parts)))[::-1]
        """Parts that no process has taken, the next one last."""
        self.change = threading.Condition()

    def work(self, pool: local.WorkerPool) -> None:
        """Parse parts until all are done."""
        self._wait(pool, range(len(self.parts)), self.policy.head_start_s)
        while (part := self._take()) is not None:
            self._parse_here(part)
        for part in range(len(self.parts)):
            self._wait(pool, (part,), self.policy.patience_s)
            if self.results[part] is None:
                self._parse_here(part)

    def _wait(self, pool: local.WorkerPool, parts: Sequence[int], seconds: float) -> None:
        """Wait for the results of `parts` while other processes are at work, at most `seconds`."""
        deadline = time.monotonic() + seconds
        with self.change:
            while any(self.results[part] is None for part in parts) and pool.at_work and time.monotonic() < deadline:
                self.change.wait(_POLL_S)

    def _parse_here(self, part: int) -> None:
        self.results[part] = dispatch.parse_shard(self.shard.part(*self.parts[part]))

    def _take(self) -> int | None:
        with self.change:
            return self.waiting.pop() if self.waiting else None

    def drive(self, process: subprocess.Popen[bytes]) -> None:
        """Send parts to one process until none is left or it ends."""
        # When it ends or sends something else, `work` parses the parts that it had.
        with contextlib.suppress(OSError, EOFError, MemoryError, pickle.UnpicklingError):
            local.handshake(process)
            paths = [one.path if isinstance(one, Payloads) else None for one in self.shard.payloads]
            local.send_task(process, (replace(self.shard, payloads=()), paths))
            sent = deque[int]()
            while self._send(process, sent) or sent:
                self._send(process, sent)
                result = local.receive(cast("BinaryIO", process.stdout))
                with self.change:
                    self.results[sent.popleft()] = result
                    self.change.notify_all()

    def _send(self, process: subprocess.Popen[bytes], sent: deque[int]) -> bool:
        """Send a part to a process that has fewer than `QUEUE_DEPTH`; return whether one was sent."""
        part = self._take() if len(sent) < QUEUE_DEPTH else None
        if part is None:
            return False
        sent.append(part)
        local.send_task(process, self.parts[part])
        return True
