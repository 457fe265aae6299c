"""Payload bytes, read after the table of segments was made."""

from __future__ import annotations

import gzip
import resource
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyzer import api, capture
from analyzer.capture import payloads as payloads_
from analyzer.capture.payloads import SPOOL, Payloads, Spool
from analyzer.errors import InputError
from analyzer.notation import build, parse

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    right = capture.read_with

    def read(*arguments: object, **options: object) -> Capture:
        found = right(*arguments, **options)  # type: ignore[arg-type]
        if found.path == str(file):
            file.write_bytes(whole[:cut])
        return found

    monkeypatch.setattr(capture, "read_with", read)
    other = tmp_path / "y.pcap"
    other.write_bytes(whole)
    report = api.analyze(tmp_path, engine="native", expect=False)
    reason = "it was changed or removed while it was being read"
    assert [(one.status, one.complete, one.reason) for one in report.captures] == [("incomplete", False, reason), ("clean", True, "")]
    assert report.flows["verdict"].tolist() == ["complete", "complete"]
    assert report.flows["service"].tolist() == ["", "http"]
    assert report.flows["dialogue_inconclusive"].tolist() == [True, False]
    assert report.transactions["capture"].tolist() == [1]


def test_a_spool_gives_back_what_it_took(tmp_path: Path) -> None:
    """In memory, and beyond what is kept there."""
    parts = [b"a" * 700_000, b"", b"b" * 700_000, b"c"]
    spool = Spool()
    places = [spool.add(part) for part in parts]
    payloads = Payloads(tmp_path / "none", spool)
    assert [payloads.read(place, len(part)) for place, part in zip(places, parts, strict=True)] == parts
    assert places[0] == SPOOL
    payloads.close()


@contextmanager
def few_files(more: int) -> Iterator[None]:
    """Let so many files be opened beside those that are open."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(list(Path("/dev/fd").iterdir())) + more, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_more_captures_than_files_may_be_open_are_heard(tmp_path: Path) -> None:
    for number in range(120):
        (tmp_path / f"{number:03}.pcap").write_bytes(build(parse(TALK)))
    with few_files(40):
        report = api.analyze(tmp_path, engine="native", expect=False)
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
    assert 0 < len(payloads_._block_cache) <= payloads_._BLOCKS
    assert held[0].read(0, 9) == bytes(9)
    for one in held:
        one.close()
    assert not [key for key in payloads_._block_cache if key[0] in {one._serial for one in held}]


@given(st.lists(st.tuples(st.integers(0, 2), st.binary(max_size=50)), max_size=40), st.integers(0, 60))
def test_spools_that_grow_side_by_side_keep_apart(added: list[tuple[int, bytes]], kept: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(payloads_, "_IN_MEMORY", kept)
        spools, whole = [Spool() for _ in range(3)], [b"", b"", b""]
        for number, data in added:
            assert spools[number].add(data) == SPOOL + len(whole[number])
            whole[number] += data
        for spool, data in zip(spools, whole, strict=True):
            for start in range(len(data) + 1):
                assert spool.read(SPOOL + start, 30) == data[start : start + 30]
            spool.close()
        assert payloads_._shared._file is None


def test_more_compressed_captures_than_files_may_be_open_are_heard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(payloads_, "_IN_MEMORY", 4)
    for number in range(60):
        (tmp_path / f"{number:03}.pcap.gz").write_bytes(gzip.compress(build(parse(TALK))))
    with few_files(20):
        report = api.analyze(tmp_path, engine="native", expect=False)
    assert len(report.transactions) == 60
    assert not [one.reason for one in report.captures if one.reason]
