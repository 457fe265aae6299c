"""Inputs that some reader got wrong, each with what is right for it: a table of expressions that lies beside the checkout."""

from __future__ import annotations

import csv
import functools
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from jsonschema import Draft202012Validator

from analyzer.cli import run
from tests.reference.public import CASES, WITHOUT_CASES

if TYPE_CHECKING:
    from collections.abc import Callable

WORDS: Final = {word.__name__: word for word in (abs, all, any, int, isinstance, len, set, sorted, str, sum)}
"""What expressions may call."""

if not (CASES / "cases.tsv").is_file():
    pytest.skip(WITHOUT_CASES, allow_module_level=True)

pytestmark = pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")


def _load() -> list[dict[str, str]]:
    """Return the rows of the table."""
    with (CASES / "cases.tsv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


class _Record(dict[str, Any]):
    """A JSON object whose members are attributes, too; one that is not there is an `AttributeError`."""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever JSON holds
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


@functools.cache
def _validator() -> Draft202012Validator:
    schema = Path(__file__).resolve().parents[2] / "rules" / "schema" / "report.schema.json"
    return Draft202012Validator(json.loads(schema.read_text(encoding="utf-8")))


def _describe(report: _Record, status: int, row: dict[str, str], printed: Callable[..., str]) -> dict[str, Any]:
    """Return what an expression may name: of the report, of its first connection, and of what is printed where it asks for that."""
    valid = "valid" not in row["check"] or _validator().is_valid(report)
    found = [finding for flow in report.flows for finding in flow.findings]
    for flow in report.flows:
        flow["ids"] = [finding.id for finding in flow.findings]
    path, asked = str(CASES / row["name"]), row["check"]
    return WORDS | {
        "F": report.flows,
        "f": report.flows[0] if report.flows else _Record(),
        "V": [flow.verdict for flow in report.flows],
        "T": report.transactions,
        "ids": {finding.id for finding in found},
        "warn": {finding.id for finding in found if finding.severity != "note"},
        "sev": {finding.id: finding.severity for finding in found},
        "cap": report.captures[0],
        "d": report,
        "rc": status,
        "valid": valid,
        "text": printed("check", "--no-expect", path) if "text" in asked else "",
        "show": printed("show", path, "f1") if "show" in asked and report.flows else "",
    }


@pytest.mark.parametrize("engine", ["native", "pyshark"])
@pytest.mark.parametrize("row", _load(), ids=lambda row: row["name"].removesuffix(".pcap"))
def test_what_is_right_for_a_case_is_found(row: dict[str, str], engine: str, capfd: pytest.CaptureFixture[str]) -> None:
    def printed(*arguments: str) -> str:
        run(list(arguments))
        return capfd.readouterr().out

    status = run(["check", "--no-expect", "--format", "json", "--engine", engine, str(CASES / row["name"])])
    report = json.loads(capfd.readouterr().out, object_hook=_Record)
    names = _describe(report, status, row, printed)
    told = [(flow.verdict, flow.service, flow.ids) for flow in report.flows]
    right = eval(row["check"].replace("&&", " and "), {**names, "__builtins__": {}})  # noqa: S307 - the table is a test, as this file is
    assert right, f"{row['check']}\nbecause {row['why']}\nbut status {status}, {told}"
