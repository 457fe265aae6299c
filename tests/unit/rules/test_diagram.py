"""The picture of the machine: every row is in it, its arrows are the rows' own, and hostile names stay text."""

from __future__ import annotations

import re
import tomllib
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from analyzer import rules
from analyzer.rules import diagram

ROOT = Path(__file__).resolve().parents[3]
DOCUMENT = tomllib.loads((ROOT / "rules" / "opening.toml").read_text(encoding="utf-8"))
ROWS = [row["id"] for row in DOCUMENT["row"]]
SVG = "{http://www.w3.org/2000/svg}"
PICTURES = {"mermaid": diagram.mermaid, "svg": diagram.svg}


def drawn(name: str, loaded: rules.RuleSet | None = None) -> str:
    return "".join(PICTURES[name](loaded or rules.load()))


def declared(side: str) -> set[tuple[str, str, str]]:
    """Return (row, from, to) of the rows that move `side`, read from the file without the program."""
    found = set()
    for row in DOCUMENT["row"]:
        target = row.get("to", {}).get(side)
        if target is None:
            continue
        at = row.get("at", {}).get(side, ["CLOSED", "LISTEN", "SYN_SENT", "SYN_RECEIVED", "ESTABLISHED"])
        found |= {(row["id"], source, target) for source in ([at] if isinstance(at, str) else at) if source != target}
    return found


@pytest.mark.parametrize("name", PICTURES)
def test_every_row_is_drawn(name: str) -> None:
    picture = drawn(name)
    assert [row for row in ROWS if not re.search(rf"(?<![\w.-]){re.escape(row)}(?![\w.-])", picture)] == []


@pytest.mark.parametrize("side", ["client", "server"])
def test_arrows_are_what_the_rows_say(side: str) -> None:
    found = set()
    for source, target, label in re.findall(rf"{side}_(\w+) --> {side}_(\w+) : (.*)", drawn("mermaid")):
        found |= {(row, source, target) for row in re.findall(r"([a-z0-9.-]+) \(", label) if "." not in row}
    assert found == declared(side)


def test_mermaid_starts_where_the_machine_does() -> None:
    picture = drawn("mermaid")
    assert picture.startswith('---\ntitle: "Opening of one TCP connection"\n---\nstateDiagram-v2\n')
    assert [f"{side}_{state}" for side, state in DOCUMENT["start"].items()] == re.findall(r"\[\*\] --> (\w+)", picture)
    assert picture.count("{") == picture.count("}")


def test_the_svg_is_whole_and_its_text_lies_inside() -> None:
    root = ET.fromstring(drawn("svg"))  # noqa: S314 - our own output
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    texts = root.findall(f"{SVG}text")
    assert len(texts) > len(ROWS)
    for text in texts:
        room = 7.3 * len(text.text or "") * (0.5 if "middle" in text.attrib.get("class", "") else 1)
        assert 0 < float(text.attrib["x"]) + room <= width * 1.01, text.text
        assert 0 < float(text.attrib["y"]) < height
    arrows = root.findall(f"{SVG}path")
    assert len(arrows) == drawn("mermaid").count(" --> ") - 2


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_the_same_every_time(name: str) -> None:
    assert drawn(name) == drawn(name, rules.load())


@pytest.mark.parametrize("name", PICTURES)
def test_hostile_names_stay_text(name: str) -> None:
    loaded = rules.load()
    evil = 'x</text><script>alert(1)</script>" --> [*]\n{#;'
    rows = (replace(loaded.machine.rows[0], id=evil), *loaded.machine.rows[1:])
    picture = drawn(name, replace(loaded, machine=replace(loaded.machine, rows=rows, title=evil)))
    assert "<script" not in picture
    if name == "svg":
        assert any(text.text and text.text.startswith(evil) for text in ET.fromstring(picture).findall(f"{SVG}text"))  # noqa: S314
    else:
        assert not any(line.lstrip().startswith(("{#;", "[*]\n")) for line in picture.splitlines())
