"""The HTTP dialogues of a report as HAR 1.2 (https://w3c.github.io/web-performance/specs/HAR/Overview.html), one entry per request.

Headers are those of the transactions table, with secrets hidden. Values of cookies and bodies are not
kept. `send` and `receive` are 0: only the time from the end of the request to the first byte of the response is measured (`wait`).
Requests without a time stamp or without a method are left out, since the format requires both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl

from analyzer import __version__
from analyzer.report.columns import CHUNK, iso_times
from analyzer.report.columns import values as plain
from analyzer.report.escaping import unicode
from analyzer.report.formatting import SECRETS_SHOWN
from analyzer.report.json import encode

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from analyzer.model import Report
    from analyzer.report import Layout

PROTOCOL: Final = "http"
REQUEST_HEADERS: Final = {
    "host": "Host",
    "user_agent": "User-Agent",
    "referrer": "Referer",
    "origin": "Origin",
    "request_type": "Content-Type",
    "request_length": "Content-Length",
    "request_encoding": "Transfer-Encoding",
    "expect": "Expect",
    "forwarded": "Forwarded",
}
RESPONSE_HEADERS: Final = {
    "response_type": "Content-Type",
    "content_encoding": "Content-Encoding",
    "response_length": "Content-Length",
    "response_encoding": "Transfer-Encoding",
    "server": "Server",
    "location": "Location",
    "via": "Via",
    "connection": "Connection",
    "upgrade": "Upgrade",
}
"""Columns of transactions and the header each holds the value of."""
_COLUMNS: Final = (*REQUEST_HEADERS, *RESPONSE_HEADERS, "method", "target", "version", "response_version", "phrase")
_SIZES: Final = ("request_body_bytes", "response_body_bytes")
_LISTS: Final = ("cookies", "set_cookies")
_ABSENT: Final[Mapping[str, Any]] = {**dict.fromkeys((*_COLUMNS, *_SIZES)), **dict.fromkeys(_LISTS, ())}
"""Defaults of HTTP columns that the loaded rules may not declare."""
_NO_RESPONSE: Final = 0
"""Status of an entry without a response, as browsers export it."""

Row = dict[str, Any]


def render(report: Report, layout: Layout) -> Iterator[str]:  # noqa: ARG001 - every format takes the same arguments
    """Yield one HAR document, one entry per line, in the order of the report."""
    log: dict[str, Any] = {"version": "1.2", "creator": {"name": "pcaplint", "version": __version__}}
    if report.secrets:
        log["comment"] = SECRETS_SHOWN
    yield f'{{"log": {encode(log)[:-1]}, "entries": ['
    for number, entry in enumerate(_entries(report)):
        yield (",\n" if number else "\n") + encode(entry)
    yield "\n]}}\n"


def _entries(report: Report) -> Iterator[dict[str, Any]]:
    chosen = report.transactions[(report.transactions["protocol"] == PROTOCOL).to_numpy()]
    flows = report.flows.set_index("flow_id")[["client_ip", "server_ip", "server_port", "encrypted_by"]]
    for first in range(0, len(chosen), CHUNK):
        part = chosen.iloc[first : first + CHUNK]
        columns = {column.name: plain(part[column.name], column) for column in report.transaction_columns.columns}
        columns["started"] = iso_times(part["time_ns"])
        ends = flows.loc[part["flow_id"]]
        columns |= {name: ends[name].tolist() for name in ends.columns}
        for row_values in zip(*columns.values(), strict=True):
            row = {**_ABSENT, **dict(zip(columns, row_values, strict=True))}
            if row["started"] and row["method"]:
                yield _entry(report, row)


def _entry(report: Report, row: Row) -> dict[str, Any]:
    wait = max(row["latency_ms"] or 0.0, 0.0)
    return {
        "startedDateTime": _milliseconds(row["started"]),
        "time": wait,
        "request": _request(row),
        "response": _response(row),
        "cache": {},
        "timings": {"send": 0, "wait": wait, "receive": 0},
        "serverIPAddress": row["server_ip"],
        "connection": row["flow_id"],
        "_capture": unicode(report.captures[row["capture"]].path),
        "_frames": [row["first_frame"], row["last_frame"]],
        "_complete": row["complete"],
    }


def _milliseconds(time: str) -> str:
    """Return an ISO 8601 time with milliseconds, which every reader of HAR accepts."""
    return time[: time.index(".") + 4] + "Z"


def _request(row: Row) -> dict[str, Any]:
    body = _size(row["request_body_bytes"])
    request = {
        "method": unicode(row["method"]),
        "url": unicode(_url(row)),
        "httpVersion": _version(row["version"]),
        "cookies": _cookies(row["cookies"]),
        "headers": _headers(row, REQUEST_HEADERS),
        "queryString": [{"name": unicode(name), "value": unicode(value)} for name, value in _query(row["target"] or "")],
        "headersSize": _head_size(row["request_bytes"], body),
        "bodySize": body,
    }
    return request | ({"postData": {"mimeType": unicode(row["request_type"] or ""), "text": ""}} if body > 0 else {})


def _response(row: Row) -> dict[str, Any]:
    body = _size(row["response_body_bytes"])
    return {
        "status": _NO_RESPONSE if row["code"] is None else row["code"],
        "statusText": unicode(row["phrase"] or ""),
        "httpVersion": _version(row["response_version"]),
        "cookies": _cookies(row["set_cookies"]),
        "headers": _headers(row, RESPONSE_HEADERS),
        "content": {"size": max(body, 0), "mimeType": unicode(row["response_type"] or "")},
        "redirectURL": unicode(row["location"] or ""),
        "headersSize": _head_size(row["response_bytes"], body),
        "bodySize": body,
    }


def _url(row: Row) -> str:
    """Return the absolute form of the target (RFC 9112 3.3): scheme and authority are those of the connection where the target has none."""
    target = row["target"] or ""
    if "://" in target:
        return str(target)
    address = f"[{row['server_ip']}]" if ":" in row["server_ip"] else row["server_ip"]
    scheme = "https" if row["encrypted_by"] else "http"
    usual = {"http": 80, "https": 443}[scheme]
    authority = row["host"] or (address if row["server_port"] == usual else f"{address}:{row['server_port']}")
    if row["method"] == "CONNECT":
        return f"{scheme}://{target}"
    return f"{scheme}://{authority}{target if target.startswith('/') else '/'}"


def _query(target: str) -> list[tuple[str, str]]:
    _, _, query = target.partition("?")
    return parse_qsl(query.partition("#")[0], keep_blank_values=True)


def _version(number: str | None) -> str:
    return f"HTTP/{number}" if number else "unknown"


def _size(number: int | None) -> int:
    """Return a number of bytes, -1 where it is unknown."""
    return -1 if number is None else number


def _head_size(whole: int | None, body: int) -> int:
    return -1 if whole is None or body < 0 or whole < body else whole - body


def _headers(row: Row, names: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"name": header, "value": unicode(str(row[column]))} for column, header in names.items() if row.get(column) is not None]


def _cookies(names: Iterable[str]) -> list[dict[str, str]]:
    return [{"name": unicode(name), "value": ""} for name in names]
