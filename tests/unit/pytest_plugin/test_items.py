from __future__ import annotations

import shutil

import pytest

pytestmark = pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")

EXPECT = """\
schema = 1

# The first one.
[[capture]]
file = "wrong.pcap"
[[capture.expect]]
verdict = "invalid"
count = {count}
reason = "what it is for"   # kept
[[capture.expect]]
finding = "synack-ack-wrong"
count = 1
reason = "the same"

# The second one.
[[capture]]
file = "good.pcap"
[[capture.expect]]
verdict = "complete"
count = 1
reason = "nothing is wrong"
"""


def test_nothing_is_collected_unless_switched_on(project: pytest.Pytester) -> None:
    (project.path / "expect.toml").write_text(EXPECT.format(count=1))
    project.runpytest_subprocess().assert_outcomes()


@pytest.mark.parametrize("arguments", [["--pcaplint"], ["-o", "pcaplint_collect=true"], ["--pcaplint", "-n", "2"]])
def test_each_capture_is_an_item(project: pytest.Pytester, arguments: list[str]) -> None:
    (project.path / "expect.toml").write_text(EXPECT.format(count=1))
    result = project.runpytest_subprocess("-v", *arguments)
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines_random(
        ["*expect.toml::wrong.pcap*PASSED*" if "-n" not in arguments else "*PASSED*expect.toml::wrong.pcap*"]
    )


def test_what_is_not_as_expected_fails_without_a_traceback(project: pytest.Pytester) -> None:
    (project.path / "expect.toml").write_text(EXPECT.format(count=2))
    result = project.runpytest_subprocess("--pcaplint")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*expectation not met: *verdict invalid: expected 2, found 1*", "*verdict  invalid*"])
    result.stdout.no_fnmatch_line("*Traceback*")


def test_a_file_that_is_refused_is_an_error_of_its_own(project: pytest.Pytester) -> None:
    (project.path / "expect.toml").write_text(EXPECT.format(count=1).replace("good.pcap", "gone.pcap"))
    result = project.runpytest_subprocess("--pcaplint")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*there is no gone.pcap in the folder of this file*"])
