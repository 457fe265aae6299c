"""Finding tshark and asking it what it knows."""

from __future__ import annotations

import json
import os
import re
import shlex
import stat
import subprocess
from pathlib import Path

import platformdirs
import pytest

from analyzer.capture import probe, read
from analyzer.capture.decode import encapsulations
from analyzer.capture.tshark import fields, layers, quirks
from analyzer.capture.tshark import probe as probe_
from analyzer.errors import EnvironmentFaultError
from analyzer.notation import build, parse

REAL = probe().path


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep answers in a folder of the test's own."""
    monkeypatch.setattr(platformdirs, "user_cache_dir", lambda *_, **__: str(tmp_path / "cache"))
    probe_._probe.cache_clear()


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
    # A version that lacks or renames anything else is to be looked into: what it lacks has to be found otherwise, or is a loss.
    assert set(known.missing) <= fields.REPLACEABLE
    # What carries TCP is dissected, what TCP carries is not.
    assert not {"eth", "ip", "ipv6", "tcp", "gre", "vxlan", "sll", "tcp.options.mss", "ipv6.fraghdr", "_ws.malformed"} & set(
        known.forbidden
    )
    assert {"http", "vnc", "tls", "smtp", "dns", "quic", "h225", "mptcp"} <= set(known.forbidden)


def test_a_tshark_is_asked_once(tmp_path: Path) -> None:
    path = wrapper(tmp_path)
    first = probe(path)
    again = probe(path)
    probe_._probe.cache_clear()
    assert probe(path) == again == first
    assert (tmp_path / "asked").read_text().count("x") == 3


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
    probe_._probe.cache_clear()
    assert probe(path) == known
    assert json.loads(file.read_bytes())["known"]["version"] == known.version


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where a folder should be")
    assert probe(wrapper(tmp_path)).version == probe().version


def test_a_missing_field_that_is_needed_is_named(tmp_path: Path) -> None:
    path = wrapper(tmp_path, "| grep -v '\ttcp.seq_raw\t'")
    with pytest.raises(EnvironmentFaultError, match=r"lacks tcp\.seq_raw"):
        probe(path)


def test_a_missing_field_that_is_not_needed_is_a_note(tmp_path: Path) -> None:
    path = wrapper(tmp_path, "| grep -v -e '\ttcp.checksum.status\t' -e '\tvlan.id\t'")
    (tmp_path / "x.pcap").write_bytes(build(parse("> S 1:1(0) vlan 7\n")))
    capture = read(tmp_path / "x.pcap", tshark=path)
    assert capture.complete
    assert list(capture.segments["vlan"]) == [""]
    assert list(capture.segments["checksum_state"]) == [0]
    assert {note.text for note in capture.notes} == {
        "this tshark lacks a field: connections on different VLANs are not distinguished",
        "this tshark lacks a field: TCP checksums are not verified",
    }


def test_a_preference_that_a_tshark_does_not_know_is_not_named_to_it(tmp_path: Path) -> None:
    path = wrapper(tmp_path, "| grep -v -e 'tcp.check_checksum' -e 'ip.defragment'")
    (tmp_path / "x.pcap").write_bytes(build(parse("> S 1:1(0)\n")))
    capture = read(tmp_path / "x.pcap", tshark=path)
    assert capture.complete
    argv = " ".join(capture.stats["argv"])
    assert "tcp.desegment_tcp_streams:FALSE" in argv
    assert "tcp.check_checksum" not in argv
    assert "ip.defragment" not in argv
    assert [note.text.partition(": ")[0] for note in capture.notes] == ["this tshark lacks a preference"] * 2


def test_protocols_unknown_to_a_tshark_are_not_named_to_it() -> None:
    assert fields.forbid(frozenset({"http", "tcp", "tcp.options.mss", "new_protocol"})) == ["http", "new_protocol"]


def test_a_missing_tshark_is_one_line_with_a_hint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}")
    monkeypatch.setattr(probe_, "_USUAL_FOLDERS", ())
    with pytest.raises(EnvironmentFaultError, match="apt install tshark") as caught:
        probe()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["missing", "folder", "not executable"])
def test_a_named_tshark_that_is_none_is_never_replaced(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "tshark"
    if kind == "folder":
        path.mkdir()
    elif kind == "not executable":
        path.write_text("x")
    with pytest.raises(EnvironmentFaultError, match="is not a program"):
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
    with pytest.raises(EnvironmentFaultError, match=words):
        probe(str(path))


def test_the_working_directory_does_not_choose_the_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tshark").write_text("#!/bin/sh\nexit 9\n")
    (tmp_path / "tshark").chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f".:{os.pathsep}{os.environ['PATH']}")
    assert probe().path == REAL


def decoders() -> dict[tuple[str, int], set[str]]:
    """Return which protocols the installed tshark decodes by a number: an Ethernet type, a port, and so on."""
    found: dict[tuple[str, int], set[str]] = {}
    for line in probe_._run(REAL, "-G", "decodes").decode("utf-8", "replace").splitlines():
        table, selector, protocol = line.split("\t")[:3]
        if table in TABLES:
            found.setdefault((table, int(selector, 0)), set()).add(protocol)
    return found


