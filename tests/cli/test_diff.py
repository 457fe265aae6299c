"""`pcaplint diff`: what is new and fixed between two trees of captures, or two reports."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator

from analyzer import notation

if TYPE_CHECKING:
    from collections.abc import Callable

    Call = Callable[..., tuple[int, str, str]]

SCHEMA = Path(__file__).resolve().parents[2] / "rules" / "schema" / "diff.schema.json"
OPENED = """\
> S  100:100(0) win 64240 <mss 1460>
< S. 300:300(0) ack 101 win 65535 <mss 1460>
> .  101:101(0) ack 301 win 64240
> P. 101:111(10) ack 301 win 64240
< .  301:301(0) ack 111 win 65535
"""
UNANSWERED = """\
> S  100:100(0) win 64240 <mss 1460>
+1 > S  100:100(0) win 64240 <mss 1460>
+2 > S  100:100(0) win 64240 <mss 1460>
"""


def write(path: Path, segments: str, client_port: int = 40_000) -> None:
    """Write a capture of one connection."""
    path.parent.mkdir(parents=True, exist_ok=True)
    head = f"client 192.0.2.7:{client_port}\nserver 198.51.100.20:7000\n"
    path.write_bytes(notation.build(notation.parse(head + segments)))


@pytest.fixture
def trees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Two trees: `a` fails in both, from other client ports; `b` fails only in old, `c` only in new."""
    monkeypatch.chdir(tmp_path)
    for tree, failing in (("old", "ab"), ("new", "ac")):
        for name in "abc":
            port = 40_000 if tree == "old" else 50_000
            write(Path(tree, "mail", f"{name}.pcap"), UNANSWERED if name in failing else OPENED, port)
    return Path("old"), Path("new")


def compared(pcaplint: Call, *arguments: str | Path) -> dict[str, Any]:
    _, out, err = pcaplint("diff", *arguments, "--format", "json")
    assert not err
    found: dict[str, Any] = json.loads(out)
    Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8"))).validate(found)
    return found


def verdicts(entries: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(entry["capture"], entry["name"]) for entry in entries if entry["kind"] == "verdict"]


def test_two_trees(pcaplint: Call, trees: tuple[Path, Path]) -> None:
    found = compared(pcaplint, *trees)
    assert verdicts(found["new"]) == [("mail/c.pcap", "unanswered")]
    assert verdicts(found["fixed"]) == [("mail/b.pcap", "unanswered")]
    assert verdicts(found["unchanged"]) == [("mail/a.pcap", "unanswered")]
    assert found["verdicts"] == {"complete": {"old": 1, "new": 1}, "unanswered": {"old": 2, "new": 2}}
    status, out, _ = pcaplint("diff", *trees)
    assert status == 1
    assert re.search(r"^new:\n(  \w+ [\w-]+: mail/c\.pcap .*\n)+fixed:\n(  \w+ [\w-]+: mail/b\.pcap .*\n)+\Z", out, re.MULTILINE)


def test_nothing_new_is_status_0_whatever_was_fixed(pcaplint: Call, trees: tuple[Path, Path]) -> None:
    old, _ = trees
    write(Path("better/mail/a.pcap"), UNANSWERED, 41_000)
    write(Path("better/mail/b.pcap"), OPENED, 41_000)
    write(Path("better/mail/c.pcap"), OPENED, 41_000)
    status, out, _ = pcaplint("diff", old, "better")
    assert (status, out.startswith("0 new, ")) == (0, True)
    assert pcaplint("diff", "better", old)[0] == 1
    assert pcaplint("diff", "better", old, "--fail-on", "error")[0] == 0
    assert pcaplint("diff", "better", old, "--fail-on", "never")[0] == 0


