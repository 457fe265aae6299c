"""Which tshark this machine has, and what it knows.

The path is absolute and was given or found on PATH, never named by a file in the working directory; what
a tshark supports is queried once and cached on disk until the program changes.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from analyzer import files
from analyzer.capture.decode import encapsulations
from analyzer.capture.tshark import fields, sandbox
from analyzer.errors import EnvironmentFaultError

INSTALL_HINT: Final = (
    "install it (Debian, Ubuntu: apt install tshark; Fedora: dnf install wireshark-cli; macOS: brew install wireshark) "
    "or name it with --tshark"
)
_USUAL_FOLDERS: Final = ("/usr/local/bin", "/usr/bin", "/opt/homebrew/bin", "/Applications/Wireshark.app/Contents/MacOS")
_ASK_SECONDS: Final = 60


@dataclass(frozen=True, slots=True)
class Tshark:
    """A tshark that can be used."""

    path: str
    """Absolute path of the program."""
    version: str
    """As 4.0.17."""
    fields: tuple[str, ...]
    """Those of `fields.FIELDS` it knows, in order."""
    missing: tuple[str, ...]
    """Those of `fields.FIELDS` and of `fields.PREFERENCES` it does not."""
    forbidden: tuple[str, ...]
    """The protocols disabled in it."""


def locate(tshark: str | None = None) -> str:
    """Return the absolute path of tshark: the one named, or else the first on PATH or in the usual folders.

    Raises `EnvironmentFaultError` when there is none, or the one named is not a program.
    """
    if tshark is not None:
        path = shutil.which(tshark, path=_search_path())
        if os.sep in tshark:
            path = str(Path(tshark).absolute()) if os.path.isabs(tshark) or files.has_working_folder() else None  # noqa: PTH117
        if path is None or not os.path.isfile(path) or not os.access(path, os.X_OK):  # noqa: PTH113 - Path.is_file may raise
            message = f"{tshark!r} is not a program that can be run as tshark"
            raise EnvironmentFaultError(message)
        return path
    found = shutil.which("tshark", path=_search_path())
    if found is None:
        message = f"tshark was not found: {INSTALL_HINT}"
        raise EnvironmentFaultError(message)
    return found


def _search_path() -> str:
    """Return PATH without relative entries, which would let the working directory choose the program."""
    folders = [folder for folder in os.environ.get("PATH", "").split(os.pathsep) if Path(folder).is_absolute()]
    return os.pathsep.join([*folders, *_USUAL_FOLDERS])


def probe(tshark: str | None = None) -> Tshark:
    """Return the tshark to use and what it knows, asking it once a process and once a version of the program.

    Raises `EnvironmentFaultError` when there is none, when it does not run, or when it lacks a field nothing can be read without.
    """
    path = locate(tshark)
    status = Path(path).stat()
    return _probe(path, status.st_mtime_ns, status.st_size)


@functools.lru_cache(maxsize=16)
def _probe(path: str, changed_ns: int, size: int) -> Tshark:
    """Return what the tshark at `path` supports in the state given by the other two."""
    key = [path, changed_ns, size, _digest()]
    known = _recall(key)
    if known is None:
        known = {"version": _ask_version(path), **_ask_fields(path), "preferences": _ask_preferences(path)}
        _remember(key, known)
    missing = [field for field in fields.FIELDS if field.name not in known["fields"]]
    needed = [field.name for field in missing if not field.loss and field.name not in fields.REPLACEABLE]
    if needed:
        message = f"{path} (version {known['version']}) lacks {', '.join(needed)}: a newer tshark is needed"
        raise EnvironmentFaultError(message)
    return Tshark(
        path=path,
        version=known["version"],
        fields=tuple(known["fields"]),
        missing=(
            *(field.name for field in missing),
            *(option.name for option in fields.PREFERENCES if option.name not in known["preferences"]),
        ),
        forbidden=tuple(known["forbidden"]),
    )


def _digest() -> str:
    """Return a text that changes when the queries to tshark change."""
    import hashlib

    return hashlib.sha256(Path(fields.__file__).read_bytes() + encapsulations.FILE.read_bytes()).hexdigest()


def _run(path: str, *arguments: str) -> bytes:
    """Return what `path` prints for `arguments`; raises `EnvironmentFaultError` when it cannot."""
    with sandbox.private_home() as home:
        try:
            done = subprocess.run(
                [path, *arguments],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                env=sandbox.environment(home),
                timeout=_ASK_SECONDS,
                check=False,
            )
        except OSError as error:
            message = f"{path} cannot be run: {error.strerror}"
            raise EnvironmentFaultError(message) from error
        except subprocess.TimeoutExpired as error:
            message = f"{path} gave no answer to {' '.join(arguments)} within {_ASK_SECONDS} s"
            raise EnvironmentFaultError(message) from error
    if done.returncode:
        message = f"{path} {' '.join(arguments)} ended with status {done.returncode}"
        raise EnvironmentFaultError(message)
    return done.stdout


def _ask_version(path: str) -> str:
    """Return the version `tshark -v` states."""
    import re

    found = re.search(rb"\b(\d+\.\d+(?:\.\d+)?)", _run(path, "-v"))
    if found is None:
        message = f"{path} is not a tshark: it states no version"
        raise EnvironmentFaultError(message)
    return found[1].decode()


def _ask_fields(path: str) -> dict[str, list[str]]:
    """Return the wanted fields tshark knows, and the protocols it must be configured not to dissect."""
    wanted = {field.name.encode() for field in fields.FIELDS}
    known, protocols = set(), set()
    for line in _run(path, "-G", "fields").splitlines():
        columns = line.split(b"\t", 3)
        if columns[0] == b"F" and columns[2] in wanted:
            known.add(columns[2].decode())
        elif columns[0] == b"P":
            protocols.add(columns[2].decode("utf-8", "replace").strip())
    # Protocols can be printed like fields.
    known |= {field.name for field in fields.FIELDS if field.name in protocols}
    return {
        "fields": [field.name for field in fields.FIELDS if field.name in known],
        "forbidden": fields.forbid(frozenset(protocols)),
    }


def _ask_preferences(path: str) -> list[str]:
    """Return those of the wanted preferences that tshark knows: another one would make it refuse to run."""
    # A preference that has its default is printed as a comment.
    printed = {
        line.lstrip(b"#").partition(b":")[0].strip().decode("utf-8", "replace") for line in _run(path, "-G", "currentprefs").splitlines()
    }
    return [option.name for option in fields.PREFERENCES if option.name in printed]


def _cache_file(path: str) -> Path:
    """Return where the answers of the tshark at `path` are kept; raises `FileNotFoundError` for a user who has no home."""
    import hashlib

    import platformdirs

    name = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
    folder = Path(platformdirs.user_cache_dir("pcaplint", appauthor=False))
    if not folder.is_absolute():
        raise FileNotFoundError(folder)
    return folder / f"tshark-{name}.json"


def _recall(key: list[Any]) -> dict[str, Any] | None:
    """Return the remembered answer for `key`, None when there is none or it is damaged."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        kept = json.loads(_cache_file(key[0]).read_bytes())
        known = kept["known"]
        names = [*known["fields"], *known["preferences"], *known["forbidden"], known["version"]]
        if kept["key"] == key and all(isinstance(name, str) for name in names):
            return dict(known)
    return None


def _remember(key: list[Any], known: dict[str, Any]) -> None:
    """Keep an answer, whole or not at all; a cache that cannot be written is done without."""
    import tempfile

    with contextlib.suppress(OSError):
        target = _cache_file(key[0])
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=target.parent)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump({"key": key, "known": known}, file)
            Path(name).replace(target)
        except OSError:
            Path(name).unlink()
            raise
