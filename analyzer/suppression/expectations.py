"""expect.toml next to captures: the verdicts and findings that are expected in them.

Counts are exact. Where a capture has exactly the expected number of connections with a verdict or a finding, these are suppressed; where it
has more or fewer, none is, and a note states what was expected and what was found. Everything else is judged as usual. Only the folder of
the capture is searched for expect.toml.

    schema = 1
    [[capture]]
    file = "web-broken.pcap"     # in the same folder; or a glob, for each capture that it matches and no entry names
    origin = "scripted"
    shows = "a SYN+ACK that acknowledges one too many"
    [[capture.expect]]
    verdict = "invalid"          # or: finding = "synack-ack-wrong"
    count = 1
    reason = "what the sample is for"
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from analyzer import files
from analyzer.errors import RuleError
from analyzer.model import SEVERITIES, Note
from analyzer.rules import toml_loader

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from analyzer.model import Report

FILE: Final = "expect.toml"
MAX_BYTES: Final = 256_000


@dataclass(frozen=True, slots=True)
class Expectation:
    """A number of connections with a verdict or a finding."""

    kind: str
    """verdict or finding."""
    name: str
    count: int
    reason: str


@dataclass(frozen=True, slots=True)
class Suppressions:
    """What expectations suppress, and where they failed."""

    flow: NDArray[np.bool_]
    """For each row of flows, whether its verdict is suppressed."""
    finding: NDArray[np.bool_]
    """For each row of findings, whether it is suppressed."""
    failures: dict[int, tuple[Note, ...]]
    """For each capture with any, the expectations that were not met."""


def load(path: Path) -> dict[str, tuple[Expectation, ...]]:
    """Return the expectations in the file `path` by the real path of each capture named there.

    Raises `RuleError` with file and key path for a file that is too large, too deep or not of its schema's shape, that names a
    capture twice or names one that does not exist, or that expects the same thing of a capture twice.
    """
    document = toml_loader.read(path, limit=MAX_BYTES)
    toml_loader.check(document, "expect", path)
    expected: dict[str, tuple[Expectation, ...]] = {}
    globs: list[tuple[str, dict[str, Any]]] = []
    for number, entry in enumerate(document.get("capture", ())):
        where = f"{path}: capture[{number}]"
        capture = path.parent / entry["file"]
        if capture.parent != path.parent:
            message = f"{where}.file: {entry['file']} is not in the folder of this file; put an {FILE} into its own folder"
            raise RuleError(message)
        if files.unreadable_reason(capture) != "":
            globs.append((where, entry))
            continue
        key = files.identify(capture)
        if key in expected:
            message = f"{where}.file: {entry['file']} is named twice"
            raise RuleError(message)
        expected[key] = _expectations(entry, where)
    return expected | _spread(globs, path.parent, frozenset(expected))


def _spread(globs: Sequence[tuple[str, dict[str, Any]]], folder: Path, named: frozenset[str]) -> dict[str, tuple[Expectation, ...]]:
    """Return what globs expect of the captures in `folder` that are not `named`; a glob that matches no file there is refused."""
    expected: dict[str, tuple[Expectation, ...]] = {}
    candidates = [file for file in _list(folder) if file.name != FILE and files.unreadable_reason(file) == ""] if globs else []
    for where, entry in globs:
        hits = [file for file in candidates if fnmatchcase(file.name, entry["file"])]
        if not hits:
            message = f"{where}.file: there is no {entry['file']} in the folder of this file"
            raise RuleError(message)
        for key in map(files.identify, hits):
            if key not in named:
                expected[key] = expected.get(key, ()) + _expectations(entry, where)
                _refuse_repeats(expected[key], where)
    return expected


def _expectations(entry: dict[str, Any], where: str) -> tuple[Expectation, ...]:
    found = tuple(_expectation(item) for item in entry.get("expect", ()))
    _refuse_repeats(found, where)
    return found


def _expectation(item: dict[str, Any]) -> Expectation:
    kind = "verdict" if "verdict" in item else "finding"
    return Expectation(kind, item[kind], item["count"], " ".join(item["reason"].split()))


def _refuse_repeats(expected: tuple[Expectation, ...], where: str) -> None:
    seen: set[tuple[str, str]] = set()
    for number, expectation in enumerate(expected):
        key = (expectation.kind, expectation.name)
        if key in seen:
            message = f"{where}.expect[{number}]: {expectation.kind} {expectation.name} is expected twice"
            raise RuleError(message)
        seen.add(key)


def find(paths: Sequence[str]) -> dict[int, tuple[Expectation, ...]]:
    """Return the expectations of each capture that has any, by its index in `paths`; each expect.toml is read once."""
    read, look = cache(load), cache(files.unreadable_reason)
    found: dict[int, tuple[Expectation, ...]] = {}
    for index, capture in enumerate(paths):
        path = Path(capture).parent / FILE
        reason = look(path)
        if reason:
            message = f"{path}: {reason}"
            raise RuleError(message)
        expected = () if reason is None else read(path).get(files.identify(capture), ())
        if expected:
            found[index] = expected
    return found


def _list(folder: Path) -> list[Path]:
    """Return the entries of `folder`, sorted. Raises `RuleError` when it cannot be listed."""
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        message = f"{folder / FILE}: its folder cannot be read: {error.strerror}"
        raise RuleError(message) from None


def apply(flows: pd.DataFrame, findings: pd.DataFrame, paths: Sequence[str], not_selected: frozenset[str] = frozenset()) -> Suppressions:
    """Compare tables `FLOWS` and `FINDINGS` of the captures at `paths` with the expect.toml next to each.

    Expectations of findings that were `not_selected` are ignored. Raises `RuleError` for an expect.toml that is refused.
    """
    expected = {
        index: tuple(one for one in entries if one.kind != "finding" or one.name not in not_selected)
        for index, entries in find(paths).items()
    }
    return compare(flows, findings, expected)


def compare(flows: pd.DataFrame, findings: pd.DataFrame, expected: dict[int, tuple[Expectation, ...]]) -> Suppressions:
    """Compare tables `FLOWS` and `FINDINGS` with the expectations of each capture, by its index."""
    import numpy as np

    suppressions = Suppressions(np.zeros(len(flows), bool), np.zeros(len(findings), bool), {})
    if not expected:
        return suppressions
    columns = _columns(flows, findings)
    for index, expectations in expected.items():
        notes = tuple(note for expectation in expectations if (note := _compare(index, expectation, columns, suppressions)) is not None)
        if notes:
            suppressions.failures[index] = notes
    return suppressions


@dataclass(frozen=True, slots=True)
class _Columns:
    """The columns that expectations are compared with, as arrays."""

    flow_capture: NDArray[Any]
    verdict: NDArray[Any]
    finding_capture: NDArray[Any]
    finding: NDArray[Any]
    finding_flow: NDArray[Any]


def _columns(flows: pd.DataFrame, findings: pd.DataFrame) -> _Columns:
    """Return the columns; a finding belongs to the capture of its connection, or else of its first frame."""
    capture_of = dict(zip(flows["flow_id"], flows["capture"], strict=True))
    capture = findings["flow_id"].map(capture_of).fillna(findings["capture"])
    return _Columns(*(column.to_numpy() for column in (flows["capture"], flows["verdict"], capture, findings["id"], findings["flow_id"])))


def _compare(index: int, expectation: Expectation, columns: _Columns, suppressions: Suppressions) -> Note | None:
    """Suppress what one expectation names if the count is right; else return the note that states the difference."""
    if expectation.kind == "verdict":
        rows = (columns.flow_capture == index) & (columns.verdict == expectation.name)
        found, suppressed = int(rows.sum()), suppressions.flow
    else:
        rows = (columns.finding_capture == index) & (columns.finding == expectation.name)
        found, suppressed = len(set(columns.finding_flow[rows])), suppressions.finding
    if found == expectation.count:
        suppressed |= rows
        return None
    kind = "expected-absent" if found < expectation.count else "expected-surplus"
    what = f"connections with {expectation.kind} {expectation.name}"
    return Note(kind, f"{what}: expected {expectation.count}, found {found} ({expectation.reason})")


def draft(report: Report) -> Iterator[str]:
    """Return an expect.toml of the verdicts and findings that fail `report`, with empty reasons: it is refused until they are filled in."""
    enough = SEVERITIES[SEVERITIES.index(report.fail_on) :] if report.fail_on != "never" else ()
    bad = report.flows["verdict"].map(dict(report.verdict_severities)).isin(enough) & ~report.flows["excused"]
    owners = report.findings["flow_id"].map(dict(zip(report.flows["flow_id"], report.flows["capture"], strict=True)))
    new = report.findings["severity"].isin(enough) & ~report.findings["excused"]
    yield "# Why is each of these as it should be? Until every reason is given, this file is refused.\nschema = 1\n"
    for index, capture in enumerate(report.captures):
        verdicts = report.flows["verdict"][bad & (report.flows["capture"] == index)].value_counts()
        chosen = report.findings[new & (owners == index)]
        findings = chosen.groupby("id")["flow_id"].nunique()
        found = [("verdict", verdicts), ("finding", findings)]
        entries = [(kind, str(name), int(count)) for kind, counts in found for name, count in sorted(counts.items())]
        if entries:
            yield f"\n[[capture]]\nfile = {toml_loader.quote(Path(capture.path).name)}\n"
            yield from (f'[[capture.expect]]\n{kind} = "{name}"\ncount = {count}\nreason = ""\n' for kind, name, count in entries)
