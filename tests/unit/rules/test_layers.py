"""Rules that users lay on top of the shipped ones, on real captures through the whole command."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from analyzer.cli import run

if TYPE_CHECKING:
    from collections.abc import Callable

    Run = Callable[..., tuple[int, str, str]]

ROOT = Path(__file__).resolve().parents[3]
SAMPLES = ROOT / "sample_pcaps"
LAYER = 'schema = 1\nextends = "opening"\n'
SLOW = '''
schema = 1
id = "slow-retry"
severity = "error"
title = "SYN sent again only after a while"
message = "The SYN with sequence number {seq} was sent again {after} ms later."
why = "Our service promises a retry within half a second."
references = ["our handbook, 3"]
causes = ["a busy host"]
[[example]]
fires = true
note = "a second"
segments = """
> S 100:100(0)
+1.000 > S 100:100(0)
"""
[[example]]
fires = false
note = "a tenth of it"
segments = """
> S 100:100(0)
+0.100 > S 100:100(0)
"""
'''
ROW = """
[[row]]
id = "slow-retry"
before = "syn-again"
at = { client = "SYN_SENT", server = "LISTEN" }
match = "client syn"
when = "seq == syn.isn and time - syn_time > 500ms"
set = { syn_time = "time" }
emit = ["slow-retry", "syn-retransmitted"]
evidence = "syn"
values = { after = "time - syn_time" }
"""
CHECK = """
schema = 1
id = "window-of-linux"
severity = "warning"
title = "The window a Linux client begins with"
message = "The SYN offers a window of {window}."
why = "We want to know."
references = []
causes = []
[check]
scope = "segment"
match = ["client syn"]
when = "window == 64240 and mss == 1460"
[[example]]
fires = true
note = "it"
segments = "> S 100:100(0) win 64240 <mss 1460>"
[[example]]
fires = false
note = "another"
segments = "> S 100:100(0) win 65535 <mss 1460>"
"""
VERDICT = """
[[verdict]]
is = "gave-up"
before = "unanswered"
outcome = "broken"
counts_as = "error"
meaning = "The client asked several times and nobody answered."
when = "n_server == 0 and ending == none and n_syn >= 3"
"""

needs_tshark = pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")


@pytest.fixture
def pcaplint(capfdbinary: pytest.CaptureFixture[bytes]) -> Run:
    def call(*arguments: str | Path) -> tuple[int, str, str]:
        status = run([str(argument) for argument in arguments])
        out, err = capfdbinary.readouterr()
        return status, out.decode(), err.decode()

    return call


@pytest.fixture
def layer(tmp_path: Path) -> Callable[..., Path]:
    """A folder of rule files, by name without the ending."""

    def write(**files: str) -> Path:
        for name, text in files.items():
            (tmp_path / f"{name.replace('_', '-')}.toml").write_text(text)
        return tmp_path

    return write


def check(pcaplint: Run, capture: str, *options: str | Path) -> tuple[int, list[dict[str, Any]]]:
    """Return the status and the connections of a check without expectations; the report follows its schema."""
    status, out, err = pcaplint("check", "--no-expect", "--format", "json", SAMPLES / capture, *options)
    assert "internal" not in err
    report = json.loads(out)
    schema = json.loads((ROOT / "rules" / "schema" / "report.schema.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(report)
    return status, report["flows"]


def found(flows: list[dict[str, Any]]) -> dict[str, str]:
    return {finding["id"]: finding["severity"] for flow in flows for finding in flow["findings"]}


@needs_tshark
def test_a_row_goes_before_a_named_one(pcaplint: Run, layer: Callable[..., Path]) -> None:
    folder = layer(opening=LAYER + ROW, slow_retry=SLOW)
    assert pcaplint("rules", "check", folder)[0] == 0
    status, flows = check(pcaplint, "lost-syn.pcap", "--rules", folder)
    assert status == 1
    assert found(flows)["slow-retry"] == "error"
    [finding] = [one for one in flows[0]["findings"] if one["id"] == "slow-retry"]
    # The client's kernel waits a second before it repeats a SYN (RFC 6298 2.1).
    assert [one["frame"] for one in finding["frames"]] == [1, 2]
    assert 1000 <= int(finding["message"].split()[-3]) < 1100
    assert flows[0]["verdict"] == "complete"
    assert check(pcaplint, "lost-syn.pcap")[0] == 0


@needs_tshark
def test_a_severity_is_changed(pcaplint: Run, layer: Callable[..., Path]) -> None:
    folder = layer(opening=LAYER + '[severity]\nsyn-retransmitted = "error"\n')
    assert pcaplint("rules", "check", folder)[0] == 0
    before, after = check(pcaplint, "lost-syn.pcap"), check(pcaplint, "lost-syn.pcap", "--rules", folder)
    assert (before[0], found(before[1])["syn-retransmitted"]) == (0, "note")
    assert (after[0], found(after[1])["syn-retransmitted"]) == (1, "error")


@needs_tshark
def test_a_rule_is_disabled_and_verdicts_stay(pcaplint: Run, layer: Callable[..., Path]) -> None:
    folder = layer(opening=LAYER + 'disable = ["ack3-missing"]\n')
    assert pcaplint("rules", "check", folder)[0] == 0
    before, after = check(pcaplint, "half-open.pcap"), check(pcaplint, "half-open.pcap", "--rules", folder)
    assert found(before[1]).keys() - found(after[1]).keys() == {"ack3-missing"}
    assert [flow["verdict"] for flow in after[1]] == [flow["verdict"] for flow in before[1]] == ["half-open"]
    assert pcaplint("rules", "explain", "ack3-missing", "--rules", folder)[0] == 2


@needs_tshark
def test_a_check_is_added(pcaplint: Run, layer: Callable[..., Path]) -> None:
    folder = layer(window_of_linux=CHECK)
    before, after = pcaplint("rules", "check"), pcaplint("rules", "check", folder)
    assert (before[0], after[0]) == (0, 0)
    assert int(after[1].split()[0]) == int(before[1].split()[0]) + 1
    status, flows = check(pcaplint, "lost-syn.pcap", "--rules", folder)
    assert (status, found(flows)["window-of-linux"]) == (1, "warning")
    assert [one["message"] for one in flows[0]["findings"] if one["id"] == "window-of-linux"] == [
        "The SYN offers a window of 64240. (2 times)"
    ]
    status, out, _ = pcaplint("rules", "explain", "window-of-linux", "--rules", folder)
    assert status == 0
    assert "window-of-linux: The SYN offers a window of 64240." in " ".join(out.split())
    status, out, _ = pcaplint("check", "--no-expect", "--format", "sarif", SAMPLES / "lost-syn.pcap", "--rules", folder)
    assert "window-of-linux" in [rule["id"] for rule in json.loads(out)["runs"][0]["tool"]["driver"]["rules"]]


@needs_tshark
def test_a_verdict_is_added(pcaplint: Run, layer: Callable[..., Path]) -> None:
    folder = layer(opening=LAYER + VERDICT)
    assert pcaplint("rules", "check", folder)[0] == 0
    _, before = check(pcaplint, "dropped-syn.pcap")
    assert {flow["verdict"] for flow in before} == {"unanswered"}
    assert check(pcaplint, "dropped-syn.pcap", "--fail-on", "error")[0] == 0
    status, flows = check(pcaplint, "dropped-syn.pcap", "--rules", folder, "--fail-on", "error")
    assert (status, {flow["verdict"] for flow in flows}, {flow["outcome"] for flow in flows}) == (1, {"gave-up"}, {"broken"})
    assert "asked several times" in pcaplint("rules", "explain", "gave-up", "--rules", folder)[1]


def test_everything_at_once_and_in_the_picture(pcaplint: Run, layer: Callable[..., Path]) -> None:
    folder = layer(opening=LAYER + 'disable = ["ack3-missing"]\n' + ROW + VERDICT, slow_retry=SLOW, window_of_linux=CHECK)
    status, _, err = pcaplint("rules", "check", folder)
    assert (status, err) == (0, "")
    status, out, _ = pcaplint("rules", "draw", "--rules", folder)
    assert status == 0
    assert "slow-retry (client syn)" in out


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"opening": LAYER + ROW.replace("syn-again", "syn-agian"), "slow_retry": SLOW}, "no row is called syn-agian"),
        ({"opening": LAYER + ROW}, "slow-retry: emitted, but no file describes it"),
        ({"slow_retry": SLOW}, "slow-retry can never be found"),
        ({"opening": LAYER + ROW.replace("syn.isn and", "syn.isnn and"), "slow_retry": SLOW}, "isnn"),
        ({"opening": LAYER + 'disable = ["ack3-mising"]\n'}, "did you mean ack3-missing"),
        ({"opening": LAYER + '[severity]\nack3-missing = "fatal"\n'}, "severity"),
        ({"opening": LAYER + VERDICT.replace('"unanswered"', '"unasked"')}, "no verdict is called unasked"),
        ({"window_of_linux": CHECK.replace("mss == 1460", "mms == 1460")}, "mms"),
        ({"window_of_linux": CHECK.replace("win 64240", "win 64241")}, "example 1: window-of-linux is not found, but must be"),
        ({"window_of_linux": CHECK.replace("win 65535", "win 64240")}, "example 2: window-of-linux is found, but must not be"),
        ({"window_of_linux": CHECK.replace("> S 100:100(0) win 65535", "> S 100:101(0) win 65535")}, "example 2: line 1, column 9"),
    ],
)
def test_a_fault_is_one_line_with_the_file(pcaplint: Run, layer: Callable[..., Path], files: dict[str, str], said: str) -> None:
    folder = layer(**files)
    status, out, err = pcaplint("rules", "check", folder)
    assert (status, out) == (6, "")
    assert said in err
    assert str(folder) in err
    assert len(err.splitlines()) == 1
