"""The samples' index: complete, well-formed, and in agreement with tshark about how many connections there are."""

from __future__ import annotations

import json
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from analyzer import notation

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "sample_pcaps"
SCHEMA = json.loads((ROOT / "rules" / "schema" / "expect.schema.json").read_text(encoding="utf-8"))
INDEX = tomllib.loads((FOLDER / "expect.toml").read_text(encoding="utf-8"))
CAPTURES: list[dict[str, Any]] = INDEX["capture"]
LIMIT_BYTES = 2_000_000


def problems(document: object) -> list[str]:
    validator = jsonschema.Draft202012Validator(SCHEMA)
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(document)]


def one(**expectation: object) -> dict[str, object]:
    return {"schema": 1, "capture": [{"file": "a.pcap", "expect": [expectation]}]}


def test_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_index_follows_the_schema() -> None:
    assert problems(INDEX) == []


@pytest.mark.parametrize(
    "document",
    [
        one(count=1, reason="neither verdict nor finding"),
        one(verdict="complete", finding="isn-zero", count=1, reason="both"),
        one(verdict="Not A Verdict", count=1, reason="not kebab-case"),
        one(verdict="complete", count=1, reason=1),
        one(verdict="complete", reason="no count"),
        one(verdict="complete", count=-1, reason="negative"),
        one(verdict="complete", count=1.5, reason="a fraction"),
        one(finding="Not An Id", count=1, reason="not kebab-case"),
        one(verdict="complete", count=1, reason="surplus key", note="surplus"),
        {"schema": 2, "capture": [{"file": "a.pcap", "expect": [{"verdict": "complete", "count": 1, "reason": "other version"}]}]},
        {"schema": 1, "capture": [{"file": "../a.pcap", "expect": [{"verdict": "complete", "count": 1, "reason": "outside"}]}]},
        {"schema": 1, "capture": [{"file": "a.pcap"}]},
        {},
    ],
)
def test_schema_refuses(document: object) -> None:
    assert problems(document)


def test_schema_accepts_the_least() -> None:
    assert problems(one(finding="isn-zero", count=0)) == []
    assert problems({"schema": 1}) == []


def test_every_sample_has_an_entry_and_every_entry_a_sample() -> None:
    listed = [entry["file"] for entry in CAPTURES]
    assert sorted(listed) == sorted(path.name for path in FOLDER.iterdir() if path.suffix == ".pcap")


@pytest.mark.parametrize("script", sorted(FOLDER.glob("*.txt")), ids=lambda path: path.stem)
def test_a_scripted_sample_is_what_its_script_makes(script: Path) -> None:
    text = script.read_text(encoding="utf-8")
    assert text.startswith("# ")
    assert notation.build(notation.parse(text, where=script.name)) == script.with_suffix(".pcap").read_bytes()


def test_scripted_samples_are_called_so_and_have_their_scripts() -> None:
    scripted = sorted(path.stem for path in FOLDER.glob("scripted-*.pcap"))
    assert scripted == sorted(path.stem for path in FOLDER.glob("*.txt"))
    assert scripted


def test_every_entry_says_where_it_is_from_and_what_it_shows() -> None:
    assert [entry["file"] for entry in CAPTURES if not entry.get("origin") or not entry.get("shows")] == []


def test_nothing_is_expected_twice() -> None:
    for entry in CAPTURES:
        names = [expectation.get("verdict") or f"finding {expectation['finding']}" for expectation in entry["expect"]]
        assert len(names) == len(set(names)), entry["file"]


def test_samples_stay_small() -> None:
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < LIMIT_BYTES


@pytest.mark.parametrize("entry", CAPTURES, ids=lambda entry: entry["file"])
def test_verdicts_cover_every_connection_tshark_counts(entry: dict[str, Any]) -> None:
    tshark = shutil.which("tshark")
    if tshark is None:
        pytest.skip("tshark is not installed")
    # A header quoted in an ICMP error belongs to the stream of the segment it quotes, so streams are counted without those frames.
    names = ["tcp.stream", "tcp.flags", "ip.addr", "ipv6.addr", "tcp.port"]
    command = [tshark, "-n", "-r", str(FOLDER / entry["file"]), "-Y", "tcp && !icmp && !icmpv6", "-T", "fields"]
    command += [word for name in names for word in ("-e", name)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    begun: set[str] = set()
    streams: set[str] = set()
    tuples: set[tuple[frozenset[str], ...]] = set()
    for line in printed.splitlines():
        stream, flags, *ends = line.split("\t")
        between = tuple(frozenset(end.split(",")) for end in ends)
        # From tshark 4.4 on a SYN+ACK behind a RST begins a stream; the SYN that it answers has begun one.
        if stream not in begun and (int(flags, 16) & 0x12 != 0x12 or between not in tuples):
            streams.add(stream)
        begun.add(stream)
        tuples.add(between)
    verdicts = sum(expectation["count"] for expectation in entry["expect"] if "verdict" in expectation)
    assert verdicts == len(streams)
