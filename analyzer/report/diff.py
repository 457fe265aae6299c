"""Two reports compared: which findings and verdicts are new, which are fixed, which are in both.

Reports are taken in their JSON form (rules/schema/report.schema.json). An entry is the same in both reports when capture, rule or
verdict, both addresses and the server's port are; frame numbers, the client's port and the text of a message may differ.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final

from analyzer.model import SEVERITIES
from analyzer.report import formatting
from analyzer.rules import severities

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from analyzer.model import FailOn

SCHEMA_VERSION: Final = "1"
_CAPTURE_STATUSES: Final = {"unreadable": "the capture cannot be read", "incomplete": "the capture could not be read to its end"}

Document = dict[str, Any]
"""A report in its JSON form."""


@dataclass(frozen=True, slots=True)
class DiffEntry:
    """One finding, one verdict that counts against its connection, or one capture that could not be read whole."""

    capture: str
    kind: str
    """finding, verdict or capture."""
    name: str
    """Rule id, verdict, or status of the capture."""
    severity: str
    message: str
    client_ip: str = ""
    client_port: int = -1
    server_ip: str = ""
    server_port: int = -1
    frames: tuple[int, ...] = ()
    fingerprint: str = ""
    """Sixteen hexadecimal digits, unique in its report and the same in every report that has the entry."""

    @property
    def key(self) -> tuple[str | int, ...]:
        """The fields that identify an entry in both reports."""
        return self.capture, self.kind, self.name, self.client_ip, self.server_ip, self.server_port

    @property
    def connection(self) -> str:
        """Both endpoints as in `192.0.2.1:1024 → 192.0.2.2:25`; empty for a capture."""
        if not self.client_ip:
            return ""
        ends = formatting.endpoint(self.client_ip, self.client_port), formatting.endpoint(self.server_ip, self.server_port)
        return " → ".join(ends)


@dataclass(frozen=True, slots=True)
class Diff:
    """The differences of two reports; each tuple is sorted by severity, worst first, then by capture."""

    new: tuple[DiffEntry, ...]
    fixed: tuple[DiffEntry, ...]
    unchanged: tuple[DiffEntry, ...]
    verdicts: Mapping[str, tuple[int, int]]
    """Per verdict, the connections that have it in the old and in the new report."""
    added: tuple[str, ...]
    """Captures only in the new report; their findings are new."""
    removed: tuple[str, ...]
    """Captures only in the old report; their findings do not count as fixed."""
    captures: int
    """Captures in the new report."""

    def fails(self, fail_on: FailOn) -> bool:
        """Return whether an entry at or above `fail_on` is new."""
        if fail_on == "never":
            return False
        return any(SEVERITIES.index(entry.severity) >= SEVERITIES.index(fail_on) for entry in self.new)


def compare(old: Document, new: Document, roots: tuple[str, str] = ("", "")) -> Diff:
    """Return the differences of two reports.

    `roots` are the folders that were analyzed, empty where a report came from a file: captures are matched by their paths as
    reported, below their root, or below the folder that all captures of a report have in common, whichever gives the most matches.
    """
    names = _match_paths([capture["path"] for capture in old["captures"]], [capture["path"] for capture in new["captures"]], roots)
    before, after = (list(_entries(document, known)) for document, known in zip((old, new), names, strict=True))
    kept = set(names[1])
    fixed, unchanged, added = _pair([entry for entry in before if entry.capture in kept], after)
    counts = [Counter(flow["verdict"] for flow in document["flows"]) for document in (old, new)]
    return Diff(
        new=_worst_first(added),
        fixed=_worst_first(fixed),
        unchanged=_worst_first(unchanged),
        verdicts={verdict: (counts[0][verdict], counts[1][verdict]) for verdict in sorted(counts[0] | counts[1])},
        added=tuple(sorted(kept - set(names[0]))),
        removed=tuple(sorted(set(names[0]) - kept)),
        captures=len(new["captures"]),
    )


def _match_paths(old: Sequence[str], new: Sequence[str], roots: tuple[str, str]) -> tuple[list[str], list[str]]:
    """Return the names that match captures of both reports; two reports of one capture each are matched whatever the names."""
    if len(old) == len(new) == 1:
        return [PurePath(new[0]).name], [PurePath(new[0]).name]
    choices = [
        [_below(paths, root), _below(paths, _common_folder(paths)), list(paths)] for paths, root in zip((old, new), roots, strict=True)
    ]
    pairs = [(left, right) for left in choices[0] for right in choices[1]]
    # max() keeps the first of equals: names below the roots, which do not depend on the machine.
    return max(pairs, key=lambda pair: len(set(pair[0]) & set(pair[1])))


def _common_folder(paths: Sequence[str]) -> str:
    folders = {os.path.dirname(path) for path in paths}  # noqa: PTH120 - "" and "." must stay apart
    try:
        return os.path.commonpath(folders) if folders else ""
    except ValueError:  # absolute and relative paths
        return ""


def _below(paths: Sequence[str], root: str) -> list[str]:
    if not root:
        return list(paths)
    return [str(PurePath(path).relative_to(root)) if PurePath(path).is_relative_to(root) else path for path in paths]


def _entries(document: Document, names: Sequence[str]) -> Iterator[DiffEntry]:
    """Yield one entry per issue of a capture or connection that is not suppressed."""
    found: list[DiffEntry] = []
    for capture, name in zip(document["captures"], names, strict=True):
        if capture["status"] in _CAPTURE_STATUSES and not (capture["status"] == "incomplete" and capture["complete"]):
            found.append(DiffEntry(name, "capture", capture["status"], "error", capture["reason"] or _CAPTURE_STATUSES[capture["status"]]))
    for flow in document["flows"]:
        found += _flow_entries(flow, names[flow["capture"]])
    seen: Counter[tuple[str | int, ...]] = Counter()
    for entry in found:
        seen[entry.key] += 1
        text = "\0".join(map(str, (*entry.key, seen[entry.key])))
        yield replace(entry, fingerprint=hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16])


def _flow_entries(flow: Mapping[str, Any], capture: str) -> Iterator[DiffEntry]:
    ends = {name: flow[name] for name in ("client_ip", "client_port", "server_ip", "server_port")}
    severity = severities.by_outcome().get(flow["outcome"])
    if severity is not None and not flow["excused"]:
        first = (flow["first"]["frame"],)
        yield DiffEntry(capture, "verdict", flow["verdict"], severity, f"the opening is {flow['verdict']}", **ends, frames=first)
    for finding in flow["findings"]:
        if not finding["excused"]:
            frames = tuple(frame["frame"] for frame in finding["frames"])
            yield DiffEntry(capture, "finding", finding["id"], finding["severity"], finding["message"], **ends, frames=frames)


def _pair(old: Iterable[DiffEntry], new: Iterable[DiffEntry]) -> tuple[list[DiffEntry], list[DiffEntry], list[DiffEntry]]:
    """Return the entries only in `old`, in both (as in `new`), and only in `new`; entries with equal messages are paired first."""
    exact: dict[tuple[Any, ...], list[DiffEntry]] = defaultdict(list)
    for entry in old:
        exact[entry.key, entry.message].append(entry)
    both: list[DiffEntry] = []
    rest: list[DiffEntry] = []
    only_new: list[DiffEntry] = []
    for entry in new:
        same = exact.get((entry.key, entry.message))
        (both if same else rest).append(entry)
        if same:
            same.pop()
    alike: dict[tuple[Any, ...], list[DiffEntry]] = defaultdict(list)
    for entries in exact.values():
        for entry in entries:
            alike[entry.key].append(entry)
    for entry in rest:
        same = alike.get(entry.key)
        (both if same else only_new).append(entry)
        if same:
            same.pop()
    return [entry for entries in alike.values() for entry in entries], both, only_new


def _worst_first(entries: Iterable[DiffEntry]) -> tuple[DiffEntry, ...]:
    return tuple(sorted(entries, key=lambda entry: (-SEVERITIES.index(entry.severity), entry.capture, entry.name, entry.frames)))
