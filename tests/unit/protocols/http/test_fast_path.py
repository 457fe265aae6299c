"""Plain dialogues, read as columns, against the reader of any dialogue: what the one takes, the other says the same of."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analyzer import api, notation, openings
from analyzer import connections as connections_
from analyzer.dialogues import dispatch
from analyzer.pipeline import stages
from analyzer.protocols import http
from analyzer.protocols.api import ParserContext
from analyzer.protocols.http.fast_path import FastPath
from analyzer.schema import NO_TIME
from tests.laws.test_dialogues import SAMPLES, examples, shipped
from tests.unit.protocols.http.scripts import GET, OK, START, STEP, contiguous_stream, readers
from tests.unit.protocols.http.test_splits import exchanges

if TYPE_CHECKING:
    from collections.abc import Sequence

    from analyzer.protocols.api import Dialogue
    from analyzer.protocols.columnar import DialogueColumns
    from analyzer.reassembly.reader import Closing, Side
    from tests.unit.protocols.http.scripts import Part

CLOSINGS = [("fin", "fin"), ("", ""), ("rst", ""), ("fin", "rst")]
REQUEST_LINES = [
    b"GET / HTTP/1.1",
    b"GET /a?b=c&d=%41 HTTP/1.0",
    b"HEAD /x HTTP/1.1",
    b"DELETE /~a;b HTTP/1.1",
    b"OPTIONS /?token=abcdef HTTP/1.1",
    b"POST / HTTP/1.1",
    b"GET  / HTTP/1.1",
    b"get / HTTP/1.1",
    b"GET http://a.example/ HTTP/1.1",
    b"GET / HTTP/2.0",
    b"GET / http/1.1",
    b"GET /a b HTTP/1.1",
    b"CONNECT a:1 HTTP/1.1",
    b"GET /" + b"a" * 500 + b" HTTP/1.1",
    b"GET /user:pw@x//u:p@h/ HTTP/1.1",
    b"GET /",
]
REQUEST_FIELDS = [
    b"Host: a.example",
    b"host:b",
    b"User-Agent: x/1 (like y)",
    b"Accept: */*",
    b"Connection: keep-alive",
    b"Connection: x, Close",
    b"Via: 1.1 p",
    b"X-Forwarded-For: 192.0.2.1",
    b"Forwarded: for=192.0.2.2",
    b"Referer: http://a.example/?q=1",
    b"Host: a b",
    b"Referer: http://a.example/?password=secret1",
    b"Origin: http://u:secret1@a.example",
    b"Content-Type: text/plain; a=b",
    b"Cookie: a=secret1",
    b"Authorization: Basic dTpw",
    b"X-Api-Key: secret1",
    b"Expect: 100-continue",
    b"Upgrade: websocket",
    b"Content-Length: 0",
    b"Transfer-Encoding: chunked",
    b"Bad Name: x",
    b" folded",
    b"X: \xe4\xff",
    b"X: a\x00b",
]
STATUS_LINES = [
    b"HTTP/1.1 200 OK",
    b"HTTP/1.0 404 Not Found",
    b"HTTP/1.1 204 No Content",
    b"HTTP/1.1 304",
    b"HTTP/1.1 500 ",
    b"HTTP/1.1 100 Continue",
    b"HTTP/1.1 101 Switching Protocols",
    b"HTTP/1.1 200 \xe4",
    b"HTTP/1.1 999 Odd",
    b"HTTP/1.1 20",
    b"http/1.1 200 OK",
    b"HTTP/1.1\t200",
    b"HTTP/01.1 200 OK",
]
REPLY_FIELDS = [
    b"Server: s/1",
    b"Location: /b",
    b"WWW-Authenticate: Basic realm=x",
    b"Connection: keep-alive",
    b"Content-Type: Text/HTML; charset=x",
    b"Content-Encoding: gzip",
    b"Location: /b?session=secret1",
    b"Set-Cookie: a=secret1",
    b"Connection: close",
    b"Via: 1.0 q",
    b"Upgrade: h2c",
    b"Content-Length: 2",
    b"Content-Length: 2",
    b"Content-Length: 0",
    b"Content-Length: +2",
    b"Content-Length: 02",
    b"Content-Length: 00000000000000000000002",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: gzip, chunked",
]
CONTENTS = [b"", b"hi", b"2\r\nhi\r\n0\r\n\r\n", b"2;x=y\r\nhi\r\n0\r\n\r\n", b"2\r\nhi\r\n0\r\nT: x\r\n\r\n", b"zz", b"more than that"]
FRAMINGS = {b"hi": [b"Content-Length: 2"], CONTENTS[2]: [b"transfer-encoding: chunked"], b"": [b"Content-Length: 0"]}


def take(
    parts: Sequence[Part], *, closing: tuple[Closing, Closing] = ("fin", "fin"), port: int = 80, secrets: bool = False
) -> DialogueColumns | None:
    """Return the columns of a dialogue, None when it is not plain."""
    plain = FastPath(secrets=secrets)
    taken = plain.take(7, contiguous_stream(parts, "client", closing[0]), contiguous_stream(parts, "server", closing[1]), port)
    block = plain.columns()
    assert taken == (block is not None)
    return block


def values_of_columns(block: DialogueColumns) -> list[Any]:
    """Return all known values in the columns of one dialogue."""
    assert block.flow.tolist() == [7]
    size = int(block.count.sum())
    facts = {name: cells.spread() for name, cells in block.exchange_facts.items()}
    rows = {name: cells.spread() for name, cells in block.rows.items()}
    assert {len(column) for column in (*facts.values(), *rows.values())} == {size}
    assert {len(column) for column in block.exchange_evidence.values()} == {size}
    return [
        block.service,
        list(block.summary),
        known({name: cells.spread()[0] for name, cells in block.facts.items()}),
        [known({name: column[row] for name, column in facts.items()}) for row in range(size)],
        [{name: int(column[row]) for name, column in block.exchange_evidence.items()} for row in range(size)],
        [known({name: column[row] for name, column in rows.items()}) for row in range(size)],
    ]


def values_of_dialogue(dialogue: Dialogue) -> list[Any]:
    """Return the same of a dialogue that was read by itself."""
    assert not any((dialogue.tls, dialogue.after, dialogue.announced, dialogue.dropped, known(dialogue.evidence)))
    return [
        dialogue.service,
        [dialogue.summary],
        known(dialogue.facts),
        [known(one.facts) for one in dialogue.exchanges],
        [known(one.evidence) for one in dialogue.exchanges],
        [known(row) for row in dialogue.rows],
    ]


def known(cells: dict[str, Any]) -> dict[str, Any]:
    return {name: cell for name, cell in cells.items() if cell is not None}


def agree(parts: Sequence[Part], closing: tuple[Closing, Closing], port: int, *, secrets: bool) -> bool:
    """Return whether a dialogue is plain; compare the fast path with the parser where it is."""
    if not all(any(by == side and text for by, text in parts) for side in ("client", "server")):
        return False
    block = take(parts, closing=closing, port=port, secrets=secrets)
    if block is not None:
        setting = ParserContext(secrets=secrets, server_port=port, end_time=START + len(parts) * STEP)
        assert values_of_columns(block) == values_of_dialogue(http.read(*readers(parts, closing=closing), setting))
    return block is not None


@st.composite
def near(draw: st.DrawFn) -> list[Part]:
    """Return a talk that is plain, or nearly so, cut into segments anywhere."""
    odd = draw(st.sampled_from([0, 0, 1, 4]))

    def one_of(usual: int, choices: list[bytes]) -> bytes:
        return draw(st.sampled_from(choices if draw(st.integers(1, 8)) <= odd else choices[:usual]))

    def several(usual: int, choices: list[bytes]) -> list[bytes]:
        return [one_of(usual, choices) for _ in range(draw(st.integers(0, 4)))]

    parts: list[Part] = []
    for _ in range(draw(st.integers(1, 3))):
        request = b"\r\n".join([one_of(4, REQUEST_LINES), *several(10, REQUEST_FIELDS), b"", b""])
        content = one_of(3, CONTENTS)
        framing = {b"hi": [b"Content-Length: 2"], CONTENTS[2]: [b"transfer-encoding: chunked"], b"": [b"Content-Length: 0"]}.get(
            content, []
        )
        reply = b"\r\n".join([one_of(5, STATUS_LINES), *several(6, REPLY_FIELDS), *framing, b"", content])
        parts += cut(draw, "client", request)
        parts += cut(draw, "server", reply)
    if odd and draw(st.booleans()):
        inserted: list[Part] = [("client", GET), ("server", OK), ("server", b"x")]
        parts.insert(draw(st.integers(0, len(parts))), draw(st.sampled_from(inserted)))
    return parts


def cut(draw: st.DrawFn, side: Side, text: bytes) -> list[Part]:
    places = sorted({0, len(text), *draw(st.lists(st.integers(0, len(text)), max_size=2))})
    return [(side, text[begin:end]) for begin, end in pairwise(places)]


@settings(max_examples=1500, deadline=None)
@given(near(), st.sampled_from(CLOSINGS), st.sampled_from([80, 443]), st.booleans())
def test_the_fast_path_gives_what_the_parser_gives(parts: list[Part], closing: tuple[Closing, Closing], port: int, secrets: bool) -> None:  # noqa: FBT001 - drawn
    agree(parts, closing, port, secrets=secrets)


@settings(max_examples=300, deadline=None)
@given(st.lists(exchanges(), min_size=1, max_size=4), st.sampled_from(CLOSINGS))
def test_well_formed_dialogues_are_parsed_the_same(held: list[Any], closing: tuple[Closing, Closing]) -> None:
    parts: list[Part] = [part for request, reply, _ in held for part in (("client", request), ("server", reply))]
    agree(parts, closing, 80, secrets=False)


@pytest.mark.parametrize(
    "parts",
    [
        [("client", GET), ("server", OK)],
        [("client", GET), ("server", OK), ("client", GET), ("server", OK)],
        [("client", GET[:9]), ("client", GET[9:]), ("server", OK[:20]), ("server", OK[20:])],
        [("client", b"HEAD /a?b=c HTTP/1.0\r\n\r\n"), ("server", b"HTTP/1.0 200\r\nContent-Length: 99\r\n\r\n")],
        [("client", GET), ("server", b"HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n"), ("client", GET), ("server", OK)],
        [("client", GET), ("server", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n3\r\nyou\r\n0\r\n\r\n")],
        [("client", GET), ("server", b"HTTP/1.0 200 OK\r\n\r\nuntil the end")],
        [("client", GET), ("server", OK.replace(b"h: 2", b"h: 00000000000000000000002"))],
    ],
)
def test_usual_dialogues_are_plain(parts: list[Part]) -> None:
    assert agree(parts, ("fin", "fin"), 80, secrets=False)


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param([("server", OK), ("client", GET)], id="response before the request"),
        pytest.param([("client", GET + GET), ("server", OK + OK)], id="pipelined"),
        pytest.param([("client", GET), ("server", OK[:-1])], id="content cut short"),
        pytest.param([("client", GET), ("server", OK + b"x")], id="bytes behind a reply"),
        pytest.param([("client", GET + b"x"), ("server", OK)], id="bytes behind a request"),
        pytest.param([("client", GET), ("server", b"HTTP/1.0 200 OK\r\n\r\n"), ("client", GET), ("server", OK)], id="no length in between"),
        pytest.param([("client", b"GET /?password=secret1 HTTP/1.1\r\n\r\n"), ("server", OK)], id="a secret"),
        pytest.param([("client", GET.replace(b"Host", b"Cookie")), ("server", OK)], id="a cookie"),
        pytest.param([("client", GET.replace(b"\r\n", b"\n")), ("server", OK)], id="bare line ends"),
        pytest.param([("client", b"\r\n" + GET), ("server", OK)], id="an empty line first"),
        pytest.param(
            [("client", GET), ("server", b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")], id="chunks too early"
        ),
        pytest.param([("client", GET), ("server", OK.replace(b"h: 2", b"h: 2\r\nContent-Length: 2"))], id="two lengths"),
        pytest.param([("client", GET.replace(b"a.example", b"a" * 3_000)), ("server", OK)], id="a long request"),
        pytest.param([("client", GET), ("server", OK.replace(b"h: 2", b"h: 2\r\nX: " + b"a" * 3_000))], id="a long reply"),
    ],
)
def test_others_are_left_to_the_reader_of_any(parts: list[Part]) -> None:
    assert take(parts) is None


def test_a_time_that_is_not_known_makes_no_latency() -> None:
    parts: list[Part] = [("client", GET), ("server", OK)]
    plain, client, server = FastPath(secrets=False), contiguous_stream(parts, "client", "fin"), contiguous_stream(parts, "server", "fin")
    client.time[0] = NO_TIME
    assert plain.take(7, client, server, 80)
    block = plain.columns()
    assert block is not None
    assert block.exchange_facts["latency"].spread() == [None]
    assert block.rows["latency_ms"].spread() == [None]


def test_what_a_head_says_is_right_after_more_heads_than_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analyzer.protocols.http.fast_path.MAX_CACHED_HEADS", 2)
    plain = FastPath(secrets=False)
    for number in range(9):
        parts: list[Part] = [("client", GET.replace(b"a.example", b"%d" % (number % 4))), ("server", OK)]
        assert plain.take(number, contiguous_stream(parts, "client", "fin"), contiguous_stream(parts, "server", "fin"), 80)
    block = plain.columns()
    assert block is not None
    assert block.rows["host"].spread() == [str(number % 4) for number in range(9)]


def test_examples_and_samples_are_reported_the_same_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "MIN_COLUMNAR_DIALOGUES", 10**9)
    captures = [notation.capture(script) for script in examples().values()]
    connections = connections_.group(captures)
    judged = openings.judge(connections, shipped())

    def found() -> tuple[int, list[pd.DataFrame]]:
        parsed = stages.parse_dialogues(
            stages.build_dialogue_request(
                connections, [replace(one) for one in captures], stages.opening_summary(judged, shipped()), shipped()
            )
        )
        report = api.analyze(SAMPLES, engine="native", expect=False)
        return len(parsed.columns), [parsed.findings, report.flows, report.findings, report.transactions]

    with_it = found()
    monkeypatch.delattr(http, "FastPath")
    without = found()
    assert with_it[0] == 1
    assert without[0] == 0
    for one, other in zip(with_it[1], without[1], strict=True):
        pd.testing.assert_frame_equal(one, other)
