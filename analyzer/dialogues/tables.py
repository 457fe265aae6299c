"""Dialogues ─► columns of the flows table and the transactions table.

Promises: columns as `model` and rules/protocols describe them; absent as `tables` says; rows in order of connection and number; all text
can be written as UTF-8.
Must not know: output formats.
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

    from analyzer.dialogues.results import Dialogues
    from analyzer.dialogues.tunnels import Told
    from analyzer.protocols.api import Cell
    from analyzer.rules.protocols import Protocol

Array = np.ndarray[Any, np.dtype[Any]]

_DTYPES: Final = {"str": "str", "int": "int64", "float": "float64", "flag": "bool", "list": "object"}
_ABSENT: Final[dict[str, Any]] = {"str": "", "int64": -1, "float64": float("nan"), "bool": False, "object": ()}
_FROM_OUTSIDE: Final = {"flow_id", "capture", "protocol", "inside"}
"""Columns of a transaction that its reader does not know."""
_SUMMARY: Final = 240
"""Letters of a summary that are kept."""


def flows(found: Dialogues, flow_ids: Array, protocols: Mapping[str, Protocol]) -> dict[str, Any]:
    """Return the columns of table `FLOWS` that dialogues fill, by name."""
    count = len(flow_ids)
    texts = {
        name: np.full(count, "", object)
        for name in ("service", "service_client", "service_server", "service_after", "dialogue", "control_flow_id")
    }
    numbers = {"tls_frame": np.full(count, -1, np.int64), "transactions": np.zeros(count, np.int64)}
    unsure = np.zeros(count, bool)
    for flow, heard in found.heard.items():
        texts["service"][flow] = _service(heard.service, heard.client, heard.server)
        texts["service_client"][flow] = "-or-".join(heard.client)
        texts["service_server"][flow] = "-or-".join(heard.server)
    for flow, dialogue in found.dialogues.items():
        texts["service_after"][flow] = dialogue.after
        texts["dialogue"][flow] = _short(legible(dialogue.summary))
        numbers["tls_frame"][flow] = -1 if dialogue.tls_spot is None else dialogue.tls_spot.frame
    for flow, _, dialogue in unfold(found.dialogues):
        numbers["transactions"][flow] += len(dialogue.rows) + dialogue.dropped
        unsure[flow] |= dialogue.dropped > 0 or dialogue.cut
    for block in found.blocks:
        texts["dialogue"][block.flow] = [_short(legible(summary)) for summary in block.summary]
        numbers["transactions"][block.flow] = block.row_count
    for flow, control in found.linked.items():
        texts["control_flow_id"][flow] = flow_ids[control]
        texts["service"][flow] = texts["service"][flow] or f"{found.dialogues[control].service}-data"
    gaps, known = found.ground.facts["gaps"]
    read = np.zeros(count, bool)
    read[[flow for flow, dialogue in found.dialogues.items() if dialogue.facts]] = True
    for block in found.blocks:
        read[block.flow] = True
    unsure[list(found.unread)] = True
    unsure |= read & (gaps if known is None else gaps & known)
    ways = found.ground.facts["encrypted_by"][0]
    words = np.array(["", *services(protocols)[1:]], object)
    return {
        **{name: pd.Series(values, dtype="str") for name, values in texts.items()},
        **numbers,
        "service_by_port": pd.Series(words[found.ground.facts["service_by_port"][0]], dtype="str"),
        "first_talker": pd.Series(np.array(["", *SIDES[1:]], object)[found.ground.facts["first_talker"][0]], dtype="str"),
        "encrypted_by": pd.Series(np.array(["", *found.ways[1:]], object)[ways], dtype="str"),
        "dialogue_inconclusive": unsure,
    }


def _service(service: str, client: Sequence[str], server: Sequence[str]) -> str:
    """Return what is spoken, or what it may be."""
    if service == NOTHING:
        return ""
    if service != UNKNOWN:
        return service
    either = [id_ for id_ in client if id_ in server] or [*client, *server] if client and server else [*client, *server]
    return "-or-".join(dict.fromkeys(either))


def legible(text: str) -> str:
    r"""Return text with bytes that were no UTF-8 as `\xff`: text columns that Arrow holds take no others."""
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _short(text: str) -> str:
    return text if len(text) <= _SUMMARY else text[: _SUMMARY - 1] + "…"


def shape(protocols: Mapping[str, Protocol]) -> Table:
    """Return what the transactions table's columns are: those all have, then each protocol's; protocols may share one."""
    columns = {column.name: column for column in TRANSACTIONS.columns}
    for protocol in protocols.values():
        for name, fact in protocol.transaction.items():
            columns.setdefault(name, Column(name, _DTYPES[fact.kind], fact.meaning, fact.unit))
    return Table("transactions", tuple(columns.values()))


def own(protocols: Mapping[str, Protocol]) -> dict[str, tuple[str, ...]]:
    """Return the columns that are each protocol's own."""
    return {id_: tuple(protocol.transaction) for id_, protocol in protocols.items() if id_ != ANY and protocol.transaction}


