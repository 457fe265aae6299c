"""Columns of the flows table and rows of the transactions table, made from dialogues.

Columns are as `model` and rules/protocols describe them; absent values as in `schema.Table`; rows are in order of connection and number.
All text can be encoded as UTF-8.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from analyzer.dialogues.context import SIDES
from analyzer.dialogues.tunnels import unfold
from analyzer.model import TRANSACTIONS
from analyzer.protocols.columnar import DialogueColumns
from analyzer.protocols.detection import NOTHING, UNKNOWN
from analyzer.rules.protocols import ANY, services
from analyzer.schema import NO_TIME, Column, Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from analyzer._typing import Array, IntArray
    from analyzer.dialogues.results import Dialogues
    from analyzer.dialogues.tunnels import UnfoldedDialogue
    from analyzer.protocols.api import Cell
    from analyzer.rules.protocols import Protocol

_DTYPES: Final = {"str": "str", "int": "int64", "float": "float64", "flag": "bool", "list": "object"}
_ABSENT: Final[dict[str, Any]] = {"str": "", "int64": -1, "float64": float("nan"), "bool": False, "object": ()}
_NOT_FROM_PARSERS: Final = {"flow_id", "capture", "protocol", "inside"}
"""Columns of a transaction that its parser does not fill."""
MAX_SUMMARY: Final = 240
"""Characters of a summary that are kept."""


def flows(found: Dialogues, flow_ids: Array, protocols: Mapping[str, Protocol]) -> dict[str, Any]:
    """Return the columns of table `FLOWS` that dialogues fill, by name."""
    count = len(flow_ids)
    facts = found.context.facts
    gaps, known = facts["gaps"]
    inconclusive = found.context.has_facts & (gaps if known is None else gaps & known)
    inconclusive[list(found.unreadable)] = True
    for flow, _, dialogue in unfold(found.dialogues):
        inconclusive[flow] |= dialogue.dropped > 0 or dialogue.cut
    words = np.array(["", *services(protocols)[1:]], object)
    return {
        **{name: pd.Series(values, dtype="str") for name, values in _texts(found, flow_ids).items()},
        **_numbers(found, count),
        "service_by_port": pd.Series(words[facts["service_by_port"][0]], dtype="str"),
        "first_talker": pd.Series(np.array(["", *SIDES[1:]], object)[facts["first_talker"][0]], dtype="str"),
        "encrypted_by": pd.Series(np.array(["", *found.encryption_words[1:]], object)[facts["encrypted_by"][0]], dtype="str"),
        "dialogue_inconclusive": inconclusive,
    }


def _texts(found: Dialogues, flow_ids: Array) -> dict[str, Array]:
    """Return the text columns of the flows table, by name."""
    names = ("service", "service_client", "service_server", "service_after", "dialogue", "control_flow_id")
    texts = {name: np.full(len(flow_ids), "", object) for name in names}
    for flow, detection in found.detections.items():
        texts["service"][flow] = _service(detection.service, detection.client, detection.server)
        texts["service_client"][flow] = "-or-".join(detection.client)
        texts["service_server"][flow] = "-or-".join(detection.server)
    for flow, dialogue in found.dialogues.items():
        texts["service_after"][flow] = dialogue.after
        texts["dialogue"][flow] = _short(legible(dialogue.summary))
    for columns in found.columns:
        texts["dialogue"][columns.flow] = [_short(legible(summary)) for summary in columns.summary]
    for flow, control in found.linked.items():
        texts["control_flow_id"][flow] = flow_ids[control]
        texts["service"][flow] = texts["service"][flow] or f"{found.dialogues[control].service}-data"
    return texts


def _numbers(found: Dialogues, count: int) -> dict[str, Array]:
    """Return the number columns of the flows table, by name."""
    tls_frame, transactions_ = np.full(count, -1, np.int64), np.zeros(count, np.int64)
    for flow, dialogue in found.dialogues.items():
        tls_frame[flow] = -1 if dialogue.tls_position is None else dialogue.tls_position.frame
    for flow, _, dialogue in unfold(found.dialogues):
        transactions_[flow] += len(dialogue.rows) + dialogue.dropped
    for columns in found.columns:
        transactions_[columns.flow] = columns.row_count
    return {"tls_frame": tls_frame, "transactions": transactions_}


def _service(service: str, client: Sequence[str], server: Sequence[str]) -> str:
    """Return the protocol that was detected, or those it may be."""
    if service == NOTHING:
        return ""
    if service != UNKNOWN:
        return service
    either = [id_ for id_ in client if id_ in server] or [*client, *server] if client and server else [*client, *server]
    return "-or-".join(dict.fromkeys(either))


def legible(text: str) -> str:
    r"""Return text with bytes that were not UTF-8 written as `\xff`; text columns held by Arrow accept nothing else."""
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _short(text: str) -> str:
    return text if len(text) <= MAX_SUMMARY else text[: MAX_SUMMARY - 1] + "…"


def shape(protocols: Mapping[str, Protocol]) -> Table:
    """Return the layout of the transactions table: the common columns, then each protocol's; protocols may share one."""
    columns = {column.name: column for column in TRANSACTIONS.columns}
    for protocol in protocols.values():
        for name, fact in protocol.transaction.items():
            columns.setdefault(name, Column(name, _DTYPES[fact.kind], fact.meaning, fact.unit))
    return Table("transactions", tuple(columns.values()))


