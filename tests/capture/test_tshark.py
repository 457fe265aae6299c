"""Finding tshark and asking it what it knows."""

from __future__ import annotations

import json
import os
import shlex
import stat
from pathlib import Path

import platformdirs
import pytest

from analyzer.capture import fields, probe, read, tshark
from analyzer.errors import MachineError
from analyzer.notation import build, parse

REAL = probe().path


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep answers in a folder of the test's own."""
    monkeypatch.setattr(platformdirs, "user_cache_dir", lambda *_, **__: str(tmp_path / "cache"))
    tshark._probe.cache_clear()


def wrapper(folder: Path, answer: str = "") -> str:
    """Return a tshark that passes what it says about itself through a filter, and counts how often it was asked."""
    program = folder / "tshark-4.9"
    real, count = shlex.quote(REAL), shlex.quote(str(folder / "asked"))
    program.write_text(f'#!/bin/sh\ncase "$1" in -v|-G) echo x >> {count}; {real} "$@" {answer};; *) exec {real} "$@";; esac\n')
    program.chmod(0o755)
    return str(program)


def test_what_the_installed_tshark_knows() -> None:
    known = probe()
    assert Path(known.path).is_absolute()
    assert tuple(int(part) for part in known.version.split(".")) >= (4, 0, 0)
    assert set(known.fields) | set(known.missing) == {field.name for field in fields.FIELDS}
    assert not set(known.missing) - {field.name for field in fields.FIELDS if field.loss or field.name in fields.REPLACEABLE}
    # What carries TCP is dissected, what TCP carries is not.
    assert not {"eth", "ip", "ipv6", "tcp", "gre", "vxlan", "sll", "tcp.options.mss", "ipv6.fraghdr", "_ws.malformed"} & set(
        known.forbidden
    )
    assert {"http", "vnc", "tls", "smtp", "dns", "quic", "h225", "mptcp"} <= set(known.forbidden)


def test_a_tshark_is_asked_once(tmp_path: Path) -> None:
    path = wrapper(tmp_path)
    first = probe(path)
    again = probe(path)
    tshark._probe.cache_clear()
    assert probe(path) == again == first
    assert (tmp_path / "asked").read_text().count("x") == 2


def test_a_changed_tshark_is_asked_again(tmp_path: Path) -> None:
    path = wrapper(tmp_path)
    probe(path)
    wrapper(tmp_path, "| sed 's/TShark (Wireshark) [0-9.]*/TShark (Wireshark) 9.8.7/'")
    assert probe(path).version == "9.8.7"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"key": 1}', b'{"key": [], "known": {"fields": 5}}'])
def test_a_damaged_cache_is_not_believed(tmp_path: Path, content: bytes) -> None:
    path = wrapper(tmp_path)
    known = probe(path)
    [file] = (tmp_path / "cache").iterdir()
    file.write_bytes(content)
    tshark._probe.cache_clear()
    assert probe(path) == known
    assert json.loads(file.read_bytes())["known"]["version"] == known.version


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where a folder should be")
    assert probe(wrapper(tmp_path)).version == probe().version


def test_a_missing_field_that_is_needed_is_named(tmp_path: Path) -> None:
    path = wrapper(tmp_path, "| grep -v '\ttcp.seq_raw\t'")
    with pytest.raises(MachineError, match=r"lacks tcp\.seq_raw"):
        probe(path)


def test_a_missing_field_that_is_not_needed_is_a_note(tmp_path: Path) -> None:
    path = wrapper(tmp_path, "| grep -v -e '\ttcp.checksum.status\t' -e '\tvlan.id\t'")
    (tmp_path / "x.pcap").write_bytes(build(parse("> S 1:1(0) vlan 7\n")))
    capture = read(tmp_path / "x.pcap", tshark=path)
    assert capture.complete
    assert list(capture.segments["vlan"]) == [""]
    assert list(capture.segments["checksum_state"]) == [0]
    assert {note.text for note in capture.notes} == {
        "this tshark lacks a field: connections on different VLANs are not told apart",
        "this tshark lacks a field: TCP checksums are not verified",
    }


def test_protocols_unknown_to_a_tshark_are_not_named_to_it() -> None:
    assert fields.forbid(frozenset({"http", "tcp", "tcp.options.mss", "new_protocol"})) == ["http", "new_protocol"]


def test_a_missing_tshark_is_one_line_with_a_hint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}")
    monkeypatch.setattr(tshark, "_USUAL_FOLDERS", ())
    with pytest.raises(MachineError, match="apt install tshark") as caught:
        probe()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["missing", "folder", "not executable"])
def test_a_named_tshark_that_is_none_is_never_replaced(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "tshark"
    if kind == "folder":
        path.mkdir()
    elif kind == "not executable":
        path.write_text("x")
    with pytest.raises(MachineError, match="is not a program"):
        probe(str(path))


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("#!/bin/sh\nexit 127\n", "ended with status 127"),
        ("#!/nowhere/sh\n", "cannot be run: No such file or directory"),
        ("#!/bin/sh\necho hello\n", "states no version"),
        ("#!/bin/sh\necho 4.0.17\n", "lacks frame.number"),
    ],
)
def test_a_program_that_is_no_tshark_is_refused(tmp_path: Path, script: str, words: str) -> None:
    path = tmp_path / "tshark"
    path.write_text(script)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    with pytest.raises(MachineError, match=words):
        probe(str(path))


def test_the_working_directory_does_not_choose_the_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tshark").write_text("#!/bin/sh\nexit 9\n")
    (tmp_path / "tshark").chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f".:{os.pathsep}{os.environ['PATH']}")
    assert probe().path == REAL
