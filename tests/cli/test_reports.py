from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pytest
from jsonschema import Draft202012Validator

if TYPE_CHECKING:
    from collections.abc import Callable

    Run = Callable[..., tuple[int, str, str]]

tshark = pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")


@tshark
def test_one_run_writes_many_reports(captures: Path, pcaplint: Run) -> None:
    status, out, err = pcaplint("check", "--report", "sarif=a.sarif", "--report", "junit=b.xml", "--report", "csv=c.csv", "wrong.pcap")
    assert status == 1
    assert "synack-ack-wrong" in out
    assert err == ""
    assert json.loads((captures / "a.sarif").read_text())["version"] == "2.1.0"
    assert (captures / "b.xml").read_text().startswith("<?xml")
    assert (captures / "c.csv").read_text().startswith("flow_id,")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--report", "pdf=x"], "'pdf=x' is not KIND=FILE"),
        (["--report", "json"], "'json' is not KIND=FILE"),
        (["--report", "json="], "'json=' is not KIND=FILE"),
        (["--report", "json=none/x"], "--report none/x: there is no folder none"),
        (["--report", "json=x", "--report", "sarif=./x"], "two reports go to one file"),
        (["--report", "json=good.pcap"], "is one of the captures"),
    ],
)
def test_a_report_that_cannot_be_is_refused_before_anything_is_read(captures: Path, pcaplint: Run, arguments: list[str], said: str) -> None:
    status, out, err = pcaplint("check", *arguments, "good.pcap")
    assert (status, out) == (2, "")
    assert said in err
    assert not (captures / "x").exists()


@tshark
def test_a_job_summary_is_appended_where_github_asks_for_one(captures: Path, pcaplint: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    summary = captures / "summary.md"
    summary.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    assert pcaplint("check", "-f", "github", "wrong.pcap")[0] == 1
    text = summary.read_text()
    assert text.startswith("before\n## pcaplint\n")
    assert "`synack-ack-wrong`" in text
    pcaplint("check", "wrong.pcap")
    assert summary.read_text() == text


@tshark
def test_report_writes_a_folder(captures: Path, pcaplint: Run) -> None:
    hostile = "..\\x\n=a.pcap"
    shutil.copy("wrong.pcap", captures / hostile)
    before = set(captures.iterdir())
    status, out, err = pcaplint("report", "good.pcap", hostile, "-o", "out")
    assert (status, out) == (1, "")
    assert "2 connections checked in 2 files" in err
    assert set(captures.iterdir()) - before == {captures / "out"}
    assert {"report.json", "flows.csv", "findings.csv", "steps.csv", "transactions.csv"} <= {path.name for path in Path("out").iterdir()}
    flows = pd.read_csv("out/flows.csv")
    document = json.loads(Path("out/report.json").read_text())
    assert flows["verdict"].tolist() == [flow["verdict"] for flow in document["flows"]] == ["complete", "invalid"]
    assert pcaplint("report", "good.pcap", "-o", "out")[0] == 0
    assert len(pd.read_csv("out/flows.csv")) == 1


@tshark
def test_report_leaves_links_alone(captures: Path, pcaplint: Run) -> None:
    (captures / "real").mkdir()
    (captures / "link").symlink_to("real")
    status, _, err = pcaplint("report", "good.pcap", "-o", "link")
    assert status == 2
    assert "is a link" in err
    (captures / "real" / "flows.csv").symlink_to("../good.pcap")
    before = (captures / "good.pcap").read_bytes()
    assert pcaplint("report", "good.pcap", "-o", "real")[0] == 2
    assert (captures / "good.pcap").read_bytes() == before
    assert [path.name for path in (captures / "real").iterdir()] == ["flows.csv"]


def test_every_schema_is_listed_printed_and_a_schema(pcaplint: Run) -> None:
    status, out, _ = pcaplint("schema")
    names = out.split()
    assert status == 0
    assert {"baseline", "config", "expect", "finding", "opening", "report"} <= set(names)
    for name in names:
        Draft202012Validator.check_schema(json.loads(pcaplint("schema", name)[1]))
    status, out, err = pcaplint("schema", "pdf")
    assert (status, out) == (2, "")
    assert "no schema is called pdf; there are baseline, " in err
