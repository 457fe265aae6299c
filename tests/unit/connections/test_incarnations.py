"""Where one tuple's segments are cut into connections: a case for each sentence of the rule, expected values by hand."""

from __future__ import annotations

import pytest

from analyzer import connections
from analyzer.connections import port_reuse
from analyzer.notation import capture, parse

OPEN = """
> S 100:100(0)
< S. 300:300(0) ack 101
> . 101:101(0) ack 301
"""
CLOSE = """
> F. 101:101(0) ack 301
< F. 301:301(0) ack 102
> . 102:102(0) ack 302
"""
AGAIN = """
> S 70000:70000(0)
< S. 90000:90000(0) ack 70001
> . 70001:70001(0) ack 90001
"""

CASES = {
    # name: (script, first frame of each connection, how each one's predecessor had ended)
    "reused after both FINs": (OPEN + CLOSE + AGAIN, [1, 7], ["", "closed"]),
    "reused after a reset": (OPEN + "< R 301:301(0)" + AGAIN, [1, 5], ["", "closed"]),
    "reused before close": (OPEN + AGAIN, [1, 4], ["", "active"]),
    "reused after one FIN": (OPEN + "> F. 101:101(0) ack 301" + AGAIN, [1, 5], ["", "active"]),
    "reset out of any window does not finish": (OPEN + "< R 99999999:99999999(0)\n> S 70000:70000(0)", [1], [""]),
    "SYN in an established connection stays": (OPEN + "> S 70000:70000(0)\n< . 301:301(0) ack 101", [1], [""]),
    "challenge ACK, then the reset it asks for, then the same SYN: cut at the first SYN": (
        OPEN
        + """
> S 70000:70000(0)
< . 301:301(0) ack 101
> R 101:101(0)
+1 > S 70000:70000(0)
< S. 90000:90000(0) ack 70001
> . 70001:70001(0) ack 90001
""",
        [1, 4],
        ["", "active"],
    ),
    "half-open recovery without the old connection is one": (
        """
> S 400:400(0)
< . 300:300(0) ack 100
> R 100:100(0)
+1 > S 400:400(0)
< S. 900:900(0) ack 401
> . 401:401(0) ack 901
""",
        [1],
        [""],
    ),
    "new ISN before any answer is a retry": (
        "> S 100:100(0)\n+1 > S 5000:5000(0)\n< S. 300:300(0) ack 5001\n> . 5001:5001(0) ack 301",
        [1],
        [""],
    ),
    "the first of two ISNs answered": ("> S 100:100(0)\n+1 > S 5000:5000(0)\n< S. 300:300(0) ack 101\n> . 101:101(0) ack 301", [1], [""]),
    "an answer with the wrong number does not make a connection old": (
        "> S 100:100(0)\n< S. 300:300(0) ack 777\n> R 777:777(0)\n+1 > S 5000:5000(0)\n< S. 300:300(0) ack 5001",
        [1],
        [""],
    ),
    "same ISN after both FINs": (OPEN + CLOSE + OPEN + CLOSE, [1, 7], ["", "early"]),
    "same ISN after a reset": (OPEN + "> R 101:101(0)" + OPEN, [1, 5], ["", "closed"]),
    "same ISN right after a refusal is the client's retry": (
        "> S 100:100(0)\n< R. 0:0(0) ack 101\n+0.5 > S 100:100(0)\n< R. 0:0(0) ack 101\n+0.5 > S 100:100(0)\n< R. 0:0(0) ack 101",
        [1],
        [""],
    ),
    "same ISN long after a refusal": (
        "> S 100:100(0)\n< R. 0:0(0) ack 101\n+100 > S 100:100(0)\n< R. 0:0(0) ack 101",
        [1, 3],
        ["", "closed"],
    ),
    "retry after a refusal that succeeds": ("> S 100:100(0)\n< R. 0:0(0) ack 101\n+0.5 " + OPEN.strip(), [1], [""]),
    "new ISN after a refusal": ("> S 100:100(0)\n< R. 0:0(0) ack 101\n+0.5 > S 900:900(0)\n< R. 0:0(0) ack 901", [1, 3], ["", "closed"]),
    "a reset that refuses nothing is no end": ("> S 100:100(0)\n< R. 0:0(0) ack 999\n+0.5 > S 900:900(0)\n< R. 0:0(0) ack 901", [1], [""]),
    "SYN+ACK after the refusal takes it back": (
        "> S 100:100(0)\n< R. 0:0(0) ack 101\n< S. 300:300(0) ack 101\n> . 101:101(0) ack 301\n> S 7777:7777(0)",
        [1],
        [""],
    ),
    "SYN+ACK again after the client's reset": (
        "> S 100:100(0)\n< S. 300:300(0) ack 101\n> R 101:101(0)\n+1 < S. 300:300(0) ack 101\n< . 301:301(0) ack 101",
        [1],
        [""],
    ),
    "silent for more than 240 s": ("> S 100:100(0)\n+241 > S 5000:5000(0)", [1, 2], ["", "active"]),
    "silent for 240 s": ("> S 100:100(0)\n+240 > S 5000:5000(0)", [1], [""]),
    "silent for long, same ISN": ("> S 100:100(0)\n+500 > S 100:100(0)", [1], [""]),
    "silent for long inside an open connection": (OPEN + "+500 > S 5000:5000(0)", [1, 4], ["", "active"]),
    "SYN lost: the SYN+ACK begins the next, after close": (
        OPEN + CLOSE + "< S. 90000:90000(0) ack 70001\n> . 70001:70001(0) ack 90001",
        [1, 7],
        ["", "closed"],
    ),
    "SYN lost: the SYN+ACK begins the next, before close": (
        OPEN + "< S. 90000:90000(0) ack 70001\n> . 70001:70001(0) ack 90001",
        [1, 4],
        ["", "active"],
    ),
    "a SYN+ACK nobody goes on from": (OPEN + "< S. 90000:90000(0) ack 70001\n> R 70001:70001(0)", [1], [""]),
    "a refusal's SYN+ACK nobody goes on from": ("> S 100:100(0)\n< R. 0:0(0) ack 101\n< S. 90000:90000(0) ack 70001", [1], [""]),
    "old SYN+ACK of an earlier incarnation": (
        OPEN
        + CLOSE
        + "> S 70000:70000(0)\n< S. 300:300(0) ack 101\n> R 101:101(0)\n< S. 90000:90000(0) ack 70001\n> . 70001:70001(0) ack 90001",
        [1, 7],
        ["", "closed"],
    ),
    "old SYN answered first (RFC 9293 figure 8)": (
        "> S 100:100(0)\n> S 90:90(0)\n< S. 300:300(0) ack 91\n> R 91:91(0)\n< S. 400:400(0) ack 101\n> . 101:101(0) ack 401",
        [1],
        [""],
    ),
    "SYN+ACK with another ISN, same acknowledgment": (
        "> S 100:100(0)\n< S. 300:300(0) ack 101\n< S. 999:999(0) ack 101\n> . 101:101(0) ack 301",
        [1],
        [""],
    ),
    "crossing SYNs": ("> S 100:100(0)\n< S 300:300(0)\n> S. 100:100(0) ack 301\n< S. 300:300(0) ack 101", [1], [""]),
    "split handshake": ("> S 100:100(0)\n< S 300:300(0)\n> S. 100:100(0) ack 301\n< . 301:301(0) ack 101", [1], [""]),
    "split handshake that begins with an ACK": (
        "> S 100:100(0)\n< . 300:300(0) ack 101\n< S 300:300(0)\n> S. 100:100(0) ack 301\n< . 301:301(0) ack 101",
        [1],
        [""],
    ),
    "SYN+ACK before its SYN in the file": ("< S. 300:300(0) ack 101\n> S 100:100(0)\n> . 101:101(0) ack 301", [1], [""]),
    "third segment before everything in the file": ("> . 101:101(0) ack 301\n> S 100:100(0)\n< S. 300:300(0) ack 101", [1], [""]),
    "third segment before the SYN+ACK, SYN not captured": (
        "> . 101:101(0) ack 301\n< S. 300:300(0) ack 101\n> P. 101:105(4) ack 301",
        [1],
        [""],
    ),
    "a file in random order": (
        """
> . 222:222(0) ack 402
-0.001 < F. 401:401(0) ack 222
-0.1 < . 301:301(0) ack 221
-0.1 < S. 300:300(0) ack 101
+0.1 > F. 221:221(0) ack 401
-0.1 > S 100:100(0)
+0.1 > P. 101:221(120) ack 301
""",
        [1],
        [""],
    ),
    "SYN captured last, and its SYN+ACK first": (
        """
< S. 300:300(0) ack 101
> . 101:101(0) ack 301
> F. 101:101(0) ack 301
< F. 301:301(0) ack 102
> . 102:102(0) ack 302
> S 100:100(0)
""",
        [1],
        [""],
    ),
    "the number of a SYN that was not captured is used again": (
        """
< S. 300:300(0) ack 101
> . 101:101(0) ack 301
> F. 101:101(0) ack 301
< F. 301:301(0) ack 102
> . 102:102(0) ack 302
> S 100:100(0)
< S. 900:900(0) ack 101
> . 101:101(0) ack 901
""",
        [1, 6],
        ["", "early"],
    ),
    "refusal before its SYN in the file": ("< R. 0:0(0) ack 101\n> S 100:100(0)", [1], [""]),
    "the end of an older connection first": ("> F. 5:5(0) ack 9\n< F. 9:9(0) ack 6\n> . 6:6(0) ack 10" + AGAIN, [1, 4], ["", "closed"]),
    "an older connection's data first": ("> P. 5:9(4) ack 9\n< . 9:9(0) ack 9" + AGAIN, [1, 3], ["", "active"]),
    "an older connection's reset first": ("> R 5:5(0)" + AGAIN, [1, 2], ["", "closed"]),
    "one direction captured: SYN, data, FIN, SYN": (
        "> S 100:100(0)\n> . 101:101(0) ack 301\n> F. 101:101(0) ack 301\n> S 70000:70000(0)\n> . 70001:70001(0) ack 90001",
        [1, 4],
        ["", "closed"],
    ),
    "one direction captured, still open": (
        "> S 100:100(0)\n> . 101:101(0) ack 301\n> P. 101:105(4) ack 301\n> S 70000:70000(0)\n> . 70001:70001(0) ack 90001",
        [1, 4],
        ["", "active"],
    ),
    "one direction captured, the server's": (
        "< S. 300:300(0) ack 101\n< P. 301:305(4) ack 101\n< S. 90000:90000(0) ack 70001\n< P. 90001:90005(4) ack 70001",
        [1, 3],
        ["", "active"],
    ),
    "SYN+ACK not captured, then reused": (
        "> S 100:100(0)\n> . 101:101(0) ack 301\n> P. 101:105(4) ack 301\n< . 301:301(0) ack 105" + AGAIN,
        [1, 5],
        ["", "active"],
    ),
    "roles swapped after close": (
        OPEN + CLOSE + "< S 70000:70000(0)\n> S. 90000:90000(0) ack 70001\n< . 70001:70001(0) ack 90001",
        [1, 7],
        ["", "closed"],
    ),
    "roles swapped before close": (
        OPEN + "< S 70000:70000(0)\n> S. 90000:90000(0) ack 70001\n< . 70001:70001(0) ack 90001",
        [1, 4],
        ["", "active"],
    ),
    "crossing SYNs before close": (
        OPEN + "> S 70000:70000(0)\n< S 90000:90000(0)\n> S. 70000:70000(0) ack 90001\n< S. 90000:90000(0) ack 70001",
        [1, 4],
        ["", "active"],
    ),
    "numbers that wrap": (
        "> S 4294967295:4294967295(0)\n< S. 4294967295:4294967295(0) ack 0\n> . 0:0(0) ack 0" + AGAIN,
        [1, 4],
        ["", "active"],
    ),
    "part of a pending SYN's data acknowledged": (
        OPEN + "> S 70000:70010(10)\n< S. 90000:90000(0) ack 70005\n> . 70005:70005(0) ack 90001",
        [1, 4],
        ["", "active"],
    ),
    "smaller ISN within 2 MSL of a close": (
        OPEN.replace("101", "70101").replace("100", "70100") + CLOSE.replace("102", "70102").replace("101", "70101") + AGAIN,
        [1, 7],
        ["", "early"],
    ),
    "smaller ISN, later timestamp": (
        """
> S 80000:80000(0) <TS val 10 ecr 0>
< S. 300:300(0) ack 80001 <TS val 5 ecr 10>
> F. 80001:80001(0) ack 301 <TS val 11 ecr 5>
< F. 301:301(0) ack 80002 <TS val 6 ecr 11>
> . 80002:80002(0) ack 302 <TS val 12 ecr 6>
> S 70000:70000(0) <TS val 13 ecr 0>
""",
        [1, 6],
        ["", "closed"],
    ),
    "smaller ISN, same timestamp": (
        """
> S 80000:80000(0) <TS val 10 ecr 0>
< S. 300:300(0) ack 80001 <TS val 5 ecr 10>
> F. 80001:80001(0) ack 301 <TS val 11 ecr 5>
< F. 301:301(0) ack 80002 <TS val 6 ecr 11>
> . 80002:80002(0) ack 302 <TS val 12 ecr 6>
> S 70000:70000(0) <TS val 12 ecr 0>
""",
        [1, 6],
        ["", "early"],
    ),
    "smaller ISN more than 2 MSL after a close": (
        OPEN.replace("101", "70101").replace("100", "70100")
        + CLOSE.replace("102", "70102").replace("101", "70101")
        + "+241 "
        + AGAIN.strip(),
        [1, 7],
        ["", "closed"],
    ),
    "flags no endpoint acts on": (OPEN + "> SR 5:5(0)\n> FR 101:101(0)\n> SRF 70000:70000(0)\n> F 101:101(0)", [1], [""]),
}


