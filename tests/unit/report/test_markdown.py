from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd
import pytest
from markdown_it import MarkdownIt

from analyzer import report as reports
from analyzer.report import markdown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from markdown_it.token import Token

    from analyzer.model import Report

PLAIN = {"inline", "text", "code_inline", "softbreak"}
BLOCKS = {"heading", "paragraph", "table", "thead", "tbody", "tr", "th", "td"}


def tokens(text: str) -> Iterator[Token]:
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        yield token
        yield from token.children or ()


def test_golden(written: Callable[..., str], golden: Callable[[str, str], None]) -> None:
    golden("report.md", written("markdown"))


@pytest.mark.parametrize(
    "hostile",
    [
        "[a](http://x) ![b](http://y)",
        "<img src=x onerror=alert(1)>",
        "@everyone #1 www.x.example http://x",
        "`code` ``more`` `",
        "a | b | c \\| d",
        "*b* _i_ ~s~ \\` &lt;",
        "\n\n# heading\n- item",
        "``",
    ],
)
def test_all_text_of_others_is_code_in_its_own_cell(report: Report, hostile: str) -> None:
    findings = report.findings.copy()
    findings["message"] = hostile
    captures = tuple(replace(capture, path=hostile) for capture in report.captures)
    flows = report.flows.assign(dialogue=hostile)
    text = "".join(reports.render(replace(report, flows=flows, findings=findings, captures=captures), "markdown"))
    found = list(tokens(text))
    assert {token.type.removesuffix("_open").removesuffix("_close") for token in found} <= PLAIN | BLOCKS
    for token in found:
        if token.type == "text":
            assert not set(token.content) & set("`<[@#*_|")
    cells = [token.type for token in found if token.type in {"tr_open", "td_open"}]
    complaints = cells.count("tr_open") - 3 - len(captures) - len(flows)
    assert cells.count("td_open") == 4 * len(captures) + 6 * complaints + 3 * len(flows)
    shown = [token.content for token in found if token.type == "code_inline"]
    assert any(content.strip() == hostile.replace("\n", "\\n").replace("|", "\\x7c").strip() for content in shown)


def test_it_stays_below_githubs_limit_and_says_what_is_missing(huge: Report, report: Report) -> None:
    findings = pd.concat([report.findings.head(1)] * 9_000, ignore_index=True)
    captures = tuple(replace(report.captures[0], path=f"{index}-" + "ü" * 200) for index in range(9_000))
    text = "".join(reports.render(replace(huge, findings=findings, captures=captures), "markdown"))
    assert len(text.encode()) < markdown.LIMIT
    assert text.count(" more are left out.") == 3
    assert "failed" in text.splitlines()[2]
