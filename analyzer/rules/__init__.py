"""Rule files (rules/**/*.toml), loaded into one validated, frozen `RuleSet`.

A rule file is accepted or refused as a whole, with file, entry and key path in the message. The shipped rules are checked when they are
built, so `load` checks their types and names and skips schemas and lint unless `check` is set; users' rules are always checked. Selecting
and ignoring rules changes what is reported, never how an opening is judged. Nothing here runs rules or prints findings.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analyzer.errors import RuleError, UsageError
from analyzer.rules import finding as findings_
from analyzer.rules import opening, protocols, secrets, severities, toml_loader
from analyzer.rules.finding import Example, Finding
from analyzer.rules.lint import lint
from analyzer.rules.machine import Machine, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from analyzer.model import Severity
    from analyzer.rules.protocols import Protocol
    from analyzer.rules.secrets import SecretPatterns

__all__ = ["Example", "Finding", "Machine", "RuleSet", "Verdict", "load"]

_OPENING = "handshake"
"""The family of findings about openings and about dialogues of any protocol."""


@dataclass(frozen=True, slots=True)
class RuleSet:
    """All rules of one run."""

    machine: Machine
    findings: Mapping[str, Finding]
    """Every finding by id, sorted; disabled ones are not here."""
    reported: frozenset[str]
    """Ids that `select` and `ignore` leave in the report."""
    protocols: Mapping[str, Protocol]
    """Signatures and facts of each protocol, by id; `any` has those of all dialogues."""
    secrets: SecretPatterns
    """Names and forms of secrets."""
    digest: str
    """SHA-256 over the rule files' bytes, first sixteen hex digits."""

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """The verdicts, in the order they are tried."""
        return self.machine.verdicts

    @property
    def verdict_severities(self) -> Mapping[str, Severity]:
        """The severity of each verdict that counts against a connection, by name."""
        return severities.by_verdict(self.machine.verdicts)


def load(
    extra: Sequence[str | Path] = (),
    *,
    select: Sequence[str] = (),
    ignore: Sequence[str] = (),
    check: bool = False,
) -> RuleSet:
    """Return the shipped rules with those of the folders `extra` layered on top, in order.

    `select` and `ignore` are finding ids or globs (`synack-*`); without `select`, all but those marked `opt_in` are reported.
    With `check` the shipped files are checked against their schemas and by lint too. Raises `RuleError` for a bad file
    and `UsageError` for an id that does not exist.
    """
    home = toml_loader.shipped()
    layers = [_layer(Path(folder)) for folder in extra]
    known_protocols = protocols.load(home, [one for layer in layers for one in layer.protocols.items()], check=check)
    files = _files(home, known_protocols)
    document = toml_loader.read(home / "opening.toml")
    if check:
        toml_loader.check(document, "opening", home / "opening.toml")
    known = {path: toml_loader.read(path) for path in files}
    disabled: set[str] = set()
    new_severities: dict[str, Any] = {}
    for layer in layers:
        known |= layer.findings
        disabled |= set(layer.changes.get("disable", ()))
        new_severities |= layer.changes.get("severity", {})
        document = _merge(document, layer.changes, layer.path)
    if check:
        for path, entry in known.items():
            toml_loader.check(entry, "finding", path)
        for path in files:
            toml_loader.check(known[path], "finding#shipped", path)
    secret_patterns = secrets.load(home, [layer.secrets for layer in layers if layer.secrets], check=check)
    path = layers[-1].path if layers else home / "opening.toml"
    machine = opening.build(document, path)
    registry = _registry(known, machine, known_protocols)
    faults = lint(machine, registry, path) if check or layers else []
    if faults:
        raise RuleError("\n".join(faults))
    _refuse_unknown({*disabled, *new_severities}, registry, RuleError, f"{path}: ")
    registry = {
        id_: replace(entry, severity=new_severities.get(id_, entry.severity)) for id_, entry in registry.items() if id_ not in disabled
    }
    return RuleSet(machine, registry, _reported(registry, select, ignore), known_protocols, secret_patterns, _digest(home, files, extra))


@dataclass(frozen=True, slots=True)
class _Layer:
    path: Path
    findings: dict[Path, dict[str, Any]]
    changes: dict[str, Any]
    secrets: dict[str, Any]
    protocols: dict[Path, dict[str, Any]]


