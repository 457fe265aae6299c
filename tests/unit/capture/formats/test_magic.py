"""Magic numbers as the formats' documents state them, and the two places that recognise files by them."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import pytest

from analyzer.capture import choose_engine, discovery
from analyzer.capture.formats import magic

if TYPE_CHECKING:
    from pathlib import Path

FIRST_BYTES = {
    "pcap, little-endian": "d4c3b2a1",
    "pcap, big-endian": "a1b2c3d4",
    "pcap, nanoseconds, little-endian": "4d3cb2a1",
    "pcap, nanoseconds, big-endian": "a1b23c4d",
    "pcap, modified, little-endian": "34cdb2a1",
    "pcapng": "0a0d0d0a",
    "snoop": "736e6f6f70000000",
    "zstd (RFC 8878 3.1.1)": "28b52ffd",
    "lz4 frame": "04224d18",
}


@pytest.mark.parametrize("name", FIRST_BYTES)
def test_a_file_that_begins_so_is_taken_for_a_capture(name: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes.fromhex(FIRST_BYTES[name]) + bytes(60))
    assert discovery.sniff(path) == ""


def test_a_byte_order_is_named_by_the_first_four_bytes() -> None:
    assert bytes.fromhex("d4c3b2a1") in magic.PCAP_LITTLE
    assert bytes.fromhex("a1b2c3d4") in magic.PCAP_BIG
    assert not magic.PCAP_LITTLE & magic.PCAP_BIG
    assert bytes.fromhex("4d3c2b1a") == magic.PCAPNG_LITTLE


@pytest.mark.parametrize("order", ["little", "big"])
def test_frames_are_estimated_in_either_byte_order(order: str, tmp_path: Path) -> None:
    path = tmp_path / "x.pcap"
    number = 0xA1B2C3D4.to_bytes(4, "little" if order == "little" else "big")
    record = bytes(8) + (84).to_bytes(4, "little" if order == "little" else "big") * 2 + bytes(84)
    path.write_bytes(number + bytes(20) + 300 * record)
    assert round(choose_engine.estimate(path)) == 300


def test_gzip_is_recognised_by_its_first_two_bytes(tmp_path: Path) -> None:
    (tmp_path / "x.gz").write_bytes(gzip.compress(b"text"))
    (tmp_path / "x.pcap").write_bytes(bytes.fromhex("d4c3b2a1"))
    assert magic.is_gzip(tmp_path / "x.gz")
    assert not magic.is_gzip(tmp_path / "x.pcap")
