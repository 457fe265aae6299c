from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from analyzer.pytest_plugin.update import rewritten

if TYPE_CHECKING:
    from collections.abc import Sequence

TEXT = """\
schema = 1
[[capture]]
file = "wrong.pcap"
[[capture.expect]]
verdict = "invalid"
count = 7  # seven
reason = "count = 3 is in this reason"
[[capture.expect]]
verdict = "refused"
count = 1
reason = "gone"

# About the other one.
[[capture]]
file = "other.pcap"
[[capture.expect]]
verdict = "invalid"
count = 7
reason = "not run"
"""


def test_counts_are_set_and_all_else_is_kept() -> None:
    new = rewritten(TEXT, {"wrong.pcap": {"verdict invalid": 1}})
    assert new == TEXT.replace("count = 7  # seven", "count = 1  # seven").replace(
        '[[capture.expect]]\nverdict = "refused"\ncount = 1\nreason = "gone"\n', ""
    )


def test_what_is_as_found_is_not_changed() -> None:
    assert rewritten(TEXT, {"wrong.pcap": {"verdict invalid": 7, "verdict refused": 1}}) == TEXT


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
@pytest.mark.parametrize("arguments", [[], ["-n", "2"]], ids=["alone", "xdist"])
def test_the_option_rewrites_the_file(project: pytest.Pytester, arguments: Sequence[str]) -> None:
    text = 'schema = 1\n[[capture]]\nfile = "wrong.pcap"\n[[capture.expect]]\nverdict = "invalid"\ncount = 5\nreason = "why"\n'
    file = project.path / "expect.toml"
    file.write_text(text + '[[capture.expect]]\nfinding = "synack-ack-wrong"\ncount = 1\nreason = "why"\n')
    project.runpytest_subprocess("--pcaplint-update", *arguments).assert_outcomes(passed=1)
    assert file.read_text() == text.replace("count = 5", "count = 1") + (
        '[[capture.expect]]\nfinding = "synack-ack-wrong"\ncount = 1\nreason = "why"\n'
    )
    project.runpytest_subprocess("--pcaplint").assert_outcomes(passed=1)


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
def test_no_reason_is_made_up(project: pytest.Pytester) -> None:
    text = 'schema = 1\n[[capture]]\nfile = "wrong.pcap"\n[[capture.expect]]\nverdict = "invalid"\ncount = 5\nreason = "why"\n'
    (project.path / "expect.toml").write_text(text)
    result = project.runpytest_subprocess("--pcaplint-update")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*wrong.pcap has no entry for finding synack-ack-wrong: add one, with its reason*"])
