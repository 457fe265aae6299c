"""The public suites against pcaplint: every connection they expect something of is agreed on, or explained by name.

    python -m tests.suites.table [--captures FOLDER] [--json]

Reads what the suites expect (`rows`), judges their captures once, compares (`agreement`), and looks each difference up
in the suite's own table of explanations (`zeek.toml`, …). Ends with 1 when a difference has no explanation, when an
explanation explains nothing any more, or when a difference is our own fault and still there.
"""

from __future__ import annotations

import argparse
import json
import sys
import tomllib
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.reference.public import CAPTURES
from tests.suites import agreement, rows
from tests.suites.agreement import Ours

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import pandas as pd

    from tests.suites.rows import End, Row, Suite

HERE: Final = Path(__file__).resolve().parent

KINDS: Final = ("agreed", "explained", "unexplained")

Difference = tuple[str, str, str, str, str]
"""Capture, connection, aspect, what the peer says, what we say."""


@dataclass(frozen=True, slots=True)
class Result:
    """One row: the reasons of its differences, and the differences that have none."""

    row: Row
    reasons: frozenset[str]
    unexplained: tuple[Difference, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """One suite compared."""

    suite: Suite
    results: tuple[Result, ...]
    unmatched: int
    """Rows that name no connection and whose capture has none, or that say nothing of its opening."""
    stale: tuple[Difference, ...]
    """Explanations of differences that are no more."""


def judge(folder: Path, captures: Iterable[str]) -> dict[str, list[Ours]]:
    """Return what pcaplint says of each capture's connections, in order of first frame."""
    from analyzer import analyze

    names = sorted(set(captures))
    report = analyze([folder / name for name in names], expect=False, fail_on="never")
    findings: dict[str, dict[str, frozenset[int]]] = defaultdict(dict)
    for found in _each(report.findings):
        cited = frozenset(frame for _, frame in found.frames)
        of_flow = findings[found.flow_id]
        of_flow[found.id] = of_flow.get(found.id, frozenset()) | cited
    syns: dict[str, Counter[str]] = defaultdict(Counter)
    for step in _each(report.steps):
        syns[step.flow_id][step.by] += step.repeats if "S" in step.flags else 0
    by_path = {str(folder / name): name for name in names}
    paths = [by_path[summary.path] for summary in report.captures]
    judged: dict[str, list[Ours]] = {name: [] for name in names}
    for flow in _each(report.flows):
        judged[paths[flow.capture]].append(Ours(flow, findings[flow.flow_id], syns[flow.flow_id]))
    return judged


def _each(table: pd.DataFrame) -> Iterable[Any]:
    return table.itertuples()


def compare(suite: Suite, judged: Mapping[str, Sequence[Ours]]) -> Outcome:
    """Compare every row of `suite` and look the differences up."""
    reasons = explanations(suite.name)
    surplus = _surplus(suite, judged)
    results, used, unmatched = [], set[Difference](), 0
    taken: Counter[tuple[str, str]] = Counter()
    for row in suite.rows:
        candidates = [ours for ours in judged[row.capture] if _is(row, ours)]
        if not (agreement.compare(row, candidates[0]) if candidates else row.ends):
            unmatched += 1
            continue
        differences = _differences(row, candidates, taken)
        if row in surplus:
            differences.append(surplus[row])
        used.update(differences)
        named = frozenset(reasons[one] for one in differences if one in reasons)
        results.append(Result(row, named, tuple(one for one in differences if one not in reasons)))
    seen = {row.capture for row in suite.rows}
    stale = tuple(one for one in reasons if one not in used and one[0] in seen)
    return Outcome(suite, tuple(results), unmatched, stale)


def _is(row: Row, ours: Ours) -> bool:
    flow = ours.flow
    held = {(flow.client_ip, str(flow.client_port)), (flow.server_ip, str(flow.server_port))}
    if row.ends is None:
        return True
    if any(port == "?" for _, port in row.ends):
        return {address for address, _ in held} == {address for address, _ in row.ends}
    return held == set(row.ends)


def _differences(row: Row, candidates: Sequence[Ours], taken: Counter[tuple[str, str]]) -> list[Difference]:
    """Return how `row` differs from that of our connections which fits it best, those taken by earlier rows last."""
    if not candidates:
        return [(row.capture, row.connection, "connection", row.word, "none")]
    compared = [agreement.compare(row, ours) for ours in candidates]
    best = min(
        range(len(candidates)),
        key=lambda i: (sum(not one.agrees for one in compared[i]), taken[row.capture, candidates[i].flow.flow_id], i),
    )
    taken[row.capture, candidates[best].flow.flow_id] += 1
    return [(row.capture, row.connection, one.aspect, one.peer, one.ours) for one in compared[best] if not one.agrees]


def _surplus(suite: Suite, judged: Mapping[str, Sequence[Ours]]) -> dict[Row, Difference]:
    """Return the first row of each tuple that has more connections with us than rows with the peer, and the difference."""
    groups: dict[tuple[str, frozenset[End]], list[Row]] = defaultdict(list)
    for row in suite.rows:
        if row.ends is not None:
            groups[row.capture, frozenset(row.ends)].append(row)
    found = {}
    for (capture, _), group in groups.items():
        ours = sum(_is(group[0], one) for one in judged[capture])
        if ours > len(group):
            found[group[0]] = (capture, group[0].connection, "connections", str(len(group)), str(ours))
    return found


def explanations(suite: str) -> dict[Difference, str]:
    """Return the known differences of `suite` and the name of each one's reason."""
    return {
        (one["capture"], one["connection"], one["aspect"], one["peer"], one["ours"]): name
        for name, reason in _reasons(suite).items()
        for one in reason["differences"]
    }


def _reasons(suite: str) -> dict[str, Any]:
    path = HERE / f"{suite}.toml"
    return tomllib.loads(path.read_text(encoding="utf-8"))["reason"] if path.is_file() else {}


def summarize(outcome: Outcome) -> dict[str, Any]:
    """Return one suite's numbers: whole, by the peer's word, by capture; and what is left to do."""
    ours = {name for name, reason in _reasons(outcome.suite.name).items() if reason.get("ours")}
    named = Counter(name for result in outcome.results for name in result.reasons)
    by_word: dict[str, Counter[str]] = defaultdict(Counter)
    by_capture: dict[str, Counter[str]] = defaultdict(Counter)
    for result in outcome.results:
        kind = "unexplained" if result.unexplained else "explained" if result.reasons else "agreed"
        by_word[result.row.word][kind] += 1
        by_capture[result.row.capture][kind] += 1
    return {
        "suite": outcome.suite.name,
        "rows": len(outcome.results),
        **{kind: sum(counts[kind] for counts in by_word.values()) for kind in KINDS},
        "left_out": outcome.suite.left_out + outcome.unmatched,
        "reasons": {name: {"rows": count, "ours": name in ours} for name, count in sorted(named.items())},
        "by_word": {word: dict(counts) for word, counts in sorted(by_word.items())},
        "by_capture": {capture: dict(counts) for capture, counts in sorted(by_capture.items())},
        "unexplained_differences": [one for result in outcome.results for one in result.unexplained],
        "stale_explanations": list(outcome.stale),
    }


def show(summary: Mapping[str, Any]) -> Iterator[str]:
    """Return one suite as lines."""
    yield f"{summary['suite']}: {_counts(summary)} of {summary['rows']} rows; {summary['left_out']} rows are about something else"
    for name, reason in summary["reasons"].items():
        yield f"    {reason['rows']:4d} {name}{'  (our fault, open)' if reason['ours'] else ''}"
    yield "  by the peer's word"
    for word, counts in summary["by_word"].items():
        yield f"    {word:34s} {_counts(counts)}"
    differing = {capture: counts for capture, counts in summary["by_capture"].items() if set(counts) != {"agreed"}}
    yield f"  by capture ({len(summary['by_capture']) - len(differing)} captures agree wholly)"
    for capture, counts in differing.items():
        yield f"    {'/'.join(Path(capture).parts[-2:]):66s} {_counts(counts)}"
    for title in ("unexplained_differences", "stale_explanations"):
        for one in summary[title]:
            yield f"  {title.split('_')[0]}: {' | '.join(one)}"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{counts[kind]} {kind}" for kind in KINDS if counts.get(kind)) or "none"


def main() -> int:
    """Print the table and return the exit status."""
    parser = argparse.ArgumentParser(description="The public suites against pcaplint.")
    parser.add_argument("--captures", type=Path, default=CAPTURES, help="folder of captures, with expect/ in it")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    suites = rows.read(options.captures)
    if not suites:
        sys.exit(f"{options.captures}: no expectations there")
    judged = judge(options.captures, (row.capture for suite in suites for row in suite.rows))
    summaries = [summarize(compare(suite, judged)) for suite in suites]
    text = json.dumps(summaries, indent=1) if options.json else "\n".join(line for summary in summaries for line in [*show(summary), ""])
    sys.stdout.write(text + "\n")
    return int(any(summary["unexplained_differences"] or summary["stale_explanations"] for summary in summaries))


if __name__ == "__main__":
    sys.exit(main())
