"""Segments of an earlier connection: found by their numbers, and kept out of streams and counts.

Which segments they are is written into each script: the lines marked with `old`.
"""

from __future__ import annotations

import pytest

from analyzer import api, connections, notation, rules
from analyzer.connections import strays

REQUEST = r'"GET / HTTP/1.1\r\nHost: a\r\n\r\n"'
REPLY = r'"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"'
EXCHANGE = f"> P. 1001:1028(27) ack 5001 {REQUEST}\n< P. 5001:5041(40) ack 1028 {REPLY}\n"
SYN, SYNACK, ACK3 = "> S 1000:1000(0)\n", "< S. 5000:5000(0) ack 1001\n", "> . 1001:1001(0) ack 5001\n"
CLOSE = "> F. 1028:1028(0) ack 5041\n< F. 5041:5041(0) ack 1029\n> . 1029:1029(0) ack 5042\n"
EARLIER = (
    "> S 100:100(0)\n< S. 800000:800000(0) ack 101\n> . 101:101(0) ack 800001\n"
    f"> P. 101:128(27) ack 800001 {REQUEST}\n< P. 800001:800041(40) ack 128 {REPLY}\n> R. 128:128(0) ack 800041\n"
)

LATE = {
    "nothing late": SYN + SYNACK + ACK3,
    "data of the server ahead of its ISN": SYN + "< P. 900000:900024(24) ack 700000\n> R 700000:700000(0)\n" + SYNACK + ACK3,
    "data of the server behind its ISN": SYN + "< P. 4000000000:4000000024(24) ack 700000\n> R 700000:700000(0)\n" + SYNACK + ACK3,
    "data of the server, SYN again": SYN + "< P. 900000:900024(24) ack 700000\n> R 700000:700000(0)\n+1 " + SYN + SYNACK + ACK3,
    "an ACK of the server": SYN + "< . 4000:4000(0) ack 900020\n> R 900020:900020(0)\n+1 " + SYN + SYNACK + ACK3,
    "two ACKs of the server": SYN
    + "< . 4000:4000(0) ack 900020\n< . 4000:4000(0) ack 900500\n> R 900020:900020(0)\n> R 900500:900500(0)\n"
    + SYNACK
    + ACK3,
    "a FIN of the server": SYN + "< F. 900000:900000(0) ack 700000\n> R 700000:700000(0)\n" + SYNACK + ACK3,
    "data of the server behind the SYN+ACK": SYN + SYNACK + "< P. 900000:900024(24) ack 500\n" + ACK3,
    "data of the server behind the third segment": SYN + SYNACK + ACK3 + "< P. 900000:900024(24) ack 500\n",
    "data of the client": SYN + "> P. 500:520(20) ack 777000\n< R 777000:777000(0)\n" + SYNACK + ACK3,
    "data of the client behind the SYN+ACK": SYN + SYNACK + "> P. 500:520(20) ack 777000\n" + ACK3,
}


@pytest.mark.parametrize("earlier", ["", EARLIER])
@pytest.mark.parametrize("name", LATE)
def test_the_exchange_is_read_whole(name: str, earlier: str) -> None:
    report = api.analyze_script(notation.parse("server 198.51.100.1:80\n" + earlier + LATE[name] + EXCHANGE + CLOSE), rules.load())
    count = 2 if earlier else 1
    flows_ = report.flows
    assert flows_["verdict"].tolist() == ["complete"] * count
    assert flows_["service"].tolist() == ["http"] * count
    assert report.transactions["code"].tolist() == [200] * count
    assert not flows_["dialogue_inconclusive"].any()
    for column in ("client_missing_bytes", "server_missing_bytes", "client_out_of_order", "server_out_of_order", "server_retransmitted"):
        assert not flows_[column].any(), column
    assert "error" not in set(report.findings["severity"])


def _found(script: str) -> list[int]:
    """Return the frames of what belongs to an earlier connection, by the ISNs that the SYNs have."""
    segments = connections.group([notation.capture(notation.parse(script))]).segments
    numbers = strays.Numbers(*(segments[name].to_numpy() for name in strays.Numbers._fields))
    rows = strays.find(numbers, strays.isns(numbers, 2 * (int(segments["flow"].max()) + 1)))
    return sorted(int(frame) for frame in segments["frame"].to_numpy()[rows])


NUMBERS = {
    "none": (SYN + SYNACK + ACK3 + EXCHANGE + CLOSE, []),
    "data before the SYN+ACK, out of order": (SYN + "< P. 5001:5021(20) ack 1001\n" + SYNACK + "> . 1001:1001(0) ack 5021\n", []),
    "64 KiB before the SYN+ACK, out of order": (SYN + "< P. 70536:70546(10) ack 1001\n" + SYNACK + ACK3, []),
    "more than that": (SYN + "< P. 70537:70547(10) ack 1001\n" + SYNACK + ACK3, [2]),
    "a keep-alive before any data": (SYN + SYNACK + ACK3 + "> . 1000:1000(0) ack 5001\n", []),
    "an ACK of the ISN, one too few": (SYN + SYNACK + "> . 1001:1001(0) ack 5000\n", [3]),
    "data far ahead, behind the SYN+ACK: capture loss": (SYN + SYNACK + ACK3 + "< P. 900000:900024(24) ack 1028\n", []),
    "a capture that begins before": ("< P. 900000:900024(24) ack 700000\n> . 700000:700000(0) ack 900024\n" + SYN, []),
    "the ISN 2^32 - 1": ("> S 4294967295:4294967295(0)\n< S. 4294967295:4294967295(0) ack 0\n> P. 0:9(9) ack 0\n< . 0:0(0) ack 9\n", []),
    "behind the ISN 2^32 - 1": ("> S 4294967295:4294967295(0)\n> P. 4294967280:4294967290(10) ack 77\n< S. 5:5(0) ack 0\n", [2]),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_by_numbers_alone(name: str) -> None:
    script, frames = NUMBERS[name]
    assert _found(script) == frames


def test_a_stream_that_comes_round_is_never_old() -> None:
    """Beyond the first segments nothing is called old, whatever its numbers: they may have come round."""
    lines = [f"> P. {1001 + 10 * n}:{1011 + 10 * n}(10) ack 5001" for n in range(strays.MAX_PLACE)]
    assert _found(SYN + SYNACK + ACK3 + "\n".join(lines) + "\n> P. 500:510(10) ack 100\n") == []
