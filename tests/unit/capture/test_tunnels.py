"""Tunnels: each gives the segments that travel in it, from both engines, and what only has a tunnel's port gives none.

Sources: RFC 2784, 2890 (GRE), 3378 (EtherIP), 3931 (L2TP), 4380 (Teredo), 5415 (CAPWAP), 6830 (LISP), 7348 (VXLAN),
7450 (AMT), 7510 (MPLS in UDP), 8086 (GRE in UDP), 8300 (NSH), 8926 (Geneve); 3GPP TS 29.281 (GTP).
"""

from __future__ import annotations

import random
import shutil
import struct
import subprocess
from typing import TYPE_CHECKING

import pytest

from analyzer.capture import probe
from analyzer.capture.decode import encapsulations
from analyzer.capture.native import engine as native_engine
from analyzer.capture.tshark import engine as tshark_engine
from tests.reference.wire import DST6, OPTIONS, SRC6, ethernet, ipv4, ipv6, tcp, udp
from tests.unit.capture.test_formats import differences, pcap
from tests.unit.capture.test_link_types import write

if TYPE_CHECKING:
    from pathlib import Path

    from analyzer.model import Capture

pytestmark = pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")

FOUR, SIX = ipv4(tcp(b"hello", OPTIONS)), ipv6(tcp(b"hello", OPTIONS, ends=(SRC6, DST6)))
FRAME, FRAME6, TAGGED = ethernet(FOUR, 0x0800), ethernet(SIX, 0x86DD), ethernet(FOUR, 0x8100, 7, 0x0800)
VXLAN = struct.pack("!II", 0x08000000, 42 << 8)
PORTS = tuple(port for _, port in encapsulations.load().unregistered)


def over4(payload: bytes, port: int) -> bytes:
    return ethernet(ipv4(udp(payload, port), 17), 0x0800)


def over6(payload: bytes, port: int) -> bytes:
    return ethernet(ipv6(udp(payload, port), 17), 0x86DD)


def both(tmp_path: Path, frames: list[bytes], cut: int = 1 << 18) -> Capture:
    """Return what tshark reads, which the native engine reads as well."""
    file = tmp_path / "x"
    file.write_bytes(pcap(frames, cut=cut))
    theirs = tshark_engine.read(tshark_engine.TsharkRequest(file, "x", probe(), 60))
    ours = native_engine.read(native_engine.NativeRequest(file, "x", probe(), 60))
    assert differences(ours, theirs) == []
    return theirs


TUNNELS = {
    "AMT": over4(bytes([6, 0]) + FOUR, 2268),
    "CAPWAP": over4(bytes.fromhex("0010020000000000") + FRAME, 5247),
    "EtherIP": ethernet(ipv4(b"\x30\0" + FRAME, 97), 0x0800),
    "GRE": ethernet(ipv4(bytes.fromhex("00000800") + FOUR, 47), 0x0800),
    "GRE of Ethernet": ethernet(ipv4(bytes.fromhex("200065580000002a") + FRAME, 47), 0x0800),
    "GRE in UDP": over4(bytes.fromhex("000086dd") + SIX, 4754),
    "GTP": over4(struct.pack("!BBHI", 0x30, 255, len(FOUR), 9) + FOUR, 2152),
    "Geneve": over4(struct.pack("!BBHI", 0, 0, 0x6558, 7 << 8) + FRAME6, 6081),
    "Geneve of IP": over6(struct.pack("!BBHI", 0, 0, 0x0800, 7 << 8) + FOUR, 6081),
    "IP in IP": ethernet(ipv4(FOUR, 4), 0x0800),
    "IPv6 in IP": ethernet(ipv4(SIX, 41), 0x0800),
    "L2TP": over4(struct.pack("!HHH", 2, 3, 4) + b"\xff\x03\0\x21" + FOUR, 1701),
    "LISP": over4(bytes(8) + FOUR, 4341),
    "MPLS in UDP": over4(struct.pack("!I", 77 << 12 | 0x1FF) + FOUR, 6635),
    "NSH": over4(bytes.fromhex("0c000004000001000fc20201000001ff") + FOUR, 4790),
    "TZSP": over4(bytes([1, 0, 0, 1, 1]) + FRAME, 37008),
    "Teredo": over4(SIX, 3544),
    "VXLAN": over4(VXLAN + FRAME, 4789),
    "VXLAN, generic": over4(bytes.fromhex("0c00000100002a00") + FOUR, 4790),
}


def test_each_gives_its_segment(tmp_path: Path) -> None:
    found = both(tmp_path, list(TUNNELS.values()))
    assert [name for number, name in enumerate(TUNNELS, 1) if number not in set(found.segments["frame"])] == []
    assert set(found.segments["payload_length"]) == set(found.segments["payload_captured"]) == {5}


