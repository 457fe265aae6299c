"""What is heard does not depend on how many processes hear it, on how it is shared out, or on one of them being lost."""

from __future__ import annotations

import shutil
import time
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
    from hypothesis.strategies import DrawFn

    from analyzer.dialogues.results import Dialogues
    from analyzer.rules import RuleSet

SAMPLES = Path(__file__).parents[3] / "sample_pcaps"
TALKS = [SAMPLES / name for name in ("http-keepalive.pcap", "smtp-two-messages.pcap", "ftp-passive.pcap", "ftp-active.pcap")]
READY = (
    "import os, pickle, sys; sys.path[:] = pickle.load(sys.stdin.buffer); from analyzer.execution import local; "
    "local.send_result(sys.stdout.buffer, local.READY); pickle.load(sys.stdin.buffer); "
)


@pytest.fixture(autouse=True)
def everything_is_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the smallest job be worth other processes, a connection a share."""
    monkeypatch.setattr(parallel, "MIN_CONNECTIONS", 0)
    monkeypatch.setattr(parallel, "SHARD_SIZE", 1)


@pytest.fixture
def others(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Leave everything to other processes, as long as one lives; return the number of parts that they have heard each time."""
    work, heard = parallel._WorkQueue.work, list[int]()

    def patient(self: parallel._WorkQueue, team: local.WorkerPool) -> None:
        with self.change:
            while None in self.said and team.at_work:
                self.change.wait(0.1)
            heard.append(sum(one is not None for one in self.said))
        work(self, team)

    monkeypatch.setattr(parallel._WorkQueue, "work", patient)
    return heard


@cache
def shipped() -> RuleSet:
    return rules.load()


def hear(files: list[Path], count: int, *, secrets: bool = False) -> Dialogues:
    captures = [native_engine.read(native_engine.NativeRequest(file, str(file), None, 60.0)) for file in files]
    connections = connections_.group(captures)
    begun = stages.opening_summary(openings.judge(connections, shipped()), shipped())
    return stages.parse_dialogues(
        stages.build_dialogue_request(connections, captures, begun, shipped(), DialogueOptions(secrets=secrets, processes=count))
    )


def test_the_report_on_the_samples_is_the_same(others: list[int]) -> None:
    alone, together = ("".join(report.render(api.analyze(SAMPLES, engine="native", jobs=jobs), "json")) for jobs in (1, 3))
    assert together == alone
    assert others[0] == 0
    assert others[1] > 30


@pytest.mark.parametrize("secrets", [False, True])
def test_others_know_whether_secrets_are_kept(others: list[int], *, secrets: bool) -> None:
    alone, together = (hear(TALKS, count, secrets=secrets) for count in (1, 2))
    assert others[0] == 0
    assert others[1] > 0
    assert dict(together.dialogues) == dict(alone.dialogues)
    said = {row["argument"] for dialogue in together.dialogues.values() for row in dialogue.rows if row.get("command") == "PASS"}
    assert ("(hidden)" in said) is not secrets


@pytest.mark.parametrize(
    "program",
    [
        READY + "pickle.load(sys.stdin.buffer); os.kill(os.getpid(), 9)",
        READY + "pickle.load(sys.stdin.buffer); print('x' * 99)",
        READY + "pickle.load(sys.stdin.buffer); local.send_result(sys.stdout.buffer, None)",
        "print('hello' * 9)",
        "this is no program",
    ],
)
@pytest.mark.usefixtures("others")
def test_a_process_that_is_lost_costs_nothing(monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    alone = hear(TALKS, 1)
    monkeypatch.setattr(parallel, "PROGRAM", program)
    monkeypatch.setattr(parallel, "_PATIENCE_S", 0.0)
    assert dict(hear(TALKS, 3).dialogues) == dict(alone.dialogues)


def test_a_process_that_says_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "PROGRAM", READY + "import time; time.sleep(60)")
    monkeypatch.setattr(parallel, "_PATIENCE_S", 0.1)
    work, taken = parallel._WorkQueue.work, list[int]()

    def late(self: parallel._WorkQueue, team: local.WorkerPool) -> None:
        while len(self.waiting) == len(self.parts) and team.at_work:
            time.sleep(0.01)
        taken.append(len(self.parts) - len(self.waiting))
        work(self, team)

    alone = hear(TALKS, 1)
    monkeypatch.setattr(parallel._WorkQueue, "work", late)
    assert dict(hear(TALKS, 2).dialogues) == dict(alone.dialogues)
    assert taken[0] > 0


