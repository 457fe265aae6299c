from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from analyzer.errors import RuleError
from analyzer.model import FINDINGS, FLOWS
from analyzer.suppression import expectations

if TYPE_CHECKING:
    from pathlib import Path

    from analyzer.schema import Table

HEAD = "schema = 1\n"
BLANK: dict[str, Any] = {"str": "", "int64": 0, "float64": 0.0, "bool": False, "object": ()}


def table(shape: Table, rows: list[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            column.name: pd.Series([row.get(column.name, BLANK[column.dtype]) for row in rows], dtype=column.dtype)
            for column in shape.columns
        }
    )


def entry(file: str, *expected: str) -> str:
    lines = [f'[[capture]]\nfile = "{file}"\norigin = "scripted"\nshows = "a test"']
    for item in expected:
        kind, name, count = item.split()
        lines.append(f'[[capture.expect]]\n{kind} = "{name}"\ncount = {count}\nreason = "meant so"')
    return "\n".join(lines) + "\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.pcap", "b.pcap"):
        (tmp_path / name).write_bytes(b"")
    return tmp_path


def write(folder: Path, *entries: str) -> Path:
    path = folder / "expect.toml"
    path.write_text(HEAD + "".join(entries), encoding="utf-8")
    return path


def apply(folder: Path) -> expectations.Suppressions:
    """Two refused and one complete in a.pcap, one refused in b.pcap; one finding twice on a connection, once on another."""
    flows = table(
        FLOWS,
        [
            {"flow_id": "f1", "capture": 0, "verdict": "refused"},
            {"flow_id": "f2", "capture": 0, "verdict": "complete"},
            {"flow_id": "f3", "capture": 0, "verdict": "refused"},
            {"flow_id": "f4", "capture": 1, "verdict": "refused"},
        ],
    )
    findings = table(
        FINDINGS,
        [
            {"flow_id": "f1", "id": "syn-retransmitted"},
            {"flow_id": "f1", "id": "syn-retransmitted"},
            {"flow_id": "f3", "id": "syn-retransmitted"},
            {"flow_id": "f4", "id": "syn-retransmitted", "capture": 1},
        ],
    )
    return expectations.apply(flows, findings, [str(folder / "a.pcap"), str(folder / "b.pcap")])


def test_without_a_file_nothing_is_excused(folder: Path) -> None:
    excuses = apply(folder)
    assert not excuses.flow.any()
    assert not excuses.finding.any()
    assert excuses.failures == {}


def test_a_verdict_met_exactly_is_excused_in_its_capture_only(folder: Path) -> None:
    write(folder, entry("a.pcap", "verdict refused 2"))
    excuses = apply(folder)
    assert excuses.flow.tolist() == [True, False, True, False]
    assert not excuses.finding.any()
    assert excuses.failures == {}


def test_a_finding_is_counted_by_connection_and_all_of_its_rows_are_excused(folder: Path) -> None:
    write(folder, entry("a.pcap", "finding syn-retransmitted 2"))
    excuses = apply(folder)
    assert excuses.finding.tolist() == [True, True, True, False]
    assert not excuses.flow.any()
    assert excuses.failures == {}


@pytest.mark.parametrize(("count", "kind"), [(3, "expected-absent"), (1, "expected-surplus"), (0, "expected-surplus")])
def test_another_number_excuses_nothing_and_says_what_was_found(folder: Path, count: int, kind: str) -> None:
    write(folder, entry("a.pcap", f"verdict refused {count}", "finding syn-retransmitted 2"))
    excuses = apply(folder)
    assert not excuses.flow.any()
    assert excuses.finding.tolist() == [True, True, True, False]
    [note] = excuses.failures[0]
    assert note.id == kind
    assert note.text == f"connections with verdict refused: expected {count}, found 2 (meant so)"


def test_none_of_a_kind_can_be_demanded(folder: Path) -> None:
    write(folder, entry("b.pcap", "finding early-reset 0", "verdict aborted 0"))
    assert apply(folder).failures == {}


def test_a_capture_of_another_name_for_the_same_file_is_found(folder: Path) -> None:
    write(folder, entry("a.pcap", "verdict refused 2"))
    flows = table(FLOWS, [{"flow_id": "f1", "verdict": "refused"}])
    excuses = expectations.apply(flows, table(FINDINGS, []), [str(folder / "." / "a.pcap")])
    assert list(excuses.failures) == [0]


