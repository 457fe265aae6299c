from __future__ import annotations

import pytest

from analyzer.report.diff import Diff, DiffEntry
from analyzer.report.diff_formats import FORMATS, MAX_CHARACTERS

HOSTILE = "a\x1b[2J\u202e|`<script>@all\n::error::x"


def diff(new: int) -> Diff:
    entries = tuple(
        DiffEntry(f"{HOSTILE}{number}.pcap", "finding", "early-reset", "warning", HOSTILE, "192.0.2.1", 1024, "192.0.2.2", 80, (1, 2))
        for number in range(new)
    )
    return Diff(new=entries, fixed=(), unchanged=(), verdicts={}, added=(), removed=(), captures=1)


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_hostile_text_stays_text_on_its_line(name: str) -> None:
    text = "".join(FORMATS[name](diff(1)))
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert not any(line.startswith("::") for line in text.splitlines())


def test_a_long_comment_fits_where_comments_go() -> None:
    text = "".join(FORMATS["markdown"](diff(5_000)))
    assert len(text) < MAX_CHARACTERS + 100
    assert text.count("| warning |") == 100
    assert "4,900 more are left out." in text


def test_nothing_to_tell_is_one_line_of_text() -> None:
    assert "".join(FORMATS["text"](diff(0))) == "0 new, 0 fixed, 0 unchanged (findings and verdicts in 1 capture).\n"
