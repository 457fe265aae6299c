"""Checks of finding files, run: over single segments and over the connections of a job, whole arrays at a time.

Promises: a check fires where its condition is known to hold. Where it is unknown because options were not captured, the
connection is neither found nor passed: it is listed as not evaluable.
Must not know: any check by name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from analyzer.findings.event import Event
from analyzer.language import check, walk
from analyzer.language.compile import vector
from analyzer.language.syntax import Name, Number
from analyzer.openings.facts.segment import FLAG_FACTS
from analyzer.openings.machine.compiler import conjuncts, unit
from analyzer.rules.check import scope_of
from analyzer.rules.vocabulary import OPTION_FACTS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from analyzer._typing import Answer, Array
    from analyzer.findings.event import NumberedCheck
    from analyzer.language import Node, Scope
    from analyzer.openings.facts.segment import SegmentFacts
    from analyzer.openings.machine.compiler import Program
    from analyzer.openings.machine.trace import Trace
    from analyzer.rules.check import Check


class SegmentView:
    """Some steps, as the environment an expression is evaluated in."""

    def __init__(self, particulars: SegmentFacts, steps: Array) -> None:
        self.particulars, self.steps = particulars, steps

    def name(self, name: str) -> Answer:
        """Return values and known of a name."""
        return self.particulars.answer(name, self.steps)


class FlagSetView(SegmentView):
    """Every set of flags that occurs, once: the environment of what depends on flags alone."""

    def __init__(self, particulars: SegmentFacts) -> None:
        super().__init__(particulars, np.zeros(0, np.intp))

    def name(self, name: str) -> Answer:
        """Return values of a name; known, for who has no flags is asked later."""
        return self.particulars.of_flags(name, self.particulars.flag_sets), None


def run_segments(found: Iterable[NumberedCheck], program: Program, particulars: SegmentFacts, log: Trace) -> dict[str, Array]:
    """Add an event for each check that fires, and return the connections in which a check was not evaluable, by id."""
    scope = scope_of(program.machine, "segment")
    seen = _Seen(program, log)
    flow = particulars.steps.columns["flow"]
    unknown = {}
    for entry in found:
        hits, doubtful = _evaluate(entry.check, scope, particulars, seen)
        if len(doubtful):
            unknown[entry.id] = np.unique(flow[doubtful])
        if len(hits):
            view = SegmentView(particulars, hits)
            numbers = {name: _said(node, scope, view, len(hits)) for name, node in entry.check.message_values}
            log.events.append(Event(entry.number, flow[hits].astype(np.int64), hits, (), numbers))
    return unknown


def _names(node: Node) -> set[str]:
    return {part.name for part in walk(node) if isinstance(part, Name)}


def _said(node: Node, scope: Scope, view: SegmentView, size: int) -> Array:
    values, known = vector.compile_(node, scope)(view)
    numbers = np.broadcast_to(np.asarray(values).astype(np.int64), size) // unit(check(node, scope))
    return numbers if known is None else np.where(known, numbers, -1)


class _Seen:
    """The steps that checks want to see; each wish is looked up once."""

    def __init__(self, program: Program, log: Trace) -> None:
        self.program, self.log = program, log
        self.codes = log.seen.astype(np.uint8)
        self.text = self.codes.tobytes()
        self.present = np.bincount(self.codes, minlength=2 * len(program.classes)) > 0
        self.found: dict[Any, Array] = {}

    def steps(self, check_: Check) -> Array:
        """Return the steps a check sees, in order."""
        key = (check_.match, check_.rows)
        if key not in self.found:
            none = not check_.rows and not (self._wanted(check_) & self.present).any()
            self.found[key] = np.zeros(0, np.intp) if none else self._find(check_)
        return self.found[key]

    def among(self, check_: Check, steps: Array) -> Array:
        """Return those of `steps` that a check sees, which sees no rows."""
        return steps[self._wanted(check_)[self.codes[steps]]]

    def _wanted(self, check_: Check) -> Array:
        wanted = np.zeros(len(self.present), bool)
        for by_client, name in check_.match:
            wanted[by_client * len(self.program.classes) + self.program.classes.index(name)] = True
        return wanted

    def _find(self, check_: Check) -> Array:
        wanted = self._wanted(check_)
        # Translating bytes looks them up several times faster than an index does.
        mask = np.frombuffer(self.text.translate(wanted.tobytes().ljust(256, b"\0")), bool)
        for number, row in enumerate(self.program.machine.rows):
            if row.id in check_.rows:
                mask = mask | (self.log.row == number)
        return np.flatnonzero(mask)


def _evaluate(check_: Check, scope: Scope, particulars: SegmentFacts, seen: _Seen) -> tuple[Array, Array]:
    """Return the steps at which the condition holds, and those at which options that were not captured leave it unknown.

    The parts of a conjunction are tried one after the other, each only where the ones before it left something to ask; first
    those that flags alone decide, for most of them no segment of a capture fits.
    """
    parts = sorted(conjuncts(check_.when), key=lambda part: not _names(part) <= FLAG_FACTS)
    cut = particulars.cut if _names(check_.when) & OPTION_FACTS else None
    steps, sure = _candidates(check_, parts, scope, particulars, seen), None
    for part in parts:
        if not len(steps):
            break
        values, known = vector.compile_(part, scope)(SegmentView(particulars, steps))
        holds = np.broadcast_to(np.asarray(values, bool) if known is None else np.asarray(values, bool) & known, len(steps))
        if cut is None or (known is None and sure is None):
            steps = steps[np.flatnonzero(holds)]
            continue
        keep = np.flatnonzero(holds if known is None else holds | (~known & cut[steps]))
        sure = holds[keep] if sure is None else sure[keep] & holds[keep]
        steps = steps[keep]
    return (steps, steps[:0]) if sure is None else (steps[sure], steps[~sure])


def _candidates(check_: Check, parts: list[Node], scope: Scope, particulars: SegmentFacts, seen: _Seen) -> Array:
    """Return steps that the check sees, and among them all at which all `parts` of its condition may hold."""
    if _names(parts[0]) <= FLAG_FACTS:
        holds, _ = vector.compile_(parts[0], scope)(FlagSetView(particulars))
        if not np.any(holds):
            return np.zeros(0, np.intp)
    if any(isinstance(part, Name) and particulars.never(part.name) for part in parts):
        return np.zeros(0, np.intp)
    possible = None if check_.rows else _possible(parts[0], particulars)
    return seen.steps(check_) if possible is None else seen.among(check_, possible)


def _possible(part: Node, particulars: SegmentFacts) -> Array | None:
    """Return the steps at which a part that is about one fact may hold; None where asking for them is no gain."""
    names = _names(part)
    if len(names) != 1 or any(isinstance(inner, Number) and inner.type == "flag" for inner in walk(part)):
        return None
    return particulars.possible(*names, flag=isinstance(part, Name))
