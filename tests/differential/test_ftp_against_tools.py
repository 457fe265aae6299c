"""Zeek's own expectations of FTP captures: each row of its ftp.log and weird.log agreed on, or explained by name in zeek_ftp.toml."""

from __future__ import annotations

import csv
import re
import shutil
import subprocess
import tomllib
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

import pytest

import analyzer
from tests.reference.public import CAPTURES, needs_captures

HERE = Path(__file__).resolve().parent
SAMPLES = HERE.parents[1] / "sample_pcaps"
TABLE = CAPTURES / "expect" / "zeek_app.tsv"
PORTS: Final = {"21", "2811"}
FIELDS: Final = r"user|command|arg|reply_code|data_channel\.passive|data_channel\.orig_h|data_channel\.resp_h|data_channel\.resp_p"

Row = tuple[str, str, str, str]
"""Capture, log, client port, fields."""


@cache
def rows() -> tuple[Row, ...]:
    """Return the rows about FTP, each once: several of Zeek's tests share a capture."""
    with TABLE.open(encoding="utf-8", newline="") as file:
        found = [
            (row["capture"], row["log"], row["orig_p"], row["fields"])
            for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
            if row["log"] == "ftp" or (row["log"] == "weird" and row["resp_p"] in PORTS)
        ]
    return tuple(dict.fromkeys(found))


@cache
def report(capture: str) -> analyzer.Report:
    return analyzer.analyze([CAPTURES / capture])


def split(fields: str) -> dict[str, str]:
    """Return the fields of a row by name."""
    return dict(re.findall(rf"({FIELDS})=(.*?)(?= (?:{FIELDS})=|$)", fields))


def differs(row: Row) -> str:
    """Return in what a row and our report differ; empty when they agree."""
    capture, log, port, text = row
    ours = report(capture)
    flow = ours.flows[ours.flows["client_port"] == int(port)].iloc[0]
    if flow["service"] != "ftp":
        return "service"
    if log == "weird":
        return "no finding"
    said = split(text)
    commands = ours.transactions[ours.transactions["flow_id"] == flow["flow_id"]]
    if said["command"] == "<init>":
        # Zeek's row for the greeting. Ours is a fact, and its code is a finding when it is not 220.
        odd = {"greeting-code-unexpected", "greeting-refusal", "greeting-delayed"}
        found = set(ours.findings["id"][ours.findings["flow_id"] == flow["flow_id"]])
        return "" if said["reply_code"] == "220" and not odd & found else "greeting"
    alike = [compare(said, command, flow) for _, command in commands.iterrows() if command["command"] == said["command"]]
    return ", ".join(min(((len(one), one) for one in alike), default=(1, ["command"]))[1])


def compare(said: dict[str, str], command: Any, flow: Any) -> list[str]:  # noqa: ANN401 - rows
    """Return the fields in which one of our commands differs from a row."""
    server = flow["server_ip"]
    ours = {
        "user": command["user"] or "<unknown>",
        "reply_code": str(command["code"]),
        "arg": argument(command, f"[{server}]" if ":" in server else server),
        **channel(command, flow),
    }
    hidden = said["command"] == "PASS"
    return [name for name, value in ours.items() if said.get(name, "") != value and not (name == "arg" and hidden and value == "(hidden)")]


def argument(command: Any, server: str) -> str:  # noqa: ANN401 - a row
    """Return a command's argument as Zeek writes it: a file's as a URL, below /. where the directory is not known."""
    said = str(command["argument"])
    if command["command"] not in {"RETR", "STOR", "APPE", "STOU", "DELE"}:
        return said
    path = f"{command['cwd'] or '/.'}/{said}".rstrip("/")
    return f"ftp://{server}{path}"


def channel(command: Any, flow: Any) -> dict[str, str]:  # noqa: ANN401 - rows
    """Return the data connection as Zeek writes it, with the command that sets it up: who opens it to where."""
    if command["command"] not in {"PORT", "PASV", "EPRT", "EPSV"} or not command["data_address"]:
        return dict.fromkeys(("data_channel.passive", "data_channel.orig_h", "data_channel.resp_h", "data_channel.resp_p"), "")
    passive = command["mode"] in {"pasv", "epsv"}
    ip, _, port = str(command["data_address"]).rpartition(":")
    return {
        "data_channel.passive": "T" if passive else "F",
        "data_channel.orig_h": flow["client_ip"] if passive else flow["server_ip"],
        "data_channel.resp_h": str(ip_address(ip.strip("[]"))),
        "data_channel.resp_p": port,
    }


