"""Which engine reads, as users see it: without tshark, with frames that only tshark reads, when the engines disagree."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from analyzer.capture.decode import tcp

    Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def hidden(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let there be no tshark."""
    monkeypatch.setattr("analyzer.capture.tshark.probe._USUAL_FOLDERS", ())
    monkeypatch.setenv("PATH", str(tmp_path))


def add_fragment(file: Path) -> None:
    """Add a fragment of a datagram, which only tshark reads."""
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 44, 9, 0x2000, 64, 6, 0, b"\x0a\0\0\1", b"\x0a\0\0\2") + bytes(24)
    frame = bytes(12) + b"\x08\0" + ip
    with file.open("ab") as stream:
        stream.write(struct.pack("<4I", 1_700_000_000, 0, len(frame), len(frame)) + frame)


@pytest.mark.usefixtures("hidden")
def test_without_tshark_ordinary_captures_are_judged(captures: Path, pcaplint: Run) -> None:
    assert captures.is_dir()
    for name, status in (("good", 0), ("wrong", 1), ("unanswered", 1)):
        found, out, err = pcaplint("check", "--format", "json", f"{name}.pcap")
        told = json.loads(out)
        assert (found, list(told["captures"][0]["engines"]), told["captures"][0]["complete"]) == (status, ["native"], True)
        assert "tshark" not in err


@pytest.mark.usefixtures("hidden")
def test_without_tshark_frames_that_it_alone_reads_make_the_result_incomplete(captures: Path, pcaplint: Run) -> None:
    add_fragment(captures / "good.pcap")
    status, out, err = pcaplint("check", "--format", "json", "good.pcap")
    told = json.loads(out)["captures"][0]
    assert (status, told["status"], told["packets"]) == (4, "incomplete", 6)
    assert [line for line in err.splitlines() if "frame 6" in line and "tshark, which was not found" in line]
    assert len(json.loads(out)["flows"]) == 1


@pytest.mark.usefixtures("hidden")
@pytest.mark.parametrize("arguments", [["--engine", "pyshark"], ["--tshark", "/nonexistent/tshark"]], ids=str)
def test_an_engine_that_is_asked_for_and_missing_is_status_7(captures: Path, pcaplint: Run, arguments: list[str]) -> None:
    assert captures.is_dir()
    status, out, err = pcaplint("check", *arguments, "good.pcap")
    assert (status, out) == (7, "")
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("arguments", [[], ["--quiet"], ["--format", "json"]], ids=str)
def test_a_disagreement_between_the_engines_is_not_to_be_overlooked(
    captures: Path, pcaplint: Run, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    from analyzer.capture import choose_engine
    from analyzer.capture.decode import tcp

    right = tcp.decode

    def mistaken(*given: Any) -> tcp.Decoded:  # noqa: ANN401 - whatever `decode` takes
        decoded = right(*given)
        decoded.segments["window"][1] = 7
        return decoded

    assert captures.is_dir()
    monkeypatch.setattr(tcp, "decode", mistaken)
    monkeypatch.setattr(choose_engine, "LARGE_SECONDS", 0.0)
    monkeypatch.setattr(choose_engine, "COMPARED_BYTES", 0)
    _, out, err = pcaplint("check", *arguments, "good.pcap")
    shown = " ".join((err if arguments else out).split())
    assert "the native engine and tshark read frame 2 differently" in shown
