"""What is taken for a capture, in which order, and what is said of the rest."""

from __future__ import annotations

import bz2
import gzip
import inspect
import lzma
import os
import resource
import socket
import struct
import sys
import time
from pathlib import Path

import pytest

from analyzer.capture import discovery as discovery_
from analyzer.errors import EnvironmentFaultError

HEADER = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
PCAPNG = struct.pack("<IIIHHqI", 0x0A0D0D0A, 28, 0x1A2B3C4D, 1, 0, -1, 28)


def record(seconds: int, kind: int = 2, body: bytes = bytes(62)) -> bytes:
    """Return an ERF record: of kind 2 an Ethernet frame behind two bytes of padding."""
    return struct.pack("<II", 0, seconds) + struct.pack(">BBHHH", kind, 4, 16 + len(body), 0, len(body) - 2) + body


CAPTURES = {
    "ERF": record(1_700_000_000) + record(1_700_000_001, 0x82),
    "ERF of one record": record(1_700_000_000),
    "ERF, cut": record(1_700_000_000) + record(1_700_000_000)[:30],
    "gzip-ERF": gzip.compress(record(1_700_000_000) + record(1_700_000_001)),
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
    "records of no time": (record(7) * 2, "it is not a capture"),
    "records out of order": (record(1_700_000_009) + record(1_700_000_001), "it is not a capture"),
    "records of no kind": (record(1_700_000_000, 0) * 2, "it is not a capture"),
    "a record and more": (record(1_700_000_000) + b"more", "it is not a capture"),
    "a record less its end": (record(1_700_000_000)[:-1], "it is not a capture"),
    "gzip-text-cut": (gzip.compress(bytes(range(256)) * 9)[:200], "it is a gzip file that holds no capture"),
    "gzip-empty": (gzip.compress(b""), "it is an empty gzip file"),
    "gzip-cut": (gzip.compress(HEADER)[:9], "it is a damaged gzip file"),
    "gzip-garbage": (b"\x1f\x8b\x08\x00" + b"\xff" * 60, "it is a damaged gzip file"),
}


@pytest.mark.parametrize("name", CAPTURES)
def test_captures_are_told_by_their_first_bytes(name: str, tmp_path: Path) -> None:
    file = tmp_path / "no-suffix"
    file.write_bytes(CAPTURES[name])
    assert not discovery_.sniff(file)


@pytest.mark.parametrize("name", OTHERS)
def test_others_are_refused_in_one_line(name: str, tmp_path: Path) -> None:
    data, reason = OTHERS[name]
    file = tmp_path / "x.pcap"
    file.write_bytes(data)
    said = discovery_.sniff(file)
    assert said.startswith(reason)
    assert "\n" not in said


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert discovery_.sniff(pipe) == "it is a pipe, not a capture file"
    assert discovery_.sniff("/dev/zero") == "it is a device, not a capture file"
    assert discovery_.sniff(tmp_path) == "it is a folder, not a capture"
    assert discovery_.sniff(tmp_path / "missing") == "it cannot be read: No such file or directory"
    assert discovery_.sniff("a\0b") == "the name holds a null byte"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        assert discovery_.sniff(tmp_path / "socket") == "it is a socket, not a capture file"


def test_a_folder_gives_its_captures_in_order(tmp_path: Path) -> None:
    for name in ("b.pcap", "a/z.pcap", "a/b/c.pcapng", "a.pcap", "ä.pcap", ".hidden.pcap", ".git/x.pcap"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(HEADER)
    (tmp_path / "notes.txt").write_text("no capture")
    (tmp_path / "expect.toml").write_text("schema = 1")
    (tmp_path / "a" / "up").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "link.pcap").symlink_to(tmp_path / "b.pcap")
    discovery = discovery_.find([tmp_path])
    assert [Path(entry.path).relative_to(tmp_path).as_posix() for entry in discovery.found] == [
        "a/b/c.pcapng",
        "a/z.pcap",
        "a.pcap",
        "b.pcap",
        "link.pcap",
        "ä.pcap",
    ]
    assert not any(entry.reason for entry in discovery.found)
    # notes.txt, .hidden.pcap and the link to a folder.
    assert discovery.passed_over == 3


