from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd
import pytest
from markdown_it import MarkdownIt

from analyzer import report as reports
from analyzer.model import RuleMetadata
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
    text = "".join(reports.render(replace(report, flows=flows, findings=findings, captures=captures, rule_metadata={}), "markdown"))
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


def with_next(report: Report, *lines: str) -> str:
    """Return the report as Markdown with these lines of what to check next for one rule that fired and one that did not."""
    metadata = {id_: RuleMetadata("error", "title", "why", (), lines) for id_ in ("synack-ack-wrong", "land", "syn-retransmitted")}
    return "".join(reports.render(replace(report, rule_metadata=metadata), "markdown"))


def test_what_to_check_next_stands_once_for_each_rule_that_fired_and_is_not_expected(report: Report) -> None:
    text = with_next(report, "Look at `nstat` on the server.", "Compare (again) with RFC 9293 3.4: it is 50% done.")
    assert text.count("<details><summary>What to check next</summary>\n\n- `") == text.count("\n</details>\n") == 1
    listed = text.partition("</summary>")[2].partition("</details>")[0]
    assert listed == (
        "\n\n- `synack-ack-wrong`\n  - Look at `nstat` on the server.\n  - Compare (again) with RFC 9293 3.4: it is 50% done.\n\n"
    )


def test_without_what_to_check_next_there_is_no_list(report: Report) -> None:
    assert "<details>" not in with_next(report)


@pytest.mark.parametrize(
    "hostile",
    [
        "[a](http://x) ![b](http://y)",
        "<img src=x onerror=alert(1)></details>",
        "@everyone #1 www.x.example (www.x.example) http://x,HTTP://x",
        "`code` ``more`` `",
        "`a`@b `c`",
        "`` ` ``",
        "*b* _i_ ~s~ \\` &lt; a_b_c",
        "\n\n# heading\n- item",
        "1. one",
        "- one",
        "> quoted",
        "    indented",
        "\x1b[2J\u202e",
        "```",
        "",
    ],
)
def test_no_text_of_a_rule_is_markup(report: Report, hostile: str) -> None:
    text = with_next(report, hostile)
    listed = text.partition("</summary>")[2].rpartition("</details>")[0]
    for token in tokens(listed):
        assert token.type.removesuffix("_open").removesuffix("_close") in PLAIN | {"bullet_list", "list_item", "paragraph"}
        if token.type == "text":
            assert not set(token.content) & set("`<[@#*_|&\x1b\u202e")
            assert "www." not in token.content
            assert "://" not in token.content
    assert sum(token.type == "list_item_open" for token in tokens(listed)) == 1 + bool(hostile)


def test_many_lines_of_what_to_check_next_are_cut(report: Report) -> None:
    """A user's folder may hold any number of rules, each with three long lines."""
    names = [f"rule-{number}" for number in range(2_000)]
    findings = pd.concat([report.findings[report.findings["id"] == "synack-ack-wrong"].iloc[:1].assign(id=name) for name in names])
    metadata = {name: RuleMetadata("error", "title", "why", (), ("x" * 160,) * 3) for name in names}
    text = "".join(reports.render(replace(report, findings=findings.reset_index(drop=True), rule_metadata=metadata), "markdown"))
    assert len(text.encode()) < markdown.LIMIT
    assert "more are left out.\n\n</details>" in text
