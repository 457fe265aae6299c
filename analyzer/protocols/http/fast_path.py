"""HTTP/1.x without anything out of the ordinary, as columns: requests without content, each answered in full before the next is sent.

That is what most connections carry, and what can be said of them with certainty needs no look at each byte: heads that follow the
grammar, no field that asks for care (credentials, cookies, upgrades, expectations), content that is as long as was said. The blocks of
header fields that come again and again are looked into once. Whatever is not like that is left to `http`.

Promises: takes a dialogue whole or not at all; what it says is what `http` would say; memory in the number of exchanges and of distinct
heads.
Must not know: rules, reports.
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

_LONGEST: Final = 65_536
"""Bytes of all requests of a dialogue."""
_LOOK: Final = 2_048
"""Bytes that a head must fit in."""
_CHUNK_LOOK: Final = 32
_MOST_HEADS: Final = 4_096
"""Heads that are remembered at a time."""

_FIELDS: Final = rb"((?:[!#$%&'*+\-.^_`|~0-9A-Za-z]++:[\t -~\x80-\xff]*+\r\n)*+)\r\n"
_REQUEST: Final = rb") (/[!-~]{0,438}) HTTP/1\.([01])\r\n" + _FIELDS
"""What follows the method of a request. The target is no longer than what the protocol is recognised by."""
_REPLY: Final = re.compile(rb"(HTTP/1\.[01] [2-5][0-9][0-9](?: [!-~ ]*)?)\r\n" + _FIELDS)
_CHUNK: Final = re.compile(rb"([0-9A-Fa-f]{1,8})\r\n")
_DIGITS: Final = re.compile(rb"0*([0-9]{1,15})")
_CAREFUL: Final = frozenset(
    {b"authorization", b"proxy-authorization", b"cookie", b"expect", b"upgrade", b"content-length", b"transfer-encoding"}
)
"""Fields of a request that are not plain."""
_CAREFUL_REPLY: Final = frozenset({b"upgrade", b"set-cookie"})
_MAY_DECODE: Final = re.compile(r"%")
_NOWHERE: Final = Position(0, NO_TIME)


class _Content(NamedTuple):
    framing: str
    stated: int | None
    size: int
    stop: int
    whole: bool


class FastPath:
    """Gathers plain dialogues."""

    def __init__(self, *, secrets: bool, patterns: SecretPatterns | None = None, protocol: Protocol | None = None) -> None:
        """Begin with none; the arguments are fields of `ParserContext`."""
        self._vocabulary = vocabulary.of(protocol)
        self._request = re.compile(b"(" + b"|".join(re.escape(method.encode("ascii")) for method in self._vocabulary.plain) + _REQUEST)
        self._writer = rows.Writer(Redactor(enabled=not secrets, patterns=patterns))
        self._patterns = patterns or secret_rules.shipped()
        self._known: tuple[dict[bytes, RequestHead | None], dict[bytes, ResponseHead | None], dict[bytes, Status]] = ({}, {}, {})
        self._asked = list[RequestHead]()
        self._answered = list[ResponseHead]()
        self._status = list[Status]()
        self._turns = list[FastExchange]()
        self._flows = list[tuple[int, int, bool]]()
        """Connection, number of turns, whether its port is one of TLS."""

    def take(self, flow: int, client: ContiguousStream, server: ContiguousStream, server_port: int) -> bool:
        """Read a dialogue if it is plain; return whether it was. Both directions begin at their first byte."""
        size = client.size
        turns = self._read(client.read(0, size), client, server) if size <= _LONGEST else None
        if not turns:
            return False
        self._turns += turns
        self._flows.append((flow, len(turns), server_port in self._vocabulary.tls_ports))
        return True

    def _read(self, data: bytes, client: ContiguousStream, server: ContiguousStream) -> list[FastExchange] | None:
        """Return all turns of a dialogue, None when one is not plain."""
        turns = list[FastExchange]()
        at = heard = 0
        frame = -1
        while at < len(data):
            match = self._request.match(data, at)
            asked = self._look_up_request(match[4]) if match and len(match[4]) <= _LOOK else None
            if match is None or asked is None or not _is_plain(match[2], self._patterns):
                return None
            first, last = client.piece(at), client.piece(match.end() - 1)
            reply = _REPLY.match(server.read(heard, _LOOK))
            answered = self._look_up_reply(reply[2]) if reply else None
            if reply is None or answered is None or client.frame[first] <= frame:
                return None
            status = self._look_up_status(reply[1])
            head = heard + reply.end()
            at = match.end()
            if answered.chunked and status.version < 11:  # noqa: PLR2004 - HTTP/1.0 has no chunks
                return None
            content = _content(match[1], status.code, answered, server, head, over=at == len(data))
            if content is None or (at < len(data) and (asked.closes or answered.closes)):
                return None
            begin, end = server.piece(heard), server.piece(content.stop - 1)
            if server.frame[begin] <= client.frame[last]:
                return None
            frame = server.frame[end]
            turns.append(
                FastExchange(
                    len(turns) + 1, match[1], match[2], int(match[3]), asked.place, status.place, answered.place, content.framing,
                    content.stated, content.size, content.whole, at - match.start(), content.stop - heard, client.frame[first],
                    client.frame[last], server.frame[begin], frame, client.time[first], client.time[last], server.time[begin],
                )
            )  # fmt: skip
            heard = content.stop
        return turns if heard == server.size and len(turns) <= summary.MAX_EXCHANGES else None

    def _look_up_request(self, block: bytes) -> RequestHead | None:
        """Return what a request's fields say, None when they are not plain."""
        known = self._known[0]
        if block not in known:
            if len(known) >= _MOST_HEADS:
                known.clear()
            known[block] = self._inspect_request(block)
        return known[block]

    def _inspect_request(self, block: bytes) -> RequestHead | None:
        head = _head(block)
        fields, writer = head.fields, self._writer
        hosts = fields.get(b"host", [])
        if not _CAREFUL.isdisjoint(fields) or facts.is_host_invalid(hosts) or self._has_secret(head):
            return None
        row: dict[str, Cell] = dict.fromkeys(rows.REQUEST_COLUMNS)
        writer.add_request_fields(row, head)
        asked = RequestHead(len(self._asked), _count(fields), len(hosts), "close" in head.words(b"connection"), row)
        self._asked.append(asked)
        return asked

    def _has_secret(self, head: Head) -> bool:
        """Return whether a field holds a secret, whoever is to see it."""
        redactor = Redactor(patterns=self._patterns)
        secrets_.add_head(head, redactor)
        return redactor.holds or not self._patterns.keys.isdisjoint(head.fields)

    def _look_up_reply(self, block: bytes) -> ResponseHead | None:
        """Return what a reply's fields say, None when they are not plain."""
        known = self._known[1]
        if block not in known:
            if len(known) >= _MOST_HEADS:
                known.clear()
            known[block] = self._inspect_reply(block)
        return known[block]

    def _inspect_reply(self, block: bytes) -> ResponseHead | None:
        head = _head(block)
        fields, writer = head.fields, self._writer
        lengths, codings = fields.get(b"content-length", []), fields.get(b"transfer-encoding", [])
        number = _DIGITS.fullmatch(lengths[0]) if len(lengths) == 1 else None
        framed = (not lengths or number) and codings in ([], [b"chunked"])
        if not _CAREFUL_REPLY.isdisjoint(fields) or not framed or (lengths and codings) or self._has_secret(head):
            return None
        row: dict[str, Cell] = dict.fromkeys(rows.REPLY_COLUMNS)
        writer.add_reply_fields(row, head)
        length = int(number[1]) if number else None
        answered = ResponseHead(len(self._answered), _count(fields), "close" in head.words(b"connection"), length, bool(codings), row)
        self._answered.append(answered)
        return answered

    def _look_up_status(self, line: bytes) -> Status:
        """Return what a status line says that is right."""
        known = self._known[2]
        found = known.get(line)
        if found is None:
            said = messages.status_line(line)
            row: dict[str, Cell] = {}
            self._writer.add_status(row, said)
            if len(known) >= _MOST_HEADS:
                known.clear()
            found = known[line] = Status(len(self._status), said.version or 0, said.code or 0, row)
            self._status.append(found)
        return found

    def columns(self) -> DialogueColumns | None:
        """Return the dialogues that were taken; None when none was."""
        if not self._turns:
            return None
        return fast_columns.make(self._turns, self._flows, (self._asked, self._status, self._answered))


