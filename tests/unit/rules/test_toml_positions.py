"""Positions of keys and values: counted by hand in scripted documents, and every path of tomllib is found in real ones."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from analyzer.rules import toml_positions
from analyzer.rules.toml_positions import TomlPosition

if TYPE_CHECKING:
    from collections.abc import Iterator

    from analyzer.rules.toml_positions import KeyPath

ROOT = Path(__file__).resolve().parents[3]

EXPECTATIONS = """\
schema = 1   # the format

[[capture]]
file = "a.pcap"
  [[capture.expect]]
  verdict = 'refused'
  count = 1
  [[capture.expect]]
  finding = "ttl-jump"

[[capture]]
expect = [ { verdict = "invalid", count = 2 },
           # a comment, with ] and }
           { "count" = 3 } ]
"""


@pytest.mark.parametrize(
    ("path", "line", "column"),
    [
        (("schema",), 1, 1),
        (("capture",), 3, 1),
        (("capture", 0), 3, 1),
        (("capture", 0, "file"), 4, 1),
        (("capture", 0, "expect", 0), 5, 3),
        (("capture", 0, "expect", 0, "count"), 7, 3),
        (("capture", 0, "expect", 1, "finding"), 9, 3),
        (("capture", 1), 11, 1),
        (("capture", 1, "expect"), 12, 1),
        (("capture", 1, "expect", 0), 12, 12),
        (("capture", 1, "expect", 0, "count"), 12, 35),
        (("capture", 1, "expect", 1), 14, 12),
        (("capture", 1, "expect", 1, "count"), 14, 14),
    ],
)
def test_keys_are_located_by_line_and_column(path: KeyPath, line: int, column: int) -> None:
    assert toml_positions.locate(EXPECTATIONS).keys[path] == TomlPosition(line, column)


def test_values_are_located_too() -> None:
    values = toml_positions.locate(EXPECTATIONS).values
    assert values["capture", 0, "expect", 0, "verdict"] == TomlPosition(6, 13)
    assert values["capture", 1, "expect", 0, "count"] == TomlPosition(12, 43)
    assert ("capture", 0) not in values


def test_what_is_absent_is_located_by_the_table_around_it() -> None:
    found = toml_positions.locate(EXPECTATIONS)
    assert found.nearest(("capture", 0, "expect", 1, "count")) == TomlPosition(8, 3)
    assert found.nearest(("capture", 0, "shows")) == TomlPosition(3, 1)
    assert found.nearest(()) is None
    assert found.name("expect.toml", ("capture", 0, "shows")) == "expect.toml:3:1"
    assert found.name("expect.toml", ("severty",)) == "expect.toml"


def test_strings_hide_what_looks_like_syntax() -> None:
    text = 'a = """\n[b]\nc = 1\n\\""" # no comment"""\nd = \'[e]\'\nf = "\\"]" # g = 2\nh = \'\'\'\n]\'\'\'\'\n'
    text += 'i = [1979-05-27 07:32:00, "]"]\n'
    expected = {("a",): (1, 1), ("d",): (5, 1), ("f",): (6, 1), ("h",): (7, 1), ("i",): (9, 1), ("i", 0): (9, 6), ("i", 1): (9, 27)}
    assert toml_positions.locate(text).keys == {path: TomlPosition(*place) for path, place in expected.items()}
    assert list(tomllib.loads(text)) == ["a", "d", "f", "h", "i"]


def test_dotted_and_quoted_keys_and_tables_below_arrays() -> None:
    text = '[rules."ttl-jump"]\nparameters . "a\\u0062" = 1\n[[x]]\n[x.y.z]\nk = {v.w = 2}\r\n[[x]]\r\n[x.y]\r\nk = 3\r\n'
    keys = toml_positions.locate(text).keys
    assert keys["rules", "ttl-jump"] == TomlPosition(1, 1)
    assert keys["rules", "ttl-jump", "parameters", "ab"] == TomlPosition(2, 14)
    assert keys["x", 0, "y", "z", "k", "v", "w"] == TomlPosition(5, 8)
    assert keys["x", 1, "y", "k"] == TomlPosition(8, 1)


def paths(value: Any, path: KeyPath = ()) -> Iterator[KeyPath]:  # noqa: ANN401 - whatever TOML holds
    """Every path of a document that tomllib read."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in entries:
        yield (*path, key)
        yield from paths(inner, (*path, key))


@pytest.mark.parametrize("folder", ["rules", "sample_pcaps", "."])
def test_every_path_that_tomllib_reads_is_located(folder: str) -> None:
    files = [*(ROOT / folder).glob("*.toml"), *((ROOT / "rules").rglob("*.toml") if folder == "rules" else ())]
    assert files
    for file in files:
        text = file.read_text(encoding="utf-8")
        assert set(toml_positions.locate(text).keys) == set(paths(tomllib.loads(text))), file


@pytest.mark.parametrize("text", ["a = [1", "a = 1\n= 2", "[a\nb = 1", "a = 1\nb", 'a = "\\q"\n"\\q" = 1', "x = " + "[" * 5_000])
def test_a_document_that_is_no_toml_is_located_as_far_as_it_goes(text: str) -> None:
    toml_positions.locate(text)


def test_entries_are_counted_from_one_for_readers() -> None:
    assert toml_positions.describe(("capture", 0, "expect", 1, "verdict")) == "capture 1, expect 2, verdict"
    assert toml_positions.describe(()) == ""
