from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from analyzer.cli import app

if TYPE_CHECKING:
    from collections.abc import Callable

    Run = Callable[..., tuple[int, str, str]]

pytestmark = pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")

EXPECT = """schema = 1
[[capture]]
file = "unanswered.pcap"
[[capture.expect]]
verdict = "unanswered"
count = {count}
reason = "nobody is there"
"""


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["good.pcap"], 0),
        (["wrong.pcap"], 1),
        (["unanswered.pcap"], 1),
        (["unanswered.pcap", "--fail-on", "error"], 0),
        (["wrong.pcap", "--fail-on", "never"], 0),
        (["text/text.pcap"], 3),
        (["missing.pcap"], 3),
        (["cut/cut.pcap"], 4),
        (["."], 3),  # text/text.pcap is named like a capture and is none
        (["wrong.pcap", "cut", "missing.pcap"], 3),
        (["--rules", "missing", "good.pcap"], 6),
        (["--tshark", "/nonexistent/tshark", "good.pcap"], 7),
        (["--select", "no-such-rule", "good.pcap"], 2),
        (["--table", "findings", "good.pcap"], 2),
        (["--timeout", "0", "good.pcap"], 2),
        (["--timeout", "nan", "good.pcap"], 2),
        (["--format", "pdf", "good.pcap"], 2),
    ],
    ids=str,
)
def test_the_exit_status_is_the_worst(captures: Path, pcaplint: Run, arguments: list[str], status: int) -> None:
    assert captures.is_dir()
    ended, out, err = pcaplint("check", *arguments)
    assert ended == status
    assert "Traceback" not in out + err
    if status in {2, 6, 7}:
        assert out == ""
        assert err.startswith("pcaplint: error: ")
        assert err.count("\n") == 1


def test_typers_own_runner_sees_the_same_statuses(captures: Path) -> None:
    result = CliRunner().invoke(app, ["check", str(captures / "wrong.pcap")])
    assert result.exit_code == 1
    assert "synack-ack-wrong" in result.stdout
    assert CliRunner().invoke(app, ["check", "--rules", "missing", "x"]).exit_code == 6


def test_text_names_the_fault_its_frames_and_the_next_command(captures: Path, pcaplint: Run) -> None:
    assert captures.is_dir()
    _, out, err = pcaplint("check", "good.pcap", "wrong.pcap")
    assert "error synack-ack-wrong: " in out
    assert "[frame" in out
    assert "2 connections checked in 2 files: 1 ok, 1 failed." in out
    assert "Why?  pcaplint show wrong.pcap f1" in out
    assert err == ""


def test_json_goes_to_standard_output_alone(captures: Path, pcaplint: Run) -> None:
    assert captures.is_dir()
    status, out, err = pcaplint("check", "--format", "json", "good.pcap", "missing.pcap")
    document = json.loads(out)
    assert [capture["status"] for capture in document["captures"]] == ["clean", "unreadable"]
    assert document["flows"][0]["verdict"] == "complete"
    assert [step["flags"] for step in document["flows"][0]["opening"]][:3] == ["S", "SA", "A"]
    assert "pcaplint: error: missing.pcap: " in err
    assert "1 connection checked in 2 files" in err
    assert status == 3


def test_csv_writes_the_table_asked_for(captures: Path, pcaplint: Run) -> None:
    assert captures.is_dir()
    _, out, _ = pcaplint("check", "-f", "csv", "--table", "findings", "wrong.pcap")
    rows = list(csv.DictReader(io.StringIO(out, newline="")))
    assert "synack-ack-wrong" in {row["id"] for row in rows}


def test_rules_can_be_ignored_and_selected(captures: Path, pcaplint: Run) -> None:
    assert captures.is_dir()
    _, out, _ = pcaplint("check", "--ignore", "synack-*", "wrong.pcap")
    assert "synack-ack-wrong" not in out
    assert "invalid" in out
    _, out, _ = pcaplint("check", "--select", "synack-ack-wrong", "-f", "json", "wrong.pcap")
    assert {finding["id"] for finding in json.loads(out)["flows"][0]["findings"]} == {"synack-ack-wrong"}


@pytest.mark.parametrize(
    ("count", "arguments", "status"), [(1, [], 0), (2, [], 1), (1, ["--no-expect"], 1), (2, ["--fail-on", "never"], 0)]
)
def test_expectations_decide_what_is_meant(captures: Path, pcaplint: Run, count: int, arguments: list[str], status: int) -> None:
    (captures / "expect.toml").write_text(EXPECT.format(count=count))
    ended, out, _ = pcaplint("check", "unanswered.pcap", *arguments)
    assert ended == status
    assert ("expected 2, found 1 (nobody is there)" in " ".join(out.split())) == (count == 2)
    assert ("unanswered, expected" in out) == (count == 1 and not arguments)


