"""Draft an expect.toml from a report, keeping the content of an existing file.

Reasons are kept by capture and verdict or finding. Entries of captures that are not in the report, entries with globs and entries that are
still right are kept with their comments; others are written again, with today's counts. A draft is parsed before it is returned, so that
no file is written that other commands would refuse.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from analyzer import files
from analyzer.errors import RuleError, UsageError
from analyzer.model import SEVERITIES
from analyzer.rules import toml_loader, toml_positions
from analyzer.suppression import expectations
from analyzer.suppression.expectations import Expectation

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from analyzer.model import CaptureSummary, Report

HEAD: Final = "# An entry counts once it has a reason why it is as it should be; until then, check reports it.\nschema = 1\n"

Key = tuple[str, str]
"""`verdict` or `finding`, and its name."""


@dataclass(frozen=True, slots=True)
class Draft:
    """The text of an expect.toml and its parsed content."""

    text: str
    entries: int
    """Expectations in it."""
    without_reason: int
    left_out: tuple[str, ...] = ()
    """What a file expected that was there, and what is not found any more."""


@dataclass(frozen=True, slots=True)
class _Found:
    """What a report has of one capture."""

    summary: CaptureSummary
    failing: Counter[Key]
    """Connections by verdict and by finding, of those that fail the report."""
    counts: Counter[Key]
    """Connections by verdict and by finding, of any severity."""


def draft(report: Report, path: Path | None, evaluated: Collection[str], verdicts: Collection[str]) -> Draft:
    """Return an expect.toml of the verdicts and findings that fail `report`, which is made without expectations.

    A file that is at `path` is merged: what it expects of rules that were not `evaluated` is kept. Raises `RuleError` for a file that is
    refused (`verdicts` are those of the rules), `UsageError` when the draft itself would be refused.
    """
    found = _find(report)
    if path is not None and files.unreadable_reason(path) == "":
        text, left_out = _merge(toml_loader.read_text(path, limit=expectations.MAX_BYTES), path, found, evaluated, verdicts)
    else:
        text, left_out = HEAD + "".join(_new(one) for one in found.values()), []
    folder = Path(next(iter(found.values())).summary.path).parent if found else (path or Path()).parent
    return _checked(text, folder / expectations.FILE, verdicts, left_out)


def failing(report: Report, capture: Path) -> list[Key]:
    """Return the verdicts, then the findings, that make `capture` fail `report`; none where it could not be read."""
    found = _find(report).get(files.identify(capture))
    return [] if found is None else [(one.kind, one.name) for one in _missing(found, ())]


def _checked(text: str, path: Path, verdicts: Collection[str], left_out: Sequence[str]) -> Draft:
    size = len(text.encode())
    if size > expectations.MAX_BYTES:
        message = f"the draft has {size:,} bytes and {expectations.FILE} at most {expectations.MAX_BYTES:,}: draft fewer captures"
        raise UsageError(message)
    try:
        expectations.parse(text, path, verdicts)
    except RuleError as error:
        message = f"the draft would be refused, and is not written: {error}"
        raise UsageError(message) from None
    items = [item for capture in toml_loader.parse(text, path).get("capture", ()) for item in capture["expect"]]
    return Draft(text, len(items), sum(not item.get("reason", "").strip() for item in items), tuple(left_out))


def _find(report: Report) -> dict[str, _Found]:
    """Return what is found in each capture that could be read, by real path."""
    enough = SEVERITIES[SEVERITIES.index(report.fail_on) :] if report.fail_on != "never" else ()
    flows, findings = report.flows, report.findings
    owners = findings["flow_id"].map(dict(zip(flows["flow_id"], flows["capture"], strict=True))).fillna(findings["capture"]).astype(int)
    is_bad = flows["verdict"].map(dict(report.verdict_severities)).isin(enough) & ~flows["excused"]
    is_failing = findings["severity"].isin(enough) & ~findings["excused"]
    verdicts = zip(flows["capture"].tolist(), flows["verdict"].tolist(), is_bad.tolist(), strict=True)
    # A rule that finds several things on a connection counts once there.
    pairs = dict.fromkeys(zip(owners.tolist(), findings["id"].tolist(), is_failing.tolist(), findings["flow_id"].tolist(), strict=True))
    found = [_Found(summary, Counter(), Counter()) for summary in report.captures]
    rows = [*(("verdict", *row) for row in verdicts), *(("finding", *row[:3]) for row in pairs)]
    for kind, owner, name, fails in rows:
        found[owner].counts[kind, name] += 1
        found[owner].failing[kind, name] += fails
    by_path: dict[str, _Found] = {}
    for one in found:
        if one.summary.status != "unreadable":
            by_path.setdefault(files.identify(one.summary.path), replace(one, failing=+one.failing))
    return by_path


def _new(found: _Found, expected: Sequence[Expectation] = ()) -> str:
    """Return the entry of a capture that the file does not name: what is `expected` of it by globs, and what else fails."""
    items = [*expected, *_missing(found, expected)]
    return _write({"file": _pattern(Path(found.summary.path).name)}, items) if items else ""


def _missing(found: _Found, expected: Sequence[Expectation]) -> list[Expectation]:
    """Return what fails in a capture and is not `expected`: verdicts first, each without a reason."""
    known = {(one.kind, one.name) for one in expected}
    keys = sorted(found.failing.keys() - known, key=lambda key: (key[0] == "finding", key[1]))
    return [Expectation(*key, found.failing[key], "") for key in keys]


def _merge(
    text: str, path: Path, found: Mapping[str, _Found], evaluated: Collection[str], verdicts: Collection[str]
) -> tuple[str, list[str]]:
    """Return the text of a file with today's counts, and what was left out of it."""
    expected = expectations.parse(text, path, verdicts)
    document = toml_loader.parse(text, path)
    captures = document.get("capture", [])
    head, blocks = _split(text, document)
    named, left_out = set[str](), list[str]()
    for number, capture in enumerate(captures):
        file = path.parent / capture["file"]
        key = files.identify(file)
        if files.unreadable_reason(file) != "" or key not in found:
            continue
        named.add(key)
        if found[key].summary.status == "incomplete":
            continue
        before = [_read(item) for item in capture["expect"]]
        after, lost = _renew(before, found[key], evaluated)
        left_out += [f"{capture['file']}: {one.kind} {one.name} is not found any more: {one.reason or 'no reason'}" for one in lost]
        if after != before:
            blocks[number] = _write(capture, after)
    for key, one in found.items():
        if key in named:
            continue
        by_glob = expected.get(key, ())
        after, _ = _renew(by_glob, one, evaluated)
        if after != list(by_glob):
            blocks.append(_new(one, after))
    return head + "".join(blocks), left_out


