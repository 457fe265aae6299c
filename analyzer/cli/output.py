"""Writing text to standard output, to standard error, or to a file, whole or not at all.

A file is replaced in one step or left as it was, never through a link and never over something that is not a regular file. Lines on
standard error are safe to print. Colour is decided here, from the option, the stream and NO_COLOR, FORCE_COLOR and TERM.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from analyzer.errors import EnvironmentFaultError, UsageError
from analyzer.files import has_working_folder
from analyzer.report.escaping import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import TextIO

_PLAIN: Final = str.maketrans(
    {"→": "->", "─": "-", "▶": ">", "◀": "<", "│": "|", "…": "...", "·": "-", "✗": "x"},
)
"""Replacements for the marks that we print, on a terminal that cannot show them."""

COLORS: Final = ("auto", "always", "never")


def stderr(text: str) -> None:
    """Write a line to standard error; a closed one is no reason to end."""
    stream = sys.stderr
    if stream is None:
        return
    with contextlib.suppress(OSError, ValueError):
        stream.write(_encodable(text, stream) + "\n")
        stream.flush()


def print_error(text: str) -> None:
    """Write an error message to standard error, each line as `pcaplint: error: …`."""
    for line in text.splitlines() or [""]:
        stderr(f"pcaplint: error: {printable(line)}")


def colored(choice: str, stream: TextIO) -> bool:
    """Return whether to colour text for `stream` (https://no-color.org); `choice` is auto, always or never."""
    if choice != "auto":
        return choice == "always"
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def width() -> int:
    """Return the columns of the terminal, or of $COLUMNS; 80 when there is neither."""
    return shutil.get_terminal_size((80, 24)).columns


def _encodable(text: str, stream: TextIO) -> str:
    encoding = stream.encoding or "ascii"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return text.translate(_PLAIN).encode(encoding, "backslashreplace").decode(encoding)
    return text


def write(chunks: Iterable[str], destination: Path | None, *, exact: bool = False) -> None:
    """Write text to the file `destination`, or to standard output when that is None or `-`.

    Text meant for programs is `exact`: UTF-8 and its own line ends, whatever the terminal's encoding is.
    Raises `UsageError` for a destination that is not to be written to, `EnvironmentFaultError` for one that cannot be.
    """
    if destination is not None and str(destination) != "-":
        _replace(chunks, destination)
        return
    stream = sys.stdout
    for chunk in chunks:
        data = chunk.encode() if exact else _encodable(chunk, stream).encode(stream.encoding or "ascii")
        stream.buffer.write(data)
    stream.flush()


def write_bytes(chunks: Iterable[bytes], destination: Path) -> None:
    """Write bytes to the file `destination`, whole or not at all, or to standard output when that is `-`; raises as `write` does."""
    if str(destination) != "-":
        _replace(chunks, destination)
        return
    if sys.stdout.isatty():
        message = "--output -: standard output is a terminal, which shows no capture"
        raise UsageError(message)
    for chunk in chunks:
        sys.stdout.buffer.write(chunk)
    sys.stdout.flush()


def refuse(
    destination: Path | None, inputs: Sequence[str | Path] = (), option: str = "--output", what: str = "one of the captures"
) -> None:
    """Raise `UsageError` unless `destination` may be written: its folder is there, it is no link, no device and not `what` is read."""
    if destination is None or str(destination) == "-":
        return
    shown = printable(str(destination))
    try:
        found = os.lstat(destination)
    except FileNotFoundError:
        if not destination.is_absolute() and not has_working_folder():
            message = f"{option} {shown}: the working folder is not there any more"
            raise UsageError(message) from None
        if not os.path.isdir(destination.parent):  # noqa: PTH112 - Path.is_dir may raise
            message = f"{option} {shown}: there is no folder {printable(str(destination.parent))}"
            raise UsageError(message) from None
        return
    except (OSError, ValueError) as error:
        message = f"{option} {shown}: {error.strerror if isinstance(error, OSError) else error}"
        raise UsageError(message) from None
    if stat.S_ISLNK(found.st_mode) or not stat.S_ISREG(found.st_mode):
        kind = "a link" if stat.S_ISLNK(found.st_mode) else "not a regular file"
        message = f"{option} {shown}: is {kind}, and is left alone"
        raise UsageError(message)
    if any(_same(found, path) for path in inputs):
        message = f"{option} {shown}: is {what}"
        raise UsageError(message)


def _same(found: os.stat_result, path: str | Path) -> bool:
    try:
        return os.path.samestat(found, Path(path).stat())
    except (OSError, ValueError):
        return False


def _replace(chunks: Iterable[str] | Iterable[bytes], destination: Path) -> None:
    """Write a file in the folder of `destination`, make it durable and put it in place; on any failure nothing is left behind."""
    refuse(destination)
    temporary = destination.parent / f".{destination.name[:32]}.{secrets.token_hex(8)}.part"
    try:
        mode = stat.S_IMODE(destination.stat().st_mode) if destination.exists() else None
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666), "wb") as file:  # noqa: PTH123 - a descriptor
            if mode is not None:
                os.fchmod(file.fileno(), mode)
            file.writelines(chunk.encode() if isinstance(chunk, str) else chunk for chunk in chunks)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(destination)
    except OSError as error:
        message = f"--output {printable(str(destination))}: {error.strerror or error}"
        raise EnvironmentFaultError(message) from error
    finally:
        temporary.unlink(missing_ok=True)
