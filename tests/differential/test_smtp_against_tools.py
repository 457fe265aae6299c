"""What other analyzers' own tests expect of SMTP captures: agreed on, or explained by name.

Zeek: each row of smtp.log and weird.log (differences in zeek_smtp.toml). Suricata: each event that names a sender or a recipient.
"""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
import tomllib
from collections import Counter
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

import analyzer
from analyzer import capture, openings, rules
from analyzer import connections as connections_
from analyzer.pipeline import stages

if TYPE_CHECKING:
    from analyzer.protocols.api import Dialogue

from tests.reference.public import CAPTURES, needs_captures

HERE = Path(__file__).resolve().parent
SAMPLES = HERE.parents[1] / "sample_pcaps"
TABLE = CAPTURES / "expect" / "zeek_app.tsv"
PORTS = {"25", "465", "587"}
WEIRDS: Final = {
    "smtp_mail_transaction_invalid": "smtp-bad-sequence",
    "smtp_huge_bdat_chunk": "smtp-chunk-size-bad",
    "smtp_invalid_bdat_command": "smtp-chunk-size-bad",
}
"""Zeek's names for what a finding of ours means."""
FIELDS: Final = "helo|mailfrom|rcptto|last_reply|trans_depth|tls|name|addl|notice|source"

Row = tuple[str, str, str, str]
"""Capture, log, client port, fields."""


@cache
def rows() -> tuple[Row, ...]:
    """Return the rows about SMTP, each once: several of Zeek's tests share a capture."""
    with TABLE.open(encoding="utf-8", newline="") as file:
        found = [
            (row["capture"], row["log"], row["orig_p"], row["fields"])
            for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
            if row["log"] == "smtp" or (row["log"] == "weird" and row["resp_p"] in PORTS)
        ]
    return tuple(dict.fromkeys(found))


@cache
def report(path: str) -> analyzer.Report:
    return analyzer.analyze([CAPTURES / path])


def hear(path: Path) -> list[Dialogue]:
    """Return the dialogues of a capture."""
    loaded = rules.load()
    captures = [capture.read(path)]
    connections = connections_.group(captures)
    judged = openings.judge(connections, loaded)
    return list(
        stages.parse_dialogues(
            stages.build_dialogue_request(connections, captures, stages.opening_summary(judged, loaded), loaded)
        ).dialogues.values()
    )


def split(fields: str) -> dict[str, str]:
    """Return the fields of a row by name."""
    return dict(re.findall(rf"({FIELDS})=(.*?)(?= (?:{FIELDS})=|$)", fields))


def differs(row: Row) -> str:
    """Return in what a row and our report differ; empty when they agree."""
    path, log, port, text = row
    said, ours = split(text), report(path)
    flow = ours.flows[ours.flows["client_port"] == int(port)].iloc[0]
    if log == "weird":
        found = set(ours.findings["id"][ours.findings["flow_id"] == flow["flow_id"]])
        return "" if WEIRDS.get(said["name"]) in found else "no finding"
    if (said["tls"] == "T") != (flow["encrypted_by"] == "starttls"):
        return "tls"
    messages = ours.transactions[ours.transactions["flow_id"] == flow["flow_id"]]
    if "mailfrom" not in said and "rcptto" not in said:
        return "" if flow["service"] == "smtp" and messages.empty else "a message"
    # Of two that differ in one field, the one whose place alone differs is the same message.
    best = min(
        (compare(said, message) for _, message in messages.iterrows()),
        key=lambda found: (len(found), found != ["trans_depth"]),
        default=["?"],
    )
    return ", ".join(best)


def compare(said: dict[str, str], message: Any) -> list[str]:  # noqa: ANN401 - a row
    """Return the fields in which one of our messages differs from a row."""
    ours = {
        "helo": message["helo"],
        "mailfrom": message["mail_from"],
        "rcptto": ",".join(message["rcpt_to"]),
        "last_reply": f"{message['code']} {message['reply']}" if message["code"] >= 0 else "",
        "trans_depth": str(message["number"]),
    }
    return [name for name, value in ours.items() if said.get(name, "") != value]


def explanations() -> dict[Row, str]:
    """Return what zeek_smtp.toml says: a row to the fields it differs in."""
    reasons = tomllib.loads((HERE / "zeek_smtp.toml").read_text(encoding="utf-8"))["reason"]
    return {
        (one["capture"], one["log"], one["port"], one["fields"]): one["differs"]
        for reason in reasons.values()
        for one in reason["differences"]
    }


@pytest.mark.xdist_group("smtp-peers")
@needs_captures
def test_every_row_is_agreed_on_or_explained() -> None:
    found = {row: difference for row in rows() if (difference := differs(row))}
    assert found == explanations()
    assert len(found) < len(rows()) * 2 // 3


def test_reasons_say_why() -> None:
    for name, reason in tomllib.loads((HERE / "zeek_smtp.toml").read_text(encoding="utf-8"))["reason"].items():
        assert reason["why"].strip().endswith("."), name


def envelopes() -> list[tuple[str, str, str, tuple[str, ...]]]:
    """Return Suricata's capture, helo, sender and recipients, each once; addresses without their brackets."""
    with TABLE.with_name("suricata_app.tsv").open(encoding="utf-8", newline="") as file:
        rows = [
            row
            for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
            if row["event_type"] == "smtp" and row["count"] != "0"
        ]
    found = []
    for row in rows:
        said = json.loads(row["match"])
        recipients = tuple(value.strip("<>") for name, value in said.items() if re.fullmatch(r"smtp\.rcpt_to\[\d+\]", name))
        if "smtp.mail_from" in said:
            found.append((row["capture"], said.get("smtp.helo", ""), said["smtp.mail_from"].strip("<>"), recipients))
    return list(dict.fromkeys(found))


@pytest.mark.xdist_group("smtp-peers")
@needs_captures
def test_every_envelope_of_suricata_is_ours() -> None:
    missing = []
    for path, helo, sender, recipients in envelopes():
        ours = [(row["helo"], row["mail_from"], row["rcpt_to"]) for _, row in report(path).transactions.iterrows()]
        if not any(name in (helo or name) and by == sender and to[: len(recipients)] == recipients for name, by, to in ours):
            missing.append((path, helo, sender, recipients, ours))
    assert missing == []
    assert len(envelopes()) > 10


def tell(path: Path) -> tuple[Counter[str], Counter[str]]:
    """Return what tshark's dissector sees of commands and reply codes."""
    tshark = shutil.which("tshark")
    assert tshark is not None
    fields = ["-e", "smtp.req.command", "-e", "smtp.response.code"]
    command = [tshark, "-r", str(path), "-Y", "smtp", "-T", "fields", "-E", "aggregator= ", *fields]
    lines = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()
    said = [line.split("\t") for line in lines]
    # The dissector takes the first four letters for the command.
    return Counter(word[:4].upper() for one in said for word in one[0].split()), Counter(code for one in said for code in one[1].split())


@pytest.mark.xdist_group("smtp-peers")
@pytest.mark.parametrize("name", sorted(path.name for path in SAMPLES.glob("smtp-*.pcap")))
def test_tshark_sees_the_same_commands_and_replies(name: str) -> None:
    commands, codes = tell(SAMPLES / name)
    (dialogue,) = hear(SAMPLES / name)
    ours = [one.facts for one in dialogue.exchanges]
    assert Counter(str(one["command"])[:4] for one in ours if one["command"] != "content") == commands
    replies = Counter(str(one["reply_code"]) for one in ours if one["reply_code"] is not None)
    assert replies + Counter([str(dialogue.facts["greeting_code"])]) == codes
