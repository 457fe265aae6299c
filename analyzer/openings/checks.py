"""Checks of finding files over single segments, evaluated over whole arrays.

A check fires where its condition is known to hold. A connection in which the condition is unknown because options were not captured is
neither found nor passed: it is listed as not evaluable.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from analyzer.findings.event import Event
from analyzer.language import check, walk
from analyzer.language.compile import vector
from analyzer.language.syntax import Literal, Name
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
    """Some steps: the environment of an expression."""

    def __init__(self, facts: SegmentFacts, steps: Array) -> None:
        self.facts, self.steps = facts, steps

    def name(self, name: str) -> Answer:
        """Return the values of a fact, and where they are known."""
        return self.facts.answer(name, self.steps)


class FlagSetView(SegmentView):
    """Each distinct set of flags: the environment of an expression over flags alone."""

    def __init__(self, facts: SegmentFacts) -> None:
        super().__init__(facts, np.zeros(0, np.intp))

    def name(self, name: str) -> Answer:
        """Return the values of a fact, all known: steps without flags are excluded later."""
        return self.facts.of_flags(name, self.facts.flag_sets), None


def run_segments(checks: Iterable[NumberedCheck], program: Program, facts: SegmentFacts, trace: Trace) -> dict[str, Array]:
    """Add an event to the trace for each check that fires; return the connections in which a check was not evaluable, by id."""
    scope = scope_of(program.machine, "segment")
    matching = _MatchingSteps(program, trace)
    flow = facts.steps.columns["flow"]
    not_evaluable = {}
    for entry in checks:
        hits, unknown = _evaluate(entry.check, scope, facts, matching)
        if len(unknown):
            not_evaluable[entry.id] = np.unique(flow[unknown])
        if len(hits):
            view = SegmentView(facts, hits)
            numbers = {name: _message_values(node, scope, view, len(hits)) for name, node in entry.check.message_values}
            trace.events.append(Event(entry.number, flow[hits].astype(np.int64), hits, (), numbers))
    return not_evaluable


def _names(node: Node) -> set[str]:
    return {part.name for part in walk(node) if isinstance(part, Name)}


def _message_values(node: Node, scope: Scope, view: SegmentView, size: int) -> Array:
    values, known = vector.compile_(node, scope)(view)
    numbers = np.broadcast_to(np.asarray(values).astype(np.int64), size) // unit(check(node, scope))
    return numbers if known is None else np.where(known, numbers, -1)


class _MatchingSteps:
    """The steps that the `match` of a check selects, each selection computed once."""

    def __init__(self, program: Program, trace: Trace) -> None:
        self.program, self.trace = program, trace
        self.codes = trace.class_codes.astype(np.uint8)
        self.text = self.codes.tobytes()
        self.present = np.bincount(self.codes, minlength=2 * len(program.classes)) > 0
        self.found: dict[tuple[frozenset[tuple[bool, str]], frozenset[str]], Array] = {}

    def steps(self, check_: Check) -> Array:
        """Return the steps that a check matches, rising."""
        key = (check_.match, check_.rows)
        if key not in self.found:
            none = not check_.rows and not (self._wanted(check_) & self.present).any()
            self.found[key] = np.zeros(0, np.intp) if none else self._find(check_)
        return self.found[key]

    def among(self, check_: Check, steps: Array) -> Array:
        """Return those of `steps` that a check without rows matches."""
        return steps[self._wanted(check_)[self.codes[steps]]]

    def _wanted(self, check_: Check) -> Array:
        wanted = np.zeros(len(self.present), bool)
        for by_client, name in check_.match:
            wanted[by_client * len(self.program.classes) + self.program.classes.index(name)] = True
        return wanted

    def _find(self, check_: Check) -> Array:
        wanted = self._wanted(check_)
        # bytes.translate is several times faster than indexing with the codes.
        mask = np.frombuffer(self.text.translate(wanted.tobytes().ljust(256, b"\0")), bool)
        for number, row in enumerate(self.program.machine.rows):
            if row.id in check_.rows:
                mask = mask | (self.trace.row == number)
        return np.flatnonzero(mask)


def _evaluate(check_: Check, scope: Scope, facts: SegmentFacts, matching: _MatchingSteps) -> tuple[Array, Array]:
    """Return the steps at which the condition holds, and those at which options that were not captured leave it unknown.

    The conjuncts are evaluated one after the other, each only at the steps that are left; first those over flags alone, which most
    steps fail.
    """
    parts = sorted(conjuncts(check_.when), key=lambda part: not _names(part) <= FLAG_FACTS)
    cut = facts.cut if _names(check_.when) & OPTION_FACTS else None
    steps, sure = _candidates(check_, parts, scope, facts, matching), None
    for part in parts:
        if not len(steps):
            break
        values, known = vector.compile_(part, scope)(SegmentView(facts, steps))
        holds = np.broadcast_to(np.asarray(values, bool) if known is None else np.asarray(values, bool) & known, len(steps))
        if cut is None or (known is None and sure is None):
            steps = steps[np.flatnonzero(holds)]
            continue
        keep = np.flatnonzero(holds if known is None else holds | (~known & cut[steps]))
        sure = holds[keep] if sure is None else sure[keep] & holds[keep]
        steps = steps[keep]
    return (steps, steps[:0]) if sure is None else (steps[sure], steps[~sure])


def _candidates(check_: Check, parts: list[Node], scope: Scope, facts: SegmentFacts, matching: _MatchingSteps) -> Array:
    """Return a superset of the steps that the check matches and at which all conjuncts `parts` may hold."""
    if _names(parts[0]) <= FLAG_FACTS:
        holds, _ = vector.compile_(parts[0], scope)(FlagSetView(facts))
        if not np.any(holds):
            return np.zeros(0, np.intp)
    if any(isinstance(part, Name) and facts.never(part.name) for part in parts):
        return np.zeros(0, np.intp)
    possible = None if check_.rows else _possible(parts[0], facts)
    return matching.steps(check_) if possible is None else matching.among(check_, possible)


def _possible(part: Node, facts: SegmentFacts) -> Array | None:
    """Return the steps at which a conjunct over one fact may hold; None where these are not fewer."""
    names = _names(part)
    if len(names) != 1 or any(isinstance(inner, Literal) and inner.type == "flag" for inner in walk(part)):
        return None
    return facts.possible(*names, flag=isinstance(part, Name))
