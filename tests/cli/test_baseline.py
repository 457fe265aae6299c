from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    Run = Callable[..., tuple[int, str, str]]

pytestmark = pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
FILE = "pcaplint-baseline.toml"


def test_only_what_is_new_fails(captures: Path, pcaplint: Run) -> None:
    status, out, err = pcaplint("baseline", "write", "wrong.pcap", "good.pcap")
    assert (status, out) == (0, "")
    assert f"{FILE}: " in err
    assert pcaplint("check", "--baseline", FILE, "wrong.pcap", "good.pcap")[0] == 0
    status, out, _ = pcaplint("check", "--baseline", FILE, "wrong.pcap", "unanswered.pcap")
    assert status == 1
    assert "1 failed" in out
    assert pcaplint("check", "wrong.pcap")[0] == 1
    assert (captures / FILE).read_text().count("[[accepted]]") >= 2


def test_notes_are_in_it_whatever_the_threshold(captures: Path, pcaplint: Run) -> None:
    assert captures.is_dir()
    status, out, _ = pcaplint("check", "--fail-on", "note", "-f", "json", "wrong.pcap")
    ids = {finding["id"] for flow in json.loads(out)["flows"] for finding in flow["findings"]}
    pcaplint("baseline", "write", "wrong.pcap")
    text = Path(FILE).read_text()
    assert status == 1
    assert all(f'finding = "{id_}"' in text for id_ in ids)
    assert pcaplint("check", "--fail-on", "note", "--baseline", FILE, "wrong.pcap")[0] == 0


def test_one_more_than_accepted_is_new_and_one_less_is_stale(captures: Path, pcaplint: Run) -> None:
    assert captures.is_dir()
    pcaplint("baseline", "write", "unanswered.pcap")
    text = Path(FILE).read_text()
    assert "count = 1" in text
    Path(FILE).write_text(text.replace("count = 1", "count = 2"))
    status, out, _ = pcaplint("check", "--baseline", FILE, "unanswered.pcap")
    assert status == 0
    assert "baseline-stale: verdict unanswered of" in " ".join(out.split())
    assert "accepted 2, found 1" in " ".join(out.split())
    shutil.copy("good.pcap", "unanswered.pcap")
    status, out, _ = pcaplint("check", "--baseline", FILE, "unanswered.pcap")
    assert "found 0" in " ".join(out.split())
    Path("unanswered.pcap").unlink()
    _, _, err = pcaplint("check", "--baseline", FILE, "good.pcap")
    assert "unanswered.pcap is not there any more" in err


def test_rules_left_out_of_a_run_are_not_stale(captures: Path, pcaplint: Run) -> None:
    assert captures.is_dir()
    pcaplint("baseline", "write", "wrong.pcap")
    _, out, _ = pcaplint("check", "--baseline", FILE, "--ignore", "*", "wrong.pcap")
    assert "baseline-stale" not in out


def test_reasons_are_kept(captures: Path, pcaplint: Run) -> None:
    assert captures.is_dir()
    pcaplint("baseline", "write", "unanswered.pcap")
    Path(FILE).write_text(Path(FILE).read_text().replace('reason = ""', 'reason = "known \\"so\\""'))
    pcaplint("baseline", "write", "unanswered.pcap", "wrong.pcap")
    assert 'reason = "known \\"so\\""' in Path(FILE).read_text()


@pytest.mark.parametrize("text", ["schema = 2", "schema = 1\n[[accepted]]\nfile = 'x'", "schema ="])
def test_a_broken_baseline_is_status_6(captures: Path, pcaplint: Run, text: str) -> None:
    (captures / FILE).write_text(text)
    status, out, err = pcaplint("check", "--baseline", FILE, "good.pcap")
    assert (status, out) == (6, "")
    assert FILE in err


def test_a_hostile_name_is_written_as_toml_and_found_again(captures: Path, pcaplint: Run) -> None:
    name = 'a"\\\n\x1b\u202e\U0001f600.pcap'
    shutil.copy("wrong.pcap", captures / name)
    pcaplint("baseline", "write", name)
    assert (captures / FILE).read_text().isprintable() or "\x1b" not in (captures / FILE).read_text()
    assert pcaplint("check", "--baseline", FILE, name)[0] == 0
