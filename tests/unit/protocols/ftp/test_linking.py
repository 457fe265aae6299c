"""Facts about FTP data connections follow what the rules say of a verdict, a user's own included."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from analyzer import api, notation, rules
from analyzer.errors import RuleError

if TYPE_CHECKING:
    from pathlib import Path

    from analyzer.rules import RuleSet

LAYER = """
schema = 1
extends = "opening"

[[verdict]]
is = "own"
before = "undecidable"
counts_as = "nothing"
meaning = "What a user calls every connection."
when = "n_readable > 0"
"""


def layered(folder: Path, keys: str, finding: str) -> RuleSet:
    """Return the shipped rules, of the findings `finding` alone, with a user's verdict that holds for every connection and has `keys`."""
    (folder / "opening.toml").write_text(LAYER + keys)
    return rules.load([folder], select=[finding])


def findings(finding: str, chosen: RuleSet) -> set[str]:
    """Return the ids of the findings in the first example of `finding` that fires, judged by `chosen`."""
    example = next(one for one in chosen.findings[finding].examples if one.fires)
    report = api.analyze_script(notation.parse(example.segments), chosen)
    assert set(report.flows["verdict"]) == {"own"}
    return set(report.findings["id"])


@pytest.mark.parametrize(
    ("finding", "keys", "fires"),
    [
        ("ftp-data-refused", 'outcome = "not-opened"\nfailure = "refused"', True),
        ("ftp-data-refused", 'outcome = "not-opened"\nfailure = "unanswered"', False),
        ("ftp-data-refused", 'outcome = "not-opened"', False),
        ("ftp-data-unanswered", 'outcome = "not-opened"\nfailure = "unanswered"', True),
        ("ftp-data-unanswered", 'outcome = "not-opened"', False),
        ("ftp-data-active", 'outcome = "opened"', True),
        ("ftp-data-active", 'outcome = "broken"', False),
        ("ftp-data-opened-twice", 'outcome = "opened"', True),
        ("ftp-data-opened-twice", 'outcome = "not-opened"', False),
        ("ftp-data-wrong-opener", 'outcome = "broken"', True),
        ("ftp-data-wrong-opener", 'outcome = "not-judged"', False),
        ("ftp-data-wrong-opener", 'outcome = "not-judged"\nopener = "known"', True),
    ],
)
def test_a_verdict_of_a_user_counts_by_its_keys(tmp_path: Path, finding: str, keys: str, *, fires: bool) -> None:
    assert (finding in findings(finding, layered(tmp_path, keys, finding))) is fires


def test_a_failure_needs_an_opening_that_failed(tmp_path: Path) -> None:
    with pytest.raises(RuleError, match="verdict own: failure needs outcome not-opened, not opened"):
        layered(tmp_path, 'outcome = "opened"\nfailure = "refused"', "ftp-data-refused")
