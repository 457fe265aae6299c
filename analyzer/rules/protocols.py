"""Protocol files (rules/protocols/*.toml) as frozen `Protocol`s: signatures, facts for rules, columns of transactions.

`any.toml` declares the facts of every dialogue; each other file describes one protocol. A fact is declared once, here; the module of
`analyzer.dialogues` that reads the protocol fills it in.

Every fact has a known type and every name is declared once per protocol; a fault names file and key.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from analyzer.errors import RuleError
from analyzer.model import DetailColumn
from analyzer.rules import toml_loader
from analyzer.rules.vocabulary import Fact

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

ANY: Final = "any"
"""The file with the facts of every dialogue."""
PREDEFINED: Final = ("none", "unknown")
"""Words of the enumeration `service` that are no protocol: no payload; payload that no protocol matches."""
MAX_SIGNATURE_BYTES: Final = 512
"""Bytes at the start of a direction that a signature is matched against."""
TEXT: Final = "text"
"""The type of a fact of an exchange that is text from the capture: a message may contain it, no condition may name it."""
_KINDS: Final = ("int", "flag", "time", "seq")
SIDES: Final = ("client", "server")
STRENGTHS: Final = ("sure", "likely", "unlikely", "never")
"""How much a signature proves; see `Signature.strength`."""


@dataclass(frozen=True, slots=True)
class Signature:
    """A pattern of the first bytes of one direction, for or against a protocol."""

    by: str
    """client or server."""
    pattern: re.Pattern[bytes]
    strength: str
    """sure: decides alone. likely: the other direction or the port has to agree. unlikely: what is likely of the protocol does not count,
    in either direction. never: it is not this protocol, whatever other signatures match."""


@dataclass(frozen=True, slots=True)
class Protocol:
    """One protocol, or what all have in common."""

    id: str
    title: str
    ports: tuple[int, ...]
    """Server ports without TLS."""
    tls_ports: tuple[int, ...]
    """Server ports inside TLS."""
    tls_name: str
    """Its name inside TLS, as https."""
    speaks_first: str
    """client, server, or none when it does not matter."""
    reader: str
    """Module of `analyzer.dialogues` that reads it; empty when it is only recognised."""
    signatures: tuple[Signature, ...]
    enums: Mapping[str, tuple[str, ...]]
    dialogue: Mapping[str, Fact]
    dialogue_evidence: Mapping[str, str]
    exchange: Mapping[str, Fact]
    exchange_evidence: Mapping[str, str]
    transaction: Mapping[str, Fact]
    """Columns of the transactions table; `kind` is str, int, float, flag or list."""
    details: tuple[DetailColumn, ...]
    """Which of these columns are printed below a transaction, in order."""
    data: Mapping[str, Any]
    """What else the file holds for its reader: tables of commands and the like."""

    def facts(self, scope: str) -> Mapping[str, Fact]:
        """Return the facts that a check of `scope` (dialogue or exchange) may name."""
        return self.dialogue if scope == "dialogue" else self.exchange

    def evidence(self, scope: str) -> Mapping[str, str]:
        """Return the evidence that a check of `scope` may name."""
        return self.dialogue_evidence if scope == "dialogue" else self.exchange_evidence


def load(home: Path, layers: Sequence[tuple[Path, dict[str, Any]]] = (), *, check: bool = False) -> dict[str, Protocol]:
    """Return the protocols under `home`/protocols by id, `any` first, with `layers` added in order.

    A layer is a file of a user's rules that names a shipped protocol (`extends`), and its path.
    Raises `RuleError`; with `check` validates the files against the schema.
    """
    folder = home / "protocols"
    documents = {path: toml_loader.read(path) for path in sorted(folder.glob("*.toml"))}
    if check:
        for path, document in documents.items():
            toml_loader.check(document, "protocol", path)
    for path, changes in layers:
        changed = folder / f"{changes['extends']}.toml"
        if changed not in documents:
            message = f"{path}: extends: no protocol is called {changes['extends']}"
            raise RuleError(message)
        documents[changed] = _extend(documents[changed], {key: value for key, value in changes.items() if key not in {"schema", "extends"}})
    common = documents[folder / f"{ANY}.toml"]
    found = {document["id"]: _build(document, common, path) for path, document in documents.items()}
    return {ANY: found[ANY], **found}


def server_ports(protocols: Mapping[str, Protocol]) -> frozenset[int]:
    """Return the server ports of the protocols that are parsed, and of those that only an announcement identifies."""
    chosen = [one for one in protocols.values() if one.reader or not one.signatures]
    return frozenset(port for one in chosen for port in (*one.ports, *one.tls_ports))


def _extend(document: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return `document` with `changes` added: tables key by key, lists behind what is there, other values instead of it."""
    merged = dict(document)
    for key, value in changes.items():
        old = merged.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            merged[key] = _extend(old, value)
        elif isinstance(old, list) and isinstance(value, list):
            merged[key] = [*old, *(one for one in value if one not in old)]
        else:
            merged[key] = value
    return merged


