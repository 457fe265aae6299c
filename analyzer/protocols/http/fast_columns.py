"""Convert the exchanges of the fast path to columns: the facts, evidence and rows that `facts` and `rows` would give.

What all exchanges share is stored once; what depends on a head is stored once per distinct head. Names and words are those of
rules/protocols/http.toml.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from analyzer.protocols import timing
from analyzer.protocols.columnar import DialogueColumns, DictionaryColumn
from analyzer.protocols.http import facts, rows, summary
from analyzer.schema import NO_TIME

if TYPE_CHECKING:
    from collections.abc import Sequence

    from analyzer.protocols.api import Cell, Fact

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True)
class RequestHead:
    """The parsed fields of a request."""

    place: int
    """Index among the distinct heads."""
    fields: int
    hosts: int
    closes: bool
    row: dict[str, Cell]


@dataclass(frozen=True, slots=True)
class ResponseHead:
    """The parsed fields of a response."""

    place: int
    fields: int
    closes: bool
    length: int | None
    chunked: bool
    row: dict[str, Cell]


@dataclass(frozen=True, slots=True)
class Status:
    """A parsed status line."""

    place: int
    version: int
    code: int
    row: dict[str, Cell]


class FastExchange(NamedTuple):
    """A request and its response: numbers, and indices of the distinct heads."""

    number: int
    method: bytes
    target: bytes
    minor: int
    request_head: int
    status: int
    response_head: int
    framing: str
    stated: int | None
    size: int
    """Bytes of content."""
    whole: bool
    request_bytes: int
    response_bytes: int
    request: int
    """Frame of its first byte, and so on."""
    request_end: int
    reply: int
    reply_end: int
    time: int
    request_time: int
    """When the request was complete, ns."""
    response_time: int
    """When the response began, ns."""


Seen = tuple["Sequence[RequestHead]", "Sequence[Status]", "Sequence[ResponseHead]"]
"""The distinct heads of requests, status lines and heads of responses."""


@dataclass(frozen=True, slots=True)
class _Heads:
    """The distinct heads, and the index of each exchange's."""

    request_indices: Array
    status_indices: Array
    response_indices: Array
    request_heads: Sequence[RequestHead]
    status: Sequence[Status]
    response_heads: Sequence[ResponseHead]


_OF_DIALOGUE: Final[dict[str, Fact]] = {
    "unasked_replies": 0,
    "lost_replies": 0,
    "pipelined_most": 1,
    "client_excess": 0,
    "server_excess": 0,
    "pushed": False,
    "early_excused": False,
    "tls_missing": False,
}
_OF_EXCHANGE: Final[dict[str, Fact]] = {
    **dict.fromkeys(facts.FAULTS, "none"),
    **dict.fromkeys(
        (
            "reply_lost", "unasked", "pipelined", "after_close", "after_unsafe", "continued", "host_differs", "host_invalid", "form_secret",
            "target_secret", "key_field", "expects_continue", "content_withheld", "credentials", "asks_upgrade", "unframed",
            "tunnel_opened", "pushed_reply", "upgrade_unasked", "upgrade_other", "challenge_taken",
        ),
        False,
    ),
    **dict.fromkeys(("interim", "request_body", "cookies", "request_excess", "set_cookies", "reply_excess"), 0),
    **dict.fromkeys(("auth", "proxy_auth", "request_framing", "upgraded_to"), "none"),
    "request_seen": True,
    "replied": True,
    "request_line": "right",
    "status_line": "right",
    "target_form": "origin",
}  # fmt: skip
"""Facts with the same value in all plain exchanges; those without a column are unknown."""


def make(exchanges: Sequence[FastExchange], flows: Sequence[tuple[int, int, bool]], seen: Seen) -> DialogueColumns:
    """Return the columns of some dialogues, at least one.

    `exchanges` are those of all dialogues, in order; `flows` has the connection, the number of exchanges, and whether the port is one of
    TLS, of each dialogue; `seen` has the heads whose indices are in `exchanges`.
    """
    columns = dict(zip(FastExchange._fields, zip(*exchanges, strict=True), strict=True))
    flow, count, on_tls_port = zip(*flows, strict=True)
    heads = _Heads(
        np.array(columns["request_head"], np.int64),
        np.array(columns["status"], np.int64),
        np.array(columns["response_head"], np.int64),
        *seen,
    )
    requests = [
        rows.request_line(method.decode("ascii"), target.decode("ascii"))
        for method, target in zip(columns["method"], columns["target"], strict=True)
    ]
    counts = np.array(count, np.int64)
    return DialogueColumns(
        service="http",
        flow=np.array(flow, np.int64),
        summary=_summaries(counts, requests, heads),
        facts={
            **{name: DictionaryColumn((value,), np.zeros(len(flow), np.int64)) for name, value in _OF_DIALOGUE.items()},
            "requests": DictionaryColumn(counts),
            "replies": DictionaryColumn(counts),
            "on_tls_port": DictionaryColumn(on_tls_port),
        },
        evidence={},
        count=counts,
        row_count=counts,
        exchange_facts=_facts(columns, heads),
        exchange_evidence={name: np.array(columns[name], np.int64) for name in ("request", "request_end", "reply", "reply_end")},
        rows=_rows(columns, heads, requests),
    )


