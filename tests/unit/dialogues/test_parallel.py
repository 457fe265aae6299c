"""The dialogues do not depend on the number of processes, on the shards, or on a process that ends early."""

from __future__ import annotations

import shutil
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from analyzer import api, dialogues, notation, openings, report, rules
from analyzer import connections as connections_
from analyzer.capture.native import engine as native_engine
from analyzer.dialogues import dispatch, parallel, tables
from analyzer.execution import local
from analyzer.options import DialogueOptions
from analyzer.pipeline import stages
from analyzer.protocols.columnar import DictionaryColumn

if TYPE_CHECKING:
    import subprocess

    from hypothesis.strategies import DrawFn

    from analyzer.dialogues.results import Dialogues
    from analyzer.rules import RuleSet

SAMPLES = Path(__file__).parents[3] / "sample_pcaps"
DIALOGUES = [SAMPLES / name for name in ("http-keepalive.pcap", "smtp-two-messages.pcap", "ftp-passive.pcap", "ftp-active.pcap")]
READY = (
    "import os, pickle, sys; sys.path[:] = pickle.load(sys.stdin.buffer); from analyzer.execution import local; "
    "local.send_result(sys.stdout.buffer, local.READY); pickle.load(sys.stdin.buffer); "
)


ALL_SHARED = parallel.ParallelPolicy(min_connections=0, shard_size=1)
"""One connection per shard, and other processes whenever they are allowed."""
ALL_TO_OTHERS = replace(ALL_SHARED, head_start_s=60.0)


