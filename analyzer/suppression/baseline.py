"""A baseline: findings and verdicts that captures have today and that are accepted, so that only new ones fail a check.

Findings of every severity count, before any threshold is applied; those beyond the count of an entry are new, and an entry with a count
higher than what was found is reported as stale. An entry names capture, rule or verdict, client address and server, and neither the
client's port nor a frame, so that it still matches when the capture is recorded again.

    schema = 1
    [[accepted]]
    file = "captures/web.pcap"   # relative to this file
    finding = "synack-ack-wrong" # or: verdict = "refused"
    client = "192.0.2.10"
    server = "[2001:db8::1]:80"
    count = 1
    reason = "known, see the ticket"
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from analyzer import files
from analyzer.errors import RuleError
from analyzer.model import Note
from analyzer.rules import toml_loader

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Sequence
    from pathlib import Path

    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from analyzer.model import Report

FILE: Final = "pcaplint-baseline.toml"
MAX_BYTES: Final = 16_000_000

Key = tuple[str, str, str, str, str]
"""File, kind, name, client, server."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A number of connections between a client and a server with a verdict or a finding."""

    file: str
    """The capture's path relative to the baseline's folder, undecodable bytes as escapes."""
    kind: str
    """verdict or finding."""
    name: str
    client: str
    server: str
    count: int
    reason: str = ""

    @property
    def key(self) -> Key:
        """The fields that identify an entry."""
        return self.file, self.kind, self.name, self.client, self.server


def load(path: Path) -> tuple[Entry, ...]:
    """Return the entries of the file `path`; raises `RuleError` with file and key path for one that is refused or repeats an entry."""
    document = toml_loader.read(path, limit=MAX_BYTES)
    toml_loader.check(document, "baseline", path)
    entries = tuple(_entry(item) for item in document.get("accepted", ()))
    for key, number in Counter(entry.key for entry in entries).items():
        if number > 1:
            message = f"{path}: {key[0]}: {key[1]} {key[2]} of {key[3]} and {key[4]} is listed twice"
            raise RuleError(message)
    return entries


def _entry(item: dict[str, Any]) -> Entry:
    kind = "verdict" if "verdict" in item else "finding"
    return Entry(item["file"], kind, item[kind], item["client"], item["server"], item["count"], item.get("reason", ""))


def locate(capture: str, folder: Path) -> str:
    """Return the capture's path relative to the baseline's folder, as entries name it."""
    absolute = files.identify(capture)
    try:
        relative = os.path.relpath(absolute, files.identify(folder))
    except (OSError, ValueError):
        # A name that no file can have, or a working folder that was removed: nothing was read there.
        relative = absolute
    return relative.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _endpoints(flows: pd.DataFrame) -> list[tuple[str, str]]:
    columns = (flows[name].tolist() for name in ("client_ip", "server_ip", "server_port"))
    return [(client, f"[{server}]:{port}" if ":" in server else f"{server}:{port}") for client, server, port in zip(*columns, strict=True)]


def _keys(flows: pd.DataFrame, findings: pd.DataFrame, names: Sequence[str]) -> tuple[list[Key], list[Key]]:
    """Return the key of each row of flows and of each row of findings."""
    endpoints, owners = _endpoints(flows), flows["capture"].tolist()
    rows = {flow_id: row for row, flow_id in enumerate(flows["flow_id"].tolist())}
    verdicts: list[Key] = [
        (names[owner], "verdict", verdict, *pair) for owner, verdict, pair in zip(owners, flows["verdict"].tolist(), endpoints, strict=True)
    ]
    found: list[Key] = [
        (names[owners[row]], "finding", id_, *endpoints[row])
        for row, id_ in zip((rows[flow_id] for flow_id in findings["flow_id"].tolist()), findings["id"].tolist(), strict=True)
    ]
    return verdicts, found


def accept(
    flows: pd.DataFrame, findings: pd.DataFrame, paths: Sequence[str], path: Path, reported: Container[str]
) -> dict[int, tuple[Note, ...]]:
    """Mark in columns `excused` the rows that the baseline at `path` suppresses, and return the stale entries of each capture as notes.

    Rows that expect.toml suppressed already are not counted. Entries of rules that are not `reported` in this run are not stale.
    """
    entries = {entry.key: entry for entry in load(path)}
    names = [locate(capture, path.parent) for capture in paths]
    left = {key: entry.count for key, entry in entries.items()}
    for table, keys in zip((flows, findings), _keys(flows, findings, names), strict=True):
        suppressed = table["excused"].to_numpy(bool).copy()
        _suppress(suppressed, keys, left)
        table["excused"] = suppressed
    stale: dict[int, tuple[Note, ...]] = {}
    index = {file: number for number, file in enumerate(names)}
    for key, entry in entries.items():
        known = entry.kind == "verdict" or entry.name in reported
        if left[key] and known and entry.file in index:
            text = (
                f"{entry.kind} {entry.name} of {entry.client} and {entry.server}: accepted {entry.count}, found {entry.count - left[key]}"
            )
            stale[index[entry.file]] = (*stale.get(index[entry.file], ()), Note("baseline-stale", text))
    return stale


def _suppress(suppressed: NDArray[np.bool_], keys: Sequence[Key], left: dict[Key, int]) -> None:
    for row, key in enumerate(keys):
        if left.get(key, 0) and not suppressed[row]:
            left[key] -= 1
            suppressed[row] = True


def missing_captures(path: Path) -> list[str]:
    """Return the captures that the baseline names and that do not exist any more."""
    named = dict.fromkeys(entry.file for entry in load(path))
    return [file for file in named if "\\x" not in file and not os.path.exists(path.parent / file)]  # noqa: PTH110 - Path.exists may raise


def draft(report: Report, path: Path) -> Iterator[str]:
    """Return a baseline of all verdicts and findings in `report` that are not suppressed; reasons in a baseline at `path` are kept."""
    reasons = {entry.key: entry.reason for entry in load(path)} if files.unreadable_reason(path) == "" else {}
    names = [locate(capture.path, path.parent) for capture in report.captures]
    bad = (report.flows["verdict"].isin(report.verdict_severities) & ~report.flows["excused"]).tolist()
    new = (~report.findings["excused"]).tolist()
    verdicts, found = _keys(report.flows, report.findings, names)
    counts = Counter(key for keys, chosen in ((verdicts, bad), (found, new)) for key, use in zip(keys, chosen, strict=True) if use)
    entries = (Entry(*key, count, reasons.get(key, "")) for key, count in sorted(counts.items()))
    yield "# What is accepted in these captures as it is; see pcaplint baseline --help.\nschema = 1\n"
    yield from map(_write, entries)


def _write(entry: Entry) -> str:
    names = {"file": entry.file, entry.kind: entry.name, "client": entry.client, "server": entry.server}
    lines = [f"{name} = {toml_loader.quote(value)}" for name, value in names.items()]
    return "\n[[accepted]]\n" + "\n".join([*lines, f"count = {entry.count}", f"reason = {toml_loader.quote(entry.reason)}"]) + "\n"
