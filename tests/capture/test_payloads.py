"""Payload bytes, read after the table of segments was made."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from analyzer import analysis, capture
from analyzer.capture.payloads import SPOOL, Payloads, Spool
from analyzer.errors import InputError
from analyzer.notation import build, parse

if TYPE_CHECKING:
    from pathlib import Path

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
