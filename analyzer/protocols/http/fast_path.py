"""Parse plain HTTP/1.x dialogues as columns: requests without content, each answered completely before the next one is sent.

Most connections are of this kind. Heads follow the grammar, no field needs more than its text (credentials, cookies, upgrades,
expectations), and content is as long as stated. Repeated blocks of header fields are parsed once. A dialogue is taken whole or not at all,
and then gives what `parser`, the specification, would give; all others are left to `parser`. Memory is linear in the number of exchanges
and of distinct heads.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from analyzer.protocols import redaction
from analyzer.protocols.http import bodies, facts, fast_columns, messages, rows, summary, vocabulary
from analyzer.protocols.http import secrets as secrets_
from analyzer.protocols.http.fast_columns import FastExchange, RequestHead, ResponseHead, Status
from analyzer.protocols.redactor import Redactor
from analyzer.reassembly.reader import Position
from analyzer.rules import secrets as secret_rules
from analyzer.schema import NO_TIME

if TYPE_CHECKING:
    from analyzer.protocols.api import Cell
    from analyzer.protocols.columnar import DialogueColumns
    from analyzer.protocols.http.messages import Head
    from analyzer.reassembly.contiguous import ContiguousStream
    from analyzer.rules.protocols import Protocol
    from analyzer.rules.secrets import SecretPatterns

MAX_REQUEST_BYTES: Final = 65_536
"""Bytes of all requests of one dialogue."""
MAX_PLAIN_HEAD_BYTES: Final = 2_048
"""Bytes of the longest head that is parsed here."""
CHUNK_READ_BYTES: Final = 32
MAX_CACHED_HEADS: Final = 4_096
"""Distinct heads that are cached at a time."""

_FIELDS: Final = rb"((?:[!#$%&'*+\-.^_`|~0-9A-Za-z]++:[\t -~\x80-\xff]*+\r\n)*+)\r\n"
_REQUEST: Final = rb") (/[!-~]{0,438}) HTTP/1\.([01])\r\n" + _FIELDS
"""A request behind its method; the target is no longer than what the protocol is detected by."""
_RESPONSE: Final = re.compile(rb"(HTTP/1\.[01] [2-5][0-9][0-9](?: [!-~ ]*)?)\r\n" + _FIELDS)
_CHUNK: Final = re.compile(rb"([0-9A-Fa-f]{1,8})\r\n")
_DIGITS: Final = re.compile(rb"0*([0-9]{1,15})")
_NOT_PLAIN_REQUEST: Final = frozenset(
    {b"authorization", b"proxy-authorization", b"cookie", b"expect", b"upgrade", b"content-length", b"transfer-encoding"}
)
"""Fields that plain requests do not have."""
_NOT_PLAIN_RESPONSE: Final = frozenset({b"upgrade", b"set-cookie"})
_MAY_DECODE: Final = re.compile(r"%")
_NOWHERE: Final = Position(0, NO_TIME)


class _Content(NamedTuple):
    framing: str
    stated: int | None
    size: int
    stop: int
    whole: bool


class FastPath:
    """Collects plain dialogues."""

    def __init__(self, *, secrets: bool, patterns: SecretPatterns | None = None, protocol: Protocol | None = None) -> None:
        """Begin without dialogues; the arguments are fields of `ParserContext`."""
        self._vocabulary = vocabulary.of(protocol)
        self._request = re.compile(b"(" + b"|".join(re.escape(method.encode("ascii")) for method in self._vocabulary.plain) + _REQUEST)
        self._writer = rows.RowWriter(Redactor(enabled=not secrets, patterns=patterns))
        self._patterns = patterns or secret_rules.shipped()
        self._known: tuple[dict[bytes, RequestHead | None], dict[bytes, ResponseHead | None], dict[bytes, Status]] = ({}, {}, {})
        self._request_heads = list[RequestHead]()
        self._response_heads = list[ResponseHead]()
        self._statuses = list[Status]()
        self._exchanges = list[FastExchange]()
        self._flows = list[tuple[int, int, bool]]()
        """Connection, number of exchanges, whether its port is one of TLS."""

    def take(self, flow: int, client: ContiguousStream, server: ContiguousStream, server_port: int) -> bool:
        """Parse a dialogue if it is plain; return whether it is. Both directions are read from their first byte."""
        size = client.size
        exchanges = self._read(client.read(0, size), client, server) if size <= MAX_REQUEST_BYTES else None
        if not exchanges:
            return False
        self._exchanges += exchanges
        self._flows.append((flow, len(exchanges), server_port in self._vocabulary.tls_ports))
        return True

    def _read(self, data: bytes, client: ContiguousStream, server: ContiguousStream) -> list[FastExchange] | None:
        """Return all exchanges of a dialogue, None when one is not plain."""
        exchanges = list[FastExchange]()
        at = server_at = 0
        frame = -1
        while at < len(data):
            match = self._request.match(data, at)
            request = self._look_up_request(match[4]) if match and len(match[4]) <= MAX_PLAIN_HEAD_BYTES else None
            if match is None or request is None or not _is_plain(match[2], self._patterns):
                return None
            first, last = client.segment_at(at), client.segment_at(match.end() - 1)
            response = _RESPONSE.match(server.read(server_at, MAX_PLAIN_HEAD_BYTES))
            response_head = self._look_up_response(response[2]) if response else None
            if response is None or response_head is None or client.frame[first] <= frame:
                return None
            status = self._look_up_status(response[1])
            head = server_at + response.end()
            at = match.end()
            if response_head.chunked and status.version < 11:  # noqa: PLR2004 - HTTP/1.0 has no chunks
                return None
            content = _content(match[1], status.code, response_head, server, head, over=at == len(data))
            if content is None or (at < len(data) and (request.closes or response_head.closes)):
                return None
            begin, end = server.segment_at(server_at), server.segment_at(content.stop - 1)
            if server.frame[begin] <= client.frame[last]:
                return None
            frame = server.frame[end]
            exchanges.append(
                FastExchange(
                    len(exchanges) + 1, match[1], match[2], int(match[3]), request.place, status.place, response_head.place,
                    content.framing, content.stated, content.size, content.whole, at - match.start(), content.stop - server_at,
                    client.frame[first], client.frame[last], server.frame[begin], frame,
                    client.time[first], client.time[last], server.time[begin],
                )
            )  # fmt: skip
            server_at = content.stop
        return exchanges if server_at == server.size and len(exchanges) <= summary.MAX_EXCHANGES else None

    def _look_up_request(self, field_lines: bytes) -> RequestHead | None:
        """Return the parsed fields of a request, None when they are not plain."""
        known = self._known[0]
        if field_lines not in known:
            if len(known) >= MAX_CACHED_HEADS:
                known.clear()
            known[field_lines] = self._inspect_request(field_lines)
        return known[field_lines]

    def _inspect_request(self, field_lines: bytes) -> RequestHead | None:
        head = _head(field_lines)
        fields, writer = head.fields, self._writer
        hosts = fields.get(b"host", [])
        if not _NOT_PLAIN_REQUEST.isdisjoint(fields) or facts.is_host_invalid(hosts) or self._has_secret(head):
            return None
        row: dict[str, Cell] = dict.fromkeys(rows.REQUEST_COLUMNS)
        writer.add_request_fields(row, head)
        request = RequestHead(len(self._request_heads), _count(fields), len(hosts), "close" in head.words(b"connection"), row)
        self._request_heads.append(request)
        return request

    def _has_secret(self, head: Head) -> bool:
        """Return whether a field has a secret, whether secrets are shown or not."""
        redactor = Redactor(patterns=self._patterns)
        secrets_.add_head(head, redactor)
        return redactor.holds or not self._patterns.keys.isdisjoint(head.fields)

    def _look_up_response(self, field_lines: bytes) -> ResponseHead | None:
        """Return the parsed fields of a response, None when they are not plain."""
        known = self._known[1]
        if field_lines not in known:
            if len(known) >= MAX_CACHED_HEADS:
                known.clear()
            known[field_lines] = self._inspect_response(field_lines)
        return known[field_lines]

    def _inspect_response(self, field_lines: bytes) -> ResponseHead | None:
        head = _head(field_lines)
        fields, writer = head.fields, self._writer
        lengths, codings = fields.get(b"content-length", []), fields.get(b"transfer-encoding", [])
        number = _DIGITS.fullmatch(lengths[0]) if len(lengths) == 1 else None
        framed = (not lengths or number) and codings in ([], [b"chunked"])
        if not _NOT_PLAIN_RESPONSE.isdisjoint(fields) or not framed or (lengths and codings) or self._has_secret(head):
            return None
        row: dict[str, Cell] = dict.fromkeys(rows.RESPONSE_COLUMNS)
        writer.add_response_fields(row, head)
        length = int(number[1]) if number else None
        closes = "close" in head.words(b"connection")
        response_head = ResponseHead(len(self._response_heads), _count(fields), closes, length, bool(codings), row)
        self._response_heads.append(response_head)
        return response_head

    def _look_up_status(self, line: bytes) -> Status:
        """Return a parsed status line."""
        known = self._known[2]
        found = known.get(line)
        if found is None:
            parsed = messages.status_line(line)
            row: dict[str, Cell] = {}
            self._writer.add_status(row, parsed)
            if len(known) >= MAX_CACHED_HEADS:
                known.clear()
            found = known[line] = Status(len(self._statuses), parsed.version or 0, parsed.code or 0, row)
            self._statuses.append(found)
        return found

    def columns(self) -> DialogueColumns | None:
        """Return the dialogues that were taken; None when none was."""
        if not self._exchanges:
            return None
        return fast_columns.make(self._exchanges, self._flows, (self._request_heads, self._statuses, self._response_heads))


def _head(field_lines: bytes) -> Head:
    """Return header fields as a head without a message."""
    return messages.of_fields(field_lines, _NOWHERE)


def _count(fields: dict[bytes, list[bytes]]) -> int:
    return sum(map(len, fields.values()))


def _is_plain(target: bytes, patterns: SecretPatterns) -> bool:
    """Return whether a target has nothing to redact and no credentials."""
    text = target.decode("ascii")
    shown = redaction.uri(text, patterns)
    if shown is text and not _MAY_DECODE.search(text):
        return True
    return shown == text and not redaction.values(text, patterns) and not redaction.carries_credentials(text, patterns)


def _content(method: bytes, code: int, response_head: ResponseHead, server: ContiguousStream, head: int, *, over: bool) -> _Content | None:  # noqa: PLR0913 - what framing depends on (RFC 9112 6.3)
    """Return the content behind a response's head that ends at `head`; None when it is not plain.

    With `over`, no request follows: only then may the content last until the server closes.
    """
    if code in bodies.BODILESS:
        stated = response_head.length is not None or response_head.chunked
        return None if stated and code == 204 else _Content("none", None, 0, head, whole=True)  # noqa: PLR2004 - no Content
    if method == b"HEAD":
        return _Content("none", response_head.length, 0, head, whole=True)
    if response_head.chunked:
        return _chunks(server, head)
    if response_head.length is None:
        return _Content("close", None, server.size - head, server.size, whole=server.closing == "fin") if over else None
    stop = head + response_head.length
    return _Content("length", response_head.length, response_head.length, stop, whole=True) if stop <= server.size else None


def _chunks(server: ContiguousStream, at: int) -> _Content | None:
    """Return content in chunks without extensions and trailers (RFC 9112 7.1)."""
    size = 0
    while (match := _CHUNK.match(server.read(at, CHUNK_READ_BYTES))) is not None:
        length = int(match[1], 16)
        at += match.end() + length
        size += length
        if server.read(at, 2) != b"\r\n":
            return None
        at += 2
        if not length:
            return _Content("chunked", None, size, at, whole=True)
    return None
