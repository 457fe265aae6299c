"""The test that the guide to the pytest plugin shows for `pcap_recorder` is run as it stands there."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "guides" / "pytest.md"


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
def test_the_recorded_test_of_the_guide_passes(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    (block,) = [one for one in re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL) if "pcap_recorder" in one]
    pytester.makepyfile(block)
    result = pytester.runpytest_subprocess()
    if result.parseoutcomes().get("skipped"):
        pytest.skip("capturing on loopback is not permitted here")
    result.assert_outcomes(passed=1)
