"""What every format promises of text that an attacker wrote."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from analyzer.report import FORMATS

if TYPE_CHECKING:
    from collections.abc import Callable

    from analyzer.model import Report


@pytest.mark.parametrize("name", FORMATS)
def test_no_byte_of_a_capture_commands_a_terminal_or_hides(report: Report, written: Callable[..., str], name: str) -> None:
    assert any("\x1b" in capture.path for capture in report.captures)
    assert any("\x1b" in message for message in report.findings["message"])
    text = written(name)
    assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", text)
    assert "\r" not in text.replace("\r\n", "")
    text.encode()


@pytest.mark.parametrize("name", FORMATS)
def test_the_same_report_gives_the_same_text(written: Callable[..., str], name: str) -> None:
    assert written(name) == written(name)
