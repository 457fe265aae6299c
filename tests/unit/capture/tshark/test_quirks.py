"""Each difference between versions of tshark: whether the installed one shows it, and that the tables do not depend on it."""

from __future__ import annotations

import shutil
import struct
import subprocess
from typing import TYPE_CHECKING

import pytest

from analyzer import schema
from analyzer.capture import probe, read
from analyzer.capture.formats import clocks
from analyzer.capture.tshark import quirks
from analyzer.notation import build, parse
from tests.reference.wire import START, add, block, described, ethernet, ipv4, offset, pseudo, resolution, section, tcp

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from analyzer.model import Capture
    from analyzer.options import Engine

pytestmark = pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")

FRAME = ethernet(ipv4(tcp(b"hello")), 0x0800)
LABELLED = ethernet(struct.pack("!I", 17 << 12 | 0x1FF) + ipv4(tcp(b"hello")), 0x8847)
PARTIAL_SUM = add(pseudo("10.1.2.3", "10.4.5.6", 25))
PARTIAL = FRAME[:50] + PARTIAL_SUM.to_bytes(2, "big") + FRAME[52:]
CUSTOM = block("<", 0xBAD, struct.pack("<I", 32473) + bytes(8))


def pcap(*frames: bytes, cut: int = 1 << 18) -> bytes:
    found = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, cut, 1)
    for frame in frames:
        found += struct.pack("<4I", START, 0, len(frame[:cut]), len(frame)) + frame[:cut]
    return found


def packet(ticks: int, frame: bytes = FRAME) -> bytes:
    head = struct.pack("<5I", 0, ticks >> 32, ticks & 0xFFFFFFFF, len(frame), len(frame))
    return block("<", 6, head + frame)


def fine(power: int, ticks: int, seconds: int = 0) -> bytes:
    return section() + described(options=resolution("<", power) + offset("<", seconds)) + packet(ticks)


