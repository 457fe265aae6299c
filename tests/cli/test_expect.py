from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    Run = Callable[..., tuple[int, str, str]]

pytestmark = pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")


def test_a_draft_is_refused_until_its_reasons_are_there_and_then_holds(captures: Path, pcaplint: Run) -> None:
    assert captures.is_dir()
    status, _, _ = pcaplint("expect", "write", "wrong.pcap", "unanswered.pcap", "good.pcap", "-o", "expect.toml")
    assert status == 0
    text = Path("expect.toml").read_text()
    assert "good.pcap" not in text
    assert pcaplint("check", "wrong.pcap")[0] == 6
    Path("expect.toml").write_text(text.replace('reason = ""', 'reason = "made so"'))
    assert pcaplint("check", "wrong.pcap", "unanswered.pcap", "good.pcap")[0] == 0
    shutil.copy("good.pcap", "wrong.pcap")
    status, out, _ = pcaplint("check", "wrong.pcap")
    assert status == 1
    assert "(made so)" in " ".join(out.split())


def test_a_draft_goes_to_standard_output_and_replaces_no_file(captures: Path, pcaplint: Run) -> None:
    (captures / "expect.toml").write_text("schema = 1")
    status, out, _ = pcaplint("expect", "write", "wrong.pcap")
    assert status == 0
    assert out.startswith("# ")
    assert 'verdict = "invalid"\ncount = 1\nreason = ""\n' in out
    status, _, err = pcaplint("expect", "write", "wrong.pcap", "-o", "expect.toml")
    assert status == 2
    assert "is there already" in err


def test_captures_of_two_folders_need_two_files(captures: Path, pcaplint: Run) -> None:
    assert captures.is_dir()
    status, out, err = pcaplint("expect", "write", "wrong.pcap", "cut/cut.pcap")
    assert (status, out) == (2, "")
    assert "2 folders" in err
