from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from analyzer.errors import UsageError
from analyzer.report import Layout
from analyzer.report.terminal import ladder

if TYPE_CHECKING:
    from collections.abc import Callable

    from analyzer.model import Report


@dataclass(frozen=True, slots=True)
class Said:
    title: str
    why: str
    causes: tuple[str, ...]
    next: tuple[str, ...] = ()


EXPLANATIONS = ladder.Explanations(
    {"invalid": "Both sides spoke, but no acceptable SYN+ACK or refusal is among what they said."},
    {
        "synack-ack-wrong": Said(
            "SYN+ACK acknowledges a number never sent",
            "A conforming client answers with\na reset.",
            ("a forged answer", "a late one."),
            ("Compare with a capture on the server.", "Look at `nstat`."),
        ),
    },
)


def draw(report: Report, flow: str, width: int = 80) -> list[str]:
    return ladder.render(report, flow, EXPLANATIONS, Layout(width=width)).splitlines()


@pytest.mark.parametrize("flow", ["f1", "f2", "f3"])
def test_golden(report: Report, golden: Callable[[str, str], None], flow: str) -> None:
    golden(f"ladder-{flow}.txt", ladder.render(report, flow, EXPLANATIONS, Layout()))


@pytest.mark.parametrize("width", [80, 140])
def test_lines_fit(report: Report, width: int) -> None:
    for flow in ("f1", "f2", "f3", "f4", "f5"):
        assert all(len(line) <= width for line in draw(report, flow, width))


def test_a_finding_stands_below_the_segment_that_settled_it(report: Report) -> None:
    lines = draw(report, "f2")
    synack = next(number for number, line in enumerate(lines) if line.startswith("#15"))
    assert "✗ error synack-ack-wrong" in lines[synack + 2]
    assert any(line.startswith("#18") for line in lines[synack + 3 : synack + 5])


def test_segments_show_direction_numbers_and_states(report: Report) -> None:
    lines = draw(report, "2")
    syn = next(number for number, line in enumerate(lines) if line.startswith("#14"))
    assert "SYN seq 0 ─" in lines[syn]
    assert "▶│ LISTEN" in lines[syn]
    assert "│◀─ SYN,ACK seq 0 ack 2 ─" in lines[syn + 2]
    assert "seq 4294967295  ack 1002" in lines[syn + 3]
    assert "(SYN_RECEIVED)" in lines[syn + 1]
    assert "(" not in lines[syn + 3]
    assert "as the textbook draws them" in " ".join(lines)
    assert "0.000 ms" in lines[syn + 1]
    assert "0.510 ms" in lines[syn + 3]


def test_repeats_and_missing_times_are_told(report: Report) -> None:
    text = "\n".join(draw(report, "f3"))
    assert "sent 4 times, last in frame 66" in text
    assert "no time" in text


def test_what_it_means_is_told_in_words(report: Report) -> None:
    text = " ".join(" ".join(draw(report, "f2")).split())
    assert "Both sides spoke, but no acceptable SYN+ACK" in text
    assert "A conforming client answers with a reset. Usual causes: - a forged answer - a late one." in text
    assert "a late one. What to check next: - Compare with a capture on the server. - Look at `nstat`. pcaplint rules explain" in text
    assert "pcaplint rules explain synack-ack-wrong" in text
    assert "Wireshark: ip.addr == 10.0.0.5 && tcp.port == 40112" in text


def test_hostile_text_is_escaped(report: Report) -> None:
    hostile = Said("\x1b[2J", "\x07\u202e", ("\x1b]0;x\x07",), ("\x1b[31mlook", "a\nb\rc"))
    text = ladder.render(report, "f2", ladder.Explanations({}, {"synack-ack-wrong": hostile}), Layout())
    assert all(character == "\n" or character.isprintable() for character in text)
    assert "  - \\x1b[31mlook\n  - a\\nb\\rc\n" in text


def test_a_rule_without_what_to_check_next_has_no_heading_for_it(report: Report) -> None:
    words = ladder.Explanations({}, {"synack-ack-wrong": Said("title", "why", ())})
    assert "What to check next" not in ladder.render(report, "f2", words, Layout())


@pytest.mark.parametrize("flow", ["f9", "9", "", "f", "x\x1b[2J"])
def test_an_unknown_connection_is_refused_with_those_there_are(report: Report, flow: str) -> None:
    with pytest.raises(UsageError, match="connections here: 5, f1 to f5"):
        ladder.render(report, flow, EXPLANATIONS, Layout())


def below(report: Report, flow: str, width: int = 80, **words: frozenset[str]) -> list[str]:
    """Return the lines of the dialogue, up to what follows it."""
    lines = ladder.render(
        report, flow, ladder.Explanations(EXPLANATIONS.verdicts, EXPLANATIONS.findings, **words), Layout(width=width)
    ).splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("Dialogue"))
    return lines[start : lines.index("", start)]


