"""Captures that come through standard input, a FIFO or `<(…)`: stored in a private temporary folder for as long as they are read.

Everything that reads a capture needs its size and reads parts of it twice; a stream has no size and can be read once.
"""

from __future__ import annotations

import os
import select
import signal
import stat
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from analyzer.capture import temporary
from analyzer.errors import InputError, PcaplintError, UsageError, raise_if_exhausted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from types import FrameType

    from analyzer.model import Capture

STDIN: Final = "-"
"""The path that means standard input."""
_STDIN_PATHS: Final = frozenset({STDIN, "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"})
_DESCRIPTORS: Final = ("/dev/stdin", "/dev/fd/", "/proc/self/fd/")
_CHUNK_BYTES: Final = 1 << 20
_MAX_DRAIN_S: Final = 2.0
"""How long the producer may write after Ctrl-C, which ends the programs of a pipeline together, until its end of file is due."""


@dataclass(frozen=True, slots=True)
class Stored:
    """The paths of a run, each stream replaced by the file that it was stored in."""

    paths: tuple[str, ...]
    names: Mapping[str, str] = field(default_factory=dict)
    """The path as given, by the path of the file it was stored in."""

    def rename(self, capture: Capture) -> Capture:
        """Return `capture` under the path as given, also in its reason and notes."""
        given = self.names.get(capture.path)
        if given is None:
            return capture
        notes = tuple(replace(note, text=note.text.replace(capture.path, given)) for note in capture.notes)
        return replace(capture, path=given, reason=capture.reason.replace(capture.path, given), notes=notes)

    def name(self, path: str) -> str:
        """Return the path as given of what is read at `path`."""
        return self.names.get(path, path)


@contextmanager
def stored(paths: Sequence[str | Path]) -> Iterator[Stored]:
    """Read each stream among `paths` to its end and give the paths to read in its place; the copies are removed at the end.

    `-` is standard input. Raises `UsageError` for a stream that is named twice and for a terminal, `InputError` for one that cannot be
    read, `EnvironmentFaultError` when there is no room for it.
    """
    given = [os.fspath(path) for path in paths]
    streams = [number for number, path in enumerate(given) if is_stream(path)]
    if not streams:
        yield Stored(tuple(given))
        return
    _refuse_repeats([given[number] for number in streams])
    with temporary.folder() as folder:
        names: dict[str, str] = {}
        result = list(given)
        for number in streams:
            result[number] = os.path.join(folder, f"stream-{number}")  # noqa: PTH118 - names are text here
            names[result[number]] = given[number]
            _store(given[number], result[number])
        with _errors_by_name(names):
            yield Stored(tuple(result), names)


@contextmanager
def _errors_by_name(names: Mapping[str, str]) -> Iterator[None]:
    """Replace the paths of stored streams by their names in the message of an error."""
    try:
        yield
    except PcaplintError as error:
        text = str(error)
        for path, name in names.items():
            text = text.replace(path, name)
        if text == str(error):
            raise
        raise type(error)(text) from error


def is_stream(path: str | Path) -> bool:
    """Return whether `path` can be read once only: standard input, a pipe, or a name in /dev/fd, which no other process can open."""
    name = os.fspath(path)
    if name == STDIN:
        return True
    try:
        mode = os.stat(name).st_mode  # noqa: PTH116 - takes text and paths
    except (OSError, ValueError):
        return False
    return stat.S_ISFIFO(mode) or (name.startswith(_DESCRIPTORS) and not stat.S_ISDIR(mode))


def _refuse_repeats(paths: Sequence[str]) -> None:
    seen: set[tuple[int, int]] = set()
    for path in paths:
        try:
            found = os.fstat(0) if path in _STDIN_PATHS else os.stat(path)  # noqa: PTH116
        except OSError:
            # Opening it states why.
            continue
        key = (found.st_dev, found.st_ino)
        if key in seen:
            message = f"{path}: this stream is named twice, and can be read once"
            raise UsageError(message)
        seen.add(key)


def _store(path: str, destination: str) -> None:
    """Copy the stream at `path` to the new file `destination`."""
    try:
        source = os.dup(0) if path in _STDIN_PATHS else os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
    except OSError as error:
        raise _unreadable(path, error) from error
    try:
        if os.isatty(source):
            message = f"{path}: standard input is a terminal: pipe a capture into it, as in tcpdump -w - | pcaplint check -"
            raise UsageError(message)
        if sys.platform == "win32":
            import msvcrt

            msvcrt.setmode(source, os.O_BINARY)
        with temporary.blame_folder(), Path(destination).open("xb") as file:
            for chunk in _chunks(path, source):
                file.write(chunk)
                file.flush()
    finally:
        os.close(source)


def _unreadable(path: str, error: OSError) -> InputError:
    raise_if_exhausted(error)
    return InputError(f"{path}: it cannot be read: {error.strerror or error}")


def _chunks(path: str, source: int) -> Iterator[bytes]:
    """Yield what comes from the descriptor `source` until its end, or until Ctrl-C and `_MAX_DRAIN_S` more."""
    with _Interrupts() as interrupts:
        while True:
            interrupts.wait(source)
            try:
                chunk = os.read(source, _CHUNK_BYTES)
            except OSError as error:
                raise _unreadable(path, error) from error
            if not chunk:
                return
            yield chunk


class _Interrupts:
    """SIGINT while a stream is stored: the first one leaves the producer time to end, as the same Ctrl-C ends it.

    No bytes are lost: SIGINT raises an exception only while there is nothing to write.
    """

    def __init__(self) -> None:
        self._deadline: float | None = None
        self._waiting = False
        self._before: Callable[[int, FrameType | None], object] | int | None = None
        self._handles = (
            sys.platform != "win32"
            and threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        )

    def __enter__(self) -> Self:
        if self._handles:
            self._before = signal.signal(signal.SIGINT, self._interrupted)
        return self

    def __exit__(self, *ended: object) -> None:
        if self._handles:
            signal.signal(signal.SIGINT, self._before)

    def wait(self, source: int) -> None:
        """Return when `source` can be read. Raises `KeyboardInterrupt` after a second SIGINT, or when the time after the first is over."""
        if not self._handles:
            return
        while True:
            try:
                self._waiting = True
                left = None if self._deadline is None else max(self._deadline - time.monotonic(), 0)
                ready, _, _ = select.select([source], [], [], left)
                self._waiting = False
            except InterruptedError:
                self._waiting = False
                continue
            if not ready or left == 0:
                raise KeyboardInterrupt
            return

    def _interrupted(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        if self._deadline is not None:
            raise KeyboardInterrupt
        self._deadline = time.monotonic() + _MAX_DRAIN_S
        if self._waiting:
            raise InterruptedError
