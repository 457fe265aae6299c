"""What is taken for a capture, in which order, and what is said of the rest."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import socket
import struct
from pathlib import Path

import pytest

from analyzer.capture import paths

HEADER = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
PCAPNG = struct.pack("<IIIHHqI", 0x0A0D0D0A, 28, 0x1A2B3C4D, 1, 0, -1, 28)

CAPTURES = {
    "little": HEADER,
    "big": struct.pack(">IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1),
    "nanoseconds": struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 65535, 1),
    "big-nanoseconds": struct.pack(">IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 65535, 1),
    "kuznetzov": struct.pack("<IHHiIII", 0xA1B2CD34, 2, 4, 0, 0, 65535, 1),
    "pcapng": PCAPNG,
    "snoop": b"snoop\0\0\0" + struct.pack(">II", 2, 4),
    "gzip": gzip.compress(HEADER),
    "gzip-pcapng": gzip.compress(PCAPNG),
    "zstd": bytes.fromhex("28b52ffd") + bytes(8),
    "lz4": bytes.fromhex("04224d18") + bytes(8),
}
OTHERS = {
    "empty": (b"", "the file is empty"),
    "text": (b"hello, this is no capture\n", "it is not a capture"),
    "short": (HEADER[:3], "it is not a capture"),
    "bzip2": (bz2.compress(HEADER), "it is a bzip2 file"),
    "xz": (lzma.compress(HEADER), "it is a xz file"),
    "zip": (b"PK\x03\x04" + bytes(30), "it is a zip file"),
    "gzip-text": (gzip.compress(b"hello"), "it is a gzip file that holds no capture"),
    "gzip-empty": (gzip.compress(b""), "it is an empty gzip file"),
    "gzip-cut": (gzip.compress(HEADER)[:9], "it is a damaged gzip file"),
    "gzip-garbage": (b"\x1f\x8b\x08\x00" + b"\xff" * 60, "it is a damaged gzip file"),
}


@pytest.mark.parametrize("name", CAPTURES)
def test_captures_are_told_by_their_first_bytes(name: str, tmp_path: Path) -> None:
    file = tmp_path / "no-suffix"
    file.write_bytes(CAPTURES[name])
    assert not paths.examine(file)


@pytest.mark.parametrize("name", OTHERS)
def test_others_are_refused_in_one_line(name: str, tmp_path: Path) -> None:
    data, reason = OTHERS[name]
    file = tmp_path / "x.pcap"
    file.write_bytes(data)
    said = paths.examine(file)
    assert said.startswith(reason)
    assert "\n" not in said


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert paths.examine(pipe) == "it is a pipe, not a capture file"
    assert paths.examine("/dev/zero") == "it is a device, not a capture file"
    assert paths.examine(tmp_path) == "it is a folder, not a capture"
    assert paths.examine(tmp_path / "missing") == "it cannot be read: No such file or directory"
    assert paths.examine("a\0b") == "the name holds a null byte"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        assert paths.examine(tmp_path / "socket") == "it is a socket, not a capture file"


def test_a_folder_gives_its_captures_in_order(tmp_path: Path) -> None:
    for name in ("b.pcap", "a/z.pcap", "a/b/c.pcapng", "a.pcap", "ä.pcap", ".hidden.pcap", ".git/x.pcap"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(HEADER)
    (tmp_path / "notes.txt").write_text("no capture")
    (tmp_path / "empty.pcap").write_bytes(b"")
    os.mkfifo(tmp_path / "pipe.pcap")
    (tmp_path / "a" / "up").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "link.pcap").symlink_to(tmp_path / "b.pcap")
    (tmp_path / "dangling.pcap").symlink_to(tmp_path / "nowhere")
    found = paths.find([tmp_path])
    assert [Path(entry.path).relative_to(tmp_path).as_posix() for entry in found] == [
        "a/b/c.pcapng",
        "a/z.pcap",
        "a.pcap",
        "b.pcap",
        "link.pcap",
        "ä.pcap",
    ]
    assert not any(entry.reason for entry in found)


def test_what_is_named_outright_is_answered_for_in_the_order_given(tmp_path: Path) -> None:
    capture = tmp_path / "-x\n.pcap"
    capture.write_bytes(HEADER)
    (tmp_path / "empty").mkdir()
    text = tmp_path / "t"
    text.write_text("x" * 100)
    found = paths.find([text, str(capture), tmp_path / "missing", tmp_path / "empty", capture])
    assert [entry.path for entry in found] == [str(text), str(capture), str(tmp_path / "missing"), str(tmp_path / "empty"), str(capture)]
    assert [bool(entry.reason) for entry in found] == [True, False, True, True, False]
    assert found[3].reason == "the folder holds no capture"
