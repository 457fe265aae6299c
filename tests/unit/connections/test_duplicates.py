"""What is a copy of a frame and what a host sent twice: a case for each sentence of the module's docstring."""

from __future__ import annotations

import pytest

from analyzer import connections, schema
from analyzer.notation import capture, parse

V6 = "client [2001:db8::1]:40000\nserver [2001:db8::2]:80\n"
OPEN = "> S 100:100(0)\n< S. 300:300(0) ack 101\n> . 101:101(0) ack 301\n"
DATA = "> P. 101:201(100) ack 301"
PURE = "> . 101:101(0) ack 301"

CASES = {
    # name: (script, frames dropped, of these the routed ones)
    "same identification, 10 ms later": (f"{DATA} id 7\n+0.01 {DATA} id 7", [2], []),
    "same identification, more than 10 ms later": (f"{DATA} id 7\n+0.010000001 {DATA} id 7", [], []),
    "another identification": (f"{DATA} id 7\n{DATA} id 8", [], []),
    "pure acknowledgment, same identification": (f"{PURE} id 7\n{PURE} id 7", [2], []),
    "three sights of one frame": (f"{DATA} id 7\n{DATA} id 7\n{DATA} id 7", [2, 3], []),
    "each within the limit of the one before, not of the first": (
        f"{DATA} id 7\n+0.006 {DATA} id 7\n+0.006 {DATA} id 7\n+0.006 {DATA} id 7",
        [2, 4],
        [],
    ),
    "peer's segment in between, same identification": (f"{DATA} id 7\n< . 301:301(0) ack 201 id 1\n{DATA} id 7", [3], []),
    "another timestamp": (f"{DATA} id 7 <TS val 1 ecr 1>\n{DATA} id 7 <TS val 2 ecr 1>", [], []),
    "another window": (f"{DATA} id 7\n{DATA} id 7 win 9", [], []),
    "another acknowledgment": (f"{DATA} id 7\n> P. 101:201(100) ack 302 id 7", [], []),
    "another payload shows in the checksum": ('> P. 101:105(4) ack 301 "AAAA" id 7\n> P. 101:105(4) ack 301 "AAAB" id 7', [], []),
    "TTL lower by 1": (f"{DATA} id 7 ttl 64\n{DATA} id 7 ttl 63", [2], [2]),
    "TTL lower by 1, twice": (f"{DATA} id 7 ttl 64\n{DATA} id 7 ttl 63\n{DATA} id 7 ttl 62", [2, 3], [2, 3]),
    "TTL lower by 8": (f"{DATA} id 7 ttl 64\n{DATA} id 7 ttl 56", [2], [2]),
    "TTL lower by 9": (f"{DATA} id 7 ttl 64\n{DATA} id 7 ttl 55", [], []),
    "captured beyond the router first": (f"{DATA} id 7 ttl 63\n{DATA} id 7 ttl 64", [2], [2]),
    "identification 0, TTL lower by 2": (f"{DATA} id 0 ttl 64\n+0.0005 {DATA} id 0 ttl 62", [], []),
    "MSS clamped": ("> S 100:100(0) id 7 <mss 1460,sackOK>\n> S 100:100(0) id 7 ttl 63 <mss 1360,sackOK>", [2], [2]),
    "MSS clamped, identification 0": ("> S 100:100(0) id 0 <mss 1460>\n> S 100:100(0) id 0 ttl 63 <mss 1360>", [], []),
    "MSS clamped on the SYN+ACK, same TTL": ("< S. 300:300(0) ack 101 id 7 <mss 1460>\n< S. 300:300(0) ack 101 id 7 <mss 1360>", [2], [2]),
    "options replaced by NOPs": (
        (
            "> S 100:100(0) id 7 <mss 1460,sackOK,TS val 1 ecr 0,nop,wscale 7>\n"
            "> S 100:100(0) id 7 ttl 63 <mss 1460,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,wscale 7>"
        ),
        [2],
        [2],
    ),
    "SACK permitted replaced by NOPs, and the MSS clamped": (
        "> S 100:100(0) id 7 <mss 1460,sackOK,nop,nop>\n> S 100:100(0) id 7 ttl 63 <mss 536,nop,nop,nop,nop>",
        [2],
        [2],
    ),
    "SACK blocks of data replaced by NOPs": (
        (
            '> P. 101:105(4) ack 301 "AAAA" id 7 <nop,nop,sack 401-501>\n'
            '> P. 101:105(4) ack 301 "AAAA" id 7 <nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop>'
        ),
        [2],
        [2],
    ),
    "options replaced by NOPs, and another payload": (
        (
            '> P. 101:105(4) ack 301 "AAAA" id 7 <nop,nop,sack 401-501>\n'
            '> P. 101:105(4) ack 301 "AAAB" id 7 <nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop>'
        ),
        [],
        [],
    ),
    "another window scale": ("> S 100:100(0) id 7 <nop,wscale 7>\n> S 100:100(0) id 7 ttl 63 <nop,wscale 8>", [], []),
    "SYN sent again with the next identification": ("> S 100:100(0) id 7 <mss 1460>\n> S 100:100(0) id 8 <mss 1360>", [], []),
    "other MACs": (f"{DATA} id 7\n{DATA} id 7 mac 02:00:00:00:00:07>02:00:00:00:00:08", [2], [2]),
    "identification 0, 1 ms later": (f"{DATA} id 0\n+0.001 {DATA} id 0", [2], []),
    "identification 0, more than 1 ms later": (f"{DATA} id 0\n+0.001000001 {DATA} id 0", [], []),
    "identification 0, the peer spoke in between: a fast retransmission": (
        f"{DATA} id 0\n+0.0001 < . 301:301(0) ack 101\n+0.0001 {DATA} id 0",
        [],
        [],
    ),
    "identification 0, beyond a router, the peer spoke in between": (
        f"{DATA} id 0\n+0.0001 < . 301:301(0) ack 101\n+0.0001 {DATA} id 0 ttl 63",
        [3],
        [3],
    ),
    "IPv6, 1 ms later": (f"{V6}{DATA}\n+0.001 {DATA}", [2], []),
    "IPv6, more than 1 ms later": (f"{V6}{DATA}\n+0.002 {DATA}", [], []),
    "IPv6, duplicate acknowledgments": (f"{V6}{OPEN}+0.0001 {PURE}\n+0.0001 {PURE}", [], []),
    "IPv6, acknowledgments among frames that all came twice": (
        V6
        + """
> S 100:100(0)
+0.0001 > S 100:100(0)
< S. 300:300(0) ack 101
+0.0001 < S. 300:300(0) ack 101
> . 101:101(0) ack 301
+0.0001 > . 101:101(0) ack 301
""",
        [2, 4, 6],
        [],
    ),
    "IPv6, a reset a segment": (f"{V6}{OPEN}< R 301:301(0)\n+0.0001 < R 301:301(0)", [], []),
    "one identification on every packet: a script's": (
        (
            "> S 100:100(0) id 1\n< S. 300:300(0) ack 101 id 1\n> . 101:101(0) ack 301 id 1\n"
            "> P. 101:117(16) ack 301 id 1\n+0.0014 > P. 101:117(16) ack 301 id 1"
        ),
        [],
        [],
    ),
    "one identification on a third of the packets": (
        "> S 100:100(0) id 1\n+0.005 > S 100:100(0) id 1\n< S. 300:300(0) ack 101 id 2\n> . 101:101(0) ack 301 id 3",
        [2],
        [],
    ),
    "other direction": ("> S 5:5(0) id 7\n< S 5:5(0) id 7", [], []),
    "header cut": (f"{DATA} id 7 cut 18\n{DATA} id 7 cut 18", [], []),
}


