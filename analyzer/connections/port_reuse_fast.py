"""Tuples used again and again in good order: each SYN answered, each connection ended before the next SYN.

Load tests and busy proxies make such captures; here their incarnations are found by whole arrays. What is found is
exactly what `port_reuse.IncarnationTracker` finds; a tuple with anything unusual is left to it.

Whole arrays only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from analyzer.connections import port_reuse

if TYPE_CHECKING:
    from analyzer.connections.concat import Array
    from analyzer.connections.tuple_key import Bools, Ints


class TurnoverEvents(NamedTuple):
    """Segments with SYN, RST or FIN, tuple by tuple, in capture order inside each."""

    row: Ints
    code: Ints
    """The tuple, rising."""
    kind: Array
    """SYN, SYN_ACK, RESET, RESET_ACK or FINISH of `port_reuse`."""
    forward: Bools
    seq: Array
    """uint32."""
    ack: Array
    """uint32."""
    length: Array
    """uint32."""
    near: Bools


class ReuseCuts(NamedTuple):
    """Which tuples are in good order, and the cuts of these."""

    clean: Bools
    rows: Ints
    by_fins: Bools


def find(events: TurnoverEvents, begins: Bools, both_sides: Bools) -> ReuseCuts:
    """Find the tuples in good order; `begins`: events on the first row of their tuple; `both_sides`: tuples with segments of both ends."""
    again = np.zeros(len(events.row), bool)
    again[1:] = events.code[1:] == events.code[:-1]
    opens = events.kind == port_reuse.SYN
    opens[1:] &= ~(again[1:] & (events.kind[:-1] == port_reuse.SYN))
    incarnation = np.cumsum(opens) - 1
    starts = np.flatnonzero(opens)
    finish, by_fins = _finishes(events, incarnation, len(starts))
    # Events before the first SYN belong to no incarnation; any opener will do, since their tuple is not clean.
    fits = _fits(events, opens, np.append(starts, 0)[incarnation])
    clean = both_sides.copy()
    # An event before the first SYN of its tuple, or one that does not fit its incarnation.
    clean[events.code[(~again & ~(opens & begins)) | ~fits]] = False
    followed = again[starts]
    before = np.maximum(np.arange(len(starts)) - 1, 0)
    clean[events.code[starts[followed & ~finish[before]]]] = False
    cut = followed & clean[events.code[starts]]
    return ReuseCuts(clean, events.row[starts[cut]], by_fins[before[cut]])


def _fits(events: TurnoverEvents, opens: Bools, opener: Ints) -> Bools:
    """Whether each SYN repeats the first of its incarnation, and each SYN+ACK comes from the other side and acknowledges that."""
    forward, begun = events.forward[opener], events.seq[opener] + np.uint32(1)
    repeats = (events.forward == forward) & (events.seq == events.seq[opener]) & (events.length == events.length[opener])
    answers = (events.forward != forward) & ((events.ack == begun) | (events.ack == begun + events.length[opener]))
    fits = np.where(events.kind == port_reuse.SYN, opens | repeats, (events.kind != port_reuse.SYN_ACK) | answers)
    return np.asarray(fits, bool)


def _finishes(events: TurnoverEvents, incarnation: Ints, count: int) -> tuple[Bools, Bools]:
    """Whether each incarnation has a SYN+ACK, then a reset or both FINs; and whether the FINs came first."""
    never = len(events.row)
    fin = (events.kind == port_reuse.FINISH) & events.near
    reset = (events.kind == port_reuse.RESET) | (events.kind == port_reuse.RESET_ACK)
    marks = (
        events.kind == port_reuse.SYN_ACK,
        reset | (events.kind == port_reuse.FINISH),
        reset & events.near,
        fin & events.forward,
        fin & ~events.forward,
    )
    answered, ended, reset_at, *fins = (_first(np.flatnonzero(mark & (incarnation >= 0)), incarnation, count, never) for mark in marks)
    closed_at = np.maximum(*fins)
    return (answered < ended) & (np.minimum(reset_at, closed_at) < never), closed_at < reset_at


def _first(events: Ints, incarnation: Ints, count: int, never: int) -> Ints:
    """Return the first of `events` in each incarnation, `never` where there is none."""
    first = np.full(count, never, np.int64)
    incarnations = incarnation[events]
    new = np.concatenate(([True], incarnations[1:] != incarnations[:-1]))[: len(incarnations)]
    first[incarnations[new]] = events[new]
    return first
