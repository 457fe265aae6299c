"""The words Zeek and Wireshark have for a connection, against what their makers say of the same segments.

Histories and their conn_state are pairs from Zeek's own baselines of conn.log: capital letters are the originator's
segments, small ones the responder's.
"""

from __future__ import annotations

import pytest

from analyzer import connections as connections_
from analyzer import notation
from analyzer.openings import conn_state

SEGMENTS = {"s": "S {seq}:{seq}(0)", "h": "S. {seq}:{seq}(0) ack 1", "a": ". {seq}:{seq}(0) ack 1"} | {
    "d": "P. {seq}:{end}(9) ack 1",
    "f": "F. {seq}:{seq}(0) ack 1",
    "r": "R. {seq}:{seq}(0) ack 1",
}


def _seen(history: str) -> conn_state.SegmentKinds:
    lines = []
    for place, letter in enumerate(history.lstrip("^")):
        seq = 1000 + 100 * place
        lines.append(f"{'>' if letter.isupper() else '<'} {SEGMENTS[letter.lower()].format(seq=seq, end=seq + 9)}")
    connections = connections_.group([notation.capture(notation.parse("\n".join(lines)))])
    assert len(connections.flows) == 1
    return conn_state.SegmentKinds(connections.segments, 1)


@pytest.mark.parametrize(
    ("history", "state"),
    [
        ("S", "S0"),
        ("SAD", "S0"),
        ("Sr", "REJ"),
        ("SADF", "SH"),
        ("ShADd", "S1"),
        ("ShAaDd", "S1"),
        ("ShADadf", "S3"),
        ("ShADadFf", "SF"),
        ("ShAdfFa", "SF"),
        ("ShADadfFr", "SF"),
        ("^hADadFf", "SF"),
        ("ShADadFR", "RSTO"),
        ("ShADadfR", "RSTO"),
        ("ShADdR", "RSTO"),
        ("ShADadFr", "RSTR"),
        ("ShADdFar", "RSTR"),
        ("^fA", "SHR"),
        ("Fa", "SH"),
        ("SR", "RSTOS0"),
        ("SaFR", "OTH"),
        ("^r", "RSTRH"),
        ("R", "OTH"),
        ("D", "OTH"),
        ("Dd", "OTH"),
    ],
)
def test_zeek_conn_state_is_zeeks(history: str, state: str) -> None:
    assert conn_state.zeek_conn_state(_seen(history)).tolist() == [state]


def test_zeek_takes_a_fin_without_ack_for_a_sign_of_life() -> None:
    """Zeek's history SaFR, the FIN without ACK, is OTH in its log: the RST is not the originator's first word after its SYN."""
    script = "> S 1000:1000(0)\n< . 700:700(0) ack 1001\n> F 1001:1001(0)\n> R 1002:1002(0)\n"
    connections = connections_.group([notation.capture(notation.parse(script))])
    assert conn_state.zeek_conn_state(conn_state.SegmentKinds(connections.segments, 1)).tolist() == ["OTH"]


@pytest.mark.parametrize(("history", "number"), [("S", 1), ("Sr", 37), ("ShA", 7), ("ShADd", 15), ("ShADdFf", 31), ("ShAR", 39)])
def test_tcp_completeness_is_wiresharks(history: str, number: int) -> None:
    assert conn_state.tcp_completeness(_seen(history)).tolist() == [number]
