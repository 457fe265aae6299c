from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Run = Callable[..., tuple[int, str, str]]

pytestmark = pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")


def test_a_listing_does_not_fail_for_what_it_lists(captures: Path, pcaplint: Run) -> None:
    assert captures.is_dir()
    status, out, err = pcaplint("flows", "wrong.pcap", "unanswered.pcap")
    assert status == 0
    assert err == ""
    assert "invalid" in out
    assert "unanswered" in out


def test_it_fails_for_what_it_cannot_read(captures: Path, pcaplint: Run) -> None:
    assert captures.is_dir()
    status, out, err = pcaplint("flows", "good.pcap", "missing.pcap")
    assert status == 3
    assert "complete" in out
    assert "pcaplint: error: missing.pcap" in err


@pytest.mark.parametrize(("sort", "ids"), [("packets", ["f1", "f3", "f2"]), ("bytes", ["f1", "f2", "f3"]), ("rtt", ["f1", "f2", "f3"])])
def test_sorted_largest_first_and_even_ones_in_order(captures: Path, pcaplint: Run, sort: str, ids: list[str]) -> None:
    assert captures.is_dir()
    _, out, _ = pcaplint("flows", "--sort", sort, "-f", "json", "good.pcap", "unanswered.pcap", "wrong.pcap")
    assert [flow["flow_id"] for flow in json.loads(out)["flows"]] == ids


def test_only_the_first_ones_and_what_belongs_to_them(captures: Path, pcaplint: Run) -> None:
    assert captures.is_dir()
    _, out, _ = pcaplint("flows", "--top", "1", "-f", "json", "good.pcap", "wrong.pcap")
    document = json.loads(out)
    assert [flow["flow_id"] for flow in document["flows"]] == ["f1"]
    assert document["summary"]["findings"] == 0


@pytest.mark.parametrize("arguments", [["--sort", "name"], ["--top", "0"]])
def test_wrong_options_are_refused(captures: Path, pcaplint: Run, arguments: list[str]) -> None:
    assert captures.is_dir()
    status, out, err = pcaplint("flows", *arguments, "good.pcap")
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
