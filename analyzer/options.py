"""Options of a run: one frozen value per stage, composed in `AnalyzeOptions` and passed down whole."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, get_args

from analyzer.model import FailOn

if TYPE_CHECKING:
    from pathlib import Path

Engine = Literal["auto", "pyshark", "native"]
ENGINES: Final[tuple[Engine, ...]] = get_args(Engine)
"""What decodes frames; `auto` chooses by the size of the run."""
FAIL_ON: Final[tuple[FailOn, ...]] = get_args(FailOn)
"""Lowest severity that fails a check."""


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How captures are read."""

    engine: Engine = "auto"
    jobs: int | None = None
    """Captures, or parts of a large one, read at a time; None: as many as there are processors."""
    timeout_s: float | None = None
    """Seconds that reading one capture may take; None: a limit by its size."""
    tshark: str | None = None
    """Path of the tshark to run; None: the one that is found."""

    @property
    def processes(self) -> int:
        """Return the number of processes that may work at a time."""
        return self.jobs or os.cpu_count() or 1


@dataclass(frozen=True, slots=True)
class JudgeOptions:
    """What makes a capture fail."""

    fail_on: FailOn = "warning"
    expect: bool = True
    """Whether an expect.toml next to a capture counts."""
    baseline: str | Path | None = None
    """A file of findings that are accepted."""


@dataclass(frozen=True, slots=True)
class DialogueOptions:
    """How dialogues are parsed."""

    secrets: bool = False
    """Whether passwords and tokens are kept; the report is stamped then."""
    openings_only: bool = False
    """Whether dialogues are not parsed at all, nor rules about them evaluated."""
    processes: int = 1
    """Processes that may parse at a time."""


@dataclass(frozen=True, slots=True)
class AnalyzeOptions:
    """All options of a run, by stage."""

    read: ReadOptions = field(default_factory=ReadOptions)
    judge: JudgeOptions = field(default_factory=JudgeOptions)
    dialogues: DialogueOptions = field(default_factory=DialogueOptions)
