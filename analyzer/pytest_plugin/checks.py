"""The fixture `pcaplint`: a capture, judged, and the assertions on its connections.

A failed assertion prints what `pcaplint show` prints of each failing connection, and writes their frames to a small pcapng file.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from analyzer.errors import PcaplintError

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    import pandas as pd

    from analyzer.model import CaptureSummary, FailOn, Report
    from analyzer.pytest_plugin.options import CheckOptions
    from analyzer.rules import RuleSet

MAX_SHOWN: Final = 5
"""Connections that a failure prints."""
_STATUS_TEXTS: Final = {
    "findings": "it has findings",
    "unreadable": "it cannot be read",
    "incomplete": "it could not be judged to its end",
    "nothing-checked": "it has no connection that could be judged",
}


@dataclass(frozen=True, slots=True)
class Checker:
    """The value of the fixture: called with a path, it gives the capture there, judged."""

    options: CheckOptions
    folders: tuple[Path, ...]
    """Where a relative path is looked up, in order."""
    destination: Path
    """Where failing connections are written."""
    cache: dict[Hashable, Report]
    """Reports of this session."""

    def __call__(self, path: str | os.PathLike[str], **options: Any) -> CheckedCapture:  # noqa: ANN401 - those of CheckOptions
        """Return the capture at `path`, judged; `options` override those of the marker."""
        __tracebackhide__ = True
        chosen = self.options.replaced(options, "pcaplint")
        return CheckedCapture(self._find(Path(path)), chosen, self.destination, self.cache)

    def _find(self, path: Path) -> Path:
        __tracebackhide__ = True
        places = [folder / path for folder in self.folders]
        for place in places:
            if os.path.lexists(place):
                return place
        message = f"there is no capture {path}; looked for {', '.join(map(str, dict.fromkeys(places)))}"
        raise AssertionError(message)


class CheckedCapture:
    """One capture and its report, with assertions. Each raises `AssertionError` with the connections that are not as expected."""

    def __init__(self, path: Path, options: CheckOptions, destination: Path, cache: dict[Hashable, Report]) -> None:
        """Judge the capture at `path`."""
        self.path = path
        self._options, self._destination, self._cache = options, destination, cache
        self.report = self._judge(options.fail_on)

    @property
    def flows(self) -> pd.DataFrame:
        """Table `FLOWS` of the report, one row per connection."""
        return self.report.flows

    @property
    def findings(self) -> pd.DataFrame:
        """Table `FINDINGS` of the report, one row per finding."""
        return self.report.findings

    @property
    def transactions(self) -> pd.DataFrame:
        """Messages, commands and requests, one row each."""
        return self.report.transactions

    def assert_clean(self, fail_on: FailOn | None = None) -> None:
        """Assert that the capture was read whole, that something in it was judged, and that no verdict or finding is `fail_on` or worse."""
        __tracebackhide__ = True
        self._options.replaced({} if fail_on is None else {"fail_on": fail_on}, "assert_clean")
        report = self._judge(fail_on or self._options.fail_on)
        summary = report.captures[0]
        if summary.status != "clean":
            self._fail(f"{self.path} is not clean: {'; '.join(_reasons(summary))}", failing(report))

    def assert_verdicts(self, expected: Mapping[str, int]) -> None:
        """Assert that the capture has exactly these numbers of connections by verdict, those of an expect.toml included."""
        __tracebackhide__ = True
        found = Counter(self.flows["verdict"].tolist())
        wrong = [name for name in sorted(found.keys() | expected.keys()) if found[name] != expected.get(name, 0)]
        if wrong:
            lines = [f"{name}: expected {expected.get(name, 0)}, found {found[name]}" for name in wrong]
            rows = self.flows[self.flows["verdict"].isin(wrong)]
            self._fail(f"verdicts of {self.path}: {'; '.join(lines)}", rows["flow_id"].tolist())

    def flow(self, **columns: object) -> CheckedFlow:
        """Return the only connection whose columns of table `FLOWS` have these values, as in `flow(server_port=25)`."""
        __tracebackhide__ = True
        rows = self.flows
        for name, value in columns.items():
            if name not in rows:
                message = f"flow: table flows has no column {name!r}; it has {', '.join(rows.columns)}"
                raise AssertionError(message)
            rows = rows[rows[name] == value]
        if len(rows) != 1:
            wanted = ", ".join(f"{name}={value!r}" for name, value in columns.items())
            names = ", ".join(_endpoints(row) for row in (rows if len(rows) else self.flows).to_dict("records")[:MAX_SHOWN])
            message = (
                f"{self.path}: {len(rows)} connections have {wanted or 'any values'}, not 1; {'these' if len(rows) else 'there'}: {names}"
            )
            raise AssertionError(message)
        values = {str(name): value for name, value in rows.iloc[0].to_dict().items()}
        return CheckedFlow(self, values)

    def show(self, flow_id: str) -> str:
        """Return what `pcaplint show` prints of a connection."""
        from analyzer.report import Layout
        from analyzer.report.terminal import ladder
        from analyzer.report.terminal.explanations import explanations

        return ladder.render(self.report, flow_id, explanations(_load(self._options)), Layout(width=100))

    def _fail(self, summary: str, flows: Sequence[str]) -> NoReturn:
        __tracebackhide__ = True
        parts = [summary, *(self.show(name) for name in flows[:MAX_SHOWN])]
        if len(flows) > MAX_SHOWN:
            parts.append(f"{len(flows) - MAX_SHOWN} more connections are not shown")
        if flows:
            parts.append(self._keep(flows))
        raise AssertionError("\n\n".join(part.rstrip() for part in parts))

    def _keep(self, flows: Sequence[str]) -> str:
        """Write the frames of the connections to a pcapng file, and return a line that names it, or why there is none."""
        from analyzer.api import frames_of
        from analyzer.capture.extract import extract
        from analyzer.options import ReadOptions

        destination = self._destination / f"{self.path.name.partition('.')[0]}-failed.pcapng"
        try:
            _, frames = frames_of(self.path, flows, ReadOptions(engine=self._options.engine, jobs=1))
            # A list: a file is written only when tshark has copied all frames.
            destination.write_bytes(b"".join(extract(self.path, frames)))
        except (PcaplintError, OSError) as error:
            return f"the failing connections could not be copied: {error}"
        return f"the failing connections: {destination}"

    def _judge(self, fail_on: FailOn) -> Report:
        options = self._options.replaced({"fail_on": fail_on}, "fail_on")
        return judge(self.path, options, self._cache)


@dataclass(frozen=True, slots=True)
class CheckedFlow:
    """One connection: its columns of table `FLOWS` by name, as in `flow["verdict"]`, and what was found on it."""

    capture: CheckedCapture
    values: Mapping[str, Any]

    def __getitem__(self, column: str) -> Any:  # noqa: ANN401 - columns differ in type
        """Return the value of a column."""
        return self.values[column]

    @property
    def verdict(self) -> str:
        """The verdict on the opening."""
        return str(self.values["verdict"])

    @property
    def findings(self) -> list[str]:
        """Ids of the findings on this connection, in the order of the report."""
        table = self.capture.findings
        return [str(name) for name in table["id"][table["flow_id"] == self.values["flow_id"]]]

    @property
    def transactions(self) -> pd.DataFrame:
        """The messages, commands or requests of this connection."""
        table = self.capture.transactions
        chosen: pd.DataFrame = table.loc[table["flow_id"] == self.values["flow_id"]]
        return chosen

    def show(self) -> str:
        """Return what `pcaplint show` prints of it."""
        return self.capture.show(str(self.values["flow_id"]))


def judge(path: Path, options: CheckOptions, cache: dict[Hashable, Report]) -> Report:
    """Return the report on the capture at `path`, from `cache` when neither it nor its expect.toml have changed."""
    from analyzer.api import analyze

    key = (options, _state(path), _state(path.parent / "expect.toml"))
    if key not in cache:
        cache[key] = analyze(
            path,
            rules=_load(options),
            fail_on=options.fail_on,
            expect=options.expect,
            baseline=options.baseline,
            engine=options.engine,
            openings_only=options.openings_only,
            jobs=1,
        )
    return cache[key]


def failing(report: Report) -> list[str]:
    """Return the ids of the connections that make `report` fail, in its order."""
    from analyzer.model import SEVERITIES

    counted = SEVERITIES[SEVERITIES.index(report.fail_on) :] if report.fail_on != "never" else ()
    flows, findings = report.flows, report.findings
    by_verdict = flows["verdict"].map(dict(report.verdict_severities)).isin(counted) & ~flows["excused"]
    by_finding = findings["flow_id"][findings["severity"].isin(counted) & ~findings["excused"]]
    chosen = by_verdict | flows["flow_id"].isin(by_finding) | (flows["inconclusive"] & ~flows["excused"])
    return [str(name) for name in flows["flow_id"][chosen]]


def _load(options: CheckOptions) -> RuleSet:
    from analyzer.rules import load

    return load([Path(one) for one in options.rules], select=options.select, ignore=options.ignore)


def _state(path: Path) -> Hashable:
    try:
        found = path.stat()
    except OSError:
        return str(path)
    return str(path.absolute()), found.st_ino, found.st_size, found.st_mtime_ns


def _reasons(summary: CaptureSummary) -> list[str]:
    reasons = [_STATUS_TEXTS[summary.status] + (f": {summary.reason}" if summary.reason else "")]
    return [*reasons, *(f"expectation not met: {note.text}" for note in summary.expectations)]


def _endpoints(row: Mapping[Any, Any]) -> str:
    from analyzer.report.formatting import endpoint

    return f"{row['flow_id']} {endpoint(row['client_ip'], row['client_port'])} → {endpoint(row['server_ip'], row['server_port'])}"