def test_a_broken_expectation_file_is_status_6_with_its_place(captures: Path, pcaplint: Run) -> None:
    (captures / "expect.toml").write_text(EXPECT.format(count='"one"'))
    status, out, err = pcaplint("check", "unanswered.pcap")
    assert status == 6
    assert out == ""
    assert err == "pcaplint: error: expect.toml:6:1: capture 1, expect 1, count: 'one' is not of type 'integer'\n"


def test_nothing_to_check_is_status_5_unless_allowed(captures: Path, pcaplint: Run) -> None:
    (captures / "empty").mkdir()
    header = (captures / "good.pcap").read_bytes()[:24]
    (captures / "empty" / "empty.pcap").write_bytes(header)
    assert pcaplint("check", "empty")[0] == 5
    status, out, _ = pcaplint("check", "--allow-empty", "empty")
    assert status == 0
    assert "No TCP connection found" in out


def test_quiet_and_verbose(captures: Path, pcaplint: Run) -> None:
    assert captures.is_dir()
    assert pcaplint("check", "-q", "good.pcap") == (0, "", "")
    _, _, err = pcaplint("check", "-v", "good.pcap")
    assert "good.pcap: 5 frames (" in err
    assert "digest" in err


def test_output_is_written_to_a_file_whole(captures: Path, pcaplint: Run) -> None:
    status, out, err = pcaplint("check", "-f", "json", "-o", "report.json", "wrong.pcap")
    assert (status, out) == (1, "")
    assert "1 connection checked in 1 file: 1 failed." in err
    assert json.loads((captures / "report.json").read_text())["flows"][0]["verdict"] == "invalid"
    assert sorted(path.name for path in captures.iterdir() if path.name.startswith(".")) == []


def test_a_capture_is_never_written_over(captures: Path, pcaplint: Run) -> None:
    before = (captures / "good.pcap").read_bytes()
    for where in ("good.pcap", "."):
        status, _, err = pcaplint("check", "-o", "good.pcap", where)
        assert status == 2
        assert "is one of the captures" in err
    assert (captures / "good.pcap").read_bytes() == before


def test_hostile_names_are_shown_as_escapes(captures: Path, pcaplint: Run) -> None:
    name = "a\x1b]0;owned\x07\n[bold]\u202e.pcap"
    shutil.copy(captures / "wrong.pcap", captures / name)
    for arguments in (["check", "--color", "always"], ["check", "-f", "csv"], ["check", "-f", "json"], ["flows"]):
        _, out, err = pcaplint(*arguments, name)
        assert "\x1b]" not in out + err
        assert "\x07" not in out + err
        assert "\u202e" not in out + err
    _, out, err = pcaplint("check", name + "-missing")
    assert all(character == "\n" or character.isprintable() for character in out + err)


def test_the_engine_named_reads_and_judges_alike(captures: Path, pcaplint: Run) -> None:
    assert captures.is_dir()
    told = {}
    for engine in ("pyshark", "native"):
        status, out, _ = pcaplint("check", "--engine", engine, "--jobs", "1", "--format", "json", "wrong.pcap")
        assert status == 1
        told[engine] = json.loads(out)
        assert list(told[engine]["captures"][0]["engines"]) == [engine]
    assert told["pyshark"]["flows"] == told["native"]["flows"]


@pytest.mark.parametrize("arguments", [["--engine", "libpcap"], ["--jobs", "0"]], ids=str)
def test_an_engine_or_a_number_of_jobs_that_is_none_is_refused(captures: Path, pcaplint: Run, arguments: list[str]) -> None:
    assert captures.is_dir()
    status, out, err = pcaplint("check", *arguments, "good.pcap")
    assert (status, out) == (2, "")
    assert len(err.splitlines()) == 1


def test_openings_only_leaves_unread_what_was_said(pcaplint: Run) -> None:
    """Nothing of a dialogue is found, missed or shown; the openings are judged as ever."""
    samples = Path(__file__).resolve().parents[2] / "sample_pcaps"
    files = [samples / name for name in ("ftp-passive.pcap", "half-open.pcap")]
    status, out, _ = pcaplint("check", "--openings-only", "--format", "json", *files)
    report = json.loads(out)
    assert status == 0
    assert report["transactions"] == []
    assert [flow["verdict"] for flow in report["flows"]] == ["complete"] * 4 + ["half-open"]
    assert {flow["service"] for flow in report["flows"]} == {None}
    assert "cleartext-credentials" not in {finding["id"] for flow in report["flows"] for finding in flow["findings"]}
    assert report["captures"][0]["expectations"] == []