@pytest.mark.parametrize("name", CASES)
def test_incarnations(name: str) -> None:
    script, first_frames, reuse_kinds = CASES[name]
    found = connections.group([capture(parse(script))]).flows
    assert list(found["first_frame"]) == first_frames
    assert list(found["reuse"]) == reuse_kinds
    assert list(found["follows"]) == [-1, *range(len(found) - 1)]


def test_self_connection_is_one() -> None:
    script = "client 127.0.0.1:5000\nserver 127.0.0.1:5000\n> S 100:100(0)\n> S. 100:100(0) ack 101\n> . 101:101(0) ack 101"
    found = connections.group([capture(parse(script))])
    assert list(found.flows["first_frame"]) == [1]
    assert found.segments["by_client"].all()


def test_incarnations_of_interleaved_tuples_are_numbered_by_first_frame() -> None:
    other = "> S 100:100(0)\n2> S 1:1(0)\n< R. 0:0(0) ack 101\n2< R. 0:0(0) ack 2\n2> S 5:5(0)\n> S 900:900(0)"
    ends = "client 10.0.0.1:1\nserver 10.0.0.9:80\nclient 2 10.0.0.2:2\nserver 2 10.0.0.9:80\n"
    found = connections.group([capture(parse(ends + other))])
    assert list(found.flows["first_frame"]) == [1, 2, 5, 6]
    assert list(found.flows["follows"]) == [-1, -1, 1, 0]
    assert list(found.segments["flow"]) == [0, 0, 1, 1, 2, 3]
    assert list(found.segments["frame"]) == [1, 3, 2, 4, 5, 6]


def test_many_incarnations_take_turns() -> None:
    turns = 40
    turn = "> S {isn}:{isn}(0)\n< S. 7:7(0) ack {next}\n> R. {next}:{next}(0) ack 8\n"
    script = "".join(turn.format(isn=isn, next=isn + 1) for isn in range(1000, 1000 * (turns + 1), 1000))
    found = connections.group([capture(parse(script))]).flows
    assert list(found["first_frame"]) == list(range(1, 3 * turns, 3))
    assert list(found["reuse"]) == [""] + ["closed"] * (turns - 1)


def test_constants_are_those_of_the_rfc() -> None:
    two_msl_s = 2 * 120
    assert two_msl_s * 10**9 == port_reuse.IDLE_NS
