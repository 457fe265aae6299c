"""`pcaplint extract --anonymize`: judged again, an extract gives what the capture gave, and it names nobody."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import analyzer
from analyzer.notation import build, parse

if TYPE_CHECKING:
    from collections.abc import Callable

    Call = Callable[..., tuple[int, str, str]]

SAMPLES = Path(__file__).resolve().parents[2] / "sample_pcaps"
TSHARK = shutil.which("tshark") or ""
pytestmark = pytest.mark.skipif(not TSHARK, reason="tshark is not installed")
CHOSEN = (
    "fast-open.pcap",
    "ftp-active-ipv6.pcap",
    "ftp-active.pcap",
    "ftp-data-refused.pcap",
    "ftp-passive.pcap",
    "ftp-wrong-password.pcap",
    "half-open.pcap",
    "http-chunked-ipv6.pcap",
    "http-mid-stream.pcap",
    "http-statuses.pcap",
    "icmp-port-unreachable.pcap",
    "icmpv6-no-route.pcap",
    "lost-third-ack-data.pcap",
    "scripted-injected-reset.pcap",
    "smtp-rejected-recipient.pcap",
    "smtp-starttls-ipv6.pcap",
)
"""Samples of every protocol, address family and kind of failure."""


def judged(path: Path) -> list[tuple[object, ...]]:
    """Return of each connection the verdict, the links of FTP, what its transactions ended with, and its findings."""
    report = analyzer.analyze([path], expect=False, engine="native")
    findings, transactions = report.findings, report.transactions
    found: list[tuple[object, ...]] = []
    for flow in report.flows.to_dict("records"):
        own = transactions[transactions["flow_id"] == flow["flow_id"]]
        ids = sorted(findings["id"][findings["flow_id"] == flow["flow_id"]])
        found.append((flow["verdict"], flow["outcome"], flow["service"], flow["control_flow_id"], own["code"].tolist(), ids))
    return found


def checksums(path: Path) -> list[str]:
    argv = [TSHARK, "-n", "-r", str(path), "-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE", "-T", "fields"]
    argv += ["-e", "tcp.checksum.status", "-e", "ip.checksum.status", "-e", "icmp.checksum.status", "-e", "icmpv6.checksum.status"]
    return subprocess.run(argv, capture_output=True, check=True, text=True).stdout.splitlines()


def everything(path: Path) -> list[str]:
    return analyzer.analyze([path], expect=False, engine="native").flows["flow_id"].tolist()


@pytest.mark.parametrize("name", CHOSEN)
def test_an_extract_is_judged_as_the_capture_and_names_no_address(
    pcaplint: Call, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    source = SAMPLES / name
    status, _, err = pcaplint("extract", source, *everything(source), "-o", "x.pcapng", "--anonymize", "--engine", "native")
    assert status == 0, err
    assert judged(tmp_path / "x.pcapng") == judged(source)
    assert checksums(tmp_path / "x.pcapng") == checksums(source)
    data = (tmp_path / "x.pcapng").read_bytes()
    report = analyzer.analyze([source], expect=False, engine="native")
    new = analyzer.analyze([tmp_path / "x.pcapng"], expect=False, engine="native")
    for side in ("client_ip", "server_ip"):
        assert not set(report.flows[side]) & set(new.flows[side])
    for word in (b"client.example.net", b"mail.example.org", b"not-a-real-password", b"not-the-password-either", b"USER sample", b"alice@"):
        assert word not in data


def test_payload_may_be_blanked(pcaplint: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    source = SAMPLES / "http-keepalive.pcap"
    assert pcaplint("extract", source, "f1", "-o", "x.pcapng", "--anonymize", "--payload", "blank", "--engine", "native")[0] == 0
    data = (tmp_path / "x.pcapng").read_bytes()
    assert b"HTTP" not in data
    assert b"payload replaced by zeros" in data
    assert checksums(tmp_path / "x.pcapng") == checksums(source)
    assert [row[:2] for row in judged(tmp_path / "x.pcapng")] == [("complete", "opened")]


def test_the_same_key_gives_the_same_file_and_no_key_another(pcaplint: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("key").write_bytes(b"secret of this test")
    source = SAMPLES / "half-open.pcap"
    for name, options in (("a", ["--anonymize-key", "key"]), ("b", ["--anonymize-key", "key"]), ("c", [])):
        assert pcaplint("extract", source, "f1", "-o", f"{name}.pcapng", "--anonymize", "--engine", "native", *options)[0] == 0
    assert Path("a.pcapng").read_bytes() == Path("b.pcapng").read_bytes()
    assert Path("a.pcapng").read_bytes() != Path("c.pcapng").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["f1", "-o", "x.pcapng", "--payload", "blank"], "--anonymize-key and --payload are for --anonymize"),
        (["f1", "-o", "x.pcapng", "--anonymize", "--anonymize-key", "none"], "none: "),
        (["f1", "-o", "x.pcapng", "--anonymize", "--anonymize-key", "empty"], "empty: a key has 1 to 64 bytes"),
        (["f1"], "give FLOW... and --output FILE, or --failed DIR"),
        (["f1", "--failed", "d"], "give FLOW... and --output FILE, or --failed DIR"),
        (["-o", "x.pcapng"], "give FLOW... and --output FILE, or --failed DIR"),
    ],
)
def test_options_that_do_not_fit_are_status_2(
    pcaplint: Call, tmp_path: Path, arguments: list[str], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").touch()
    status, _, err = pcaplint("extract", SAMPLES / "half-open.pcap", *arguments)
    assert (status, err.count("\n")) == (2, 1)
    assert words in err
    assert not Path("x.pcapng").exists()


def test_a_frame_that_cannot_be_anonymized_is_named_and_nothing_is_written(
    pcaplint: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    status, _, err = pcaplint(
        "extract", SAMPLES / "scripted-fragmented-syn.pcap", "f1", "-o", "x.pcapng", "--anonymize", "--engine", "native"
    )
    assert (status, err) == (2, "pcaplint: error: frame 2 is a fragment, which cannot be anonymized\n")
    assert not Path("x.pcapng").exists()


def test_failed_connections_come_one_per_file(pcaplint: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    opened = "> S 1:1(0) win 9\n< S. 5:5(0) ack 2 win 9\n> . 2:2(0) ack 6 win 9"
    lines = ["client 192.0.2.1:40000", "server 192.0.2.2:7000", "client 2 192.0.2.1:40001", "server 2 192.0.2.2:7001"]
    lines += [opened, "2> S 1:1(0) win 9", "+1 2> S 1:1(0) win 9", "+2 2> S 1:1(0) win 9"]
    Path("two.pcap").write_bytes(build(parse("\n".join(lines))))
    assert pcaplint("extract", "two.pcap", "--failed", "failed")[0] == 0
    assert [path.name for path in Path("failed").iterdir()] == ["two-f2.pcapng"]
    assert [row[0] for row in judged(Path("failed/two-f2.pcapng"))] == ["unanswered"]


@pytest.mark.parametrize(
    ("name", "magic"), [("x.pcap", "4d3cb2a1"), ("x.pcapng", "0a0d0d0a"), ("x.pcap.gz", "1f8b"), ("x.bin", "0a0d0d0a")]
)
def test_the_suffix_says_the_format(pcaplint: Call, tmp_path: Path, name: str, magic: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    source = SAMPLES / "half-open.pcap"
    for options in ([], ["--anonymize"]):
        assert pcaplint("extract", source, "f1", "-o", name, "--engine", "native", *options)[0] == 0
        assert Path(name).read_bytes().hex().startswith(magic)
        assert judged(Path(name)) == judged(source)
