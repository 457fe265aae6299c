"""Zeek's own expectations of HTTP captures: each row agreed on, or explained by name in zeek_http.toml.

Rows are those of http.log, and of weird.log as far as they are about HTTP.
"""

from __future__ import annotations

import csv
import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

import pytest

import analyzer
from tests.reference.public import CAPTURES, needs_captures

HERE = Path(__file__).resolve().parent
TABLE = CAPTURES / "expect" / "zeek_app.tsv"
WEIRDS: Final = {
    "HTTP_bad_chunk_size": "http-chunk-malformed",
    "HTTP_response_before_request": "http-response-without-request",
    "bad_HTTP_request_with_version": "http-request-excess",
    "http_09_reply_before_request": "http-reply-excess",
    "missing_HTTP_uri": "http-request-line-malformed",
}
"""Zeek's names for what a finding of ours means."""
FIELDS: Final = "method|host|uri|status_code|request_body_len|response_body_len|version|name|addl|notice|source"

Row = tuple[str, str, str, str]
"""Capture, log, client port, fields."""


@cache
def rows() -> tuple[tuple[Row, int], ...]:
    """Return the rows about HTTP, each with which of equal ones it is; several of Zeek's tests share a capture."""
    seen: dict[tuple[Row, str], int] = {}
    found: dict[tuple[Row, int], None] = {}
    with TABLE.open(encoding="utf-8", newline="") as file:
        for said in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            if said["log"] != "http" and not (said["log"] == "weird" and "source=HTTP" in said["fields"]):
                continue
            row = said["capture"], said["log"], said["orig_p"], said["fields"]
            seen[row, said["baseline"]] = seen.get((row, said["baseline"]), 0) + 1
            found[row, seen[row, said["baseline"]]] = None
    return tuple(found)


@cache
def report(capture: str) -> analyzer.Report:
    return analyzer.analyze([CAPTURES / capture], secrets=True)


def split(fields: str) -> dict[str, str]:
    """Return the fields of a row by name."""
    return dict(re.findall(rf"({FIELDS})=(.*?)(?= (?:{FIELDS})=|$)", fields))


def differs(row: Row, nth: int) -> str:
    """Return in what a row and our report differ; empty when they agree."""
    capture, log, port, text = row
    said, ours = split(text), report(capture)
    flows = ours.flows[ours.flows["client_port"] == int(port)] if port != "?" else ours.flows
    if log == "weird":
        return "" if WEIRDS.get(said["name"]) in set(ours.findings["id"][ours.findings["flow_id"].isin(flows["flow_id"])]) else "no finding"
    asked = ours.transactions[ours.transactions["flow_id"].isin(flows["flow_id"]) & (ours.transactions["protocol"] == "http")]
    ranked = sorted((compare(said, one) for _, one in asked.iterrows()), key=len)
    return ", ".join(ranked[nth - 1]) if len(ranked) >= nth else "no row"


def compare(said: dict[str, str], ours: Any) -> list[str]:  # noqa: ANN401 - a row
    """Return the fields in which one of our rows differs from Zeek's."""
    values = {
        "method": ours["method"],
        "host": ours["host"],
        "uri": _as_zeek(unquote(ours["target"], errors="surrogateescape")),
        "status_code": str(ours["code"]),
        "request_body_len": str(ours["request_body_bytes"]),
        "response_body_len": str(ours["response_body_bytes"]),
        "version": ours["response_version"] or ours["version"],
    }
    return [name for name, value in values.items() if name in said and said[name] != value]


def _as_zeek(text: str) -> str:
    """Return a text as Zeek's logs escape it."""
    return "".join(f"\\x{ord(one):02x}" if ord(one) < ord(" ") else one.replace("\\", "\\\\") for one in text)


def explanations() -> dict[tuple[str, str, str, str], str]:
    """Return what zeek_http.toml says: a row to the fields it differs in."""
    reasons = tomllib.loads((HERE / "zeek_http.toml").read_text(encoding="utf-8"))["reason"]
    return {
        (one["capture"], one["log"], one["port"], one["fields"]): one["differs"]
        for reason in reasons.values()
        for one in reason["differences"]
    }


@pytest.mark.xdist_group("http-peers")
@needs_captures
def test_every_row_is_agreed_on_or_explained() -> None:
    found = {row: difference for row, nth in rows() if (difference := differs(row, nth))}
    assert found == explanations()
    assert len(found) < len(rows()) // 2


def test_reasons_say_why() -> None:
    for name, reason in tomllib.loads((HERE / "zeek_http.toml").read_text(encoding="utf-8"))["reason"].items():
        assert reason["why"].strip().endswith("."), name
