"""Real captures: every column against tshark's JSON, and the line of every segment against tcpdump."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from analyzer import schema
from analyzer.capture import probe, read
from analyzer.capture.decode import tcp_options
from tests.reference.public import CAPTURES, WITHOUT_CAPTURES

if TYPE_CHECKING:
    from analyzer.model import Capture

if not CAPTURES.is_dir():
    pytest.skip(WITHOUT_CAPTURES, allow_module_level=True)

FILES = (
    "KimiNewt+pyshark/tests/data/capture_test.pcapng",
    "OISF+suricata-verify/tests/tls/tls-cert-issuer/tls.pcap",
    "OISF+suricata-verify/tests/ftp/ftp-download-passive/input.pcap",
    "OISF+suricata-verify/tests/decode-teredo-01/input.pcap",
    "arkime+arkime/tests/pcap/socks-http-example.pcap",
    "arkime+arkime/tests/pcap/smb-smb1-ascii.pcap",
    "gopacket+gopacket/layers/testdata/modbus.pcap",
    "ntop+nDPI/tests/cfgs/default/pcap/bittorrent_tcp_miss.pcapng",
    "ntop+nDPI/tests/cfgs/default/pcap/log4j-webapp-exploit.pcap",
    "ntop+nDPI/tests/cfgs/default/pcap/fuzz-2006-06-26-2594.pcap",
    "zeek+zeek/testing/btest/Traces/tunnels/vxlan.pcap",
    "zeek+zeek/testing/btest/Traces/tunnels/gtp/gtp2_different_udp_port.pcap",
    "zeek+zeek/testing/btest/Traces/tls/smtp-starttls.pcap",
    "zeek+zeek/testing/btest/Traces/zip/zip64.pcap",
)
PLAIN = tuple(name for name in FILES if not any(word in name for word in ("tunnels", "teredo", "fuzz", "smb1")))
"""Those without tunnels, damage and VLANs, whose lines are of one form."""
LINE = re.compile(
    r"^(?P<time>\d+\.\d{9}) (?:eth\S+ |lo |[\w-]+ +(?:In|Out) +)?IP6? (?P<src>\S+)\.(?P<sport>\d+) > (?P<dst>\S+)\.(?P<dport>\d+): "
    r"Flags \[(?P<flags>[^\]]*)\](?:, seq (?P<seq>\d+)(?::\d+)?)?(?:, ack (?P<ack>\d+))?, win (?P<win>\d+)(?:, urg \d+)?"
    r"(?:, options \[(?P<options>.*?)\])?, length (?P<length>\d+)"
)
STATES = {"0": schema.CHECKSUM_BAD, "1": schema.CHECKSUM_GOOD, "2": schema.CHECKSUM_UNVERIFIED}


def load(name: str) -> Capture:
    return read(CAPTURES / name)


def last(layer: dict[str, Any], field: str) -> str:
    found = layer.get(field, "")
    return str(found[-1] if isinstance(found, list) else found)


def dissect(name: str) -> list[dict[str, Any]]:
    """Return tshark's own frames, all protocols on, repeated layers as lists."""
    argv = [probe().path, "-n", "-T", "json", "--no-duplicate-keys", "-J", "frame eth ip ipv6 tcp icmp icmpv6"]
    argv += ["-o", "tcp.check_checksum:TRUE", "-o", "tcp.desegment_tcp_streams:FALSE", "-r", str(CAPTURES / name)]
    printed = subprocess.run(argv, capture_output=True, check=True).stdout.decode("utf-8", "replace")
    return [frame["_source"]["layers"] for frame in json.loads(printed)]


def nanoseconds(shown: str) -> int:
    """Return a time as tshark shows it in JSON: seconds since 1970 or, from version 4.6 on, ISO 8601."""
    whole, fraction = shown.removesuffix("Z").split(".")
    seconds = int(datetime.fromisoformat(whole + "+00:00").timestamp()) if "T" in whole else int(whole)
    return seconds * 10**9 + int(fraction)