BROKEN = {
    "empty.pcap": (b"", "the file is empty"),
    "three-bytes.pcapng": (PCAPNG[:3], "it is not a capture"),
    "first-byte.pcap": (b"\0" + HEADER[1:], "it is not a capture"),
    "NOTES.CAP": (b"these are notes", "it is not a capture"),
    "of-windows.dmp": (b"MDMP" + bytes(60), "it is not a capture"),
    "cut.snoop": (b"snoop", "it is not a capture"),
    "x.erf": (b"\xff" * 40, "it is not a capture"),
    "cut.pcap.gz": (gzip.compress(HEADER)[:9], "it is a damaged gzip file"),
    "empty.pcap.gz": (gzip.compress(b""), "it is an empty gzip file"),
    "cut.pcap.zst": (bytes.fromhex("28b52f"), "it is not a capture"),
    "cut.pcap.lz4": (bytes.fromhex("0422"), "it is not a capture"),
    "whole.pcap.xz": (lzma.compress(HEADER), "it is a xz file"),
    "cut.pcap.xz": (lzma.compress(HEADER)[:20], "it is a xz file"),
    "cut.pcapng.bz2": (bz2.compress(PCAPNG)[:-4], "it is a bzip2 file"),
    "whole.pcap.zip": (b"PK\x03\x04" + bytes(30), "it is a zip file"),
    "rotated.pcap1": (b"", "the file is empty"),
    "rotated.pcap.3": (b"", "the file is empty"),
    "rotated.pcap-20240131.gz": (b"", "the file is empty"),
    "rotated.pcap.gz.7": (b"", "the file is empty"),
    # Not named like captures, but damaged, or captures inside.
    "cannot-be-told.gz": (gzip.compress(HEADER)[:9], "it is a damaged gzip file"),
    "holds-one.xz": (lzma.compress(PCAPNG), "it is a xz file"),
    "holds-one.bz2": (bz2.compress(HEADER), "it is a bzip2 file"),
    "cannot-be-told.xz": (lzma.compress(HEADER)[:14], "it is a xz file"),
}
FOREIGN = {
    "empty": b"",
    "pcap": b"",
    "notes.txt": b"these are notes",
    "notes.gz": gzip.compress(b"these are notes"),
    "notes.xz": lzma.compress(b"these are notes"),
    "notes.bz2": bz2.compress(b"these are notes"),
    "nothing.xz": lzma.compress(b""),
    "notes.zip": b"PK\x03\x04" + bytes(30),
    "about.pcap.txt": b"these are notes",
    "mapcap": b"x",
    "xpcap.1": b"x",
    "._x.pcap": b"left by an archive program",
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_named_like_a_capture_or_cannot_be_told_is_answered_for_in_a_folder(name: str, tmp_path: Path) -> None:
    data, reason = BROKEN[name]
    (tmp_path / "a.pcap").write_bytes(HEADER)
    (tmp_path / name).write_bytes(data)
    whole, broken = sorted(discovery_.find([tmp_path]).found, key=lambda entry: entry.reason)
    assert (Path(whole.path).name, whole.reason) == ("a.pcap", "")
    assert Path(broken.path).name == name
    assert broken.reason.startswith(reason)
    assert "\n" not in broken.reason


@pytest.mark.parametrize("name", FOREIGN)
def test_other_files_of_a_folder_are_counted(name: str, tmp_path: Path) -> None:
    (tmp_path / "a.pcap").write_bytes(HEADER)
    (tmp_path / name).write_bytes(FOREIGN[name])
    discovery = discovery_.find([tmp_path, tmp_path])
    assert [Path(entry.path).name for entry in discovery.found] == ["a.pcap", "a.pcap"]
    assert discovery.passed_over == 2


def test_links_and_special_files_in_a_folder_are_answered_for(tmp_path: Path) -> None:
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop.pcap").symlink_to("loop.pcap")
    os.mkfifo(tmp_path / "pipe.pcap")
    os.mkfifo(tmp_path / "control")
    (tmp_path / "device.pcap").symlink_to("/dev/zero")
    (tmp_path / "folder.pcap").mkdir()
    (tmp_path / "folder.pcap" / "notes.txt").write_text("no capture")
    (tmp_path / "filled.pcap").mkdir()
    (tmp_path / "filled.pcap" / "inside").write_bytes(HEADER)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket.pcap"))
        discovery = discovery_.find([tmp_path])
    assert {Path(entry.path).name: entry.reason for entry in discovery.found} == {
        "dangling": "it is a link to a file that is not there",
        "loop.pcap": "it cannot be read: Too many levels of symbolic links",
        "pipe.pcap": "it is a pipe, not a capture file",
        "socket.pcap": "it is a socket, not a capture file",
        "device.pcap": "it is a device, not a capture file",
        "folder.pcap": "it is a folder without a capture in it",
        "inside": "",
    }
    # The pipe called control, and the notes.
    assert discovery.passed_over == 2


@pytest.mark.usefixtures("unprivileged")
def test_what_may_not_be_read_in_a_folder_is_answered_for(tmp_path: Path) -> None:
    for name in ("a.pcap", "key", "closed/b.pcap", "listed/c.pcap", "listed/d/e.pcap"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(HEADER)
    (tmp_path / "a.pcap").chmod(0)
    (tmp_path / "key").chmod(0)
    (tmp_path / "closed").chmod(0o000)
    (tmp_path / "listed").chmod(0o444)
    try:
        found = discovery_.find([tmp_path, tmp_path / "closed", tmp_path / "closed" / "b.pcap"]).found
    finally:
        for name in ("closed", "listed"):
            (tmp_path / name).chmod(0o700)
    told = {Path(entry.path).relative_to(tmp_path).as_posix(): entry.reason for entry in found}
    denied, closed = "it cannot be read: Permission denied", "the folder cannot be read: Permission denied"
    assert told == {
        "a.pcap": denied,
        "key": denied,
        "closed": closed,
        "listed/c.pcap": denied,
        "listed/d": closed,
        "closed/b.pcap": denied,
    }
    assert len(found) == 7


def test_folders_may_be_nested_deeper_than_pythons_stack(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["d"] * 200)
    deep.mkdir(parents=True)
    (deep / "x.pcap").write_bytes(HEADER)
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack()) + 100)
    try:
        found = discovery_.find([tmp_path]).found
    finally:
        sys.setrecursionlimit(limit)
    assert found == (discovery_.Candidate(str(deep / "x.pcap")),)