def transactions(found: Dialogues, flow_ids: Array, captures: Array, protocols: Mapping[str, Protocol]) -> pd.DataFrame:
    """Return the transactions table, columns as `shape` says."""
    said = [one for one in unfold(found.dialogues) if one.dialogue.rows]
    counts = np.array([len(one.dialogue.rows) for one in said], np.int64)
    owner = np.concatenate(
        [np.repeat(np.array([one.flow for one in said], np.int64), counts), *(np.repeat(one.flow, one.row_count) for one in found.blocks)]
    )
    # Where each row comes to stand: by connection, in the order it was said.
    place = np.empty(len(owner), np.int64)
    place[np.argsort(owner, kind="stable")] = np.arange(len(owner))
    columns = shape(protocols)
    made: dict[str, Any] = {column.name: _blank(column, len(owner)) for column in columns.columns}
    spoken = np.empty(len(owner), object)
    for word, at, rows in _sources(said, found.blocks, counts, place):
        spoken[at] = word
        names = {*protocols[word].transaction, *TRANSACTIONS.names} - _FROM_OUTSIDE
        for column in columns.columns:
            if column.name in names:
                _fill(made[column.name], at, rows, column)
    for one, stop in zip(said, np.cumsum(counts).tolist(), strict=True):
        if one.inside:
            inside = tuple(map(legible, one.inside))
            for row in place[stop - len(one.dialogue.rows) : stop].tolist():
                made["inside"][row] = inside
    owner = np.sort(owner)
    made["flow_id"], made["protocol"] = flow_ids[owner], spoken
    made["capture"] = captures[owner].astype(np.int64)
    return pd.DataFrame({column.name: pd.Series(made[column.name], dtype=column.dtype) for column in columns.columns})


def _sources(
    said: Sequence[Told], blocks: Sequence[DialogueColumns], counts: Array, place: Array
) -> Iterator[tuple[str, Array, Sequence[dict[str, Cell]] | DialogueColumns]]:
    """Yield a protocol, where its rows come to stand, and the rows: those read one by one, then those of each block."""
    words = np.repeat(np.array([one.dialogue.service for one in said], object), counts)
    rows = list(chain.from_iterable(one.dialogue.rows for one in said))
    for word in sorted(set(words.tolist())):
        at = np.flatnonzero(words == word)
        yield word, place[at], [rows[row] for row in at.tolist()]
    begin = len(rows)
    for block in blocks:
        size = int(block.row_count.sum())
        yield block.service, place[begin : begin + size], block
        begin += size


def _blank(column: Column, size: int) -> Array:
    """Return a column in which nothing is there."""
    if column.dtype == "object":
        made = np.empty(size, object)
        made[:] = [()] * size
        return made
    return np.full(size, _absent(column), object if column.dtype == "str" else column.dtype)


def _absent(column: Column) -> Any:  # noqa: ANN401 - a value of the column's dtype
    return NO_TIME if column.name == "time_ns" else _ABSENT[column.dtype]


def _fill(made: Array, at: Array, rows: Sequence[dict[str, Cell]] | DialogueColumns, column: Column) -> None:
    """Put the cells of some rows into a column."""
    name = "time" if column.name == "time_ns" else column.name
    if not isinstance(rows, DialogueColumns):
        _put(made, at, [row.get(name) for row in rows], column)
    elif (cells := rows.rows.get(name)) is None:
        return
    elif cells.at is None:
        _put(made, at, cells.there, column)
    else:
        # Each distinct value is made once, as it is in a column.
        distinct = _blank(column, len(cells.there))
        _put(distinct, np.arange(len(cells.there)), cells.there, column)
        made[at] = distinct[cells.at]


def _put(made: Array, at: Array, cells: Sequence[Any] | Array, column: Column) -> None:
    if isinstance(cells, np.ndarray):
        made[at] = cells
        return
    if None not in cells:
        there, values = at, cells
    else:
        kept = [place for place, cell in enumerate(cells) if cell is not None]
        there, values = at[kept], [cells[place] for place in kept]
    if column.dtype == "object":
        for place, value in zip(there.tolist(), values, strict=True):
            made[place] = tuple(legible(item) if isinstance(item, str) else item for item in value)
    elif values:
        made[there] = [legible(text) for text in values] if column.dtype == "str" else values