def own(protocols: Mapping[str, Protocol]) -> dict[str, tuple[str, ...]]:
    """Return the columns of each protocol, by its id."""
    return {id_: tuple(protocol.transaction) for id_, protocol in protocols.items() if id_ != ANY and protocol.transaction}


def transactions(found: Dialogues, flow_ids: Array, captures: Array, protocols: Mapping[str, Protocol]) -> pd.DataFrame:
    """Return the transactions table, columns as in `shape`."""
    single = [one for one in unfold(found.dialogues) if one.dialogue.rows]
    counts = np.array([len(one.dialogue.rows) for one in single], np.int64)
    owners = [np.repeat(one.flow, one.row_count) for one in found.columns]
    owner = np.concatenate([np.repeat(np.array([one.flow for one in single], np.int64), counts), *owners])
    # The target row of each source row: by connection, in order of number.
    target = np.empty(len(owner), np.int64)
    target[np.argsort(owner, kind="stable")] = np.arange(len(owner))
    layout = shape(protocols)
    made: dict[str, Any] = {column.name: _absent_column(column, len(owner)) for column in layout.columns}
    protocol_ids = np.empty(len(owner), object)
    for id_, rows, source in _sources(single, found.columns, counts, target):
        protocol_ids[rows] = id_
        names = {*protocols[id_].transaction, *TRANSACTIONS.names} - _NOT_FROM_PARSERS
        for column in layout.columns:
            if column.name in names:
                _fill(made[column.name], rows, source, column)
    for one, stop in zip(single, np.cumsum(counts).tolist(), strict=True):
        if one.inside:
            inside = tuple(map(legible, one.inside))
            for row in target[stop - len(one.dialogue.rows) : stop].tolist():
                made["inside"][row] = inside
    owner = np.sort(owner)
    made["flow_id"], made["protocol"] = flow_ids[owner], protocol_ids
    made["capture"] = captures[owner].astype(np.int64)
    return pd.DataFrame({column.name: pd.Series(made[column.name], dtype=column.dtype) for column in layout.columns})


def _sources(
    single: Sequence[UnfoldedDialogue], columnar: Sequence[DialogueColumns], counts: IntArray, target: IntArray
) -> Iterator[tuple[str, IntArray, Sequence[dict[str, Cell]] | DialogueColumns]]:
    """Yield a protocol, the rows of the table to fill, and their source: single dialogues by protocol, then each columnar one."""
    ids = np.repeat(np.array([one.dialogue.service for one in single], object), counts)
    rows = list(chain.from_iterable(one.dialogue.rows for one in single))
    for id_ in sorted(set(ids.tolist())):
        chosen = np.flatnonzero(ids == id_)
        yield id_, target[chosen], [rows[row] for row in chosen.tolist()]
    begin = len(rows)
    for columns in columnar:
        size = int(columns.row_count.sum())
        yield columns.service, target[begin : begin + size], columns
        begin += size


def _absent_column(column: Column, size: int) -> Array:
    """Return a column in which every value is absent."""
    if column.dtype == "object":
        made = np.empty(size, object)
        made[:] = [()] * size
        return made
    return np.full(size, _absent(column), object if column.dtype == "str" else column.dtype)


def _absent(column: Column) -> Any:  # noqa: ANN401 - a value of the column's dtype
    return NO_TIME if column.name == "time_ns" else _ABSENT[column.dtype]


def _fill(made: Array, rows: IntArray, source: Sequence[dict[str, Cell]] | DialogueColumns, column: Column) -> None:
    """Write the values of some rows into a column."""
    name = "time" if column.name == "time_ns" else column.name
    if not isinstance(source, DialogueColumns):
        _write(made, rows, [row.get(name) for row in source], column)
    elif (encoded := source.rows.get(name)) is None:
        return
    elif encoded.at is None:
        _write(made, rows, encoded.there, column)
    else:
        # Each distinct value is converted once.
        distinct = _absent_column(column, len(encoded.there))
        _write(distinct, np.arange(len(encoded.there)), encoded.there, column)
        made[rows] = distinct[encoded.at]


def _write(made: Array, rows: IntArray, values: Sequence[Any] | Array, column: Column) -> None:
    """Write values into the given rows of a column, leaving out those that are None."""
    if isinstance(values, np.ndarray):
        made[rows] = values
        return
    if None in values:
        present = [index for index, value in enumerate(values) if value is not None]
        rows, values = rows[present], [values[index] for index in present]
    if column.dtype == "object":
        for row, value in zip(rows.tolist(), values, strict=True):
            made[row] = tuple(legible(item) if isinstance(item, str) else item for item in value)
    elif values:
        made[rows] = [legible(text) for text in values] if column.dtype == "str" else values