def test_names_no_file_can_have_are_told(tmp_path: Path) -> None:
    long = tmp_path / ("n" * 300 + ".pcap")
    deep = "/".join(["d" * 200] * 25)
    found = discovery_.find([long, deep, "a\0b", b"a\xff".decode("utf-8", "surrogateescape")]).found
    assert [entry.reason for entry in found] == [
        "it cannot be read: File name too long",
        "it cannot be read: File name too long",
        "the name holds a null byte",
        "it cannot be read: No such file or directory",
    ]


def test_a_name_is_recognised_in_linear_time() -> None:
    begun = time.monotonic()
    assert not discovery_.is_named_like_a_capture(".pcap" + "1" * 120 + ".1" * 60 + "x")
    assert discovery_.is_named_like_a_capture(".pcap" + "1" * 120 + ".1" * 60)
    assert time.monotonic() - begun < 1


def test_a_machine_that_can_open_no_more_files_is_no_fault_of_a_capture(tmp_path: Path) -> None:
    (tmp_path / "x.pcap").write_bytes(HEADER)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
    try:
        with pytest.raises(EnvironmentFaultError, match="ulimit -n"):
            discovery_.find([tmp_path / "x.pcap"])
        with pytest.raises(EnvironmentFaultError, match="ulimit -n"):
            discovery_.find([tmp_path])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_what_is_named_outright_is_answered_for_in_the_order_given(tmp_path: Path) -> None:
    capture = tmp_path / "-x\n.pcap"
    capture.write_bytes(HEADER)
    (tmp_path / "empty").mkdir()
    text = tmp_path / "t"
    text.write_text("x" * 100)
    found = discovery_.find([text, str(capture), tmp_path / "missing", tmp_path / "empty", capture]).found
    assert [entry.path for entry in found] == [str(text), str(capture), str(tmp_path / "missing"), str(tmp_path / "empty"), str(capture)]
    assert [bool(entry.reason) for entry in found] == [True, False, True, True, False]
    assert found[3].reason == "the folder holds no capture"
