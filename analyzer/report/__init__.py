"""Reports: the results of a run, written for a person or a program.

Each format is one module with a pure function `render(report, layout) -> Iterator[str]`; `FORMATS` lists them and gives
the command line its choices. The same report gives the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Final

from analyzer.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from analyzer.model import Report


@dataclass(frozen=True, slots=True)
class Layout:
    """Options of how a report is written; each format uses those that concern it."""

    width: int = 80
    """Maximum columns of a line (text)."""
    color: bool = False
    """Whether to write ANSI colours (text)."""
    limit: int | None = 200
    """Maximum number of connections printed; None prints all (text)."""
    quiet: bool = False
    """Print only connections that are not a clean pass, and no summary (text)."""
    table: str = "flows"
    """Which table to write: flows, findings, steps or transactions (csv)."""


@dataclass(frozen=True, slots=True)
class Format:
    """One way to write a report."""

    meaning: str
    module: str
    """Imported on first use, so that unused formats cost no import time."""


FORMATS: Final[Mapping[str, Format]] = {
    "text": Format("for a terminal: one line per connection, findings below it", "analyzer.report.terminal.text"),
    "json": Format("for programs: everything, as report.schema.json describes it", "analyzer.report.json"),
    "jsonl": Format("for programs that read line by line: one object per line", "analyzer.report.jsonl"),
    "csv": Format("for spreadsheets: one table", "analyzer.report.csv"),
    "junit": Format("for CI: one suite per capture, one case per rule (XML)", "analyzer.report.junit"),
    "sarif": Format("for code scanning: SARIF 2.1.0", "analyzer.report.sarif"),
    "github": Format("for GitHub Actions: annotations", "analyzer.report.github"),
    "gitlab": Format("for GitLab: a Code Quality report", "analyzer.report.gitlab"),
    "har": Format("for HTTP tools: requests and responses as HAR 1.2", "analyzer.report.har"),
    "markdown": Format("for GitHub's job summary or a comment: tables", "analyzer.report.markdown"),
}

CSV_TABLES: Final = ("flows", "findings", "steps", "transactions")


def render(report: Report, name: str = "text", layout: Layout | None = None) -> Iterator[str]:
    """Return `report` in the format called `name`, in chunks that end at line ends.

    Raises `UsageError` for a name that is not in `FORMATS`.
    """
    if name not in FORMATS:
        message = f"no report format is called {name!r}; there are {', '.join(FORMATS)}"
        raise UsageError(message)
    chunks: Iterator[str] = import_module(FORMATS[name].module).render(report, layout or Layout())
    return chunks
