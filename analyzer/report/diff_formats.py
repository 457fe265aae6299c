"""A comparison of two reports as text, as Markdown and as JSON (rules/schema/diff.schema.json)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from analyzer import __version__
from analyzer.report import formatting
from analyzer.report.diff import SCHEMA_VERSION
from analyzer.report.escaping import printable, unicode
from analyzer.report.json import encode
from analyzer.report.markdown import code

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from analyzer.report.diff import Diff, DiffEntry

MARKER: Final = "<!-- pcaplint diff -->"
"""First line of the Markdown form, by which a CI script finds its earlier comment to replace it."""
MAX_ROWS: Final = 100
"""Maximum rows of each Markdown table; a comment on GitHub or GitLab holds 65,536 or 1,000,000 characters."""
MAX_CHARACTERS: Final = 60_000
"""Maximum characters of the Markdown form."""


def sentence(diff: Diff) -> str:
    """Return the counts in one line: `1 new, 2 fixed, 30 unchanged (findings and verdicts in 12 captures).`."""
    noun = "capture" if diff.captures == 1 else "captures"
    counts = ", ".join(f"{len(entries):,} {word}" for entries, word in _groups(diff))
    return f"{counts} (findings and verdicts in {diff.captures:,} {noun})."


def _groups(diff: Diff) -> tuple[tuple[Sequence[DiffEntry], str], ...]:
    return (diff.new, "new"), (diff.fixed, "fixed"), (diff.unchanged, "unchanged")


def _frames(entry: DiffEntry) -> str:
    return formatting.frames(tuple((0, frame) for frame in entry.frames))


def render_text(diff: Diff) -> Iterator[str]:
    """Yield the counts, then one line per new and per fixed entry, then captures and verdicts that changed."""
    yield sentence(diff) + "\n"
    for entries, word in _groups(diff)[:2]:
        yield f"{word}:\n" if entries else ""
        for entry in entries:
            where = f" {entry.connection}" if entry.connection else ""
            cited = f" [{_frames(entry)}]" if entry.frames else ""
            yield f"  {entry.severity} {printable(entry.name)}: {printable(entry.capture)}{where}: {printable(entry.message)}{cited}\n"
    for word, paths in (("only in the new report", diff.added), ("only in the old report", diff.removed)):
        yield from (f"{word}: {printable(path)}\n" for path in paths)
    for verdict, (before, after) in diff.verdicts.items():
        yield f"{printable(verdict)}: {before:,} → {after:,} connections\n" if before != after else ""


def render_markdown(diff: Diff) -> Iterator[str]:
    """Yield a comment for a pull request: `MARKER`, the counts, a table of new entries, and a collapsed table of fixed ones."""
    budget = MAX_CHARACTERS
    for part in _markdown(diff):
        budget -= len(part)
        if budget < 0:
            yield "\n… the rest is left out.\n"
            return
        yield part


def _markdown(diff: Diff) -> Iterator[str]:
    yield f"{MARKER}\n## pcaplint: {sentence(diff).rstrip('.')}\n"
    if diff.new:
        yield "\n### New\n\n" + _HEAD
        yield from _rows(diff.new)
    if diff.fixed:
        yield f"\n<details><summary>Fixed: {len(diff.fixed):,}</summary>\n\n" + _HEAD
        yield from _rows(diff.fixed)
        yield "\n</details>\n"
    changed = {verdict: counts for verdict, counts in diff.verdicts.items() if counts[0] != counts[1]}
    if changed:
        yield "\n| verdict | connections before | now |\n| :-- | --: | --: |\n"
        yield from (f"| {code(verdict)} | {before:,} | {after:,} |\n" for verdict, (before, after) in changed.items())
    for word, paths in (("Captures that are new", diff.added), ("Captures that are gone", diff.removed)):
        if paths:
            yield f"\n{word}: " + ", ".join(code(path) for path in paths[:MAX_ROWS])
            yield f" and {len(paths) - MAX_ROWS:,} more\n" if len(paths) > MAX_ROWS else "\n"


_HEAD: Final = "| severity | rule or verdict | capture | connection | what | evidence |\n| :-- | :-- | :-- | :-- | :-- | :-- |\n"


def _rows(entries: Sequence[DiffEntry]) -> Iterator[str]:
    for entry in entries[:MAX_ROWS]:
        fields = (entry.severity, code(entry.name), code(entry.capture), code(entry.connection), code(entry.message), _frames(entry))
        yield "| " + " | ".join(fields) + " |\n"
    if len(entries) > MAX_ROWS:
        yield f"\n… {len(entries) - MAX_ROWS:,} more are left out.\n"


def render_json(diff: Diff) -> Iterator[str]:
    """Yield one JSON object: versions, counts, and all entries, one per line."""
    head = {"schema_version": SCHEMA_VERSION, "pcaplint": __version__, "captures": diff.captures}
    verdicts = {unicode(verdict): {"old": old, "new": new} for verdict, (old, new) in diff.verdicts.items()}
    head |= {"verdicts": verdicts, "added": [unicode(path) for path in diff.added], "removed": [unicode(path) for path in diff.removed]}
    yield encode(head)[:-1]
    for entries, word in _groups(diff):
        yield f',\n"{word}": [' + ",".join("\n" + encode(_plain(entry)) for entry in entries) + "]"
    yield "}\n"


def _plain(entry: DiffEntry) -> dict[str, Any]:
    connection: Mapping[str, Any] | None = None
    if entry.client_ip:
        names = ("client_ip", "client_port", "server_ip", "server_port")
        connection = {name: getattr(entry, name) for name in names}
    texts = {name: unicode(getattr(entry, name)) for name in ("capture", "kind", "name", "severity", "message")}
    return {"fingerprint": entry.fingerprint, **texts, "connection": connection, "frames": list(entry.frames)}


FORMATS: Final[Mapping[str, Callable[[Diff], Iterator[str]]]] = {"text": render_text, "markdown": render_markdown, "json": render_json}
