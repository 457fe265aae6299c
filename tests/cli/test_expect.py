"""`expect write` leaves every command working, and says what is left to do."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    Run = Callable[..., tuple[int, str, str]]

NATIVE = ("--engine", "native")


def draft(pcaplint: Run, *captures: str) -> str:
    status, _, err = pcaplint("expect", "write", *captures, *NATIVE, "-o", "expect.toml")
    assert status == 0, err
    return Path("expect.toml").read_text(encoding="utf-8")


def test_a_draft_does_not_count_until_its_reasons_are_there(captures: Path, pcaplint: Run) -> None:
    assert captures.is_dir()
    text = draft(pcaplint, "wrong.pcap", "unanswered.pcap", "good.pcap")
    assert "good.pcap" not in text
    status, out, _ = pcaplint("check", "wrong.pcap", *NATIVE)
    assert status == 1
    line = 1 + text.splitlines().index('file = "wrong.pcap"') + 1
    words = " ".join(out.split())
    assert f"expectation without a reason: expect.toml:{line}:1: verdict invalid has no reason and does not count" in words
    found = re.search(r"(\d) expectations? without a reason\.", words)
    assert found is not None
    assert int(found[1]) == text.split("[[capture]]")[1].count('reason = ""')
    Path("expect.toml").write_text(text.replace('reason = ""', 'reason = "made so"'))
    assert pcaplint("check", "wrong.pcap", "unanswered.pcap", "good.pcap", *NATIVE)[0] == 0
    shutil.copy("good.pcap", "wrong.pcap")
    status, out, _ = pcaplint("check", "wrong.pcap", *NATIVE)
    assert status == 1
    assert "(made so)" in " ".join(out.split())


@pytest.mark.parametrize(
    "command",
    [
        ["show", "wrong.pcap", "f1"],
        ["flows", "wrong.pcap"],
        ["report", "wrong.pcap", "-o", "out"],
        ["diff", "wrong.pcap", "wrong.pcap"],
        ["baseline", "write", "wrong.pcap", "-o", "b.toml"],
        ["expect", "write", "wrong.pcap"],
    ],
    ids=lambda command: command[0],
)
def test_no_command_fails_for_a_draft(captures: Path, pcaplint: Run, command: list[str]) -> None:
    assert captures.is_dir()
    draft(pcaplint, "wrong.pcap")
    status, _, err = pcaplint(*command, *NATIVE)
    assert status == (1 if command[0] == "report" else 0), err


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
def test_extract_works_next_to_a_draft(captures: Path, pcaplint: Run) -> None:
    assert captures.is_dir()
    draft(pcaplint, "wrong.pcap")
    assert pcaplint("extract", "wrong.pcap", "f1", "-o", "one.pcapng")[0] == 0
    assert pcaplint("extract", "wrong.pcap", "--failed", "failed")[0] == 0
    assert len(list(Path("failed").iterdir())) == 1


@pytest.mark.parametrize("command", [["check"], ["flows"], ["report", "-o", "out"], ["baseline", "write"], ["show"], ["diff", "good.pcap"]])
def test_no_expect_leaves_a_broken_file_alone(captures: Path, pcaplint: Run, command: list[str]) -> None:
    (captures / "expect.toml").write_text("schema = 2")
    given = [*command, "good.pcap", *(["f1"] if command[0] == "show" else []), *NATIVE]
    status, _, err = pcaplint(*given)
    assert (status, err) == (6, "pcaplint: error: expect.toml:1:1: schema: 1 was expected\n")
    assert pcaplint(*given, "--no-expect")[0] == 0


def test_a_draft_of_nothing_expects_nothing(captures: Path, pcaplint: Run) -> None:
    assert captures.is_dir()
    draft(pcaplint, "good.pcap")
    assert pcaplint("check", "good.pcap", *NATIVE)[0] == 0


def test_missing_reasons_are_warnings_in_every_format(captures: Path, pcaplint: Run) -> None:
    assert captures.is_dir()
    draft(pcaplint, "wrong.pcap")
    _, out, _ = pcaplint("check", "wrong.pcap", *NATIVE, "-f", "json")
    notes = json.loads(out)["captures"][0]["expectations"]
    assert {note["id"] for note in notes} == {"expected-without-reason"}
    _, out, _ = pcaplint("check", "wrong.pcap", *NATIVE, "-f", "sarif")
    results = json.loads(out)["runs"][0]["results"]
    assert {result["level"] for result in results if result["ruleId"].endswith("expected-without-reason")} == {"warning"}
    status, out, _ = pcaplint("check", "wrong.pcap", *NATIVE, "-f", "junit")
    assert (status, "expectation without a reason" in out) == (1, True)


def test_a_missing_reason_alone_fails_at_warning_and_not_at_error(captures: Path, pcaplint: Run) -> None:
    (captures / "expect.toml").write_text(
        'schema = 1\n[[capture]]\nfile = "good.pcap"\n[[capture.expect]]\nverdict = "invalid"\ncount = 0\n'
    )
    ends = {level: pcaplint("check", "good.pcap", *NATIVE, "--fail-on", level)[0] for level in ("never", "error", "warning", "note")}
    assert ends == {"never": 0, "error": 0, "warning": 1, "note": 1}


def test_writing_again_keeps_reasons_and_comments(captures: Path, pcaplint: Run) -> None:
    text = draft(pcaplint, "wrong.pcap", "unanswered.pcap").replace('reason = ""', "reason = 'made \"so\"'  # by us")
    (captures / "expect.toml").write_text(text)
    assert draft(pcaplint, "wrong.pcap", "unanswered.pcap", "good.pcap") == text
    shutil.copy("wrong.pcap", "unanswered.pcap")
    status, _, err = pcaplint("expect", "write", "unanswered.pcap", *NATIVE, "-o", "expect.toml")
    again = (captures / "expect.toml").read_text()
    assert status == 0
    assert 'unanswered.pcap: verdict unanswered is not found any more: made "so"' in err
    first, second = text.split('\n[[capture]]\nfile = "unanswered.pcap"')[0], again.split("\n[[capture]]\n")[2]
    assert again.startswith(first)
    assert second.startswith('file = "unanswered.pcap"\n[[capture.expect]]\nverdict = "invalid"\ncount = 1\nreason = ""\n')


def test_a_draft_goes_to_standard_output_and_reads_no_file(captures: Path, pcaplint: Run) -> None:
    (captures / "expect.toml").write_text("")
    status, out, _ = pcaplint("expect", "write", "wrong.pcap", *NATIVE)
    assert status == 0
    assert out.startswith("# ")
    assert 'verdict = "invalid"\ncount = 1\nreason = ""\n' in out


def test_a_file_that_is_refused_is_left_as_it_is(captures: Path, pcaplint: Run) -> None:
    (captures / "expect.toml").write_text("schema = 1\nnotes = 2\n")
    status, _, err = pcaplint("expect", "write", "wrong.pcap", *NATIVE, "-o", "expect.toml")
    assert (status, "'notes' was unexpected" in err) == (6, True)
    assert (captures / "expect.toml").read_text() == "schema = 1\nnotes = 2\n"


def test_captures_of_two_folders_need_two_files(captures: Path, pcaplint: Run) -> None:
    assert captures.is_dir()
    status, out, err = pcaplint("expect", "write", "wrong.pcap", "cut/cut.pcap", *NATIVE)
    assert (status, out) == (2, "")
    assert "2 folders" in err


def test_expectations_are_not_written_where_they_would_be_refused(captures: Path, pcaplint: Run) -> None:
    shutil.copy("wrong.pcap", "cut/wrong.pcap")
    status, _, err = pcaplint("expect", "write", "cut/wrong.pcap", *NATIVE, "-o", "expect.toml")
    assert (status, err.count("\n")) == (2, 1)
    assert "cut/expect.toml" in err
    assert not (captures / "expect.toml").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="file names of any bytes")
@pytest.mark.parametrize("name", [b"a\xff.pcap", b"[a].pcap", b'a"\\.pcap', b"a\nb.pcap", b"[\xff*].pcap", "für.pcap".encode()])
def test_names_of_any_kind_can_be_expected(captures: Path, pcaplint: Run, name: bytes) -> None:
    shutil.copy(captures / "wrong.pcap", os.fsdecode(os.fsencode(captures) + b"/" + name))
    text = draft(pcaplint, os.fsdecode(name))
    (captures / "expect.toml").write_text(text.replace('reason = ""', 'reason = "made so"'), encoding="utf-8")
    assert pcaplint("check", os.fsdecode(name), *NATIVE)[0] == 0
