"""Zeek's own expectations of SMTP captures: each row of its smtp.log and weird.log agreed on, or explained by name in zeek_smtp.toml.

Skipped where the captures are not at hand.
"""

from __future__ import annotations

import csv
import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest

import analyzer

HERE = Path(__file__).resolve().parent
CAPTURES = HERE.parents[1].parent / "shared" / "captures"
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
    if not TABLE.is_file():
        return ()
    with TABLE.open(encoding="utf-8", newline="") as file:
        found = [
            (row["capture"], row["log"], row["orig_p"], row["fields"])
            for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
            if row["log"] == "smtp" or (row["log"] == "weird" and row["resp_p"] in PORTS)
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
    said, ours = split(text), report(capture)
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
def test_every_row_is_agreed_on_or_explained() -> None:
    if not rows():
        pytest.skip("the public suites' captures are not here")
    found = {row: difference for row in rows() if (difference := differs(row))}
    assert found == explanations()
    assert len(found) < len(rows()) * 2 // 3


def test_reasons_say_why() -> None:
    for name, reason in tomllib.loads((HERE / "zeek_smtp.toml").read_text(encoding="utf-8"))["reason"].items():
        assert reason["why"].strip().endswith("."), name