@pytest.mark.parametrize("name", FILES)
def test_every_column_is_what_tshark_shows_in_full(name: str) -> None:
    capture = load(name)
    frames = dissect(name)
    assert capture.packets == len(frames)
    carrying = [
        layers for layers in frames if "tcp" in layers and not {"icmp", "icmpv6"} & set(layers) and "tcp.dstport" in str(layers["tcp"])
    ]
    rows = capture.segments.to_dict("records")
    assert [row["frame"] for row in rows] == [int(layers["frame"]["frame.number"]) for layers in carrying]
    for row, layers in zip(rows, carrying, strict=True):
        tcp = layers["tcp"]
        network = layers["ipv6" if ":" in row["src"] else "ip"]
        network = network[-1] if isinstance(network, list) else network
        prefix = "ipv6" if ":" in row["src"] else "ip"
        assert row["time"] == nanoseconds(layers["frame"]["frame.time_epoch"])
        assert (row["src"], row["dst"]) == (network[f"{prefix}.src"], network[f"{prefix}.dst"])
        assert row["ttl"] == int(network["ip.ttl" if prefix == "ip" else "ipv6.hlim"])
        assert row["ip_id"] == (int(network["ip.id"], 16) if prefix == "ip" else -1)
        assert (row["src_port"], row["dst_port"]) == (int(tcp["tcp.srcport"]), int(tcp["tcp.dstport"]))
        if "tcp.flags" not in tcp:
            assert row["header_captured"] <= 8
            continue
        assert (row["seq"], row["ack"], row["flags"]) == (int(tcp["tcp.seq_raw"]), int(tcp["tcp.ack_raw"]), int(tcp["tcp.flags"], 16))
        assert (row["window"], row["header_length"]) == (int(tcp["tcp.window_size_value"]), int(tcp["tcp.hdr_len"]))
        # tshark goes by the frame where that is shorter than the IP header says.
        stated = int(network["ip.len"]) - int(network["ip.hdr_len"]) - row["header_length"] if prefix == "ip" else 0
        assert row["payload_length"] == (stated if 0 <= int(tcp.get("tcp.len", -1)) < stated else int(tcp.get("tcp.len", -1)))
        raw = bytes.fromhex(tcp.get("tcp.options", "").replace(":", ""))
        assert capture.option_bytes[row["option_start"] : row["option_start"] + row["option_length"]] == raw
        if (
            "tcp.checksum.status" in tcp
            and row["checksum_state"] != schema.CHECKSUM_PARTIAL
            and row["payload_length"] == int(tcp.get("tcp.len", -1))
        ):
            assert row["checksum_state"] == STATES[tcp["tcp.checksum.status"]]
        if "eth" in layers:
            ethernet = layers["eth"]
            assert row["src_mac"] == last(ethernet[-1] if isinstance(ethernet, list) else ethernet, "eth.src")


@pytest.mark.parametrize("name", PLAIN)
def test_every_segment_is_what_tcpdump_prints(name: str) -> None:
    if not (tcpdump := shutil.which("tcpdump")):
        pytest.skip("tcpdump is not installed")
    capture = load(name)
    argv = [tcpdump, "-nn", "-tt", "-S", "--nano", "-r", str(CAPTURES / name), "tcp"]
    printed = subprocess.run(argv, capture_output=True, check=True).stdout.decode("utf-8", "replace")
    found = [match for line in printed.splitlines() if (match := LINE.match(line))]
    assert len(found) == len(capture.segments)
    for row, match in zip(capture.segments.to_dict("records"), found, strict=True):
        assert f"{row['time'] // 10**9}.{row['time'] % 10**9:09}" == match["time"]
        assert (row["src"], row["src_port"], row["dst"], row["dst_port"]) == (
            match["src"],
            int(match["sport"]),
            match["dst"],
            int(match["dport"]),
        )
        letters = "".join(letter for letter, bit in zip("FSRP", (1, 2, 4, 8), strict=True) if row["flags"] & bit)
        letters += "." * bool(row["flags"] & schema.ACK)
        assert "".join(letter for letter in match["flags"] if letter in "FSRP.") == letters
        assert (row["window"], row["payload_length"]) == (int(match["win"]), int(match["length"]))
        assert match["seq"] is None or row["seq"] == int(match["seq"])
        assert match["ack"] is None or row["ack"] == int(match["ack"])
        if row["flags"] & schema.SYN:
            raw = capture.option_bytes[row["option_start"] : row["option_start"] + row["option_length"]]
            # Behind the end of options tcpdump prints nothing.
            shown = re.sub("(,eol)+$", ",eol", tcp_options.show(raw)[1:-1])
            assert shown == (match["options"] or "")