@pytest.fixture
def parsed_here(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the number of connections of each shard that this process parses."""
    parse, found = dispatch.parse_shard, list[int]()

    def count(shard: dispatch.Shard) -> dispatch.DialogueBatch:
        found.append(len(shard))
        return parse(shard)

    monkeypatch.setattr(dispatch, "parse_shard", count)
    return found


@cache
def shipped() -> RuleSet:
    return rules.load()


def read(files: list[Path], processes: int, *, secrets: bool = False, policy: parallel.ParallelPolicy = ALL_TO_OTHERS) -> Dialogues:
    captures = [native_engine.read(native_engine.NativeRequest(file, str(file), None, 60.0)) for file in files]
    connections = connections_.group(captures)
    begun = stages.opening_summary(openings.judge(connections, shipped()), shipped())
    request = stages.build_dialogue_request(connections, captures, begun, shipped(), DialogueOptions(secrets=secrets, processes=processes))
    return stages.parse_dialogues(replace(request, policy=policy))


def program(text: str) -> parallel.ParallelPolicy:
    """Return a policy whose other processes run `text`; one that never answers delays this process by the head start."""
    return replace(ALL_SHARED, start=lambda: local.start(text), head_start_s=3.0, patience_s=0.1)


def test_the_report_on_the_samples_is_the_same(monkeypatch: pytest.MonkeyPatch, parsed_here: list[int]) -> None:
    monkeypatch.setattr(parallel, "DEFAULT_POLICY", ALL_TO_OTHERS)
    alone = "".join(report.render(api.analyze(SAMPLES, engine="native", jobs=1), "json"))
    shards = len(parsed_here)
    assert shards > 30
    assert "".join(report.render(api.analyze(SAMPLES, engine="native", jobs=3), "json")) == alone
    assert len(parsed_here) == shards


@pytest.mark.parametrize("secrets", [False, True])
def test_other_processes_keep_or_hide_secrets_alike(parsed_here: list[int], *, secrets: bool) -> None:
    alone = read(DIALOGUES, 1, secrets=secrets)
    shards = len(parsed_here)
    together = read(DIALOGUES, 2, secrets=secrets)
    assert len(parsed_here) == shards > 0
    assert dict(together.dialogues) == dict(alone.dialogues)
    passwords = {row["argument"] for dialogue in together.dialogues.values() for row in dialogue.rows if row.get("command") == "PASS"}
    assert ("(hidden)" in passwords) is not secrets


@pytest.mark.parametrize(
    "text",
    [
        READY + "pickle.load(sys.stdin.buffer); os.kill(os.getpid(), 9)",
        READY + "pickle.load(sys.stdin.buffer); print('x' * 99)",
        READY + "pickle.load(sys.stdin.buffer); local.send_result(sys.stdout.buffer, None)",
        "print('hello' * 9)",
        "this is no program",
    ],
)
def test_a_process_that_ends_or_sends_something_else_changes_nothing(text: str) -> None:
    assert dict(read(DIALOGUES, 3, policy=program(text)).dialogues) == dict(read(DIALOGUES, 1).dialogues)


def test_a_process_that_never_answers_is_not_waited_for(parsed_here: list[int]) -> None:
    alone = read(DIALOGUES, 1)
    shards = len(parsed_here)
    assert dict(read(DIALOGUES, 2, policy=program(READY + "import time; time.sleep(60)")).dialogues) == dict(alone.dialogues)
    assert len(parsed_here) == 2 * shards


def test_processes_that_cannot_be_started_are_not_needed() -> None:
    def refuse() -> subprocess.Popen[bytes]:
        raise OSError

    policy = replace(ALL_SHARED, start=refuse)
    assert dict(read(DIALOGUES, 2, policy=policy).dialogues) == dict(read(DIALOGUES, 1).dialogues)


def test_a_capture_that_changed_is_noted_by_whichever_process_parses_it(tmp_path: Path, parsed_here: list[int]) -> None:
    found, shards = [], []
    for processes in (1, 2):
        files = [Path(shutil.copy(file, tmp_path / file.name)) for file in DIALOGUES]
        captures = [native_engine.read(native_engine.NativeRequest(file, str(file), None, 60.0)) for file in files]
        connections = connections_.group(captures)
        begun = stages.opening_summary(openings.judge(connections, shipped()), shipped())
        request = stages.build_dialogue_request(connections, captures, begun, shipped(), DialogueOptions(processes=processes))
        files[1].write_bytes(files[1].read_bytes()[:200])
        result = stages.parse_dialogues(replace(request, policy=ALL_TO_OTHERS))
        found.append((result.unreadable, dict(result.dialogues), dict(result.detections)))
        shards.append(len(parsed_here))
        assert set(connections.flows["capture"].to_numpy()[list(result.unreadable)].tolist()) == {1}
    assert shards[0] == shards[1] > 0
    assert found[0] == found[1]


def test_few_connections_start_no_process() -> None:
    def fail() -> subprocess.Popen[bytes]:
        pytest.fail("a process was started")

    assert read(DIALOGUES, 4, policy=replace(ALL_SHARED, min_connections=1000, start=fail)).dialogues


@pytest.mark.parametrize("size", [1, 5, 1000])
def test_dialogues_as_columns_are_reported_the_same(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(parallel, "DEFAULT_POLICY", ALL_SHARED)
    monkeypatch.setattr(dispatch, "MIN_COLUMNAR_DIALOGUES", 10**9)
    alone = "".join(report.render(api.analyze(SAMPLES, engine="native", jobs=1), "json"))
    monkeypatch.setattr(dispatch, "MIN_COLUMNAR_DIALOGUES", 1)
    monkeypatch.setattr(parallel, "DEFAULT_POLICY", replace(ALL_SHARED, shard_size=size))
    assert "".join(report.render(api.analyze(SAMPLES, engine="native", jobs=1), "json")) == alone


@pytest.mark.parametrize("size", [1, 7, 10**9])
def test_examples_as_columns_have_the_same_findings(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    captures = [
        notation.capture(notation.parse(example.segments))
        for finding in shipped().findings.values()
        if finding.check is not None and finding.check.scope in {"dialogue", "exchange"}
        for example in finding.examples
    ]
    connections = connections_.group(captures)
    begun = stages.opening_summary(openings.judge(connections, shipped()), shipped())
    request = stages.build_dialogue_request(connections, captures, begun, shipped())
    found = []
    for minimum in (10**9, 1):
        monkeypatch.setattr(dispatch, "MIN_COLUMNAR_DIALOGUES", minimum)
        result = dialogues.read(replace(request, policy=replace(ALL_SHARED, shard_size=size)))
        ids = np.array([f"f{number}" for number in range(1, len(connections.flows) + 1)], object)
        rows = tables.transactions(result, ids, connections.flows["capture"].to_numpy(), shipped().protocols)
        found.append(
            (
                result.findings.to_dict("records"),
                rows.astype(str).to_dict("records"),
                {name: list(column) for name, column in tables.flows(result, ids, shipped().protocols).items()},
                len(result.dialogues),
            )
        )
    assert found[0][:3] == found[1][:3]
    assert found[1][3] < found[0][3] / 3


@st.composite
def columns(draw: DrawFn) -> DictionaryColumn:
    """Draw a column: one value per row, an index of some values, or numbers in an array."""
    kind = draw(st.integers(0, 2))
    if kind == 0:
        return DictionaryColumn(np.array(draw(st.lists(st.integers(0, 9), max_size=5)), np.int64))
    there = draw(st.lists(st.sampled_from([None, "a", 1, ()]), min_size=1, max_size=4))
    if kind == 1:
        return DictionaryColumn(there)
    return DictionaryColumn(there, np.array(draw(st.lists(st.integers(0, len(there) - 1), max_size=6)), np.int64))


@given(st.lists(columns(), min_size=1, max_size=5))
def test_joined_columns_have_the_values_of_each(parts: list[DictionaryColumn]) -> None:
    joined = DictionaryColumn.join([(one, len(one.spread())) for one in parts])
    assert joined.spread() == [value for one in parts for value in one.spread()]


VALUES = st.one_of(
    st.lists(st.integers(-(2**70), 2**70)), st.lists(st.booleans()), st.lists(st.floats()), st.lists(st.sampled_from(["a", "b"])),
    st.lists(st.sampled_from([None, True, 1, 1.0, "1", ()])),
)  # fmt: skip


@given(VALUES)
@example([0.0, -0.0])
@example([(1,), (True,)])
def test_a_column_has_the_values_it_was_made_of(values: list[object]) -> None:
    found = DictionaryColumn.of(values).spread()
    assert list(map(repr, found)) == list(map(repr, values))
