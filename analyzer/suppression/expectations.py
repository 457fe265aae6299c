"""expect.toml next to captures: the verdicts and findings that are expected in them.

An entry without a reason suppresses nothing, and is reported with file and line. Counts are exact. Where a capture has exactly the
expected number of connections with a verdict or a finding, these are suppressed; where it has more or fewer, none is, and a note states
what was expected and what was found. Everything else is judged as usual. Only the folder of the capture is searched for expect.toml.

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
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from analyzer import files
from analyzer.errors import RuleError
from analyzer.model import EXPECTED_WITHOUT_REASON, Note
from analyzer.rules import toml_loader, toml_positions

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from analyzer.rules.toml_positions import KeyPath, Positions

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
    """Why it is expected; an expectation without a reason suppresses nothing."""
    where: str = ""
    """File, line and column of the entry, as compilers write them."""


@dataclass(frozen=True, slots=True)
class Suppressions:
    """What expectations suppress, and where they failed."""

    flow: NDArray[np.bool_]
    """For each row of flows, whether its verdict is suppressed."""
    finding: NDArray[np.bool_]
    """For each row of findings, whether it is suppressed."""
    failures: dict[int, tuple[Note, ...]]
    """For each capture with any, the expectations that were not met or have no reason."""


def load(path: Path, verdicts: Collection[str] = ()) -> dict[str, tuple[Expectation, ...]]:
    """Return the expectations in the file `path` by the real path of each capture named there; see `parse` for what is refused."""
    return parse(toml_loader.read_text(path, limit=MAX_BYTES), path, verdicts)


def parse(text: str, path: Path, verdicts: Collection[str] = ()) -> dict[str, tuple[Expectation, ...]]:
    """Return the expectations in `text`, the contents of the file `path`, by the real path of each capture named there.

    Raises `RuleError` with file, line and column for a text that is too deep or not of its schema's shape, that names a capture twice or
    names one that does not exist, that expects the same thing of a capture twice, or that names none of `verdicts`, where they are given.
    """
    document = toml_loader.parse(text, path)
    positions = toml_positions.locate(text)
    toml_loader.check(document, "expect", path, positions)
    expected: dict[str, tuple[Expectation, ...]] = {}
    globs: list[_Entry] = []
    for number, capture in enumerate(document.get("capture", ())):
        entry = _Entry(path, number, capture["file"], _expectations(capture, path, number, positions, verdicts), positions)
        if (path.parent / entry.file).parent != path.parent:
            words = f"{entry.file} is not in the folder of this file; put an {FILE} into its own folder"
            raise entry.refuse(words, "file")
        if files.unreadable_reason(path.parent / entry.file) != "":
            globs.append(entry)
            continue
        key = files.identify(path.parent / entry.file)
        if key in expected:
            words = f"{entry.file} is named twice"
            raise entry.refuse(words, "file")
        expected[key] = entry.refuse_repeats(entry.expected)
    return expected | _spread(globs, path.parent, frozenset(expected))


@dataclass(frozen=True, slots=True)
class _Entry:
    """One `[[capture]]` of a file."""

    path: Path
    number: int
    file: str
    expected: tuple[Expectation, ...]
    positions: Positions

    def refuse(self, words: str, *keys: str | int) -> RuleError:
        """Return the error about the key at `keys` in this entry."""
        return _refuse(self.path, self.positions, ("capture", self.number, *keys), words)

    def refuse_repeats(self, expected: tuple[Expectation, ...]) -> tuple[Expectation, ...]:
        """Return `expected`, of which the last come from this entry. Raises `RuleError` where one is there twice."""
        seen: set[tuple[str, str]] = set()
        for number, one in enumerate(expected, len(self.expected) - len(expected)):
            if (one.kind, one.name) in seen:
                words = f"{one.kind} {one.name} is expected twice"
                raise self.refuse(words, "expect", number)
            seen.add((one.kind, one.name))
        return expected


def _refuse(path: Path, positions: Positions, keys: KeyPath, words: str) -> RuleError:
    return RuleError(f"{positions.name(path, keys)}: {toml_positions.describe(keys)}: {words}")


def _spread(globs: Sequence[_Entry], folder: Path, named: frozenset[str]) -> dict[str, tuple[Expectation, ...]]:
    """Return what globs expect of the captures in `folder` that are not `named`; a glob that matches no file there is refused."""
    expected: dict[str, tuple[Expectation, ...]] = {}
    candidates = [file for file in _list(folder) if file.name != FILE and files.unreadable_reason(file) == ""] if globs else []
    for entry in globs:
        hits = [file for file in candidates if fnmatchcase(file.name, entry.file)]
        if not hits:
            words = f"there is no {entry.file} in the folder of this file"
            raise entry.refuse(words, "file")
        entry.refuse_repeats(entry.expected)
        for key in map(files.identify, hits):
            if key not in named:
                expected[key] = entry.refuse_repeats(expected.get(key, ()) + entry.expected)
    return expected


def _expectations(
    capture: dict[str, Any], path: Path, number: int, positions: Positions, verdicts: Collection[str]
) -> tuple[Expectation, ...]:
    found = []
    for place, item in enumerate(capture["expect"]):
        keys = ("capture", number, "expect", place)
        kind = "verdict" if "verdict" in item else "finding"
        if kind == "verdict" and verdicts and item[kind] not in verdicts:
            near = get_close_matches(item[kind], verdicts, n=1)
            hint = f": did you mean {near[0]}?" if near else f"; there are {', '.join(verdicts)}"
            raise _refuse(path, positions, (*keys, kind), f"no verdict is called {item[kind]}{hint}")
        reason = " ".join(item.get("reason", "").split())
        found.append(Expectation(kind, item[kind], item["count"], reason, positions.name(path, keys)))
    return tuple(found)


def find(paths: Sequence[str], verdicts: Collection[str] = ()) -> dict[int, tuple[Expectation, ...]]:
    """Return the expectations of each capture that has any, by its index in `paths`; each expect.toml is read once."""
    read, look = cache(partial(load, verdicts=verdicts)), cache(files.unreadable_reason)
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


def apply(
    flows: pd.DataFrame,
    findings: pd.DataFrame,
    paths: Sequence[str],
    not_selected: frozenset[str] = frozenset(),
    verdicts: Collection[str] = (),
) -> Suppressions:
    """Compare tables `FLOWS` and `FINDINGS` of the captures at `paths` with the expect.toml next to each.

    Expectations of findings that were `not_selected` are ignored; `verdicts` are those of the rules, empty for any. Raises `RuleError` for
    an expect.toml that is refused.
    """
    expected = {
        index: tuple(one for one in entries if one.kind != "finding" or one.name not in not_selected)
        for index, entries in find(paths, verdicts).items()
    }
    return compare(flows, findings, expected)


def compare(flows: pd.DataFrame, findings: pd.DataFrame, expected: dict[int, tuple[Expectation, ...]]) -> Suppressions:
    """Compare tables `FLOWS` and `FINDINGS` with the expectations of each capture, by its index."""
    import numpy as np

    suppressions = Suppressions(np.zeros(len(flows), bool), np.zeros(len(findings), bool), {})
    if not expected:
        return suppressions
    columns, noted = _columns(flows, findings), set[str]()
    for index, expectations in expected.items():
        reasoned = [one for one in expectations if one.reason]
        notes = [note for one in reasoned if (note := _compare(index, one, columns, suppressions)) is not None]
        # An entry with a glob is one entry, however many captures it matches.
        incomplete = [one for one in expectations if not one.reason and one.where not in noted]
        noted |= {one.where for one in incomplete}
        notes += [
            Note(EXPECTED_WITHOUT_REASON, f"{one.where}: {one.kind} {one.name} has no reason and does not count") for one in incomplete
        ]
        if notes:
            suppressions.failures[index] = tuple(notes)
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
