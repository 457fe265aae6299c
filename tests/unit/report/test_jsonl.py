from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from jsonschema import Draft202012Validator, ValidationError

from analyzer import __version__
from analyzer import report as reports

if TYPE_CHECKING:
    from collections.abc import Callable

    from analyzer.model import Report

SCHEMA = json.loads((Path(__file__).parents[3] / "rules" / "schema" / "report.schema.json").read_text())
LINE = Draft202012Validator({"$ref": "#/$defs/line", "$defs": SCHEMA["$defs"]})


def test_golden(written: Callable[..., str], golden: Callable[[str, str], None]) -> None:
    golden("report.jsonl", written("jsonl").replace(f'"pcaplint": "{__version__}"', '"pcaplint": "X"'))


def test_every_line_is_valid_and_of_one_kind(written: Callable[..., str]) -> None:
    rows = [json.loads(line) for line in written("jsonl").splitlines()]
    for row in rows:
        LINE.validate(row)
    assert [row["kind"] for row in rows] == ["report", *["capture"] * 3, *["flow"] * 5, *["transaction"] * 4, "summary"]
    assert [row["index"] for row in rows if row["kind"] == "capture"] == [0, 1, 2]
    with pytest.raises(ValidationError):
        LINE.validate(rows[4] | {"kind": "capture"})


def test_the_lines_say_what_json_says(written: Callable[..., str]) -> None:
    whole = json.loads(written("json"))
    rows = [json.loads(line) for line in written("jsonl").splitlines()]
    assert [{name: value for name, value in row.items() if name != "kind"} for row in rows if row["kind"] == "flow"] == whole["flows"]
    said = [row for row in rows if row["kind"] == "transaction"]
    assert [row.pop("transaction") for row in said] == [row["kind"] for row in whole["transactions"]]
    assert [row | {"kind": one["kind"]} for row, one in zip(said, whole["transactions"], strict=True)] == whole["transactions"]
    assert rows[-1] == {"kind": "summary", **whole["summary"]}


def test_pieces_join_at_line_ends(huge: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analyzer.report.json.CHUNK", 7)
    rows = [json.loads(line) for line in "".join(reports.render(huge, "jsonl")).splitlines()]
    assert [row["flow_id"] for row in rows if row["kind"] == "flow"] == [f"f{number + 1}" for number in range(5_000)]