def found(report: Report, *frames: int, id_: str = "early-reset") -> Report:
    """Return the report with one finding, on f1, that cites these frames."""
    one = report.findings[report.findings["id"] == "early-reset"].assign(flow_id="f1", id=id_, message="said so")
    one["frames"] = pd.Series([tuple((0, frame) for frame in frames)], index=one.index, dtype=object)
    return replace(report, findings=one)


def test_the_dialogue_stands_below_request_by_request(report: Report) -> None:
    lines = below(report, "f1")
    assert lines[0] == "Dialogue: 2 requests (GET / 200, …)"
    assert lines[1] == "#4        4.000 ms  C: GET /"
    assert lines[2] == "#5        +1.25 ms  S: 200 OK"
    assert "S: no reply was captured" in lines[5]
    assert any(line.startswith("#12") and line.endswith("S: 426 cut off  (not captured whole)") for line in lines)
    assert any("to c@d.example 250, =x@y.example 550; message of 1.2 kB" in line for line in lines)
    assert any("over f5: complete, 18.7 kB" in line for line in lines)


@pytest.mark.parametrize(
    ("frames", "before", "after"),
    [((4,), "#5", "#6"), ((5,), "#5", "#6"), ((8,), "#8", "#9"), ((1,), "Dialogue", "#4"), ((10,), "#12", None), ((90,), "#12", None)],
)
def test_a_finding_about_what_was_said_stands_below_its_request(
    report: Report, frames: tuple[int, ...], before: str, after: str | None
) -> None:
    lines = [
        line
        for line in below(found(report, *frames), "f1", dialogue_findings=frozenset({"early-reset"}))
        if line[0] in "#D" or "said so" in line
    ]
    place = next(number for number, line in enumerate(lines) if "said so" in line)
    assert lines[place - 1].startswith(before)
    assert len(lines) == place + 1 if after is None else lines[place + 1].startswith(after)


def test_a_finding_about_the_opening_stays_with_its_segment(report: Report) -> None:
    text = ladder.render(found(report, 4), "f1", EXPLANATIONS, Layout())
    assert text.index("said so") < text.index("Dialogue")


def test_a_long_dialogue_is_cut_and_counted(report: Report) -> None:
    one = report.transactions.iloc[[0] * 100].assign(number=range(1, 101), first_frame=range(1, 101), last_frame=range(1, 101))
    flows = report.flows.assign(transactions=12_000)
    long = found(replace(report, flows=flows, transactions=one), 80)
    lines = below(long, "f1", dialogue_findings=frozenset({"early-reset"}))
    assert sum("C: GET /" in line for line in lines) == 60
    assert "… 11,940 more not printed: report.json and transactions.csv have them" in lines
    assert "said so" in lines[-1]


def test_what_two_requests_share_stands_below_the_last_of_them(report: Report) -> None:
    last = report.transactions.iloc[[3, 3]].assign(number=[1, 2], request=["PASV", "RETR a"])
    lines = below(replace(report, transactions=last, flows=report.flows.assign(transactions=2)), "f1")
    assert sum("over f5" in line for line in lines) == 1
    assert "over f5" in lines[-1]


def test_an_announced_connection_names_the_one_that_announced_it(report: Report) -> None:
    lines = draw(report, "f5", 140)
    assert "service  @SUM(1)  (announced in f1)" in lines
    assert "control  f1  10.0.0.5:40112 → 192.0.2.10:80" in lines
    assert "         RETR a in frame 9" in lines


def test_tls_is_told_where_it_begins(report: Report) -> None:
    flows = report.flows.assign(tls_frame=7, encrypted_by="starttls")
    assert below(replace(report, flows=flows), "f1")[-1] == "#7                  TLS begins (starttls)"


@pytest.mark.parametrize(
    ("client", "server", "said"),
    [
        ("http", "http", "by first bytes of client and server"),
        ("", "http", "by first bytes of server"),
        ("smtp-or-http", "http", "by first bytes of server; the client's fit smtp or http"),
    ],
)
def test_how_the_service_is_known_is_told(report: Report, client: str, server: str, said: str) -> None:
    flows = report.flows.assign(service_client=client, service_server=server)
    assert f"service  http  (recognised {said})" in draw(replace(report, flows=flows), "f1", 140)
    elsewhere = replace(report, flows=flows.assign(service_by_port="smtp"))
    assert f"service  http  (recognised {said}; port 80 is for smtp)" in draw(elsewhere, "f1", 140)


def test_secrets_shown_are_told_first(report: Report) -> None:
    assert draw(replace(report, secrets=True), "f1")[0] == "passwords, tokens and the like are shown in this report (--show-secrets)"
