"""The public functions: from paths to captures, connections, verdicts and a report.

Every given path is in the report, whatever is wrong with it. Modules that are slow to import are imported after tshark was started.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from analyzer import capture, notation
from analyzer import rules as rules_
from analyzer.capture import choose_engine, pipes
from analyzer.capture import discovery as discovery_
from analyzer.errors import InputError, UsageError
from analyzer.model import EXPECTED_WITHOUT_REASON, SEVERITIES, CaptureSummary, Report
from analyzer.options import AnalyzeOptions, DialogueOptions, JudgeOptions, ReadOptions
from analyzer.rules.check import DIALOGUE_SCOPES
from analyzer.rules.protocols import server_ports
from analyzer.suppression import baseline as baseline_
from analyzer.suppression import expectations

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pandas as pd

    from analyzer._typing import BoolArray
    from analyzer.model import Capture, FailOn, Note, Status
    from analyzer.notation import Script
    from analyzer.options import Engine
    from analyzer.rules import RuleSet
    from analyzer.suppression.expectations import Suppressions


def analyze(  # noqa: PLR0913 - the public call: every option has a default and a name
    paths: str | Path | Sequence[str | Path],
    *,
    rules: RuleSet | None = None,
    fail_on: FailOn = "warning",
    expect: bool = True,
    baseline: str | Path | None = None,
    timeout_s: float | None = None,
    tshark: str | None = None,
    jobs: int | None = None,
    engine: Engine = "auto",
    progress: Callable[[str, int], None] | None = None,
    secrets: bool = False,
    openings_only: bool = False,
) -> Report:
    """Return the report on every capture in `paths` (files, folders, pipes; `-` is standard input).

    `rules` defaults to the shipped ones. `fail_on` is the lowest severity that makes a capture's status `findings`. `expect` applies the
    expect.toml in the folder of a capture. `baseline` is a file of accepted findings (`analyzer.suppression.baseline`). `timeout_s` limits
    the time to read a capture. `jobs` is the number of captures, or parts of a very large one, that are read at a time, and of processes
    that parse the dialogues of very many connections; the default is the number of processors. `progress` is called with a path and the
    number of frames read so far, from any thread. `engine` is as in `capture.read`. `secrets` keeps passwords and other secrets of
    dialogues, and marks the report. `openings_only` parses no dialogues.

    Raises `EnvironmentFaultError` when tshark cannot be used, `RuleError` when an expect.toml or the baseline is invalid. An invalid
    capture is a status, not an error.
    """
    read = ReadOptions(engine=engine, jobs=jobs, timeout_s=timeout_s, tshark=tshark)
    judge = JudgeOptions(fail_on=fail_on, expect=expect, baseline=baseline)
    dialogues = DialogueOptions(secrets=secrets, openings_only=openings_only, processes=read.processes)
    return analyze_with(paths, rules or rules_.load(), AnalyzeOptions(read, judge, dialogues), progress)


def analyze_with(
    paths: str | Path | Sequence[str | Path],
    rules: RuleSet,
    options: AnalyzeOptions,
    progress: Callable[[str, int], None] | None = None,
) -> Report:
    """Return the report as `analyze` does, with composed options."""
    with pipes.stored([paths] if isinstance(paths, (str, Path)) else paths) as stored:
        return _analyze_stored(stored, rules, options, progress and (lambda path, frames: progress(stored.name(path), frames)))


def _analyze_stored(stored: pipes.Stored, rules: RuleSet, options: AnalyzeOptions, progress: Callable[[str, int], None] | None) -> Report:
    """Return the report on paths of which none is a stream."""
    judge = options.judge
    discovery = discovery_.find(stored.paths)
    found = discovery.found
    read = partial(_read, options=options.read, large=_is_large(found, options.read.engine), progress=progress)
    captures = _read_all(found, options.read, read)
    # Slow imports, while tshark starts.
    from analyzer import connections as connections_
    from analyzer.pipeline import memory, stages

    whole, captures = iter(captures), [_drop_segment_columns(one) for one in captures]
    # Pass the only reference, so that run_stages() can free the segments while it runs.
    grouped = [connections_.group(whole, server_ports(rules.protocols))]
    memory.trim_heap()
    report, modified = stages.run_stages(grouped.pop(), captures, rules, options.dialogues)
    captures = [_mark_modified(one) if number in modified else one for number, one in enumerate(captures)]
    table, findings = report.flows, report.findings
    # No expect.toml belongs to a stream.
    paths = [one.path for one in captures]
    captures = [stored.rename(one) for one in captures]
    not_evaluated = frozenset(
        id_
        for id_, one in rules.findings.items()
        if (one.opt_in and id_ not in rules.reported)
        or (options.dialogues.openings_only and one.check is not None and one.check.scope in DIALOGUE_SCOPES)
    )
    verdicts = [one.name for one in rules.verdicts]
    suppressions = expectations.apply(table, findings, paths if judge.expect else [], not_evaluated, verdicts)
    table["excused"], findings["excused"] = suppressions.flow, suppressions.finding
    stale = (
        {}
        if judge.baseline is None
        else baseline_.accept(table, findings, [one.path for one in captures], Path(judge.baseline), rules.reported)
    )
    failing = _failing(table, findings, rules, judge.fail_on, len(captures))
    failing[_unmet(suppressions, judge.fail_on)] = True
    summaries = _summaries(captures, table, suppressions, failing, stale)
    return replace(report, captures=summaries, fail_on=judge.fail_on, passed_over=discovery.passed_over)


def analyze_script(script: Script, rules: RuleSet) -> Report:
    """Return the report on `script`, judged as one capture; the report has no summaries of captures."""
    from analyzer import connections as connections_
    from analyzer.pipeline import stages

    captures = [notation.capture(script)]
    return stages.run_stages(connections_.group(captures, server_ports(rules.protocols)), captures, rules)[0]


def run_rule_examples(rules: RuleSet, folders: Sequence[str | Path] = ()) -> list[str]:
    """Run the examples of the rules whose files are below `folders`, or of all rules, and return one line per example that fails.

    Rows that a user adds may change the result of an example of a shipped rule, so these are not run with `folders`. Raises `RuleError` for
    an example that is no script.
    """
    chosen = [one for one in rules.findings.values() if not folders or any(Path(one.path).is_relative_to(folder) for folder in folders)]
    examples = [(finding, number, one) for finding in chosen for number, one in enumerate(finding.examples, 1)]
    captures = [
        notation.capture(notation.parse(one.segments, where=f"{finding.path}: example {number}")) for finding, number, one in examples
    ]
    if not captures:
        return []
    from analyzer import connections as connections_
    from analyzer.pipeline import stages

    all_reported = replace(rules, reported=frozenset(rules.findings))
    found = stages.run_stages(connections_.group(captures, server_ports(rules.protocols)), captures, all_reported)[0].findings
    fired = set(zip(found["capture"].tolist(), found["id"], strict=True))
    return [
        f"{finding.path}: example {number}: {finding.id} is {'not found, but must be' if one.fires else 'found, but must not be'}"
        for place, (finding, number, one) in enumerate(examples)
        if ((place, finding.id) in fired) != one.fires
    ]


def _mark_modified(one: Capture) -> Capture:
    """Return the capture, marked as modified after it was read."""
    return replace(one, complete=False, reason=one.reason or "it was changed or removed while it was being read")


@dataclass(frozen=True, slots=True)
class ConnectionFrames:
    """Frames of some connections of one capture."""

    capture: Capture
    frames: tuple[int, ...]
    """All of them, rising: segments, the copies of segments that were dropped, and the ICMP errors that quote them."""
    sent: dict[int, tuple[int, bool]]
    """By frame with a segment: row of the connection, and whether the client sent it."""
    quoted: dict[int, tuple[int, bool]]
    """By frame with an ICMP error: the same of the segment that it quotes."""


def frames_of(path: str | Path, connections: Sequence[str], options: ReadOptions | None = None) -> tuple[Capture, list[int]]:
    """Return the capture at `path`, and the numbers of all frames of the named `connections`, as `find_frames` does."""
    found = find_frames(path, connections, options)
    return found.capture, list(found.frames)


def find_frames(path: str | Path, connections: Sequence[str], options: ReadOptions | None = None) -> ConnectionFrames:
    """Return the frames of the `connections` named (`f3` or `3`) of the capture at `path`.

    Raises `InputError` when the capture cannot be read, `UsageError` when there is no such connection.
    """
    import numpy as np

    from analyzer import connections as connections_

    one = capture.read_with(path, options or ReadOptions())
    if not one.readable:
        message = f"{one.path}: {one.reason}"
        raise InputError(message)
    grouped = connections_.group([one])
    rows = []
    for name in connections:
        digits = name.removeprefix("f")
        if not (digits.isascii() and digits.isdecimal() and 1 <= int(digits) <= len(grouped.flows)):
            message = f"no connection is called {name!r}; there are {len(grouped.flows)}, from f1"
            raise UsageError(message)
        rows.append(int(digits) - 1)

    def chosen(*tables: pd.DataFrame) -> dict[int, tuple[int, bool]]:
        found: dict[int, tuple[int, bool]] = {}
        for table in tables:
            part = table[np.isin(table["flow"].to_numpy(), rows)]
            ends = zip(part["flow"].tolist(), part["by_client"].tolist(), strict=True)
            found.update(zip(part["frame"].tolist(), ends, strict=True))
        return found

    sent, quoted = chosen(grouped.segments, grouped.duplicates), chosen(grouped.quotes)
    return ConnectionFrames(one, tuple(sorted({*sent, *quoted})), sent, quoted)


def _drop_segment_columns(one: Capture) -> Capture:
    """Return `one` without the columns that grouping has copied, so that segments are in memory once."""
    return replace(one, segments=one.segments[["frame"]].copy(), quotes=one.quotes[["frame"]].copy(), option_bytes=b"")


def _read_all(found: Sequence[discovery_.Candidate], options: ReadOptions, read: Callable[..., Capture]) -> list[Capture]:
    """Read all captures: very large ones in sequence, each by several processes, then the others in threads.

    Threads suffice for those: each waits for its own tshark, or is read in a short time.
    """
    captures: dict[int, Capture] = {}
    for number, one in enumerate(found):
        if options.engine != "pyshark" and not one.reason and choose_engine.is_divisible(one.path):
            captures[number] = read(one, processes=options.processes)
    rest = [number for number in range(len(found)) if number not in captures]
    workers = min(options.processes, len(rest))
    if workers <= 1:
        captures |= {number: read(found[number]) for number in rest}
    else:
        with ThreadPoolExecutor(workers) as pool:
            captures |= dict(zip(rest, pool.map(read, (found[number] for number in rest)), strict=True))
    return [captures[number] for number in range(len(found))]


def _is_large(found: Sequence[discovery_.Candidate], engine: Engine) -> bool | None:
    """Return whether the run is large; None where the engine is given."""
    return choose_engine.is_large(one.path for one in found if not one.reason) if engine == "auto" else None


def _read(
    found: discovery_.Candidate,
    *,
    options: ReadOptions,
    large: bool | None,
    progress: Callable[[str, int], None] | None,
    processes: int = 1,
) -> Capture:
    if found.reason:
        return capture.refuse(found.path, found.reason)
    report = None if progress is None else lambda frames: progress(found.path, frames)
    return capture.read_with(found.path, options, progress=report, large=large, processes=processes)


def _summaries(
    captures: Sequence[Capture],
    table: pd.DataFrame,
    suppressions: Suppressions,
    failing: BoolArray,
    stale: Mapping[int, tuple[Note, ...]],
) -> tuple[CaptureSummary, ...]:
    import numpy as np

    owner = table["capture"].to_numpy()
    judged = np.bincount(owner[((table["outcome"] != "not-judged") | table["excused"]).to_numpy()], minlength=len(captures))
    inconclusive = np.bincount(owner[(table["inconclusive"] & ~table["excused"]).to_numpy()], minlength=len(captures))
    return tuple(
        CaptureSummary(
            path=one.path,
            status=_status(
                one,
                failing=bool(failing[number]),
                judged=bool(judged[number]),
                inconclusive=bool(inconclusive[number]),
            ),
            complete=one.complete,
            reason=one.reason,
            packets=one.packets,
            segments=len(one.segments),
            engines=one.engines,
            notes=(*one.notes, *stale.get(number, ())),
            expectations=suppressions.failures.get(number, ()),
        )
        for number, one in enumerate(captures)
    )


def _failing(table: pd.DataFrame, findings: pd.DataFrame, rules: RuleSet, fail_on: FailOn, captures: int) -> BoolArray:
    """Return, per capture, whether a verdict or a finding counts as at least `fail_on` and is not suppressed."""
    import numpy as np

    if fail_on == "never":
        return np.zeros(captures, bool)
    failing = set(SEVERITIES[SEVERITIES.index(fail_on) :])
    bad_verdicts = [verdict for verdict, severity in rules.verdict_severities.items() if severity in failing]
    flows_failing = (table["verdict"].isin(bad_verdicts) & ~table["excused"]).to_numpy()
    findings_failing = (findings["severity"].isin(failing) & ~findings["excused"]).to_numpy()
    owners = np.concatenate([table["capture"].to_numpy()[flows_failing], findings["capture"].to_numpy()[findings_failing]])
    return np.bincount(owners, minlength=captures) > 0


def _unmet(suppressions: Suppressions, fail_on: FailOn) -> list[int]:
    """Return the captures that fail by their expectations: one that is not met is an error, one without a reason a warning."""
    if fail_on == "never":
        return []
    return [
        index
        for index, notes in suppressions.failures.items()
        if fail_on != "error" or any(note.id != EXPECTED_WITHOUT_REASON for note in notes)
    ]


def _status(one: Capture, *, failing: bool, judged: bool, inconclusive: bool) -> Status:
    """Return the status of a capture: the worst that applies."""
    if not one.readable:
        return "unreadable"
    if not one.complete or inconclusive:
        return "incomplete"
    if failing:
        return "findings"
    return "clean" if judged else "nothing-checked"
