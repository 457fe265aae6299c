"""Checks of rules that a schema cannot express: rows that are never reached, findings that are never emitted, contradictions between files.

Each fault is one line that names file and row; `lint` returns all of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from analyzer.rules.check import DIALOGUE_SCOPES
from analyzer.rules.machine import emitted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from analyzer.rules.check import Check
    from analyzer.rules.finding import Finding
    from analyzer.rules.machine import Machine

COMMON_PLACEHOLDERS = frozenset({"seq", "ack", "len", "window", "ttl", "repeats", "icmp_type", "icmp_code", "times"})
"""Placeholders that every message may have without `values` for them."""


def lint(machine: Machine, findings: Mapping[str, Finding], path: Path) -> list[str]:
    """Return every fault found in `machine`, which was read from `path`, and in `findings`; an empty list when there is none."""
    own = [*_ids(machine), *_shadows(machine), *_verdicts(machine), *_missing(machine, findings)]
    return [*(f"{path}: {fault}" for fault in own), *_idle(machine, findings), *_messages(machine, findings)]


def _ids(machine: Machine) -> Iterator[str]:
    seen: set[str] = set()
    for id_ in (row.id for row in machine.rows):
        if id_ in seen:
            yield f"row {id_}: the id is used twice"
        seen.add(id_)


def _shadows(machine: Machine) -> Iterator[str]:
    """Rows that earlier rows without a condition shadow."""
    open_rows = [row for row in machine.rows if row.when is None and row.settles is None]
    order = {row.id: place for place, row in enumerate(machine.rows)}
    for row in machine.rows:
        if row.settles is not None:
            continue
        if not row.match or not row.client or not row.server:
            yield f"row {row.id}: applies nowhere"
        left = {(see, client, server) for see in row.match for client in row.client for server in row.server}
        for earlier in open_rows:
            if order[earlier.id] < order[row.id]:
                left -= {(see, client, server) for see in earlier.match for client in earlier.client for server in earlier.server}
        if not left:
            yield f"row {row.id}: never reached, earlier rows without a condition take all that it could match"


def _verdicts(machine: Machine) -> Iterator[str]:
    if machine.verdicts[-1].when is not None:
        yield f"verdict {machine.verdicts[-1].name}: the last verdict must have no condition"
    for verdict in machine.verdicts[:-1]:
        if verdict.when is None:
            yield f"verdict {verdict.name}: has no condition, so those after it are never reached"
    if machine.views[-1].when is not None:
        yield f"view {machine.views[-1].name}: the last view must have no condition"


def _missing(machine: Machine, findings: Mapping[str, Finding]) -> Iterator[str]:
    for id_ in sorted(emitted(machine) - findings.keys()):
        yield f"finding {id_}: emitted, but no file describes it"


def _idle(machine: Machine, findings: Mapping[str, Finding]) -> Iterator[str]:
    """Finding files that nothing emits, or without an example that fires and one that stays silent."""
    ids = emitted(machine)
    for id_, finding in sorted(findings.items()):
        if id_ not in ids and finding.check is None:
            yield f"{finding.path}: {id_} can never be found: it has no check, and no row, hold or verdict emits it"
        if id_ in ids and finding.check is not None:
            yield f"{finding.path}: {id_} has a check, but is emitted by the machine too"
        if finding.check is not None:
            yield from _check(finding.check, finding.path)
        fires = {example.fires for example in finding.examples}
        if fires != {True, False}:
            missing = "fires" if True not in fires else "stays silent"
            yield f"{finding.path}: no example that {missing}"


def _check(check: Check, path: str) -> Iterator[str]:
    """Keys that the scope of a check does not have, or requires."""
    if (check.scope == "segment") != bool(check.match or check.rows):
        yield f"{path}: check.match: a segment check needs it, and no other has it"
    if (check.scope == "correlation") != bool(check.group_by):
        yield f"{path}: check.group_by: a correlation check needs it, and no other has it"
    if check.evidence and check.scope not in {"connection", *DIALOGUE_SCOPES}:
        yield f"{path}: check.evidence: only a check of a connection, a dialogue or an exchange has it"
    if check.scope in DIALOGUE_SCOPES and not check.evidence:
        yield f"{path}: check.evidence: a check of a {check.scope} needs it: nothing else states which frames prove it"
    if check.where is not None and check.scope != "correlation":
        yield f"{path}: check.where: only a correlation check has it"


def _messages(machine: Machine, findings: Mapping[str, Finding]) -> Iterator[str]:
    """Placeholders of a message that some row which emits it does not fill."""
    emitters = _emitters(machine)
    for id_, finding in sorted(findings.items()):
        for name in sorted(finding.placeholders - COMMON_PLACEHOLDERS):
            if finding.check is not None and name not in {filled for filled, _ in (*finding.check.message_values, *finding.check.texts)}:
                yield f"{finding.path}: the message has a placeholder {name}, which the check does not fill"
            lacking = [where for where, names in emitters.get(id_, ()) if name not in names]
            if lacking:
                yield f"{finding.path}: the message has a placeholder {name}, which {lacking[0]} does not fill"


def _emitters(machine: Machine) -> dict[str, list[tuple[str, frozenset[str]]]]:
    """Return, per finding, each emitter and the names of its values."""
    emitters: dict[str, list[tuple[str, frozenset[str]]]] = {}
    for row in machine.rows:
        at_end = machine.holds[row.holds].at_end if row.holds else ()
        for emit in (*row.emits, *at_end):
            emitters.setdefault(emit.id, []).append((f"row {row.id}", frozenset(name for name, _ in row.message_values)))
    endings = [(f"verdict {verdict.name}", verdict.emits) for verdict in machine.verdicts]
    endings += [(f"observation {observation.id}", observation.emits) for observation in machine.observations]
    for where, emits in endings:
        for emit in emits:
            emitters.setdefault(emit.id, []).append((where, frozenset()))
    return emitters
