from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from analyzer.errors import UsageError
from analyzer.report import Layout, ladder

if TYPE_CHECKING:
    from collections.abc import Callable

    from analyzer.model import Report


@dataclass(frozen=True, slots=True)
class Said:
    title: str
    why: str
    causes: tuple[str, ...]


WORDS = ladder.Words(
    {"invalid": "Both sides spoke, but no acceptable SYN+ACK or refusal is among what they said."},
    {
        "synack-ack-wrong": Said(
            "SYN+ACK acknowledges a number never sent",
            "A conforming client answers with\na reset.",
            ("a forged answer", "a late one."),
        ),
    },
)


def draw(report: Report, flow: str, width: int = 80) -> list[str]:
    return ladder.render(report, flow, WORDS, Layout(width=width)).splitlines()


@pytest.mark.parametrize("flow", ["f1", "f2", "f3"])
def test_golden(report: Report, golden: Callable[[str, str], None], flow: str) -> None:
    golden(f"ladder-{flow}.txt", ladder.render(report, flow, WORDS, Layout()))


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
    assert "pcaplint rules explain synack-ack-wrong" in text
    assert "Wireshark: ip.addr == 10.0.0.5 && tcp.port == 40112" in text


def test_hostile_text_is_escaped(report: Report) -> None:
    text = ladder.render(report, "f2", WORDS, Layout())
    assert all(character == "\n" or character.isprintable() for character in text)


@pytest.mark.parametrize("flow", ["f9", "9", "", "f", "x\x1b[2J"])
def test_an_unknown_connection_is_refused_with_those_there_are(report: Report, flow: str) -> None:
    with pytest.raises(UsageError, match="connections here: 5, f1 to f5"):
        ladder.render(report, flow, WORDS, Layout())
