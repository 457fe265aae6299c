"""A baseline suppresses as many rows as its entries count, and reports those that count too many."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from analyzer.errors import RuleError
from analyzer.model import FINDINGS, FLOWS
from analyzer.suppression import baseline

if TYPE_CHECKING:
    from pathlib import Path

    from analyzer.schema import Table

BLANK: dict[str, Any] = {"str": "", "int64": 0, "float64": 0.0, "bool": False, "object": ()}
ENDPOINTS = {"client_ip": "192.0.2.10", "server_ip": "2001:db8::1", "server_port": 80}


def table(shape: Table, rows: list[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            column.name: pd.Series([row.get(column.name, BLANK[column.dtype]) for row in rows], dtype=column.dtype)
            for column in shape.columns
        }
    )


def flows(*verdicts: str) -> pd.DataFrame:
    return table(FLOWS, [ENDPOINTS | {"flow_id": f"f{number}", "verdict": verdict} for number, verdict in enumerate(verdicts, 1)])


def accepted(kind: str, name: str, count: int) -> str:
    return (
        f'[[accepted]]\nfile = "a.pcap"\n{kind} = "{name}"\nclient = "192.0.2.10"\nserver = "[2001:db8::1]:80"\n'
        f'count = {count}\nreason = "known"\n'
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "a.pcap").write_bytes(b"")
    return tmp_path / baseline.FILE


def test_rows_beyond_the_count_are_not_suppressed(path: Path) -> None:
    path.write_text("schema = 1\n" + accepted("verdict", "refused", 2), encoding="utf-8")
    connections = flows("refused", "complete", "refused", "refused")
    stale = baseline.accept(connections, table(FINDINGS, []), [str(path.parent / "a.pcap")], path, frozenset())
    assert connections["excused"].tolist() == [True, False, True, False]
    assert stale == {}


def test_an_entry_that_counts_more_than_was_found_is_stale(path: Path) -> None:
    path.write_text("schema = 1\n" + accepted("finding", "syn-data", 3), encoding="utf-8")
    findings = table(FINDINGS, [{"flow_id": "f1", "id": "syn-data"}, {"flow_id": "f1", "id": "syn-psh"}])
    captures = [str(path.parent / "a.pcap")]
    stale = baseline.accept(flows("complete"), findings, captures, path, frozenset({"syn-data"}))
    assert findings["excused"].tolist() == [True, False]
    assert [note.id for note in stale[0]] == ["baseline-stale"]
    assert stale[0][0].text.endswith("accepted 3, found 1")


def test_an_entry_of_a_rule_that_is_not_reported_is_not_stale(path: Path) -> None:
    path.write_text("schema = 1\n" + accepted("finding", "syn-data", 1), encoding="utf-8")
    captures = [str(path.parent / "a.pcap")]
    assert baseline.accept(flows("complete"), table(FINDINGS, []), captures, path, frozenset()) == {}


def test_an_entry_twice_is_refused(path: Path) -> None:
    path.write_text("schema = 1\n" + accepted("verdict", "refused", 1) + accepted("verdict", "refused", 2), encoding="utf-8")
    with pytest.raises(RuleError, match=r"refused of 192\.0\.2\.10 and .* is listed twice"):
        baseline.load(path)


def test_captures_that_do_not_exist_are_named(path: Path) -> None:
    path.write_text("schema = 1\n" + accepted("verdict", "refused", 1), encoding="utf-8")
    assert baseline.missing_captures(path) == []
    (path.parent / "a.pcap").unlink()
    assert baseline.missing_captures(path) == ["a.pcap"]
