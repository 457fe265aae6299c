"""Laws of the SMTP reader: however the bytes are cut it tells the same; whatever they are it ends; what it emits is what is declared."""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analyzer import rules
from analyzer.protocols.api import ParserContext
from analyzer.protocols.smtp import parser
from analyzer.reassembly.reader import Reader
from tests.unit.protocols.smtp.scripts import EHLO, MAIL, QUIT, Turn, readers, turns
from tests.unit.protocols.smtp.test_login import LOGINS

if TYPE_CHECKING:
    from collections.abc import Callable

    from analyzer.protocols.api import Dialogue
    from analyzer.rules.protocols import Protocol

HELLO = r"C= \x16\x03\x01\x00\x02\x01\x00"
DIALOGUES = [
    EHLO + MAIL + "C: Subject: x\nC: \nC: ..dot\nC: .\nS: 250-2.0.0\nS: 250 Ok: queued as 4CEF420E4E5" + QUIT,
    EHLO + "C: MAIL FROM:<a@c>\nC: RCPT TO:<b@mx>\nC: DATA\nS: 250 ok\nS: 550 no\nS: 354 go\nC: hi\nC: .\nC: QUIT\nS: 250 ok\nS: 221 bye",
    EHLO + "C: MAIL FROM:<a@c> SIZE=7\nC: BDAT 4\nC= a\\r\\nb\nC= BDAT 3 LAST\\r\\n\\r\\n.\nS: 250 ok\nS: 250 ok\nS: 250 ok" + QUIT,
    EHLO + MAIL + "C= one\\n.\\r\\nMAIL FROM:<x@y>\\r\\n.\\r\\n\nS: 250 ok" + QUIT,
    EHLO + MAIL + "C= one\\n.\\n\nS: 250 ok" + QUIT,
    EHLO + MAIL + "C= one\\n.\\r\\n\\r\\n\nS: 250 ok\nS: 500 what",
    EHLO + f"C: STARTTLS\nC: NOOP\nS: 220 go\n{HELLO}",
    EHLO + f"C: STARTTLS\nS: 454 no\n{HELLO}",
    (
        "C: EHLO c\nS: 220 mx\nS: 250-mx\nS: 250 PIPE_CONNECT\n"
        "C: BDAT -1\nC: junk\nS: 501 no\nS: 500 what\nC: FOO\nS: 421 out\nC: NOOP\nS: 250 ok"
    ),
    "S: 554 no\nC= EHLO c\\n\nS= what\\n\nC: DATA\nS: 503 no\nC: content\nS: 500 no" + QUIT,
    EHLO + MAIL + "C: one",
    *(EHLO + text for text, *_ in LOGINS.values()),
]
"""Whole dialogues; each line that does not wait is a part of the segment before it."""


def cut(segments: list[Turn], places: list[int]) -> list[Turn]:
    """Return the same bytes in other segments: the lines of a side in a row cut at `places`, their order kept."""
    parts = list[Turn]()
    for side, data, captured in segments:
        at = 0
        for place in sorted({place % len(data) for place in places} - {0}):
            parts.append((side, data[at:place], captured))
            at = place
        parts.append((side, data[at:], captured))
    return parts


def facts(dialogue: Dialogue) -> tuple[Any, ...]:
    """Return what must not depend on segments: all but frames and times."""
    timed = {"time", "first_frame", "last_frame", "latency_ms"}
    return (
        dialogue.summary,
        dialogue.facts,
        sorted(dialogue.evidence),
        [({name: value for name, value in one.facts.items() if name != "latency"}, sorted(one.evidence)) for one in dialogue.exchanges],
        [{name: value for name, value in row.items() if name not in timed} for row in dialogue.rows],
        (dialogue.tls, dialogue.tls_position is None, dialogue.dropped),
    )