def explanations() -> dict[Row, str]:
    """Return what zeek_ftp.toml says: a row to the fields it differs in."""
    reasons = tomllib.loads((HERE / "zeek_ftp.toml").read_text(encoding="utf-8"))["reason"]
    return {
        (one["capture"], one["log"], one["port"], one["fields"]): one["differs"]
        for reason in reasons.values()
        for one in reason["differences"]
    }


@pytest.mark.xdist_group("ftp-peers")
@needs_captures
def test_every_row_is_agreed_on_or_explained() -> None:
    found = {row: difference for row in rows() if (difference := differs(row))}
    assert found == explanations()
    assert len(found) < len(rows()) * 2 // 3


def test_reasons_say_why() -> None:
    for name, reason in tomllib.loads((HERE / "zeek_ftp.toml").read_text(encoding="utf-8"))["reason"].items():
        assert reason["why"].strip().endswith("."), name


@pytest.mark.xdist_group("ftp-peers")
@needs_captures
@pytest.mark.parametrize(
    ("capture", "data"),
    [
        ("OISF+suricata-verify/tests/ftp/ftp-download-active/input.pcap", 3),
        ("OISF+suricata-verify/tests/ftp/ftp-download-passive/input.pcap", 3),
        ("OISF+suricata-verify/tests/ftp/ftp-ippair-leak-5204/input.pcap", 20),
        ("OISF+suricata-verify/tests/firewall/ruletype-firewall-116-ftp-all-data-ipv4/input.pcap", 14),
    ],
)
def test_data_connections_are_as_many_as_suricata_finds(capture: str, data: int) -> None:
    """As suricata-verify counts ftp-data; for the last one: STOR, APPE, STOU, LIST, NLST, MLSD and RETR, twice each."""
    linked = report(capture).transactions["data_flow_id"]
    assert linked[linked != ""].nunique() == data


def tshark(capture: Path) -> list[dict[str, str]]:
    """Return what tshark's dissector says of each FTP segment; in the samples each holds one line."""
    program = shutil.which("tshark")
    if program is None:
        pytest.skip("tshark is not here")
    named = ("request.command", "request.arg", "response.code", "passive.port", "epsv.port", "active.port")
    fields = ["frame.number", *(f"ftp.{name}" for name in named)]
    wanted = [part for name in fields for part in ("-e", name)]
    command = [program, "-n", "-r", str(capture), "-Y", "ftp", "-T", "fields", *wanted]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return [dict(zip(fields, line.split("\t"), strict=True)) for line in lines]


@pytest.mark.xdist_group("ftp-peers")
@pytest.mark.parametrize("name", sorted(path.name for path in SAMPLES.glob("ftp-*.pcap")))
def test_tshark_sees_the_same_commands_replies_and_ports(name: str) -> None:
    seen = tshark(SAMPLES / name)
    rows = [row for _, row in analyzer.analyze([SAMPLES / name]).transactions.iterrows()]
    commands = [(int(one["frame.number"]), one["ftp.request.command"]) for one in seen if one["ftp.request.command"]]
    assert [(row["first_frame"], row["command"]) for row in rows] == commands
    arguments = [one["ftp.request.arg"] for one in seen if one["ftp.request.command"] != "PASS" and one["ftp.request.command"]]
    assert [row["argument"] for row in rows if row["command"] != "PASS"] == arguments
    codes = [int(one["ftp.response.code"]) for one in seen if one["ftp.response.code"]]
    ours = [code for row in rows for code in (row["preliminary_code"], row["code"]) if code >= 0]
    assert [220, *ours] == codes
    ports = [one[field] for one in seen for field in ("ftp.passive.port", "ftp.epsv.port", "ftp.active.port") if one[field]]
    told = [row["data_address"].rpartition(":")[2] for row in rows if row["command"] in {"PORT", "PASV", "EPSV"}]
    assert told == ports
