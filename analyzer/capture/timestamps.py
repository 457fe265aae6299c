"""Capture times as exact integers, and what is wrong with them.

Nanoseconds since the epoch, no float on the way; a time that does not fit is `NO_TIME` and counted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import numpy as np

from analyzer.schema import NO_TIME

if TYPE_CHECKING:
    from analyzer._typing import Int64Array
    from analyzer.capture.tshark.tsv import TsvColumn

_LARGEST: Final = 2**63 - 1
_SECOND: Final = 10**9
_DECIMAL: Final = re.compile(r"(-?)(\d+)(?:\.(\d{1,9})\d*)?")
_ISO: Final = re.compile(r"(\d{4,}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*)?(Z|[+-]\d\d:?\d\d)?")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class Timestamps:
    """The times of a capture so far."""

    first: int | None = None
    """Time of the first frame that has one."""
    latest: int | None = None
    """The latest time of any frame."""
    absent: int = 0
    """Frames without a time."""
    unfit: int = 0
    """Frames whose time 64 bits of nanoseconds do not hold."""
    backwards: int = 0
    """Frames earlier than the frame before them."""
    backwards_frame: int | None = None
    """The first of those."""
    first_frame: int | None = None
    """The frame that `first` is the time of."""
    last: int | None = None
    """Time of the last frame that has one."""

    def read(self, column: TsvColumn, number: Int64Array) -> Int64Array:
        """Return the times of frames `number` as int64 nanoseconds, `NO_TIME` where there is none."""
        time, odd = column.nanoseconds()
        filled = column.filled
        for row in np.flatnonzero(odd & filled).tolist():
            parsed = parse(bytes(column.buffer[column.start[row] : column.stop[row]]).decode("ascii", "replace"))
            self.unfit += parsed is None
            time[row] = NO_TIME if parsed is None else parsed
        time[~filled] = NO_TIME
        self.absent += int((~filled).sum())
        self.observe(time, number)
        return time

    def observe(self, time: Int64Array, number: Int64Array) -> None:
        """Add the times of frames `number` to the statistics; `NO_TIME` is not a time."""
        there = time != NO_TIME
        known = time[there]
        if not len(known):
            return
        before = np.concatenate(([known[0] if self.last is None else self.last], known[:-1]))
        back = known < before
        if back.any() and self.backwards_frame is None:
            self.backwards_frame = int(number[there][back][0])
        self.backwards += int(back.sum())
        self.last = int(known[-1])
        if self.first is None:
            self.first, self.first_frame = int(known[0]), int(number[there][0])
        self.latest = max(int(known.max()), self.latest if self.latest is not None else NO_TIME)

    def renumber(self, frames: int) -> None:
        """Add `frames` to all frame numbers."""
        self.first_frame = None if self.first_frame is None else self.first_frame + frames
        self.backwards_frame = None if self.backwards_frame is None else self.backwards_frame + frames

    def merge(self, then: Timestamps) -> None:
        """Merge the statistics of the frames that follow."""
        self.absent += then.absent
        self.unfit += then.unfit
        if then.first is None or then.latest is None:
            return
        back = self.last is not None and then.first < self.last
        self.backwards += then.backwards + back
        if self.backwards_frame is None:
            self.backwards_frame = then.first_frame if back else then.backwards_frame
        if self.first is None:
            self.first, self.first_frame = then.first, then.first_frame
        self.last = then.last
        self.latest = then.latest if self.latest is None else max(self.latest, then.latest)


def parse(text: str) -> int | None:
    """Return `text`, decimal seconds or ISO 8601 (UTC unless it states a zone), as nanoseconds; None if it does not fit."""
    if match := _DECIMAL.fullmatch(text):
        value = int(match[2]) * _SECOND + int((match[3] or "").ljust(9, "0"))
        value = -value if match[1] else value
    elif match := _ISO.fullmatch(text):
        try:
            moment = datetime.fromisoformat(match[1] + (match[3] or "+00:00").replace("Z", "+00:00"))
        except ValueError:
            return None
        since = moment - _EPOCH
        value = (since.days * 86400 + since.seconds) * _SECOND + int((match[2] or "").ljust(9, "0"))
    else:
        return None
    return value if -_LARGEST <= value <= _LARGEST else None
