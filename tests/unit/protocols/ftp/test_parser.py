"""FTP's control connection: which reply answers which command, the opening, TLS, and what is unknown where bytes are missing."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analyzer.protocols.ftp import parser
from analyzer.reassembly.reader import Line, Reader
from tests.unit.protocols.ftp.scripts import LOGIN, SECOND, START, Message, facts, messages, readers, requests, setting, talk

HELLO = b"\x16\x03\x01\x00\x05hello"
"""A record of TLS, as a ClientHello would be one."""


def test_commands_are_answered_in_order() -> None:
    dialogue = talk(LOGIN + "C: SYST\nS: 215 UNIX Type: L8\nC: QUIT\nS: 221 bye\n")
    assert requests(dialogue) == [("USER jo", 331), ("PASS (hidden)", 230), ("SYST", 215), ("QUIT", 221)]
    assert [one.facts["number"] for one in dialogue.exchanges] == [1, 2, 3, 4]
    assert all(one.facts["replied"] and one.facts["reply_listed"] and not one.facts["pipelined"] for one in dialogue.exchanges)
    assert (dialogue.facts["login"], dialogue.facts["anonymous"], dialogue.facts["login_failures"]) == ("accepted", False, 0)
    assert dialogue.evidence["greeting"] == 4
    assert dialogue.exchanges[0].evidence == {"request": 5, "request_end": 5, "reply": 6, "reply_end": 6}


def test_a_row_says_what_was_asked_and_answered() -> None:
    row = talk("S: 220 x\nC: SYST\nS: 215-UNIX\nS: 215 end\n").rows[0]
    assert row == {
        "kind": "command",
        "number": 1,
        "time": START + 5 * SECOND // 100,
        "first_frame": 5,
        "last_frame": 7,
        "request": "SYST",
        "code": 215,
        "reply": "UNIX",
        "latency_ms": 10.0,
        "request_bytes": 6,
        "response_bytes": 19,
        "complete": True,
        "command": "SYST",
        "argument": "",
        "user": "",
        "cwd": "",
    }


def test_a_command_and_its_replies_may_come_in_single_bytes() -> None:
    script = LOGIN + "C: PASV\nS: 227 (198,51,100,20,1,2)\nC: LIST\nS: 150 here\nS: 226-it\nS: 226 was\n"
    whole, split = talk(script), talk(script, sizes=[1])
    assert requests(split) == requests(whole)
    assert [one.facts.keys() for one in split.exchanges] == [one.facts.keys() for one in whole.exchanges]


@pytest.mark.parametrize(
    ("first", "expected", "refusal", "delayed"),
    [
        ("220 ready", True, False, False),
        ("421 too many", True, True, False),
        ("530 go away", False, False, False),
        ("500 OOPS", False, False, False),
    ],
)
def test_greetings(first: str, *, expected: bool, refusal: bool, delayed: bool) -> None:
    told = talk(f"S: {first}\n").facts
    assert told["greeting_code"] == int(first[:3])
    assert (told["greeting_expected"], told["greeting_refusal"], told["greeting_delayed"]) == (expected, refusal, delayed)


def test_120_comes_before_220() -> None:
    dialogue = talk("S: 120 in 5 minutes\nS: 220 now\nC: NOOP\nS: 200 ok\n")
    assert (dialogue.facts["greeting_code"], dialogue.facts["greeting_delayed"], dialogue.facts["early"]) == (220, True, False)
    assert requests(dialogue) == [("NOOP", 200)]


def test_the_greeting_s_delay_is_that_of_its_first_reply() -> None:
    script = "S: 120 in 5 minutes\nS: 220 now\n"
    assert talk(script, opened_at=START + SECOND // 100).facts["greeting_after"] == 3 * SECOND // 100
    assert "greeting_after" not in talk(script).facts


def test_a_client_that_does_not_wait_for_the_greeting_is_early() -> None:
    dialogue = talk("C: USER anonymous\nC: PASS a@b\nC: SYST\nS: 220 py.fake ready\nS: 331 x\nS: 230 y\nS: 215 z\n")
    assert dialogue.facts["early"] is True
    assert dialogue.evidence["early"] == 4
    assert requests(dialogue) == [("USER anonymous", 331), ("PASS (hidden)", 230), ("SYST", 215)]


def test_a_client_that_speaks_inside_a_greeting_of_several_lines_is_early() -> None:
    assert talk("S: 220-one\nC: NOOP\nS: 220 two\nS: 200 ok\n").facts["early"] is True
    assert talk("S: 220-one\nS: 220 two\nC: NOOP\nS: 200 ok\n").facts["early"] is False


def test_a_mark_is_not_the_answer() -> None:
    told = facts(talk(LOGIN + "C: PASV\nS: 227 (198,51,100,20,1,2)\nC: RETR a\nS: 150 here\nS: 226 done\n"), "RETR")
    assert (told["preliminary_code"], told["announced"], told["reply_code"], told["latency"]) == (150, True, 226, 2 * SECOND // 100)


def test_answers_to_commands_during_a_transfer_are_theirs() -> None:
    dialogue = talk(
        LOGIN + "C: PASV\nS: 227 (198,51,100,20,1,2)\nC: RETR a\nS: 150 here\nC: STAT\nS: 213 half\nC: NOOP\nC: ABOR\n"
        "S: 426 cut\nS: 200 ok\nS: 226 gone\n"
    )
    assert requests(dialogue)[3:] == [("RETR a", 426), ("STAT", 213), ("NOOP", 200), ("ABOR", 226)]


def test_pipelined_commands_are_answered_in_order() -> None:
    dialogue = talk(LOGIN + "C: CWD a\nC: TYPE I\nC: SIZE f\nS: 250 ok\nS: 200 ok\nS: 213 7\n")
    assert requests(dialogue)[2:] == [("CWD a", 250), ("TYPE I", 200), ("SIZE f", 213)]
    assert [one.facts["pipelined"] for one in dialogue.exchanges[2:]] == [False, True, True]


def test_a_reply_nobody_asked_for_is_an_exchange_of_its_own() -> None:
    dialogue = talk(LOGIN + "S: 421 timeout\n")
    assert dialogue.exchanges[-1].facts["request_seen"] is False
    assert facts(dialogue, "none")["reply_code"] == 421
    assert dialogue.facts["service_closing"] is True
    assert dialogue.evidence["service_closing"] == 9
    assert requests(dialogue)[-1] == ("", 421)


def test_a_command_without_answer() -> None:
    script = LOGIN + "C: SYST\n"
    assert facts(talk(script, closing="fin"), "SYST")["replied"] is False
    assert facts(talk(script), "SYST")["replied"] is False, "the capture went on for an hour"
    assert facts(talk(script, end_time=START + 10 * SECOND // 100), "SYST")["replied"] is None
    assert facts(talk(script, one_sided=True), "SYST")["replied"] is None
    assert facts(talk(LOGIN + "C: QUIT\n", closing="fin"), "QUIT")["replied"] is None
    assert facts(talk(LOGIN + "S: 421 bye\nC: SYST\n", closing="fin"), "SYST")["replied"] is None


@pytest.mark.parametrize(
    ("line", "code", "malformed"),
    [("230_no_space", 230, True), ("230", 230, False), ("999 what", 999, True), ("099 what", 99, True), ("230 fine", 230, False)],
)
def test_odd_replies(line: str, code: int, *, malformed: bool) -> None:
    told = facts(talk(f"S: 220 x\nC: USER a\nS: {line}\n"), "USER")
    assert (told["reply_code"], told["reply_malformed"]) == (code, malformed)


@pytest.mark.parametrize("line", ["what is this", "22 short", "2200 long", ""])
def test_a_line_that_is_no_reply_answers_nothing(line: str) -> None:
    dialogue = talk(f"S: 220 x\nC: USER a\nS: {line}\nS: 331 pass\n")
    assert facts(dialogue, "USER")["reply_code"] == 331
    assert (dialogue.facts["stray_line"], dialogue.evidence["stray_line"]) == (True, 6)


def test_telnet_in_commands() -> None:
    ordinary = facts(talk(LOGIN + "C: \\xff\\xf4\\xff\\xf2ABOR\nS: 226 ok\n"), "ABOR")
    assert (ordinary["telnet"], ordinary["telnet_inside"]) == (True, False)
    evasive = facts(talk(LOGIN + "C: RE\\xff\\xf1TR a\nS: 550 no\n"), "RETR")
    assert (evasive["telnet"], evasive["telnet_inside"]) == (True, True)
    assert "telnet" not in facts(talk(LOGIN + "C: NOOP\nS: 200 ok\n"), "NOOP")


def clear(script: str) -> list[Message]:
    return messages(script)


def test_reading_stops_where_tls_begins() -> None:
    dialogue = talk(
        [*clear("S: 220 x\nC: AUTH TLS\nS: 234 go\n"), ("client", HELLO), ("server", HELLO), ("client", b"\x17\x03\x03\x00\x01x")]
    )
    assert requests(dialogue) == [("AUTH TLS", 234)]
    assert (dialogue.tls, dialogue.tls_position and dialogue.tls_position.frame) == ("auth-tls", 7)
    assert (dialogue.facts["auth"], dialogue.facts["tls_missing"], dialogue.facts["auth_injection"]) == ("accepted", False, False)
    assert dialogue.facts["login"] is None, "it is inside TLS"


def test_clear_bytes_between_auth_and_its_answer_are_an_injection() -> None:
    dialogue = talk([("server", b"220 x\r\n"), ("client", b"AUTH TLS\r\nUSER mallory\r\n"), ("server", b"234 go\r\n"), ("client", HELLO)])
    assert (dialogue.facts["auth_injection"], dialogue.evidence["auth_injection"]) == (True, 5)
    assert dialogue.facts["tls_missing"] is False


def test_going_on_in_the_clear_after_tls_was_agreed() -> None:
    dialogue = talk("S: 220 x\nC: AUTH TLS\nS: 234 go\nC: USER jo\nS: 331 p\n")
    assert (dialogue.facts["tls_missing"], dialogue.evidence["tls_missing"], dialogue.tls) == (True, 7, "")
    assert requests(dialogue) == [("AUTH TLS", 234), ("USER jo", 331)]


def test_going_on_in_the_clear_after_tls_was_refused() -> None:
    dialogue = talk("S: 220 x\nC: AUTH TLS\nS: 502 no\nC: AUTH SSL\nS: 502 no\nC: USER jo\nS: 331 p\n")
    assert (dialogue.facts["clear_after_refusal"], dialogue.evidence["clear_after_refusal"]) == (True, 9)
    assert talk("S: 220 x\nC: AUTH TLS\nS: 502 no\nC: QUIT\nS: 221 bye\n").facts["clear_after_refusal"] is False


def test_tls_without_the_client_s_side() -> None:
    dialogue = talk([*clear("S: 220 x\nS: 234 go\n"), ("server", HELLO)], one_sided=True)
    assert (dialogue.tls, dialogue.tls_position and dialogue.tls_position.frame) == ("auth-tls", 6)


def test_the_dialogue_goes_on_where_tls_ends() -> None:
    alert = b"\x15\x03\x03\x00\x02xx"
    dialogue = talk(
        [
            *clear("S: 220 x\nC: AUTH TLS\nS: 234 go\n"),
            ("client", HELLO),
            ("server", HELLO + alert),
            ("client", alert),
            *clear("C: PASV\nS: 227 (198,51,100,20,1,2)\n"),
        ]
    )
    assert requests(dialogue) == [("AUTH TLS", 234), ("PASV", 227)]
    assert (dialogue.facts["tls_cleared"], dialogue.evidence["tls_cleared"], dialogue.tls) == (True, 10, "auth-tls")
    assert len(dialogue.announced) == 1


def gapped(said: list[Message], lost: int) -> tuple[Reader, Reader]:
    """Return readers of a dialogue whose message number `lost` was not captured."""
    parts: dict[str, list[tuple[int, bytes, int, int]]] = {"client": [], "server": []}
    reach = {"client": 0, "server": 0}
    for frame, (side, data) in enumerate(said):
        if frame != lost:
            parts[side].append((reach[side], data, frame + 1, START + frame * SECOND))
        reach[side] += len(data)
    return Reader.of("client", parts["client"], size=reach["client"]), Reader.of("server", parts["server"], size=reach["server"])


def test_a_lost_greeting_is_no_bad_greeting() -> None:
    dialogue = parser.read(*gapped(messages(LOGIN), 0), setting())
    assert not {"greeting_code", "greeting_expected", "early"} & {name for name, value in dialogue.facts.items() if value is not False}
    assert requests(dialogue) == [("USER jo", 331), ("PASS (hidden)", 230)]


def test_what_may_have_been_lost_is_not_said_to_be_absent() -> None:
    dialogue = parser.read(*gapped(messages(LOGIN + "C: SYST\nS: 215 x\n"), 6), setting())
    assert not {"service_closing", "tls_missing", "stray_line"} & dialogue.facts.keys()
    assert dialogue.facts["early"] is False, "the greeting is there, and the client's line behind it"
    nothing = parser.read(Reader.of("client", [], size=90), Reader.of("server", [], size=90), setting())
    assert {name for name, value in nothing.facts.items() if value is False} == set()


def test_after_a_lost_reply_the_next_one_answers_the_last_command() -> None:
    dialogue = parser.read(*gapped(messages(LOGIN + "C: SYST\nS: 215 x\n"), 2), setting())
    assert requests(dialogue) == [("USER jo", None), ("PASS (hidden)", 230), ("SYST", 215)]
    assert "replied" not in facts(dialogue, "USER")
    assert "reply_listed" not in facts(dialogue, "PASS"), "it may be the reply to USER"
    assert facts(dialogue, "SYST")["reply_listed"] is True


def test_a_lost_command_leaves_its_reply_alone() -> None:
    dialogue = parser.read(*gapped(messages(LOGIN + "C: SYST\nS: 215 x\nC: NOOP\nS: 200 x\n"), 5), setting())
    assert requests(dialogue) == [("USER jo", 331), ("PASS (hidden)", 230), ("", 215), ("NOOP", 200)]


def test_a_start_in_the_middle_says_nothing_of_the_beginning() -> None:
    dialogue = talk("S: ing listing.\nS: 226 done\nC: RETR b\nS: 150 here\nS: 226 done\n", whole=False)
    assert requests(dialogue) == [("", 226), ("RETR b", 226)]
    assert facts(dialogue, "RETR")["mode"] is None
    unknown = ("greeting_code", "early", "login", "auth", "stray_line", "tls_missing")
    assert [dialogue.facts.get(name) for name in unknown] == [None] * len(unknown)
    assert not dialogue.announced


def test_summaries() -> None:
    script = "S: 220 (vsFTPd 3.0.3)\nC: USER anonymous\nS: 331 p\nC: PASS a@b\nS: 230 in\n"
    transfer = "C: PASV\nS: 227 (198,51,100,20,1,2)\nC: {}\nS: 150 here\nS: 226 done\n"
    both = "".join(transfer.format(command) for command in ("LIST", "RETR a", "STOR b"))
    assert talk(script + both).summary == "vsFTPd 3.0.3, anonymous, 2 files, 1 listing, passive"
    assert talk("S: 220 x\nC: USER jo\nS: 331 p\nC: PASS x\nS: 530 no\n").summary == "x, user jo, login refused"
    assert talk([*clear("S: 220 ProFTPD 1.3.5 Server\nC: AUTH TLS\nS: 234 go\n"), ("client", HELLO)]).summary == "ProFTPD 1.3.5, then TLS"


def test_what_is_beyond_the_most_is_counted() -> None:
    said: list[Message] = [("server", b"220 x\r\n")]
    for _ in range(parser.MAX_COMMANDS + 5):
        said += [("client", b"NOOP\r\n"), ("server", b"200 ok\r\n")]
    dialogue = talk(said)
    assert (len(dialogue.rows), len(dialogue.exchanges), dialogue.dropped) == (parser.MAX_COMMANDS, parser.MAX_COMMANDS, 5)


WORDS = st.sampled_from(
    [
        *(
            "USER jo",
            "USER anonymous",
            "PASS x",
            "ACCT y",
            "CWD a",
            "CDUP",
            "PWD",
            "PASV",
            "EPSV",
            "EPSV ALL",
            "PORT 192,0,2,10,1,2",
            "ABOR",
        ),
        *(
            "EPRT |1|192.0.2.10|99|",
            "RETR a",
            "STOR b",
            "LIST",
            "AUTH TLS",
            "PROT P",
            "QUIT",
            "STAT",
            "REIN",
            "MODE B",
            "\\xff\\xf4ABOR",
            "odd",
        ),
    ]
)
REPLIES = st.sampled_from(
    [
        *(
            "220 x",
            "120 x",
            "331 x",
            "230 x",
            "230-a\\r\\n200 b\\r\\n230 c",
            "250 x",
            '257 "/a" x',
            "227 (1,2,3,4,5,6)",
            "229 (|||7|)",
            "150 x",
        ),
        *("226 x", "425 x", "426 x", "421 x", "234 x", "502 x", "530 x", "junk", "230-open", "999 x"),
    ]
)
TURNS = st.lists(st.one_of(WORDS.map(lambda word: f"C: {word}"), REPLIES.map(lambda reply: f"S: {reply}")), max_size=30)


@settings(max_examples=200, deadline=None)
@given(sizes=st.lists(st.integers(1, 9), min_size=1, max_size=5), whole=st.booleans(), turns=TURNS)
def test_how_the_bytes_are_cut_changes_nothing(*, turns: list[str], sizes: list[int], whole: bool) -> None:
    script = "\n".join(turns)
    one, other = talk(script, whole=whole), talk(script, sizes=sizes, whole=whole)
    times = {"latency"}
    assert [{k: v for k, v in x.facts.items() if k not in times} for x in one.exchanges] == [
        {k: v for k, v in x.facts.items() if k not in times} for x in other.exchanges
    ]
    assert [x.evidence.keys() for x in one.exchanges] == [x.evidence.keys() for x in other.exchanges]
    stamps = {"time", "first_frame", "last_frame", "latency_ms"}
    assert [{k: v for k, v in x.items() if k not in stamps} for x in one.rows] == [
        {k: v for k, v in x.items() if k not in stamps} for x in other.rows
    ]
    assert (one.facts, one.evidence.keys(), one.summary, one.tls) == (other.facts, other.evidence.keys(), other.summary, other.tls)
    assert [(x.ip, x.port, x.mode, x.opener, len(x.exchanges)) for x in one.announced] == [
        (x.ip, x.port, x.mode, x.opener, len(x.exchanges)) for x in other.announced
    ]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["client", "server"]), st.binary(max_size=60)), max_size=20), st.integers(0, 19))
def test_any_bytes_are_read_to_their_end(said: list[Message], lost: int) -> None:
    dialogue = parser.read(*gapped(said, lost), setting())
    assert dialogue.service == "ftp"
    assert len(dialogue.rows) == len(dialogue.exchanges)


@pytest.mark.parametrize(
    ("client", "server"),
    [
        (b"NOOP\r\n", b""),
        (b"", b"200-a\r\n300 b\r\n"),
        (b"NOOP\r\n", b"200-a\r\n"),
        (b"", b"150 x\r\n"),
        (b"RETR x\r\n", b"200 x\r\n"),
        (b"\n", b"\n"),
        (b"CWD a\r\n", b"250 ok\r\n"),
        (b"PORT 192,0,2,10,1,2\r\nLIST\r\n", b"200 ok\r\n150 go\r\n"),
        (b"\x16\x03\x01\x00\x00", b"\x16\x03\x01\x00\x00"),
        (b"PASS x\r\n", b"530 x\r\n"),
    ],
)
def test_the_cost_grows_as_the_bytes_do(monkeypatch: pytest.MonkeyPatch, client: bytes, server: bytes) -> None:
    calls = 0
    plain = Reader.line

    def counted(reader: Reader) -> Line | None:
        nonlocal calls
        calls += 1
        return plain(reader)

    monkeypatch.setattr(Reader, "line", counted)

    def cost(times: int) -> int:
        nonlocal calls
        calls = 0
        parser.read(*readers([("client", client * times), ("server", server * times)]), setting())
        return calls

    assert cost(2_000) < 2.1 * cost(1_000) + 10
