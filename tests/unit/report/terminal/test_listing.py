from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from analyzer.report import Layout
from analyzer.report.terminal import listing

if TYPE_CHECKING:
    from collections.abc import Callable

    from analyzer.model import Report


def test_golden(report: Report, golden: Callable[[str, str], None]) -> None:
    golden("listing.txt", "".join(listing.render(report, Layout(width=180))))


def test_order_is_the_tables_and_columns_give_way(report: Report) -> None:
    turned = replace(report, flows=report.flows[::-1])
    lines = "".join(listing.render(turned, Layout(width=80))).splitlines()
    assert [line.split()[0] for line in lines if line.startswith(" f")] == ["f5", "f4", "f3", "f2", "f1"]
    assert all(len(line) <= 80 for line in lines)


def test_a_bounded_number_is_listed(huge: Report) -> None:
    lines = "".join(listing.render(huge, Layout(limit=10))).splitlines()
    assert sum(line.startswith(" f") for line in lines) == 10
    assert "… 4,990 more connections not shown" in "\n".join(lines[11:])
