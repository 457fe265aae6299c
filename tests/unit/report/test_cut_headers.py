"""What of a header was not captured is null in the report, never a number, and the report keeps to its schema wherever a header is cut."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator

from analyzer import api, notation, report, rules

if TYPE_CHECKING:
    from analyzer.rules import RuleSet

SCHEMA = Draft202012Validator(json.loads((Path(__file__).parents[3] / "rules" / "schema" / "report.schema.json").read_text()))
SEGMENTS = (
    "> S 100:100(0) win 64240 <mss 1460,sackOK,TS val 1 ecr 0,nop,wscale 7>",
    "< S. 300:300(0) ack 101 win 65535 <mss 1460,sackOK,TS val 9 ecr 1,nop,wscale 7>",
    "> . 101:101(0) ack 301 <nop,nop,TS val 2 ecr 9>",
    '> P. 101:105(4) ack 301 <nop,nop,TS val 2 ecr 9> "GET "',
    "< . 301:301(0) ack 105 <nop,nop,TS val 2 ecr 9>",
    "< F. 301:301(0) ack 105",
    "> R. 105:105(0) ack 301",
    "> 0x012 5:5(0) ack 7",
)
HEADERS = ("", "client [2001:db8::1]:40000\nserver [2001:db8::2]:80\n")
CUTS = (4, 8, 14, 15, 16, 18, 20, 23, 32, 40)
WINDOW_END = 16
"""Where both engines begin to decode numbers and flags of a header that is cut."""


@cache
def loaded() -> RuleSet:
    return rules.load()


def document(script: str) -> Any:  # noqa: ANN401 - JSON is anything
    played = api.analyze_script(notation.parse(script), loaded())
    return json.loads("".join(report.render(played, "json")))


@pytest.mark.parametrize("header", HEADERS, ids=["IPv4", "IPv6"])
@pytest.mark.parametrize("place", range(len(SEGMENTS)))
def test_a_header_cut_anywhere_gives_a_valid_report(header: str, place: int) -> None:
    for cut in CUTS:
        lines = [line + f" cut {cut}" * (number == place) for number, line in enumerate(SEGMENTS)]
        faults = [f"{list(fault.absolute_path)}: {fault.message}" for fault in SCHEMA.iter_errors(document(header + "\n".join(lines)))]
        assert not faults, (cut, faults)


@pytest.mark.parametrize("header", HEADERS, ids=["IPv4", "IPv6"])
def test_headers_all_cut_alike_give_a_valid_report(header: str) -> None:
    """As a snapshot length does it."""
    for cut in CUTS:
        assert SCHEMA.is_valid(document(header + "\n".join(f"{line} cut {cut}" for line in SEGMENTS))), cut


@pytest.mark.parametrize("cut", [4, 8, 13, 15])
def test_numbers_that_were_not_captured_are_absent(cut: int) -> None:
    (step,) = document(f"> S 100:100(0) win 64240 <mss 1460> cut {cut}\n")["flows"][0]["opening"]
    assert (step["flags"], step["seq"], step["ack"], step["length"], step["seq_relative"]) == ("", None, None, None, None)


def test_flags_that_were_captured_are_told_from_none() -> None:
    (cut,) = document(f"> S 100:100(0) win 64240 <mss 1460> cut {WINDOW_END}\n")["flows"][0]["opening"]
    (none,) = document("> none 100:100(0)\n")["flows"][0]["opening"]
    assert (cut["flags"], none["flags"]) == ("S", "none")
