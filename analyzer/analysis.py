"""The straight line: paths ─► captures ─► connections ─► verdicts ─► a report.

Promises: every path given is answered for in the report, whatever is wrong with it.
Must not know: output formats, terminals, exit statuses.
"""

from __future__ import annotations

import ctypes
import gc
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from analyzer import applications, capture, expectations, flows, notation, opening
from analyzer import baseline as baseline_
from analyzer import rules as rules_
from analyzer.applications import assembly, ground
from analyzer.applications import tabulate as dialogues
from analyzer.capture import engines, parts
from analyzer.capture import paths as paths_
from analyzer.errors import InputError, UsageError
from analyzer.model import SEVERITIES, About, Report, Summary
from analyzer.opening import tabulate
from analyzer.rules.check import SPOKEN
from analyzer.tables import NO_TIME

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pandas as pd

    from analyzer.applications import Dialogues
    from analyzer.capture.engines import Engine
    from analyzer.expectations import Excuses
    from analyzer.flows import Connections
    from analyzer.model import Capture, FailOn, Note, Status
    from analyzer.notation import Script
    from analyzer.rules import RuleSet


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
    """Read and judge every capture in `paths` (files or folders) and return the report.

    `rules` are the shipped ones unless given; `fail_on` is the lowest severity that makes a capture's status `findings`;
    `expect` says whether expect.toml beside a capture counts; `baseline` is a file of what is accepted (`analyzer.baseline`);
    `timeout_s` bounds each capture's reading; `jobs` is how many captures, or parts of a very large one, are read at a time, and how many
    processes read what was said on very many connections: as many as there are processors unless given; `progress` is called with a path
    and the frames read of it so far, from any thread; `engine` is as in `capture.read`; `secrets` keeps passwords and the like in what was
    said, and stamps the report; `openings_only` leaves unread what was said. Raises `MachineError` when tshark cannot be used, `RuleError`
    when an expect.toml or the baseline is invalid; a bad capture is not an error but a status.
    """
    rules = rules or rules_.load()
    found = paths_.find([paths] if isinstance(paths, (str, Path)) else paths)
    read = partial(_read, timeout_s=timeout_s, tshark=tshark, engine=engine, large=_is_large(found, engine), progress=progress)
    captures = _read_all(found, jobs, read, divisible=engine != "pyshark")
    whole, captures = iter(captures), [_lightened(one) for one in captures]
    # Handed over: what `_examine` lets go of nobody holds any more.
    grouped = [flows.group(whole)]
    _give_back()
    processes = jobs or os.cpu_count() or 1
    report, changed = _examine(grouped.pop(), captures, rules, secrets=secrets, openings_only=openings_only, processes=processes)
    captures = [_changed(one) if number in changed else one for number, one in enumerate(captures)]
    table, findings = report.flows, report.findings
    names = [one.path for one in captures]
    unasked = frozenset(id_ for id_, one in rules.findings.items() if openings_only and one.check is not None and one.check.scope in SPOKEN)
    excuses = expectations.apply(table, findings, names if expect else [], unasked)
    table["excused"], findings["excused"] = excuses.flow, excuses.finding
    stale = {} if baseline is None else baseline_.accept(table, findings, names, Path(baseline), rules.reported)
    failing = _failing(table, findings, rules, fail_on, len(captures))
    if fail_on != "never":
        failing[list(excuses.failures)] = True
    return replace(report, captures=_summaries(captures, table, excuses, failing, stale), fail_on=fail_on)


def play(script: Script, rules: RuleSet) -> Report:
    """Return the report on `script`, judged as if a file of it had been read; it has no captures."""
    captures = [notation.capture(script)]
    return _examine(flows.group(captures), captures, rules)[0]


def prove(rules: RuleSet, folders: Sequence[str | Path] = ()) -> list[str]:
    """Run the examples of the rules whose files lie in `folders`, of all without any, and return a line for each that is not true.

    Rows that a user adds may well change what an example of a shipped rule shows, so those are not asked then. Raises
    `RuleError` for an example that is no script.
    """
    asked = [one for one in rules.findings.values() if not folders or any(Path(one.path).is_relative_to(folder) for folder in folders)]
    shown = [(finding, number, one) for finding in asked for number, one in enumerate(finding.examples, 1)]
    captures = [notation.capture(notation.parse(one.segments, where=f"{finding.path}: example {number}")) for finding, number, one in shown]
    if not captures:
        return []
    found = _examine(flows.group(captures), captures, rules)[0].findings
    fired = set(zip(found["capture"].tolist(), found["id"], strict=True))
    return [
        f"{finding.path}: example {number}: {finding.id} is {'not found, but must be' if one.fires else 'found, but must not be'}"
        for place, (finding, number, one) in enumerate(shown)
        if ((place, finding.id) in fired) != one.fires
    ]


