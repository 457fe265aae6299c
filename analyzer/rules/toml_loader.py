"""Find rule files and read them: bounded TOML, checked against its JSON Schema.

A file that is too large, too deeply nested, not UTF-8, not TOML or that does not fit its schema is refused with one line that names the
file and the place.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from analyzer import files
from analyzer.errors import RuleError, raise_if_exhausted
from analyzer.rules import renamed_keys, toml_positions

if TYPE_CHECKING:
    from analyzer.rules.toml_positions import Positions

MAX_BYTES: Final = 64_000
MAX_DEPTH: Final = 16
MAX_KEY_PARTS: Final = 8
_STRING: Final = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'[^']*'")
_LONG_KEY: Final = re.compile(rf"(?:[\w-]+[ \t]*\.[ \t]*){{{MAX_KEY_PARTS}}}")


def shipped() -> Path:
    """Return the folder of the rules that come with the program: in the wheel, else in the checkout."""
    package = Path(__file__).resolve().parent.parent
    wheel = package / "_rules"
    return wheel if wheel.is_dir() else package.parent / "rules"


def read(path: Path, *, limit: int = MAX_BYTES) -> dict[str, Any]:
    """Return the TOML document at `path`. Raises `RuleError` naming the file, and line and column where they are known."""
    return parse(read_text(path, limit=limit), path)


def read_text(path: Path, *, limit: int = MAX_BYTES) -> str:
    """Return the text at `path`, UTF-8 of at most `limit` bytes. Raises `RuleError`."""
    try:
        with files.open_regular(path) as file:
            raw = file.read(limit + 1)
    except OSError as error:
        raise_if_exhausted(error)
        message = f"{path}: {error.strerror or error}"
        raise RuleError(message) from None
    if len(raw) > limit:
        message = f"{path}: larger than {limit} bytes"
        raise RuleError(message)
    try:
        return raw.decode()
    except ValueError as error:
        message = f"{path}: {error}"
        raise RuleError(message) from None


def parse(text: str, path: Path) -> dict[str, Any]:
    """Return the TOML document that `text`, read from `path`, is. Raises `RuleError`."""
    try:
        _bound(text)
        return tomllib.loads(text)
    except RecursionError:
        message = f"{path}: nested too deeply"
        raise RuleError(message) from None
    except ValueError as error:
        message = f"{path}: {error}"
        raise RuleError(message) from None


def _bound(text: str) -> None:
    """Refuse nesting that would exhaust the parser, before the parser sees it (tomllib recurses, and dotted keys cost squares)."""
    for number, line in enumerate(text.splitlines(), 1):
        bare = _STRING.sub("s", line)
        if max(bare.count("["), bare.count("{")) > MAX_DEPTH:
            message = f"nested too deeply (line {number})"
            raise ValueError(message)
        if _LONG_KEY.search(bare):
            message = f"a key of more than {MAX_KEY_PARTS} parts (line {number})"
            raise ValueError(message)


def list_files(folder: Path) -> list[Path]:
    """Return the rule files (*.toml) in `folder` and the folders below it, sorted; `read` refuses one that is no file.

    Raises `RuleError` when there is none, or a folder cannot be read.
    """
    if not os.path.isdir(folder):  # noqa: PTH112 - Path.is_dir raises for names no folder can have
        message = f"{folder}: not a folder of rule files"
        raise RuleError(message)
    found: list[Path] = []
    try:
        for inside, _, names in os.walk(folder, onerror=_refuse_folder):
            found += [Path(inside, name) for name in names if name.endswith(".toml")]
    except RecursionError:
        message = f"{folder}: holds folders nested too deeply"
        raise RuleError(message) from None
    if not found:
        message = f"{folder}: holds no rule file (*.toml)"
        raise RuleError(message)
    return sorted(found)


def _refuse_folder(error: OSError) -> None:
    raise_if_exhausted(error)
    message = f"{error.filename}: {error.strerror}"
    raise RuleError(message) from None


def check(document: dict[str, Any], schema: str, path: Path, positions: Positions | None = None) -> None:
    """Hold `document` against the schema rules/schema/<schema>.schema.json, or one definition of it (`schema#name`).

    Raises `RuleError` with the key path of the worst fault, with line and column where `positions` are given; old names of keys come first
    (`renamed_keys.refuse`).
    """
    from jsonschema.exceptions import best_match

    renamed_keys.refuse(document, path)
    fault = best_match(_validator(schema).iter_errors(document))
    if fault is not None and positions is not None:
        keys = list(fault.absolute_path)
        place = toml_positions.describe(keys)
        message = f"{positions.name(path, keys)}: {place and place + ': '}{_short(fault.message)}"
        raise RuleError(message)
    if fault is not None:
        where = fault.json_path.removeprefix("$").lstrip(".") or "the document"
        name = _name(document, list(fault.absolute_path))
        message = f"{path}: {name}{where}: {_short(fault.message)}"
        raise RuleError(message)


def _name(document: dict[str, Any], keys: list[Any]) -> str:
    """Return `row ID: ` when the fault lies in an array entry that has an id."""
    entry: Any = document
    for key in keys[:2]:
        try:
            entry = entry[key]
        except (KeyError, IndexError, TypeError):
            return ""
    name = entry.get("id", entry.get("is")) if isinstance(entry, dict) and len(keys) > 1 else None
    return f"{keys[0]} {name}: " if isinstance(name, str) else ""


def _short(text: str) -> str:
    limit = 300
    return text if len(text) <= limit else text[:limit] + "…"


@cache
def _validator(schema: str) -> Any:  # noqa: ANN401 - jsonschema's validators have no common public type
    from jsonschema import Draft202012Validator

    name, _, part = schema.partition("#")
    with (shipped() / "schema" / f"{name}.schema.json").open(encoding="utf-8") as file:
        whole = json.load(file)
    return Draft202012Validator({"$ref": f"#/$defs/{part}", "$defs": whole["$defs"]} if part else whole)


def quote(text: str) -> str:
    """Return `text` as a TOML string of one line; what is not printable is escaped, a byte that was not UTF-8 as its escape."""
    clean = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    escaped = ("\\" + one if one in '"\\' else one if one.isprintable() else f"\\U{ord(one):08x}" for one in clean)
    return '"' + "".join(escaped) + '"'
