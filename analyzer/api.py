"""The straight line: paths ─► captures ─► connections ─► verdicts ─► a report.

What takes long to import is imported when captures are read: meanwhile tshark starts.

Promises: every path given is answered for in the report, whatever is wrong with it.
Must not know: output formats, terminals, exit statuses.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analyzer import capture, notation
from analyzer import rules as rules_
from analyzer.capture import choose_engine
from analyzer.capture import discovery as discovery_
from analyzer.errors import InputError, UsageError
from analyzer.model import SEVERITIES, CaptureSummary, Report
from analyzer.options import AnalyzeOptions, DialogueOptions, JudgeOptions, ReadOptions
from analyzer.rules.check import DIALOGUE_SCOPES
from analyzer.suppression import baseline as baseline_
from analyzer.suppression import expectations

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    import pandas as pd

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
    """Return the report on every capture in `paths` (files or folders).

    `rules` are the shipped ones unless given; `fail_on` is the lowest severity that makes a capture's status `findings`;
    `expect` says whether expect.toml beside a capture counts; `baseline` is a file of what is accepted (`analyzer.suppression.baseline`);
    `timeout_s` bounds each capture's reading; `jobs` is how many captures, or parts of a very large one, are read at a time, and how many
    processes read what was said on very many connections: as many as there are processors unless given; `progress` is called with a path
    and the frames read of it so far, from any thread; `engine` is as in `capture.read`; `secrets` keeps passwords and the like in what was
    said, and stamps the report; `openings_only` leaves unread what was said. Raises `MachineError` when tshark cannot be used, `RuleError`
    when an expect.toml or the baseline is invalid; a bad capture is not an error but a status.
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
    """Return the report as `analyze` does, for options that are composed already."""
    judge = options.judge
    discovery = discovery_.find([paths] if isinstance(paths, (str, Path)) else paths)
    found = discovery.found
    read = partial(_read, options=options.read, large=_is_large(found, options.read.engine), progress=progress)
    captures = _read_all(found, options.read, read)
    # tshark starts before what takes long to import.
    from analyzer import connections as connections_
    from analyzer.pipeline import stages

    whole, captures = iter(captures), [_drop_segment_columns(one) for one in captures]
    # Handed over: what `examine` lets go of nobody holds any more.
    grouped = [connections_.group(whole)]
    stages.trim_heap()
    report, changed = stages.run_stages(grouped.pop(), captures, rules, options.dialogues)
    captures = [_mark_modified(one) if number in changed else one for number, one in enumerate(captures)]
    table, findings = report.flows, report.findings
    names = [one.path for one in captures]
    unasked = frozenset(
        id_
        for id_, one in rules.findings.items()
        if (one.opt_in and id_ not in rules.reported)
        or (options.dialogues.openings_only and one.check is not None and one.check.scope in DIALOGUE_SCOPES)
    )
    excuses = expectations.apply(table, findings, names if judge.expect else [], unasked)
    table["excused"], findings["excused"] = excuses.flow, excuses.finding
    stale = {} if judge.baseline is None else baseline_.accept(table, findings, names, Path(judge.baseline), rules.reported)
    failing = _failing(table, findings, rules, judge.fail_on, len(captures))
    if judge.fail_on != "never":
        failing[list(excuses.failures)] = True
    summaries = _summaries(captures, table, excuses, failing, stale)
    return replace(report, captures=summaries, fail_on=judge.fail_on, passed_over=discovery.passed_over)


def analyze_script(script: Script, rules: RuleSet) -> Report:
    """Return the report on `script`, judged as if a file of it had been read; it has no captures."""
    from analyzer import connections as connections_
    from analyzer.pipeline import stages

    captures = [notation.capture(script)]
    return stages.run_stages(connections_.group(captures), captures, rules)[0]


def run_rule_examples(rules: RuleSet, folders: Sequence[str | Path] = ()) -> list[str]:
    """Run the examples of the rules whose files lie in `folders`, of all without any, and return a line for each that is not true.

    Rows that a user adds may well change what an example of a shipped rule shows, so those are not asked then. Raises
    `RuleError` for an example that is no script.
    """
    asked = [one for one in rules.findings.values() if not folders or any(Path(one.path).is_relative_to(folder) for folder in folders)]
    shown = [(finding, number, one) for finding in asked for number, one in enumerate(finding.examples, 1)]
    captures = [notation.capture(notation.parse(one.segments, where=f"{finding.path}: example {number}")) for finding, number, one in shown]
    if not captures:
        return []
    from analyzer import connections as connections_
    from analyzer.pipeline import stages

    every = replace(rules, reported=frozenset(rules.findings))
    found = stages.run_stages(connections_.group(captures), captures, every)[0].findings
    fired = set(zip(found["capture"].tolist(), found["id"], strict=True))
    return [
        f"{finding.path}: example {number}: {finding.id} is {'not found, but must be' if one.fires else 'found, but must not be'}"
        for place, (finding, number, one) in enumerate(shown)
        if ((place, finding.id) in fired) != one.fires
    ]