def _examine(  # noqa: PLR0913 - what a job is made of
    connections: Connections,
    captures: Sequence[Capture],
    rules: RuleSet,
    *,
    secrets: bool = False,
    openings_only: bool = False,
    processes: int = 1,
) -> tuple[Report, frozenset[int]]:
    """Return what is found on `connections`, nothing of it excused, and nothing said of the captures; and which of these were changed."""
    judged = opening.judge(connections, rules)
    ids = tabulate.flow_ids(len(judged.verdict))
    steps = tabulate.steps(judged, ids)
    findings, found_on = tabulate.findings(judged, ids), judged.findings["flow"].to_numpy()
    told = tabulate.judgement(judged, rules)
    begun = openings(judged, rules)
    # What is done with goes at once: of a million connections it would be hundreds of megabytes.
    del judged
    told |= tabulate.count(connections.segments, len(ids))
    request = ask(connections, captures, begun, rules, secrets=secrets, openings_only=openings_only, processes=processes)
    table = connections.flows
    del connections
    _give_back()
    said = hear(request)
    del request
    findings, found_on = _join(findings, found_on, said.findings, ids)
    transactions = dialogues.transactions(said, ids, table["capture"].to_numpy(), rules.protocols)
    told |= dialogues.flows(said, ids, rules.protocols)
    told["worst"] = tabulate.worst(findings["severity"], found_on, len(ids))
    changed = frozenset(table["capture"].to_numpy()[list(said.unread)].tolist())
    del said
    _give_back()
    report = Report(
        captures=(),
        flows=tabulate.flows(table, told, ids),
        findings=findings,
        steps=steps,
        transactions=transactions,
        fail_on="never",
        details={id_: protocol.details for id_, protocol in rules.protocols.items()},
        secrets=secrets,
        transaction_columns=dialogues.shape(rules.protocols),
        spoken=dialogues.own(rules.protocols),
        about=_about(rules),
    )
    return report, changed


def _changed(one: Capture) -> Capture:
    """Return a capture of which something was not there any more when it was to be heard."""
    return replace(one, complete=False, reason=one.reason or "it was changed or removed while it was being read")


