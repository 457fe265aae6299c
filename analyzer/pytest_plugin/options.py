"""Options of the fixtures: what a call, the marker and the ini file may say."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from analyzer.model import FailOn
    from analyzer.options import Engine

KEEP: Final = ("on-failure", "always", "never")
"""Which recordings are kept."""
FAIL_ON: Final = ("error", "warning", "note", "never")
"""`analyzer.options.FAIL_ON`, whose import costs more than the plugin may: a test holds both equal."""


@dataclass(frozen=True, slots=True)
class CheckOptions:
    """How a capture is judged; each value is hashable, so that reports can be cached by it."""

    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    rules: tuple[str | Path, ...] = ()
    fail_on: FailOn = "warning"
    expect: bool = True
    baseline: str | Path | None = None
    engine: Engine = "auto"
    openings_only: bool = False

    def replaced(self, given: Mapping[str, Any], where: str) -> CheckOptions:
        """Return the options with those `given` instead; raises `pytest.UsageError` for names and severities that do not exist."""
        known = [one.name for one in fields(self)]
        for name in given:
            if name not in known:
                message = f"{where}: there is no option {name!r}; there are {', '.join(known)}"
                raise pytest.UsageError(message)
        if given.get("fail_on", "never") not in FAIL_ON:
            message = f"{where}: fail_on={given['fail_on']!r} is not one of {', '.join(FAIL_ON)}"
            raise pytest.UsageError(message)
        lists = {name: _as_tuple(given[name]) for name in ("select", "ignore", "rules") if name in given}
        return replace(self, **{**given, **lists})


def _as_tuple(value: Any) -> tuple[Any, ...]:  # noqa: ANN401 - one value or several
    return tuple(value) if isinstance(value, (list, tuple, set, frozenset)) else (value,)
