"""`--pcaplint-update`: the counts in expect.toml files rewritten to what is found; reasons, comments and all else are kept.

Items only note what they find. The process that started the run writes, once, at its end: workers of xdist never do.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pytest

    from analyzer.model import Report

PROPERTY: Final = "pcaplint-expectations"
"""Name of the property by which an item reports to the process that started the run."""
_TABLE: Final = re.compile(r"^\s*\[\[\s*capture(?P<expect>\s*\.\s*expect)?\s*\]\]", re.MULTILINE)
_COUNT: Final = re.compile(r"^(\s*count\s*=\s*)\d[\d_]*", re.MULTILINE)


class Updates:
    """The plugin that gathers what items found and rewrites the files."""

    def __init__(self) -> None:
        """Start with nothing found."""
        self._found: dict[str, dict[str, dict[str, int]]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take what an item found, also one of a worker."""
        for name, found in report.user_properties if report.when == "call" else ():
            if name == PROPERTY and isinstance(found, dict):
                self._found.setdefault(found["file"], {})[found["capture"]] = found["counts"]

    def pytest_sessionfinish(self) -> None:
        """Rewrite the files."""
        for file, found in self._found.items():
            path = Path(file)
            text = path.read_text(encoding="utf-8")
            if (changed := rewritten(text, found)) != text:
                temporary = path.with_name(f".{path.name}.part")
                temporary.write_text(changed, encoding="utf-8")
                os.replace(temporary, path)  # noqa: PTH105 - one step


def counts(report: Report) -> dict[str, int]:
    """Return the number of connections by `verdict NAME` and `finding NAME`, as an expect.toml counts them."""
    verdicts = Counter(f"verdict {name}" for name in report.flows["verdict"])
    pairs = set(zip(report.findings["id"], report.findings["flow_id"], strict=True))
    return dict(verdicts + Counter(f"finding {name}" for name, _ in pairs))


def rewritten(text: str, found: Mapping[str, Mapping[str, int]]) -> str:
    """Return the text of an expect.toml with the count of each entry set to what was `found` in its capture, by file name.

    An entry of which nothing was found is dropped. Entries of a glob are left: their captures may differ.
    """
    starts = [match.start() for match in _TABLE.finditer(text)]
    parts = [text[start:end] for start, end in zip([0, *starts], [*starts, len(text)], strict=True)]
    result, capture = [], ""
    for part in parts:
        table = _TABLE.match(part)
        if table is None:
            result.append(part)
        elif table["expect"] is None:
            capture = _entry(part).get("file", "")
            result.append(part)
        else:
            result.append(_recount(part, found[capture]) if capture in found else part)
    return "".join(result)


def _recount(part: str, found: Mapping[str, int]) -> str:
    entry = _entry(part)["expect"][0]
    kind = "verdict" if "verdict" in entry else "finding"
    number = found.get(f"{kind} {entry[kind]}", 0)
    return _COUNT.sub(rf"\g<1>{number}", part, count=1) if number else _comments_after(part)


def _comments_after(part: str) -> str:
    """Return the comments and empty lines at the end of a part: they belong to what follows it."""
    lines = part.splitlines(keepends=True)
    last = max(number for number, line in enumerate(lines) if line.strip() and not line.lstrip().startswith("#"))
    return "".join(lines[last + 1 :])


def _entry(part: str) -> dict[str, Any]:
    """Return the first capture of a part of a file."""
    entry: dict[str, Any] = tomllib.loads(part)["capture"]
    return entry[0] if isinstance(entry, list) else entry
