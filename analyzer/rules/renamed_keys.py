"""Keys of rule files that have a new name: a file that still has an old one is refused with the new name.

Without this, the schema would call an old key unexpected and not say what it is called now.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from analyzer.errors import RuleError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

RENAMED: Final[Mapping[str, Mapping[str, str]]] = {
    "document": {
        "peers": "other_tools",
        "sign": "signature",
        "dialogue_places": "dialogue_evidence",
        "exchange_places": "exchange_evidence",
    },
    "check": {"see": "match", "say": "values", "cite": "evidence", "over": "group_by", "of": "where"},
    "row": {"see": "match", "say": "values", "cite": "evidence"},
    "verdict": {"cite": "evidence"},
    "observation": {"cite": "evidence"},
}
"""By table: old key to new key. Rows of a hold (`hold.explained`, `hold.confirmed`) have the keys of a row."""
SCOPES: Final[Mapping[str, str]] = {"job": "correlation"}
"""Old to new values of `check.scope`."""


def refuse(document: Mapping[str, Any], path: Path) -> None:
    """Raise `RuleError`, one line per old key or scope in `document`, which was read from `path` and may have any shape."""
    faults = [f"{path}: {where}{old}: this key is now called {new}" for where, old, new in _old_keys(document)]
    check = document.get("check")
    scope = check.get("scope") if isinstance(check, dict) else None
    if isinstance(scope, str) and scope in SCOPES:
        faults.append(f'{path}: check.scope: the scope "{scope}" is now called "{SCOPES[scope]}"')
    if faults:
        raise RuleError("\n".join(faults))


def _old_keys(document: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield (where, old key, new key) for every old key, in the order of the document's tables."""
    yield from _renamed(document, "document", "")
    yield from _renamed(document.get("check"), "check", "check.")
    for kind, name in (("row", "id"), ("verdict", "is"), ("observation", "id")):
        entries = document.get(kind)
        for entry in entries if isinstance(entries, list) else ():
            if not isinstance(entry, dict):
                continue
            where = f"{kind} {entry.get(name, '?')}: "
            yield from _renamed(entry, kind, where)
            hold = entry.get("hold") if kind == "row" else None
            for how in ("explained", "confirmed") if isinstance(hold, dict) else ():
                yield from _renamed(hold.get(how), "row", f"{where}hold.{how}.")  # type: ignore[union-attr]


def _renamed(table: object, kind: str, where: str) -> Iterator[tuple[str, str, str]]:
    for old, new in RENAMED[kind].items() if isinstance(table, dict) else ():
        if old in table:  # type: ignore[operator]
            yield where, old, new
