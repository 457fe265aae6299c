"""Find the public captures and the table of cases that stand beside a checkout, in `../shared`; most checkouts have neither."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

_SHARED: Final = Path(__file__).resolve().parents[2].parent / "shared"
CAPTURES: Final = _SHARED / "captures"
CASES: Final = _SHARED / "cases"
WITHOUT_CAPTURES: Final = "there is no ../shared/captures: nothing is compared with what other tools say of public captures"
WITHOUT_CASES: Final = "there is no ../shared/cases: its small inputs are not compared with their right answers"

needs_captures = pytest.mark.skipif(not (CAPTURES / "expect").is_dir(), reason=WITHOUT_CAPTURES)
needs_cases = pytest.mark.skipif(not (CASES / "cases.tsv").is_file(), reason=WITHOUT_CASES)