def test_processes_that_cannot_be_started_are_done_without(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = hear(TALKS, 1)

    def refuse(_: str) -> None:
        raise OSError

    monkeypatch.setattr(local, "start", refuse)
    assert dict(hear(TALKS, 2).dialogues) == dict(alone.dialogues)


def test_a_capture_that_is_changed_is_told_of_by_whoever_hears_it(tmp_path: Path, others: list[int]) -> None:
    found = []
    for count in (1, 2):
        files = [Path(shutil.copy(file, tmp_path / file.name)) for file in TALKS]
        captures = [native_engine.read(native_engine.NativeRequest(file, str(file), None, 60.0)) for file in files]
        connections = connections_.group(captures)
        begun = stages.opening_summary(openings.judge(connections, shipped()), shipped())
        request = stages.build_dialogue_request(connections, captures, begun, shipped(), DialogueOptions(processes=count))
        files[1].write_bytes(files[1].read_bytes()[:200])
        said = stages.parse_dialogues(request)
        found.append((said.unread, dict(said.dialogues), dict(said.heard)))
        assert set(connections.flows["capture"].to_numpy()[list(said.unread)].tolist()) == {1}
    assert others[1] > 0
    assert found[0] == found[1]


def test_small_jobs_start_no_process(monkeypatch: pytest.MonkeyPatch, others: list[int]) -> None:
    monkeypatch.setattr(parallel, "MIN_CONNECTIONS", 1000)
    assert hear(TALKS, 4).dialogues
    assert not others


@pytest.mark.parametrize("each", [1, 5, 1000])
def test_dialogues_as_columns_are_reported_the_same(monkeypatch: pytest.MonkeyPatch, each: int) -> None:
    monkeypatch.setattr(dispatch, "MIN_PACKED_DIALOGUES", 10**9)
    alone = "".join(report.render(api.analyze(SAMPLES, engine="native", jobs=1), "json"))
    monkeypatch.setattr(dispatch, "MIN_PACKED_DIALOGUES", 1)
    monkeypatch.setattr(parallel, "SHARD_SIZE", each)
    assert "".join(report.render(api.analyze(SAMPLES, engine="native", jobs=1), "json")) == alone


@pytest.mark.parametrize("each", [1, 7, 10**9])
def test_examples_as_columns_have_the_same_findings(monkeypatch: pytest.MonkeyPatch, each: int) -> None:
    captures = [
        notation.capture(notation.parse(example.segments))
        for finding in shipped().findings.values()
        if finding.check is not None and finding.check.scope in {"dialogue", "exchange"}
        for example in finding.examples
    ]
    connections = connections_.group(captures)
    begun = stages.opening_summary(openings.judge(connections, shipped()), shipped())
    found = []
    for least in (10**9, 1):
        monkeypatch.setattr(dispatch, "MIN_PACKED_DIALOGUES", least)
        monkeypatch.setattr(parallel, "SHARD_SIZE", each)
        said = dialogues.read(stages.build_dialogue_request(connections, captures, begun, shipped()))
        ids = np.array([f"f{number}" for number in range(1, len(connections.flows) + 1)], object)
        found.append(
            (
                said.findings.to_dict("records"),
                tables.transactions(said, ids, connections.flows["capture"].to_numpy(), shipped().protocols).astype(str).to_dict("records"),
                {name: list(column) for name, column in tables.flows(said, ids, shipped().protocols).items()},
                len(said.dialogues),
            )
        )
    assert found[0][:3] == found[1][:3]
    assert found[1][3] < found[0][3] / 3


@st.composite
def columns(draw: DrawFn) -> DictionaryColumn:
    """Draw a column: a value a row, one of some, or numbers in an array."""
    kind = draw(st.integers(0, 2))
    if kind == 0:
        return DictionaryColumn(np.array(draw(st.lists(st.integers(0, 9), max_size=5)), np.int64))
    there = draw(st.lists(st.sampled_from([None, "a", 1, ()]), min_size=1, max_size=4))
    if kind == 1:
        return DictionaryColumn(there)
    return DictionaryColumn(there, np.array(draw(st.lists(st.integers(0, len(there) - 1), max_size=6)), np.int64))


@given(st.lists(columns(), min_size=1, max_size=5))
def test_joined_columns_say_what_each_said(parts: list[DictionaryColumn]) -> None:
    joined = DictionaryColumn.join([(one, len(one.spread())) for one in parts])
    assert joined.spread() == [value for one in parts for value in one.spread()]


VALUES = st.one_of(
    st.lists(st.integers(-(2**70), 2**70)), st.lists(st.booleans()), st.lists(st.floats()), st.lists(st.sampled_from(["a", "b"])),
    st.lists(st.sampled_from([None, True, 1, 1.0, "1", ()])),
)  # fmt: skip


@given(VALUES)
@example([0.0, -0.0])
@example([(1,), (True,)])
def test_a_column_says_what_it_was_made_of(values: list[object]) -> None:
    said = DictionaryColumn.of(values).spread()
    assert list(map(repr, said)) == list(map(repr, values))