def _head(block: bytes) -> Head:
    """Return fields without their message."""
    return messages.of_fields(block, _NOWHERE)


def _count(fields: dict[bytes, list[bytes]]) -> int:
    return sum(map(len, fields.values()))


def _is_plain(target: bytes, patterns: SecretPatterns) -> bool:
    """Return whether a target has nothing that would be hidden or could be used."""
    text = target.decode("ascii")
    shown = redaction.uri(text, patterns)
    if shown is text and not _MAY_DECODE.search(text):
        return True
    return shown == text and not redaction.values(text, patterns) and not redaction.carries_credentials(text, patterns)


def _content(method: bytes, code: int, answered: ResponseHead, server: ContiguousStream, head: int, *, over: bool) -> _Content | None:  # noqa: PLR0913 - what framing depends on (RFC 9112 6.3)
    """Return the content behind a reply's head that ends at `head`; None when it is not plain.

    `over` says whether no request follows: only then may it last until the server closes.
    """
    if code in bodies.BODILESS:
        stated = answered.length is not None or answered.chunked
        return None if stated and code == 204 else _Content("none", None, 0, head, whole=True)  # noqa: PLR2004 - no Content
    if method == b"HEAD":
        return _Content("none", answered.length, 0, head, whole=True)
    if answered.chunked:
        return _chunks(server, head)
    if answered.length is None:
        return _Content("close", None, server.size - head, server.size, whole=server.closing == "fin") if over else None
    stop = head + answered.length
    return _Content("length", answered.length, answered.length, stop, whole=True) if stop <= server.size else None


def _chunks(server: ContiguousStream, at: int) -> _Content | None:
    """Return content in chunks without extensions and trailers (RFC 9112 7.1)."""
    size = 0
    while (match := _CHUNK.match(server.read(at, _CHUNK_LOOK))) is not None:
        length = int(match[1], 16)
        at += match.end() + length
        size += length
        if server.read(at, 2) != b"\r\n":
            return None
        at += 2
        if not length:
            return _Content("chunked", None, size, at, whole=True)
    return None
