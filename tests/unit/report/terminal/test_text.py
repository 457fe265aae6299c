from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from rich.cells import cell_len

from analyzer import report as reports

if TYPE_CHECKING:
    from collections.abc import Callable

    from analyzer.model import Report

ANSI = re.compile(r"\x1b\[[0-9;]*m")


def render(report: Report, **layout: object) -> str:
    return "".join(reports.render(report, "text", reports.Layout(**layout)))  # type: ignore[arg-type]


@pytest.mark.parametrize("width", [80, 140])
def test_golden(written: Callable[..., str], golden: Callable[[str, str], None], width: int) -> None:
    golden(f"report-{width}.txt", written("text", width=width))


@pytest.mark.parametrize("width", [80, 100, 140])
def test_lines_fit_unless_a_path_does_not(written: Callable[..., str], width: int) -> None:
    for line in written("text", width=width).splitlines():
        assert len(line) <= width or line.startswith("demo/")


def test_colour_adds_nothing_but_colour(written: Callable[..., str]) -> None:
    colored = written("text", color=True)
    assert "\x1b[" in colored
    assert ANSI.sub("", colored) == written("text")


def test_the_terminal_gets_no_control_character_from_a_capture(written: Callable[..., str]) -> None:
    text = written("text") + ANSI.sub("", written("text", color=True))
    assert all(character == "\n" or character.isprintable() for character in text)
    assert r"\x1b[31mred\x9b2J\u202etxt.exe\x07\n[bold]b[/nope]" in text


def test_each_connection_is_said_once_with_its_findings_below(written: Callable[..., str]) -> None:
    lines = written("text", width=140).splitlines()
    at = {
        flow_id: number
        for number, line in enumerate(lines)
        for flow_id in ["f1", "f2", "f3", "f4", "f5"]
        if line.startswith(f" {flow_id} ")
    }
    assert list(at) == ["f1", "f2", "f3", "f4", "f5"]
    assert "error synack-ack-wrong: SYN+ACK acknowledges 1002, SYN + 1 is 1001 [frames 14, 15]" in lines[at["f2"] + 1]
    assert "unanswered, expected" in lines[at["f3"]]
    assert "warning (expected) syn-retransmitted" in lines[at["f3"] + 1]
    assert " ShADa " in lines[at["f1"]]


def test_the_summary_counts_every_connection_once(written: Callable[..., str]) -> None:
    text = " ".join(written("text").split())
    assert "5 connections checked in 3 files: 1 ok, 1 failed, 1 inconclusive, 1 expected, 1 not judged." in text
    assert "1 file could not be read. 1 file could not be read to the end. 1 expectation not met." in text
    assert "Why? pcaplint show demo/web-broken.pcap f2" in text


def test_the_hint_counts_connections_within_the_file(report: Report) -> None:
    flows = report.flows.copy()
    flows.loc[1, "excused"] = True
    flows.loc[4, ["verdict", "outcome"]] = "invalid", "broken"
    hint = render(replace(report, flows=flows, findings=report.findings[:0])).splitlines()[-1]
    assert hint.endswith(" f2")


def test_quiet_leaves_out_what_is_clean(written: Callable[..., str]) -> None:
    lines = written("text", quiet=True, width=140).splitlines()
    assert not any(line.startswith(" f1 ") for line in lines)
    assert any(line.startswith(" f2 ") for line in lines)
    assert not any("checked in" in line for line in lines)
    assert any("cannot be read" in line for line in lines)


def test_a_huge_job_prints_a_bounded_number_failures_first(huge: Report) -> None:
    lines = render(huge, limit=60).splitlines()
    rows = [line for line in lines if re.match(r" f\d+ ", line)]
    assert len(rows) == 60
    assert sum("refused" in line for line in rows) == 50
    assert [int(line.split()[0][1:]) for line in rows] == sorted(int(line.split()[0][1:]) for line in rows)
    assert any("4,940 more connections not shown: --all" in line for line in lines)
    assert sum(line.startswith(" f") for line in render(huge, limit=None).splitlines()) == 5_000


def test_nothing_at_all_is_said_in_one_line(report: Report) -> None:
    none = replace(report, captures=(), flows=report.flows[:0], findings=report.findings[:0], steps=report.steps[:0])
    assert render(none) == "No TCP connection found in 0 files.\n"


def test_what_was_said_stands_below_its_connection_in_one_line(report: Report) -> None:
    flows = report.flows.copy()
    flows.loc[0, "dialogue"] = "wide 漢字 " * 40
    for width in (80, 140):
        lines = render(replace(report, flows=flows), width=width).splitlines()
        at = next(number for number, line in enumerate(lines) if line.startswith(" f1 "))
        assert lines[at + 1].startswith("      wide 漢字 wide")
        assert lines[at + 1].endswith("…")
        assert cell_len(lines[at + 1]) <= width
        assert lines[at + 2].startswith(" f2 ")


@pytest.mark.parametrize(
    ("service", "by_port", "said"),
    [
        ("http", "http", "hello"),
        ("http", "", "http: hello"),
        ("http", "smtp", "http: hello"),
        ("tls", "https", "hello"),
        ("tls", "http", "tls: hello"),
        ("", "http", "hello"),
    ],
)
def test_a_service_is_told_where_its_port_does_not_tell_it(report: Report, service: str, by_port: str, said: str) -> None:
    flows = report.flows.assign(service=service, service_by_port=by_port, dialogue="hello", control_flow_id="")
    assert render(replace(report, flows=flows), width=200).splitlines().count(f"      {said}") == 5
    bare = render(replace(report, flows=flows.assign(dialogue="")), width=200).splitlines()
    assert bare.count(f"      {service}") == (5 if ":" in said else 0)