def test_reports_in_files_give_what_the_trees_give(pcaplint: Call, trees: tuple[Path, Path]) -> None:
    for tree in trees:
        pcaplint("check", tree, "--format", "json", "-o", f"{tree}.json")
    by_trees = compared(pcaplint, *trees)
    by_files = compared(pcaplint, "old.json", "new.json")
    mixed = compared(pcaplint, "old.json", trees[1])
    for word in ("new", "fixed", "unchanged"):
        told = [[(Path(entry["capture"]).name, entry["name"]) for entry in found[word]] for found in (by_trees, by_files, mixed)]
        assert told[0] == told[1] == told[2]


def test_a_report_and_itself_have_no_difference(pcaplint: Call, trees: tuple[Path, Path]) -> None:
    found = compared(pcaplint, trees[0], trees[0])
    assert not found["new"]
    assert not found["fixed"]
    assert found["unchanged"]


def test_captures_of_one_side_only_are_named(pcaplint: Call, trees: tuple[Path, Path]) -> None:
    old, new = trees
    (old / "mail" / "c.pcap").unlink()
    (new / "mail" / "b.pcap").unlink()
    found = compared(pcaplint, old, new)
    assert (found["added"], found["removed"]) == (["mail/c.pcap"], ["mail/b.pcap"])
    assert verdicts(found["new"]) == [("mail/c.pcap", "unanswered")]
    assert not found["fixed"]


def test_one_more_of_equal_findings_is_new(pcaplint: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for number in range(3):
        write(Path(f"{number}.pcap"), UNANSWERED, 40_000 + number)
    for name, parts in (("old.pcap", "0.pcap 1.pcap"), ("new.pcap", "0.pcap 1.pcap 2.pcap")):
        join([Path(part) for part in parts.split()], Path(name))
    found = compared(pcaplint, "old.pcap", "new.pcap")
    assert len(verdicts(found["new"])) == 1
    assert len(verdicts(found["unchanged"])) == 2


def join(parts: list[Path], whole: Path) -> None:
    """Put pcap files of one kind behind one another."""
    contents = [part.read_bytes() for part in parts]
    whole.write_bytes(contents[0] + b"".join(content[24:] for content in contents[1:]))


def test_markdown_begins_with_its_marker_and_shows_nothing_of_a_name_as_markup(
    pcaplint: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    hostile = "a|b`@all<img src=x>"
    write(Path("old", f"{hostile}.pcap"), OPENED)
    write(Path("new", f"{hostile}.pcap"), UNANSWERED)
    status, out, _ = pcaplint("diff", "old", "new", "--format", "markdown")
    assert status == 1
    assert out.startswith("<!-- pcaplint diff -->\n## pcaplint: ")
    assert "``a\\x7cb`@all<img src=x>.pcap``" in out


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "not a report: "),
        ("{}", "not a report of pcaplint check --format json"),
        ('{"captures": [], "flows": [], "schema_version": "99"}', "schema version '99'"),
        ('{"captures": [1], "flows": [], "schema_version": "1"}', "cannot be compared"),
    ],
)
def test_what_is_no_report_is_status_3(pcaplint: Call, trees: tuple[Path, Path], content: str, words: str) -> None:
    Path("bad.json").write_text(content)
    status, out, err = pcaplint("diff", "bad.json", trees[0])
    assert (status, out, err.count("\n")) == (3, "", 1)
    assert words in err


def test_a_path_that_is_not_there_is_status_3(pcaplint: Call, trees: tuple[Path, Path]) -> None:
    status, _, err = pcaplint("diff", "nowhere", trees[0])
    assert (status, err) == (3, "pcaplint: error: nowhere: no such file or folder\n")


def test_what_is_expected_does_not_count(pcaplint: Call, trees: tuple[Path, Path]) -> None:
    old, new = trees
    expected = 'schema = 1\n[[capture]]\nfile = "c.pcap"\n[[capture.expect]]\nverdict = "unanswered"\ncount = 1\nreason = "tested"\n'
    (new / "mail" / "expect.toml").write_text(expected)
    assert not verdicts(compared(pcaplint, old, new)["new"])
    assert verdicts(compared(pcaplint, old, new, "--no-expect")["new"]) == [("mail/c.pcap", "unanswered")]
