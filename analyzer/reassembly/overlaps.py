"""Resolve overlaps and disorder of one direction: each byte once, from the copy captured first.

O(n log n). The first segment whose bytes differ from the earlier copy is returned; the first `MAX_COMPARED_BYTES` of copies are compared.
"""

from __future__ import annotations

from bisect import bisect_right
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Final

from analyzer.reassembly.reader import Position

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MAX_COMPARED_BYTES: Final = 1 << 16
"""Bytes of overlaps compared in one direction."""


def resolve_overlaps(  # noqa: PLR0913, PLR0917 - columns
    start: Sequence[int],
    stop: Sequence[int],
    address: Sequence[int],
    frame: Sequence[int],
    time: Sequence[int],
    fetch: Callable[[int, int], bytes],
) -> tuple[list[int], list[int], list[int], list[int], list[int], Position | None]:
    """Return the segments in order, each byte as it was captured first, and the first segment that contradicts an earlier copy.

    A lone byte just before the next number is a keep-alive's, whose value means nothing (RFC 9293 3.8.4).
    """
    kept, reached = list[int](), 0
    for number, (begin, end, where) in enumerate(zip(start, stop, address, strict=True)):
        if where >= 0 and end > begin and not (end - begin == 1 and end == reached):
            kept.append(number)
            reached = max(reached, end)
    starts, ends, owners = _sweep(kept, start, stop)
    places = [address[owner] + begin - start[owner] for begin, owner in zip(starts, owners, strict=True)]
    odd = _contradiction(kept, start, stop, address, (starts, ends, owners), fetch)
    overlap = None if odd is None else Position(frame[odd], time[odd])
    return starts, ends, places, [frame[owner] for owner in owners], [time[owner] for owner in owners], overlap


def _sweep(kept: Sequence[int], start: Sequence[int], stop: Sequence[int]) -> tuple[list[int], list[int], list[int]]:
    """Return runs of bytes in order (begins, ends, the segment each is from): of segments that overlap, the one captured first."""
    waiting = sorted(kept, key=start.__getitem__)
    begins, ends, owners = list[int](), list[int](), list[int]()
    here = list[int]()
    at, following = 0, 0
    while here or following < len(waiting):
        if not here:
            at = max(at, start[waiting[following]])
        while following < len(waiting) and start[waiting[following]] <= at:
            heappush(here, waiting[following])
            following += 1
        while here and stop[here[0]] <= at:
            heappop(here)
        if not here:
            continue
        owner = here[0]
        until = stop[owner] if following == len(waiting) else min(stop[owner], start[waiting[following]])
        if owners and owners[-1] == owner and ends[-1] == at:
            ends[-1] = until
        else:
            begins.append(at)
            ends.append(until)
            owners.append(owner)
        at = until
    return begins, ends, owners


def _contradiction(  # noqa: PLR0913, PLR0917 - columns
    kept: Sequence[int],
    start: Sequence[int],
    stop: Sequence[int],
    address: Sequence[int],
    runs: tuple[list[int], list[int], list[int]],
    fetch: Callable[[int, int], bytes],
) -> int | None:
    """Return the first segment with other bytes than the copy captured before it, among the first `MAX_COMPARED_BYTES` bytes of copies."""
    _, ends, owners = runs
    left = MAX_COMPARED_BYTES
    for number in kept:
        at, place = start[number], bisect_right(ends, start[number])
        while at < stop[number]:
            until, owner = min(stop[number], ends[place]), owners[place]
            if owner != number:
                if left <= 0:
                    return None
                left -= until - at
                if fetch(address[number] + at - start[number], until - at) != fetch(address[owner] + at - start[owner], until - at):
                    return number
            at, place = until, place + 1
    return None