def _facts(columns: dict[str, tuple[Any, ...]], heads: _Heads) -> dict[str, DictionaryColumn]:
    alike = np.zeros(len(columns["number"]), np.int64)
    return {
        **{name: DictionaryColumn((value,), alike) for name, value in _OF_EXCHANGE.items()},
        "number": _numbers(columns["number"]),
        "method": DictionaryColumn([method.decode("ascii") for method in columns["method"]]),
        "request_version": DictionaryColumn((10, 11), np.array(columns["minor"], np.int64)),
        "target_size": _numbers([len(target) for target in columns["target"]]),
        "request_fields": DictionaryColumn([one.fields for one in heads.request_heads], heads.request_indices),
        "hosts": DictionaryColumn([one.hosts for one in heads.request_heads], heads.request_indices),
        "asks_close": DictionaryColumn([one.closes for one in heads.request_heads], heads.request_indices),
        "reply_code": DictionaryColumn([one.code for one in heads.status], heads.status_indices),
        "words": DictionaryColumn(
            [one.row["reply"] if one.code >= summary.MIN_REFUSAL else None for one in heads.status], heads.status_indices
        ),
        "reply_version": DictionaryColumn([one.version for one in heads.status], heads.status_indices),
        "reply_fields": DictionaryColumn([one.fields for one in heads.response_heads], heads.response_indices),
        "reply_framing": DictionaryColumn(columns["framing"]),
        "reply_length": DictionaryColumn(columns["stated"]),
        "reply_body": _numbers(columns["size"]),
        "latency": DictionaryColumn(_latencies(columns)),
    }


def _rows(columns: dict[str, tuple[Any, ...]], heads: _Heads, requests: Sequence[str]) -> dict[str, DictionaryColumn]:
    alike = np.zeros(len(requests), np.int64)
    requested = {
        name: DictionaryColumn([one.row[name] for one in heads.request_heads], heads.request_indices) for name in rows.REQUEST_COLUMNS
    }
    requested |= {name: DictionaryColumn([one.row[name] for one in heads.status], heads.status_indices) for name in rows.STATUS_COLUMNS}
    responded = {
        name: DictionaryColumn([one.row[name] for one in heads.response_heads], heads.response_indices) for name in rows.RESPONSE_COLUMNS
    }
    both = {"via": _first(requested["via"], responded["via"]), "connection": _first(responded["connection"], requested["connection"])}
    return {
        **requested,
        **responded,
        **both,
        "kind": DictionaryColumn(("request",), alike),
        "pipelined": DictionaryColumn((False,), alike),
        "interim_codes": DictionaryColumn(((),), alike),
        "request_body_bytes": DictionaryColumn((0,), alike),
        "number": _numbers(columns["number"]),
        "time": _numbers(columns["time"]),
        "first_frame": _numbers(columns["request"]),
        "last_frame": _numbers(columns["reply_end"]),
        "request": DictionaryColumn(requests),
        "method": DictionaryColumn([method.decode("ascii") for method in columns["method"]]),
        "target": DictionaryColumn([target.decode("ascii") for target in columns["target"]]),
        "version": DictionaryColumn(tuple(rows.version(number) for number in (10, 11)), np.array(columns["minor"], np.int64)),
        "request_bytes": _numbers(columns["request_bytes"]),
        "response_bytes": _numbers(columns["response_bytes"]),
        "response_length": DictionaryColumn(columns["stated"]),
        "response_body_bytes": _numbers(columns["size"]),
        "trailers": DictionaryColumn((None, 0), np.array([framing == "chunked" for framing in columns["framing"]], np.int64)),
        "latency_ms": DictionaryColumn(list(map(timing.milliseconds, _latencies(columns)))),
        "complete": DictionaryColumn(columns["whole"]),
    }


def _first(one: DictionaryColumn, other: DictionaryColumn) -> DictionaryColumn:
    """Return the first of two values that is not None, row by row."""
    return DictionaryColumn([value if value is not None else second for value, second in zip(one.spread(), other.spread(), strict=True)])


def _numbers(values: Sequence[int]) -> DictionaryColumn:
    return DictionaryColumn(np.array(values, np.int64))


def _latencies(columns: dict[str, tuple[Any, ...]]) -> list[int | None]:
    """Return ns from the end of each request to its response; None where a frame has no time, or the times decrease."""
    pairs = zip(columns["request_time"], columns["response_time"], strict=True)
    return [last - first if NO_TIME not in {first, last} and last >= first else None for first, last in pairs]


def _summaries(counts: Array, requests: Sequence[str], heads: _Heads) -> list[str]:
    """Return the summary of each dialogue, as `summary` makes it."""
    codes = [one.code for one in heads.status]
    servers = [str(one.row["server"]) if one.row["server"] else "" for one in heads.response_heads]
    status_indices, response_indices = heads.status_indices.tolist(), heads.response_indices.tolist()
    found, end = list[str](), 0
    for count in counts.tolist():
        begin, end = end, end + count
        shown = range(begin, min(begin + summary.MAX_SUMMARY_REQUESTS, end))
        outcomes = [summary.of_request(requests[exchange], codes[status_indices[exchange]]) for exchange in shown]
        text = summary.of_requests(count, outcomes)
        server = next((name for exchange in range(begin, end) if (name := servers[response_indices[exchange]])), "")
        found.append(f"{text}, {server}" if server else text)
    return found
