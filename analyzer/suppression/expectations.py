"""expect.toml beside captures: what must be found in them, and is therefore meant.

Promises: counts are exact. Where a capture has exactly as many connections of a verdict, or with a finding, as its entry says, those
are excused; where it has more or fewer, none is, and a note says what was expected and what was found. What no entry names is judged
as usual. Only the folder a capture lies in is looked at.
Must not know: how captures are read or judged, or what a failed expectation means for the exit status.

    schema = 1
    [[capture]]
    file = "web-broken.pcap"     # beside this file; or a glob, for each capture that it matches and no entry names
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
    """So many connections of a verdict, or with a finding."""

    kind: str
    """verdict or finding."""
    name: str
    count: int
    reason: str


@dataclass(frozen=True, slots=True)
class Suppressions:
    """What expectations excuse, and where they failed."""

    flow: NDArray[np.bool_]
    """For each row of flows, whether its verdict is meant."""
    finding: NDArray[np.bool_]
    """For each row of findings, whether it is meant."""
    failures: dict[int, tuple[Note, ...]]
    """For each capture with any, what was expected and not so."""


def load(path: Path) -> dict[str, tuple[Expectation, ...]]:
    """Return the expectations in the file `path` by the real path of each capture named there.

    Raises `RuleError` with file and key path for a file that is too large, too deep or not of its schema's shape, that names a
    capture twice or names one that is not there, or that expects the same thing of a capture twice.
    """
    document = toml_loader.read(path, limit=MAX_BYTES)
    toml_loader.check(document, "expect", path)
    expected: dict[str, tuple[Expectation, ...]] = {}
    globs: list[tuple[str, dict[str, Any]]] = []
    for number, entry in enumerate(document.get("capture", ())):
        place = f"{path}: capture[{number}]"
        capture = path.parent / entry["file"]
        if capture.parent != path.parent:
            message = f"{place}.file: {entry['file']} is not beside this file; put an {FILE} into its own folder"
            raise RuleError(message)
        if files.unreadable_reason(capture) != "":
            globs.append((place, entry))
            continue
        key = files.identify(capture)
        if key in expected:
            message = f"{place}.file: {entry['file']} is named twice"
            raise RuleError(message)
        expected[key] = _expectations(entry, place)
    return expected | _spread(globs, path.parent, frozenset(expected))


def _spread(globs: Sequence[tuple[str, dict[str, Any]]], folder: Path, named: frozenset[str]) -> dict[str, tuple[Expectation, ...]]:
    """Return what globs expect of the captures in `folder` that are not `named`; a glob that matches no file there is refused."""
    expected: dict[str, tuple[Expectation, ...]] = {}
    beside = [file for file in _list(folder) if file.name != FILE and files.unreadable_reason(file) == ""] if globs else []
    for place, entry in globs:
        hits = [file for file in beside if fnmatchcase(file.name, entry["file"])]
        if not hits:
            message = f"{place}.file: there is no {entry['file']} beside this file"
            raise RuleError(message)
        for key in map(files.identify, hits):
            if key not in named:
                expected[key] = expected.get(key, ()) + _expectations(entry, place)
                _refuse_repeats(expected[key], place)
    return expected


def _expectations(entry: dict[str, Any], place: str) -> tuple[Expectation, ...]:
    found = tuple(_expectation(item) for item in entry.get("expect", ()))
    _refuse_repeats(found, place)
    return found


def _expectation(item: dict[str, Any]) -> Expectation:
    kind = "verdict" if "verdict" in item else "finding"
    return Expectation(kind, item[kind], item["count"], " ".join(item["reason"].split()))


def _refuse_repeats(expected: tuple[Expectation, ...], place: str) -> None:
    seen: set[tuple[str, str]] = set()
    for number, expectation in enumerate(expected):
        key = (expectation.kind, expectation.name)
        if key in seen:
            message = f"{place}.expect[{number}]: {expectation.kind} {expectation.name} is expected twice"
            raise RuleError(message)
        seen.add(key)


def find(paths: Sequence[str]) -> dict[int, tuple[Expectation, ...]]:
    """Return the expectations of each capture that has any, by its place in `paths`; each expect.toml is read once."""
    read, look = cache(load), cache(files.unreadable_reason)
    found: dict[int, tuple[Expectation, ...]] = {}
    for index, capture in enumerate(paths):
        beside = Path(capture).parent / FILE
        reason = look(beside)
        if reason:
            message = f"{beside}: {reason}"
            raise RuleError(message)
        expected = () if reason is None else read(beside).get(files.identify(capture), ())
        if expected:
            found[index] = expected
    return found


def _list(folder: Path) -> list[Path]:
    """Return what lies in `folder`, sorted. Raises `RuleError` when it cannot be listed."""
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        message = f"{folder / FILE}: its folder cannot be read: {error.strerror}"
        raise RuleError(message) from None


def apply(flows: pd.DataFrame, findings: pd.DataFrame, paths: Sequence[str], unasked: frozenset[str] = frozenset()) -> Suppressions:
    """Hold tables `FLOWS` and `FINDINGS` of the captures at `paths` against the expect.toml beside each.

    Findings `unasked` were not looked for, so that nobody misses them. Raises `RuleError` for an expect.toml that is refused.
    """
    expected = {
        index: tuple(one for one in entries if one.kind != "finding" or one.name not in unasked) for index, entries in find(paths).items()
    }
    return hold(flows, findings, expected)


def hold(flows: pd.DataFrame, findings: pd.DataFrame, expected: dict[int, tuple[Expectation, ...]]) -> Suppressions:
    """Hold tables `FLOWS` and `FINDINGS` against the expectations of each capture, by its index."""
    import numpy as np

    excuses = Suppressions(np.zeros(len(flows), bool), np.zeros(len(findings), bool), {})
    if not expected:
        return excuses
    columns = _columns(flows, findings)
    for index, expectations in expected.items():
        notes = tuple(note for expectation in expectations if (note := _hold(index, expectation, columns, excuses)) is not None)
        if notes:
            excuses.failures[index] = notes
    return excuses


@dataclass(frozen=True, slots=True)
class _Columns:
    """The columns that expectations look at, as arrays."""

    flow_capture: NDArray[Any]
    verdict: NDArray[Any]
    finding_capture: NDArray[Any]
    finding: NDArray[Any]
    finding_flow: NDArray[Any]


def _columns(flows: pd.DataFrame, findings: pd.DataFrame) -> _Columns:
    """Return the columns; a finding belongs to the capture of its connection, or else of the first frame it cites."""
    capture_of = dict(zip(flows["flow_id"], flows["capture"], strict=True))
    capture = findings["flow_id"].map(capture_of).fillna(findings["capture"])
    return _Columns(*(column.to_numpy() for column in (flows["capture"], flows["verdict"], capture, findings["id"], findings["flow_id"])))


def _hold(index: int, expectation: Expectation, columns: _Columns, excuses: Suppressions) -> Note | None:
    """Excuse what one expectation names if the count is right; else return the note that says what is wrong."""
    if expectation.kind == "verdict":
        rows = (columns.flow_capture == index) & (columns.verdict == expectation.name)
        found, excused = int(rows.sum()), excuses.flow
    else:
        rows = (columns.finding_capture == index) & (columns.finding == expectation.name)
        found, excused = len(set(columns.finding_flow[rows])), excuses.finding
    if found == expectation.count:
        excused |= rows
        return None
    kind = "expected-absent" if found < expectation.count else "expected-surplus"
    what = f"connections with {expectation.kind} {expectation.name}"
    return Note(kind, f"{what}: expected {expectation.count}, found {found} ({expectation.reason})")


def draft(report: Report) -> Iterator[str]:
    """Return an expect.toml of what `report` would fail for, with empty reasons: it is refused until a person has filled them in."""
    enough = SEVERITIES[SEVERITIES.index(report.fail_on) :] if report.fail_on != "never" else ()
    bad = report.flows["verdict"].map(dict(report.verdict_severities)).isin(enough) & ~report.flows["excused"]
    owners = report.findings["flow_id"].map(dict(zip(report.flows["flow_id"], report.flows["capture"], strict=True)))
    new = report.findings["severity"].isin(enough) & ~report.findings["excused"]
    yield "# Why is each of these as it should be? Until every reason says so, this file is refused.\nschema = 1\n"
    for index, capture in enumerate(report.captures):
        verdicts = report.flows["verdict"][bad & (report.flows["capture"] == index)].value_counts()
        chosen = report.findings[new & (owners == index)]
        findings = chosen.groupby("id")["flow_id"].nunique()
        found = [("verdict", verdicts), ("finding", findings)]
        entries = [(kind, str(name), int(count)) for kind, counts in found for name, count in sorted(counts.items())]
        if entries:
            yield f"\n[[capture]]\nfile = {toml_loader.quote(Path(capture.path).name)}\n"
            yield from (f'[[capture.expect]]\n{kind} = "{name}"\ncount = {count}\nreason = ""\n' for kind, name, count in entries)
