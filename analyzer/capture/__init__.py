"""Bytes on disk ─► segments.

`read` returns a `Capture` for every path, however damaged the file; it raises `EnvironmentFaultError` for faults of the machine only.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from analyzer.errors import EnvironmentFaultError, raise_if_exhausted
from analyzer.options import ReadOptions

if TYPE_CHECKING:
    from collections.abc import Callable

    from analyzer.capture.tshark.probe import Tshark
    from analyzer.model import Capture
    from analyzer.options import Engine

__all__ = ["limit", "probe", "read"]

BASE_SECONDS: Final = 120.0
SECONDS_PER_BYTE: Final = 1e-6


def limit(size: int) -> float:
    """Return the seconds tshark may take, by default, for a file of `size` bytes: two minutes and 1 s per MB."""
    return BASE_SECONDS + SECONDS_PER_BYTE * size


def probe(tshark: str | None = None) -> Tshark:
    """Return the tshark that would be used, its version and the fields it lacks.

    Raises `EnvironmentFaultError` when there is none or it cannot be used.
    """
    from analyzer.capture.tshark.probe import probe as probe_tshark

    return probe_tshark(tshark)


def read(  # noqa: PLR0913 - every option has a default and a name
    path: str | Path,
    *,
    timeout_s: float | None = None,
    tshark: str | None = None,
    progress: Callable[[int], None] | None = None,
    engine: Engine = "auto",
    large: bool | None = None,
    processes: int = 1,
) -> Capture:
    """Return the capture at `path`: tables `SEGMENTS` and `QUOTES`, checked, and what was wrong with the file.

    A file that cannot be read gives a capture with `readable` false, its reason and no rows; one that is damaged, or
    that takes longer than `timeout_s` seconds (by default `limit` of its size), gives the rows up to there and
    `complete` false. `tshark` names the program to use; `progress` is called with the number of frames so far.

    `engine` names the decoder: `pyshark`; `native`, with tshark for the frames that only it understands; or `auto`, which is
    native if the run is `large` (None: if this file alone is) or there is no tshark, and then compares both on some frames.
    Up to so many `processes`, this one included, read a plain file that is large enough natively; the result is the same.

    Raises `EnvironmentFaultError` when tshark cannot be used, or is missing and was named or is required by `engine`, and when
    memory, open files or room for temporary files run out.
    """
    options = ReadOptions(engine=engine, timeout_s=timeout_s, tshark=tshark)
    return read_with(path, options, progress=progress, large=large, processes=processes)


def read_with(
    path: str | Path,
    options: ReadOptions,
    *,
    progress: Callable[[int], None] | None = None,
    large: bool | None = None,
    processes: int = 1,
) -> Capture:
    """Return the capture at `path` as `read` does; `options.jobs` does not count, `processes` does."""
    from analyzer.capture import choose_engine, discovery

    shown = os.fspath(path)
    reason = discovery.sniff(shown)
    if reason:
        return refuse(shown, reason)
    engine = options.engine
    known = _find(options.tshark, needed=engine == "pyshark")
    compare = False
    try:
        if engine == "auto" and known is not None:
            engine = "native" if (choose_engine.is_large([shown]) if large is None else large) else "pyshark"
            compare = Path(shown).stat().st_size >= choose_engine.COMPARED_BYTES
        absolute = Path(shown).absolute()
        seconds = limit(absolute.stat().st_size) if options.timeout_s is None else options.timeout_s
        job = _Job(absolute, shown, known, seconds, progress, processes)
        return _dissect(job) if engine == "pyshark" else _decode(job, compare=compare)
    except OSError as error:
        raise_if_exhausted(error)
        return refuse(shown, f"it cannot be read: {error.strerror or type(error).__name__}")


@dataclass(frozen=True, slots=True)
class _Job:
    """One file to read."""

    path: Path
    shown: str
    tshark: Tshark | None
    seconds: float
    progress: Callable[[int], None] | None
    processes: int


def _find(tshark: str | None, *, needed: bool) -> Tshark | None:
    """Return the tshark to use; None when there is none and it is neither named nor needed."""
    from analyzer.capture.tshark.probe import locate

    if tshark is None and not needed:
        try:
            locate()
        except EnvironmentFaultError:
            return None
    return probe(tshark)


def _dissect(job: _Job) -> Capture:
    """Return the capture as tshark reads it."""
    from analyzer.capture.formats import compression
    from analyzer.capture.tshark import engine as tshark_engine

    if job.tshark is None:
        return refuse(job.shown, "only tshark reads this kind of file, and it was not found")
    capture = _dissect_frames(job, job.tshark) or tshark_engine.read(
        tshark_engine.TsharkRequest(job.path, job.shown, job.tshark, job.seconds, job.progress)
    )
    cut = compression.find_damage(job.path) if capture.complete else ""
    return replace(capture, complete=False, reason=cut) if cut else capture


def _dissect_frames(job: _Job, tshark: Tshark) -> Capture | None:
    """Return the capture as tshark reads the frames that we find in it; None where tshark finds them itself as well.

    See the quirks `fine-clocks-wrong` and `fine-clocks-refused`.
    """
    from analyzer.capture.formats.clocks import has_fine_clock

    if not has_fine_clock(job.path):
        return None
    from analyzer.capture.formats.model import UnsupportedFormatError
    from analyzer.capture.native import engine as native_engine

    try:
        return native_engine.read(
            native_engine.NativeRequest(job.path, job.shown, tshark, job.seconds, progress=job.progress, undecoded=True)
        )
    except UnsupportedFormatError:
        return None


def _decode(job: _Job, *, compare: bool) -> Capture:
    """Return the capture as we read it, as far as we do."""
    from analyzer.capture.formats.model import UnsupportedFormatError
    from analyzer.capture.native import engine as native_engine

    try:
        request = native_engine.NativeRequest(
            job.path, job.shown, job.tshark, job.seconds, compare=compare, progress=job.progress, processes=job.processes
        )
        return native_engine.read(request)
    except UnsupportedFormatError:
        return _dissect(job)


def refuse(path: str, reason: str) -> Capture:
    """Return the capture that stands for a path that cannot be read."""
    from analyzer import schema
    from analyzer.model import Capture

    return Capture(
        path=path,
        segments=schema.empty(schema.SEGMENTS),
        quotes=schema.empty(schema.QUOTES),
        option_bytes=b"",
        packets=0,
        complete=False,
        reason=reason,
        readable=False,
    )
