"""The connections of a report as one table for a terminal, in the order of the table.

One line per connection; as many columns as fit the width; a bounded number of lines unless the layout has no limit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from analyzer.report import formatting, summary
from analyzer.report.terminal.text import Page, add_heading, add_row, add_stamp, measure, read_rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from analyzer.model import Report
    from analyzer.report import Layout

_WANTED: Final = ("bytes", "segments", "rtt", "duration", "service", "opening")


def render(report: Report, layout: Layout) -> Iterator[str]:
    """Yield the connections as lines for a terminal of `layout.width` columns."""
    page = Page(layout)
    number = len(report.flows)
    chosen = np.arange(number if layout.limit is None else min(number, layout.limit))
    rows = read_rows(report, chosen, summary.classify(report))
    wanted = _WANTED if len(report.captures) == 1 else (*_WANTED[:1], "file", *_WANTED[1:])
    widths = measure(rows, page.width, wanted) if rows else {}
    add_stamp(page, report)
    if rows:
        add_heading(page, widths)
    for row in rows:
        add_row(page, row, widths)
    if number > len(rows):
        more = formatting.count(number - len(rows), "more connection")
        page.add(f"… {more} not shown: --all prints all; --format json or csv writes all", indent=2, wrap=True)
    yield page.take()
