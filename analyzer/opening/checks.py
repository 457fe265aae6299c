"""Checks of finding files, run: over single segments and over the connections of a job, whole arrays at a time.

Promises: a check fires where its condition is known to hold. Where it is unknown because options were not captured, the
connection is neither found nor passed: it is listed as not evaluable.
Must not know: any check by name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from analyzer.language import arrays, check, walk
from analyzer.language.syntax import Name
from analyzer.opening.log import Event
from analyzer.opening.program import conjuncts, unit
from analyzer.rules.check import scope_of
from analyzer.rules.vocabulary import OPTION_FACTS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from analyzer.language import Node, Scope
    from analyzer.opening.log import Log
    from analyzer.opening.particulars import Answer, Particulars
    from analyzer.opening.program import Program
    from analyzer.rules import RuleSet
    from analyzer.rules.check import Check

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True)
class Entry:
    """One check and the number its events carry."""

    id: str
    check: Check
    number: int


def entries(rules: RuleSet, scope: str, first: int) -> list[Entry]:
    """Return the checks of a scope, numbered from `first` on."""
    chosen = [(finding.id, finding.check) for finding in rules.findings.values() if finding.check is not None]
    return [Entry(id_, one, first + place) for place, (id_, one) in enumerate((id_, one) for id_, one in chosen if one.scope == scope)]


class View:
    """Some steps, as the environment an expression is evaluated in."""

    def __init__(self, particulars: Particulars, steps: Array) -> None:
        self.particulars, self.steps = particulars, steps

    def name(self, name: str) -> Answer:
        """Return values and known of a name."""
        return self.particulars.answer(name, self.steps)

    def field(self, record: str, name: str) -> Answer:
        """Refuse: no segment has candidates."""
        raise KeyError(record, name)

    def seen(self, id_: str) -> Array:
        """Refuse: no segment remembers rows."""
        raise KeyError(id_)

    def lost(self, record: str) -> Array:
        """Refuse: no segment has candidates."""
        raise KeyError(record)


def run_segments(found: Iterable[Entry], program: Program, particulars: Particulars, codes: Array, log: Log) -> dict[str, Array]:
    """Add an event for each check that fires, and return the connections in which a check was not evaluable, by id."""
    scope = scope_of(program.machine, "segment")
    seen = _Seen(program, codes, log)
    unknown = {}
    for entry in found:
        steps = seen.steps(entry.check)
        hits, doubtful = _evaluate(entry.check.when, scope, particulars, steps)
        flow = particulars.steps.columns["flow"]
        if len(doubtful) and _names(entry.check.when) & OPTION_FACTS:
            cut = doubtful[particulars.steps.columns["header_cut"][doubtful]]
            if len(cut):
                unknown[entry.id] = np.unique(flow[cut])
        if len(hits):
            view = View(particulars, hits)
            numbers = {name: _said(node, scope, view, len(hits)) for name, node in entry.check.say}
            log.events.append(Event(entry.number, flow[hits].astype(np.int64), hits, (), numbers))
    return unknown


def _names(node: Node) -> set[str]:
    return {part.name for part in walk(node) if isinstance(part, Name)}


def _said(node: Node, scope: Scope, view: View, size: int) -> Array:
    values, known = arrays.compile_(node, scope)(view)
    numbers = np.broadcast_to(np.asarray(values).astype(np.int64), size) // unit(check(node, scope))
    return numbers if known is None else np.where(known, numbers, -1)


class _Seen:
    """The steps that checks want to see; each wish is looked up once."""

    def __init__(self, program: Program, codes: Array, log: Log) -> None:
        self.program, self.codes, self.log = program, codes.astype(np.intp), log
        self.found: dict[Any, Array] = {}

    def steps(self, check_: Check) -> Array:
        """Return the steps a check sees, in order."""
        key = (check_.see, check_.rows)
        if key not in self.found:
            self.found[key] = np.flatnonzero(self._mask(check_))
        return self.found[key]

    def _mask(self, check_: Check) -> Array:
        wanted = np.zeros(2 * len(self.program.classes), bool)
        for by_client, name in check_.see:
            wanted[by_client * len(self.program.classes) + self.program.classes.index(name)] = True
        mask: Array = wanted[self.codes] if check_.see else np.zeros(len(self.codes), bool)
        for number, row in enumerate(self.program.machine.rows):
            if row.id in check_.rows:
                mask |= self.log.row == number
        return mask


def _evaluate(node: Node, scope: Scope, particulars: Particulars, steps: Array) -> tuple[Array, Array]:
    """Return the steps at which the condition holds, and those at which it is unknown.

    The parts of a conjunction are tried one after the other, each only where the ones before it left something to ask.
    """
    sure = None
    for part in conjuncts(node):
        check(part, scope)
        values, known = arrays.compile_(part, scope)(View(particulars, steps))
        holds = np.broadcast_to(np.asarray(values, bool) if known is None else np.asarray(values, bool) & known, len(steps))
        left = holds if known is None else holds | ~known
        keep = np.flatnonzero(left)
        if sure is not None or known is not None:
            sure = holds[keep] if sure is None else sure[keep] & holds[keep]
        steps = steps[keep]
        if not len(steps):
            break
    return (steps, steps[:0]) if sure is None else (steps[sure], steps[~sure])