@pytest.mark.parametrize("name", CASES)
def test_copies(name: str) -> None:
    script, dropped, routed = CASES[name]
    found = connections.group([capture(parse(script))])
    assert list(found.duplicates["frame"]) == dropped
    assert list(found.duplicates["frame"][found.duplicates["routed"]]) == routed
    assert found.flows["duplicate_frames"].sum() == len(dropped)
    assert found.flows["routed_frames"].sum() == len(routed)


def test_copies_are_told_from_where_they_were_dropped() -> None:
    script = "> S 100:100(0) id 1\n< R. 0:0(0) ack 101 id 2\n< R. 0:0(0) ack 101 id 2\n> S 900:900(0) id 3\n> S 900:900(0) id 3"
    found = connections.group([capture(parse(script))])
    assert list(found.duplicates["flow"]) == [0, 1]
    assert list(found.duplicates["by_client"]) == [False, True]
    assert list(found.flows["last_frame"]) == [3, 5]
    assert list(found.flows["server_segments"]) == [1, 0]


def test_the_limit_counts_in_both_directions_of_the_clock() -> None:
    one = capture(parse(f"{DATA} id 7\n{DATA} id 7"))
    one.segments.loc[1, "time"] = one.segments["time"][0] - 5_000_000
    assert len(connections.group([one]).duplicates) == 1
    one.segments.loc[1, "time"] = one.segments["time"][0] - 50_000_000
    assert len(connections.group([one]).duplicates) == 0


def test_records_without_a_time_are_no_copies() -> None:
    one = capture(parse(f"{DATA} id 7\n{DATA} id 7"))
    one.segments["time"] = schema.NO_TIME
    assert len(connections.group([one]).duplicates) == 0