def read(segments: list[Turn], setting: ParserContext | None = None) -> Dialogue:
    client, server = readers(segments, closing=("fin", "fin"))
    return parser.read(client, server, setting or ParserContext(server_port=25, end_time=60 * 10**9))


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(DIALOGUES), st.lists(st.integers(1, 400), max_size=40))
def test_any_cut_gives_the_same(text: str, places: list[int]) -> None:
    segments = turns(text)
    assert facts(read(cut(segments, places))) == facts(read(segments))


def test_byte_by_byte_gives_the_same() -> None:
    for text in DIALOGUES:
        segments = turns(text)
        assert facts(read(cut(segments, list(range(1, 2_000))))) == facts(read(segments)), text


WORDS = [
    b"\r\n",
    b"\n",
    b"\r",
    b".",
    b"\r\n.\r\n",
    b"250 ",
    b"250-",
    b"354 go\r\n",
    b"334 \r\n",
    b"220 x\r\n",
    b"421 x\r\n",
    b"DATA\r\n",
    b"BDAT 5 LAST\r\n",
    b"BDAT -",
]
WORDS += [
    b"EHLO c\r\n",
    b"MAIL FROM:<a>\r\n",
    b"RCPT TO:<b>\r\n",
    b"AUTH LOGIN\r\n",
    b"AUTH PLAIN AGEAYg==\r\n",
    b"STARTTLS\r\n",
    b"RSET\r\n",
    b"QUIT\r\n",
    b"LHLO c\r\n",
    b"\x16\x03\x01",
    b"*\r\n",
    b"YQ==\r\n",
]
BYTES = st.lists(st.sampled_from(WORDS) | st.binary(max_size=6), min_size=1, max_size=5).map(b"".join).filter(len)


@settings(deadline=None, max_examples=500)
@given(
    st.lists(st.tuples(st.sampled_from("CS"), BYTES, st.integers(0, 5).map(bool)), max_size=25),
    st.tuples(*[st.sampled_from(["", "fin", "rst"])] * 2),
    st.booleans(),
    st.booleans(),
)
def test_any_bytes_are_read_to_the_end(segments: list[Turn], closing: Any, whole: bool, one_sided: bool) -> None:  # noqa: ANN401, FBT001 - drawn
    client, server = readers(segments, closing=closing)
    dialogue = parser.read(client, server, ParserContext(whole=whole, one_sided=one_sided, end_time=10**12))
    check_declared(dialogue)
    assert client.ended or "TLS" in dialogue.summary or dialogue.tls or dialogue.facts["tls_missing"] is None


@cache
def _protocol() -> Protocol:
    return rules.load().protocols["smtp"]


def check_declared(dialogue: Dialogue) -> None:
    """Assert that everything in `dialogue` is declared, of the declared kind."""
    protocol = _protocol()
    enums = {**protocol.enums}
    for declared, given_ in ((protocol.dialogue, [dialogue.facts]), (protocol.exchange, [one.facts for one in dialogue.exchanges])):
        for held in given_:
            for name, value in held.items():
                assert name in declared, name
                kind = declared[name].kind
                if value is not None and kind in enums:
                    assert value in enums[kind], (name, value)
                elif value is not None:
                    assert isinstance(value, {"flag": bool, "text": str}.get(kind, int)), (name, value)
    assert set(dialogue.evidence) <= set(protocol.dialogue_evidence)
    assert all(set(one.evidence) <= set(protocol.exchange_evidence) for one in dialogue.exchanges)


COMMON = {
    "kind",
    "number",
    "time",
    "first_frame",
    "last_frame",
    "request",
    "code",
    "reply",
    "latency_ms",
    "request_bytes",
    "response_bytes",
    "complete",
}
"""Columns of all protocols that the reader fills."""
LEFT = {
    "places": {"first_client", "first_server", "tls", "close", "gap", "late", "overlap"},
    "facts": set(rules.load().protocols["any"].dialogue)
    - {
        "greeting_code",
        "greeting_after",
        "greeting_expected",
        "greeting_refusal",
        "greeting_delayed",
        "early",
        "early_excused",
        "tls_missing",
        "clear_after_refusal",
    },
}
"""What all dialogues have and the reader does not fill."""


