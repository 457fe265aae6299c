"""`pcaplint extract`: the frames of connections as a capture file, unchanged or anonymized.

A file is written whole or not at all. The status is 4 when the capture could not be read to its end, for then frames may be missing.
"""

from __future__ import annotations

import gzip
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, cast

import typer

from analyzer.cli import messages, option_groups, options, output
from analyzer.errors import Exit, InputError, UsageError
from analyzer.files import open_regular
from analyzer.options import JudgeOptions
from analyzer.report.escaping import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from analyzer.anonymize import Payload
    from analyzer.anonymize.source import Source
    from analyzer.capture.packets import Packet
    from analyzer.model import Capture, FailOn
    from analyzer.options import ReadOptions

_PAYLOADS: Final = ("keep", "blank")
_PCAP_SUFFIXES: Final = frozenset({".pcap", ".cap", ".dmp"})
_MAX_KEY_BYTES: Final = 64

File = Annotated[Path, typer.Argument(metavar="PATH", help="The capture.", show_default=False, readable=False)]
Flows = Annotated[
    list[str] | None, typer.Argument(metavar="[FLOW...]", help="Connections, as f3 or 3; f1 is the first in PATH.", show_default=False)
]
Destination = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", metavar="FILE", help="Write there: .pcap or .pcapng, also .gz; else pcapng.", show_default=False, readable=False
    ),
]
Failed = Annotated[
    Path | None,
    typer.Option("--failed", metavar="DIR", help="Write one file per failed connection of PATH there.", show_default=False, readable=False),
]
Anonymize = Annotated[bool, typer.Option("--anonymize", help="Replace addresses, names and secrets; verdicts stay.")]
KeyFile = Annotated[
    Path | None,
    typer.Option(
        "--anonymize-key",
        metavar="FILE",
        help="1 to 64 bytes that pseudonyms depend on; a new key for each run without it.",
        show_default=False,
        readable=False,
    ),
]
PayloadOption = Annotated[
    str,
    typer.Option(
        "--payload", metavar="|".join(_PAYLOADS), callback=options.one_of(_PAYLOADS), help="With --anonymize: blank zeroes all of it."
    ),
]


@option_groups.expand_groups
def extract(  # noqa: PLR0913 - a command line is its options
    path: File,
    flows: Flows = None,
    *,
    destination: Destination = None,
    failed: Failed = None,
    fail_on: options.FailOnOption = "warning",
    anonymize: Anonymize = False,
    key_file: KeyFile = None,
    payload: PayloadOption = "keep",
    no_expect: options.NoExpect = False,
    reading: option_groups.Reading,
    verbosity: option_groups.Messages,
) -> None:
    """Copy the frames of the connections FLOW... of the capture PATH into a capture file."""
    if (destination is None) == (failed is None) or (destination is not None) != bool(flows):
        message = "give FLOW... and --output FILE, or --failed DIR"
        raise UsageError(message)
    if not anonymize and (key_file is not None or payload != "keep"):
        message = "--anonymize-key and --payload are for --anonymize"
        raise UsageError(message)
    output.refuse(destination, [path])
    key = (_read_key(key_file) if anonymize else b"", payload)
    judge = JudgeOptions(cast("FailOn", fail_on), expect=not no_expect)
    read, complete = reading.options(), True
    from analyzer.capture import pipes

    with pipes.stored([path]) as stored:
        (given,) = map(Path, stored.paths)
        targets = (
            [(tuple(flows or ()), destination)] if destination is not None else list(_failed(given, cast("Path", failed), read, judge))
        )
        for names, target in targets:
            complete &= _print_source(stored.rename(_write(given, names, target, key, read, verbosity)), verbosity)
    if failed is not None and not targets and not verbosity.quiet:
        output.stderr(printable(f"{path}: no connection failed"))
    if not complete:
        raise typer.Exit(Exit.INCOMPLETE)


