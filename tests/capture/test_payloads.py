"""Payload bytes, read after the table of segments was made."""

from __future__ import annotations

import resource
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from analyzer import analysis, capture
from analyzer.capture import payloads as payloads_
from analyzer.capture.payloads import SPOOL, Payloads, Spool
from analyzer.errors import InputError
from analyzer.notation import build, parse

if TYPE_CHECKING:
    from analyzer.model import Capture

TALK = """
> S 100:100(0)
< S. 300:300(0) ack 101
> . 101:101(0) ack 301
> P. 101:119(18) ack 301 "GET / HTTP/1.0\\r\\n\\r\\n"
"""


@pytest.mark.parametrize("cut", [0, 24, -1])
def test_a_file_that_is_changed_while_it_is_read_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cut: int) -> None:
    """Cut short, or all of it, after its headers were read: nobody waits for the bytes, nor makes them up."""
    file = tmp_path / "x.pcap"
    whole = build(parse(TALK))
    file.write_bytes(whole)
    right = capture.read

    def read(*arguments: object, **options: object) -> Capture:
        found = right(*arguments, **options)  # type: ignore[arg-type]
        file.write_bytes(whole[:cut])
        return found

    monkeypatch.setattr(capture, "read", read)
    with pytest.raises(InputError, match="changed or removed while it was being read"):
        analysis.analyze(file, engine="native")


def test_a_spool_gives_back_what_it_took(tmp_path: Path) -> None:
    """In memory, and beyond what is kept there."""
    parts = [b"a" * 700_000, b"", b"b" * 700_000, b"c"]
    spool = Spool()
    places = [spool.add(part) for part in parts]
    payloads = Payloads(tmp_path / "none", spool)
    assert [payloads.read(place, len(part)) for place, part in zip(places, parts, strict=True)] == parts
    assert places[0] == SPOOL
    payloads.close()


def test_more_captures_than_files_may_be_open_are_heard(tmp_path: Path) -> None:
    for number in range(120):
        (tmp_path / f"{number:03}.pcap").write_bytes(build(parse(TALK)))
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    open_now = len(list(Path("/proc/self/fd").iterdir())) if sys.platform == "linux" else 30
    resource.setrlimit(resource.RLIMIT_NOFILE, (open_now + 40, before[1]))
    try:
        report = analysis.analyze(tmp_path, engine="native", expect=False)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert len(report.transactions) == 120


def test_a_file_put_in_the_place_of_another_is_not_taken_for_it(tmp_path: Path) -> None:
    file, other = tmp_path / "x", tmp_path / "y"
    file.write_bytes(b"a" * (3 << 18))
    other.write_bytes(b"b" * (3 << 18))
    payloads = Payloads(file, Spool())
    assert payloads.read(0, 4) == b"aaaa"
    other.replace(file)
    assert payloads.read(4, 4) == b"aaaa"
    with pytest.raises(InputError):
        payloads.read(2 << 18, 4)


def test_blocks_are_few_whatever_the_number_of_captures(tmp_path: Path) -> None:
    held = []
    for number in range(3):
        file = tmp_path / str(number)
        file.write_bytes(bytes([number]) * (30 << 18))
        held.append(Payloads(file, Spool()))
    for number, one in enumerate(held):
        assert all(one.read(place << 18, 9) == bytes([number]) * 9 for place in range(30))
    assert 0 < len(payloads_._held) <= payloads_._BLOCKS
    assert held[0].read(0, 9) == bytes(9)
    for one in held:
        one.close()
    assert not [key for key in payloads_._held if key[0] in {one._serial for one in held}]