@pytest.mark.parametrize("port", [4789, *PORTS])
def test_vxlan_on_every_port_in_use(tmp_path: Path, port: int) -> None:
    """Also nested, in IPv6, with tags inside, with a group policy, from the port."""
    policy = struct.pack("!HHI", 0x8800, 7, 42 << 8)
    inner = [FRAME, FRAME6, TAGGED, over4(VXLAN + FRAME6, port), ethernet(ipv4(FOUR, 4), 0x0800)]
    frames = [over4(VXLAN + frame, port) for frame in inner] + [over6(VXLAN + frame, port) for frame in inner]
    turned = ethernet(ipv4(struct.pack("!HHHH", port, 9, 8 + len(VXLAN + FRAME), 0) + VXLAN + FRAME, 17), 0x0800)
    found = both(tmp_path, [*frames, over4(policy + FRAME, port), turned])
    tunnels = ["vxlan:42", "vxlan:42", "vxlan:42", "vxlan:42/vxlan:42", "vxlan:42/ipip"]
    assert found.segments["tunnel"].tolist() == [*tunnels, *tunnels, "vxlan:42", "vxlan:42"]
    assert found.segments["vlan"].tolist() == ["", "", "7", "", ""] * 2 + ["", ""]


def test_a_datagram_that_only_has_the_port_is_no_tunnel(tmp_path: Path) -> None:
    """Headers without the flag of a valid network id, or with flags that mean nothing, and payloads of any kind."""
    chance = random.Random(7)  # noqa: S311 - any bytes
    heads = [
        bytes(8),
        b"\x07" + bytes(7),
        bytes.fromhex("f7ff") + bytes(6),
        bytes.fromhex("1800000000002a00"),
        bytes.fromhex("0880") + bytes(6),
    ]
    frames = [over4(head + FRAME, port) for port in PORTS for head in heads]
    frames += [over4(chance.randbytes(size), port) for port in PORTS for size in range(60)]
    frames += [over4(struct.pack("!6H", 1, 0x8180, 1, 1, 0, 0) + b"\7example\3org\0\0\1\0\1", 8472)]
    found = both(tmp_path, frames)
    assert (len(found.segments), len(found.quotes)) == (0, 0)
    assert "malformed" not in {note.id for note in found.notes}
    assert "tcp-unread" not in {note.id for note in found.notes}


def test_a_header_without_the_flag_is_no_tunnel_on_the_registered_port_either(tmp_path: Path) -> None:
    # There other bits are to be ignored (RFC 7348 5).
    found = both(tmp_path, [over4(bytes(8) + FRAME, 4789), over4(bytes.fromhex("1880000000002a00") + FRAME, 4789)])
    assert found.segments["frame"].tolist() == [2]


def test_a_frame_cut_at_any_byte_gives_what_is_left(tmp_path: Path) -> None:
    frame = over4(VXLAN + FRAME, 8472)
    file = write(tmp_path / "x", [(1, frame, held) for held in range(len(frame) + 1)])
    theirs = tshark_engine.read(tshark_engine.TsharkRequest(file, "x", probe(), 60))
    assert differences(native_engine.read(native_engine.NativeRequest(file, "x", probe(), 60)), theirs) == []
    # tshark shows the ports of a header of which there are four bytes.
    assert theirs.segments["frame"].tolist() == list(range(len(frame) - 40, len(frame) + 2))


def test_fragments_of_what_carries_a_tunnel_meet(tmp_path: Path) -> None:
    datagram = udp(VXLAN + FRAME, 8472)
    frames = [ethernet(ipv4(datagram[:64], 17, fragment=0x2000), 0x0800), ethernet(ipv4(datagram[64:], 17, fragment=8), 0x0800)]
    found = both(tmp_path, frames)
    assert found.segments[["frame", "tunnel", "fragment"]].to_numpy().tolist() == [[2, "vxlan:42", True]]


def test_every_port_that_tshark_reads_a_tunnel_on_is_known() -> None:
    """Else the native engine would pass over what tshark decodes."""
    known, listed = probe(), encapsulations.load()
    out = subprocess.run([known.path, "-G", "decodes"], capture_output=True, text=True, check=True).stdout
    rows = [line.split("\t") for line in out.splitlines()]
    forbidden = set(known.forbidden)
    for table, ports in (("udp.port", listed.udp_tunnels), ("tcp.port", listed.tcp_tunnels)):
        assert {int(port) for name, port, protocol in rows if name == table and protocol not in forbidden} <= set(ports)
    assert set(PORTS) <= set(listed.udp_tunnels)