def _failed(path: Path, folder: Path, read: ReadOptions, judge: JudgeOptions) -> Iterator[tuple[tuple[str, ...], Path]]:
    """Yield each failed connection of a capture and the file it goes to; makes the folder."""
    from analyzer.api import analyze_with
    from analyzer.options import AnalyzeOptions
    from analyzer.report import summary
    from analyzer.rules import load

    report = analyze_with(path, load(), AnalyzeOptions(read=read, judge=judge))
    if len(report.captures) != 1:
        message = f"{path} is not one capture: --failed takes captures one by one"
        raise UsageError(message)
    (capture,) = report.captures
    if capture.status == "unreadable":
        message = f"{capture.path}: {capture.reason}"
        raise InputError(message)
    found = report.flows["flow_id"][summary.classify(report) == summary.FAILED].tolist()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        message = f"{folder}: {error.strerror}"
        raise UsageError(message) from error
    stem = path.name.removesuffix(".gz").rpartition(".")[0] or path.name
    for flow_id in found:
        target = folder / f"{stem}-{flow_id}.pcapng"
        output.refuse(target, [path])
        yield (flow_id,), target


def _write(  # noqa: PLR0913, PLR0917 - what, where and how
    path: Path, names: Sequence[str], target: Path, key: tuple[bytes, str], read: ReadOptions, verbosity: option_groups.Messages
) -> Capture:
    """Write the frames of connections to one file, and return the capture they are from."""
    from analyzer.report.formatting import count

    if key[0]:
        from analyzer.anonymize import source

        found = source.load(path, names, read)
        capture, frames = found.capture, found.frames
        data = _format(_anonymized(path, found, key, read), target, key)
    else:
        from analyzer.api import frames_of
        from analyzer.capture.extract import extract as copy

        capture, numbers = frames_of(path, names, read)
        frames = tuple(numbers)
        copied = copy(path, frames, program=read.tshark, timeout_s=read.timeout_s)
        data = _convert(copied, frames, target)
    output.write_bytes(data, target)
    if not verbosity.quiet:
        output.stderr(printable(f"{target}: {count(len(frames), 'frame')} of {count(len(set(names)), 'connection')}"))
    return capture


def _print_source(capture: Capture, verbosity: option_groups.Messages) -> bool:
    """Print what was read, where requested or incomplete, and return whether the capture was read to its end."""
    if verbosity.verbose:
        output.stderr(f"{messages.read_stats(capture.path, capture.packets, capture.engines)}, {len(capture.segments):,} segments")
    if not capture.complete:
        output.print_error(f"{capture.path}: {capture.reason}")
    return capture.complete


def _anonymized(path: Path, source: Source, key: tuple[bytes, str], read: ReadOptions) -> list[Packet]:
    from analyzer.anonymize import Options, rewrite
    from analyzer.capture import packets
    from analyzer.capture.extract import extract as copy

    copied = b"".join(copy(path, source.frames, program=read.tshark, timeout_s=read.timeout_s))
    chosen = Options(key[0], cast("Payload", key[1]))
    return rewrite(packets.read(copied, source.frames), source.segments, source.words, source.secrets, chosen)


def _format(found: Sequence[Packet], target: Path, key: tuple[bytes, str]) -> Iterable[bytes]:
    from analyzer.anonymize import Options, comment
    from analyzer.capture import packets

    suffix, packed = _suffix(target)
    text = comment(Options(key[0], cast("Payload", key[1])))
    data = packets.write_pcap(found) if suffix in _PCAP_SUFFIXES else packets.write_pcapng(found, text)
    return _pack(data) if packed else data


def _convert(copied: Iterable[bytes], frames: Sequence[int], target: Path) -> Iterable[bytes]:
    """Return what tshark copied in the format of the suffix."""
    from analyzer.capture import packets

    suffix, packed = _suffix(target)
    if suffix in _PCAP_SUFFIXES:
        copied = packets.write_pcap(list(packets.read(b"".join(copied), frames)))
    return _pack(copied) if packed else copied


def _suffix(target: Path) -> tuple[str, bool]:
    name = target.name.lower()
    return Path(name.removesuffix(".gz")).suffix, name.endswith(".gz")


def _pack(data: Iterable[bytes]) -> Iterator[bytes]:
    """Yield gzip of the data; without a time, so that the same frames give the same bytes."""
    yield gzip.compress(b"".join(data), mtime=0)


def _read_key(path: Path | None) -> bytes:
    """Return the bytes of a key file, a new key without one. Raises `UsageError`."""
    if path is None:
        return secrets.token_bytes(32)
    try:
        with open_regular(path) as file:
            key = file.read(_MAX_KEY_BYTES + 1)
    except OSError as error:
        message = f"{path}: {error.strerror or error}"
        raise UsageError(message) from error
    if not 1 <= len(key) <= _MAX_KEY_BYTES:
        message = f"{path}: a key has 1 to {_MAX_KEY_BYTES} bytes"
        raise UsageError(message)
    return key
