"""The command itself: its top-level options, and how every end becomes a status and at most one line.

Every exception becomes a status of `errors.Exit`. A traceback is printed for --debug only, without text of an exception that may quote a
capture.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, Final, NoReturn

import typer
from typer.core import TyperGroup

from analyzer import __version__
from analyzer.cli.output import print_error, stderr
from analyzer.errors import MEMORY_HINT, EnvironmentFaultError, Exit, PcaplintError, exhausted_resource
from analyzer.report.escaping import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import FrameType


class Terminated(BaseException):
    """SIGTERM arrived; raised in the main thread so that what is open gets closed and children get ended."""


class _Commands(TyperGroup):
    """Typer's group, ending as this program promises: also when Typer's test runner calls it."""

    def main(self, *args: Any, **options: Any) -> NoReturn:  # noqa: ANN401 - Typer's signature, passed on
        options["standalone_mode"] = False
        sys.exit(_end(lambda: super(_Commands, self).main(*args, **options)))


app = typer.Typer(
    name="pcaplint",
    cls=_Commands,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Judge every TCP opening in packet captures by its sequence and acknowledgment numbers.",
    epilog="Exit status: 0 clean, 1 findings, 2 usage, 3 unreadable, 4 incomplete, 5 nothing checked, 6 rules invalid, 7 environment.",
)

_NEAR_PAYLOAD = ("analyzer.dialogues", "analyzer.capture")
"""Packages that handle payload bytes."""

_NO_MEMORY: Final = ("failed to map segment", "annot allocate memory")
"""Messages of the dynamic linker for a module it has no memory for."""
_LOST_ERROR: Final = "returned NULL without setting an exception"
"""End of Python's message where a MemoryError could not be raised for want of memory (seen with 3.13)."""
_NO_THREAD: Final = "can't start new thread"
"""Message of Python when the system starts no thread."""

_CANNOT_WRITE: Final = "cannot write"
"""How the message about an error of standard output begins: files are written elsewhere, and named."""

_debug = False


def _show_version(value: bool) -> None:  # noqa: FBT001 - Typer calls it so
    if value:
        typer.echo(f"pcaplint {__version__}")
        raise typer.Exit


@app.callback()
def top(
    *,
    version: Annotated[bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an internal error.")] = False,
) -> None:
    """Keep what concerns every command."""
    del version
    global _debug  # noqa: PLW0603 - set once, before any command, and read where all of them end
    _debug = debug


def run(arguments: Sequence[str]) -> int:
    """Run the command line on `arguments` and return its exit status; it does not raise."""
    try:
        with _signals():
            app(args=list(arguments), prog_name="pcaplint")
    except SystemExit as end:
        return int(end.code or 0)
    except Terminated:
        return Exit.TERMINATED
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    return Exit.CLEAN


@contextmanager
def _signals() -> Iterator[None]:
    """Raise an exception on SIGTERM, as Python does on SIGINT."""

    def end(number: int, frame: FrameType | None) -> NoReturn:
        del number, frame
        raise Terminated

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _end(call: Any) -> int:  # noqa: ANN401 - any callable; one return an end
    """Call, and return the status of however it ended, saying why in one line where that is not a report's business."""
    try:
        status = call()
        sys.stdout.flush()
    except typer.TyperException as error:
        return _usage_error(error)
    except PcaplintError as error:
        print_error(str(error))
        return error.status
    except (KeyboardInterrupt, typer.Abort):
        return Exit.INTERRUPTED
    except Terminated:
        return Exit.TERMINATED
    except BrokenPipeError:
        return _broken_pipe()
    except SystemExit as end:
        return _broken_pipe() if isinstance(end.__context__, BrokenPipeError) else int(end.code or 0)
    except Exception as error:  # noqa: BLE001 - this is where every other exception ends
        return _blame_machine(error) or _internal_error(error)
    return int(status or Exit.CLEAN)


def _usage_error(error: typer.TyperException) -> int:
    """Say what is wrong with the command line, and where to read how it is used."""
    context = getattr(error, "ctx", None)
    message = error.format_message()
    if message.startswith("Usage:"):
        typer.echo(message, err=True)
        return Exit.USAGE
    where = f" (see: {context.command_path} --help)" if context else ""
    print_error(message.rstrip(".") + where)
    return Exit.USAGE


def _broken_pipe() -> int:
    """Return the status for a standard output whose reader has closed it."""
    _drop_output()
    return Exit.CLOSED_PIPE


def _drop_output() -> None:
    """Let the interpreter's last flush of standard output go nowhere: it would fail, and that would change the status."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _blame_machine(error: Exception) -> int:
    """Say what the machine lacks and return the status that means it; 0 when `error` is of another kind."""
    message = _name_lack(error)
    if not message:
        return 0
    if _debug:
        stderr("\n".join(_trace(error)))
    print_error(message)
    if message.startswith(_CANNOT_WRITE):
        _drop_output()
    return EnvironmentFaultError.status


def _name_lack(error: Exception) -> str:
    """Return what the machine lacks, in one line, if `error`, or an exception it came from, names it; empty otherwise."""
    for one in reversed(_chain(error)):
        if isinstance(one, MemoryError) or (isinstance(one, ImportError) and any(words in str(one) for words in _NO_MEMORY)):
            return MEMORY_HINT
        if isinstance(one, SystemError) and str(one).endswith(_LOST_ERROR):
            return MEMORY_HINT
        if isinstance(one, RuntimeError) and str(one) == _NO_THREAD:
            return "no more threads can be started: raise the limit (ulimit -u), or give --jobs 1"
        if isinstance(one, OSError) and (message := exhausted_resource(one)):
            return message
    return _name_fault(error) if isinstance(error, OSError) and error.strerror else ""


def _name_fault(error: OSError) -> str:
    """Return the message of an operating system error that was handled nowhere else."""
    if error.filename is not None:
        return f"{os.fsdecode(error.filename)}: {error.strerror}"
    return f"{_CANNOT_WRITE}: {'standard output is closed' if error.errno == errno.EBADF else error.strerror}"


def _internal_error(error: Exception) -> int:
    if _debug:
        stderr("\n".join(_trace(error)))
    print_error(f"internal error: {_words(error)}; please report it (--debug shows the traceback)")
    return Exit.INTERNAL


def _chain(error: BaseException) -> list[BaseException]:
    """Return an exception and those it came from, the first one first."""
    chain: list[BaseException] = []
    found: BaseException | None = error
    while found is not None and found not in chain:
        chain.append(found)
        found = found.__cause__ or (None if found.__suppress_context__ else found.__context__)
    return chain[::-1]


def _is_near_payload(error: BaseException) -> bool:
    """Return whether an exception passed code that handles what a capture's hosts sent: a password may be in its text."""
    from traceback import walk_tb

    modules = [frame.f_globals.get("__name__", "") for one in _chain(error) for frame, _ in walk_tb(one.__traceback__)]
    return any(module.startswith(_NEAR_PAYLOAD) for module in modules)


def _words(error: BaseException) -> str:
    name = type(error).__name__
    return f"{name} (its text may quote the capture and is left out)" if _is_near_payload(error) else f"{name}: {error}"


def _trace(error: BaseException) -> list[str]:
    """Return the traceback as Python prints it, but for texts that may quote a capture."""
    from traceback import format_tb

    chain, near = _chain(error), _is_near_payload(error)
    lines: list[str] = []
    for one in chain:
        lines += ["Traceback (most recent call last):", *(line.rstrip("\n") for line in format_tb(one.__traceback__))]
        lines.append(type(one).__name__ if near else printable(f"{type(one).__name__}: {one}"))
    return lines
