"""The pyshark engine: tshark's own view of every frame, as columns.

Pyshark's process, path and option handling, but never its packet objects; the exit status of tshark is
awaited after its output has ended, and anything but 0 makes the capture incomplete, with the rows that came before;
no child, folder or descriptor is left. Works in a thread that runs an event loop, and on every supported Python.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import threading
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from analyzer.capture.exit_status import Ending, explain
from analyzer.capture.payloads import Payloads, Spool
from analyzer.capture.tshark import fields, sandbox
from analyzer.capture.tshark.probe import Tshark, probe
from analyzer.errors import EnvironmentFaultError
from analyzer.files import some_working_folder
from analyzer.model import Capture

with some_working_folder():
    import pyshark

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence
    from pathlib import Path

    from analyzer.capture.count import Count
    from analyzer.capture.tshark.decode import Counts, SegmentBuilder

__all__ = ["ColumnCapture", "Tshark", "probe", "read"]

BATCH_ROWS: Final = 8192
BATCH_BYTES: Final = 1 << 23
"""Rows parsed at a time: so many, or fewer where the payloads are long, but one at least."""
_LOOP_DESCRIPTORS: Final = 3
"""What an event loop opens: a selector and two sockets."""
_ROOT_WARNING: Final = "Running as user"
_SHOWN_LETTERS: Final = 300
_USAGE_STATUS: Final = 1
"""tshark's exit status when it does not accept its arguments."""


class Batches:
    """Stands where pyshark has its packet parser: a "packet" is a batch of whole rows, as bytes.

    Where a batch ends does not depend on how output arrives. `ending` learns of a last row that was not finished, which is dropped.
    """

    def __init__(self, ending: Ending) -> None:
        """Parse for one process."""
        self._ending = ending

    async def get_packets_from_stream(
        self, stream: sandbox.Child, existing_data: bytes, *, got_first_packet: bool = True
    ) -> tuple[bytes, bytes]:
        """Return the next whole rows and what was read beyond them; raises `EOFError` at the end."""
        del got_first_packet
        data, cut = existing_data, _cut(existing_data)
        while not cut:
            more = await stream.read()
            if not more:
                cut = data.rfind(b"\n") + 1
                break
            data += more
            cut = _cut(data)
        if not cut:
            self._ending.unfinished = bool(data)
            raise EOFError
        return data[:cut], data[cut:]


def _cut(data: bytes) -> int:
    """Return where the first batch in `data` ends, 0 when it is not known yet."""
    if len(data) >= BATCH_BYTES:
        within = data.rfind(b"\n", 0, BATCH_BYTES) + 1 or data.find(b"\n") + 1
        return _cut_rows(data[:within]) or within
    return _cut_rows(data)


def _cut_rows(data: bytes) -> int:
    """Return where the first `BATCH_ROWS` lines of `data` end, 0 when it has fewer."""
    if data.count(b"\n") < BATCH_ROWS:
        return 0
    import numpy as np

    return int(np.flatnonzero(np.frombuffer(data, dtype=np.uint8) == ord("\n"))[BATCH_ROWS - 1]) + 1