def _mark_modified(one: Capture) -> Capture:
    """Return a capture of which something was not there any more when it was to be heard."""
    return replace(one, complete=False, reason=one.reason or "it was changed or removed while it was being read")


def frames_of(path: str | Path, connections: Sequence[str], options: ReadOptions | None = None) -> tuple[Capture, list[int]]:
    """Return the capture at `path`, and the numbers of all frames of the `connections` named (`f3` or `3`), rising.

    A connection's frames are its segments, the copies of them that were dropped, and the ICMP errors that quote them. Raises `InputError`
    when the capture cannot be read, `UsageError` when there is no such connection.
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
    tables = (grouped.segments, grouped.duplicates, grouped.quotes)
    frames = np.concatenate([table["frame"].to_numpy()[np.isin(table["flow"].to_numpy(), rows)] for table in tables])
    return one, [int(frame) for frame in np.unique(frames)]


def _drop_segment_columns(one: Capture) -> Capture:
    """Return `one` without the columns that grouping has copied, so that not two copies of every segment stay in memory."""
    return replace(one, segments=one.segments[["frame"]].copy(), quotes=one.quotes[["frame"]].copy(), option_bytes=b"")


def _read_all(found: Sequence[discovery_.Candidate], options: ReadOptions, read: Callable[..., Capture]) -> list[Capture]:
    """Read all captures: very large ones one after another, each by several processes, then the others, some at a time.

    Each of those is a tshark of its own, or soon read, so threads are enough.
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
    """Return whether the job is a large one; None when nobody asks."""
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
    excuses: Suppressions,
    failing: np.ndarray[Any, np.dtype[np.bool_]],
    stale: Mapping[int, tuple[Note, ...]],
) -> tuple[CaptureSummary, ...]:
    import numpy as np

    owner = table["capture"].to_numpy()
    judged = np.bincount(owner[((table["outcome"] != "not-judged") | table["excused"]).to_numpy()], minlength=len(captures))
    unsure = np.bincount(owner[(table["inconclusive"] & ~table["excused"]).to_numpy()], minlength=len(captures))
    return tuple(
        CaptureSummary(
            path=one.path,
            status=_status(
                one,
                failing=bool(failing[number]),
                judged=bool(judged[number]),
                unsure=bool(unsure[number]),
            ),
            complete=one.complete,
            reason=one.reason,
            packets=one.packets,
            segments=len(one.segments),
            engines=one.engines,
            notes=(*one.notes, *stale.get(number, ())),
            expectations=excuses.failures.get(number, ()),
        )
        for number, one in enumerate(captures)
    )


def _failing(
    table: pd.DataFrame, findings: pd.DataFrame, rules: RuleSet, fail_on: FailOn, captures: int
) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Return, per capture, whether a verdict or a finding counts as at least `fail_on` and is not meant to be there."""
    import numpy as np

    if fail_on == "never":
        return np.zeros(captures, bool)
    enough = set(SEVERITIES[SEVERITIES.index(fail_on) :])
    bad_verdicts = [verdict for verdict, severity in rules.verdict_severities.items() if severity in enough]
    flows_failing = (table["verdict"].isin(bad_verdicts) & ~table["excused"]).to_numpy()
    findings_failing = (findings["severity"].isin(enough) & ~findings["excused"]).to_numpy()
    owners = np.concatenate([table["capture"].to_numpy()[flows_failing], findings["capture"].to_numpy()[findings_failing]])
    return np.bincount(owners, minlength=captures) > 0


def _status(one: Capture, *, failing: bool, judged: bool, unsure: bool) -> Status:
    """Return the exit class of a capture: the first that fits, worst first."""
    if not one.readable:
        return "unreadable"
    if not one.complete or unsure:
        return "incomplete"
    if failing:
        return "findings"
    return "clean" if judged else "nothing-checked"