class Asked:
    """What the installed tshark says about bytes, without any of our code in between."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.status = 0

    def __call__(self, data: bytes, *fields: str, preferences: Sequence[str] = ()) -> list[list[str]]:
        self.file.write_bytes(data)
        argv = [probe().path, "-n", *preferences, "-r", str(self.file), "-T", "fields"]
        done = subprocess.run([*argv, *(word for name in fields for word in ("-e", name))], capture_output=True, text=True, check=False)
        self.status = done.returncode
        return [line.split("\t") for line in done.stdout.splitlines()]


def hides_ip(ask: Asked) -> bool:
    return ask(pcap(LABELLED), "frame.protocols") == [["eth:ethertype:mpls:tcp"]]


def shows_14_bytes(ask: Asked) -> bool:
    return ask(pcap(FRAME, cut=34 + 14), "tcp.srcport", "tcp.seq_raw") == [["40000", "4294967295"]]


def gives_custom_blocks_times(ask: Asked) -> bool:
    return bool(ask(section() + described() + packet(START * 10**6) + CUSTOM, "frame.time_epoch")[1][0])


def misreads_fine_clocks(ask: Asked) -> bool:
    return ask(fine(12, START * 10**12 >> 10), "frame.time_epoch") != [[f"{(START * 10**12 >> 10) / 10**12:.9f}"]]


def refuses_fine_clocks(ask: Asked) -> bool:
    return ask(fine(0xFF, 1), "frame.number") == []


def knows_no_partial_sums(ask: Asked) -> bool:
    del ask
    return "tcp.checksum.partial" in probe().missing


def ends_with_14(ask: Asked) -> bool:
    ask(pcap(FRAME)[:-1], "frame.number")
    assert ask.status in {2, 14}
    return ask.status == 14


def divides_streams(ask: Asked) -> bool:
    script = "> S 2000:2000(0)\n< R. 0:0(0) ack +9\n< S. 7000:7000(0) ack 2001"
    return ask(build(parse(script)), "tcp.stream") == [["0"], ["0"], ["1"]]


SHOWN: dict[str, Callable[[Asked], bool]] = {
    "mpls-hides-ip": hides_ip,
    "fields-of-14-bytes": shows_14_bytes,
    "custom-block-times": gives_custom_blocks_times,
    "fine-clocks-wrong": misreads_fine_clocks,
    "fine-clocks-refused": refuses_fine_clocks,
    "partial-checksums-unknown": knows_no_partial_sums,
    "damage-status-14": ends_with_14,
    "streams-after-reset": divides_streams,
}
VERSION = quirks.parse_version(probe().version) if shutil.which("tshark") else ()


def test_every_quirk_has_a_test_and_a_cure_or_a_loss() -> None:
    assert [quirk.id for quirk in quirks.QUIRKS] == list(SHOWN)
    assert all(quirk.what and (quirk.cure or quirk.loss) and (quirk.since or quirk.until) for quirk in quirks.QUIRKS)
    assert list(quirks.TESTED_VERSIONS) == sorted(quirks.TESTED_VERSIONS)


@pytest.mark.skipif(
    quirks.TESTED_VERSIONS[0] < VERSION[:2] < quirks.TESTED_VERSIONS[-1] and VERSION[:2] not in quirks.TESTED_VERSIONS,
    reason=f"the table was not made with tshark {'.'.join(map(str, VERSION))}; the tests of its cures run",
)
@pytest.mark.parametrize("quirk", quirks.QUIRKS, ids=lambda quirk: quirk.id)
def test_the_table_says_what_the_installed_tshark_does(tmp_path: Path, quirk: quirks.Quirk) -> None:
    assert SHOWN[quirk.id](Asked(tmp_path / "x")) == quirk.applies(VERSION)


@pytest.fixture(params=["pyshark", "native"])
def load(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[bytes], Capture]:
    """Give a function that reads bytes by one engine."""
    engine: Engine = request.param

    def work(data: bytes) -> Capture:
        (tmp_path / "x").write_bytes(data)
        return read(tmp_path / "x", engine=engine)

    return work


def test_segments_behind_labels_are_there(load: Callable[[bytes], Capture]) -> None:
    found = load(pcap(FRAME, LABELLED))
    first, second = (row for _, row in found.segments.drop(columns=["frame", "payload_start"]).iterrows())
    assert first.to_dict() == second.to_dict()
    assert not found.notes


@pytest.mark.parametrize(("held", "decoded"), [(13, 4), (14, 4), (15, 4), (16, 16)])
def test_a_header_cut_before_its_window_has_ports_alone(load: Callable[[bytes], Capture], held: int, decoded: int) -> None:
    (row,) = load(pcap(FRAME, cut=34 + held)).segments.to_dict("records")
    whole = decoded == 16
    assert (row["header_captured"], row["src_port"], row["dst_port"]) == (decoded, 40000, 25)
    assert (row["seq"], row["flags"], row["header_length"]) == ((0xFFFFFFFF, 0x942, 20) if whole else (0, 0, -1))
    assert (row["window"], row["payload_length"]) == ((512, 5) if whole else (-1, -1))


def test_a_custom_block_is_a_frame_without_a_time(load: Callable[[bytes], Capture]) -> None:
    found = load(section() + described() + packet(START * 10**6) + CUSTOM + packet((START + 1) * 10**6) + CUSTOM)
    assert (found.packets, found.segments["frame"].tolist()) == (4, [1, 3])
    assert [note.text for note in found.notes if note.id == "no-timestamp"] == ["2 frames without a capture time"]
    assert (found.start_time, found.end_time) == (START * 10**9, (START + 1) * 10**9)


@pytest.mark.parametrize(
    ("power", "ticks", "nanoseconds"),
    [
        (9, 1_700_000_000_123_456_789, 1_700_000_000_123_456_789),
        (10, 17_000_000_001_234_567_899, 1_700_000_000_123_456_789),
        (12, 1_700_000_000_123, 1_700_000_000),
        (19, 15_000_000_000_000_000_000, 1_500_000_000),
        (20, 1_700_000_000_000, 17),
        (0x80 | 31, (START << 31) + (1 << 30), START * 10**9 + 500_000_000),
        (0x80 | 32, (START << 32) + 1, START * 10**9),
        (0x80 | 63, 3 << 62, 1_500_000_000),
        (0x80 | 64, 1 << 63, 500_000_000),
        (0xFF, 1 << 63, 0),
    ],
)
def test_clocks_finer_than_a_nanosecond_are_exact(load: Callable[[bytes], Capture], power: int, ticks: int, nanoseconds: int) -> None:
    for seconds in (0, 3):
        found = load(fine(power, ticks, seconds))
        assert (found.complete, found.packets, found.segments["time"].tolist()) == (True, 1, [nanoseconds + seconds * 10**9])
        assert (found.start_time, found.notes) == (nanoseconds + seconds * 10**9, ())


def test_by_whom_frames_of_a_fine_clock_were_decoded(tmp_path: Path) -> None:
    file = tmp_path / "x"
    file.write_bytes(fine(12, START * 10**6))
    assert read(file, engine="pyshark").engines == {"pyshark": 1}
    assert read(file, engine="native").engines == {"native": 1}


def test_which_files_have_a_fine_clock(tmp_path: Path) -> None:
    import gzip

    coarse, late = section() + described() + packet(5), section(">") + described(">") + block(">", 0x77, bytes(40))
    late += described(">", options=offset(">", 1) + resolution(">", 0x9F))
    files = {
        b"": False,
        pcap(FRAME): False,
        coarse: False,
        fine(9, 1): False,
        fine(10, 1): True,
        fine(0x80 | 30, 1): False,
        fine(0x80 | 31, 1): True,
        coarse + late: True,
        gzip.compress(coarse + late): True,
        gzip.compress(coarse + late)[:-20]: False,
        coarse[:-3] + late: False,
        section() + block("<", 1, struct.pack("<HHIHHB", 1, 0, 0, 9, 1, 10)): True,
        section() + struct.pack("<II", 1, 4) + bytes(40): False,
    }
    file = tmp_path / "x"
    for data, expected in files.items():
        file.write_bytes(data)
        assert clocks.has_fine_clock(file) == expected, data


def test_a_sum_left_to_the_network_card_is_partial(load: Callable[[bytes], Capture]) -> None:
    states = load(pcap(FRAME, PARTIAL)).segments["checksum_state"]
    assert states.tolist() == [schema.CHECKSUM_GOOD, schema.CHECKSUM_PARTIAL]


def test_damage_is_told_in_the_same_words(tmp_path: Path) -> None:
    file = tmp_path / "x"
    file.write_bytes(pcap(FRAME, FRAME)[:-1])
    found = read(file, engine="pyshark")
    assert (found.packets, found.reason) == (1, "tshark ended early: the file appears to have been cut short in the middle of a packet.")
    # One byte more than the longest frame there is.
    file.write_bytes(pcap(*[FRAME] * 8) + struct.pack("<4I", START, 0, 262145, 262145) + bytes(262145))
    found = read(file, engine="pyshark")
    assert found.packets == 8
    assert found.reason.startswith("tshark ended early: the file appears to be damaged or corrupt.")
    assert str(tmp_path) not in found.reason


@pytest.mark.parametrize(
    ("version", "words"),
    [
        ("3.6.2", ["zstd or lz4", "TCP within asam-cmp, bier, c2p", "before 4.0"]),
        ("4.0.17", ["zstd or lz4", "TCP within asam-cmp, bier, c2p"]),
        ("4.4.2", ["zstd or lz4", "TCP within c2p"]),
        ("4.6.0", []),
        ("4.8.0", ["after 4.6"]),
        ("10.0", ["after 4.6"]),
    ],
)
def test_what_a_version_cannot_tell_is_listed(version: str, words: list[str]) -> None:
    losses = quirks.list_losses(version)
    assert len(losses) == len(words)
    assert all(word in loss for word, loss in zip(words, losses, strict=True))
