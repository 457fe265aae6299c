"""What comes after judging, and what comes before it: tables and reports a connection, start-up, many small captures in one call.

Run `python benchmarks/reports.py`, with `--flows N` and `--repeat N`; `--start` measures fresh processes, `--fixtures N` one call over
N small captures with the native engine. Times are of the processor; the best of the repeats counts.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rule_engine import six_segments

from analyzer import api, capture, openings, report, rules
from analyzer import connections as connections_
from analyzer.dialogues import tables as dialogues
from analyzer.model import CaptureSummary, Report
from analyzer.openings import tables
from analyzer.options import DialogueOptions
from analyzer.pipeline import stages
from analyzer.report import Layout

if TYPE_CHECKING:
    from collections.abc import Callable

SAMPLES = Path(__file__).parent.parent / "sample_pcaps"


def best(work: Callable[[], object], repeat: int) -> float:
    """Return the processor seconds of the quickest of `repeat` calls."""
    spent = []
    for _ in range(repeat):
        begun = time.process_time()
        work()
        spent.append(time.process_time() - begun)
    return min(spent)


def judge(count: int) -> Report:
    """Return the report on `count` connections of six segments, every 50th of them without its third segment acknowledged rightly."""
    made = six_segments(count, linux=True, spread=True)
    wrong = made.segments.index % (6 * 50) == 2  # noqa: PLR2004 - the third segment of every 50th connection
    made.segments.loc[wrong, "ack"] += 7
    loaded = rules.load()
    connections = connections_.group([made])
    judged = openings.judge(connections, loaded)
    read = CaptureSummary("made", "findings", complete=True, reason="", packets=6 * count, segments=6 * count, engines={}, notes=())
    begun = stages.opening_summary(judged, loaded)
    said = stages.parse_dialogues(stages.build_dialogue_request(connections, [made], begun, loaded, DialogueOptions(openings_only=True)))
    ids = tables.flow_ids(count)
    found = tables.findings(judged, ids)
    told = tables.judgement(judged, loaded) | dialogues.flows(said, ids, loaded.protocols) | tables.count(connections.segments, count)
    told["worst"] = tables.worst(found["severity"], judged.findings["flow"].to_numpy(), count)
    flow_table = tables.flows(connections.flows, told, ids)
    return Report(
        (read,),
        flow_table,
        found,
        tables.steps(judged, ids),
        dialogues.transactions(said, ids, np.zeros(count), loaded.protocols),
        verdict_severities=loaded.verdict_severities,
    )


def measure_reports(count: int, repeat: int) -> None:
    """Print microseconds a connection of each format that has a row for every connection."""
    made = judge(count)
    print(f"{count:,} connections, {len(made.steps):,} steps, {len(made.findings):,} findings")
    for name, layout in (("json", Layout()), ("jsonl", Layout()), ("csv", Layout()), ("csv", Layout(table="steps"))):
        size = sum(map(len, report.render(made, name, layout)))
        spent = best(lambda name=name, layout=layout: sum(map(len, report.render(made, name, layout))), repeat)  # type: ignore[misc]
        print(f"  {name + ' ' + layout.table:<12}{spent / count * 1e6:8.1f} us a connection, {size // count:6,} bytes each")


def fresh(argv: list[str], repeat: int) -> float:
    """Return the seconds of the quickest of `repeat` fresh processes."""
    spent = []
    for _ in range(repeat):
        begun = time.perf_counter()
        subprocess.run(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        spent.append(time.perf_counter() - begun)
    return min(spent)


def measure_start(repeat: int) -> None:
    """Print what `--help` and one small capture cost, beside the imports they cannot do without and one start of tshark."""
    run = [sys.executable, "-c", "from analyzer.__main__ import main; main()"]
    bare = fresh([sys.executable, "-c", "pass"], repeat)
    imports = {name: fresh([sys.executable, "-c", f"import {name}"], repeat) - bare for name in ("typer", "pandas", "pyshark")}
    small = min(SAMPLES.glob("*.pcap*"), key=lambda path: path.stat().st_size)
    tshark = fresh([capture.probe().path, "-r", str(small)], repeat)
    help_, check = fresh([*run, "--help"], repeat), fresh([*run, "check", str(small)], repeat)
    floor = bare + imports["pandas"] + imports["pyshark"] + tshark
    print(f"  --help {help_:.2f} s, {help_ / (bare + imports['typer']):.2f} x python -c 'import typer'")
    print(f"  check  {check:.2f} s, {check / floor:.2f} x (import pandas, import pyshark, one tshark)")


def measure_fixtures(count: int, repeat: int) -> None:
    """Print what each of `count` small captures costs in one call with the native engine, start-up aside."""
    texts = [path.read_bytes() for path in sorted(SAMPLES.glob("*.pcap")) if path.stat().st_size < 20_000]  # noqa: PLR2004 - bytes of a small capture
    loaded = rules.load()
    with tempfile.TemporaryDirectory() as folder:
        for number in range(count):
            (Path(folder) / f"fixture-{number:04}.pcap").write_bytes(texts[number % len(texts)])
        spent = best(lambda: "".join(report.render(api.analyze(folder, rules=loaded, engine="native"))), repeat)
    print(f"  {count} captures: {spent / count * 1000:.1f} ms each")


def main() -> None:
    """Print what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--flows", type=int, default=50_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--start", action="store_true")
    parser.add_argument("--fixtures", type=int, default=0)
    args = parser.parse_args()
    if args.start:
        measure_start(args.repeat)
    elif args.fixtures:
        measure_fixtures(args.fixtures, args.repeat)
    else:
        measure_reports(args.flows, args.repeat)


if __name__ == "__main__":
    main()
