from __future__ import annotations

import csv
import io
from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from analyzer import report as reports
from analyzer.errors import UsageError
from analyzer.model import FLOWS

if TYPE_CHECKING:
    from collections.abc import Callable

    from analyzer.model import Report


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


@pytest.mark.parametrize("table", reports.CSV_TABLES)
def test_golden(written: Callable[..., str], golden: Callable[[str, str], None], table: str) -> None:
    golden(f"{table}.csv", written("csv", table=table))


def test_lines_end_as_rfc_4180_says(written: Callable[..., str]) -> None:
    text = written("csv")
    assert text.count("\r\n") == 6
    assert text.count("\n") == text.count("\r") == 6


def test_every_column_is_there_and_named(written: Callable[..., str]) -> None:
    assert set(FLOWS.names) <= set(rows(written("csv"))[0])


def test_no_cell_of_text_begins_a_formula_and_numbers_stay_numbers(written: Callable[..., str]) -> None:
    flows = rows(written("csv"))
    assert flows[3]["tunnel"] == "'=cmd|' /C calc'!A0"
    assert flows[4]["service"] == "'@SUM(1)"
    assert flows[4]["vlan"] == "-2"
    assert rows(written("csv", table="findings"))[3]["message"] == "'=1+1"
    assert not any(cell.startswith(("=", "+", "@", "\t", "\r")) for row in flows for cell in row.values())


def test_no_control_character_reaches_a_cell(written: Callable[..., str]) -> None:
    for table in reports.CSV_TABLES:
        for row in rows(written("csv", table=table)):
            assert all(cell.isprintable() for cell in row.values())


def test_pandas_reads_it_back(written: Callable[..., str]) -> None:
    read = pd.read_csv(io.StringIO(written("csv")))
    assert read["start_time_ns"].iloc[0] == 1_700_000_000_123_456_789
    assert read["server_isn"].isna().tolist() == [False, False, True, False, False]
    assert read["confirmed"].tolist() == [True, True, False, True, True]
    assert read["rtt_ms"].iloc[0] == pytest.approx(1.11)


def test_frames_name_the_capture_only_when_it_is_another(written: Callable[..., str]) -> None:
    assert [row["frames"] for row in rows(written("csv", table="findings"))] == ["14 15", "18", "31 40 52 66", "0:9 1"]


def test_pieces_join_without_seam(huge: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analyzer.report.csv.CHUNK", 7)
    found = rows("".join(reports.render(huge, "csv")))
    assert [row["flow_id"] for row in found] == [f"f{number + 1}" for number in range(5_000)]


def test_lists_are_parted_without_doubt(written: Callable[..., str]) -> None:
    said = rows(written("csv", table="transactions"))
    assert [row["cookies"] for row in said] == ['sid; a\\x3bb; ""', "", "", ""]
    assert [row["rcpt_to"] for row in said] == ["", "", "c@d.example; =x@y.example", ""]
    assert [row["pipelined"] for row in said] == ["false", "false", "", ""]
    assert said[2]["rcpt_codes"] == "250; 550"
    assert said[1]["target"] == "'=1+1"
    assert (said[1]["code"], said[1]["time"], said[1]["latency_ms"]) == ("", "", "")


def test_secrets_are_told_in_a_last_column(report: Report) -> None:
    for table in reports.CSV_TABLES:
        bare, shown = ("".join(reports.render(one, "csv", reports.Layout(table=table))) for one in (report, replace(report, secrets=True)))
        assert "secrets" not in rows(bare)[0]
        found = rows(shown)
        assert [row.pop("secrets") for row in found] == ["true"] * len(rows(bare))
        assert found == rows(bare)


def test_an_unknown_table_is_refused_with_those_there_are(written: Callable[..., str]) -> None:
    with pytest.raises(UsageError, match="flows, findings, steps, transactions"):
        written("csv", table="packets")
