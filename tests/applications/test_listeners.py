"""What is heard does not depend on how many processes hear it, on how it is shared out, or on one of them being lost."""

from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyzer import analysis, flows, opening, processes, report, rules
from analyzer.applications import listeners
from analyzer.applications.dialogue import Cells
from analyzer.capture import native
from analyzer.errors import InputError

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn

    from analyzer.applications import Dialogues
    from analyzer.rules import RuleSet

SAMPLES = Path(__file__).parents[2] / "sample_pcaps"
TALKS = [SAMPLES / name for name in ("http-keepalive.pcap", "smtp-two-messages.pcap", "ftp-passive.pcap", "ftp-active.pcap")]
READY = (
    "import os, pickle, sys; sys.path[:] = pickle.load(sys.stdin.buffer); from analyzer import processes; "
    "processes.send(sys.stdout.buffer, processes.READY); pickle.load(sys.stdin.buffer); "
)


@pytest.fixture(autouse=True)
def everything_is_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the smallest job be worth other processes, a connection a share."""
    monkeypatch.setattr(listeners, "LEAST", 0)
    monkeypatch.setattr(listeners, "EACH", 1)


@pytest.fixture
def others(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Leave everything to other processes, as long as one lives; return the number of parts that they have heard each time."""
    work, heard = listeners._Desk.work, list[int]()

    def patient(self: listeners._Desk) -> None:
        with self.change:
            while None in self.said and any(thread.is_alive() for _, thread in self.members):
                self.change.wait(0.1)
            heard.append(sum(one is not None for one in self.said))
        work(self)

    monkeypatch.setattr(listeners._Desk, "work", patient)
    return heard


@cache
def shipped() -> RuleSet:
    return rules.load()


def hear(files: list[Path], count: int, *, secrets: bool = False) -> Dialogues:
    captures = [native.read(native.Request(file, str(file), None, 60.0)) for file in files]
    connections = flows.group(captures)
    begun = analysis.openings(opening.judge(connections, shipped()), shipped())
    return analysis.hear(analysis.ask(connections, captures, begun, shipped(), secrets=secrets, processes=count))


def test_the_report_on_the_samples_is_the_same(others: list[int]) -> None:
    alone, together = ("".join(report.render(analysis.analyze(SAMPLES, engine="native", jobs=jobs), "json")) for jobs in (1, 3))
    assert together == alone
    assert len(others) == 1
    assert others[0] > 30


@pytest.mark.parametrize("secrets", [False, True])
def test_others_know_whether_secrets_are_kept(others: list[int], *, secrets: bool) -> None:
    alone, together = (hear(TALKS, count, secrets=secrets) for count in (1, 2))
    assert others[0] > 0
    assert dict(together.dialogues) == dict(alone.dialogues)
    said = {row["argument"] for dialogue in together.dialogues.values() for row in dialogue.rows if row.get("command") == "PASS"}
    assert ("(hidden)" in said) is not secrets


@pytest.mark.parametrize(
    "program",
    [
        READY + "pickle.load(sys.stdin.buffer); os.kill(os.getpid(), 9)",
        READY + "pickle.load(sys.stdin.buffer); print('x' * 99)",
        READY + "pickle.load(sys.stdin.buffer); processes.send(sys.stdout.buffer, None)",
        "print('hello' * 9)",
        "this is no program",
    ],
)
@pytest.mark.usefixtures("others")
def test_a_process_that_is_lost_costs_nothing(monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    alone = hear(TALKS, 1)
    monkeypatch.setattr(listeners, "PROGRAM", program)
    monkeypatch.setattr(listeners, "_PATIENCE_S", 0.0)
    assert dict(hear(TALKS, 3).dialogues) == dict(alone.dialogues)


def test_a_process_that_says_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listeners, "PROGRAM", READY + "import time; time.sleep(60)")
    monkeypatch.setattr(listeners, "_PATIENCE_S", 0.1)
    assert dict(hear(TALKS, 2).dialogues) == dict(hear(TALKS, 1).dialogues)


def test_processes_that_cannot_be_started_are_done_without(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = hear(TALKS, 1)

    def refuse(_: str) -> None:
        raise OSError

    monkeypatch.setattr(processes, "start", refuse)
    assert dict(hear(TALKS, 2).dialogues) == dict(alone.dialogues)


@pytest.mark.usefixtures("others")
def test_a_capture_that_is_changed_ends_as_it_does_alone(tmp_path: Path) -> None:
    for count in (1, 2):
        files = [Path(shutil.copy(file, tmp_path / file.name)) for file in TALKS]
        captures = [native.read(native.Request(file, str(file), None, 60.0)) for file in files]
        connections = flows.group(captures)
        begun = analysis.openings(opening.judge(connections, shipped()), shipped())
        request = analysis.ask(connections, captures, begun, shipped(), processes=count)
        files[1].write_bytes(files[1].read_bytes()[:200])
        with pytest.raises(InputError, match="was changed or removed"):
            analysis.hear(request)


def test_small_jobs_start_no_process(monkeypatch: pytest.MonkeyPatch, others: list[int]) -> None:
    monkeypatch.setattr(listeners, "LEAST", 1000)
    assert hear(TALKS, 4).dialogues
    assert not others


@st.composite
def columns(draw: DrawFn) -> Cells:
    """Draw a column: a value a row, one of some, or numbers in an array."""
    kind = draw(st.integers(0, 2))
    if kind == 0:
        return Cells(np.array(draw(st.lists(st.integers(0, 9), max_size=5)), np.int64))
    there = draw(st.lists(st.sampled_from([None, "a", 1, ()]), min_size=1, max_size=4))
    if kind == 1:
        return Cells(there)
    return Cells(there, np.array(draw(st.lists(st.integers(0, len(there) - 1), max_size=6)), np.int64))


@given(st.lists(columns(), min_size=1, max_size=5))
def test_joined_columns_say_what_each_said(parts: list[Cells]) -> None:
    joined = Cells.join([(one, len(one.spread())) for one in parts])
    assert joined.spread() == [value for one in parts for value in one.spread()]