def _give_back() -> None:
    """Let the C library return freed memory to the system, where it can: Python's small objects, which come next, do not reuse it."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


def locate(
    path: str | Path, connections: Sequence[str], *, timeout_s: float | None = None, tshark: str | None = None
) -> tuple[Capture, list[int]]:
    """Return the capture at `path`, and the numbers of all frames of the `connections` named (`f3` or `3`), rising.

    A connection's frames are its segments, the copies of them that were dropped, and the ICMP errors that quote them. Raises `InputError`
    when the capture cannot be read, `UsageError` when there is no such connection.
    """
    one = capture.read(path, timeout_s=timeout_s, tshark=tshark)
    if not one.readable:
        message = f"{one.path}: {one.reason}"
        raise InputError(message)
    grouped = flows.group([one])
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


def _lightened(one: Capture) -> Capture:
    """Return `one` without the columns that grouping has copied, so that not two copies of every segment stay in memory."""
    return replace(one, segments=one.segments[["frame"]].copy(), quotes=one.quotes[["frame"]].copy(), option_bytes=b"")


def _about(rules: RuleSet) -> dict[str, About]:
    """Return what the rules say of each finding that may be reported."""
    chosen = {id_: finding for id_, finding in rules.findings.items() if id_ in rules.reported}
    return {id_: About(finding.severity, finding.title, finding.why, finding.references) for id_, finding in chosen.items()}


def _read_all(found: Sequence[paths_.Found], jobs: int | None, read: Callable[..., Capture], *, divisible: bool) -> list[Capture]:
    """Read all captures: very large ones one after another, each by several processes, then the others, some at a time.

    Each of those is a tshark of its own, or soon read, so threads are enough.
    """
    jobs = jobs or os.cpu_count() or 1
    captures: dict[int, Capture] = {}
    for number, one in enumerate(found):
        if divisible and not one.reason and parts.is_worth_it(one.path):
            captures[number] = read(one, processes=jobs)
    rest = [number for number in range(len(found)) if number not in captures]
    workers = min(jobs, len(rest))
    if workers <= 1:
        captures |= {number: read(found[number]) for number in rest}
    else:
        with ThreadPoolExecutor(workers) as pool:
            captures |= dict(zip(rest, pool.map(read, (found[number] for number in rest)), strict=True))
    return [captures[number] for number in range(len(found))]


def _is_large(found: Sequence[paths_.Found], engine: Engine) -> bool | None:
    """Return whether the job is a large one; None when nobody asks."""
    return engines.is_large(one.path for one in found if not one.reason) if engine == "auto" else None


def _read(  # noqa: PLR0913 - what `capture.read` takes
    found: paths_.Found,
    *,
    timeout_s: float | None,
    tshark: str | None,
    engine: Engine,
    large: bool | None,
    progress: Callable[[str, int], None] | None,
    processes: int = 1,
) -> Capture:
    if found.reason:
        return capture.refuse(found.path, found.reason)
    report = None if progress is None else lambda frames: progress(found.path, frames)
    return capture.read(found.path, timeout_s=timeout_s, tshark=tshark, progress=report, engine=engine, large=large, processes=processes)


def _summaries(
    captures: Sequence[Capture],
    table: pd.DataFrame,
    excuses: Excuses,
    failing: np.ndarray[Any, np.dtype[np.bool_]],
    stale: Mapping[int, tuple[Note, ...]],
) -> tuple[Summary, ...]:
    owner = table["capture"].to_numpy()
    judged = np.bincount(owner[((table["outcome"] != "not-judged") | table["excused"]).to_numpy()], minlength=len(captures))
    unsure = np.bincount(owner[(table["inconclusive"] & ~table["excused"]).to_numpy()], minlength=len(captures))
    return tuple(
        Summary(
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
    if fail_on == "never":
        return np.zeros(captures, bool)
    enough = set(SEVERITIES[SEVERITIES.index(fail_on) :])
    bad_verdicts = [verdict.name for verdict in rules.verdicts if verdict.counts_as in enough]
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


def openings(judged: opening.Judged, rules: RuleSet) -> ground.Opening:
    """Return of what was judged what matters for what was said."""
    views = np.array([view.name for view in rules.machine.views], object)[judged.view]
    outcomes = np.array([verdict.outcome for verdict in rules.verdicts], object)[judged.verdict]
    opened_at = judged.numbers["opened_ns"]
    return ground.Opening(
        opened=outcomes == "opened",
        whole=(views == "both") & (judged.numbers["client_isn"] >= 0),
        one_sided=(views == "client-only") | (views == "server-only"),
        opened_at=np.where(opened_at < 0, NO_TIME, opened_at),
        verdict=np.array([verdict.name for verdict in rules.verdicts], object)[judged.verdict].tolist(),
        client_isn=judged.numbers["client_isn"],
        server_isn=judged.numbers["server_isn"],
    )


def ask(  # noqa: PLR0913 - what a job is made of
    connections: Connections,
    captures: Sequence[Capture],
    begun: ground.Opening,
    rules: RuleSet,
    *,
    secrets: bool = False,
    openings_only: bool = False,
    processes: int = 1,
) -> applications.Request:
    """Return what is to be heard on connections that began as `openings` says."""
    streams = assembly.assemble(connections.segments, begun.client_isn, begun.server_isn)
    syn_data = ground.syn_data(connections.segments, len(connections.flows))
    return applications.Request(connections.flows, streams, syn_data, captures, begun, rules, secrets, openings_only, processes)


def hear(request: applications.Request) -> Dialogues:
    """Return what was said; the captures' payloads are let go."""
    # Reading leaves nothing that knows itself, and to look for such among millions of values takes a fifth of its time.
    collecting = gc.isenabled()
    gc.disable()
    try:
        return applications.read(request)
    finally:
        if collecting:
            gc.enable()
        for one in request.captures:
            if one.payloads is not None:
                one.payloads.close()


def _join(
    findings: pd.DataFrame, found_on: np.ndarray[Any, Any], said: pd.DataFrame, ids: np.ndarray[Any, Any]
) -> tuple[pd.DataFrame, np.ndarray[Any, Any]]:
    """Return table `FINDINGS` and the connection of each: those of the opening, then those of the dialogue, connection by connection."""
    import pandas as pd

    flow = np.concatenate([found_on, said["flow"].to_numpy()])
    if not len(said):
        return findings, flow
    more = said.assign(flow_id=pd.Series(ids[said["flow"].to_numpy()], dtype="str"), excused=False)[list(findings.columns)]
    joined, order = pd.concat([findings, more], ignore_index=True), np.argsort(flow, kind="stable")
    return joined.iloc[order].reset_index(drop=True), flow[order]
