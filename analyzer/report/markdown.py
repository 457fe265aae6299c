"""The report as GitHub's Markdown, for its job summary or a comment.

Below 900 kB, since GitHub drops a whole summary above 1 MiB, with a notice of what was left out. All text from a capture or a path is in a
code span, where nothing is a link, a mention, an image, HTML or the end of a table's field; so is each word of a rule's text that could be.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import numpy as np

from analyzer.report import formatting, issues, summary
from analyzer.report.escaping import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from analyzer.model import Report
    from analyzer.report import Layout
    from analyzer.report.issues import Issue

LIMIT: Final = 900_000
"""Maximum bytes of the whole document."""
_MAX_DIALOGUES_BYTES: Final = 90_000
"""Maximum bytes of the table of dialogues."""
_MAX_NEXT_BYTES: Final = 90_000
"""Maximum bytes of the list of what to check next."""
_MAX_TABLE_BYTES: Final = (LIMIT - _MAX_DIALOGUES_BYTES - _MAX_NEXT_BYTES) // 2
"""Maximum bytes of each of the other two tables, including its heading."""
_HEADING_BYTES: Final = 2_000
"""Bytes reserved for the heading of a table and the lines around it."""
_MAX_DIALOGUES: Final = 100
"""Maximum rows of the table of dialogues."""
_MAX_FIELD_CHARACTERS: Final = 1_000
"""Maximum characters of one table field."""
_INERT_WORD: Final = re.compile(r"(?!.*(?:://|www\.))(?:[^\W_]|[.,;:()'\"+/%?!-])+", re.IGNORECASE)
"""A word that Markdown takes for nothing but text: no markup, mention, reference or address."""


def code(text: str) -> str:
    r"""Return text as a code span for a table field: its fence is longer than any run of backticks in it, and `|` is `\x7c`."""
    safe = printable(text).replace("|", r"\x7c")
    safe = safe if len(safe) <= _MAX_FIELD_CHARACTERS else safe[:_MAX_FIELD_CHARACTERS] + "…"
    if not safe.strip():
        return ""
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", safe)), default=0))
    pad = " " if safe[0] in "` " or safe[-1] in "` " else ""
    return f"{fence}{pad}{safe}{pad}{fence}"


def prose(text: str) -> str:
    """Return one line of a rule's text: its code spans are kept, and every word that could be markup becomes one."""
    parts = printable(text).split("`")
    if len(parts) % 2 == 0:
        return code(text)
    spans = [code(part) if place % 2 else re.sub(r"\S+", _inert, part) for place, part in enumerate(parts)]
    line = "".join(spans)
    # Two spans that touch would be read as one, and a first character other than these can begin a list or a quotation.
    fits = "``" not in line and (line[:1].isalpha() or line[:1] in "(`")
    return line if fits else code(text)


def items(lines: Iterable[str]) -> list[str]:
    """Return lines of a rule's text as list items; a blank one is left out, since a bare hyphen would underline a heading."""
    return [f"- {prose(line)}" for line in lines if line.strip()]


def _inert(word: re.Match[str]) -> str:
    return word.group() if _INERT_WORD.fullmatch(word.group()) else code(word.group())


def _rows(lines: Iterable[str], total: int, room: int) -> Iterator[str]:
    """Yield the lines that fit into `room` bytes, then a line with the number of lines left out, if any."""
    for number, line in enumerate(lines):
        room -= len(line.encode())
        if room < 0:
            yield f"\n… {total - number:,} more are left out.\n"
            return
        yield line


def _captures(report: Report) -> Iterator[str]:
    flows, statuses = report.flows["capture"].to_numpy(), summary.classify(report)
    size = len(report.captures)
    connections = np.bincount(flows, minlength=size).tolist()
    failed = np.bincount(flows[statuses == summary.FAILED], minlength=size).tolist()
    for index, capture in enumerate(report.captures):
        status = capture.status.replace("-", " ") + (f": {code(capture.reason)}" if capture.reason else "")
        yield f"| {code(capture.path)} | {status} | {connections[index]:,} | {failed[index]:,} |\n"


def _issue(report: Report, issue: Issue) -> str:
    severity = issue.severity + (" (expected)" if issue.suppressed else "")
    path = report.captures[issue.capture].path
    fields = (
        severity,
        code(issue.name),
        code(path),
        code(issue.where),
        code(issue.message),
        formatting.frames(issue.frames),
    )
    return "| " + " | ".join(fields) + " |\n"


def _dialogues(report: Report) -> list[str]:
    """Return one row for each of the first `_MAX_DIALOGUES` connections with a dialogue."""
    names = ("flow_id", "capture", "service", "service_by_port", "dialogue", "control_flow_id")
    rows: list[str] = []
    for row_values in zip(*(report.flows[name].tolist() for name in names), strict=True):
        flow = dict(zip(names, row_values, strict=True))
        if not flow["dialogue"]:
            continue
        if len(rows) == _MAX_DIALOGUES:
            break
        rows.append(
            f"| {code(flow['flow_id'])} | {code(report.captures[flow['capture']].path)} | {code(formatting.dialogue_line(flow))} |\n"
        )
    return rows


def _next(report: Report, found: Iterable[Issue]) -> list[str]:
    """Return what to check next, one list item per rule with a finding that is not suppressed, in the order of `found`."""
    rules = dict.fromkeys(issue.name for issue in found if issue.kind == "finding" and not issue.suppressed)
    lines = {rule: report.rule_metadata[rule].next for rule in rules if rule in report.rule_metadata}
    return [f"- {code(rule)}\n" + "".join(f"  {item}\n" for item in items(rule_lines)) for rule, rule_lines in lines.items() if rule_lines]


def render(report: Report, layout: Layout) -> Iterator[str]:  # noqa: ARG001 - every format takes the same arguments
    """Yield a summary sentence, tables of the captures and issues, what to check next, and a table of the dialogues."""
    stamp = f"{formatting.SECRETS_SHOWN}\n\n" if report.secrets else ""
    yield f"## pcaplint\n\n{stamp}{summary.sentence(report)}\n\n| capture | status | connections | failed |\n| :-- | :-- | --: | --: |\n"
    yield from _rows(_captures(report), len(report.captures), _MAX_TABLE_BYTES - _HEADING_BYTES)
    found = issues.worst_first(issues.collect(report))
    if found:
        yield "\n| severity | rule | capture | connection | what | evidence |\n| :-- | :-- | :-- | :-- | :-- | :-- |\n"
        yield from _rows((_issue(report, issue) for issue in found), len(found), _MAX_TABLE_BYTES - _HEADING_BYTES)
    if following := _next(report, found):
        yield "\n<details><summary>What to check next</summary>\n\n"
        yield from _rows(following, len(following), _MAX_NEXT_BYTES)
        yield "\n</details>\n"
    dialogues = _dialogues(report)
    if dialogues:
        total = int((report.flows["dialogue"] != "").sum())
        yield "\n| connection | capture | dialogue |\n| :-- | :-- | :-- |\n"
        yield from _rows(dialogues, len(dialogues), _MAX_DIALOGUES_BYTES)
        yield f"\n… {total - len(dialogues):,} more are left out.\n" if total > len(dialogues) else ""