def services(protocols: Mapping[str, Protocol]) -> tuple[str, ...]:
    """Return the words of the enumeration `service`: those that are no protocol, the protocols, and their names inside TLS."""
    own = [id_ for id_ in protocols if id_ != ANY]
    return (*PREDEFINED, *own, *(one.tls_name for one in protocols.values() if one.tls_name))


def _build(document: dict[str, Any], common: dict[str, Any], path: Path) -> Protocol:
    if document["id"] != path.stem:
        message = f"{path}: id: {document['id']} must be the file's name"
        raise RuleError(message)
    shared = common if document is not common and document["id"] != ANY else {}
    enums = {name: tuple(words) for part in (shared, document) for name, words in part.get("enums", {}).items()}
    unnamed = sorted(set(document.get("data", {}).get("commands", ())) - set(enums.get("command", ())))
    if unnamed:
        message = f"{path}: data.commands.{unnamed[0]}: enums.command does not list it"
        raise RuleError(message)
    facts = {
        section: {
            name: _fact(entry, f"{path}: {section}.{name}", (*_KINDS, *((TEXT,) if section == "exchange" else ()), "service", *enums))
            for part in (shared, document)
            for name, entry in part.get(section, {}).items()
        }
        for section in ("dialogue", "exchange")
    }
    _refuse_doubles(document, shared, path)
    return Protocol(
        id=document["id"],
        title=document["title"],
        ports=tuple(document.get("ports", ())),
        tls_ports=tuple(document.get("tls_ports", ())),
        tls_name=document.get("tls_name", ""),
        speaks_first=document.get("speaks_first", "none"),
        reader=document.get("reader", ""),
        signatures=tuple(_signature(entry, f"{path}: signature {number}") for number, entry in enumerate(document.get("signature", ()), 1)),
        enums=enums,
        dialogue=facts["dialogue"],
        dialogue_evidence=shared.get("dialogue_evidence", {}) | document.get("dialogue_evidence", {}),
        exchange=facts["exchange"],
        exchange_evidence=shared.get("exchange_evidence", {}) | document.get("exchange_evidence", {}),
        transaction={
            name: Fact(entry["dtype"], entry["meaning"], entry.get("unit", "")) for name, entry in document.get("transaction", {}).items()
        },
        details=_details(document.get("transaction", {}), path),
        data=document.get("data", {}),
    )


def _fact(entry: dict[str, Any], where: str, kinds: tuple[str, ...]) -> Fact:
    if entry["kind"] not in kinds:
        message = f"{where}: kind: {entry['kind']} is none of {', '.join(kinds)}"
        raise RuleError(message)
    return Fact(entry["kind"], entry["meaning"], entry.get("unit", ""))


def _details(columns: dict[str, Any], path: Path) -> tuple[DetailColumn, ...]:
    found = tuple(DetailColumn(name, entry["show"], entry.get("paired_column", "")) for name, entry in columns.items() if "show" in entry)
    for detail in found:
        if detail.paired_column and columns.get(detail.paired_column, {}).get("dtype") != "list":
            message = f"{path}: transaction.{detail.name}: paired_column: {detail.paired_column} is no column that holds lists"
            raise RuleError(message)
    return found


def _refuse_doubles(document: dict[str, Any], shared: dict[str, Any], path: Path) -> None:
    for section in ("enums", "dialogue", "exchange", "dialogue_evidence", "exchange_evidence"):
        twice = sorted(set(document.get(section, {})) & set(shared.get(section, {})))
        if twice:
            message = f"{path}: {section}.{twice[0]}: every dialogue has it already"
            raise RuleError(message)


def _signature(entry: dict[str, Any], where: str) -> Signature:
    try:
        # Patterns match bytes and are written in ASCII.
        pattern = re.compile(entry["match"].encode("ascii"), re.DOTALL)
    except (re.error, UnicodeEncodeError) as error:
        message = f"{where}: match: {error}"
        raise RuleError(message) from None
    return Signature(entry["by"], pattern, entry["strength"])