def test_everything_declared_is_emitted() -> None:
    protocol = _protocol()
    said, placed, requested_at, columns = set[str](), set[str](), set[str](), set[str]()
    more = [
        EHLO + "C: NOOP " + "x" * 600 + "\nS: 250 ok\nC: DATA\nS: 554 no\nC: hi",
        EHLO + MAIL + "C: " + "x" * 1_200,
        EHLO + "C: STARTTLS\nS: 454 no\nC: NOOP\nS: 250 ok",
        EHLO + "C: STARTTLS\nS: 220 go\nC: NOOP\nS: 250 ok",
        EHLO + "C: BDAT 3 LAST\nC= a",
    ]
    for text in DIALOGUES + more:
        dialogue = read(turns(text))
        check_declared(dialogue)
        said |= set(dialogue.facts)
        placed |= set(dialogue.evidence)
        requested_at |= {name for one in dialogue.exchanges for name in one.facts}
        columns |= {name for row in dialogue.rows for name in row}
    assert set(protocol.dialogue) - said == LEFT["facts"]
    assert set(protocol.dialogue_evidence) - placed == LEFT["places"]
    assert set(protocol.exchange) == requested_at
    assert columns == COMMON | set(protocol.transaction)


def commands(count: int) -> list[Turn]:
    return [("C", b"NOOP\r\n" * count, True), ("S", b"220 mx\r\n" + b"250 ok\r\n" * count, True)]


def false_ends(count: int) -> list[Turn]:
    return [("S", b"220 mx\r\n", True), ("C", b"DATA\r\n", True), ("S", b"354 go\r\n", True), ("C", b"x\n.\n" * count, True)]


def lax_messages(count: int) -> list[Turn]:
    return [("C", b"DATA\r\n" + b"x\n.\nDATA\r\n" * count, True), ("S", b"220 mx\r\n" + b"354 go\r\n250 ok\r\n" * count, True)]


def upgrades(count: int) -> list[Turn]:
    return [("C", b"STARTTLS\r\n" * count, True)]


def replies(count: int) -> list[Turn]:
    return [("S", b"220 mx\r\n" + b"250 ok\r\n" * count, True), ("C", b"NOOP\r\n" * count, True)]


def calls(segments: list[Turn]) -> int:
    """Return how many functions are called to read a session."""
    # The first session of a process loads the rules.
    parser.read(*readers([]), ParserContext())
    client, server = readers(segments)
    called = 0

    def note(_frame: object, _event: str, _argument: object) -> None:
        nonlocal called
        called += 1

    sys.setprofile(note)
    try:
        parser.read(client, server, ParserContext(end_time=10**12))
    finally:
        sys.setprofile(None)
    return called


@pytest.mark.parametrize("session", [commands, false_ends, lax_messages, upgrades, replies])
def test_work_grows_with_length(session: Callable[[int], list[Turn]]) -> None:
    # Four times the input: squared it would be sixteen times the work.
    assert calls(session(2_000)) < calls(session(500)) * 5


def test_a_chunk_is_not_copied() -> None:
    fetched = list[int]()
    client, server = readers(turns(EHLO + "C: MAIL FROM:<a@c>\nS: 250 ok\nC: BDAT 50000000 LAST"))
    size, blob = client.size, client.take(client.size)
    parts = [(0, blob, 2, 2)]

    def fetch(start: int, length: int) -> bytes:
        fetched.append(length)
        return (blob + b"x" * 100)[start : start + length] if start < size else b"x" * length

    whole = Reader.of("client", parts)
    pieces = replace(
        whole._segments,
        start=[0, size],
        stop=[size, size + 50_000_000],
        address=[0, size],
        frame=[2, 3],
        time=[2, 3],
        size=size + 50_000_000,
    )
    dialogue = parser.read(Reader("client", pieces, fetch), server, ParserContext())
    assert dialogue.rows[0]["message_size"] == 50_000_000
    assert sum(fetched) < 200_000