class ColumnCapture(pyshark.FileCapture):  # type: ignore[misc] # pyshark has no types
    """A capture file whose iteration gives batches of `tshark -T fields` rows as bytes.

    `path` is absolute. After iteration `ending` states how tshark ended; `close` is to be called whatever happened.
    """

    def __init__(self, path: Path, tshark: Tshark, home: str, deadline: float, cancelled: threading.Event) -> None:
        """Prepare; tshark starts when iteration does."""
        # The loop of asyncio's policy may belong to other code, and policies are deprecated.
        self._loop = _make_loop()
        self._tshark = tshark
        self._home = home
        self._deadline = deadline
        self._cancelled = cancelled
        self.ending = Ending()
        self.argv: list[str] = []
        try:
            # With a loop of ours pyshark makes no use of the event loop policy, whose child watchers newer Pythons lack.
            super().__init__(
                input_file=path,
                keep_packets=False,
                eventloop=self._loop,
                tshark_path=tshark.path,
                override_prefs={option.name: option.value for option in fields.PREFERENCES if option.name not in tshark.missing},
                custom_parameters=["-Q", *fields.decode_as()],
            )
        except BaseException:
            self._loop.close()
            raise

    def start(self) -> Generator[bytes]:
        """Start tshark and return its batches; pyshark's own iteration, which ends by `_cleanup_subprocess`."""
        process = self._loop.run_until_complete(self._get_tshark_process())
        batches: Generator[bytes] = self._packets_from_tshark_sync(existing_process=process)
        return batches

    def _get_tshark_path(self) -> str:
        """Return the tshark that was probed: pyshark would let ./config.ini and the folder of the path decide."""
        return self._tshark.path

    def _setup_tshark_output_parser(self) -> Batches:
        return Batches(self.ending)

    async def _get_tshark_process(self, packet_count: int | None = None, stdin: object = None) -> sandbox.Child:
        """Start tshark for columns instead of packets."""
        del stdin
        self._verify_capture_parameters()
        output = ["-T", "fields", "-E", "separator=/t", "-E", "occurrence=a", "-E", "aggregator=,", "-E", "quote=n"]
        for name in self._tshark.fields:
            output += ["-e", name]
        self.argv = [self._get_tshark_path(), "-n", *output, *self.get_parameters(packet_count=packet_count)]
        try:
            child = sandbox.start(self.argv, self._home, self._deadline, self._cancelled)
        except OSError as error:
            message = f"{self._tshark.path} cannot be started: {error.strerror}"
            raise EnvironmentFaultError(message) from error
        self._created_new_process(self.argv, child)
        return child

    async def _cleanup_subprocess(self, process: sandbox.Child) -> None:
        """Wait for the exit status of a tshark whose output has ended; kill one that was stopped early."""
        try:
            if self._eof_reached:
                self.ending.status = await process.wait()
            self.ending.timed_out = process.timed_out
            self.ending.error = _stderr_summary(bytes(process.error_text), str(self.input_filepath))
        finally:
            process.close()
            self._running_processes.discard(process)

    def close(self) -> None:
        """End tshark if it still runs, and close the loop."""
        if not self._loop.is_closed():
            for process in list(self._running_processes):
                self._loop.run_until_complete(self._cleanup_subprocess(process))
            self._loop.close()


def _make_loop() -> asyncio.SelectorEventLoop:
    """Return a new event loop; raises `OSError` when there are too few descriptors left for it.

    They are tried first: a loop that gets only some of them complains on standard error when it is collected.
    """
    tried: list[int] = []
    try:
        # What was opened before one failed is in the list, too.
        tried.extend(os.open(os.devnull, os.O_RDONLY) for _ in range(_LOOP_DESCRIPTORS))
    finally:
        for descriptor in tried:
            os.close(descriptor)
    return asyncio.SelectorEventLoop()


def _stderr_summary(text: bytes, path: str) -> str:
    """Return what standard error states about the file at `path`, as one line made printable and short."""
    lines = [line.strip().removeprefix("tshark: ") for line in text.decode("utf-8", "replace").splitlines()]
    text_shown = " ".join(line for line in lines if line and not line.startswith(_ROOT_WARNING))
    # The path is the user's own, and absolute: it would make two reports differ. A name of several lines is not found as it is.
    text_shown = re.sub(r'The file ".*?" (?=appears|isn|is |contains|can|could|does|has |was )', "the file ", text_shown)
    text_shown = re.sub(rf'(?i:the) file "{re.escape(path)}"', "the file", text_shown).replace(path, "the file")
    return "".join(letter if letter.isprintable() else "?" for letter in text_shown)[:_SHOWN_LETTERS]


