"""Segments that belong to no attempt, or to an earlier connection, must not change what becomes of an opening.

In SYN_SENT a segment with an unacceptable acknowledgment is answered with a RST that has that number, and the attempt
goes on (RFC 9293 3.10.7.3); a listening server answers such a segment alike, and obeys no RST (3.10.7.2). Expected
values come from there.
"""

from __future__ import annotations

from functools import cache

import pytest

from tests.unit.openings.scripts import Case, Found, judge

SYN = "> S 1000:1000(0) win 64240\n"
SYNACK = "< S. 5000:5000(0) ack 1001 win 64240\n"
ACK3 = "> . 1001:1001(0) ack 5001\n"
TAIL = "> P. 1001:1011(10) ack 5001\n< P. 5001:5021(20) ack 1011\n> . 1011:1011(0) ack 5021\n"
GOES_ON = SYNACK + ACK3 + TAIL
OLD = "< P. 900000:900024(24) ack 700000\n"
EARLIER = (
    "> S 100:100(0)\n< S. 800000:800000(0) ack 101\n> . 101:101(0) ack 800001\n> P. 101:128(27) ack 800001\n"
    "< P. 800001:800041(40) ack 128\n> R. 128:128(0) ack 800041\n"
)

STRAYS: dict[str, Case] = {
    # -- late data of the server, reset by the client or not
    "late data, reset, SYN again": Case(
        SYN + OLD + "> R 700000:700000(0)\n+1 " + SYN + GOES_ON, "complete", "data-of-old-connection syn-retransmitted"
    ),
    "late data, reset, no retry needed": Case(SYN + OLD + "> R 700000:700000(0)\n" + GOES_ON, "complete", "data-of-old-connection"),
    "late data, the reset not captured": Case(SYN + OLD + GOES_ON, "complete", "data-of-old-connection"),
    "late data, the SYN+ACK before the reset": Case(
        SYN + OLD + SYNACK + "> R 700000:700000(0)\n" + ACK3 + TAIL, "complete", "data-of-old-connection"
    ),
    "late data behind the SYN+ACK": Case(
        SYN + SYNACK + "< P. 3000000000:3000000024(24) ack 700000\n> R 700000:700000(0)\n" + ACK3 + TAIL, "complete"
    ),
    "three late segments, three resets": Case(
        SYN
        + "".join(f"< P. {900000 + n}:{900001 + n}(1) ack {700000 + n}\n" for n in range(3))
        + "".join(f"> R {700000 + n}:{700000 + n}(0)\n" for n in range(3))
        + GOES_ON,
        "complete",
        "data-of-old-connection",
    ),
    "a late FIN with data": Case(
        SYN + "< FP. 900000:900024(24) ack 700000\n> R 700000:700000(0)\n" + GOES_ON, "complete", "data-of-old-connection"
    ),
    # -- bare ACKs
    "two old ACKs, two resets": Case(
        SYN + "< . 900000:900000(0) ack 700000\n< . 900000:900000(0) ack 700500\n> R 700000:700000(0)\n> R 700500:700500(0)\n" + GOES_ON,
        "complete",
        "ack-answers-syn half-open-recovery",
    ),
    "two old ACKs, each reset at once": Case(
        SYN + "< . 900000:900000(0) ack 700000\n> R 700000:700000(0)\n< . 900000:900000(0) ack 700500\n> R 700500:700500(0)\n" + GOES_ON,
        "complete",
        "ack-answers-syn half-open-recovery",
    ),
    # -- SYN+ACKs
    "two wrong SYN+ACKs, two resets": Case(
        SYN + "< S. 1:1(0) ack 700000\n< S. 2:2(0) ack 800000\n> R 700000:700000(0)\n> R 800000:800000(0)\n" + GOES_ON,
        "complete",
        "synack-ack-wrong",
    ),
    "the SYN+ACK's number is the ISN, reset": Case(
        SYN + "< S. 1:1(0) ack 1000\n> R 1000:1000(0)\n" + GOES_ON, "complete", "synack-ack-wrong synack-ack-is-isn"
    ),
    # -- resets that no captured segment asked for
    "an unrelated RST": Case(SYN + "> R 700000:700000(0)\n" + GOES_ON, "complete", "client-rst-unrelated"),
    "an unrelated RST, numbers 0": Case(SYN + "> R 0:0(0)\n" + GOES_ON, "complete", "client-rst-unrelated"),
    "an unrelated RST and nothing else": Case(
        SYN + "> R 700000:700000(0)\n+2 " + SYN, "unanswered", "client-rst-unrelated syn-retransmitted"
    ),
    "a forged RST with the right number": Case(SYN + "> R 1001:1001(0)\n" + GOES_ON, "complete", "client-rst-before-synack data-after-rst"),
    "the client gives up": Case(SYN + "> R 1001:1001(0)\n", "aborted", "client-rst-before-synack"),
    "the client gives up at the SYN's own number": Case(SYN + "> R 1000:1000(0)\n", "aborted", "client-rst-before-synack"),
    "the client gives up, the SYN+ACK is reset too": Case(
        SYN + "> R 1001:1001(0)\n" + SYNACK + "> R 1001:1001(0)\n", "aborted", "client-rst-before-synack"
    ),
    "the client gives up after an old ACK": Case(
        SYN + "< . 900000:900000(0) ack 700000\n> R 1001:1001(0)\n", "aborted", "ack-answers-syn client-rst-before-synack"
    ),
    # -- what the client sent on an earlier connection
    "late data of the client, reset by the server": Case(
        "> S 700000:700000(0)\n> P. 100:120(20) ack 300\n< R 300:300(0)\n"
        "< S. 5000:5000(0) ack 700001\n> . 700001:700001(0) ack 5001\n< . 5001:5001(0) ack 700001\n",
        "complete",
        "data-of-old-connection",
    ),
    "late ACK of the client": Case(
        "> S 700000:700000(0)\n> . 100:100(0) ack 300\n< S. 5000:5000(0) ack 700001\n> . 700001:700001(0) ack 5001\n", "complete"
    ),
    # -- still faults
    "data that acknowledges the SYN, without a SYN+ACK": Case(
        SYN + "< P. 5001:5021(20) ack 1001\n", "invalid", "server-data-before-synack"
    ),
    "data before the SYN+ACK of the same numbers": Case(
        SYN + "< P. 5001:5021(20) ack 1001\n" + SYNACK + ACK3, "complete", "capture-out-of-order"
    ),
    # -- the SYN+ACK was not captured, and the server resets
    "ACK, data, a RST with the number acknowledged": Case(
        SYN + ACK3 + "> P. 1001:1011(10) ack 5001\n< R 5001:5001(0)\n", "complete", "synack-not-captured"
    ),
    "ACK, a RST with the number acknowledged": Case(SYN + ACK3 + "< R 5001:5001(0)\n", "complete", "synack-not-captured"),
    "data alone, a RST with the number acknowledged": Case(
        SYN + "> P. 1001:1011(10) ack 5001\n< R. 5001:5001(0) ack 1011\n", "complete", "synack-not-captured"
    ),
    "ACK, a RST that acknowledges too": Case(SYN + ACK3 + "< R. 5001:5001(0) ack 1001\n", "complete", "synack-not-captured"),
    "ACK, a RST with another number": Case(SYN + ACK3 + "< R 90000:90000(0)\n", "invalid", "rst-not-acceptable"),
    # -- the SYN+ACK was lost on its way, and the server then refuses
    "SYN again, refused": Case(SYN + SYNACK + "+1 " + SYN + "< R. 0:0(0) ack 1001\n", "refused", "syn-retransmitted"),
    "SYN again, refused with another number": Case(
        SYN + SYNACK + "+1 " + SYN + "< R. 90000:90000(0) ack 1001\n", "refused", "syn-retransmitted"
    ),
    "SYN again, reset with the SYN+ACK's number": Case(
        SYN + SYNACK + "+1 " + SYN + "< R. 5001:5001(0) ack 1001\n", "aborted", "syn-retransmitted server-rst-in-syn-received"
    ),
    "refused behind the SYN+ACK, nothing else": Case(SYN + SYNACK + "< R. 0:0(0) ack 1001\n", "refused"),
    "refused behind the SYN+ACK, then tried again": Case(
        SYN + "< S. 3000000000:3000000000(0) ack 1001\n" + "+1 " + SYN + "< R. 0:0(0) ack 1001\n+1 " + SYN + "< R. 0:0(0) ack 1001\n",
        "refused",
        "syn-retransmitted refused-retried",
    ),
    "a forged refusal behind the SYN+ACK": Case(SYN + SYNACK + "< R. 0:0(0) ack 1001\n" + ACK3 + TAIL, "complete", "rst-outside-window"),
    "a RST that acknowledges something else": Case(
        SYN + SYNACK + "< R. 3000000000:3000000000(0) ack 999999\n" + ACK3 + TAIL, "complete", "rst-outside-window"
    ),
}


@cache
def _judged(min_vector_flows: int) -> dict[str, Found]:
    return judge(STRAYS, min_vector_flows=min_vector_flows)


@pytest.mark.parametrize("min_vector_flows", [0, 10**9])
@pytest.mark.parametrize("name", STRAYS)
def test_opening_comes_out_right(name: str, min_vector_flows: int) -> None:
    case, found = STRAYS[name], _judged(min_vector_flows)[name]
    assert (found.verdicts, sorted(found.findings)) == ([case.verdict], sorted(case.findings.split())), case.script