def protocols() -> set[str]:
    lines = probe_._run(REAL, "-G", "protocols").decode("utf-8", "replace").splitlines()
    return {line.split("\t")[2] for line in lines}


TABLES = {
    # What leads to a TCP header, by number, whatever tshark calls it.
    "ethertype": (
        *(0x0800, 0x22F3, 0x6558, 0x8100, 0x86DD, 0x8847, 0x8848, 0x8864, 0x88A8, 0x88E5, 0x88E7, 0x892F, 0x893F, 0x894F, 0x9100, 0xF1C1),
    ),
    "ip.proto": (1, 4, 6, 17, 41, 47, 51, 58, 97, 115, 137),
    "gre.proto": (0x0800, 0x6558, 0x86DD, 0x8847, 0x88BE, 0x22EB, 0x880B),
    "ppp.protocol": (0x0021, 0x0057, 0x0281),
    "chdlc.protocol": (0x0800, 0x86DD, 0x8847),
    "llc.dsap": (0x06,),
    "null.type": (2, 24, 28, 30),
    "fr.nlpid": (0xCC, 0x8E),
    "udp.port": tuple(encapsulations.load().udp_tunnels),
    "tcp.port": tuple(encapsulations.load().tcp_tunnels),
}
UNREGISTERED = {("udp.port", port) for _, port in encapsulations.load().unregistered}
NOWHERE = {("udp.port", 6080), ("null.type", 24), ("null.type", 28), ("null.type", 30), ("null.type", 2)}
"""Numbers that tshark knows by other means than its tables."""
NEW: dict[tuple[str, int], str] = {("udp.port", 7943): "c2p"}
"""Numbers that only some versions decode, and the protocol, which is among `quirks.PROTOCOLS_SINCE`."""


def test_what_leads_to_tcp_is_decoded_whatever_it_is_called() -> None:
    forbidden, found = set(probe().forbidden), decoders()
    version = quirks.parse_version(probe().version)
    later = {key for key, name in NEW.items() if version < quirks.PROTOCOLS_SINCE[name]}
    for table, numbers in TABLES.items():
        for number in set(numbers):
            here = found.get((table, number), set())
            assert here or (table, number) in UNREGISTERED | NOWHERE | later, (table, number)
            assert not here or here - forbidden, (table, number, here)


def test_no_port_leads_to_tcp_that_the_native_engine_does_not_leave_to_tshark() -> None:
    forbidden = set(probe().forbidden)
    leading = {key for key, found in decoders().items() if key[0] in {"udp.port", "tcp.port"} and found - forbidden}
    assert leading <= {(table, number) for table in ("udp.port", "tcp.port") for number in TABLES[table]}


def test_what_the_native_engine_passes_over_leads_nowhere() -> None:
    from analyzer.capture.decode import ip, link

    forbidden, found = set(probe().forbidden), decoders()
    # These two tshark may decode, and they hold nothing.
    harmless = forbidden | {"arp", "loop"}
    assert all(found.get(("ethertype", number), set()) <= harmless for number in link._NOTHING_TYPES)
    assert all(found.get(("ip.proto", number), set()) <= harmless for number in ip.WITHOUT_TCP)


def test_names_of_protocols_are_those_of_the_installed_tshark() -> None:
    version, known = quirks.parse_version(probe().version), protocols()
    unknown = {
        name for name in encapsulations.load().protocols if name not in known and not any(one.startswith(f"{name}.") for one in known)
    }
    if version[:2] in quirks.TESTED_VERSIONS or version > quirks.TESTED_VERSIONS[-1]:
        assert unknown == {name for name, since in quirks.PROTOCOLS_SINCE.items() if version < since}
    assert set(layers._LENGTHS) | set(layers.TUNNELS) | layers._UNNUMBERED <= encapsulations.load().protocols


def test_the_fields_of_a_frame_are_printed_as_they_are_read(tmp_path: Path) -> None:
    """Numbers in decimal or after 0x, times in seconds, bytes in hexadecimal, several values by commas: the formats of `grid`."""
    (tmp_path / "x.pcap").write_bytes(build(parse("> SE 1:1(0) win 99 <mss 1460>\n> P. 2:5(3) ack 1")))
    argv = read(tmp_path / "x.pcap").stats["argv"]
    rows = [line.split("\t") for line in subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()]
    shown = [dict(zip(probe().fields, row, strict=True)) for row in rows]
    patterns = {
        "frame.time_epoch": r"\d+\.\d{9}",
        "frame.protocols": r"[a-z0-9_.:-]+",
        "ip.src": r"\d+\.\d+\.\d+\.\d+",
        "ip.id": r"0x[0-9a-f]{4}",
        "ip.version": "4",
        "eth.src": r"([0-9a-f]{2}:){5}[0-9a-f]{2}",
        "tcp.seq_raw": r"\d+",
        "tcp.flags": r"0x[0-9a-f]+",
        "tcp.checksum": r"0x[0-9a-f]{4}",
        "tcp.checksum.status": r"\d",
    }
    for row in shown:
        for name, pattern in patterns.items():
            assert re.fullmatch(pattern, row[name]), (name, row[name])
    assert re.fullmatch(r"(020405b4|02:04:05:b4)", shown[0]["tcp.options"])
    assert re.fullmatch(r"[0-9a-f]{6}", shown[1]["tcp.payload"])
