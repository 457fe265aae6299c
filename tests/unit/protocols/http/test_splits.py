"""Laws: how the bytes were cut into segments does not matter, any bytes are read, and h11 reads well-formed messages the same way."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import h11
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.protocols.http.scripts import read

if TYPE_CHECKING:
    from analyzer.protocols.api import Dialogue
    from analyzer.reassembly.reader import Side
    from tests.unit.protocols.http.scripts import Part

TIMES = {"latency", "continue_wait"}
CAPTURED = {"time", "first_frame", "last_frame", "latency_ms"}
TOKEN = st.text("abcXYZ019-_!~", min_size=1, max_size=8)
VALUE = st.text('ab z09,;="/\t', max_size=12).map(str.strip)
CONTENT = st.binary(max_size=40)
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "BREW")


@st.composite
def chunked(draw: st.DrawFn) -> tuple[bytes, int]:
    """Return content in chunks, and how long it is."""
    chunks = draw(st.lists(st.binary(min_size=1, max_size=20), max_size=4))
    extension = draw(st.sampled_from([b"", b";a=b", b"; x"]))
    text = b"".join(b"%x" % len(chunk) + extension + b"\r\n" + chunk + b"\r\n" for chunk in chunks)
    trailers = b"".join(b"%s: x\r\n" % draw(TOKEN).encode() for _ in range(draw(st.integers(0, 2))))
    return text + draw(st.sampled_from([b"0", b"000"])) + b"\r\n" + trailers + b"\r\n", sum(map(len, chunks))


@st.composite
def fields(draw: st.DrawFn) -> bytes:
    """Return header lines that mean nothing."""
    lines = draw(st.lists(st.tuples(TOKEN.map(lambda name: "X-" + name), VALUE), max_size=3))
    space = draw(st.sampled_from(["", " ", "\t "]))
    return "".join(f"{name}:{space}{value}\r\n" for name, value in lines).encode()


@st.composite
def exchanges(draw: st.DrawFn) -> tuple[bytes, bytes, tuple[str, str, int, int, int]]:
    """Return a request, its replies, and method, target, content, code and content that they hold."""
    method, target = draw(st.sampled_from(METHODS)), "/" + draw(st.text("abc/?=.%20", max_size=12))
    content, size = b"", 0
    framing = b""
    if draw(st.booleans()):
        content = draw(CONTENT)
        size, framing = len(content), b"Content-Length: %d\r\n" % len(content)
    elif draw(st.booleans()):
        content, size = draw(chunked())
        framing = b"transfer-encoding: Chunked\r\n"
    request = f"{method} {target} HTTP/1.1\r\nHost: a\r\n".encode() + draw(fields()) + framing + b"\r\n" + content
    code = draw(st.sampled_from([200, 201, 204, 301, 304, 404, 500]))
    reply, length = b"", 0
    if draw(st.booleans()):
        reply, framing = draw(CONTENT), b""
        length = len(reply)
        framing = b"Content-Length: %d\r\n" % length
    else:
        reply, length = draw(chunked())
        framing = b"Transfer-Encoding: chunked\r\n"
    if code in {204, 304} or method == "HEAD":
        reply, length = b"", 0
    if code == 204:
        framing = b""
    interim = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" if draw(st.booleans()) else b""
    head = b"HTTP/1.1 %d Text\r\n" % code + draw(fields()) + framing + b"\r\n"
    return request, interim + head + reply, (method, target, size, code, length)


@st.composite
def talks(draw: st.DrawFn) -> tuple[list[Part], list[tuple[str, str, int, int, int]]]:
    """Return a conversation, pipelined in places, and what it holds."""
    parts: list[Part] = []
    held: list[tuple[str, str, int, int, int]] = []
    waiting: list[bytes] = []
    for request, reply, sent in draw(st.lists(exchanges(), min_size=1, max_size=4)):
        parts.append(("client", request))
        waiting.append(reply)
        held.append(sent)
        if draw(st.booleans()):
            parts += [("server", one) for one in waiting]
            waiting = []
    return parts + [("server", one) for one in waiting], held


def cut(parts: list[Part], data: st.DataObject) -> list[Part]:
    """Return the same bytes in other segments."""
    found: list[Part] = []
    for side, sent in parts:
        assert isinstance(sent, bytes)
        places = sorted({0, len(sent), *data.draw(st.lists(st.integers(0, len(sent)), max_size=6))})
        found += [(side, sent[start:stop]) for start, stop in pairwise(places)]
    return found


def contents(dialogue: Dialogue) -> dict[str, Any]:
    """Return a dialogue without frames and times."""
    return {
        "summary": dialogue.summary,
        "facts": dialogue.facts,
        "after": (dialogue.after, dialogue.tls, dialogue.dropped),
        "exchanges": [{name: value for name, value in one.facts.items() if name not in TIMES} for one in dialogue.exchanges],
        "places": [sorted(one.evidence) for one in dialogue.exchanges],
        "rows": [{name: value for name, value in row.items() if name not in CAPTURED} for row in dialogue.rows],
    }


@given(talks(), st.data())
def test_how_the_bytes_are_cut_does_not_matter(scripted: tuple[list[Part], object], data: st.DataObject) -> None:
    parts = scripted[0]
    assert contents(read(*cut(parts, data))) == contents(read(*parts))


LINES = (
    b"GET / HTTP/1.1\r\n", b"GET /\r\n", b"HEAD / HTTP/1.0\n", b"POST  /x HTTP/1.1\r\n", b"CONNECT a:1 HTTP/1.1\r\n",
    b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 101 S\r\n",
    b"Content-Length: 5\r\n", b"Content-Length: 6\r\n", b"Transfer-Encoding: chunked\r\n",
    b"Expect: 100-continue\r\n", b"Connection: close\r\n", b"Upgrade: websocket\r\n",
    b" folded\r\n", b"\r\n", b"\n", b"5\r\nabcde\r\n", b"0\r\n\r\n", b"fffffffffffffff\r\n",
    b"abcde", b"\x00", b"\x16\x03\x01", b"HTTP/", b"\r", b":\r\n",
)  # fmt: skip
PIECE = st.one_of(st.lists(st.sampled_from(LINES), max_size=6).map(b"".join), st.binary(max_size=30), st.integers(1, 90))
HOSTILE = st.lists(st.tuples(st.sampled_from(["client", "server"]), PIECE), max_size=12)


@settings(max_examples=400)
@given(HOSTILE, st.booleans(), st.booleans())
def test_any_bytes_are_read(parts: list[tuple[Side, bytes | int]], whole: bool, one_sided: bool) -> None:  # noqa: FBT001
    dialogue = read(*parts, whole=whole, one_sided=one_sided)
    assert len(dialogue.rows) == len(dialogue.exchanges)
    assert [row["number"] for row in dialogue.rows] == list(range(1, len(dialogue.rows) + 1))
    if one_sided:
        assert not any(one.facts["replied"] is False or one.facts["unasked"] for one in dialogue.exchanges if one.facts["request_seen"])


@given(HOSTILE, st.data())
def test_any_bytes_without_gaps_may_be_cut_anywhere(parts: list[tuple[Side, bytes | int]], data: st.DataObject) -> None:
    solid = [part for part in parts if isinstance(part[1], bytes) and part[1]]
    # Neighbours of one side make one message, as far as the order of the two sides goes.
    merged: list[Part] = []
    for side, sent in solid:
        if merged and merged[-1][0] == side:
            merged[-1] = (side, merged[-1][1] + sent)  # type: ignore[operator]
        else:
            merged.append((side, sent))
    assert contents(read(*cut(merged, data))) == contents(read(*merged))


def by_h11(parts: list[Part]) -> list[tuple[str, str, int, int, int]]:
    """Return what h11 reads: method, target, content, code, content."""
    requests = b"".join(sent for side, sent in parts if side == "client" and isinstance(sent, bytes))
    replies = b"".join(sent for side, sent in parts if side == "server" and isinstance(sent, bytes))
    found = list[tuple[str, str, int, int, int]]()
    server, client = h11.Connection(h11.SERVER), h11.Connection(h11.CLIENT)
    server.receive_data(requests)
    client.receive_data(replies)
    while True:
        request = server.next_event()
        if not isinstance(request, h11.Request):
            return found
        size = _content(server)
        client.send(h11.Request(method=request.method, target=request.target, headers=[("Host", "a")]))
        client.send(h11.EndOfMessage())
        while isinstance(reply := client.next_event(), h11.InformationalResponse):
            pass
        assert isinstance(reply, h11.Response)
        found.append((request.method.decode(), request.target.decode(), size, reply.status_code, _content(client)))
        server.send(h11.Response(status_code=200, headers=[("Content-Length", "0")]))
        server.send(h11.EndOfMessage())
        server.start_next_cycle()
        client.start_next_cycle()


def _content(connection: h11.Connection) -> int:
    size = 0
    while isinstance(event := connection.next_event(), h11.Data):
        size += len(event.data)
    assert isinstance(event, h11.EndOfMessage)
    return size


@given(talks())
def test_h11_reads_the_same(scripted: tuple[list[Part], list[tuple[str, str, int, int, int]]]) -> None:
    parts, held = scripted
    dialogue = read(*parts, secrets=True)
    ours = [(row["method"], row["target"], row["request_body_bytes"], row["code"], row["response_body_bytes"]) for row in dialogue.rows]
    assert ours == held
    assert by_h11(parts) == held
    assert all(row["complete"] for row in dialogue.rows)