def _read(item: Mapping[str, Any]) -> Expectation:
    kind = "verdict" if "verdict" in item else "finding"
    return Expectation(kind, item[kind], item["count"], item.get("reason", ""))


def _renew(before: Sequence[Expectation], found: _Found, evaluated: Collection[str]) -> tuple[list[Expectation], list[Expectation]]:
    """Return the expectations with today's counts and what else fails, and those that are not found any more."""
    after, lost = [], []
    for one in before:
        number = found.counts[one.kind, one.name]
        if (one.kind == "finding" and one.name not in evaluated) or number == one.count:
            after.append(one)
        elif not number:
            lost.append(one)
        else:
            # The reason of an entry with count 0 gives the cause.
            after.append(replace(one, count=number, reason=one.reason if one.count else ""))
    return after + _missing(found, before), lost


def _split(text: str, document: Mapping[str, Any]) -> tuple[str, list[str]]:
    """Return the text before the first entry, and the text of each; written again where entries have no headers of their own."""
    captures = document.get("capture", [])
    lines = text.splitlines(keepends=True)
    keys = toml_positions.locate(text).keys
    starts = [keys["capture", number].line - 1 for number in range(len(captures))]
    if "capture" in document and not (starts and all(lines[start].lstrip().startswith("[[") for start in starts)):
        return HEAD, [_write(capture, [_read(item) for item in capture["expect"]]) for capture in captures]
    # A comment directly above a header belongs to its entry.
    for place, start in enumerate(starts):
        first = start
        while first and lines[first - 1].lstrip().startswith("#"):
            first -= 1
        starts[place] = first if first and not lines[first - 1].strip() else start
    ends = [*starts[1:], len(lines)]
    blocks = ["".join(lines[start:end]) for start, end in zip(starts, ends, strict=True)]
    head = "".join(lines[: starts[0]] if starts else lines)
    return _ended(head), [_ended(block) for block in blocks]


def _ended(text: str) -> str:
    return text if text.endswith("\n") or not text else text + "\n"


def _write(capture: Mapping[str, Any], items: Sequence[Expectation]) -> str:
    """Return the entry of a capture, empty when nothing is expected of it."""
    if not items:
        return ""
    lines = [f"{name} = {toml_loader.quote(capture[name])}" for name in ("file", "origin", "shows") if name in capture]
    return "\n[[capture]]\n" + "\n".join(lines) + "\n" + "".join(_write_items(items))


def _write_items(items: Sequence[Expectation]) -> Iterator[str]:
    for one in items:
        yield f"[[capture.expect]]\n{one.kind} = {toml_loader.quote(one.name)}\ncount = {one.count}\n"
        yield f"reason = {toml_loader.quote(one.reason)}\n"


def _pattern(name: str) -> str:
    """Return the name of a file, or a glob that matches it where TOML cannot hold the name: `?` for each byte that is not UTF-8."""
    if name.isascii() or not any("\udc80" <= one <= "\udcff" for one in name):
        return name
    glob = "".join("?" if "\udc80" <= one <= "\udcff" else f"[{one}]" if one in "*?[" else one for one in name)
    return glob if fnmatchcase(name, glob) else name
