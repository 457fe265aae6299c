"""What was counted while reading ─► notes for a person.

Few, one line each, in a fixed order; none for an ordinary capture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from analyzer.capture.decode.last_protocol import sentence
from analyzer.capture.tshark.fields import LOSSES, PREFERENCES, REPLACEABLE
from analyzer.model import Note

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from analyzer.capture.timestamps import Timestamps
    from analyzer.capture.tshark.decode import Counts


def describe(counts: Counts, clock: Timestamps, missing: Sequence[str], *, found: bool) -> tuple[Note, ...]:
    """Return the notes on a capture.

    `missing` are the fields and preferences this tshark does not know, `found` is whether there is a segment or a quote of one.
    """
    return (*_describe_frames(counts), *_describe_endings(counts, found=found), *_describe_times(clock), *_describe_losses(missing))


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
        yield Note("malformed", f"{_frames(counts.malformed)} that tshark calls malformed, and in which it found no segment")


def _describe_endings(counts: Counts, *, found: bool) -> Iterator[Note]:
    """Give the note on what was not decoded, or, of a capture without TCP, on what its frames hold instead."""
    known, hidden = counts.endings.known, counts.endings.hidden
    if not found and (known or hidden):
        yield Note("no-tcp", f"no TCP found in {_frames(counts.frames)}: {sentence({**known, **hidden})}")
    elif hidden:
        yield Note("undecoded", f"{_frames(sum(hidden.values()))} not read as far as IP: {sentence(hidden)}")


def _describe_times(clock: Timestamps) -> Iterator[Note]:
    """Give the notes on capture times."""
    if clock.absent:
        yield Note("no-timestamp", f"{_frames(clock.absent)} without a capture time")
    if clock.unfit:
        yield Note("timestamp-unfit", f"{_frames(clock.unfit)} with a capture time too far from 1970 to be kept")
    if clock.backwards:
        yield Note("timestamps-backwards", f"{_frames(clock.backwards)} earlier than the frame before", clock.backwards_frame)


def _describe_losses(missing: Sequence[str]) -> Iterator[Note]:
    """Give the notes on what this tshark cannot give."""
    preferences = {option.name for option in PREFERENCES}
    losses = {LOSSES[name]: "preference" if name in preferences else "field" for name in missing if name not in REPLACEABLE}
    for loss, kind in losses.items():
        yield Note("tshark-lacks", f"this tshark lacks a {kind}: {loss}")
