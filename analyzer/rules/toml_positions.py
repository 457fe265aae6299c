"""Line and column of the keys and values of a TOML document, for messages: tomllib gives none.

The text has been accepted by tomllib already, so the scanner only finds where keys and values begin and end, and checks no syntax
(TOML 1.0.0: keys, tables, arrays of tables, inline tables, arrays, the four kinds of string).
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

KeyPath = tuple[str | int, ...]
"""Keys, and indexes of array entries from 0, from the top of the document down: `("capture", 0, "file")`."""

_BLANK: Final = re.compile(r"[ \t]*")
_SPACE: Final = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")
_BARE_VALUE: Final = re.compile(r"[^,\]}#\r\n]*")
_STRING: Final = re.compile(
    r'''
        """(?:[^\\]|\\.)*?"{3,5}   # the last two of five quotes before the end belong to the text
        | \'{3}.*?\'{3,5}
        | "(?:[^"\\\n]|\\.)*"
        | \'[^\'\n]*\'
    ''',
    re.DOTALL | re.VERBOSE,
)


@dataclass(frozen=True, slots=True, order=True)
class TomlPosition:
    """A place in a text: line and column, in characters, both from 1."""

    line: int
    column: int

    def __str__(self) -> str:
        """Return `line L, column C`."""
        return f"line {self.line}, column {self.column}"


@dataclass(frozen=True, slots=True)
class Positions:
    """Where the keys and values of a document begin."""

    keys: dict[KeyPath, TomlPosition] = field(default_factory=dict)
    """Of each key the first place that names it: a header, a part of a dotted key, the key of a value. Of an entry of an array of tables
    its header, of an entry of another array the value."""
    values: dict[KeyPath, TomlPosition] = field(default_factory=dict)
    """Of each key and each array entry the place where its value begins; tables with headers have none."""

    def nearest(self, path: Sequence[str | int]) -> TomlPosition | None:
        """Return the position of the key at `path`, or else of the innermost table or array around it; None for the document itself."""
        for end in range(len(path), 0, -1):
            found = self.keys.get(tuple(path[:end]))
            if found is not None:
                return found
        return None

    def name(self, file: Path | str, path: Sequence[str | int]) -> str:
        """Return `file:line:column` of `path` as compilers write it, or the file alone where no position is known."""
        found = self.nearest(path)
        return str(file) if found is None else f"{file}:{found.line}:{found.column}"


def locate(text: str) -> Positions:
    """Return the positions in `text`, a valid TOML document; those before the fault for a document that is not valid."""
    scanner = _Scanner(text)
    with suppress(_EndError, RecursionError, tomllib.TOMLDecodeError):
        scanner.document()
    return scanner.found


def describe(path: Sequence[str | int]) -> str:
    """Return `path` for a reader: `capture 1, expect 2, verdict`, entries counted from 1; empty for the document itself."""
    words: list[str] = []
    for part in path:
        if isinstance(part, int):
            words[-1:] = [f"{words[-1] if words else 'entry'} {part + 1}"]
        else:
            words.append(part)
    return ", ".join(words)


class _EndError(Exception):
    """The text is no TOML from here on."""


class _Scanner:
    """One pass over a document."""

    def __init__(self, text: str) -> None:
        self.text, self.offset = text, 0
        self.lines = [0, *(match.end() for match in re.finditer("\n", text))]
        self.tables: dict[KeyPath, int] = {}
        """Entries so far of each array of tables."""
        self.found = Positions()

    def document(self) -> None:
        """Scan to the end of the text."""
        prefix: KeyPath = ()
        self.skip(_SPACE)
        while self.offset < len(self.text):
            if self.text.startswith("[", self.offset):
                prefix = self.header()
            else:
                self.pair(prefix)
            self.skip(_SPACE)

    def header(self) -> KeyPath:
        """Scan `[key]` or `[[key]]`, and return the path of the table that it opens."""
        start, is_entry = self.position(), self.text.startswith("[[", self.offset)
        self.offset += 1 + is_entry
        path: KeyPath = ()
        for number, (part, _) in enumerate(parts := self.key(), 1):
            path = (*path, part)
            self.found.keys.setdefault(path, start)
            if path in self.tables and not (is_entry and number == len(parts)):
                path = (*path, self.tables[path] - 1)
        if is_entry:
            self.tables[path] = self.tables.get(path, 0) + 1
            path = (*path, self.tables[path] - 1)
            self.found.keys[path] = start
        self.skip(_BLANK)
        self.take("]]" if is_entry else "]")
        return path

    def pair(self, prefix: KeyPath) -> None:
        """Scan `key = value` in the table at `prefix`."""
        path = prefix
        for part, position in self.key():
            path = (*path, part)
            self.found.keys.setdefault(path, position)
        self.skip(_BLANK)
        self.take("=")
        self.skip(_BLANK)
        self.value(path)

    def key(self) -> list[tuple[str, TomlPosition]]:
        """Scan a key, dotted or not, and return its parts, each with its position."""
        parts: list[tuple[str, TomlPosition]] = []
        while True:
            self.skip(_BLANK)
            start, position = self.offset, self.position()
            is_quoted = self.text[start : start + 1] in {"'", '"'}
            self.skip(_STRING if is_quoted else _BARE_KEY)
            written = self.text[start : self.offset]
            if not written:
                raise _EndError
            parts.append((tomllib.loads(f"key = {written}")["key"] if is_quoted else written, position))
            self.skip(_BLANK)
            if not self.text.startswith(".", self.offset):
                return parts
            self.offset += 1

    def value(self, path: KeyPath) -> None:
        """Scan the value of the key or array entry at `path`."""
        self.found.values[path] = self.position()
        match self.text[self.offset : self.offset + 1]:
            case "[":
                self.entries(path, "]")
            case "{":
                self.entries(path, "}")
            case "'" | '"':
                self.skip(_STRING)
            case _:
                self.skip(_BARE_VALUE)

    def entries(self, path: KeyPath, end: str) -> None:
        """Scan an array or an inline table to its `end`."""
        self.offset, number = self.offset + 1, 0
        self.skip(_SPACE)
        while not self.text.startswith(end, self.offset):
            if end == "]":
                self.found.keys[*path, number] = self.position()
                self.value((*path, number))
            else:
                self.pair(path)
            number += 1
            self.skip(_SPACE)
            if self.text.startswith(",", self.offset):
                self.offset += 1
                self.skip(_SPACE)
            elif not self.text.startswith(end, self.offset):
                raise _EndError
        self.offset += 1

    def skip(self, pattern: re.Pattern[str]) -> None:
        """Move past what `pattern` matches here, if anything."""
        found = pattern.match(self.text, self.offset)
        self.offset = self.offset if found is None else found.end()

    def take(self, expected: str) -> None:
        """Move past `expected`, which must stand here."""
        if not self.text.startswith(expected, self.offset):
            raise _EndError
        self.offset += len(expected)

    def position(self) -> TomlPosition:
        """Return where the scanner is."""
        line = bisect_right(self.lines, self.offset)
        return TomlPosition(line, self.offset - self.lines[line - 1] + 1)
