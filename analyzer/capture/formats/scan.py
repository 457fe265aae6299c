"""The state of a scan over a capture file, and the places where it can be resumed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from analyzer.capture.formats.model import Interface
    from analyzer.capture.formats.pcapng_blocks import Description
    from analyzer.capture.formats.resync import RecordFormat


@dataclass(frozen=True, slots=True)
class ResumePoint:
    """A place between two records, and all that must be known there to read on: reading on from equal places gives the same."""

    byte: int
    kind: RecordFormat
    interfaces: tuple[Interface, ...]
    """All of the file so far."""
    described: tuple[Description, ...] = ()
    """The interfaces of the current pcapng section."""


@dataclass(slots=True)
class ScanState:
    """What is known of a file so far."""

    interfaces: list[Interface] = field(default_factory=list)
    """In the order tshark numbers them."""
    damage: str = ""
    """What ended the frames before the end of the file, in one line."""
    place: ResumePoint | None = None
    """Where reading stopped at the byte given."""
    lost: list[str] = field(default_factory=list)
    """How processes ended that were to read a part of the file and did not."""