def _loop_runs() -> bool:
    """Whether this thread runs an event loop, which lets no other run in it."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class TsharkRequest:
    """One file to read."""

    path: Path
    """Absolute."""
    shown: str
    """The path as reports call it."""
    tshark: Tshark
    seconds: float
    """How long tshark may take."""
    progress: Callable[[int], None] | None = None
    """Called with the number of frames so far."""
    spool: Spool = field(default_factory=Spool)
    """Takes the payloads."""
    uncounted: Sequence[int] = ()
    """Numbers of frames that are in no count and no note."""
    count: Count | None = None
    """What the file holds; None when it is to be counted."""


def read(request: TsharkRequest) -> Capture:
    """Return a capture as tshark sees it; see `read_counted`."""
    return read_counted(request)[0]


def read_counted(request: TsharkRequest) -> tuple[Capture, Counts]:
    """Return a capture as tshark sees it, and what was counted.

    Raises `EnvironmentFaultError` when tshark cannot be started or refuses its arguments, `OSError` when the file is gone.
    """
    cancelled = threading.Event()
    if not _loop_runs():
        return _read(request, cancelled)
    outcome: list[tuple[Capture, Counts]] = []
    failure: list[BaseException] = []

    def work() -> None:
        try:
            outcome.append(_read(request, cancelled))
        except BaseException as error:  # noqa: BLE001 - handed to the thread that waits
            failure.append(error)

    thread = threading.Thread(target=work, name="pcaplint-tshark")
    thread.start()
    try:
        thread.join()
    finally:
        cancelled.set()
        thread.join()
    if failure:
        raise failure[0]
    return outcome[0]


def _read(request: TsharkRequest, cancelled: threading.Event) -> tuple[Capture, Counts]:
    """Run tshark over one file in this thread."""
    begun, tshark = time.monotonic(), request.tshark
    with sandbox.private_home(tshark.forbidden) as home:
        capture = ColumnCapture(request.path, tshark, home, begun + request.seconds, cancelled)
        try:
            builder = _build_segments(capture, request)
        finally:
            capture.close()
    ending = capture.ending
    ending.seconds = request.seconds
    if ending.status == _USAGE_STATUS and not builder.counts.frames:
        message = f"{tshark.path} (version {tshark.version}) cannot be used: {ending.error or 'it ended with status 1'}"
        raise EnvironmentFaultError(message)
    stats = {
        "tshark": tshark.path,
        "tshark_version": tshark.version,
        "argv": capture.argv,
        "seconds": time.monotonic() - begun,
        "missing": tshark.missing,
    }
    return _conclude(ending, builder, request, stats)


def _build_segments(capture: ColumnCapture, request: TsharkRequest) -> SegmentBuilder:
    """Return what the batches of `capture` hold; sees to it that tshark is waited for."""
    batches = capture.start()
    # While tshark starts there is time for the slow imports, and to count the frames.
    import numpy as np

    from analyzer.capture.count import count
    from analyzer.capture.tshark.decode import SegmentBuilder
    from analyzer.capture.tshark.tsv import split_rows

    builder = SegmentBuilder(request.tshark.fields, request.spool, np.array(request.uncounted, dtype=np.int64))
    # A generator left by an exception would be finished by the garbage collector, at any time.
    with contextlib.closing(batches):
        held = request.count or count(request.path)
        for batch in batches:
            if capture.ending.malformed_output:
                continue
            grid, whole = split_rows(batch, len(request.tshark.fields))
            if not builder.add(grid):
                capture.ending.malformed_output = f"tshark's frame numbers jump after frame {builder.counts.frames}"
            elif not whole:
                capture.ending.malformed_output = f"tshark printed a row of another shape after frame {builder.counts.frames}"
            if request.progress is not None:
                request.progress(builder.counts.frames)
    read_frames = builder.counts.frames
    capture.ending.missed = f"tshark ended after frame {read_frames} of {held.frames}" if read_frames < held.frames else held.damage
    return builder


def _conclude(ending: Ending, builder: SegmentBuilder, request: TsharkRequest, stats: dict[str, Any]) -> tuple[Capture, Counts]:
    """Return the capture made of what was gathered and of how tshark ended, and what was counted."""
    from analyzer import schema
    from analyzer.capture.diagnostics import describe

    segments, quotes, option_bytes = builder.finish()
    reason = explain(ending)
    counts, clock = builder.counts, builder.clock
    capture = Capture(
        path=request.shown,
        segments=segments,
        quotes=quotes,
        option_bytes=option_bytes,
        packets=counts.frames,
        complete=not reason,
        reason=reason,
        readable=bool(counts.frames or not reason or not ending.refused),
        engines={"pyshark": counts.frames},
        start_time=clock.first,
        end_time=clock.latest,
        payloads=Payloads(request.path, request.spool),
        stats=stats,
    )
    if builder.strays:
        capture = _recover(capture, builder, request)
    schema.check(capture.segments, schema.SEGMENTS)
    schema.check(capture.quotes, schema.QUOTES)
    return replace(capture, notes=describe(counts, clock, stats["missing"], found=has_rows(capture))), counts


def has_rows(capture: Capture) -> bool:
    """Whether a capture holds a segment or a quote of one."""
    return bool(len(capture.segments) or len(capture.quotes))


def _recover(capture: Capture, builder: SegmentBuilder, request: TsharkRequest) -> Capture:
    """Return `capture` with the segments that tshark does not reach and the native engine does; the other strays are counted."""
    from analyzer.capture import recovery

    found, rest = recovery.recover(request.path, builder.strays, request.spool)
    builder.counts.endings.add(rest)
    if not found.frames:
        return capture
    segments, quotes, option_bytes = recovery.merge(found, capture)
    return replace(capture, segments=segments, quotes=quotes, option_bytes=option_bytes)
