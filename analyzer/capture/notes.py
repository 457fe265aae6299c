"""What was counted while reading ─► notes for a person.

Promises: few, one line each, in a fixed order; none for an ordinary capture.
Must not know: how anything was counted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from analyzer.capture.fields import FIELDS, REPLACEABLE
from analyzer.model import Note

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from analyzer.capture.clock import Clock
    from analyzer.capture.segments import Counts


_LINKED: Final = {"ethertype", "llc", "arp"}
"""A frame with one of these names what it carries: when that is not IP, it is nothing to us."""


def describe(counts: Counts, clock: Clock, missing: Sequence[str]) -> tuple[Note, ...]:
    """Return the notes on a capture; `missing` are the fields this tshark does not know."""
    return (*_describe_frames(counts), *_describe_times(clock), *_describe_losses(missing))


def _frames(number: int) -> str:
    """Return 1 frame, 2 frames."""
    return f"{number} frame{'s' if number != 1 else ''}"


def _describe_frames(counts: Counts) -> Iterator[Note]:
    """Give the notes on what frames held."""
    if counts.short:
        yield Note("captured-short", f"{_frames(counts.short)} captured short: only their first bytes are in the file")
    if counts.unread > 0:
        text = f"{_frames(counts.unread)} carrying TCP without a TCP header that can be read: fragments without the rest, or cut too short"
        yield Note("tcp-unread", text)
    if counts.unquoted:
        yield Note("quote-short", f"{_frames(counts.unquoted)} of ICMP errors that quote too little of a TCP header")
    if counts.malformed:
        yield Note("malformed", f"{_frames(counts.malformed)} that tshark calls malformed")
    strangers = {name: times for name, times in counts.strangers.items() if not _LINKED & set(name.split(":"))}
    if strangers:
        shown = ", ".join(f"{name[:40]} {times}" for name, times in sorted(strangers.items(), key=lambda item: (-item[1], item[0]))[:3])
        yield Note("undecoded", f"{_frames(sum(strangers.values()))} not read as far as IP: {shown}")


def _describe_times(clock: Clock) -> Iterator[Note]:
    """Give the notes on capture times."""
    if clock.absent:
        yield Note("no-timestamp", f"{_frames(clock.absent)} without a capture time")
    if clock.unfit:
        yield Note("timestamp-unfit", f"{_frames(clock.unfit)} with a capture time too far from 1970 to be kept")
    if clock.backwards:
        yield Note("timestamps-backwards", f"{_frames(clock.backwards)} earlier than the frame before", clock.backwards_frame)


def _describe_losses(missing: Sequence[str]) -> Iterator[Note]:
    """Give the notes on what this tshark cannot tell."""
    losses = dict.fromkeys(field.loss for field in FIELDS if field.name in missing and field.name not in REPLACEABLE)
    for loss in losses:
        yield Note("tshark-lacks", f"this tshark lacks a field: {loss}")