def _files(home: Path, known_protocols: Mapping[str, Protocol]) -> list[Path]:
    return sorted(path for family in (_OPENING, *known_protocols) for path in (home / family).glob("*.toml"))


def _layer(folder: Path) -> _Layer:
    """Read a user's folder: finding files, an opening.toml that changes the machine, a secrets.toml that adds to the secrets.

    Any other file with `extends` adds to the shipped protocol that it names.
    """
    paths = toml_loader.list_files(folder)
    changes: dict[str, Any] = {}
    secrets_changes: dict[str, Any] = {}
    entries = {}
    protocol_changes = {}
    for path in paths:
        if path.name == secrets.FILE:
            secrets_changes = secrets.read_layer(path)
            continue
        document = toml_loader.read(path)
        if path.name == "opening.toml":
            toml_loader.check(document, "opening#changes", path)
            changes = document
        elif "extends" in document:
            toml_loader.check(document, "protocol#changes", path)
            protocol_changes[path] = document
        else:
            toml_loader.check(document, "finding", path)
            entries[path] = document
    return _Layer(folder / "opening.toml", entries, changes, secrets_changes, protocol_changes)


def _merge(document: dict[str, Any], changes: dict[str, Any], path: Path) -> dict[str, Any]:
    """Return `document` with the rows and verdicts of `changes` inserted before the ones they name."""
    merged = document | {
        "variables": document.get("variables", {}) | changes.get("variables", {}),
        "row": list(document["row"]),
        "verdict": list(document["verdict"]),
        "observation": [*document.get("observation", ()), *changes.get("observation", ())],
    }
    for kind, name in (("row", "id"), ("verdict", "is")):
        for entry in changes.get(kind, ()):
            positions = [position for position, old in enumerate(merged[kind]) if old[name] == entry["before"]]
            if not positions:
                message = f"{path}: {kind} {entry[name]}: before: no {kind} is called {entry['before']}"
                raise RuleError(message)
            merged[kind].insert(positions[0], {key: value for key, value in entry.items() if key != "before"})
    return merged


def _registry(documents: Mapping[Path, dict[str, Any]], machine: Machine, known_protocols: Mapping[str, Protocol]) -> dict[str, Finding]:
    """Return the findings by id; a file of the same id in a later layer replaces the earlier one."""
    found: dict[str, Finding] = {}
    for path, document in documents.items():
        entry = findings_.build(document, path, machine, known_protocols)
        if entry.id != path.stem:
            message = f"{path}: id: {entry.id} must be the file's name"
            raise RuleError(message)
        found[entry.id] = entry
    return dict(sorted(found.items()))


def _refuse_unknown(ids: Iterable[str], registry: Mapping[str, Finding], error: type[RuleError | UsageError], where: str = "") -> None:
    for id_ in sorted(ids):
        if id_ not in registry:
            near = get_close_matches(id_, registry, n=3)
            hint = f": did you mean {', '.join(near)}?" if near else ""
            message = f"{where}no rule is called {id_}{hint}"
            raise error(message)


def _reported(registry: Mapping[str, Finding], select: Sequence[str], ignore: Sequence[str]) -> frozenset[str]:
    chosen = _expand(registry, select) if select else frozenset(id_ for id_, finding in registry.items() if not finding.opt_in)
    return chosen - _expand(registry, ignore)


def _expand(registry: Mapping[str, Finding], patterns: Sequence[str]) -> frozenset[str]:
    found: set[str] = set()
    for pattern in patterns:
        hits = {id_ for id_ in registry if fnmatchcase(id_, pattern)}
        if not hits:
            _refuse_unknown([pattern], registry, UsageError)
        found |= hits
    return frozenset(found)


def _digest(home: Path, files: Sequence[Path], extra: Sequence[str | Path]) -> str:
    total = hashlib.sha256()
    for path in [
        home / "opening.toml",
        home / secrets.FILE,
        *sorted((home / "protocols").glob("*.toml")),
        *files,
        *(path for folder in extra for path in toml_loader.list_files(Path(folder))),
    ]:
        total.update(path.name.encode() + b"\0" + path.read_bytes())
    return total.hexdigest()[:16]