def test_no_connection_at_all_is_a_surplus_or_an_absence_like_any_other(folder: Path) -> None:
    write(folder, entry("a.pcap", "verdict refused 1"))
    excuses = expectations.apply(table(FLOWS, []), table(FINDINGS, []), [str(folder / "a.pcap")])
    assert excuses.failures[0][0].id == "expected-absent"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (entry("c.pcap", "verdict refused 1"), r"expect.toml:3:1: capture 1, file: there is no c.pcap"),
        (entry("a.pcap", "verdict refused 1") * 2, r"expect.toml:11:1: capture 2, file: a.pcap is named twice"),
        (
            entry("a.pcap", "verdict refused 1", "verdict refused 2"),
            r"expect.toml:10:1: capture 1, expect 2: verdict refused is expected twice",
        ),
        (entry("a.pcap", "verdict Fine 1"), r"expect.toml:7:1: capture 1, expect 1, verdict: 'Fine' does not match"),
        (entry("../a.pcap", "verdict refused 1"), r"expect.toml:3:1: capture 1, file"),
        (entry("a.pcap", "verdict refused -1"), r"expect.toml:8:1: capture 1, expect 1, count"),
        ("surprise = 1\n", "surprise"),
        ("[[capture]]\nfile = ]", "line 3"),
        ('[[capture]]\nfile = "a.pcap"\nexpect = ' + "[" * 3_000 + "]" * 3_000, "nested too deeply"),
        ("#" + "x" * 300_000, "larger than 256000 bytes"),
    ],
)
def test_a_bad_file_is_refused_with_its_place(folder: Path, text: str, says: str) -> None:
    path = write(folder, text)
    with pytest.raises(RuleError, match=says) as caught:
        apply(folder)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_capture_in_another_folder_is_refused(folder: Path) -> None:
    (folder / "sub").mkdir()
    (folder / "sub" / "c.pcap").write_bytes(b"")
    write(folder, entry("sub/c.pcap", "verdict refused 1"))
    with pytest.raises(RuleError, match="not in the folder of this file"):
        apply(folder)


def test_a_glob_stands_for_each_capture_that_it_matches(folder: Path) -> None:
    write(folder, entry("?.pcap", "verdict refused 1"))
    held = apply(folder)
    assert held.flow.tolist() == [False, False, False, True]
    assert list(held.failures) == [0]


def test_a_capture_named_is_no_globs_business(folder: Path) -> None:
    write(folder, entry("*", "verdict refused 1"), entry("a.pcap", "verdict refused 2"))
    assert apply(folder).failures == {}


def test_a_name_is_a_name_before_it_is_a_glob(folder: Path) -> None:
    (folder / "[a].pcap").write_bytes(b"")
    expected = expectations.load(write(folder, entry("[a].pcap", "verdict refused 2")))
    assert [path.rpartition("/")[2] for path in expected] == ["[a].pcap"]


@pytest.mark.parametrize(
    ("entries", "says"),
    [
        ((entry("c*.pcap", "verdict refused 1"),), "there is no c\\*.pcap in the folder of this file"),
        ((entry("a*", "verdict refused 1"), entry("*.pcap", "verdict refused 2")), "verdict refused is expected twice"),
    ],
)
def test_a_glob_that_matches_nothing_or_says_it_again_is_refused(folder: Path, entries: tuple[str, ...], says: str) -> None:
    path = write(folder, *entries)
    with pytest.raises(RuleError, match=says):
        expectations.load(path)


def test_a_verdict_that_the_rules_do_not_have_is_refused_with_the_nearest(folder: Path) -> None:
    path = write(folder, entry("a.pcap", "verdict refusd 1"))
    with pytest.raises(RuleError) as caught:
        expectations.load(path, ("complete", "refused"))
    expected = f"{path}:7:1: capture 1, expect 1, verdict: no verdict is called refusd: did you mean refused?"
    assert str(caught.value) == expected
    write(folder, entry("a.pcap", "verdict zzz 1"))
    with pytest.raises(RuleError, match="no verdict is called zzz; there are complete, refused"):
        expectations.load(path, ("complete", "refused"))


@pytest.mark.parametrize("reason", ['reason = ""\n', 'reason = "  "\n', ""])
def test_an_entry_without_a_reason_does_not_count_and_is_reported_with_its_line(folder: Path, reason: str) -> None:
    text = entry("a.pcap", "verdict refused 2", "finding syn-retransmitted 2")
    path = write(folder, text.replace('reason = "meant so"\n', reason, 1))
    held = apply(folder)
    assert not held.flow.any()
    assert held.finding.tolist() == [True, True, True, False]
    [note] = held.failures[0]
    assert (note.id, note.text) == ("expected-without-reason", f"{path}:6:1: verdict refused has no reason and does not count")


def test_a_glob_without_a_reason_is_reported_once(folder: Path) -> None:
    write(folder, entry("*.pcap", "verdict refused 2").replace("meant so", ""))
    assert [len(notes) for notes in apply(folder).failures.values()] == [1]


def test_a_file_without_entries_expects_nothing(folder: Path) -> None:
    assert expectations.load(write(folder)) == {}
